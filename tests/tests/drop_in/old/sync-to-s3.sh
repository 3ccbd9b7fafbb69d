#!/bin/bash
# As it was: whatever the day's directory holds.
. "$S3_CONFIG_FILE"
date=$(date +%F)
if [ "$1" = --date ]; then
    date=$2
fi
"$AWS" s3 sync "$BACKUP_ROOT/daily/$date" "s3://$S3_BUCKET/$S3_PREFIX/daily/$date" --only-show-errors
