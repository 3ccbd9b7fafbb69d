# shellcheck shell=bash
# Sourced by scripts/bench. What it costs to keep 30 daily and 12 weekly sets of a server on which ordinary life goes on:
# every night a backup, on Sundays a weekly one first, under a clock that runs ahead; beside it restic and rustic, which
# forget and prune once a week. Nights begin on a Monday, so weeks are whole.
# Globals: MESSAGES MAILBOXES DAYS SEED MODES from the command line; WORK BIN SOURCE. A mode of WEEKLY_SETS is the
# name of our program here; `none` makes daily sets only.

bench_generations() {
    local programs night arrivals=$(((MESSAGES + 199) / 200)) row="$DAYS days of $MESSAGES messages, seed $SEED"
    need faketime || return 1
    generations_programs
    make_tree "$MESSAGES" "$MAILBOXES" 33000 --seed "$SEED" --base-time "$(date -u -d "$(first_sunday)" +%s)"
    for program in "${programs[@]}"; do
        reset "$program"
    done
    # Above 30 days and 12 weeks of age sets go: so many stay.
    printf '%s\n' BACKUP_COMPONENTS=mailboxes DAILY_RETENTION_DAYS=29 WEEKLY_RETENTION_WEEKS=11 >"$WORK/generations.conf"
    : >"$WORK/nights"
    generations_head
    for ((night = 1; night <= DAYS; night++)); do
        live_a_day
        for program in "${programs[@]}"; do
            save_night "$program"
        done
        if [ $((night % 7)) -eq 0 ] || [ -n "$(event_of "$night")" ] || [ "$night" -eq "$DAYS" ]; then
            generations_line
        fi
    done
    generations_report
    generations_restore
    rm -rf "$WORK/repo"
    mkdir "$WORK/repo"
}

generations_programs() {
    programs=("${MODES[@]}")
    mapfile -t -O ${#programs[@]} programs < <(installed restic rustic)
}

is_ours() { [ "$1" = independent ] || [ "$1" = shared ] || [ "$1" = none ]; }

# first_sunday: today, or the next: all nights are in the future, since nothing can be older than the files of the tree.
first_sunday() { date -u -d "today + $(((7 - $(date -u +%w)) % 7)) days" +%F; }

# night_date FORMAT: of the current night, early in the morning after its day.
night_date() { date -u -d "$(first_sunday) + $night days 03:00" "+$1"; }

# event_of DAY: what happens besides on that day, if anything.
event_of() {
    case $(($1 % 98)) in
        30) echo mark ;;
        50) echo purge ;;
        70) echo rename ;;
    esac
}

live_a_day() {
    local event
    event=$(event_of "$night")
    "$BIN/make-maildir" "$SOURCE" --live "$night" --arrivals "$arrivals" --seed "$SEED" \
        --base-time "$(date -u -d "$(first_sunday)" +%s)" ${event:+--event "$event"} >/dev/null
}

# save_night PROGRAM: what the program does in this night, timed; notes what it wrote.
save_night() {
    local program=$1 time
    time=$(night_date '%F %T')
    touch "$WORK/night"
    sleep 0.01
    if is_ours "$program"; then
        if [ $((night % 7)) -eq 0 ] && [ "$program" != none ]; then
            ours_at_night "$program" --weekly
        fi
        ours_at_night "$program" --daily
    elif [ "$program" = restic ]; then
        measure "$row" restic restic backup --quiet --time "$time" "$SOURCE"
        if [ $((night % 7)) -eq 0 ]; then
            measure "$row" restic restic forget --quiet --keep-daily 30 --keep-weekly 12 --prune
        fi
    else
        measure "$row" rustic rustic backup --no-progress --log-level error --time "$time" "$SOURCE"
        if [ $((night % 7)) -eq 0 ]; then
            measure "$row" rustic rustic forget --no-progress --log-level error --keep-daily 30 --keep-weekly 12 --prune
        fi
    fi
    printf '%s\t%s\t%s\n' "$program" "$night" "$(written "$WORK/repo/$program")" >>"$WORK/nights"
}

# ours_at_night MODE KIND
ours_at_night() {
    measure "$row" "$1" env WEEKLY_SETS="${1/none/independent}" TZ=UTC FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1 \
        faketime -f "@$time" "$BIN/mail-backup" --config "$WORK/generations.conf" "$2" -q --format jsonl \
        --root "$WORK/repo/$1" --mail-dir "$SOURCE"
}

# written DIRECTORY: what the files in it that were written since the night began take on the disk, each once.
written() {
    find "$1" -type f -newer "$WORK/night" -printf '%i %b\n' | sort -u | awk '{ s += $2 } END { print s * 512 }'
}

# live_bytes: of the mail, as its files say.
live_bytes() { find "$SOURCE" -type f -printf '%s\n' | awk '{ s += $1 } END { print s }'; }

# most_files SET: of one of its mailboxes.
most_files() {
    find "$1/mailboxes" -type f -printf '%h\n' | sort | uniq -c | sort -rn | awk 'NR == 1 { print $1 }'
}

