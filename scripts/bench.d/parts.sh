# shellcheck shell=bash
# Sourced by scripts/bench. One function for each part of the comparison.
# Globals: MESSAGES MAILBOXES ROUNDS ROWS LARGE from the command line; WORK BIN SOURCE.

# make_tree MESSAGES MAILBOXES MEAN_BYTES [OPTION...]: a new sample tree in SOURCE, its content in the cache.
make_tree() {
    SOURCE=$WORK/mail
    rm -rf "$SOURCE"
    "$BIN/make-maildir" "$SOURCE" --messages "$1" --mailboxes "$2" --mean-bytes "$3" "${@:4}"
    find "$SOURCE" -type f -print0 | xargs -0 cat >/dev/null
}

bench_backup() {
    local programs program round row="full backup, $MESSAGES messages in $MAILBOXES mailboxes"
    mapfile -t programs < <(installed mail-backup tar-zstd-sha256 restic rustic borg)
    make_tree "$MESSAGES" "$MAILBOXES" 33000
    for ((round = 1; round <= ROUNDS; round++)); do
        for program in "${programs[@]}"; do
            reset "$program"
            save "$program" "$round" "$row"
            rm -rf "$WORK/repo/$program"
        done
    done
    report "$row" "${programs[@]}"
}

bench_incremental() {
    local programs program day=0
    mapfile -t programs < <(installed mail-backup restic rustic borg find)
    make_tree "$MESSAGES" "$MAILBOXES" 33000
    for program in "${programs[@]}"; do
        reset "$program"
        save "$program" "$day"
    done
    days "next day, nothing changed"
    days "next day, 1 % new, 1 % re-flagged, 0.5 % deleted, in mail of the last week" --where recent
    days "next day, 1 % new, 1 % re-flagged, 0.5 % deleted, evenly in all mail" --where uniform
    days "next day, 1 % re-flagged, 0.5 % deleted, evenly in all mail" --where uniform --new 0
    the_day_after_chown
    rm -rf "$WORK/repo"
    mkdir "$WORK/repo"
}

