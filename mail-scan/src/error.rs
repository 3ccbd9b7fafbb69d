//! Why a run did not begin, or is not whole.

use std::io;
use std::path::PathBuf;

use mail_common::checksum::NotADigest;
use mail_common::config;
use mail_common::failure::{Failed, Failure, FailureKind};
use mail_common::set;

use crate::args::UnknownPolicy;
use crate::clamd::{self, UnknownAddress};
use crate::quarantine::QuarantineError;

/// Why a run did not begin, or is not whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error("read CLAMD_ADDRESS")]
    Address(#[source] UnknownAddress),
    #[error("read SCAN_ENCRYPTED_MAIL")]
    EncryptedMail(#[source] UnknownPolicy),
    #[error("{} is not there, and no set of {} has this name", operand.display(), root.display())]
    NoSuchOperand {
        operand: PathBuf,
        root: PathBuf,
        source: set::Error,
    },
    #[error("look at {}", operand.display())]
    Look { operand: PathBuf, source: io::Error },
    #[error(
        "the path of the set {} is not UTF-8, and records are; use another name",
        dir.display()
    )]
    SetName { dir: PathBuf },
    #[error("- is given twice, and there is one stdin")]
    RecordsTwice,
    #[error("--accept takes one SHA-256 and one reason")]
    AcceptOnce,
    #[error("--accept needs a reason: why may this content pass?")]
    NoReason,
    #[error("read --accept")]
    Accept(#[source] NotADigest),
    #[error("there is no place for the list of what was accepted; name one with --accepted")]
    NoListPlace,
    #[error("read the accepted contents in {} line {line}", path.display())]
    List {
        path: PathBuf,
        line: usize,
        source: serde_json::Error,
    },
    #[error(transparent)]
    Failed(#[from] Failed),
    #[error(transparent)]
    Clamd(#[from] clamd::Error),
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
    #[error("{0}; what was named before is scanned all the same")]
    BrokenUpstream(String),
    #[error(
        "{tool} ended with exit code {code}; what it saved is scanned, \
         and this run does not end better"
    )]
    FailedUpstream { tool: String, code: u8 },
    #[error("the records name no artifact: nothing is scanned")]
    NothingToScan,
    #[error("interrupted by a signal: what has no verdict was not scanned")]
    Interrupted,
    #[error("what was called clean is not to be believed")]
    NoLongerTrusted(#[source] clamd::Error),
    #[error(
        "no clamd answers any more: what has no clean verdict was not scanned; \
         start clamd and run again"
    )]
    LostClamd,
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Config(error) => error.kind(),
            Self::Address(_) | Self::EncryptedMail(_) => FailureKind::Configuration,
            Self::NoSuchOperand { .. } | Self::Look { .. } => FailureKind::NoSuch,
            Self::SetName { .. }
            | Self::RecordsTwice
            | Self::AcceptOnce
            | Self::NoReason
            | Self::Accept(_)
            | Self::NoListPlace => FailureKind::Usage,
            Self::List { .. } => FailureKind::Configuration,
            Self::Failed(failed) => failed.kind(),
            Self::Clamd(_) | Self::NoLongerTrusted(_) | Self::LostClamd => FailureKind::Scanner,
            Self::Quarantine(error) => error.kind(),
            Self::BrokenUpstream(_) | Self::FailedUpstream { .. } | Self::NothingToScan => {
                FailureKind::Upstream
            }
            Self::Interrupted => FailureKind::Interrupted,
        }
    }
}
