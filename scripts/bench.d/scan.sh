# shellcheck shell=bash
# Sourced by scripts/bench. mail-scan beside clamdscan, on one clamd, which keeps no verdicts of its own: each run scans. Then one
# infected message in a set, which is named, and for which mail-restore refuses.
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

    scan_one_infected "${scan[@]}" --no-cache
    clamd_stop
}

# scan_one_infected SCAN...: one infected message among all of SOURCE, in a set: named by the scan, and not restored.
scan_one_infected() {
    local row="one infected message among $MESSAGES in a set" message set restored status=0
    message=$(find "$SOURCE" -path '*/cur/*' -type f | sort | sed -n "$((MESSAGES / 4))p")
    infected_message >"$message"
    save mail-backup 2
    set=$(find "$WORK/repo/mail-backup/daily" -mindepth 1 -maxdepth 1 -name '2*' | sort | tail -n 1)
    # shellcheck disable=SC2016 # expanded by the inner shell
    measure "$row" mail-scan bash -c '"$@"; [ $? -eq 1 ]' bash "$@" "$set"
    report "$row" mail-scan
    mv "$WORK/stdout" "$WORK/verdicts"
    grep -F "\"member\":\"${message#"$SOURCE"/}\"" "$WORK/verdicts" | grep -F '"message_id":"<infected@example.com>"' |
        grep -F '"status":"infected"' | grep -F '"subject":"invoice"'
    [ "$(grep -c '"status":"infected"' "$WORK/verdicts")" -eq 2 ] # the message, and the artifact it is in

    restored=$WORK/restored
    "$BIN/mail-restore" --config "$WORK/bench.conf" --from "$set" --to "$restored" --require-scan - <"$WORK/verdicts" \
        >/dev/null 2>"$WORK/refusal" || status=$?
    echo "  mail-restore --require-scan - ends with $status:"
    sed 's/^/    /' "$WORK/refusal"
    [ "$status" -ne 0 ] && [ -z "$(find "$restored" -type f 2>/dev/null)" ]
}

# infected_message: with the test file of eicar.org as an attachment in base64.
infected_message() {
    printf '%s\r\n' 'From: a@example.com' 'Message-ID: <infected@example.com>' 'Subject: invoice' 'MIME-Version: 1.0' \
        'Content-Type: multipart/mixed; boundary=b' '' '--b' 'Content-Type: text/plain' '' 'see attachment' '--b' \
        'Content-Type: application/octet-stream; name=invoice.com' 'Content-Transfer-Encoding: base64' '' \
        "$(eicar | base64 -w 76)" '--b--'
}