# days ROW [AGE_OPTION...]: as many days as there are rounds, on each of which the tree changes like that, if at all.
days() {
    local row=$1 round program
    shift
    for ((round = 1; round <= ROUNDS; round++)); do
        day=$((day + 1))
        [ $# -eq 0 ] || "$BIN/make-maildir" "$SOURCE" --age "$day" "$@" >/dev/null
        for program in "${programs[@]}"; do
            save_growing "$program" "$day" "$row"
        done
    done
    report "$row" "${programs[@]}"
    report_growth "$row" "${programs[@]}"
}

# Every change time is new and nothing else: so it is after chown -R, and after a restore onto another disk. Beside it
# our own full backup, which reads as much.
the_day_after_chown() {
    local row="next day, after chown -R to the same owners" round program
    for ((round = 1; round <= ROUNDS; round++)); do
        day=$((day + 1))
        find "$SOURCE" -exec chown --reference "$SOURCE" {} +
        for program in "${programs[@]}" mail-backup--full; do
            save_growing "$program" "$day" "$row"
        done
    done
    report "$row" "${programs[@]}" mail-backup--full
    report_growth "$row" "${programs[@]}" mail-backup--full
}

# Peak memory does not depend on the size of messages but on their number, so small ones do.
bench_memory() {
    local programs program count boxes row counts=(60000)
    [ -z "$LARGE" ] || counts+=(600000)
    mapfile -t programs < <(installed mail-backup restic rustic)
    for count in "${counts[@]}"; do
        for boxes in 1 $((count / 300)); do
            row="memory, $count small messages in $boxes mailboxes, full"
            make_tree "$count" "$boxes" 2000
            for program in "${programs[@]}"; do
                reset "$program"
                save "$program" 1 "$row"
            done
            save mail-backup 2 "${row/full/unchanged}"
            report "$row" "${programs[@]}"
            report "${row/full/unchanged}" mail-backup
            rm -rf "$WORK/repo"
            mkdir "$WORK/repo"
        done
    done
}

bench_disk() {
    disk_of_ten_days "1 % new" --new 1 --flag 0 --delete 0
    disk_of_ten_days "1 % new, 1 % re-flagged, 0.5 % deleted, in mail of the last week" --where recent
    disk_of_ten_days "1 % new, 1 % re-flagged, 0.5 % deleted, evenly in all mail" --where uniform
}

# disk_of_ten_days LABEL AGE_OPTION...: ten daily sets, as days like that make them.
disk_of_ten_days() {
    local label=$1 day first now
    shift
    make_tree "$MESSAGES" "$MAILBOXES" 33000 >/dev/null
    reset mail-backup
    for ((day = 0; day < 10; day++)); do
        [ "$day" -eq 0 ] || "$BIN/make-maildir" "$SOURCE" --age "$day" "$@" >/dev/null
        save mail-backup "$day"
        # Hard links are counted once.
        now=$(du -sk "$WORK/repo/mail-backup" | cut -f1)
        first=${first:-$now}
    done
    awk -v a="$first" -v b="$now" -v label="$label" \
        'BEGIN { printf "\ndisk use, a day: %s\n  one set %.0f MB, ten daily sets %.0f MB: %.2f\n", label, a / 1024, b / 1024, b / a }'
    rm -rf "$WORK/repo/mail-backup"
}

# sample_table NAME ROWS: SQL that makes a table like those of a mail server, about 300 bytes a row.
sample_table() {
    cat <<SQL
CREATE TABLE $1 (
  id INT PRIMARY KEY, sender VARCHAR(80) NOT NULL, recipient VARCHAR(80) NOT NULL, subject VARCHAR(200),
  received DATETIME(6) NOT NULL, bytes BIGINT NOT NULL, score DOUBLE, digest BINARY(16) NOT NULL, note TEXT,
  KEY (recipient));
INSERT INTO $1 SELECT seq, CONCAT('sender', seq MOD 9973, '@mail.example'), CONCAT('user', seq MOD 499, '@example.com'),
  CONCAT('Report ', seq, ' of ', MD5(seq MOD 5000)), '2026-01-01' + INTERVAL seq * 1.37 SECOND, seq * 7919 MOD 10000000,
  RAND(seq) * 20 - 5, UNHEX(MD5(seq)), CONCAT('it''s queued as ', SHA1(seq), ' and relayed by ', MD5(seq MOD 77))
  FROM seq_1_to_$2;
SQL
}

bench_mysql() {
    local socket=$WORK/mariadb/s.sock round row="dump of $ROWS rows"
    if ! need mariadb-server mariadb-client; then
        echo "skipped: mysql" >&2
        return 0
    fi
    mariadb_start "$WORK/mariadb"
    { echo "CREATE DATABASE bench; USE bench;"; sample_table log "$ROWS"; } | mariadb --no-defaults -uroot -S "$socket"
    printf 'MYSQL_SOCKET=%s\nMYSQL_USER=root\nMYSQL_DATABASES=bench\n' "$socket" >"$WORK/mysql.conf"
    reset mail-backup
    mkdir -p "$WORK/repo/mariadb-dump"
    for ((round = 1; round <= ROUNDS; round++)); do
        measure "$row" mail-backup "$BIN/mail-backup" --config "$WORK/mysql.conf" --daily --component mysql --no-prune -q \
            --root "$WORK/repo/mail-backup" --date "$(date -u -d "2026-01-01 + $round days" +%F)" --format jsonl
        # shellcheck disable=SC2016 # expanded by the inner shell
        measure "$row" "mariadb-dump" bash -c 'set -o pipefail
            mariadb-dump --no-defaults -uroot -S "$1" --single-transaction --routines --triggers --events bench |
                zstd -3 -q -f -o "$2/bench.sql.zst"' bash "$socket" "$WORK/repo/mariadb-dump"
    done
    report "$row" mail-backup mariadb-dump
    mariadb_stop
}
