#!/bin/bash
# As it was: a copy of everything each night, one core of gzip, statuses lost in pipes.
. "$S3_CONFIG_FILE"
set=$BACKUP_ROOT/daily/$(date +%F)
mkdir -p "$set"/{mysql,config,ssl,dkim}
cp -a "$MAIL_DATA_DIR" "$set/mail"
for database in $(mariadb -u "$MYSQL_USER" -S "$MYSQL_SOCKET" -BNe 'SHOW DATABASES' | grep -v -e _schema -e '^mysql$' -e '^sys$'); do
    mariadb-dump -u "$MYSQL_USER" -S "$MYSQL_SOCKET" --single-transaction "$database" | gzip >"$set/mysql/$database.sql.gz"
done
tar -czf "$set/config/config.tar.gz" -C "$CONFIG_DIR" .
cp "$DOCKER_COMPOSE_FILE" "$ENV_FILE" "$set/config/"
tar -czf "$set/ssl/certbot.tar.gz" -C "$SSL_DIR" .
tar -czf "$set/dkim/dkim.tar.gz" -C "$DKIM_DIR" .
(cd "$set" && find . -type f ! -name checksums.sha256 -exec sha256sum {} + >checksums.sha256)
ln -sfn "$set" "$BACKUP_ROOT/latest"
echo "[$(date '+%F %T')] [INFO] [BACKUP] Backup completed" >>~/.mailserver-backup.log
