# shellcheck shell=bash
# Sourced. A private MariaDB: own directory, loopback, stopped by process id.

# mariadb_start DIR: starts a server in DIR (socket DIR/s.sock, pid DIR/pid, root without password).
mariadb_start() {
    local dir=$1 become=()
    mkdir -p "$dir"
    if [ "$(id -u)" -eq 0 ]; then
        chown mysql:mysql "$dir"
        chmod 711 "$dir"
        become=(setpriv --reuid=mysql --regid=mysql --clear-groups)
    fi
    become+=(env -i "HOME=$dir" PATH=/usr/sbin:/usr/bin:/sbin:/bin)
    if [ ! -d "$dir/data/mysql" ]; then
        # --force: a fresh container may not know its own name.
        if ! "${become[@]}" mariadb-install-db --no-defaults --force --datadir="$dir/data" --skip-test-db \
            --auth-root-authentication-method=normal --innodb-log-file-size=4M >"$dir/install.log" 2>&1; then
            cat "$dir/install.log" >&2
            return 1
        fi
    fi
    # The socket is enough: no port can be taken by another.
    "${become[@]}" mariadbd --no-defaults --datadir="$dir/data" --socket="$dir/s.sock" --pid-file="$dir/pid" \
        --skip-networking --skip-log-bin --innodb-log-file-size=4M --innodb-flush-method=nosync \
        --max-allowed-packet=1G --log-error="$dir/err.log" >/dev/null 2>&1 &
    MARIADB_PID=$!
    local i
    for ((i = 0; i < 600; i++)); do
        if mariadb-admin --no-defaults -uroot -S "$dir/s.sock" ping >/dev/null 2>&1; then
            return 0
        fi
        sleep 0.05
    done
    cat "$dir/install.log" "$dir/err.log" >&2
    return 1
}

# mariadb_stop: ends the server that mariadb_start started, if any.
mariadb_stop() {
    if [ -n "${MARIADB_PID:-}" ]; then
        kill "$MARIADB_PID" 2>/dev/null || true
        wait "$MARIADB_PID" 2>/dev/null || true
        MARIADB_PID=""
    fi
}
