# shellcheck shell=bash
# Sourced by scripts/bench. Runs programs under time(1) and prints medians.
# Globals: WORK (scratch directory), RESULTS (lines of row, program, seconds, kilobytes and,
# where it was asked for, bytes of growth).

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

# median ROW PROGRAM FIELD: of field 3 (seconds), 4 (kilobytes) or 5 (bytes of growth).
median() {
    awk -F'\t' -v row="$1" -v program="$2" -v field="$3" '$1 == row && $2 == program { print $field }' "$RESULTS" |
        sort -n | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# report ROW PROGRAM...: a table; the ratio is the time of the first program, which is ours, to each.
report() {
    local row=$1 first=$2 program ours seconds kilobytes
    shift
    ours=$(median "$row" "$first" 3)
    printf '\n%s (median of %s)\n  %-16s %9s %8s %6s\n' "$row" \
        "$(grep -cF "$row"$'\t'"$first"$'\t' "$RESULTS")" program seconds peak-MB ratio
    for program in "$@"; do
        seconds=$(median "$row" "$program" 3)
        kilobytes=$(median "$row" "$program" 4)
        awk -v program="$program" -v s="$seconds" -v k="$kilobytes" -v ours="$ours" \
            'BEGIN { printf "  %-16s %9.2f %8.0f %6.2f\n", program, s, k / 1024, (s > 0 ? ours / s : 0) }'
    done
}

# report_growth ROW PROGRAM...: by how much the repositories of save_growing grew each time; the ratio as above.
report_growth() {
    local row=$1 first=$2 program ours
    shift
    ours=$(median "$row" "$first" 5)
    printf '  %-16s %12s %6s\n' program growth-MB ratio
    for program in "$@"; do
        [ "$program" != find ] || continue
        awk -v program="$program" -v b="$(median "$row" "$program" 5)" -v ours="$ours" \
            'BEGIN { printf "  %-16s %12.2f %6s\n", program, b / 1e6, (b > 0 ? sprintf("%.2f", ours / b) : "-") }'
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
