//! What the checksums of a set list; in an encrypted set, with the digests from before the
//! encryption.
//!
//! The manifest beside an encrypted set is a stream of records like any other. Records that
//! describe a file have `plain_bytes` and `plain_sha256` beside `bytes` and `sha256`, and its
//! `begin` has the `recipients`.

use std::collections::HashMap;

use mail_common::checksum::Sha256;
use mail_common::relpath::{PathField, RelPath};
use serde_json::Value;

use crate::layout::AGE;

/// A file that the checksums list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As it is stored.
    pub(crate) path: RelPath,
    /// The digest of what is stored.
    pub(crate) stored: Sha256,
    /// The digest of the file in the set; the same where nothing is encrypted.
    pub(crate) plain: Sha256,
    /// The size of the file in the set, where it is encrypted.
    pub(crate) plain_bytes: Option<u64>,
}

/// To whom a set is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encrypted {
    /// Public keys, sorted, a blank between them.
    pub(crate) recipients: String,
}

impl Entry {
    /// A file that is stored as it is in the set.
    pub(crate) fn plain((sha256, path): &(Sha256, RelPath)) -> Self {
        Self {
            path: path.clone(),
            stored: *sha256,
            plain: *sha256,
            plain_bytes: None,
        }
    }

    /// The name of the file in the set. One that is not encrypted may end in `.age` all the same.
    pub(crate) fn plain_path(&self) -> RelPath {
        let plain = self
            .path
            .as_bytes()
            .strip_suffix(AGE.as_bytes())
            .filter(|_| self.is_encrypted());
        plain
            .and_then(|plain| RelPath::new(plain).ok())
            .unwrap_or_else(|| self.path.clone())
    }

    /// Whether this file alone is encrypted: the manifest and the checksums beside the set are not.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.plain_bytes.is_some()
    }
}

/// The text of a path, where it is some.
pub(crate) trait AsText {
    /// `None` when it is not UTF-8.
    fn as_text(&self) -> Option<&str>;
}

impl AsText for RelPath {
    fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()).ok()
    }
}

/// Takes the digests from before the encryption out of the manifest of an encrypted set.
pub(super) fn read_encrypted(manifest: &[u8], entries: &mut [Entry]) -> Result<Encrypted, String> {
    let mut encrypted = Encrypted::default();
    let mut digests = HashMap::new();
    for line in manifest
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let record: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let data = &record["data"];
        if let Some(recipients) = data["recipients"].as_str() {
            recipients.clone_into(&mut encrypted.recipients);
        }
        if let Some(plain) = data["plain_sha256"].as_str() {
            let path = path_of(data).ok_or("a record without its path")?;
            let sha256: Sha256 = plain.parse().map_err(|_| "a record without its digest")?;
            let bytes = data["plain_bytes"]
                .as_u64()
                .ok_or("a record without its size")?;
            digests.insert(path, (sha256, bytes));
        }
    }
    for entry in entries
        .iter_mut()
        .filter(|entry| entry.path.as_bytes().ends_with(AGE.as_bytes()))
    {
        let (plain, bytes) = digests
            .get(&entry.path)
            .ok_or_else(|| format!("no record of {}", entry.path))?;
        (entry.plain, entry.plain_bytes) = (*plain, Some(*bytes));
    }
    Ok(encrypted)
}

/// The path in the data of a record.
pub(crate) fn path_of(data: &Value) -> Option<RelPath> {
    let text = |name: &str| data[name].as_str().map(str::to_owned);
    RelPath::try_from(&PathField {
        path: text("path")?,
        path_b64: text("path_b64"),
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_before_encryption_come_from_the_manifest() {
        let (stored, plain) = (Sha256::of(b"x"), Sha256::of(b"y"));
        let entry = |path: &str| Entry::plain(&(stored, path.parse().unwrap()));
        let mut entries = [entry("dkim/a.age"), entry("manifest.jsonl")];
        let manifest = format!(
            "{}\n{}\n",
            r#"{"type":"begin","data":{"recipients":"age1x"}}"#,
            format_args!(
                r#"{{"type":"x","data":{{"path":"dkim/a.age","plain_bytes":7,"plain_sha256":"{plain}"}}}}"#
            )
        );
        let encrypted = read_encrypted(manifest.as_bytes(), &mut entries).unwrap();
        assert_eq!(encrypted.recipients, "age1x");
        assert_eq!((entries[0].plain, entries[0].plain_bytes), (plain, Some(7)));
        assert_eq!(
            (entries[1].plain, entries[1].is_encrypted()),
            (stored, false)
        );
        assert!(
            read_encrypted(b"{}\n", &mut entries)
                .unwrap_err()
                .contains("no record of dkim/a.age")
        );
    }

    #[test]
    fn names_lose_only_that_ending() {
        let check = |stored: &str, plain_bytes: Option<u64>, plain: &str| {
            let entry = Entry {
                plain_bytes,
                ..Entry::plain(&(Sha256::of(b""), stored.parse().unwrap()))
            };
            assert_eq!(entry.plain_path().to_string(), plain);
        };
        check("a/b.tar.zst.age", Some(1), "a/b.tar.zst");
        check("a/b.tar.zst", None, "a/b.tar.zst");
        check("config/secrets.age", None, "config/secrets.age");
        check(".age", Some(1), ".age");
    }
}
