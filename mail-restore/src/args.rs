//! The command line.
#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "doc comments of flags are their help: plain text"
)]

use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
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
    ///
    /// Messages are looked for in any number of sets: in all of a kind (daily, weekly, hourly), in
    /// `all`, or in several by several --from. What more than one has is taken from the newest. A
    /// whole restore takes the newest set of a kind.
    #[arg(long, value_name = "SET", required_unless_present = "records")]
    pub(crate) from: Vec<PathBuf>,

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

    /// Restore everything but what the records on stdin call infected, or unscanned; repeatable;
    /// needs `-`
    ///
    /// As --require-scan, but single messages and files of an archive that was otherwise read to
    /// its end and found clean are left out, each with a record and an error. The run ends with 1.
    #[arg(long, value_name = "infected|unscanned", requires = "records")]
    pub(crate) leave_out: Vec<LeaveOutArg>,

    /// `-`: read records from stdin and pass them on; without --from, they name the set
    #[arg(value_name = "-", value_parser = ["-"])]
    pub(crate) records: Option<String>,

    /// Add the messages of this mailbox to the live one, which keeps what it has; may be repeated
    ///
    /// All flags of this group can be combined: a message must fit each of them. One that is
    /// repeated means any of its values.
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

    #[command(flatten)]
    pub(crate) search: SearchArgs,

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

/// What is known of a message that is looked for.
///
/// Upper and lower case, half and full width, composed and other characters are the same, and so
/// are blanks and line breaks.
#[derive(clap::Args, Debug)]
pub(crate) struct SearchArgs {
    /// List what is found, the newest first, and change nothing
    #[arg(long, conflicts_with_all = ["dry_run", "verify"], help_heading = "Single messages")]
    pub(crate) list: bool,

    /// List no more than the newest N
    #[arg(
        long,
        value_name = "N",
        requires = "list",
        help_heading = "Single messages"
    )]
    pub(crate) limit: Option<NonZeroU32>,

    /// Only messages that the live mailbox does not have now, in whatever folder
    #[arg(long, help_heading = "Single messages")]
    pub(crate) missing: bool,

    /// Only messages that this set does not have: what changed between two days
    #[arg(long, value_name = "SET", help_heading = "Single messages")]
    pub(crate) not_in: Option<PathBuf>,

    /// Only messages with this in From, name or address
    #[arg(long, value_name = "TEXT", help_heading = "Single messages")]
    pub(crate) sender: Vec<String>,

    /// Only messages with this in To or Cc
    #[arg(long, value_name = "TEXT", help_heading = "Single messages")]
    pub(crate) recipient: Vec<String>,

    /// Only messages with this in the subject
    #[arg(long, value_name = "TEXT", help_heading = "Single messages")]
    pub(crate) subject: Vec<String>,

    /// Only messages with this in the subject or in the text, plain or HTML, also of messages that
    /// are attached
    ///
    /// Texts are decoded, whatever their character set. Messages that the other flags do not leave
    /// out are read, so give those too where you can.
    #[arg(long, value_name = "TEXT", help_heading = "Single messages")]
    pub(crate) text: Vec<String>,

    /// Only messages with a file attached whose name matches, such as '*.pdf'
    #[arg(long, value_name = "GLOB", help_heading = "Single messages")]
    pub(crate) attachment: Vec<String>,

    /// Only messages delivered until then: YYYY-MM-DD, the whole day, or before RFC 3339
    #[arg(long, value_name = "TIME", help_heading = "Single messages")]
    pub(crate) until: Option<String>,

    /// Only messages of more than this; K, M and G stand for 1024, 1024^2, 1024^3
    #[arg(long, value_name = "SIZE", help_heading = "Single messages")]
    pub(crate) larger: Option<String>,

    /// TEXT is a regular expression, whatever the case; ^ and $ are the ends of a line
    #[arg(long, help_heading = "Single messages")]
    pub(crate) regex: bool,
}

impl SearchArgs {
    /// Whether any of them is given.
    pub(crate) fn is_given(&self) -> bool {
        let is_asked = self.list || self.missing || self.regex || self.not_in.is_some();
        is_asked || self.asks_for_messages()
    }

    /// Whether something of a message is given.
    fn asks_for_messages(&self) -> bool {
        let words = [
            &self.sender,
            &self.recipient,
            &self.subject,
            &self.text,
            &self.attachment,
        ];
        words.iter().any(|words| !words.is_empty()) || self.until.is_some() || self.larger.is_some()
    }

    /// As on the command line.
    pub(crate) fn shown(&self) -> String {
        let of = |flag: &'static str, values: &[String]| -> Vec<String> {
            values
                .iter()
                .map(|value| format!("{flag} {value}"))
                .collect()
        };
        let mut words = of("--sender", &self.sender);
        words.extend(of("--recipient", &self.recipient));
        words.extend(of("--subject", &self.subject));
        words.extend(of("--text", &self.text));
        words.extend(of("--attachment", &self.attachment));
        words.extend(self.larger.iter().map(|size| format!("--larger {size}")));
        words.extend(self.missing.then(|| "--missing".to_owned()));
        let not_in = self.not_in.iter();
        words.extend(not_in.map(|set| format!("--not-in {}", set.display())));
        words.join(" ")
    }
}

/// What a restore does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaveOutArg {
    Infected,
    Unscanned,
}

impl std::str::FromStr for LeaveOutArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "infected" => Ok(Self::Infected),
            "unscanned" => Ok(Self::Unscanned),
            _ => Err("not infected or unscanned"),
        }
    }
}

const LONG_HELP: &str = "\
Settings come from flags, then the environment, then --config FILE, then defaults: BACKUP_ROOT, \
MAILSERVER_ROOT, MAIL_DATA_DIR, CONFIG_DIR, SSL_DIR, DKIM_DIR, DOCKER_COMPOSE_FILE, ENV_FILE, \
EXTRA_DIRS, MYSQL_HOST, MYSQL_PORT, MYSQL_SOCKET, MYSQL_USER, MYSQL_CONFIG_FILE. The database \
password comes from MYSQL_CONFIG_FILE (default ~/.my.cnf) or MYSQL_PWD, never from a flag.

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
  mail-restore --from all --list --missing --mailbox alice@example.com --since 2026-06-01
  mail-restore --from all --list --sender customer.example --text estimate --attachment '*.pdf'
  mail-restore --from all --missing --sender customer.example --subject 'estimate 12'
  mail-restore --from daily/2026-11-23 --list --not-in daily/2026-11-24
  mail-restore --from all --list --text estimate --format jsonl | mail-restore -
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
        self.search.is_given() || self.since.is_some() || lists.iter().any(|list| !list.is_empty())
    }

    /// How many threads work.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        self.threads.map_or_else(cores, NonZeroUsize::from)
    }
}
