//! Records of what has changed since the set before, and of who looked at it; from mail-backup.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::checksum::Sha256;
use crate::relpath::PathField;
use crate::set::Component;

/// What became of messages between two backups. A message never changes under its unique name, and
/// begins with a header: what does not is counted apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MessageChanges {
    /// Messages at the backup before.
    pub before: u64,
    /// Messages that came.
    pub new: u64,
    /// Messages that have another name, folder or inode: flagged, moved, restored.
    pub renamed: u64,
    /// Messages that are gone.
    pub vanished: u64,
    /// Messages with other content under the same unique name.
    pub replaced: u64,
    /// Of the new and the replaced ones, those that begin with no header line, and are not as
    /// Dovecot compresses or encrypts.
    pub headless: u64,
    /// Messages that are replaced, or headless, or both.
    pub spoiled: u64,
}

/// What has changed in all mailboxes since they were saved before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Changes {
    /// Mailboxes that were compared with what was saved before.
    pub mailboxes: u64,
    /// Mailboxes of which that could not be read: nothing is known of their changes.
    pub not_compared: u64,
    /// The sum of all.
    #[serde(flatten)]
    pub messages: MessageChanges,
}

/// What has changed in a mailbox since it was saved before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MailboxChanges {
    /// The mailbox: its path below the mail root, such as `example.com/alice`.
    pub mailbox: String,
    /// The mailbox is no longer there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
    /// What became of its messages.
    #[serde(flatten)]
    pub messages: MessageChanges,
}

/// Changes that are not those of an ordinary day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Alarm {
    /// Whether sets are held.
    pub level: AlarmLevel,
    /// What was met, such as `server-loss`; newer versions may have more rules.
    pub rule: String,
    /// The set in which it was seen, relative to the root.
    pub set: String,
    /// When the run began that saw it: RFC 3339.
    pub time: String,
    /// A sentence for people.
    pub message: String,
    /// The component that it is about, where that is not the mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Component>,
    /// The mailboxes that it is about, those with the greatest changes first; of very many, the
    /// first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mailboxes: Vec<MailboxChanges>,
}

/// What an alarm means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum AlarmLevel {
    /// Somebody should look.
    Notable,
    /// Somebody must look: until then no set from before it is removed.
    Alarm,
}

/// Somebody has looked at alarms and ended them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Accepted {
    /// When: RFC 3339.
    pub time: String,
    /// Who ran the tool.
    pub user: String,
    /// Why; may be empty.
    pub reason: String,
    /// The alarms.
    pub alarms: Vec<Alarm>,
}

/// The message that nobody touches, and how a run met it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Canary {
    /// Its path below the mail root, as it was made. It is known by its unique name.
    pub path: String,
    /// The digest of its content, as it was made.
    #[cfg_attr(test, schemars(with = "String"))]
    pub sha256: Sha256,
    /// How it was met.
    pub state: CanaryState,
}

/// How a run met the message that nobody touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum CanaryState {
    /// The run has made it.
    Made,
    /// It is as it was made.
    There,
    /// It is not there.
    Gone,
    /// It has other content.
    Changed,
}

/// The tables of a database that was saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DatabaseRows {
    /// The database.
    pub database: String,
    /// The rows of each of its tables. A table whose rows live elsewhere has none.
    pub tables: BTreeMap<String, u64>,
}

/// A file of the configuration that does not go away, and does not change, by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WatchedFile {
    /// The component that it belongs to.
    pub component: Component,
    /// What it is.
    pub role: WatchedRole,
    /// The archive that a key is in, relative to the set; a file of a Compose project is in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// The file, relative to what its archive holds; of a Compose project, relative to the set.
    #[serde(flatten)]
    pub path: PathField,
    /// The digest of its content.
    #[cfg_attr(test, schemars(with = "String"))]
    pub sha256: Sha256,
}

/// What a watched file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum WatchedRole {
    /// It holds a private key: it changes when somebody changes it.
    Key,
    /// A file of the Compose project: it is there, and may change.
    Compose,
}
