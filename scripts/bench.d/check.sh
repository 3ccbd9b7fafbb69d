# shellcheck shell=bash
# Sourced by scripts/bench. mail-check on a healthy private mail server, again and again, and beside Monit and the monitoring plugins
# when parts of it are stopped. Globals: WORK BIN from the command line.

CHECK_GROUPS=(resources containers services logs backups scans s3 tls credentials users)
CHECK_RUNS=${CHECK_RUNS:-200}

bench_check() {
    if ! need postfix dovecot-core dovecot-imapd dovecot-lmtpd dovecot-pop3d mariadb-server clamav-daemon docker.io busybox-static \
        openssl monit monitoring-plugins-basic monitoring-plugins-standard; then
        echo "skipped: check" >&2
        return 0
    fi
    local dir=$WORK/stack
    mkdir -p "$dir"
    stack_start "$dir"
    stack_data "$dir"
    check_healthy "$dir"
    check_faults "$dir"
    stack_stop
}

# A whole private mail server, which does what order says.
stack_start() {
    coproc STACK { exec "$BIN/mail-stack" "$1" 2>"$1/stack.log"; }
    local word
    read -r word <&"${STACK[0]}" || { cat "$1/stack.log" >&2; return 1; }
    [ "$word" = ready ]
    # shellcheck disable=SC1091 # made just now
    . "$1/addresses"
}

order() {
    local word
    echo "$*" >&"${STACK[1]}"
    read -r word <&"${STACK[0]}"
    [ "$word" = "done" ] || { echo "mail-stack: $*: $word" >&2; return 1; }
}

stack_stop() {
    [ -n "${STACK_PID:-}" ] || return 0
    local pid=$STACK_PID input=${STACK[1]}
    exec {input}>&-
    wait "$pid" || true
}

# Mail for both users, a set, its scan, its copy.
stack_data() {
    local dir=$1 user
    mkdir -p "$dir"/server/{config/opendkim/keys,data/certbot/live/mail.test} "$dir/backup" "$dir/store"
    chmod 700 "$dir/backup"
    install -m 600 /dev/null "$dir/server/.env"
    install -m 600 /dev/null "$dir/server/config/opendkim/keys/mail.private"
    install -m 600 /dev/null "$dir/server/data/certbot/live/mail.test/privkey.pem"
    for user in alice bob; do
        printf 'Subject: hello\n\nhello\n' | sendmail -C "$POSTFIX" -f bob@example.org "$user@example.org"
    done
    sleep 3
    "$BIN/mail-backup" --config "$dir/backup.conf" --daily --component mailboxes -q >/dev/null
    "$BIN/mail-scan" --config "$dir/backup.conf" "$(readlink -f "$dir"/backup/daily/2*)" --no-cache -q >"$dir/scan.jsonl"
    "$BIN/mail-s3sync" push --set "$(readlink -f "$dir"/backup/daily/2*)" --to "file://$dir/store" -q >/dev/null
    "$BIN/mail-s3sync" list --from "file://$dir/store" -q >"$dir/list.jsonl"
}

run_check() {
    local dir=$1
    shift
    "$BIN/mail-check" --config "$dir/backup.conf" --checks "$dir/check.toml" --state "$dir/state" -q --format jsonl "$@" || true
}

not_ok() {
    jq -r 'select(.type == "check" and .data.status != "ok").data | "\(.status) \(.name) \(.target): \(.message)"'
}

check_healthy() {
    local dir=$1 run bad=0 start
    : >"$dir/times"
    for ((run = 0; run < CHECK_RUNS; run++)); do
        start=$(date +%s%N)
        run_check "$dir" "${CHECK_GROUPS[@]}" >"$dir/records"
        echo $((($(date +%s%N) - start) / 1000000)) >>"$dir/times"
        if [ -n "$(not_ok <"$dir/records")" ]; then
            bad=$((bad + 1))
            not_ok <"$dir/records" | sed "s/^/run $run: /" >&2
        fi
    done
    printf 'healthy: %s checks, %s runs, %s of them not ok; median %s ms, longest %s ms\n' \
        "$(grep -c '"type":"check"' "$dir/records")" "$CHECK_RUNS" "$bad" \
        "$(sort -n "$dir/times" | sed -n "$(((CHECK_RUNS + 1) / 2))p")" "$(sort -n "$dir/times" | tail -1)"
    run_check "$dir" mailflow | jq -r 'select(.type == "check").data | "mailflow: \(.status), \(.message)"'
}

