//! Why there are no keys.

use std::path::PathBuf;

use mail_common::failure::Failed;

/// There are no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Read(#[from] Failed),
    #[error("read {} line {line}: {reason}", path.display())]
    Syntax {
        path: PathBuf,
        line: usize,
        reason: &'static str,
    },
    #[error("there is no profile {0:?} in ~/.aws/config or ~/.aws/credentials")]
    NoProfile(String),
    #[error("profile {profile:?}: {reason}")]
    Profile { profile: String, reason: String },
    #[error("{0}")]
    Incomplete(&'static str),
    #[error("run credential_process {program:?}: {reason}")]
    Process { program: String, reason: String },
    #[error("assume role {arn}: {reason}")]
    Role { arn: String, reason: String },
    #[error(
        "ask {url} for credentials: {reason}; where keys do not come from there, \
         set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws/credentials"
    )]
    Metadata { url: String, reason: String },
}
