//! The command line.
#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "doc comments of flags are their help: plain text"
)]

use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;

use clap::Parser;
use jiff::civil::Date;
use mail_common::set::{Component, MailboxDepth, SetKind};
use mail_common::tool::{CommonArgs, ComponentArg, cores};

const PLACES: &str = "Sources and target";
const SPEED: &str = "Speed";

/// Makes a complete backup set of a running mail server.
///
/// A set holds the Maildirs, a dump of every database and of the accounts, the configuration, the
/// certificates and the DKIM keys, in files that tar, zstd, sha256sum and mariadb can read. Every
/// set is full by itself. What has not changed since the last set is linked, not read again. No
/// service is stopped.
#[derive(Debug, Parser)]
#[command(name = "mail-backup", version, after_long_help = LONG_HELP)]
pub(crate) struct Args {
    /// Make the set of the day, daily/YYYY-MM-DD (the default)
    #[arg(long, conflicts_with = "weekly")]
    pub(crate) daily: bool,

    /// Make the set of the week, weekly/YYYY-week-WW, and read everything
    ///
    /// All live mail and all that is linked is compared with its digests; what is damaged is named,
    /// and saved again. Unchanged files are linked to the last weekly set (WEEKLY_SETS).
    #[arg(long)]
    pub(crate) weekly: bool,

    /// Make a set of this minute, hourly/YYYY-MM-DDTHHMM; every hour, or every ten minutes
    ///
    /// It costs what has changed since the newest set, and is kept for HOURLY_RETENTION_HOURS.
    #[arg(long, conflicts_with_all = ["daily", "weekly", "date"])]
    pub(crate) hourly: bool,

    /// Save only this component: mailboxes (or mail), mysql, config, ssl, dkim, or all; repeatable
    ///
    /// The other components of the day's set stay as they are. If there is no set of the day yet,
    /// the new one holds only what was asked for: it is not `latest` where there is a complete set.
    /// What a complete set of this server holds is said by BACKUP_COMPONENTS.
    #[arg(long, value_name = "COMPONENT")]
    pub(crate) component: Vec<ComponentArg>,

    /// Date that names the set [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Option<Date>,

    /// Read everything and link nothing
    #[arg(long)]
    pub(crate) full: bool,

    /// Check everything, print what would be done, write nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,

    /// Do not remove old sets afterwards
    #[arg(long, conflicts_with = "prune_only")]
    pub(crate) no_prune: bool,

    /// Remove old sets and do nothing else
    #[arg(long, conflicts_with_all = ["component", "full", "date"])]
    pub(crate) prune_only: bool,

    /// Remove old sets even if the newest one is suspiciously small
    #[arg(long)]
    pub(crate) force: bool,

    /// End the alarms that keep old sets, after you have looked at what they say
    ///
    /// An alarm says that mail was destroyed, or looks so: sets from before it are not removed
    /// until it is accepted. The reason is kept in BACKUP_ROOT/accepted.jsonl.
    #[arg(
        long,
        value_name = "REASON",
        num_args = 0..=1,
        default_missing_value = "",
        conflicts_with_all = [
            "daily", "weekly", "hourly", "component", "full", "date", "no_prune", "prune_only",
            "force"
        ]
    )]
    pub(crate) accept: Option<String>,

    /// Directory of the sets [BACKUP_ROOT]
    #[arg(long, value_name = "DIR", help_heading = PLACES)]
    pub(crate) root: Option<PathBuf>,

    /// Mail root, with mailboxes in DIR/<domain>/<user>/ [MAIL_DATA_DIR]
    #[arg(long, value_name = "DIR", help_heading = PLACES)]
    pub(crate) mail_dir: Option<PathBuf>,

    /// Configuration of the services [CONFIG_DIR]
    #[arg(long, value_name = "DIR", help_heading = PLACES)]
    pub(crate) config_dir: Option<PathBuf>,

    /// Certificates [SSL_DIR]
    #[arg(long, value_name = "DIR", help_heading = PLACES)]
    pub(crate) ssl_dir: Option<PathBuf>,

    /// DKIM keys [DKIM_DIR]
    #[arg(long, value_name = "DIR", help_heading = PLACES)]
    pub(crate) dkim_dir: Option<PathBuf>,

    /// Levels of directories from the mail root to a mailbox, including its own [MAILBOX_DEPTH]
    ///
    /// Or a path that shows it, such as {domain}/{user}/Maildir: the level of {user} counts.
    #[arg(long, value_name = "N", help_heading = PLACES)]
    pub(crate) mailbox_depth: Option<MailboxDepth>,

    /// Compression level of zstd, 1 to 19
    #[arg(
        long,
        value_name = "N",
        default_value_t = 3,
        value_parser = clap::value_parser!(i32).range(1..=19),
        help_heading = SPEED
    )]
    pub(crate) level: i32,

    /// Threads that read and compress [default: one per core]
    #[arg(long, value_name = "N", help_heading = SPEED)]
    pub(crate) threads: Option<NonZeroU16>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

const LONG_HELP: &str = "\
Settings are taken from flags, then the environment, then --config FILE, then defaults: \
BACKUP_ROOT, BACKUP_MOUNTPOINT, BACKUP_COMPONENTS, MAILSERVER_ROOT, MAIL_DATA_DIR, \
MAILBOX_DEPTH, CONFIG_DIR, SSL_DIR, DKIM_DIR, DOCKER_COMPOSE_FILE, ENV_FILE, EXTRA_DIRS, EXCLUDE, \
MYSQL_HOST, MYSQL_PORT, MYSQL_SOCKET, MYSQL_USER, MYSQL_DATABASES, MYSQL_CONFIG_FILE, \
HOURLY_RETENTION_HOURS, DAILY_RETENTION_DAYS, WEEKLY_RETENTION_WEEKS, WEEKLY_SETS, \
BACKUP_PURGE_DAYS, BACKUP_ALARM_SPOILED, \
BACKUP_ALARM_LOSS_PERCENT, BACKUP_NOTABLE_LOSS_PERCENT, BACKUP_BUSY_MAILBOXES, BACKUP_CANARY.
A server without a database or keys: BACKUP_COMPONENTS=mailboxes,config,ssl. SSL_DIR, DKIM_DIR, \
DOCKER_COMPOSE_FILE and ENV_FILE may be blank: there is none.
The database password is read from MYSQL_CONFIG_FILE (default ~/.my.cnf) or MYSQL_PWD, never \
from a flag.

Not saved of the mailboxes: the contents of Maildir tmp/ directories, and files outside cur/ and \
new/ named *.lock or *.tmp. Sockets, named pipes and devices are skipped with a warning.

Examples:
  mail-backup --daily
  mail-backup --weekly -q
  mail-backup --hourly -q
  mail-backup --component mysql --component config
  mail-backup --daily | mail-scan - | mail-s3sync push - | mail-check -";

impl AsRef<CommonArgs> for Args {
    fn as_ref(&self) -> &CommonArgs {
        &self.common
    }
}

impl Args {
    /// Which kind of set.
    pub(crate) fn kind(&self) -> SetKind {
        if self.weekly {
            SetKind::Weekly
        } else if self.hourly {
            SetKind::Hourly
        } else {
            SetKind::Daily
        }
    }

    /// The components that are named, in the order in which they are saved, each once; `None` where
    /// all that the server has are meant.
    pub(crate) fn components(&self) -> Option<Vec<Component>> {
        ComponentArg::named(&self.component)
    }

    /// How many threads read and compress.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        self.threads.map_or_else(cores, NonZeroUsize::from)
    }
}
