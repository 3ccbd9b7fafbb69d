//! The command line.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use jiff::civil::Date;
use mail_common::set::{Address, SetKind};
use mail_common::tool::{CommonArgs, ComponentArg, parse_size};

use crate::aws::{AddressingStyle, encode_uri_strict};
use crate::encryption::Recipient;
use crate::location::Location;
use crate::remote::SetName;
use crate::store::LockMode;

/// Copies backup sets to an S3 bucket or another directory, proves them there, and brings them
/// back.
///
/// Files are compared by sha256, never by time. What the store already has under the same digest is
/// not sent again. A set exists once its checksums do; they are sent last. Only `prune --yes` deletes.
#[derive(Debug, Parser)]
#[command(
    name = "mail-s3sync",
    version,
    after_long_help = LONG_HELP
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send a set: files first, in parallel, its manifest and checksums last
    Push(PushArgs),
    /// Bring a set back, or a part of it; each file is verified before it has its name
    Pull(PullArgs),
    /// Compare a set in the store with its own digests and sizes
    Verify(VerifyArgs),
    /// Show the sets in the store: size, age, complete or not, locked until
    List(ListArgs),
    /// Show how much is stored, with all versions and unfinished uploads, and what it costs a month
    Usage(UsageArgs),
    /// Show what is past its days, and with --yes remove it: for stores without rules that do
    Prune(PruneArgs),
}

#[derive(ClapArgs, Debug)]
pub(crate) struct PushArgs {
    /// Take the set from records on standard input, and pass them on
    #[arg(value_name = "-", value_parser = ["-"], conflicts_with_all = ["set", "date"])]
    pub(crate) records: Option<String>,

    /// The set: latest, a name in the backup root such as weekly/2026-week-47, or a directory,
    /// which begins with / or ./
    #[arg(long, value_name = "SET", conflicts_with = "date")]
    pub(crate) set: Option<PathBuf>,

    /// The daily set of this date [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Option<Date>,

    /// Send the newest complete set of this kind too, where there is one: weekly or hourly; may be
    /// repeated
    #[arg(long, value_name = "KIND", value_parser = parse_other_kind, conflicts_with_all = ["records", "set"])]
    pub(crate) also: Vec<SetKind>,

    /// Where to: s3://bucket/prefix or file:///directory [S3_BUCKET and S3_PREFIX]
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<Location>,

    /// Send nothing: show how much would be sent, by how many requests, and what the push and each
    /// month after it cost
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// With -: push only when there is a clean verdict for every file of the set
    #[arg(long, requires = "records", conflicts_with_all = ["set", "date"])]
    pub(crate) require_clean: bool,

    /// Encrypt every file to this public key of age (age1...); may be repeated
    #[arg(long, value_name = "RECIPIENT")]
    pub(crate) encrypt_to: Vec<Recipient>,

    /// Lock every object for this many days (S3 Object Lock); never shortens a lock
    #[arg(long, value_name = "DAYS", value_parser = parse_days, help_heading = "Objects")]
    pub(crate) lock_days: Option<NonZeroU32>,

