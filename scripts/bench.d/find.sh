# shellcheck shell=bash
# Sourced by scripts/bench. Looks for messages: by header in 30 daily and 12 weekly sets of a server that lives on, and by text
# in one set, beside zstd and grep over the same archives, two at a time; then beside notmuch and mu, which have an index of
# the words of one tree.
# Globals: MESSAGES MAILBOXES ROUNDS from the command line; WORK BIN SOURCE.

bench_find() {
    local day latest
    if [ -n "$LARGE" ]; then
        bench_find_large
        return
    fi
    make_tree "$MESSAGES" "$MAILBOXES" 33000
    reset mail-backup
    for ((day = 1; day <= 84; day++)); do
        if [ $((day % 7)) -eq 0 ] || [ "$day" -gt 54 ]; then
            "$BIN/make-maildir" "$SOURCE" --age "$day" >/dev/null
            [ $((day % 7)) -ne 0 ] || save_weekly "$day"
            [ "$day" -le 54 ] || save mail-backup "$day"
        fi
    done
    find "$WORK/repo/mail-backup" -type f -print0 | xargs -0 cat >/dev/null
    bench_find_headers
    latest=$(newest_set mail-backup daily)
    bench_find_text "$latest"
    bench_find_indexed "$latest"
}

# save_weekly DAY
save_weekly() {
    command_of mail-backup "$1"
    COMMAND=("${COMMAND[@]/--daily/--weekly}")
    "${COMMAND[@]}" >/dev/null
}

# found FLAG...: sets COMMAND to a search.
found() {
    COMMAND=("$BIN/mail-restore" --config "$WORK/bench.conf" --root "$WORK/repo/mail-backup" --mail-dir "$SOURCE" --list
        --format jsonl -q "$@")
}

bench_find_headers() {
    local round row sets
    sets=$(find "$WORK/repo/mail-backup" -mindepth 2 -maxdepth 2 -type d | wc -l)
    row="find by header in $sets sets"
    for ((round = 1; round <= ROUNDS; round++)); do
        found --from all --subject "$(a_subject)"
        measure "$row" mail-restore "${COMMAND[@]}"
    done
    report "$row" mail-restore
    index_bytes "$MESSAGES"
}

# a_message: one of the tree.
a_message() {
    find "$SOURCE" -path '*/cur/*' -type f | sort | sed -n 1p
}

# a_subject: that of a message of the tree.
a_subject() {
    grep -h -m 1 '^Subject: [A-Za-z]' "$(a_message)" | tr -d '\r' | sed 's/^Subject: //'
}

# bench_find_indexed SET: what notmuch and mu take to index the restored tree, which comes before their first answer, and for an
# answer; beside them a search of the set, which needs no index but those that it has.
bench_find_indexed() {
    local program programs=() round subject row="an answer by subject"
    [ -n "$ALONE" ] || need notmuch maildir-utils || true
    for program in notmuch mu; do
        if [ -z "$ALONE" ] && command -v "$program" >/dev/null; then
            programs+=("$program")
        fi
    done
    subject=$(a_subject)
    "$BIN/mail-restore" --config "$WORK/bench.conf" --root "$WORK/repo/mail-backup" --from "$1" --to "$WORK/restored" -q >/dev/null
    printf '[database]\npath=%s\n' "$WORK/restored/mailboxes" >"$WORK/notmuch.conf"
    for program in "${programs[@]}"; do
        "index_by_$program"
        measure "indexing of the restored tree" "$program" "${COMMAND[@]}"
        report "indexing of the restored tree" "$program"
    done
    for ((round = 1; round <= ROUNDS; round++)); do
        for program in mail-restore "${programs[@]}"; do
            "answer_by_$program" "$1" "$subject"
            measure "$row" "$program" "${COMMAND[@]}"
        done
    done
    report "$row" mail-restore "${programs[@]}"
    rm -rf "$WORK/restored" "$WORK/mu"
}

index_by_notmuch() {
    COMMAND=(notmuch --config="$WORK/notmuch.conf" new --quiet)
}

index_by_mu() {
    mu init --muhome="$WORK/mu" --maildir="$WORK/restored/mailboxes" >/dev/null
    COMMAND=(mu index --muhome="$WORK/mu" --quiet)
}

# answer_by_PROGRAM SET SUBJECT
answer_by_mail-restore() {
    found --from "$1" --subject "$2"
}

answer_by_notmuch() {
    COMMAND=(notmuch --config="$WORK/notmuch.conf" search --output=files "subject:\"$2\"")
}

answer_by_mu() {
    COMMAND=(mu find --muhome="$WORK/mu" "subject:\"$2\"")
}

# bench_find_text SET: a text that no message has, so that everything is read.
bench_find_text() {
    local round program row="find by text in one set"
    for ((round = 1; round <= ROUNDS; round++)); do
        for program in mail-restore zstd-grep; do
            "text_by_$program" "$1"
            command_that_finds_nothing
            measure "$row" "$program" "${COMMAND[@]}"
        done
    done
    report "$row" mail-restore zstd-grep
}

text_by_mail-restore() {
    found --from "$1" --text 'no message says this'
}

text_by_zstd-grep() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    COMMAND=(bash -c 'find "$1" -name "[0-9]*.tar.zst" -print0 |
        xargs -0 -n 1 -P 2 sh -c "zstd -dcq \"\$0\" | grep -aFc \"no message says this\""' bash "$1")
}

# command_that_finds_nothing: COMMAND, whose failure is the answer.
command_that_finds_nothing() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    COMMAND=(bash -c '"$@"; code=$?; [ $code -eq 1 ] || [ $code -eq 123 ]' bash "${COMMAND[@]}")
}
