# shellcheck shell=bash
# Sourced by the scripts that cron starts. A job: where its tools are, its settings, its log, its records, and who is notified.
#
# A script says `usage "$@"` and `job_begin COMPONENT LOG NAME`, runs its tools by `logged`, and ends with `job_end STATUS`.

# A setting that cannot be read ends the script, also where it is asked for inside a substitution.
shopt -s inherit_errexit

# Cron's search path is short, and the tools may have been installed beside these scripts.
PATH=${PATH:-/usr/bin:/bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
PATH=$PATH:$(readlink -m "${BASH_SOURCE[0]}/../../../../../bin")
# Cron may set no HOME; ~ asks the password file then.
if [ -z "${HOME:-}" ]; then
    HOME=~
fi
export PATH HOME

# The name that the old scripts had for it.
CONFIG=${S3_CONFIG_FILE:-/etc/mailserver-backup/config}
CHECKS=$(dirname "$CONFIG")/check.toml

# usage ARGUMENTS: the head of the script is its help.
usage() {
    case " $* " in
        *" --help "* | *" -h "*)
            sed -n '2,/^set/s/^#$//p;2,/^set/s/^# //p' "$0"
            exit 0
            ;;
    esac
}

# job_begin COMPONENT LOG NAME: its messages go to LOG, its records to RECORDS_DIR/NAME.jsonl.
job_begin() {
    JOB_COMPONENT=$1
    JOB_LOG=$2
    JOB_NAME=$3
    JOB_LEVEL=$(setting LOG_LEVEL INFO)
    # Log and records name users.
    umask 077
    if ! { : >>"$JOB_LOG"; } 2>/dev/null; then
        echo "warning: the log $JOB_LOG cannot be written; going on without it" >&2
        JOB_LOG=/dev/null
    fi
    clear_killed_jobs
    JOB_DIR=$(mktemp -d "${TMPDIR:-/tmp}/mail-job.$$.XXXXXX")
    trap 'rm -rf "$JOB_DIR"' EXIT
    # What tools get beside their own flags, where the configuration is not in its usual place.
    local state
    JOB_FLAGS=() CHECK_FLAGS=()
    if [ -n "${S3_CONFIG_FILE:-}" ]; then
        JOB_FLAGS=(--config "$CONFIG")
        CHECK_FLAGS=("${JOB_FLAGS[@]}")
        if [ -e "$CHECKS" ]; then
            CHECK_FLAGS+=(--checks "$CHECKS")
        fi
    fi
    state=$(setting CHECK_STATE '')
    if [ -n "$state" ]; then
        CHECK_FLAGS+=(--state "$state")
    fi
}

# clear_killed_jobs: what scripts that were killed have left.
clear_killed_jobs() {
    local left pid
    for left in "${TMPDIR:-/tmp}"/mail-job.*; do
        pid=${left##*/mail-job.}
        if [ -O "$left" ] && ! kill -0 "${pid%%.*}" 2>/dev/null; then
            rm -rf "$left"
        fi
    done
}

# job_end STATUS: the last line of the log says how it went.
job_end() {
    case $1 in
        0) log INFO "$JOB_COMPONENT" "done" ;;
        *) log ERROR "$JOB_COMPONENT" "ended with status $1: $(meaning "$1")" ;;
    esac
    exit "$1"
}

meaning() {
    case $1 in
        1) echo "done, and the answer is bad or something is missing: see the lines above" ;;
        2) echo "wrong usage or configuration, nothing was touched" ;;
        4) echo "another run is at work" ;;
        129 | 13[0-9] | 14[0-9]) echo "killed by signal $(($1 - 128))" ;;
        *) echo "could not finish: see the lines above" ;;
    esac
}

# setting NAME DEFAULT: from the environment, else from the configuration, which is read and never executed.
setting() {
    local value=${!1:-}
    if [ -z "$value" ] && [ -r "$CONFIG" ]; then
        value=$(sed -n "s/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}$1=//p" "$CONFIG" | tail -n 1)
        value=$(unquoted "$1" "$value")
    fi
    printf '%s\n' "${value:-$2}"
}

