# shellcheck shell=bash
# Sourced. A private clamd: own directory, own small signatures, unix socket, stopped by process id.

# clamd_start DIR [LINE...]: starts clamd in DIR (socket DIR/clamd.sock) with further lines of clamd.conf. Its signatures know
# EICAR, and have the version and date of today, so that verdicts can be kept.
clamd_start() {
    local dir=$1 become=() i
    shift
    mkdir -p "$dir/db" "$dir/tmp"
    clamd_signatures "$dir"
    {
        printf 'Foreground yes\nLocalSocket %s/clamd.sock\nLocalSocketMode 666\nFixStaleSocket yes\n' "$dir"
        printf 'DatabaseDirectory %s/db\nTemporaryDirectory %s/tmp\nLogFile %s/clamd.log\nSelfCheck 600\n' "$dir" "$dir" "$dir"
        printf '%s\n' "$@"
    } >"$dir/clamd.conf"
    if [ "$(id -u)" -eq 0 ]; then
        chown -R clamav:clamav "$dir"
        chmod 755 "$dir"
        become=(setpriv --reuid=clamav --regid=clamav --clear-groups)
    fi
    "${become[@]}" clamd -c "$dir/clamd.conf" >/dev/null 2>&1 &
    CLAMD_PID=$!
    for ((i = 0; i < 600; i++)); do
        if [ -S "$dir/clamd.sock" ] && clamdscan --ping 1 -c "$dir/clamd.conf" >/dev/null 2>&1; then
            return 0
        fi
        sleep 0.05
    done
    cat "$dir/clamd.log" >&2
    return 1
}

# clamd_stop: ends the clamd that clamd_start started, if any.
clamd_stop() {
    if [ -n "${CLAMD_PID:-}" ]; then
        kill "$CLAMD_PID" 2>/dev/null || true
        wait "$CLAMD_PID" 2>/dev/null || true
        CLAMD_PID=""
    fi
}

# eicar: the test file of eicar.org, in two halves here: this file is not a hit.
eicar() {
    # shellcheck disable=SC2016 # it is not a variable
    printf '%s%s' 'X5O!P%@AP[4\PZX54(P^)7CC)7}' '$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'
}

# clamd_signatures DIR: a container of signatures in DIR/db, unsigned, as sigtool would build it.
clamd_signatures() {
    local dir=$1 now date work=$1/signatures header
    now=$(date +%s)
    date=$(LC_ALL=C TZ=UTC date -d "@$now" '+%d %b %Y %H-%M +0000')
    mkdir -p "$work"
    printf 'Eicar-Test-Signature:0:0:%s\n' "$(eicar | od -An -v -tx1 | tr -d ' \n')" >"$work/daily.ndb"
    {
        printf 'ClamAV-VDB:%s:1:1:90:X:X:tests:%s\n' "$date" "$now"
        printf 'daily.ndb:%s:%s\n' "$(stat -c %s "$work/daily.ndb")" "$(sha256sum "$work/daily.ndb" | cut -d' ' -f1)"
    } >"$work/daily.info"
    : >"$work/COPYING"
    tar -C "$work" --format=ustar -czf "$work/daily.tar.gz" COPYING daily.info daily.ndb
    header="ClamAV-VDB:$date:1:1:90:$(md5sum "$work/daily.tar.gz" | cut -d' ' -f1):X:tests:$now"
    { printf '%-512s' "$header" && cat "$work/daily.tar.gz"; } >"$dir/db/daily.cud"
}
