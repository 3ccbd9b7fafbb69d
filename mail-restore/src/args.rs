//! The command line.
#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "doc comments of flags are their help: plain text"
)]

use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;

use clap::Parser;
use mail_common::set::Component;
use mail_common::tool::{CommonArgs, ComponentArg, cores};

/// Restores a backup set, or any part of it, onto a mail server.
///
/// Everything that is used from the set is verified before anything is touched. Trees are built
/// beside their targets and exchanged with them in one step; the old ones are kept as
/// TARGET.bak.TIME. Databases are dumped to ROOT/pre-restore/TIME before they are replaced. On any
/// failure, everything is put back.
#[derive(Debug, Parser)]
#[command(
    name = "mail-restore",
    version,
    after_long_help = LONG_HELP
)]
pub(crate) struct Args {
    /// The set: `latest`, a name below the backup root such as daily/2026-11-23, or a directory
    /// that begins with / or ./
    #[arg(long, value_name = "SET", required_unless_present = "records")]
    pub(crate) from: Option<PathBuf>,

    /// Restore only this: mailboxes (or mail), mysql, config, ssl, dkim, or all; may be repeated
    #[arg(long, value_name = "COMPONENT")]
    pub(crate) component: Vec<ComponentArg>,

    /// Restore into DIR/<component>/ instead of onto the mail server; needs no root
    ///
    /// Databases become DIR/mysql/NAME.sql. Without root, you own the files, and their owners are
    /// listed in DIR/<component>.owners; root can apply the list later: cd DIR/<component> &&
    /// setfacl --restore=../<component>.owners
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,

    /// Verify everything and print what would be done; write nothing: the monthly restore test
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,

    /// Verify the digests of all files that would be used, and do nothing else
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) verify: bool,

    /// Also create the database accounts and grants of the set; existing ones are left alone
    #[arg(long)]
    pub(crate) accounts: bool,

    /// Load dumps whose rows are expressions, or whose stored code reaches beyond its database
    ///
    /// For who knows where a dump comes from. Nothing is ever run in the server's own databases.
    #[arg(long)]
    pub(crate) trust_dump: bool,

    /// Refuse unless the records on stdin hold a clean verdict for everything that is used; needs
    /// `-`
    #[arg(long, requires = "records")]
    pub(crate) require_scan: bool,

    /// `-`: read records from stdin and pass them on; without --from, they name the set
    #[arg(value_name = "-", value_parser = ["-"])]
    pub(crate) records: Option<String>,

    /// Add the messages of this mailbox to the live one, which keeps what it has; may be repeated
    #[arg(long, value_name = "USER@DOMAIN", help_heading = "Single messages")]
    pub(crate) mailbox: Vec<String>,

    /// Add the message with this Message-ID; may be repeated
    #[arg(long, value_name = "ID", help_heading = "Single messages")]
    pub(crate) message_id: Vec<String>,

    /// Only messages delivered at this time or later: YYYY-MM-DD, or RFC 3339
    #[arg(long, value_name = "TIME", help_heading = "Single messages")]
    pub(crate) since: Option<String>,

    /// Only messages whose path below the mail root matches, such as 'example.com/alice/.Sent/**';
    /// may be repeated
    #[arg(long, value_name = "GLOB", help_heading = "Single messages")]
    pub(crate) path: Vec<String>,

    /// The directory of the sets; the current databases are dumped there before they are replaced
    /// [BACKUP_ROOT]
    #[arg(long, value_name = "DIR", help_heading = "Source and targets")]
    pub(crate) root: Option<PathBuf>,

    /// The mail root, DIR/<domain>/<user>/ [MAIL_DATA_DIR]
    #[arg(long, value_name = "DIR", help_heading = "Source and targets")]
    pub(crate) mail_dir: Option<PathBuf>,

    /// Service configuration [CONFIG_DIR]
    #[arg(long, value_name = "DIR", help_heading = "Source and targets")]
    pub(crate) config_dir: Option<PathBuf>,

    /// Certificates [SSL_DIR]
    #[arg(long, value_name = "DIR", help_heading = "Source and targets")]
    pub(crate) ssl_dir: Option<PathBuf>,

    /// DKIM keys [DKIM_DIR]
    #[arg(long, value_name = "DIR", help_heading = "Source and targets")]
    pub(crate) dkim_dir: Option<PathBuf>,

    /// Files and archives to work on at a time [default: one per core]
    #[arg(long, value_name = "N", help_heading = "Speed")]
    pub(crate) threads: Option<NonZeroU16>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

const LONG_HELP: &str = "\
Settings come from flags, then the environment, then --config FILE, then defaults: BACKUP_ROOT, \
MAILSERVER_ROOT, MAIL_DATA_DIR, CONFIG_DIR, SSL_DIR, DKIM_DIR, DOCKER_COMPOSE_FILE, ENV_FILE, \
MYSQL_HOST, MYSQL_PORT, MYSQL_SOCKET, MYSQL_USER, MYSQL_CONFIG_FILE. The database password comes \
from MYSQL_CONFIG_FILE (default ~/.my.cnf) or MYSQL_PWD, never from a flag.

Stop the services that use what is restored, and start them afterwards: a container keeps the \
directory that it was started with. Single messages can be restored without a stop: Dovecot sees \
them as new deliveries.

Examples:
  mail-restore --from latest --verify
  mail-restore --from latest --dry-run
  mail-restore --from daily/2026-11-23
  mail-restore --from latest --component mailboxes --component mysql
  mail-restore --from latest --to /srv/restored
  mail-restore --from latest --mailbox alice@example.com --since 2026-11-20
  mail-restore --from latest --message-id '<1234@example.com>'
  mail-scan daily/2026-11-23 | mail-restore --from daily/2026-11-23 --require-scan -";

impl AsRef<CommonArgs> for Args {
    fn as_ref(&self) -> &CommonArgs {
        &self.common
    }
}

impl Args {
    /// The components that are named, each once, in their order; `None` where all that the set has
    /// are meant.
    pub(crate) fn components(&self) -> Option<Vec<Component>> {
        ComponentArg::named(&self.component)
    }

    /// Whether single messages are asked for.
    pub(crate) fn asks_for_messages(&self) -> bool {
        let lists = [&self.mailbox, &self.message_id, &self.path];
        self.since.is_some() || lists.iter().any(|list| !list.is_empty())
    }

    /// How many threads work.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        self.threads.map_or_else(cores, NonZeroUsize::from)
    }
}
