//! What can go wrong with a request to a store.

use std::io;
use std::path::PathBuf;

use mail_common::failure::{Failure, FailureKind};
use mail_common::interrupt::Interrupted;

use super::body::LocalError;
use crate::aws::is_not_implemented;

/// A request that was not done: on what, and why.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {url}")]
pub(crate) struct StoreError {
    pub(crate) doing: &'static str,
    pub(crate) url: String,
    #[source]
    pub(crate) cause: Box<Cause>,
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// The file to send is not what the set says.
    #[error(transparent)]
    Local(#[from] LocalError),
    #[error("there is no such bucket; check the name, and the endpoint and region it is in")]
    NoSuchBucket,
    #[error(
        "the store refuses the credentials ({code}{}); {hint}",
        behind(": ", message)
    )]
    BadCredentials {
        code: String,
        message: String,
        hint: &'static str,
    },
    #[error("no credentials to use")]
    Credentials(#[source] crate::credentials::Error),
    #[error(
        "the clock of this machine and that of the store differ too much ({message}); \
         set the clock right"
    )]
    ClockSkew { message: String },
    #[error("not allowed ({message}); {hint}")]
    Denied { message: String, hint: &'static str },
    #[error(
        "the object is archived: have the store restore it first (aws s3api restore-object), \
         or use another set"
    )]
    Archived,
    /// The account, the bucket, its key of KMS, or a setting.
    #[error("the store refuses it ({code}{}); {hint}", behind(": ", message))]
    Unusable {
        code: String,
        message: String,
        hint: &'static str,
    },
    /// The hint may be empty: most codes say what is wrong, and nobody can mend it.
    #[error("the store answered {status} {code}: {message}{}", behind("; ", hint))]
    Refused {
        status: u16,
        code: String,
        message: String,
        hint: &'static str,
    },
    #[error("the store's answer makes no sense: {0}")]
    Odd(String),
    /// The connection, or a time-out.
    #[error("{0}")]
    Transport(String),
    /// The store is not who it should be.
    #[error("{0}")]
    Untrusted(String),
    /// No proxy lets it through, as the settings are.
    #[error("{0}")]
    Proxy(String),
    /// Its host has no address.
    #[error("{0}")]
    Unresolved(String),
    #[error("the bucket is in the region {region}: use --region {region}, or set AWS_REGION")]
    WrongRegion { region: String },
    #[error(
        "the bucket is in another region, or at another endpoint, and the store does not say \
         which: check --region and --endpoint-url"
    )]
    Elsewhere,
    #[error("the store has confirmed {found}, and {expected} was sent")]
    Unconfirmed { expected: String, found: String },
    /// Whoever made it chooses where the object goes.
    #[error(
        "{} is a symbolic link, and none is followed in a store; put a directory there",
        path.display()
    )]
    Link { path: PathBuf },
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    #[error("the key is not UTF-8, and keys must be; rename the mailbox or the file")]
    KeyNotText,
}

impl StoreError {
    pub(crate) fn new(doing: &'static str, url: String, cause: Cause) -> Self {
        Self {
            doing,
            url,
            cause: Box::new(cause),
        }
    }

    /// A signal came.
    pub(crate) fn is_interruption(&self) -> bool {
        matches!(*self.cause, Cause::Interrupted(_))
    }

    /// The store does not have this kind of request at all.
    pub(crate) fn is_not_implemented(&self) -> bool {
        match &*self.cause {
            Cause::Refused { status, code, .. } => is_not_implemented(*status, code),
            _ => false,
        }
    }

    /// Whether any other request would fail alike, so that there is no use in going on.
    pub(crate) fn is_fatal(&self) -> bool {
        match &*self.cause {
            Cause::NoSuchBucket
            | Cause::BadCredentials { .. }
            | Cause::Credentials(_)
            | Cause::ClockSkew { .. }
            | Cause::Denied { .. }
            | Cause::Unusable { .. }
            | Cause::Untrusted(_)
            | Cause::Proxy(_)
            | Cause::Unresolved(_)
            | Cause::WrongRegion { .. }
            | Cause::Elsewhere
            | Cause::Interrupted(_) => true,
            Cause::Io(error) => error.kind() == io::ErrorKind::StorageFull,
            Cause::Local(_)
            | Cause::Archived
            | Cause::Refused { .. }
            | Cause::Odd(_)
            | Cause::Transport(_)
            | Cause::Unconfirmed { .. }
            | Cause::Link { .. }
            | Cause::KeyNotText => false,
        }
    }
}

/// `text` after `separator`; nothing where it is empty.
fn behind(separator: &str, text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("{separator}{text}")
    }
}

impl Failure for StoreError {
    fn kind(&self) -> FailureKind {
        match &*self.cause {
            Cause::Local(error) => error.kind(),
            Cause::NoSuchBucket
            | Cause::BadCredentials { .. }
            | Cause::Credentials(_)
            | Cause::Denied { .. }
            | Cause::Unusable { .. }
            | Cause::Untrusted(_)
            | Cause::Proxy(_)
            | Cause::Unresolved(_)
            | Cause::WrongRegion { .. }
            | Cause::Elsewhere => FailureKind::Configuration,
            // Not of the kind `Clock`: nothing here goes back behind what was written.
            Cause::ClockSkew { .. }
            | Cause::Archived
            | Cause::Refused { .. }
            | Cause::Odd(_)
            | Cause::Transport(_)
            | Cause::Unconfirmed { .. } => FailureKind::Store,
            Cause::Io(error) => FailureKind::of_io(error),
            Cause::Interrupted(interrupted) => interrupted.kind(),
            Cause::Link { .. } | Cause::KeyNotText => FailureKind::Refused,
        }
    }
}
