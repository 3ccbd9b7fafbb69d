//! The records that the tools write and read, one JSON object a line:
//! `{"type":"artifact","data":{...}}`.
//!
//! Wire types: they have no behaviour, and logic converts them to its own types
//! (`RelPath::try_from(&record.path)`). Every type here is part of the contract in
//! `schema/records.schema.json`, which a test generates from them. Paths of roots and targets are
//! UTF-8; a name below them that is not has `path_b64` beside it.

mod changes; // what has changed since the set before
mod cost; // what a push would cost, what there will be
mod pruned; // what is past its days in a store

use std::collections::BTreeMap;

use jiff::ZonedDateTime;
use serde::{Deserialize, Serialize};

use crate::checksum::Sha256;
use crate::failure::FailureKind;
use crate::relpath::PathField;
use crate::set::Component;

pub use changes::{
    Accepted, Alarm, AlarmLevel, Canary, CanaryState, Changes, DatabaseRows, MailboxChanges,
    MessageChanges, WatchedFile, WatchedRole,
};
pub use cost::{FilesAndBytes, Forecast, PlannedPush, RequestCounts, Warning};
pub use pruned::{PruneOutcome, Pruned};

/// The version of the records that this code writes, `v` of [`Begin`]; it reads this and older
/// ones.
pub const VERSION: u32 = 1;

/// A record of a type that this version knows.
///
/// A stream may hold records of other types: a reader passes them on as they are, and a validator
/// lets them by. A record may hold more fields than are listed here; a reader ignores them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Record {
    /// A tool has started; from every tool.
    Begin(Begin),
    /// A file of a set has been saved; from mail-backup.
    Artifact(Artifact),
    /// A file or a member of it has been scanned, or could not be; from mail-scan.
    Verdict(Verdict),
    /// A file of a set is in the store, or came from it; from mail-s3sync.
    Transfer(Transfer),
    /// A part of a set has been restored; from mail-restore.
    Restored(Restored),
    /// A message that a search found in sets; from mail-restore.
    Message(Message),
    /// A set in a store; from mail-s3sync.
    Set(StoredSet),
    /// What a store holds and costs; from mail-s3sync.
    Usage(Usage),
    /// A set of a store, or what none uses of its pool, that is past its days; from mail-s3sync.
    Pruned(Pruned),
    /// What the push of a set would do and cost; from mail-s3sync.
    Plan(PlannedPush),
    /// Something that somebody should know, and that changes no exit code; from mail-s3sync.
    Warning(Warning),
    /// A check has been made; from mail-check, and from mail-scan of its scanners.
    Check(Check),
    /// What has changed in all mailboxes since they were saved before; from mail-backup.
    Changes(Changes),
    /// The same of one mailbox in which anything has; from mail-backup.
    Mailbox(MailboxChanges),
    /// The changes are not those of an ordinary day; from mail-backup.
    Alarm(Alarm),
    /// Somebody has looked, and the alarms are over; from mail-backup.
    Accepted(Accepted),
    /// The message that nobody touches, as it was met; from mail-backup.
    Canary(Canary),
    /// The tables of a database, and their rows; from mail-backup.
    Database(DatabaseRows),
    /// A private key or a file of the Compose project that is in the set; from mail-backup.
    Watched(WatchedFile),
    /// Something failed; from every tool.
    Error(ErrorRecord),
    /// A tool has come to its end; from every tool. A stream whose `begin` has no `end` was cut
    /// short.
    End(End),
}

/// The start of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Begin {
    /// The version of the records, [`VERSION`].
    pub v: u32,
    /// The name of the tool, such as `mail-backup`.
    pub tool: String,
    /// Its version.
    pub version: String,
    /// The name of the machine.
    pub host: String,
    /// When it started: RFC 3339 with the local offset.
    pub time: String,
    /// The command line after the tool's name, secrets removed.
    pub args: Vec<String>,
    /// The set it works on, relative to the root, such as `daily/2026-11-23`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// The absolute path of the directory that holds the sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// What a complete set of this server holds; in the manifest of a set. One of an earlier
    /// version does not say so: all components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Vec<Component>>,
    /// The set of its kind that was the newest before it; in the manifest of a set. None of the
    /// first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousSet>,
}