# The plugins of Debian for the same services, a line each.
run_plugins() {
    local dir=$1 p=/usr/lib/nagios/plugins set
    set=$(readlink -f "$dir"/backup/daily/2*)
    "$p/check_smtp" -H 127.0.0.1 -p "$SMTP" -t 10 || true
    "$p/check_imap" -H 127.0.0.1 -p "$IMAP" -t 10 || true
    "$p/check_http" -H 127.0.0.1 -p "$PAGE" -u /ping -s pong -t 10 || true
    "$p/check_mysql" -s "$MYSQL_SOCKET" -u root || true
    "$p/check_clamd" -H "$CLAMD" -t 10 || true
    "$p/check_disk" -w 2% -c 1% -p / || true
    "$p/check_file_age" -f "$set/checksums.sha256" -w 93600 -c 93600 || true
}

plugins_see() { run_plugins "$1" 2>&1 | grep -E 'CRITICAL|WARNING|UNKNOWN|No such|refused|Can.t connect|timed out' | head -3 | cut -c1-90; }

monit_start() {
    local dir=$1 set
    set=$(readlink -f "$dir"/backup/daily/2*)
    cat >"$dir/monitrc" <<RC
set daemon 2
set log $dir/monit.log
set pidfile $dir/monit.pid
set statefile $dir/monit.state
set idfile $dir/monit.id
check host smtp with address 127.0.0.1
  if failed port $SMTP protocol smtp with timeout 5 seconds then alert
check host imap with address 127.0.0.1
  if failed port $IMAP protocol imap with timeout 5 seconds then alert
check host page with address 127.0.0.1
  if failed port $PAGE protocol http request "/ping" with timeout 5 seconds then alert
check host database with address 127.0.0.1
  if failed port $MYSQL protocol mysql with timeout 5 seconds then alert
check host clamd with address 127.0.0.1
  if failed port $CLAMD_PORT protocol clamav with timeout 5 seconds then alert
check filesystem root with path /
  if space usage > 98% then alert
check file backup with path $set/checksums.sha256
  if timestamp > 26 hours then alert
RC
    chmod 600 "$dir/monitrc"
    monit -I -c "$dir/monitrc" >/dev/null 2>&1 &
    MONIT_PID=$!
    sleep 6
}

# What Monit has logged since line $2.
monit_sees() { tail -n "+$(($2 + 1))" "$1/monit.log" | grep -E 'error' | sed 's/^[^:]*:[^:]*:[^:]*: *//' | sort -u | head -3 | cut -c1-90; }

# fault TITLE BREAK MEND: what each of the three says while a part is broken.
fault() {
    local dir=$1 title=$2 break=$3 mend=$4 groups=(containers services backups scans)
    [ "$break" = "order lose mail" ] && groups=(services mailflow)
    local line
    line=$(wc -l <"$dir/monit.log")
    $break
    sleep 8
    printf '\n%s\n' "$title"
    run_check "$dir" "${groups[@]}" | not_ok | head -3 | cut -c1-150 | sed 's/^/  mail-check  /'
    plugins_see "$dir" | sed 's/^/  plugins     /'
    monit_sees "$dir" "$line" | sed 's/^/  monit       /'
    $mend
    sleep 1
}

age_set() { touch -d '30 hours ago' "$(readlink -f "$WORK"/stack/backup/daily/2*)/checksums.sha256"; }
renew_set() { touch "$(readlink -f "$WORK"/stack/backup/daily/2*)/checksums.sha256"; }
infect() { sed -i 's/"status":"clean"/"status":"infected","signature":"Test"/; s/"exit":0/"exit":1/' "$WORK/stack/scan.jsonl"; }

check_faults() {
    local dir=$1
    sed -i 's/^\[mailflow\]$/[mailflow]\ndelay = { warning = 3, critical = 6 }/' "$dir/check.toml"
    monit_start "$dir"
    fault "$dir" "Dovecot stopped" "order stop dovecot" "order resume dovecot"
    fault "$dir" "Postfix hangs (SIGSTOP)" "order pause postfix" "order resume postfix"
    fault "$dir" "clamd killed" "order kill clamd" "order resume clamd"
    fault "$dir" "MariaDB killed" "order kill mariadb" "order resume mariadb"
    fault "$dir" "a container stopped" "order container-stop nginx" "order container-start nginx"
    fault "$dir" "mail is accepted and never delivered" "order lose mail" "order find mail"
    fault "$dir" "the newest set is 30 hours old" age_set renew_set
    fault "$dir" "the newest scan found something" infect true
    kill "$MONIT_PID" 2>/dev/null || true
    wait "$MONIT_PID" 2>/dev/null || true
}
