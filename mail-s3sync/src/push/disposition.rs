//! What is to be done with each file, from one listing and the checksums in the store. Pure: it
//! asks nobody.

use std::collections::HashMap;
use std::sync::Arc;

use mail_common::checksum::Sha256;
use mail_common::record::TransferAction;

use super::item::{Delivered, Item};
use super::recipients::is_for;
use crate::remote::{AsText, Entry, RemoteSet};
use crate::store::Listed;

/// What is to be done with a file.
#[derive(Clone, Debug)]
pub(super) enum Disposition {
    /// Nothing: the store has confirmed it, under this digest.
    Keep(Stored),
    /// Something of that name and size is there, and only the store can say whether it is the file.
    Ask,
    /// It has to be copied or sent.
    Send,
}

/// How a file is stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) object: Listed,
    pub(super) sha256: Sha256,
}

/// Of which objects the store can say whether they are the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Askable {
    /// It keeps marks beside each of them.
    All,
    /// It can only read them: of an encrypted file that says nothing.
    PlainOnly,
}

impl Disposition {
    /// The file, when there is nothing to do.
    pub(super) fn delivered(&self, item: &Arc<Item>) -> Option<Delivered> {
        let Self::Keep(stored) = self else {
            return None;
        };
        Some(Delivered {
            item: Arc::clone(item),
            bytes: stored.object.bytes,
            stored: stored.sha256,
            etag: stored.object.etag.clone(),
            action: TransferAction::Skipped,
        })
    }
}

/// Decides for each item.
pub(super) fn decide(
    items: Vec<Item>,
    remote: &RemoteSet,
    recipients: Option<&str>,
    askable: Askable,
) -> Vec<(Arc<Item>, Disposition)> {
    let contents = remote.contents.as_ref();
    let readable = contents.filter(|contents| is_for(contents, recipients));
    let listed = readable.iter().flat_map(|contents| &contents.entries);
    let entries: HashMap<&str, &Entry> = listed
        .filter_map(|entry| Some((entry.path.as_text()?, entry)))
        .collect();
    let decide_one = |item: &Item| {
        let Some(listed) = remote.listed.get(&item.stored_path) else {
            return Disposition::Send;
        };
        let is_encrypted = recipients.is_some();
        if !is_encrypted && listed.bytes != item.bytes {
            return Disposition::Send;
        }
        let entry = entries.get(item.stored_path.as_str());
        let same = entry.filter(|entry| entry.plain == item.sha256);
        match same.and_then(|entry| Some((entry, remote.confirmed(entry)?))) {
            Some((entry, object)) => Disposition::Keep(Stored {
                object: object.clone(),
                sha256: entry.stored,
            }),
            None if is_encrypted && askable == Askable::PlainOnly => Disposition::Send,
            None => Disposition::Ask,
        }
    };
    items
        .into_iter()
        .map(|item| {
            let disposition = decide_one(&item);
            (Arc::new(item), disposition)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::Timestamp;
    use mail_common::checksum::Sha256;

    use super::*;
    use crate::layout::Layout;
    use crate::push::local::LocalFile;
    use crate::remote::{Contents, Encrypted, seal};

    const CLOSED: i64 = 100;

    fn item(path: &str, content: &[u8], stored_path: &str) -> Item {
        let path: mail_common::relpath::RelPath = path.parse().unwrap();
        let (sha256, bytes) = (Sha256::of(content), content.len() as u64);
        let file = LocalFile {
            path: path.clone(),
            set: Path::new("").into(),
            sha256,
            bytes,
            component: None,
        };
        Item {
            path,
            stored_path: stored_path.to_owned(),
            file,
            bytes,
            sha256,
        }
    }

    /// A set that was closed with `dkim/a` of one byte, which was stored `at` that second.
    fn remote(at: i64) -> RemoteSet {
        sealed(at, None)
    }

    /// As [`remote`], with a seal.
    fn sealed(at: i64, recorded: Option<Sha256>) -> RemoteSet {
        let listed = |key: &str, bytes, at| {
            let modified = Timestamp::from_second(at).unwrap();
            (
                key.to_owned(),
                Listed {
                    key: key.to_owned(),
                    bytes,
                    etag: Some("e".to_owned()),
                    modified,
                },
            )
        };
        let entry = Entry::plain(&(Sha256::of(b"a"), "dkim/a".parse().unwrap()));
        let contents = Contents {
            checksums: Vec::new(),
            sha256: Sha256::of(b""),
            layout: Layout::Plain,
            entries: vec![entry],
            encrypted: None,
            is_confirmed: true,
            locked_until: None,
            checksums_locked_until: None,
            seal: recorded,
        };
        let listed = [
            listed("checksums.sha256", 1, CLOSED),
            listed("dkim/a", 1, at),
        ]
        .into();
        RemoteSet::new(
            "daily/2026-11-23".parse().unwrap(),
            listed,
            Some(contents),
            None,
        )
    }

    #[track_caller]
    fn check(content: &[u8], remote: &RemoteSet, expected: &str) {
        let items = vec![item("dkim/a", content, "dkim/a")];
        let (_, disposition) = decide(items, remote, None, Askable::All).remove(0);
        let found = format!("{disposition:?}");
        assert!(found.starts_with(expected), "{found}");
    }

    #[test]
    fn only_what_was_confirmed_and_not_written_since_is_there() {
        check(b"a", &remote(CLOSED), "Keep");
        check(b"a", &remote(CLOSED + 1), "Ask");
        check(b"b", &remote(CLOSED), "Ask");
        check(b"ab", &remote(CLOSED), "Send");
        let mut others = remote(CLOSED);
        others.contents.as_mut().unwrap().is_confirmed = false;
        check(b"a", &others, "Ask");
        others.contents = None;
        check(b"a", &others, "Ask");
        others.listed.clear();
        check(b"a", &others, "Send");
    }

    #[test]
    fn a_seal_shows_more_than_times() {
        check(
            b"a",
            &sealed(CLOSED + 1, seal([("dkim/a", Some("e"))])),
            "Keep",
        );
        check(
            b"a",
            &sealed(CLOSED - 1, seal([("dkim/a", Some("other"))])),
            "Ask",
        );
    }

    #[test]
    fn what_is_encrypted_is_known_by_its_digest_before_and_for_the_same_readers_alone() {
        let mut remote = remote(CLOSED);
        let contents = remote.contents.as_mut().unwrap();
        contents.encrypted = Some(Encrypted {
            recipients: "age1x".to_owned(),
        });
        contents.entries[0].plain = Sha256::of(b"plain");
        let disposition = |recipients, askable| {
            let items = vec![item("dkim/a", b"plain", "dkim/a")];
            let (_, disposition) = decide(items, &remote, Some(recipients), askable).remove(0);
            format!("{disposition:?}")
        };
        assert!(disposition("age1x", Askable::All).starts_with("Keep"));
        let others =
            [Askable::All, Askable::PlainOnly].map(|askable| disposition("age1y", askable));
        assert_eq!(others, ["Ask", "Send"]);
    }
}
