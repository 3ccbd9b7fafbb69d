//! Why nobody can be notified: the settings are wrong, or sending failed.

use std::io;
use std::time::Duration;

use lettre::address::AddressError;
use mail_common::failure::{Failed, Failure, FailureKind};

use crate::command::CommandError;
use crate::state::StateError;

/// `[notify]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error(
        "--notify has nobody to notify: set ADMIN_EMAIL in the configuration, \
         or write [notify.mail], [[notify.webhook]] or [notify.ping] into the file of checks; \
         see mail-check --print-config"
    )]
    Nobody,
    #[error(
        "two webhooks are called {0:?}, or one is called \"mail\", \"ping\" or \"state\"; \
         give each a name of its own"
    )]
    Name(String),
    #[error("[notify.mail] names no recipient: give `to`, or ADMIN_EMAIL in the configuration")]
    NoRecipient,
    #[error("[notify.mail]: {text:?} is not a mail address")]
    Address { text: String, source: AddressError },
    #[error(
        "[notify.mail]: give either `sendmail` or `smtp`; tls, user and password go with `smtp`"
    )]
    Mixed,
    #[error("[notify.mail]: smtp = {0:?} is not host:port, such as \"smtp.example.net:587\"")]
    Server(String),
    #[error("[notify.mail]: tls = \"none\" is for this machine only (127.0.0.1, [::1], localhost)")]
    InClear,
    #[error("give either {what}_file or {what}_env in {section} of the file of checks")]
    SecretSource { section: String, what: &'static str },
    #[error("{section} names a file of secrets")]
    SecretFile { section: String, source: Failed },
    #[error("{place}, which {section} names, is empty or not set")]
    EmptySecret { section: String, place: String },
    /// What it says holds nothing of the URL, which is a secret.
    #[error("what is given for {section} is not a URL of http or https")]
    Url { section: String },
}

/// Somebody could not be notified. No message shows the URL of a request, which is a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotifyError {
    #[error("send alerts by {channel}")]
    Send {
        channel: String,
        source: Box<NotifyError>,
    },
    #[error("lock what was notified before; the next run sends the alerts")]
    Lock(#[source] StateError),
    #[error("keep what was notified, which the next run sends again")]
    Keep(#[source] StateError),

    // Why an alert was not accepted.
    #[error("write the email")]
    Email(#[from] lettre::error::Error),
    #[error("the name of this machine makes no sender; give `from` in [notify.mail]")]
    Sender(#[from] AddressError),
    #[error(transparent)]
    Sendmail(#[from] CommandError),
    #[error("send by {server}")]
    Smtp {
        server: String,
        source: lettre::transport::smtp::Error,
    },
    #[error("the receiver answered with status {0}")]
    Status(u16),
    #[error("no answer within {} s", within.as_secs_f64())]
    TimedOut { within: Duration },
    #[error("the name of the receiver cannot be resolved")]
    Unresolved,
    #[error("reach the receiver: {0}")]
    Io(io::ErrorKind),
    #[error("TLS with the receiver: {0}")]
    Tls(String),
    #[error("the request failed ({0})")]
    Request(&'static str),
    /// All attempts together took too long.
    #[error("no answer within {} s", within.as_secs_f64())]
    Hung { within: Duration },
}

impl Failure for NotifyError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Send { source, .. } => source.kind(),
            Self::Email(_) | Self::Sender(_) => FailureKind::Configuration,
            Self::Sendmail(_) => FailureKind::Program,
            Self::Smtp { .. }
            | Self::Status(_)
            | Self::TimedOut { .. }
            | Self::Unresolved
            | Self::Io(_)
            | Self::Tls(_)
            | Self::Request(_)
            | Self::Hung { .. } => FailureKind::Network,
            Self::Lock(error) | Self::Keep(error) => error.kind(),
        }
    }
}

impl NotifyError {
    /// Says by which channel nobody could be notified.
    pub(super) fn by(self, channel: &str) -> Self {
        Self::Send {
            channel: channel.to_owned(),
            source: Box::new(self),
        }
    }

    /// Whether trying again in a moment is of no use.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Send { source, .. } => source.is_lasting(),
            Self::Lock(_)
            | Self::Keep(_)
            | Self::Email(_)
            | Self::Sender(_)
            | Self::Tls(_)
            | Self::Hung { .. } => true,
            Self::TimedOut { .. } | Self::Unresolved | Self::Io(_) | Self::Request(_) => false,
            Self::Status(status) => *status < 500 && !matches!(status, 408 | 425 | 429),
            Self::Sendmail(error) => matches!(error, CommandError::Absent { .. }),
            Self::Smtp { source, .. } => {
                source.is_permanent() || source.is_client() || source.is_tls()
            }
        }
    }
}
