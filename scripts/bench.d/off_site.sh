# shellcheck shell=bash
# Sourced by scripts/bench. What it costs to keep 30 daily and 12 weekly sets off site, in a pool, beside restic with its own repository
# on the same server: the nights of generations, each pushed. Requests are those that the server counts, dollars are by the prices of
# docs/manual.md for STANDARD.
# Our pushes see the real clock, since a server refuses requests of another day: no rule of a bucket takes anything meanwhile. What a
# rule takes of sets (their own files) is taken here by name; of the pool it takes nothing within these days (S3_POOL_DAYS), and what
# `prune` would leave of it is shown beside.
# Globals: MESSAGES MAILBOXES DAYS SEED MODES from the command line; WORK BIN SOURCE S3_VENV.

# So many nights are kept of daily sets, and so many weeks.
OFF_SITE_DAILY=30 OFF_SITE_WEEKLY=12

bench_off_site() {
    local night row="off site, $DAYS days of $MESSAGES messages, seed $SEED" arrivals=$(((MESSAGES + 199) / 200)) mode=${MODES[-1]}
    local kept_from
    need faketime curl jq restic || return 1
    s3_server_start
    "$S3_VENV/bin/aws" s3 mb s3://ours >/dev/null
    export RESTIC_REPOSITORY=s3:$AWS_ENDPOINT_URL/restic
    restic init --quiet >/dev/null
    mkdir -p "$WORK/repo/$mode"
    make_tree "$MESSAGES" "$MAILBOXES" 33000 --seed "$SEED" --base-time "$(date -u -d "$(first_sunday)" +%s)"
    printf '%s\n' BACKUP_COMPONENTS=mailboxes DAILY_RETENTION_DAYS=29 WEEKLY_RETENTION_WEEKS=11 >"$WORK/generations.conf"
    for ((night = 1; night <= DAYS; night++)); do
        live_a_day
        off_site_night
        if [ $((night % 14)) -eq 0 ] || [ "$night" -eq "$DAYS" ]; then
            printf '%5s %9s MB live, ours %9s MB, restic %9s MB\n' "$night" "$(megabytes "$(live_bytes)")" \
                "$(megabytes "$(stored ours)")" "$(megabytes "$(stored restic)")"
        fi
    done
    off_site_report
    off_site_again
    s3_server_stop
}

off_site_night() {
    local time kinds=(--daily) kind set
    time=$(night_date '%F %T')
    [ $((night % 7)) -ne 0 ] || kinds=(--weekly --daily)
    for kind in "${kinds[@]}"; do
        ours_at_night "$mode" "$kind" >&2
        set=$(newest_set "$mode" "${kind#--}")
        counted ours mail-s3sync "$BIN/mail-s3sync" push --set "$set" --to s3://ours -q --format jsonl
    done
    forget_names
    counted restic restic restic backup --quiet --time "$time" "$SOURCE"
    if [ $((night % 7)) -eq 0 ]; then
        counted restic restic restic forget --quiet --keep-daily "$OFF_SITE_DAILY" --keep-weekly "$OFF_SITE_WEEKLY" --prune
    fi
}

# counted BUCKET PROGRAM COMMAND...: runs it, timed, and notes what it asked of the server.
counted() {
    requests "$1" >"$WORK/before"
    measure "$row, push" "${@:2}"
    # The server counts when it has answered.
    sleep 0.3
    requests "$1" | awk 'NR == FNR { b[$1] = $2; next } $2 > b[$1] { print $1, $2 - b[$1] }' "$WORK/before" - >>"$WORK/asked.$1"
}

# forget_names: takes the own files of sets that are no longer on the disk, as the rules of a bucket do.
forget_names() {
    local name
    "$BIN/mail-s3sync" list --from s3://ours --format jsonl -q | jq -r 'select(.type=="set").data.set' >"$WORK/sets"
    while read -r name; do
        [ -d "$WORK/repo/$mode/$name" ] || "$S3_VENV/bin/aws" s3 rm --quiet --recursive "s3://ours/$name/"
    done <"$WORK/sets"
}

# stored BUCKET: bytes of all objects.
stored() {
    "$S3_VENV/bin/aws" s3api list-objects-v2 --bucket "$1" --query 'sum(Contents[].Size)' --output text | awk '{ s += $1 } END { print s + 0 }'
}

# used_by_sets: bytes of what the sets on the disk name in the pool, and of all that does not lie there.
used_by_sets() {
    "$S3_VENV/bin/aws" s3api list-objects-v2 --bucket ours --query 'Contents[].[Key, Size]' --output text |
        awk 'NR == FNR { used["pool/" substr($1, 1, 64)]; next } $1 !~ /^pool\/[0-9a-f]+$/ || $1 in used { s += $2 } END { print s }' \
            <(cat "$WORK/repo/$mode"/*/*/checksums.sha256) -
}

# requests BUCKET: what the server has counted so far, a kind and a number a line.
requests() {
    curl -s "http://127.0.0.1:$S3_METRICS_PORT/metrics" |
        sed -n 's/^SeaweedFS_s3_request_total{\(.*\)} \(.*\)$/\1 \2/p' | grep "bucket=\"$1\"" |
        sed 's/.*type="\([A-Za-z]*\)".* \([0-9.e+]*\)$/\1 \2/' | awk '{ s[$1] += $2 } END { for (k in s) print k, s[k] }' | sort
}

# dollars FILE BYTES: of requests, and a month of so many bytes. POST and LIST cost as PUT; deleting costs nothing.
dollars() {
    awk -v bytes="$2" '
        /^(DELETE|Delete)/ { next }
        /^(GET|HEAD|Get|Head)/ { gets += $2; next }
        { puts += $2 }
        END { printf "requests %.4f USD, a month %.4f USD\n", puts * 0.005 / 1000 + gets * 0.0004 / 1000, bytes / 1073741824 * 0.023 }' "$1"
}

off_site_report() {
    local ours used restic bucket
    ours=$(stored ours) restic=$(stored restic)
    used=$(used_by_sets)
    printf '\n%s\n' "$row"
    awk -v o="$ours" -v u="$used" -v r="$restic" 'BEGIN {
        printf "  bytes: ours %.1f MB (%.2f of restic), of which sets use %.1f MB (%.2f); restic %.1f MB\n",
            o / 1e6, o / r, u / 1e6, u / r, r / 1e6 }'
    echo "  restic has $(restic snapshots --json | grep -o '"short_id"' | wc -l) snapshots;" \
        "ours $(sets_of "$mode" daily) daily and $(sets_of "$mode" weekly) weekly sets (WEEKLY_SETS=$mode)"
    for bucket in ours restic; do
        awk '{ s[$1] += $2 } END { for (k in s) print k, s[k] }' "$WORK/asked.$bucket" | sort >"$WORK/requests.$bucket"
        echo "  $bucket: $(paste -sd, "$WORK/requests.$bucket" | sed 's/,/, /g')"
    done
    echo "  ours: $(dollars "$WORK/requests.ours" "$ours")"
    echo "  restic: $(dollars "$WORK/requests.restic" "$restic")"
    report "$row, push" mail-s3sync restic
}

# off_site_again: the newest set once more, of which nothing is new, and what that asks.
off_site_again() {
    mv "$WORK/asked.ours" "$WORK/asked.nights"
    counted ours mail-s3sync "$BIN/mail-s3sync" push --set "$(newest_set "$mode" daily)" --to s3://ours -q --format jsonl
    echo "  the newest set again: $(paste -sd, "$WORK/asked.ours" | sed 's/,/, /g')"
}