    /// Who may end the lock early
    #[arg(
        long,
        value_name = "MODE",
        requires = "lock_days",
        default_value = "compliance",
        help_heading = "Objects"
    )]
    pub(crate) lock_mode: LockMode,

    /// The storage class, such as STANDARD_IA or GLACIER_IR
    #[arg(long, value_name = "CLASS", value_parser = parse_storage_class, help_heading = "Objects")]
    pub(crate) storage_class: Option<String>,

    /// Encryption by the store: AES256 or aws:kms
    #[arg(
        long,
        value_name = "KIND",
        value_parser = ["AES256", "aws:kms"],
        help_heading = "Objects"
    )]
    pub(crate) sse: Option<String>,

    /// The key of AWS KMS
    #[arg(long, value_name = "KEY", requires = "sse", help_heading = "Objects")]
    pub(crate) sse_kms_key_id: Option<String>,

    /// A tag of every object; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_tag, help_heading = "Objects")]
    pub(crate) tag: Vec<String>,

    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct PullArgs {
    /// The directory that the files of the set go into
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,

    /// Only this: mailboxes (or mail), mysql, config, ssl, dkim, all; may be repeated
    #[arg(long, value_name = "COMPONENT")]
    pub(crate) component: Vec<ComponentArg>,

    /// Only this mailbox; may be repeated
    #[arg(long, value_name = "USER@DOMAIN")]
    pub(crate) mailbox: Vec<Address>,

    /// The private key that an encrypted set is decrypted with, as age-keygen writes it
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) which: WhichArgs,

    #[command(flatten)]
    pub(crate) from: FromArgs,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct VerifyArgs {
    /// Read every file, instead of asking the store for the digests that the push recorded
    #[arg(long)]
    pub(crate) deep: bool,

    #[command(flatten)]
    pub(crate) which: WhichArgs,

    #[command(flatten)]
    pub(crate) from: FromArgs,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) from: FromArgs,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct UsageArgs {
    /// Also how much there will be when as many sets are kept as are to be, and what it will cost
    #[arg(long)]
    pub(crate) forecast: bool,

    #[command(flatten)]
    pub(crate) from: FromArgs,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct PruneArgs {
    /// Remove it; without this it is only shown
    #[arg(long)]
    pub(crate) yes: bool,

    /// No alarm is open: to be said where the backup root, which knows, is not
    #[arg(long)]
    pub(crate) no_alarm: bool,

    #[command(flatten)]
    pub(crate) from: FromArgs,
}

/// Which set in the store.
#[derive(ClapArgs, Debug)]
pub(crate) struct WhichArgs {
    /// The daily set of this date
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with_all = ["set", "latest"])]
    pub(crate) date: Option<Date>,

    /// The set of this name, such as weekly/2026-week-47
    #[arg(long, value_name = "NAME", conflicts_with = "latest")]
    pub(crate) set: Option<SetName>,

    /// The newest complete set (the default)
    #[arg(long)]
    pub(crate) latest: bool,
}

/// The store that is read.
#[derive(ClapArgs, Debug)]
pub(crate) struct FromArgs {
    /// Where the sets are: s3://bucket/prefix or file:///directory [S3_BUCKET and S3_PREFIX]
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<Location>,

    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// How the store is reached.
#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct StoreArgs {
    /// Files and requests in flight at once, 1 to 128; each takes up to 16 MiB of memory
    #[arg(
        long,
        value_name = "N",
        default_value = "4",
        value_parser = parse_jobs,
        help_heading = "Store"
    )]
    pub(crate) jobs: NonZeroUsize,

    /// Bytes a second at most, over all connections; K, M and G stand for 1024, 1024^2, 1024^3
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = "Store")]
    pub(crate) limit_rate: Option<NonZeroU64>,

    /// The profile in ~/.aws/config and ~/.aws/credentials [AWS_PROFILE, else default]
    #[arg(long, value_name = "PROFILE", help_heading = "Store")]
    pub(crate) profile: Option<String>,

    /// The region of the bucket [AWS_REGION, AWS_DEFAULT_REGION, the profile; us-east-1]
    #[arg(long, value_name = "REGION", help_heading = "Store")]
    pub(crate) region: Option<String>,

    /// Another store that speaks S3: http://host:port [AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL]
    #[arg(long, value_name = "URL", value_parser = parse_endpoint, help_heading = "Store")]
    pub(crate) endpoint_url: Option<String>,

    /// Whether requests name the bucket in the path or in the host
    #[arg(
        long,
        value_name = "STYLE",
        default_value = "auto",
        help_heading = "Store"
    )]
    pub(crate) addressing: AddressingStyle,

    /// Give up on a request, and try again, when it has made no progress for this long
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "60",
        help_heading = "Store"
    )]
    pub(crate) timeout: NonZeroU16,

    /// How often a request is tried, with growing waits of random length in between
    #[arg(long, value_name = "N", default_value = "10", help_heading = "Store")]
    pub(crate) attempts: NonZeroU16,
}

