# shellcheck shell=bash
# Sourced by scripts/bench. The way back: everything, verification, one message.
# Globals: MESSAGES MAILBOXES ROUNDS from the command line; WORK BIN SOURCE.

bench_restore() {
    local programs program
    mapfile -t programs < <(installed restic rustic)
    make_tree "$MESSAGES" "$MAILBOXES" 33000
    for program in mail-backup "${programs[@]}"; do
        reset "$program"
        save "$program" 1
    done
    SET=$(find "$WORK/repo/mail-backup/daily" -mindepth 1 -maxdepth 1 -type d)
    # What is read is in the cache, as right after a backup.
    find "$SET" -type f -print0 | xargs -0 cat >/dev/null
    bench_restore_all mail-restore tar "${programs[@]}" cp
    bench_verify
    bench_one_message
    bench_unpack_after_days
}

# bench_restore_all PROGRAM...: all mail into an empty directory.
bench_restore_all() {
    local program round row="restore everything, $MESSAGES messages"
    for ((round = 1; round <= ROUNDS; round++)); do
        for program in "$@"; do
            mkdir "$WORK/restored"
            restore_command_of "$program"
            measure "$row" "$program" "${COMMAND[@]}"
            rm -rf "$WORK/restored"
        done
    done
    report "$row" "$@"
}

# restore_command_of PROGRAM: sets COMMAND to what restores all mail into WORK/restored.
restore_command_of() {
    case $1 in
        mail-restore) COMMAND=("$BIN/mail-restore" --config "$WORK/bench.conf" --from "$SET" --to "$WORK/restored" -q --format jsonl) ;;
        tar)
            # shellcheck disable=SC2016 # expanded by the inner shell
            COMMAND=(bash -c '{ find "$1" -name "*.tar.zst" ! -name 0000.tar.zst -print0 | sort -zV
                find "$1" -name 0000.tar.zst ! -path "*/mailboxes/_root/0000.tar.zst" -print0
                printf "%s\0" "$1/_root/0000.tar.zst"; } |
                xargs -0 -n 1 tar -C "$2" --zstd --incremental -xpf' bash "$SET/mailboxes" "$WORK/restored")
            ;;
        tar-format-1 | tar--beside)
            # shellcheck disable=SC2016 # expanded by the inner shell
            COMMAND=(bash -c '{ find "$1" -mindepth 2 -name "*.tar.zst" ! -path "$1/_root/*" -print0 | sort -zV
                printf "%s\0" "$1/_root/0000.tar.zst"; } | xargs -0 -n 1 tar -C "$2" --zstd -xpf' \
                bash "$SET/mailboxes" "$WORK/restored")
            ;;
        restic) COMMAND=(restic restore latest --quiet --target "$WORK/restored") ;;
        rustic) COMMAND=(rustic restore --no-progress --log-level error latest "$WORK/restored") ;;
        cp) COMMAND=(cp -a "$SOURCE" "$WORK/restored/mail") ;;
    esac
}

# Ten even days later: a set with dead and renamed members by stock tar, beside one that was written whole, which is read
# as one of format 1 is: without --incremental; and beside one of the other build, which may be of format 1.
bench_unpack_after_days() {
    local day round row="stock tar, a set of ten even days"
    for ((day = 2; day <= 11; day++)); do
        "$BIN/make-maildir" "$SOURCE" --age "$day" --where uniform >/dev/null
        save mail-backup "$day"
    done
    save mail-backup--full "$day"
    if [ -n "$BESIDE" ]; then
        reset mail-backup--beside
        save mail-backup--beside "$day"
    fi
    for ((round = 1; round <= ROUNDS; round++)); do
        unpack_timed tar "$(newest_set mail-backup daily)"
        unpack_timed tar-format-1 "$(newest_set mail-backup--full daily)"
        [ -z "$BESIDE" ] || unpack_timed tar--beside "$(newest_set mail-backup--beside daily)"
    done
    report "$row" tar tar-format-1 ${BESIDE:+tar--beside}
}

# unpack_timed PROGRAM SET
unpack_timed() {
    SET=$2
    find "$SET" -type f -print0 | xargs -0 cat >/dev/null
    mkdir "$WORK/restored"
    restore_command_of "$1"
    measure "$row" "$1" "${COMMAND[@]}"
    rm -rf "$WORK/restored"
}

# newest_set PROGRAM KIND
newest_set() { find "$WORK/repo/$1/$2" -mindepth 1 -maxdepth 1 -type d ! -name '.*' | sort | tail -n 1; }

bench_verify() {
    local round row="verify a set"
    for ((round = 1; round <= ROUNDS; round++)); do
        measure "$row" mail-restore "$BIN/mail-restore" --config "$WORK/bench.conf" --from "$SET" --verify -q --format jsonl
        # shellcheck disable=SC2016 # expanded by the inner shell
        measure "$row" sha256sum bash -c 'cd "$1" && sha256sum --quiet -c checksums.sha256' bash "$SET"
    done
    report "$row" mail-restore sha256sum
}

# The message in the middle of the largest mailbox: by its Message-ID, and by tar, which needs its name; both are given the mailbox,
# or neither is.
bench_one_message() {
    local mailbox path id address
    mailbox=$(du -s "$SOURCE"/*/* | sort -rn | sed -n 1p | cut -f2)
    path=$(find "$mailbox" -path '*/cur/*' -type f | sort | sed -n "$((MESSAGES / MAILBOXES / 2))p")
    id=$(grep -im1 '^message-id:' "$path" | sed 's/^[^<]*<\([^>]*\)>.*/\1/')
    address=$(basename "$mailbox")@$(basename "$(dirname "$mailbox")")
    one_message "one message out of its mailbox" "$SET/mailboxes/${mailbox#"$SOURCE"/}" --mailbox "$address" --message-id "$id"
    one_message "one message out of the set" "$SET/mailboxes" --message-id "$id"
}

# one_message ROW ARCHIVES OPTION...: with these options of ours, and by tar out of the archives below ARCHIVES.
one_message() {
    local round row=$1 archives=$2
    shift 2
    for ((round = 1; round <= ROUNDS; round++)); do
        rm -rf "$WORK/one"
        measure "$row" mail-restore "$BIN/mail-restore" --config "$WORK/bench.conf" --from "$SET" "$@" --to "$WORK/one" -q \
            --format jsonl
        rm -rf "$WORK/one"
        mkdir "$WORK/one"
        # shellcheck disable=SC2016 # expanded by the inner shell
        measure "$row" tar bash -c 'find "$1" -name "[0-9]*.tar.zst" | while IFS= read -r archive; do
                tar -C "$2" --zstd -xf "$archive" "$3" 2>/dev/null || true
            done; test -n "$(find "$2" -type f)"' bash "$archives" "$WORK/one" "${path#"$SOURCE"/}"
    done
    report "$row" mail-restore tar
}
