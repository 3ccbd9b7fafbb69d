# shellcheck shell=bash
# Sourced by scripts/bench. How memory and time grow with the mail, of what looks for messages or restores them: one mailbox of
# half a million messages, a million messages in a hundred mailboxes, and forged sets that name more files than a set can have.
# Globals: WORK BIN SOURCE.

bench_find_large() {
    find_in_one_mailbox 500000
    find_in_a_million 1000000 100
    scan_forged_sets 300000 2000000
}

# find_in_one_mailbox MESSAGES: three days of it, of which the last two differ a little.
find_in_one_mailbox() {
    local row="a mailbox of $1 messages" set mailbox id
    make_tree "$1" 1 1000
    reset mail-backup
    save mail-backup 1
    "$BIN/make-maildir" "$SOURCE" --age 2 >/dev/null
    save mail-backup 2
    save mail-backup 3
    set=$(newest_set mail-backup daily)
    mailbox=$(mailbox_of "$set")
    id=$(sed -n 's/^Message-I[Dd]: //p' "$(a_message)" | head -n 1 | tr -d '\r')
    restore_row "$row: dry run out of one set" --from "$set" --mailbox "$mailbox" --dry-run
    restore_row "$row: dry run out of all daily sets" --from daily --mailbox "$mailbox" --dry-run
    restore_row "$row: --list --limit 5" --from daily --mailbox "$mailbox" --list --limit 5
    restore_row "$row: --list" --from daily --mailbox "$mailbox" --list
    restore_row "$row: one by --message-id, out of one set" --from "$set" --message-id "$id" --to "$WORK/one"
    restore_row "$row: one by --message-id, out of all daily sets" --from daily --message-id "$id" --to "$WORK/two"
    rm -rf "$WORK/one" "$WORK/two"
    restore_row "$row: all into a directory" --from "$set" --mailbox "$mailbox" --to "$WORK/all"
    rm -rf "$WORK/all"
}

# find_in_a_million MESSAGES MAILBOXES
find_in_a_million() {
    local row="$1 messages in $2 mailboxes" subject
    make_tree "$1" "$2" 1000
    reset mail-backup
    save mail-backup 1
    subject=$(a_subject)
    restore_row "$row: find by header" --from daily --list --subject "$subject"
    restore_row "$row: find by header, the newest five" --from daily --list --sender @ --limit 5
    index_bytes "$1"
}

# restore_row ROW FLAG...: one timed run; the live mail is SOURCE.
restore_row() {
    local row=$1
    shift
    measure "$row" mail-restore "$BIN/mail-restore" --config "$WORK/bench.conf" --root "$WORK/repo/mail-backup" \
        --mail-dir "$SOURCE" --format jsonl -q "$@"
    report "$row" mail-restore
}

# index_bytes MESSAGES: what the indexes of the segments take.
index_bytes() {
    find "$WORK/repo/mail-backup" -name '[0-9]*.jsonl.zst' -printf '%i %s\n' | sort -u |
        awk -v messages="$1" '{ sum += $2 } END { printf "  indexes: %d bytes, %.1f a message\n", sum, sum / messages }'
}

# mailbox_of SET: as USER@DOMAIN.
mailbox_of() {
    find "$1/mailboxes" -mindepth 2 -maxdepth 2 -type d -printf '%P\n' | sort | sed -n 's,^\([^/]*\)/\(.*\),\2@\1,p' | head -n 1
}

# scan_forged_sets FILES...: sets whose manifest and checksums agree, and of which nothing is there.
scan_forged_sets() {
    local files row
    for files in "$@"; do
        row="a forged set of $files files: mail-scan"
        python3 "$here/bench.d/forged-set.py" "$WORK/forged/daily/2026-01-01" "$files"
        # It ends as it must, with an error.
        # shellcheck disable=SC2016 # expanded by the inner shell
        measure "$row" mail-scan bash -c '"$@"; [ $? -gt 0 ]' bash "$BIN/mail-scan" --config "$WORK/bench.conf" \
            --root "$WORK/forged" --no-cache --format jsonl -q "$WORK/forged/daily/2026-01-01"
        report "$row" mail-scan
        tail -n 1 "$WORK/stderr" | sed 's/^/  /'
        rm -rf "$WORK/forged"
    done
}
