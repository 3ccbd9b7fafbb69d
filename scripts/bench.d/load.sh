# shellcheck shell=bash
# Sourced by scripts/bench. Loading dumps: mail-restore beside the stock client, which reads the same file.
# Globals: ROWS ROUNDS from the command line; WORK BIN.

bench_load() {
    local socket=$WORK/mariadb/s.sock
    if ! need mariadb-server mariadb-client; then
        echo "skipped: load" >&2
        return 0
    fi
    mariadb_start "$WORK/mariadb"
    printf 'MYSQL_SOCKET=%s\nMYSQL_USER=root\nMYSQL_DATABASES=bench\n' "$socket" >"$WORK/mysql.conf"
    load_tables "load of $ROWS rows in one table" 1
    load_tables "load of $ROWS rows in eight tables" 8
    mariadb_stop
}

# load_tables ROW TABLES: makes a set of ROWS rows in TABLES tables, and loads it in turns, each time into nothing.
load_tables() {
    local row=$1 tables=$2 socket=$WORK/mariadb/s.sock root=$WORK/repo/load round table set
    local client=(mariadb --no-defaults -uroot -S "$socket")
    {
        echo "DROP DATABASE IF EXISTS bench; CREATE DATABASE bench; USE bench;"
        for ((table = 1; table <= tables; table++)); do
            sample_table "log$table" $((ROWS / tables))
        done
    } | "${client[@]}"
    rm -rf "$root"
    mkdir -p "$root"
    "$BIN/mail-backup" --config "$WORK/mysql.conf" --daily --component mysql --no-prune -q --root "$root" \
        --date 2026-01-01 --format jsonl >/dev/null
    set=$root/daily/2026-01-01
    for ((round = 1; round <= ROUNDS; round++)); do
        "${client[@]}" -e 'DROP DATABASE bench'
        measure "$row" mail-restore "$BIN/mail-restore" --config "$WORK/mysql.conf" --component mysql -q --from "$set" \
            --root "$root" --format jsonl
        "${client[@]}" -e 'DROP DATABASE bench'
        # shellcheck disable=SC2016 # expanded by the inner shell
        measure "$row" zstd-mariadb bash -c 'set -o pipefail
            zstd -dc "$1" | mariadb --no-defaults -uroot -S "$2"' bash "$set/mysql/bench.sql.zst" "$socket"
    done
    report "$row" mail-restore zstd-mariadb
}
