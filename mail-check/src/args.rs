//! The command line.

use std::ffi::OsString;
use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::Parser;
use mail_common::tool::CommonArgs;

use crate::diagnose::Scenario;

/// Tells the truth about a mail server before a user does.
///
/// Makes checks, or judges the records of the other tools, and speaks Nagios: each check is ok,
/// warning, critical or unknown, and so is the whole. What could not be checked is unknown, never
/// ok. Each check is bounded in time, and none waits for another.
#[derive(Debug, Parser)]
#[command(
    name = "mail-check",
    version,
    after_long_help = LONG_HELP
)]
pub(crate) struct Args {
    /// What to check: the names below, set DIR, or - for the records of other tools on stdin
    /// [default: all]
    ///
    /// resources containers services mailflow logs backups scans s3 tls credentials users; all:
    /// every one that is configured. set DIR: whether that backup set is as it was made.
    #[arg(value_name = "CHECK")]
    pub(crate) operands: Vec<OsString>,

    /// The file of checks, see --print-config [default: /etc/mailserver-backup/check.toml where
    /// present]
    #[arg(long, value_name = "FILE")]
    pub(crate) checks: Option<PathBuf>,

    /// Look for the cause of a trouble, step by step, and end with the likely one and the next
    /// command
    #[arg(long, value_name = "TROUBLE", conflicts_with_all = ["operands", "notify", "prometheus", "report"])]
    pub(crate) diagnose: Option<Scenario>,

    /// Print a commented file of checks to start from, and do nothing else
    #[arg(long)]
    pub(crate) print_config: bool,

    /// Tell people, by the channels in the file of checks, what has changed since they were told
    /// last
    ///
    /// Once when a check becomes bad and once when it is well again; what stays bad, once a day.
    /// Who could not be told is told by the next run, and that is critical.
    #[arg(long)]
    pub(crate) notify: bool,

    /// Write what was found as metrics, for the textfile collector of Prometheus
    ///
    /// FILE is replaced in one step and holds this run alone: lines of a crontab that check
    /// different things each need a file.
    #[arg(long, value_name = "FILE")]
    pub(crate) prometheus: Option<PathBuf>,

    /// Write a page with what was found, thirty days of backups, and the last scan and copy
    ///
    /// FILE is replaced in one step, needs no network, and can be read by its owner and group only:
    /// it holds names of users.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// How long a check may take, unless its settings give it more
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    pub(crate) timeout: NonZeroU16,

    /// Where the sets are (BACKUP_ROOT)
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// Where offsets in logs and the last status of each check are kept
    /// [default: /var/lib/mail-check for root, else ~/.local/state/mail-check]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

const LONG_HELP: &str = "\
Settings of the server come from flags, then the environment, then --config FILE, then defaults (BACKUP_ROOT, MAILSERVER_ROOT and the
others of mail-backup). What is checked, and the limits, are in the file of checks.

Examples:
  mail-check
  mail-check resources backups
  mail-check set /mnt/backup-hdd/mailserver/daily/2026-11-23
  mail-check --diagnose receive
  mail-check --notify -q
  mail-check --prometheus /var/lib/node_exporter/mail.prom --report /var/www/status/mail.html
  mail-check --print-config > /etc/mailserver-backup/check.toml
  mail-backup --daily | mail-scan - | mail-s3sync push - | mail-check -";

impl AsRef<CommonArgs> for Args {
    fn as_ref(&self) -> &CommonArgs {
        &self.common
    }
}
