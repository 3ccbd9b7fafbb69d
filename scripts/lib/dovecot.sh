# shellcheck shell=bash
# Sourced. A private Dovecot over a mail tree: own directory, no port, stopped by process id.

# dovecot_start DIR MAIL: serves MAIL/<domain>/<user> as Maildirs. Root gives MAIL to the user `mail`, since Dovecot serves no mail of root's.
dovecot_start() {
    local dir=$1 mail=$2 user group i
    mkdir -p "$dir"
    user=$(id -un) group=$(id -gn)
    if [ "$(id -u)" -eq 0 ]; then
        user=mail group=mail
        chown -R mail:mail "$mail"
        chmod 755 "$dir"
        chmod a+x "$(dirname "$mail")"
    fi
    DOVECOT_DIR=$dir DOVECOT_MAIL=$mail
    cat >"$dir/dovecot.conf" <<CONF
base_dir = $dir/run
state_dir = $dir/run
log_path = $dir/log
protocols =
ssl = no
# Folders made by hand may have their names in UTF-8; those in modified UTF-7 are counted as well.
mail_location = maildir:$mail/%d/%n:UTF-8
first_valid_uid = 1
first_valid_gid = 1
mail_uid = $user
mail_gid = $group
userdb {
  driver = static
  args = uid=$user gid=$group home=$mail/%d/%n allow_all_users=yes
}
passdb {
  driver = static
  args = nopassword=y
}
CONF
    dovecot -F -c "$dir/dovecot.conf" >/dev/null 2>&1 &
    DOVECOT_PID=$!
    for ((i = 0; i < 200; i++)); do
        if [ -S "$dir/run/auth-userdb" ]; then
            return 0
        fi
        sleep 0.05
    done
    cat "$dir/log" >&2
    return 1
}

# dovecot_count: the messages in all folders of all mailboxes, as Dovecot counts them. What it stumbles over is in DIR/doveadm.log.
dovecot_count() {
    local mailbox
    find "$DOVECOT_MAIL" -mindepth 2 -maxdepth 2 -type d -printf '%P\n' | while IFS= read -r mailbox; do
        doveadm -c "$DOVECOT_DIR/dovecot.conf" -f tab mailbox status -t -u "${mailbox#*/}@${mailbox%%/*}" messages '*' \
            2>>"$DOVECOT_DIR/doveadm.log" || true
    done | awk '/^[0-9]+$/ { sum += $1 } END { print sum + 0 }'
}

# dovecot_stop: ends the server that dovecot_start started, if any.
dovecot_stop() {
    if [ -n "${DOVECOT_PID:-}" ]; then
        kill "$DOVECOT_PID" 2>/dev/null || true
        wait "$DOVECOT_PID" 2>/dev/null || true
        DOVECOT_PID=""
    fi
}
