# shellcheck shell=bash
# Sourced by scripts/bench. mail-scan beside clamdscan, on one clamd, which keeps no verdicts of its own: each run scans.
# Globals: MESSAGES MAILBOXES ROUNDS from the command line; WORK BIN SOURCE.

bench_scan() {
    local round row count=$((MESSAGES / 3)) set
    if ! need clamav-daemon clamdscan; then
        echo "skipped: scan" >&2
        return 0
    fi
    clamd_start "$WORK/clamd" "DisableCache yes" "AlertEncrypted yes" "AlertExceedsMax yes"
    local scan=("$BIN/mail-scan" --config "$WORK/bench.conf" --clamd "unix:$WORK/clamd/clamd.sock" -q --format jsonl)

    row="scan of $count messages"
    make_tree "$count" "$MAILBOXES" 10000
    for ((round = 1; round <= ROUNDS; round++)); do
        measure "$row" mail-scan "${scan[@]}" --no-cache "$SOURCE"
        measure "$row" clamdscan-fdpass clamdscan -c "$WORK/clamd/clamd.conf" --multiscan --fdpass --infected "$SOURCE"
    done
    report "$row" mail-scan clamdscan-fdpass

    row="the same, unchanged, with its cache"
    "${scan[@]}" --cache "$WORK/cache/verdicts" "$SOURCE" >/dev/null
    for ((round = 1; round <= ROUNDS; round++)); do
        measure "$row" mail-scan "${scan[@]}" --cache "$WORK/cache/verdicts" "$SOURCE"
        measure "$row" clamdscan-fdpass clamdscan -c "$WORK/clamd/clamd.conf" --multiscan --fdpass --infected "$SOURCE"
    done
    report "$row" mail-scan clamdscan-fdpass

    row="scan of a set of $MESSAGES messages, and of the same tree"
    make_tree "$MESSAGES" "$MAILBOXES" 10000
    reset mail-backup
    save mail-backup 1
    set=$(find "$WORK/repo/mail-backup/daily" -mindepth 1 -maxdepth 1 -name '2*')
    for ((round = 1; round <= ROUNDS; round++)); do
        measure "$row" mail-scan "${scan[@]}" --no-cache "$set"
        measure "$row" mail-scan-tree "${scan[@]}" --no-cache "$SOURCE"
    done
    report "$row" mail-scan mail-scan-tree
    clamd_stop
}
