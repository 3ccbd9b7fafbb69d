//! What a set is made of: five components, each in a directory of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureKind};

/// A part of the mail server that is backed up and restored by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Component {
    /// Every Maildir below the mail root.
    Mailboxes,
    /// The databases and accounts of the MariaDB server.
    Mysql,
    /// Service configuration, the compose file and its environment.
    Config,
    /// TLS certificates and keys.
    Ssl,
    /// DKIM signing keys.
    Dkim,
}

/// The text names no component.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "no component {name:?}{}: use mailboxes (or mail), mysql, config, ssl, dkim or all",
    suggestion(name)
)]
pub struct UnknownComponent {
    name: String,
}

impl Failure for UnknownComponent {
    fn kind(&self) -> FailureKind {
        FailureKind::Usage
    }
}

/// The component that may have been meant by `text`.
fn suggestion(text: &str) -> String {
    let distance =
        |component: &Component| strsim::levenshtein(&text.to_lowercase(), component.name());
    let nearest = Component::ALL.into_iter().min_by_key(distance);
    match nearest.filter(|component| distance(component) <= 2) {
        Some(component) => format!(", perhaps {component}"),
        None => String::new(),
    }
}

impl Component {
    /// All of them, in the order in which they are saved.
    pub const ALL: [Self; 5] = [
        Self::Mailboxes,
        Self::Mysql,
        Self::Config,
        Self::Ssl,
        Self::Dkim,
    ];

    /// The name in records and flags, and the directory in a set.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mailboxes => "mailboxes",
            Self::Mysql => "mysql",
            Self::Config => "config",
            Self::Ssl => "ssl",
            Self::Dkim => "dkim",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Component {
    type Err = UnknownComponent;

    fn from_str(text: &str) -> Result<Self, UnknownComponent> {
        match text {
            "mail" => Ok(Self::Mailboxes),
            _ => Self::ALL
                .into_iter()
                .find(|c| c.name() == text)
                .ok_or_else(|| UnknownComponent {
                    name: text.to_owned(),
                }),
        }
    }
}
