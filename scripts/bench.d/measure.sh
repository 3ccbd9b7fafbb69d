# shellcheck shell=bash
# Sourced by scripts/bench. Runs programs under time(1) and prints medians.
# Globals: WORK (scratch directory), RESULTS (lines of row, program, seconds, kilobytes).

# measure ROW PROGRAM COMMAND...: one timed run.
measure() {
    local row=$1 program=$2 seconds kilobytes
    shift 2
    sync
    if ! command time -f '%e %M' -o "$WORK/time" "$@" >"$WORK/stdout" 2>"$WORK/stderr" </dev/null; then
        echo "$program failed: $*" >&2
        tail -n 20 "$WORK/stderr" >&2
        return 1
    fi
    read -r seconds kilobytes <"$WORK/time"
    printf '%s\t%s\t%s\t%s\n' "$row" "$program" "$seconds" "$kilobytes" >>"$RESULTS"
}

# median ROW PROGRAM FIELD: of field 3 (seconds) or 4 (kilobytes).
median() {
    awk -F'\t' -v row="$1" -v program="$2" -v field="$3" '$1 == row && $2 == program { print $field }' "$RESULTS" |
        sort -n | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# report ROW PROGRAM...: a table; the ratio is our tool's time (that of OURS, mail-backup by default) to the program's.
report() {
    local row=$1 program ours seconds kilobytes
    shift
    ours=$(median "$row" "${OURS:-mail-backup}" 3)
    printf '\n%s (median of %s)\n  %-16s %9s %8s %6s\n' "$row" \
        "$(grep -cF "$row"$'\t'"${OURS:-mail-backup}"$'\t' "$RESULTS")" program seconds peak-MB ratio
    for program in "$@"; do
        seconds=$(median "$row" "$program" 3)
        kilobytes=$(median "$row" "$program" 4)
        awk -v program="$program" -v s="$seconds" -v k="$kilobytes" -v ours="$ours" \
            'BEGIN { printf "  %-16s %9.2f %8.0f %6.2f\n", program, s, k / 1024, (s > 0 ? ours / s : 0) }'
    done
}

# facts: the machine and the programs, for whoever reads the numbers later.
facts() {
    local sha="no"
    grep -qw sha_ni /proc/cpuinfo && sha="yes"
    echo "machine   $(nproc) cores ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1); SHA-NI: $sha)," \
        "$(awk '/^MemTotal/ { printf "%.0f GB", $2 / 1048576 }' /proc/meminfo)"
    echo "system    $(uname -sr), $(findmnt -n -o FSTYPE -T "$WORK") under $(dirname "$WORK")"
    echo "programs  $(versions)"
}