# sum_of PROGRAM: seconds of all its runs.
sum_of() { awk -F'\t' -v row="$row" -v p="$1" '$1 == row && $2 == p { s += $3 } END { print s + 0 }' "$RESULTS"; }

generations_head() {
    printf '\n%s\n%5s %9s' "$row" day live-MB
    printf ' %14s' "${programs[@]/%/-MB}"
    printf ' %9s %5s\n' set-MB files
}

generations_line() {
    local program set
    set=$(newest_set "${MODES[0]}" daily)
    printf '%5s %9s' "$night" "$(megabytes "$(live_bytes)")"
    for program in "${programs[@]}"; do
        printf ' %14s' "$(megabytes "$(bytes_of "$WORK/repo/$program")")"
    done
    printf ' %9s %5s %s\n' "$(megabytes "$(bytes_of "$set")")" "$(most_files "$set")" "$(event_of "$night")"
}

megabytes() { awk -v b="$1" 'BEGIN { printf "%.1f", b / 1e6 }'; }

# A byte is one of live mail. The largest night is none of the first, in which everything is written.
generations_report() {
    local program live bytes
    live=$(live_bytes)
    printf '\n  %-12s %9s %7s %6s %9s %6s %12s %9s %9s\n' program MB a-byte ratio seconds ratio largest-MB first-s last-s
    for program in "${programs[@]}"; do
        bytes=$(bytes_of "$WORK/repo/$program")
        awk -v program="$program" -v bytes="$bytes" -v live="$live" -v other="$(bytes_of "$WORK/repo/restic")" \
            -v seconds="$(sum_of "$program")" -v other_seconds="$(sum_of restic)" \
            -v largest="$(largest_night "$program")" -v first="$(nights "$program" head)" -v last="$(nights "$program" tail)" \
            'function ratio(a, b) { return b > 0 ? sprintf("%.2f", a / b) : "-" }
            BEGIN { printf "  %-12s %9.1f %7.3f %6s %9.1f %6s %12.1f %9.2f %9.2f\n", program, bytes / 1e6, bytes / live,
                ratio(bytes, other), seconds, ratio(seconds, other_seconds), largest / 1e6, first, last }'
    done
    if [[ " ${programs[*]} " = *" restic "* ]]; then
        echo "  ratio: to restic, which has $(restic snapshots --json | grep -o '"short_id"' | wc -l) snapshots"
    fi
    for program in "${MODES[@]}"; do
        echo "  $program: $(sets_of "$program" daily) daily and $(sets_of "$program" weekly) weekly sets;" \
            "one set $(megabytes "$(bytes_of "$(newest_set "$program" daily)")") MB," \
            "$(most_files "$(newest_set "$program" daily)") files in a mailbox at most"
    done
}

# sets_of MODE KIND: how many.
sets_of() { find "$WORK/repo/$1/$2" -mindepth 1 -maxdepth 1 -type d ! -name '.*' 2>/dev/null | wc -l; }

largest_night() {
    awk -F'\t' -v p="$1" '$1 == p && ($2 > 1 && $2 != 7) && $3 > m { m = $3 } END { print m + 0 }' "$WORK/nights"
}

# nights PROGRAM head|tail: the median of its first or last seven runs after the first, in seconds.
nights() {
    awk -F'\t' -v row="$row" -v p="$1" '$1 == row && $2 == p { print $3 }' "$RESULTS" | tail -n +2 | "$2" -n 7 | sort -n |
        awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] + 0 }'
}

# The newest daily set is the tree, by our tool and by tar; and the weekly one, if it was made in the same night.
generations_restore() {
    local mode kind how tree kinds
    for mode in "${MODES[@]}"; do
        kinds=(daily)
        [ $((DAYS % 7)) -ne 0 ] || [ "$mode" = none ] || kinds+=(weekly)
        for kind in "${kinds[@]}"; do
            for how in mail-restore tar; do
                # shellcheck disable=SC2034 # for restore_command_of
                SET=$(newest_set "$mode" "$kind")
                mkdir "$WORK/restored"
                restore_command_of "$how"
                # tar warns of times that the real clock has not reached.
                "${COMMAND[@]}" >/dev/null 2>"$WORK/stderr" || { tail -n 20 "$WORK/stderr" >&2; return 1; }
                tree=$WORK/restored
                [ "$how" = tar ] || tree+=/mailboxes
                is_the_source "$tree" || { echo "$mode, $kind, $how: not equal" >&2; return 1; }
                rm -rf "$WORK/restored"
            done
        done
        echo "  $mode: the newest set (${kinds[*]}) is equal to the tree, restored by mail-restore and by tar"
    done
}

# is_the_source DIRECTORY: names, kinds, modes, owners, times and contents are those of SOURCE.
is_the_source() {
    cmp <(facts_of "$1") <(facts_of "$SOURCE")
}

facts_of() {
    (
        cd "$1" || exit
        find . -mindepth 1 -type d -printf '%y %m %U:%G %T@ %p\0' -o -mindepth 1 -printf '%y %m %U:%G %T@ %s %p\0' | sort -z
        find . -type f -print0 | sort -z | xargs -0 sha256sum
    )
}
