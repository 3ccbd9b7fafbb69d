#!/bin/bash
# Shows all of a set, or of any directory, to ClamAV before it is restored. Takes the place of the script of this name.
#
#   scan-before-restore.sh [PATH] [any other flag of mail-scan]
#
# PATH is a set (a directory, latest, daily/2026-11-23) or any file or directory; without it the newest set. Settings: CLAMD_ADDRESS and
# BACKUP_ROOT, from the environment or from /etc/mailserver-backup/config. Log: ~/.scan-cron.log. Exit status: 0 everything was scanned
# and is clean; 1 infected, or not all of it could be scanned; 2 wrong usage; 3 could not finish: no clamd, or one that is blind.
set -euo pipefail
# shellcheck source=scripts/lib/job.sh
. "$(dirname "$(readlink -f "$0")")/lib/job.sh"

usage "$@"
job_begin SCAN "$HOME/.scan-cron.log" scan
run_and_notify mail-scan "${@:-latest}"
