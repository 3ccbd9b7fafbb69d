//! Where keys come from: data only.

use std::path::PathBuf;
use std::time::Duration;

use mail_common::secret::Secret;

use crate::aws::{Credentials, Proxies, Trust};

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// They are known.
    Static(Credentials),
    /// A program prints them.
    Process(String),
    /// STS gives them to whoever has the keys of another source.
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

/// Where STS is asked.
#[derive(Clone, Debug)]
pub(crate) struct StsEndpoint {
    pub(crate) region: String,
    pub(crate) endpoint: String,
    pub(crate) timeout: Duration,
    pub(crate) trust: Trust,
    pub(crate) proxies: Proxies,
}
