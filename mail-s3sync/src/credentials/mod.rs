//! Credentials, from where AWS users expect them to come, and renewed before they expire.
//!
//! The order is that of the AWS command line: environment, web identity, profile (role, keys,
//! process), container, instance. Secrets are in no `Debug` and in no error.

mod chain; // which source it is: reads variables and files, asks nobody
mod fetch; // keys from a source: processes, STS, metadata services
mod ini; // the files in ~/.aws

pub(crate) use chain::choose;

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mail_common::secret::Secret;
use rusoto_core::credential::AwsCredentials;
use tokio::sync::Mutex;

use crate::store::s3::Trust;

/// So long before they expire are keys renewed.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_mins(5);

/// Keys that sign requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) access_key: String,
    pub(crate) secret: Secret,
    pub(crate) token: Option<Secret>,
    pub(crate) expires: Option<Timestamp>,
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// They are known.
    Static(Credentials),
    /// A program prints them.
    Process(String),
    /// STS gives them to who has the keys of another source.
    Role { source: Box<Source>, role: Role },
    /// STS gives them for a token in a file.
    WebIdentity { token_file: PathBuf, role: Role },
    /// A service beside the container.
    Container {
        url: String,
        authorization: Option<Authorization>,
    },
    /// The metadata service of an EC2 instance, version 2.
    Instance { endpoint: String },
}

/// What a container shows to the service beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Authorization {
    Token(Secret),
    /// Others renew what is in it: it is read each time.
    File(PathBuf),
}

/// A role that STS is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) arn: String,
    pub(crate) session_name: String,
    pub(crate) external_id: Option<String>,
    pub(crate) duration_seconds: Option<i64>,
}

/// There are no keys to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("read {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
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
        "ask {url} for credentials: {reason}; where keys do not come from there, set AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws/credentials"
    )]
    Metadata { url: String, reason: String },
}

/// The keys of a run.
#[derive(Debug)]
pub(crate) struct Keys {
    source: Source,
    sts_endpoint: StsEndpoint,
    current: Mutex<Option<Credentials>>,
}

/// Where STS is asked.
#[derive(Clone, Debug)]
pub(crate) struct StsEndpoint {
    pub(crate) region: String,
    pub(crate) endpoint: String,
    pub(crate) timeout: Duration,
    pub(crate) trust: Trust,
}

impl Keys {
    /// Keys from `source`.
    pub(crate) fn new(source: Source, sts_endpoint: StsEndpoint) -> Self {
        Self {
            source,
            sts_endpoint,
            current: Mutex::new(None),
        }
    }

    /// Keys that are good for some minutes yet. A failure is not remembered.
    pub(crate) async fn current(&self) -> Result<Credentials, Error> {
        let mut current = self.current.lock().await;
        let now = Timestamp::now();
        if let Some(keys) = current.as_ref().filter(|keys| !keys.is_stale(now)) {
            return Ok(keys.clone());
        }
        match fetch::fetch(&self.source, &self.sts_endpoint).await {
            Ok(keys) => Ok(current.insert(keys).clone()),
            // The old ones may be good until the last minute.
            Err(error) => match current
                .as_ref()
                .filter(|keys| keys.expires.is_some_and(|end| now < end))
            {
                Some(keys) => Ok(keys.clone()),
                None => Err(error),
            },
        }
    }

    /// The store has called these keys expired: the next ones are fetched anew. Says whether that
    /// can help.
    pub(crate) async fn forget(&self, access_key: &str) -> bool {
        let mut current = self.current.lock().await;
        if current
            .as_ref()
            .is_some_and(|keys| keys.access_key == access_key)
        {
            *current = None;
        }
        !matches!(self.source, Source::Static(_))
    }
}

impl Credentials {
    fn is_stale(&self, now: Timestamp) -> bool {
        self.expires
            .is_some_and(|end| end.duration_since(now) < RENEW_BEFORE)
    }

    /// As rusoto signs with them.
    pub(crate) fn to_aws(&self) -> AwsCredentials {
        let token = self.token.as_ref().map(|token| token.expose().to_owned());
        AwsCredentials::new(self.access_key.as_str(), self.secret.expose(), token, None)
    }
}
