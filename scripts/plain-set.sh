#!/bin/bash
# Makes a set of the old kind out of a set of these tools, for whoever still restores with the old script: plain mail, *.sql.gz, *.tar.gz.
#
#   plain-set.sh SET DIR      SET is a directory, latest or a name such as daily/2026-11-23; DIR is made, and must not be there yet
#
# Every digest of SET is verified on the way. Owners, modes and times are kept when root runs it. Exit status: 0 done; 2 wrong usage; else that
# of mail-restore, and DIR is not there.
set -euo pipefail

case ${1:-} in
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
if [ $# -ne 2 ] || [ -e "$2" ]; then
    echo "usage: plain-set.sh SET DIR, where DIR is not there yet" >&2
    exit 2
fi
umask 077
target=$(readlink -f "$2")
work=$target.new
if [ -e "$work" ]; then
    echo "error: $work is there, of a run that was killed or is at work; if it was killed: rm -r $work" >&2
    exit 2
fi
mkdir "$work"
trap 'rm -rf "$work" "$work.sums"' EXIT

# archived COMPONENT FILE: one of the directories that the old script put into an archive.
archived() {
    if [ -d "$work/parts/$1" ]; then
        mkdir -p "$work/$1"
        tar -C "$work/parts/$1" -czf "$work/$1/$2" .
    fi
}

mail-restore --from "$1" --to "$work/parts" --format jsonl -q >/dev/null
if [ -d "$work/parts/mailboxes" ]; then
    mv "$work/parts/mailboxes" "$work/mail"
fi
if [ -d "$work/parts/mysql" ]; then
    mkdir "$work/mysql"
    # The old script saved no accounts.
    find "$work/parts/mysql" -name '*.sql' ! -name '_accounts.sql' -exec gzip {} +
    mv "$work"/parts/mysql/*.gz "$work/mysql/"
fi
if [ -d "$work/parts/config" ]; then
    mkdir "$work/config"
    # The old script had these two beside its archive.
    if [ -e "$work/parts/config/docker-compose.yml" ]; then
        mv "$work/parts/config/docker-compose.yml" "$work/config/"
    fi
    if [ -e "$work/parts/config/env" ]; then
        mv "$work/parts/config/env" "$work/config/.env"
    fi
fi
if [ -d "$work/parts/project" ]; then
    mkdir -p "$work/config"
    mv "$work/parts/project" "$work/config/project"
fi
# Further directories, as they are: the old script knew none.
if [ -d "$work/parts/extra" ]; then
    mkdir -p "$work/config"
    mv "$work/parts/extra" "$work/config/extra"
fi
archived config config.tar.gz
archived ssl certbot.tar.gz
archived dkim dkim.tar.gz
rm -rf "$work/parts"
(cd "$work" && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) >"$work.sums"
mv "$work.sums" "$work/checksums.sha256"
sync -f "$work"
mv "$work" "$target"