/// The set before one, by which a set that is gone from between is missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PreviousSet {
    /// Relative to the root.
    pub set: String,
    /// The digest of its checksums.
    #[cfg_attr(test, schemars(with = "String"))]
    pub sha256: Sha256,
}

/// A file of a committed set: it is at `root`/`set`/`path`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Artifact {
    /// The absolute path of the directory that holds the sets.
    pub root: String,
    /// The set, relative to the root.
    pub set: String,
    /// The component that it belongs to.
    pub component: Component,
    /// The file, relative to the set.
    #[serde(flatten)]
    pub path: PathField,
    /// Its size.
    pub bytes: u64,
    /// Its digest, 64 lower-case hexadecimal digits.
    #[cfg_attr(test, schemars(with = "String"))]
    pub sha256: Sha256,
    /// How many entries it holds: members of an archive, lines of an index, tables of a dump.
    pub entries: u64,
    /// The size of what went into it, before compression.
    pub source_bytes: u64,
    /// Whether it was linked from an older set, unread.
    pub reused: bool,
    /// How many entries of the source EXCLUDE named, a directory as one; absent for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub excluded: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a scanner found in a file, or of a member of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Verdict {
    /// The absolute path of the directory that holds the sets; absent when `path` is not in a set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The set, relative to the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// The file, relative to the set where there is one.
    #[serde(flatten)]
    pub path: PathField,
    /// The member of the archive; with replacement characters where its name is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// The exact bytes of `member` in base64, present only when the name is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_b64: Option<String>,
    /// The digest of what was scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub sha256: Option<Sha256>,
    /// The verdict.
    pub status: VerdictStatus,
    /// The name of what was found, when infected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Why there is no verdict, when unscanned; else a remark on how it was scanned, where it lies,
    /// or what was done with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The Message-ID of an infected message, as its header has it, control characters escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The subject of an infected message, decoded, control characters escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The scanner and its signature version.
    pub engine: String,
}

/// What a scanner found; what was not scanned is never clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum VerdictStatus {
    /// Scanned whole, nothing found.
    Clean,
    /// A signature matched.
    Infected,
    /// Not scanned, or not whole.
    Unscanned,
}

/// A file of a set that a store has confirmed, or that came from it and was verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Transfer {
    /// The set, relative to its root.
    pub set: String,
    /// The file, relative to the set.
    #[serde(flatten)]
    pub path: PathField,
    /// Its size.
    pub bytes: u64,
    /// Its digest, as the store confirmed it or as it was computed on the way down.
    #[cfg_attr(test, schemars(with = "String"))]
    pub sha256: Sha256,
    /// Where it is in the store.
    pub url: String,
    /// What was done.
    pub action: TransferAction,
    /// Until when the store refuses to delete it: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<String>,
}

/// How a file came to be where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum TransferAction {
    /// Sent.
    Uploaded,
    /// Copied inside the store from an older set.
    Copied,
    /// There already, under the same digest.
    Skipped,
    /// Fetched and verified.
    Downloaded,
}

/// A part of a set that has been restored, or would be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Restored {
    /// The component.
    pub component: Component,
    /// What was restored: a file of the set or a path inside the component.
    #[serde(flatten)]
    pub path: PathField,
    /// Where it went: an absolute path, or the name of a database.
    pub target: String,
    /// How much was written.
    pub bytes: u64,
    /// How many files, or tables.
    pub entries: u64,
    /// Nothing was written; this is what would have been.
    pub dry_run: bool,
}

