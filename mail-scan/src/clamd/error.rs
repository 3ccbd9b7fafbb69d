//! Why a clamd is not used, and why a question got no answer.

use std::io;
use std::path::PathBuf;

use mail_common::failure::Failed;
use mail_common::interrupt::Interrupted;

use super::address::Address;

/// Why a clamd is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("clamd at {address} cannot be reached; is it running?")]
    Reach { address: Address, source: io::Error },
    #[error("what listens at {address} is not a clamd: it answers PING with {reply:?}")]
    NoClamd { address: Address, reply: String },
    #[error("clamd at {address} does not answer as it should")]
    Trouble { address: Address, source: Trouble },
    #[error(
        "clamd at {address} does not find the EICAR test file{how}: \
         a scanner that finds nothing is no scanner; {advice}"
    )]
    Blind {
        address: Address,
        how: &'static str,
        advice: &'static str,
    },
    #[error(
        "clamd at {address} was replaced or set otherwise during the run, and {what}; run again"
    )]
    Changed {
        address: Address,
        what: &'static str,
    },
    #[error(
        "no clamd can be used; start one, name another by --clamd or CLAMD_ADDRESS, \
         or let one be started by --clamd spawn"
    )]
    None(#[source] Box<Error>),
    #[error(
        "start a private clamd: the program clamd is not installed; apt-get install clamav-daemon"
    )]
    NoProgram,
    #[error("start a private clamd: there are no signatures in {}; run freshclam", dir.display())]
    NoSignatures { dir: PathBuf },
    #[error("start a private clamd")]
    Spawn(#[from] Failed),
    #[error("start a private clamd: it {how}: {output}")]
    NotReady { how: &'static str, output: String },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Error {
    /// Whether the clamd is there and cannot be trusted, which is worse than not being there.
    pub(crate) fn is_blind(&self) -> bool {
        matches!(self, Self::Blind { .. } | Self::Changed { .. })
    }
}

/// Why a question got no verdict. It may get one elsewhere, or later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("connect to clamd")]
    Connect(#[source] io::Error),
    #[error("ask clamd")]
    Ask(#[source] io::Error),
    #[error("read the content")]
    Content(#[source] io::Error),
    /// clamd ended, or closed the connection.
    #[error("clamd closed the connection without an answer")]
    NoReply,
    /// It says that something failed.
    #[error("clamd answers: {0}")]
    Refused(String),
    /// It is not a reply of clamd.
    #[error("not an answer of clamd: {0:?}")]
    Unknown(String),
}

impl Trouble {
    /// Whether the question was asked, and what came back, if anything, is not a verdict.
    pub(super) fn is_reply(&self) -> bool {
        match self {
            Self::NoReply | Self::Refused(_) | Self::Unknown(_) => true,
            Self::Connect(_) | Self::Ask(_) | Self::Content(_) => false,
        }
    }
}
