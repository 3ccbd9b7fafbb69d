# shellcheck shell=bash
# Sourced by scripts/bench. Looks for messages: by header in 30 daily and 12 weekly sets of a server that lives on, and by text
# in one set, beside zstd and grep over the same archives, two at a time.
# Globals: MESSAGES MAILBOXES ROUNDS from the command line; WORK BIN SOURCE.

bench_find() {
    local day latest
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
    printf '  index bytes: %s\n' "$(find "$WORK/repo/mail-backup" -name '[0-9]*.jsonl.zst' -printf '%i %s\n' |
        sort -u | awk '{ sum += $2 } END { print sum }')"
}

# a_subject: that of a message of the tree.
a_subject() {
    grep -h -m 1 '^Subject: [A-Za-z]' "$(find "$SOURCE" -path '*/cur/*' -type f | sort | head -n 1)" | sed 's/^Subject: //'
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
