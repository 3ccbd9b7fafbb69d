#!/bin/bash
# As it was: it goes on after a bad checksum, and needs the old kind of set.
. "$S3_CONFIG_FILE"
[ "$1" = --from ] || exit 1
set=$2
(cd "$set" && sha256sum --quiet -c checksums.sha256) || echo "WARNING: checksum mismatch"
[ -d "$set/mail" ] || { echo "no mail/ in $set"; exit 1; }
rm -rf "$MAIL_DATA_DIR"
cp -a "$set/mail" "$MAIL_DATA_DIR"
for dump in "$set"/mysql/[!_]*.sql.gz; do
    database=$(basename "$dump" .sql.gz)
    mariadb -u "$MYSQL_USER" -S "$MYSQL_SOCKET" -e "CREATE DATABASE IF NOT EXISTS $database"
    zcat "$dump" | mariadb -u "$MYSQL_USER" -S "$MYSQL_SOCKET" "$database"
done
tar -xzf "$set/config/config.tar.gz" -C "$CONFIG_DIR"
tar -xzf "$set/ssl/certbot.tar.gz" -C "$SSL_DIR"
tar -xzf "$set/dkim/dkim.tar.gz" -C "$DKIM_DIR"
