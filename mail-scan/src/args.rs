//! The command line.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use clap::Parser;
use mail_common::tool::{CommonArgs, parse_size};

use crate::clamd::{Address, UnknownAddress};

/// Shows every byte that would be restored to ClamAV, or names it as not seen.
///
/// Scans files and directories, backup sets (those of the old scripts too), or what the records on
/// stdin name. Archives, dumps and compressed files are unpacked on the way, with nothing on disk,
/// since clamd does not open zstd. Every file gets one verdict: clean, infected, or unscanned with
/// the reason. "Not scanned" is never "clean".
#[derive(Debug, Parser)]
#[command(
    name = "mail-scan",
    version,
    after_long_help = LONG_HELP
)]
pub(crate) struct Args {
    /// A file or directory; a set (a directory, latest, daily/2026-11-23); or - for the records of
    /// another tool on stdin
    #[arg(required_unless_present = "accept", value_name = "PATH|SET|-")]
    pub(crate) operands: Vec<PathBuf>,

    /// unix:/path/clamd.sock, tcp:host:port, or spawn to start one for this run; may be repeated
    /// (CLAMD_ADDRESS)
    ///
    /// Several share the work, and what one fails at the others are asked. Without it:
    /// CLAMD_ADDRESS (several are separated by blanks), else the usual sockets, else
    /// tcp:127.0.0.1:3310.
    #[arg(long, value_name = "ADDR", help_heading = "Scanner")]
    pub(crate) clamd: Vec<Scanner>,

    /// The signatures of the clamd that spawn starts [default: those of the system's clamd]
    #[arg(long, value_name = "DIR", help_heading = "Scanner")]
    pub(crate) signatures: Option<PathBuf>,

    /// Workers that show contents to clamd, each several small ones at a time [default: what the
    /// clamds have threads for]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=512),
        help_heading = "Scanner"
    )]
    pub(crate) jobs: Option<u16>,

    /// How long clamd may take for one content
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "180",
        help_heading = "Scanner"
    )]
    pub(crate) timeout: NonZeroU32,

    /// Leave out, and report as unscanned, contents larger than this, such as 20M
    #[arg(long, value_name = "BYTES", value_parser = parse_max_size, help_heading = "Scanner")]
    pub(crate) max_size: Option<u64>,

    /// Keep verdicts in FILE, so that what has not changed is not sent again [default:
    /// ~/.cache/mail-scan/verdicts.redb]
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "no_cache",
        help_heading = "Cache"
    )]
    pub(crate) cache: Option<PathBuf>,

    /// Scan everything, and remember nothing
    #[arg(long, help_heading = "Cache")]
    pub(crate) no_cache: bool,

    /// Move infected messages of live Maildirs to DIR, each with a note beside it; nothing is taken
    /// out of a set
    #[arg(long, value_name = "DIR")]
    pub(crate) quarantine: Option<PathBuf>,

    /// What becomes of mail that is encrypted as a whole (PGP, S/MIME, Dovecot's mail_crypt), which
    /// no scanner can look into (SCAN_ENCRYPTED_MAIL)
    ///
    /// unscanned: it is not clean, and the run ends with 1. note: it passes as clean, with a note
    /// in its record and in the summary. The default is unscanned.
    #[arg(long, value_name = "unscanned|note")]
    pub(crate) encrypted_mail: Option<EncryptedMail>,

    /// Let the content with this SHA-256 pass from now on where it cannot be scanned, and say why
    ///
    /// For an archive with a password that is known, so that it does not fail each night. The
    /// digest is that of its `verdict` record. The record says each time that it was not scanned,
    /// who accepted it and why. What is infected is never let pass. A line of the list may be
    /// removed by hand.
    #[arg(
        long,
        num_args = 2,
        value_names = ["SHA256", "REASON"],
        conflicts_with_all = ["operands", "quarantine"]
    )]
    pub(crate) accept: Vec<String>,

    /// The list of what was accepted [default: /var/lib/mail-scan/accepted.jsonl for root, else
    /// ~/.local/state/mail-scan/accepted.jsonl]
    #[arg(long, value_name = "FILE")]
    pub(crate) accepted: Option<PathBuf>,

    /// Where the sets are, for operands such as latest (BACKUP_ROOT)
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

const LONG_HELP: &str = "\
Settings come from flags, then the environment, then --config FILE, then defaults: BACKUP_ROOT, \
CLAMD_ADDRESS, SCAN_ENCRYPTED_MAIL.

Before work each clamd answers PING, and finds the EICAR test file alone, in an archive and in a \
message; else nothing is scanned.

Examples:
  mail-scan latest
  mail-scan /srv/mailserver/data/mail --quarantine /var/quarantine
  mail-scan daily/2026-11-23 --clamd tcp:av1:3310 --clamd tcp:av2:3310
  mail-scan --accept 9f86...0a08 'payroll archive, its password is known'
  mail-backup --daily | mail-scan - | mail-s3sync push - | mail-check -
  mail-scan latest | mail-restore --from latest --require-scan -";

impl AsRef<CommonArgs> for Args {
    fn as_ref(&self) -> &CommonArgs {
        &self.common
    }
}

/// What a `--clamd` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scanner {
    /// One that listens there.
    At(Address),
    /// One that is started for the run.
    Spawn,
}

impl std::str::FromStr for Scanner {
    type Err = UnknownAddress;

    fn from_str(text: &str) -> Result<Self, UnknownAddress> {
        match text {
            "spawn" => Ok(Self::Spawn),
            _ => text.parse().map(Self::At),
        }
    }
}

/// What becomes of mail that is encrypted as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EncryptedMail {
    /// It is not clean.
    #[default]
    Unscanned,
    /// It passes, with a note.
    Note,
}

/// The text is no such policy.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not unscanned or note: {0:?}")]
pub(crate) struct UnknownPolicy(String);

impl std::str::FromStr for EncryptedMail {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        match text {
            "unscanned" => Ok(Self::Unscanned),
            "note" => Ok(Self::Note),
            _ => Err(UnknownPolicy(text.to_owned())),
        }
    }
}

fn parse_max_size(text: &str) -> Result<u64, &'static str> {
    parse_size(text)
        .map(NonZeroU64::get)
        .ok_or("not a number of bytes, such as 1000, 500K, 20M or 1G")
}
