//! What pushes have had confirmed of the pool: by digest the ETag, the lock, and of what is
//! encrypted the digest before.
//!
//! A listing shows neither whether an object is what its key says, nor its lock. The ledger does,
//! for as long as the listing gives the ETag that was confirmed. It is a note and nothing more:
//! what it does not have, or has otherwise, the store is asked for, so that it may be lost, be
//! older than the pool, or be written by two pushes at once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mail_common::checksum::Sha256;
use serde_json::{Value, json};

use crate::layout::POOL;
use crate::remote::{Error, PoolListing, read_small};
use crate::store::{Found, Listed, ObjectStore};

/// Its name in the pool.
const NAME: &str = "ledger.jsonl";

/// What is known of the pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    known: BTreeMap<Sha256, Known>,
}

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) bytes: u64,
    pub(super) etag: Option<String>,
    /// At least until then.
    pub(super) locked_until: Option<Timestamp>,
    /// What was encrypted, and to whom.
    pub(super) plain: Option<Plain>,
}

/// A file before its encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) sha256: Sha256,
    pub(super) recipients: String,
}

impl Ledger {
    /// Its key.
    pub(super) fn key() -> String {
        format!("{POOL}{NAME}")
    }

    /// Reads it, where the listing has one.
    pub(super) fn read(store: &dyn ObjectStore, listing: &PoolListing) -> Result<Self, Error> {
        if !listing.others.contains_key(NAME) {
            return Ok(Self::default());
        }
        let small = read_small(store, &Self::key(), None)?;
        let content = small.map(|small| small.content).unwrap_or_default();
        Ok(Self::parse(&content))
    }

    /// A line that is not understood is not known.
    fn parse(content: &[u8]) -> Self {
        let lines = content.split(|&byte| byte == b'\n');
        let parsed = lines.filter_map(|line| serde_json::from_slice(line).ok());
        Self {
            known: parsed.filter_map(|line: Value| entry(&line)).collect(),
        }
    }

    /// As it is stored: a line for each object.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (sha256, known) in &self.known {
            bytes.extend(line(sha256, known).to_string().into_bytes());
            bytes.push(b'\n');
        }
        bytes
    }

    /// What is known of the object under that digest, when it is still the one that was confirmed.
    pub(super) fn confirms(&self, sha256: &Sha256, listed: &Listed) -> Option<&Known> {
        let known = self.known.get(sha256)?;
        let is_same = known.bytes == listed.bytes && known.etag == listed.etag;
        (is_same && known.etag.is_some()).then_some(known)
    }

    /// The objects, in the order of their digests.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Sha256, &Known)> {
        self.known.iter()
    }

    pub(super) fn insert(&mut self, sha256: Sha256, known: Known) {
        self.known.insert(sha256, known);
    }

    /// Forgets what is not listed any more.
    pub(super) fn retain_listed(&mut self, listing: &PoolListing) {
        self.known
            .retain(|sha256, _| listing.objects.contains_key(sha256));
    }
}

impl Known {
    /// What the store says of the object under the digest `sha256`; `None` when it does not say
    /// that it is this.
    pub(super) fn of(found: &Found, sha256: Sha256) -> Option<Self> {
        if found.marks.sha256 != Some(sha256) {
            return None;
        }
        let recipients = found.marks.recipients.clone();
        let plain = found.marks.plain_sha256.zip(recipients);
        Some(Self {
            bytes: found.bytes,
            etag: found.etag.clone(),
            locked_until: found.locked_until(),
            plain: plain.map(|(sha256, recipients)| Plain { sha256, recipients }),
        })
    }
}

fn line(sha256: &Sha256, known: &Known) -> Value {
    let mut line = json!({"sha256": sha256.to_string(), "bytes": known.bytes});
    if let Some(etag) = &known.etag {
        line["etag"] = json!(etag);
    }
    if let Some(until) = known.locked_until {
        line["locked_until"] = json!(until.to_string());
    }
    if let Some(plain) = &known.plain {
        line["plain_sha256"] = json!(plain.sha256.to_string());
        line["recipients"] = json!(plain.recipients);
    }
    line
}

fn entry(line: &Value) -> Option<(Sha256, Known)> {
    let text = |name: &str| line[name].as_str();
    let sha256 = |name: &str| text(name)?.parse::<Sha256>().ok();
    let recipients = text("recipients").map(str::to_owned);
    let plain = sha256("plain_sha256").zip(recipients);
    let known = Known {
        bytes: line["bytes"].as_u64()?,
        etag: text("etag").map(str::to_owned),
        locked_until: text("locked_until").and_then(|until| until.parse().ok()),
        plain: plain.map(|(sha256, recipients)| Plain { sha256, recipients }),
    };
    Some((sha256("sha256")?, known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Marks;

    fn known(etag: Option<&str>) -> Known {
        Known {
            bytes: 7,
            etag: etag.map(str::to_owned),
            locked_until: Some("2027-01-03T00:00:00Z".parse().unwrap()),
            plain: Some(Plain {
                sha256: Sha256::of(b"plain"),
                recipients: "age1x".to_owned(),
            }),
        }
    }

    #[test]
    fn a_ledger_comes_back_without_the_lines_that_are_damaged() {
        let mut ledger = Ledger::default();
        ledger.insert(Sha256::of(b"a"), known(Some("e")));
        let plain = Known {
            locked_until: None,
            plain: None,
            ..known(None)
        };
        ledger.insert(Sha256::of(b"b"), plain);
        let bytes = ledger.to_bytes();
        assert_eq!(Ledger::parse(&bytes), ledger);
        let damaged = [&b"{\"sha256\":\"12\"}\n\xff\nnull\n"[..], &bytes[..]].concat();
        assert_eq!(Ledger::parse(&damaged), ledger);
        assert_eq!(Ledger::parse(&bytes[..bytes.len() - 9]).known.len(), 1);
    }

    #[test]
    fn only_the_object_that_was_confirmed_is_known() {
        let sha256 = Sha256::of(b"a");
        let mut ledger = Ledger::default();
        ledger.insert(sha256, known(Some("e")));
        let check = |bytes, etag: Option<&str>, is_known| {
            let listed = Listed {
                key: String::new(),
                bytes,
                etag: etag.map(str::to_owned),
                modified: Timestamp::UNIX_EPOCH,
            };
            assert_eq!(ledger.confirms(&sha256, &listed).is_some(), is_known);
        };
        check(7, Some("e"), true);
        check(7, Some("f"), false);
        check(7, None, false);
        check(8, Some("e"), false);
    }

    #[test]
    fn what_the_store_does_not_vouch_for_is_not_known() {
        let found = |sha256| Found {
            bytes: 1,
            etag: None,
            marks: Marks {
                sha256,
                ..Marks::default()
            },
            lock: None,
        };
        let sha256 = Sha256::of(b"a");
        assert!(Known::of(&found(Some(sha256)), sha256).is_some());
        assert!(Known::of(&found(Some(Sha256::of(b"b"))), sha256).is_none());
        assert!(Known::of(&found(None), sha256).is_none());
    }
}
