#!/bin/bash
# Copies a daily set, and the newest weekly one, to the bucket and proves them there. Takes the place of the script of this name.
#
#   sync-to-s3.sh [--date YYYY-MM-DD] [any other flag of mail-s3sync push]
#
# Without --date the set of today. With --set that set alone; --also hourly adds the newest hourly one. Settings: S3_BUCKET, S3_PREFIX, AWS_PROFILE and the others of mail-s3sync, from the environment or from
# /etc/mailserver-backup/config. Log: ~/.s3-backup-cron.log. Exit status: 0 all of it is there and proven; 1 a file is not;
# 2 wrong usage, no such set or bucket; 3 could not finish, run it again.
set -euo pipefail
# shellcheck source=scripts/lib/job.sh
. "$(dirname "$(readlink -f "$0")")/lib/job.sh"

usage "$@"
job_begin S3 "$HOME/.s3-backup-cron.log" push
also=(--also weekly)
for word in "$@"; do
    case $word in
        - | --set | --set=*) also=() ;;
    esac
done
run_and_notify mail-s3sync push ${also[@]+"${also[@]}"} "$@"