# is_none NAME: whether NAME is set to nothing, or to none: the server has no such thing.
is_none() {
    local value
    if [ -n "${!1+set}" ]; then
        value=${!1}
    elif grep -qs "^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}$1=" "$CONFIG"; then
        value=$(setting "$1" none)
    else
        return 1
    fi
    value=${value//[[:space:]]/}
    [ -z "$value" ] || [ "${value,,}" = none ]
}

# unquoted NAME VALUE: as a shell would take it, where that needs no shell.
unquoted() {
    local value=$2
    case $value in
        *'$'* | *\`* | *\\*)
            echo "error: $1 in $CONFIG needs a shell to be read: write its value out, or set it in the environment" >&2
            return 2
            ;;
        \"*) value=${value#\"} value=${value%%\"*} ;;
        \'*) value=${value#\'} value=${value%%\'*} ;;
        *) value=${value%%[[:space:]]*} ;;
    esac
    printf '%s\n' "$value"
}

# log LEVEL COMPONENT MESSAGE: into the log, and errors into JOB_ERRORS too, where a script names one. A terminal sees all of it,
# cron's mail only what is wrong.
log() {
    local line
    printf -v line '[%(%F %T)T] [%s] [%s] %s' -1 "$1" "$2" "$3"
    # Names of files come from outside.
    line=${line//[[:cntrl:]]/?}
    case $JOB_LEVEL/$1 in
        WARN*/INFO | ERROR/INFO | ERROR/WARN) return 0 ;;
    esac
    if [ "$1" = ERROR ] && [ -n "${JOB_ERRORS:-}" ]; then
        printf '%s\n' "$line" >>"$JOB_ERRORS" || true
    fi
    printf '%s\n' "$line" >>"$JOB_LOG" || echo "warning: the log $JOB_LOG cannot be written" >&2
    # A line of a crontab may append to the same file.
    if [ /dev/stderr -ef "$JOB_LOG" ] || { [ "$1" = INFO ] && [ ! -t 2 ]; }; then
        return 0
    fi
    printf '%s\n' "$line" >&2
}

# log_messages: what tools say on stderr.
log_messages() {
    local line level component
    while IFS= read -r line || [ -n "$line" ]; do
        component=$JOB_COMPONENT level=INFO
        case $line in
            '') continue ;;
            mail-*:\ *)
                component=${line%%:*}
                component=${component#mail-} component=${component%sync}
                line=${line#*: }
                ;;
        esac
        case $line in
            'error: '*) level=ERROR ;;
            'warning: '*) level=WARN ;;
        esac
        line=${line#error: }
        log "$level" "${component^^}" "${line#warning: }"
    done
}

# logged COMMAND...: runs it with its messages in the log. Its status is that of the command.
logged() {
    local status=0 child reader
    exec 3> >(trap '' INT TERM HUP && log_messages)
    reader=$!
    # A process group of its own: a signal to this script ends the tool, and what it still has to say is waited for.
    set -m
    { trap : INT TERM HUP && "$@"; } </dev/null 2>&3 3>&- &
    child=$!
    set +m
    exec 3>&-
    trap 'kill -TERM -- "-$child" 2>/dev/null' INT TERM HUP
    while kill -0 "$child" 2>/dev/null; do
        wait "$child" || true
    done
    wait "$child" || status=$?
    wait "$reader" || true
    trap - INT TERM HUP
    return "$status"
}

# needs TOOL...: all of them are there, before anything is touched.
needs() {
    local tool
    for tool in "$@"; do
        if ! command -v "$tool" >/dev/null; then
            log ERROR "$JOB_COMPONENT" "$tool is not installed, or not in PATH: scripts/install puts it into /usr/local/bin"
            job_end 2
        fi
    done
}

# recorded TOOL...: runs it with its records in JOB_DIR/records. Its status is the tool's.
recorded() {
    local codes
    # Both statuses are looked at below; this runs in a shell of its own.
    set +e
    # tee reads on when its disk is full: the job is worth more than its records.
    "$@" "${JOB_FLAGS[@]}" --format jsonl | (trap '' INT TERM HUP && exec tee "$JOB_DIR/records" >/dev/null)
    codes=("${PIPESTATUS[@]}")
    if [ "${codes[1]}" -ne 0 ]; then
        echo "warning: the records could not be written to $JOB_DIR" >&2
    fi
    return "${codes[0]}"
}

# keep_records: where `mail-check scans s3` and its report look for them, if there is such a place.
keep_records() {
    local dir
    dir=$(setting RECORDS_DIR /var/log/mailserver)
    if [ -d "$dir" ] && ! { cp "$JOB_DIR/records" "$dir/.$JOB_NAME.new" && mv "$dir/.$JOB_NAME.new" "$dir/$JOB_NAME.jsonl"; }; then
        log WARN "$JOB_COMPONENT" "the records could not be kept in $dir"
    fi
}

# notify: those who want to know are notified when the job went wrong, or is well again. Whether they could be is in the log, and in cron's mail;
# the job's status is its own.
notify() {
    if [ -z "${ADMIN_EMAIL:-}" ] && ! grep -qsE '^[[:space:]]*(export[[:space:]]+)?ADMIN_EMAIL=.' "$CONFIG" &&
        ! grep -qs '^\[*notify\.' "$CHECKS"; then
        log INFO "$JOB_COMPONENT" "nobody is notified of how it went: set ADMIN_EMAIL in $CONFIG"
    elif ! command -v mail-check >/dev/null; then
        log WARN "$JOB_COMPONENT" "nobody is notified of how it went: mail-check is not installed"
    else
        logged judge || true
    fi
}

judge() {
    mail-check - --notify -q "${CHECK_FLAGS[@]}" <"$JOB_DIR/records" >/dev/null
}

# run_and_notify TOOL...: logs it, keeps its records, notifies who wants to know, and ends the job.
run_and_notify() {
    local status=0
    needs "$1"
    log INFO "$JOB_COMPONENT" "$*"
    logged recorded "$@" || status=$?
    # Wrong usage has no records, and a trial is no news.
    if [ -s "$JOB_DIR/records" ] && [[ " $* " != *" --dry-run "* ]]; then
        keep_records
        notify
    fi
    job_end "$status"
}
