# shellcheck shell=bash
# Sourced by scripts/bench. How each program is called. Globals: WORK, BIN, SOURCE (the mail tree), and COMMAND, which
# command_of sets; ALONE and BESIDE from the command line.

# isolate: gives every program settings, caches and repositories of its own, and none of the caller's.
isolate() {
    local name
    for name in BACKUP_ROOT BACKUP_MOUNTPOINT MAILSERVER_ROOT MAIL_DATA_DIR "${!MYSQL_@}" "${!RESTIC_@}" \
        "${!RUSTIC_@}" "${!BORG_@}"; do
        unset "$name"
    done
    mkdir -p "$WORK/home" "$WORK/repo" "$WORK/cache"
    : >"$WORK/bench.conf"
    export HOME=$WORK/home XDG_CONFIG_HOME=$WORK/home XDG_CACHE_HOME=$WORK/cache
    # restic and rustic always encrypt; borg is asked not to, which is its fastest way.
    export RESTIC_REPOSITORY=$WORK/repo/restic RESTIC_PASSWORD=bench RESTIC_CACHE_DIR=$WORK/cache/restic
    export RUSTIC_REPOSITORY=$WORK/repo/rustic RUSTIC_PASSWORD=bench RUSTIC_CACHE_DIR=$WORK/cache/rustic
    export BORG_REPO=$WORK/repo/borg BORG_BASE_DIR=$WORK/cache/borg BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
}

# installed PROGRAM...: those that are there; the others are named on standard error. With ALONE, ours only. The other
# build of ours stands where the command line names one.
installed() {
    local program
    for program in "$@"; do
        if [ "$program" = mail-backup ]; then
            echo "$program"
            [ -z "$BESIDE" ] || echo mail-backup--beside
        elif [ -n "$ALONE" ]; then
            continue
        elif command -v "${program%%-*}" >/dev/null; then
            echo "$program"
        else
            echo "skipped: $program is not installed" >&2
        fi
    done
}

versions() {
    local program
    {
        for program in mail-backup mail-s3sync; do
            if [ -x "$BIN/$program" ]; then
                "$BIN/$program" --version | sed "s/^$program/mail tools/"
                break
            fi
        done
        zstd --version | grep -o 'v[0-9.]*' | sed 's/^/zstd /'
        for program in restic rustic borg; do
            if command -v "$program" >/dev/null; then
                { "$program" --version 2>/dev/null || "$program" version; } | cut -d' ' -f1,2 | head -n 1
            fi
        done
    } | paste -sd, | sed 's/,/, /g'
}

# reset PROGRAM: an empty repository.
reset() {
    local repo=$WORK/repo/$1
    rm -rf "$repo" "${WORK:?}/cache/$1"
    case $1 in
        restic) restic init --quiet >/dev/null ;;
        rustic) rustic init --log-level error >/dev/null 2>&1 ;;
        borg) borg init --encryption none ;;
        *) mkdir -p "$repo" ;;
    esac
}

# command_of PROGRAM DAY: sets COMMAND to what saves SOURCE on that day.
command_of() {
    local date
    date=$(date -u -d "2026-01-01 + $2 days" +%F)
    case $1 in
        mail-backup)
            COMMAND=("$BIN/mail-backup" --config "$WORK/bench.conf" --daily --component mailboxes --no-prune -q
                --root "$WORK/repo/mail-backup" --mail-dir "$SOURCE" --date "$date" --format jsonl)
            ;;
        mail-backup--beside)
            COMMAND=("$BESIDE/mail-backup" --config "$WORK/bench.conf" --daily --component mailboxes --no-prune -q
                --root "$WORK/repo/mail-backup--beside" --mail-dir "$SOURCE" --date "$date" --format jsonl)
            ;;
        # What our own full backup of the same tree costs, in a root of its own.
        mail-backup--full)
            mkdir -p "$WORK/repo/mail-backup--full"
            COMMAND=("$BIN/mail-backup" --config "$WORK/bench.conf" --daily --full --component mailboxes --no-prune -q
                --root "$WORK/repo/mail-backup--full" --mail-dir "$SOURCE" --date "$date" --format jsonl)
            ;;
        tar-zstd-sha256)
            # shellcheck disable=SC2016 # expanded by the inner shell
            COMMAND=(bash -c 'set -o pipefail
                tar -C "$1" -cf - . | zstd -3 -T2 -q -f -o "$2/mail.tar.zst"
                cd "$2" && sha256sum mail.tar.zst >checksums.sha256' bash "$SOURCE" "$WORK/repo/tar-zstd-sha256")
            ;;
        restic) COMMAND=(restic backup --quiet "$SOURCE") ;;
        rustic) COMMAND=(rustic backup --no-progress --log-level error "$SOURCE") ;;
        borg) COMMAND=(borg create --compression "zstd,3" "::day-$2" "$SOURCE") ;;
        find) COMMAND=(find "$SOURCE" -printf '%p %s %T@ %C@ %i\n') ;;
    esac
}

# save PROGRAM DAY [ROW]: saves SOURCE, timed when there is a row.
save() {
    command_of "$1" "$2"
    if [ $# -eq 3 ]; then
        measure "$3" "$1" "${COMMAND[@]}"
    else
        "${COMMAND[@]}" >/dev/null
    fi
}

# save_growing PROGRAM DAY ROW: as save, and notes by how much its repository grew.
save_growing() {
    local before after
    before=$(bytes_of "$WORK/repo/$1")
    save "$@"
    after=$(bytes_of "$WORK/repo/$1")
    sed -i "\$s/$/\t$((after - before))/" "$RESULTS"
}

# bytes_of DIRECTORY: what it takes on the disk; hard links count once.
bytes_of() {
    if [ -d "$1" ]; then
        du -s -B1 "$1" | cut -f1
    else
        echo 0
    fi
}
