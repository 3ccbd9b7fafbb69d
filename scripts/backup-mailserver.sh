#!/bin/bash
# Backs up the mail server: a set of today under BACKUP_ROOT, while mail keeps flowing. Takes the place of the script of this name.
#
#   backup-mailserver.sh [--daily|--weekly|--hourly] [--component C]... [any other flag of mail-backup]
#
# C is mailboxes (or mail), mysql, config, ssl, dkim or all. Settings are those of the old script, from the environment or from
# /etc/mailserver-backup/config. Log: ~/.mailserver-backup.log (LOG_FILE), errors also in ~/.mailserver-backup-error.log (ERROR_LOG);
# LOG_LEVEL=WARN or ERROR leaves the rest out. Exit status: 0 done; 1 a part failed, what was saved is in
# DATE.incomplete; 2 wrong usage, nothing was touched; 3 could not finish; 4 another run is at work.
set -euo pipefail
# shellcheck source=scripts/lib/job.sh
. "$(dirname "$(readlink -f "$0")")/lib/job.sh"

usage "$@"
log_file=$(setting LOG_FILE "$HOME/.mailserver-backup.log")
JOB_ERRORS=$(setting ERROR_LOG "$HOME/.mailserver-backup-error.log")
job_begin BACKUP "$log_file" backup
run_and_notify mail-backup "$@"
