//! Why a run did not begin, or ended before its work was done.

use mail_common::config;
use mail_common::failure::{Failed, Failure, FailureKind};
use mail_common::jsonl;
use mail_common::set;

use crate::cost::NotPrices;
use crate::location::NotALocation;
use crate::store::StoreError;
use crate::{credentials, encryption, prune, pull, push, remote};

/// Why a run did not begin, or ended before its work was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no command: push, pull, verify, list, usage or prune; see mail-s3sync --help")]
    NoCommand,
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error("no place for the sets: give --to or --from, or set S3_BUCKET")]
    NoLocation,
    #[error("read S3_BUCKET and S3_PREFIX")]
    Location(#[from] NotALocation),
    #[error(transparent)]
    Prices(#[from] NotPrices),
    #[error(transparent)]
    Sets(#[from] set::Error),
    #[error(transparent)]
    Encryption(#[from] encryption::Error),
    #[error("{flag} is for buckets; a directory cannot do it")]
    NotForDirectories { flag: &'static str },
    #[error("find credentials")]
    Credentials(#[from] credentials::Error),
    #[error(transparent)]
    Trust(Failed),
    #[error("{url:?} is {reason}")]
    Endpoint { url: String, reason: &'static str },
    #[error("the store cannot be used; make the directory once, or mount it")]
    Open(#[source] StoreError),
    #[error("start the threads of the S3 store")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Upstream(#[from] jsonl::Error),
    #[error("the records name no set; the tool before this one has made none")]
    NoSet,
    #[error(
        "{refused} files are not known to be clean; nothing was pushed: scan the set, \
         or leave out --require-clean"
    )]
    NotClean { refused: usize },
    #[error("{url} holds no complete set; see `mail-s3sync list`")]
    NoCompleteSet { url: String },
    #[error(transparent)]
    Push(#[from] push::Error),
    #[error(transparent)]
    Pull(#[from] pull::Error),
    #[error(
        "{root} holds no sets, so whether an alarm is open (HOLD) is not known; prune on the mail \
         server, or look there and say --no-alarm"
    )]
    NoRoot { root: String },
    #[error(
        "how long a directory keeps sets is not configured: set S3_KEEP_DAILY, S3_KEEP_WEEKLY or \
         S3_KEEP_HOURLY, in days"
    )]
    NoDays,
    #[error(transparent)]
    Prune(#[from] prune::Error),
    #[error(transparent)]
    Remote(#[from] remote::Error),
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NoCommand
            | Self::NoLocation
            | Self::NotForDirectories { .. }
            | Self::NoRoot { .. } => FailureKind::Usage,
            Self::Config(error) => error.kind(),
            Self::Location(_)
            | Self::Prices(_)
            | Self::Encryption(_)
            | Self::Credentials(_)
            | Self::Trust(_)
            | Self::NoDays
            | Self::Endpoint { .. } => FailureKind::Configuration,
            // Nothing has been touched.
            Self::Sets(_) => FailureKind::NoSuch,
            Self::Open(_) => FailureKind::NotMounted,
            Self::Runtime(error) => FailureKind::of_io(error),
            Self::Upstream(_) | Self::NoSet => FailureKind::Upstream,
            Self::NotClean { .. } => FailureKind::Unscanned,
            Self::NoCompleteSet { .. } => FailureKind::Missing,
            Self::Push(error) => error.kind(),
            Self::Pull(error) => error.kind(),
            Self::Prune(error) => error.kind(),
            Self::Remote(error) => error.kind(),
        }
    }
}
