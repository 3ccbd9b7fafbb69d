#!/bin/bash
# Restores a set: verifies it, scans it, stops the services that use what is restored, restores, starts them again and checks that mail
# flows. Any failure leaves or puts back what was there, and starts the services. Takes the place of the script of this name.
#
#   restore-mailserver.sh --from SET [--component C]... [--dry-run] [--skip-scan] [any other flag of mail-restore]
#
# SET is a directory, latest, or a name such as daily/2026-11-23; C is mailboxes (or mail), mysql, config, ssl, dkim or all. --dry-run verifies
# and says what would be done. --skip-scan is for a host that has no ClamAV yet: what it restores was not scanned.
# Settings: those of mail-restore, and COMPOSE ("docker compose", docker-compose, or none), COMPOSE_DATABASE (the service that is not
# stopped: mariadb), CHECK_WAIT (how many seconds the services have to become well: 120). Log: ~/.mailserver-restore.log.
# Exit status: 0 restored, and all that is configured to be checked is well; 1 the set is damaged or not clean, and nothing was touched, or it
# is restored and the checks afterwards are not all well: the last lines say which; 2 wrong usage, nothing was touched; 3 not
# restored, everything is as it was; 4 another run is at work.
# shellcheck disable=SC2317 # functions are called by step and logged
set -euo pipefail
# shellcheck source=scripts/lib/job.sh
. "$(dirname "$(readlink -f "$0")")/lib/job.sh"
# shellcheck source=scripts/lib/compose.sh
. "$(dirname "$(readlink -f "$0")")/lib/compose.sh"

# Sets `from`, `skip_scan`, `dry_run`, and `flags`: all that mail-restore is to know beside.
read_flags() {
    from="" skip_scan="" dry_run="" flags=()
    while [ $# -gt 0 ]; do
        case $1 in
            --from) from=${2:-}; shift ;;
            --from=*) from=${1#*=} ;;
            --skip-scan) skip_scan=1 ;;
            --dry-run) dry_run=1 ;;
            *) flags+=("$1") ;;
        esac
        shift
    done
    if [ -z "$from" ]; then
        log ERROR RESTORE "--from SET is missing; see --help"
        job_end 2
    fi
}

# Sets `set`: which one `latest` leads to now. After the next backup it leads elsewhere, and what was scanned would not be what is restored.
pin_set() {
    local root
    set=$from
    if [ "${from%/}" = latest ] && [[ " ${flags[*]}" != *" --root"* ]]; then
        root=$(setting BACKUP_ROOT /mnt/backup-hdd/mailserver)
        set=$(readlink -e "$root/latest" || printf 'latest\n')
    fi
}

# step MESSAGE COMMAND...: what fails ends the job; the services are started by then.
step() {
    local status=0
    log INFO RESTORE "$1"
    shift
    logged "$@" || status=$?
    [ "$status" -eq 0 ] || job_end "$status"
}

verify() {
    mail-restore --from "$set" "${flags[@]}" "${JOB_FLAGS[@]}" --dry-run --format text >"${1:-/dev/null}"
}

scan() {
    mail-scan "$set" "${JOB_FLAGS[@]}" --format jsonl >"$JOB_DIR/verdicts"
}

# What has no clean verdict for just its content is refused by mail-restore itself.
restore() {
    local scanned=(--require-scan -)
    if [ -n "$skip_scan" ]; then
        scanned=()
        : >"$JOB_DIR/verdicts"
    fi
    mail-restore --from "$set" "${flags[@]}" "${JOB_FLAGS[@]}" --format jsonl "${scanned[@]}" <"$JOB_DIR/verdicts" >/dev/null
}

# check: until everything that is configured is well, or CHECK_WAIT is over: containers take a while until their health is known.
check() {
    local until groups=(containers services mailflow)
    until=$((SECONDS + $(setting CHECK_WAIT 120)))
    if [ ${#COMPOSE_PROGRAM[@]} -eq 0 ]; then
        groups=(services mailflow)
    fi
    until mail-check "${groups[@]}" "${CHECK_FLAGS[@]}" --format jsonl -q >"$JOB_DIR/checks"; do
        # A mail-check that could not even begin found nothing bad, and is not well.
        if not_well | grep -q . && ! not_well | grep -qv '"target":"configuration"'; then
            return 0
        elif [ "$SECONDS" -ge "$until" ]; then
            return 1
        fi
        sleep 5
    done
}

not_well() {
    grep '"type":"check"' "$JOB_DIR/checks" | grep -v '"status":"ok"' || true
}

# What is not well, or is not configured and so was not checked, in the words of mail-check.
tell_checks() {
    local line message
    not_well | while IFS= read -r line; do
        line=${line#*'"name":"'}
        message=${line##*'"message":"'}
        printf 'mail-check: warning: %s: %s\n' "${line%%'"'*}" "${message%'"}}'}" >&2
    done
}

usage "$@"
job_begin RESTORE "$HOME/.mailserver-restore.log" restore
log INFO RESTORE "restore-mailserver.sh $*"
read_flags "$@"
needs mail-restore mail-check
pin_set
if [ -n "$dry_run" ]; then
    step "verifying $from, and what would be done" verify /dev/stdout
    job_end 0
fi
if [ -n "$skip_scan" ]; then
    log WARN RESTORE "$from is restored without having been scanned: --skip-scan"
else
    needs mail-scan
fi
compose_find
step "verifying $from" verify
[ -n "$skip_scan" ] || step "scanning $from" scan
compose_stop
step "restoring $from" restore
compose_start
status=0
logged check || status=1
logged tell_checks || true
if [ "$status" -ne 0 ]; then
    log ERROR RESTORE "$from is restored, and the checks afterwards are not all well"
fi
job_end "$status"