/// A message that a search found, once however many sets hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Message {
    /// The absolute path of the directory that holds the sets; absent when the set lies elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The oldest of the sets searched that holds it, relative to the root where there is one.
    pub first_set: String,
    /// The newest of them: from it the message is restored.
    pub last_set: String,
    /// What people call its mailbox.
    pub mailbox: String,
    /// Its path in the mail tree, as the newest set has it.
    #[serde(flatten)]
    pub path: PathField,
    /// When it was delivered: RFC 3339 with the local offset.
    pub delivered: String,
    /// When it was written, as its own header says: RFC 3339 with the local offset. Who sends
    /// rubbish dates it as they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Who wrote it. This field and those that follow are decoded, cut to 200 characters, with
    /// control characters escaped; they are absent where the message has no such field, or shows no
    /// header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Who got a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cc: Option<String>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// Its Message-ID, without angle brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The digest of its content.
    #[cfg_attr(test, schemars(with = "String"))]
    pub sha256: Sha256,
    /// Whether the live mailbox holds the same content now, in whatever folder; absent where that
    /// is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<bool>,
}

/// A set in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StoredSet {
    /// The set, relative to the store's root.
    pub set: String,
    /// Where it is in the store.
    pub url: String,
    /// Objects that it uses.
    pub objects: u64,
    /// Their size; sets in a pool share objects.
    pub bytes: u64,
    /// The size of those that no other set of the store uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_bytes: Option<u64>,
    /// Whether every file that its checksums list is there; false while it is being pushed, and of
    /// a set of which a part had failed.
    pub complete: bool,
    /// How many files that its checksums list are not there.
    pub missing: u64,
    /// Whether it has to be decrypted.
    pub encrypted: bool,
    /// When its newest object was stored: RFC 3339.
    pub stored: String,
    /// How long ago that is.
    pub age_seconds: u64,
    /// Until when the store refuses to delete its checksums: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<String>,
}

/// What a store holds below a URL, and what it costs a month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Usage {
    /// The bucket and prefix.
    pub url: String,
    /// Objects below it.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
    /// The price of keeping them, in US dollars a month; absent where nothing of it has a known
    /// price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_usd: Option<f64>,
    /// The same, for each storage class.
    pub by_storage_class: BTreeMap<String, StorageClassUsage>,
    /// The storage classes without a known price: they are not in `monthly_usd`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_priced: Vec<String>,
    /// When the prices were taken, such as `2026-11-29`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices_taken: Option<String>,
    /// What there will be once as many sets are kept as are to be; where that was asked for and is
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
    /// What could not be listed, such as `earlier versions`: where there are any, they are not in
    /// the figures. A reader that does not know this field takes the figures for whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_listed: Vec<String>,
}

impl Usage {
    /// The price as people read it, such as `3.70`, or `at least 3.70` where something is not
    /// listed or has no known price, or `unknown`.
    #[must_use]
    pub fn price(&self) -> String {
        let Some(usd) = self.monthly_usd else {
            return "unknown".to_owned();
        };
        let at_least = if self.not_listed.is_empty() && self.not_priced.is_empty() {
            ""
        } else {
            "at least "
        };
        format!("{at_least}{usd:.2}")
    }
}

/// What a store holds in one storage class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StorageClassUsage {
    /// Objects of the class.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
    /// As how much that is billed: some classes have a least size of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billed_bytes: Option<u64>,
    /// The price of keeping them, in US dollars a month; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_usd: Option<f64>,
}

/// The result of one check of the running system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Check {
    /// The check, such as `disk`.
    pub name: String,
    /// What was checked, such as `/mnt/backup-hdd`.
    pub target: String,
    /// The result.
    pub status: CheckStatus,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The unit of `value`, `warning` and `critical`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// From which value on it is a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<f64>,
    /// From which value on it is critical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<f64>,
    /// A sentence for people.
    pub message: String,
}

/// The result of a check, as Nagios names it. The worse is the greater, in the order of the
/// monitoring plugins: what could not be checked is less bad than what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// The check could not be made.
    Unknown,
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