const LONG_HELP: &str = "\
Settings come from flags, then the environment, then --config FILE: BACKUP_ROOT, S3_BUCKET, \
S3_PREFIX, AWS_PROFILE, AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL, and S3_PRICES (such as \
'STANDARD=0.023 STANDARD.put=0.005', US dollars for a GB and month, and for 1000 requests).
In a bucket sets share their files in one pool; S3_LAYOUT=plain keeps each whole below its name. \
S3_KEEP_DAILY (40), S3_KEEP_WEEKLY (100), S3_KEEP_HOURLY (7): days that the bucket's rules keep \
sets. S3_POOL_DAYS (200): days after which they take what was not written again. S3_LOCK_MODE \
(compliance or governance): lock each set for as long as it is kept.
Credentials come from where the AWS command line takes them: AWS_ACCESS_KEY_ID and \
AWS_SECRET_ACCESS_KEY, a web identity, the profile (keys, a role, a process), the container, the \
instance.
Authorities of your own: AWS_CA_BUNDLE, or ca_bundle of the profile (these alone are trusted \
then), or SSL_CERT_FILE.
Proxies: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY (http://user:password@host:port); NO_PROXY for hosts \
that are reached directly.

Examples:
  mail-s3sync push                                          today's set
  mail-s3sync push --also weekly                            and the newest weekly one
  mail-s3sync push --dry-run                                what that would send and cost
  mail-s3sync push --set weekly/2026-week-47 --to file:///mnt/offsite
  mail-backup --daily | mail-s3sync push -
  mail-s3sync push --to s3://bucket/mail --lock-days 30 --storage-class GLACIER_IR
  mail-s3sync list
  mail-s3sync verify --deep
  mail-s3sync prune --profile pruner                        what would go; with --yes it does
  mail-s3sync pull --latest --to /srv/restore
  mail-s3sync pull --date 2026-11-23 --mailbox alice@example.com --to /srv/alice";

impl AsRef<CommonArgs> for Args {
    fn as_ref(&self) -> &CommonArgs {
        &self.common
    }
}

fn parse_other_kind(text: &str) -> Result<SetKind, &'static str> {
    let mut others = [SetKind::Weekly, SetKind::Hourly].into_iter();
    others
        .find(|kind| kind.name() == text)
        .ok_or("not weekly or hourly")
}

/// More threads than that only wait for each other.
fn parse_jobs(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse()
        .ok()
        .filter(|jobs: &NonZeroUsize| jobs.get() <= 128)
        .ok_or("not 1 to 128")
}

fn parse_rate(text: &str) -> Result<NonZeroU64, &'static str> {
    parse_size(text).ok_or("not a rate: write bytes a second, such as 500K or 2M")
}

/// The endpoint without a slash at its end.
pub(crate) fn parse_endpoint(text: &str) -> Result<String, &'static str> {
    let is_url = ["http://", "https://"].iter().any(|scheme| {
        text.strip_prefix(scheme)
            .is_some_and(|rest| !rest.is_empty())
    });
    if is_url {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("not a URL such as https://host:port")
    }
}

/// A class whose objects can be read at once: the checksums of a set have to be.
fn parse_storage_class(text: &str) -> Result<String, &'static str> {
    match text {
        "GLACIER" | "DEEP_ARCHIVE" => Err(
            "objects of this class cannot be read before they are restored; \
             use GLACIER_IR, or a lifecycle rule for objects over 1 MB",
        ),
        _ => Ok(text.to_owned()),
    }
}

/// A tag, escaped as the header wants it.
fn parse_tag(text: &str) -> Result<String, &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(format!(
            "{}={}",
            encode_uri_strict(name),
            encode_uri_strict(value)
        )),
        _ => Err("not NAME=VALUE"),
    }
}

/// A number of days that a date can be moved by.
pub(crate) fn parse_days(text: &str) -> Result<NonZeroU32, String> {
    text.parse()
        .ok()
        .filter(|days: &NonZeroU32| days.get() <= 36_500)
        .ok_or_else(|| "not 1 to 36500 days".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_class_that_cannot_be_read_back_is_refused() {
        assert!(
            parse_storage_class("DEEP_ARCHIVE").is_err() && parse_storage_class("GLACIER").is_err()
        );
        assert_eq!(
            parse_storage_class("GLACIER_IR").as_deref(),
            Ok("GLACIER_IR")
        );
    }

    #[test]
    fn jobs_are_bounded() {
        assert_eq!(parse_jobs("128").map(NonZeroUsize::get), Ok(128));
        assert!(
            ["0", "129", "65536", "-1", "x"]
                .iter()
                .all(|text| parse_jobs(text).is_err())
        );
    }

    #[test]
    fn tags_are_escaped() {
        assert_eq!(parse_tag("a b=c/d&e").as_deref(), Ok("a%20b=c%2Fd%26e"));
        assert!(parse_tag("=x").is_err() && parse_tag("x").is_err());
    }
}