/// A failure. It changed the exit code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ErrorRecord {
    /// The component in which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Component>,
    /// What it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The exact bytes of `path` in base64, present only when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// What kind of failure it is, for programs; absent from tools that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub kind: Option<FailureKind>,
    /// What failed, for people.
    pub message: String,
    /// Why, the nearest cause first; may be empty.
    pub causes: Vec<String>,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct End {
    /// The name of the tool, as in its `begin`.
    pub tool: String,
    /// How it ended.
    pub status: EndStatus,
    /// Its exit code.
    pub exit: u8,
    /// How long it took.
    pub seconds: f64,
    /// What it counted, such as `artifacts`, `bytes` and `errors`.
    pub totals: BTreeMap<String, u64>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum EndStatus {
    /// All was done, and the answer is good.
    Ok,
    /// All was done, and the answer is bad.
    Bad,
    /// Not all was done.
    Incomplete,
}

/// `time` as records write it: RFC 3339 to the second, with the offset and without the name of the
/// zone.
#[must_use]
pub fn timestamp(time: &ZonedDateTime) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;

    fn check(record: &Record, expected: serde_json::Value) {
        assert_eq!(serde_json::to_value(record).unwrap(), expected);
        assert_eq!(&serde_json::from_value::<Record>(expected).unwrap(), record);
    }

    #[test]
    fn records_have_the_documented_shape() {
        check(
            &Record::Error(ErrorRecord {
                component: Some(Component::Mysql),
                path: None,
                path_b64: None,
                kind: Some(FailureKind::Database),
                message: "connect to the server".into(),
                causes: vec!["refused".into()],
            }),
            json!({"type": "error", "data": {
                "component": "mysql", "kind": "database", "message": "connect to the server",
                "causes": ["refused"]}}),
        );
        check(
            &Record::Artifact(Artifact {
                root: "/b".into(),
                set: "daily/2026-11-23".into(),
                component: Component::Mailboxes,
                path: PathField {
                    path: "mailboxes/a/b/0001.tar.zst".into(),
                    path_b64: None,
                },
                bytes: 5,
                sha256: Sha256::of(b""),
                entries: 1,
                source_bytes: 9,
                reused: false,
                excluded: 0,
            }),
            json!({"type": "artifact", "data": {
                "root": "/b", "set": "daily/2026-11-23", "component": "mailboxes",
                "path": "mailboxes/a/b/0001.tar.zst", "bytes": 5,
                "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "entries": 1, "source_bytes": 9, "reused": false}}),
        );
        check(
            &Record::End(End {
                tool: "mail-backup".into(),
                status: EndStatus::Incomplete,
                exit: 1,
                seconds: 1.5,
                totals: BTreeMap::from([("errors".into(), 2)]),
            }),
            json!({"type": "end", "data": {
                "tool": "mail-backup", "status": "incomplete", "exit": 1, "seconds": 1.5,
                "totals": {"errors": 2}}}),
        );
    }

    #[test]
    fn a_time_has_its_offset_and_no_zone_name() {
        let tokyo: ZonedDateTime = "2026-11-23T03:00:00.123+09:00[Asia/Tokyo]".parse().unwrap();
        assert_eq!(timestamp(&tokyo), "2026-11-23T03:00:00+09:00");
        let utc: ZonedDateTime = "2026-11-23T03:00:00+00:00[UTC]".parse().unwrap();
        assert_eq!(timestamp(&utc), "2026-11-23T03:00:00+00:00");
    }

    /// `UPDATE_SCHEMA=1 cargo test -p mail-common schema` rewrites the file after a deliberate
    /// change.
    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the schema is a source file of this crate, not a stored file"
    )]
    fn schema_is_the_one_checked_in() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/records.schema.json");
        let generated =
            serde_json::to_string_pretty(&schemars::schema_for!(Record)).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&file, &generated).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), generated);
    }

    #[test]
    fn schema_accepts_what_is_written_and_refuses_what_lacks_a_field() {
        let schema = serde_json::to_value(schemars::schema_for!(Record)).unwrap();
        let good = json!({"type": "check", "data": {
            "name": "disk", "target": "/", "status": "ok", "message": "40 % used", "later": true}});
        assert!(jsonschema::is_valid(&schema, &good));
        let bad = json!({"type": "check", "data": {
            "name": "disk", "target": "/", "status": "fine", "message": ""}});
        assert!(!jsonschema::is_valid(&schema, &bad));
        assert!(!jsonschema::is_valid(
            &schema,
            &json!({"type": "end", "data": {"tool": "mail-scan"}})
        ));
    }
}
