//! The mailboxes of a set: each with its index, or, in a set of the old scripts, with its files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek};
use std::sync::Arc;

use mail_common::archive::index::IndexReader;
use mail_common::beneath::Beneath;
use mail_common::checksum::Sha256;
use mail_common::failure::Failed;
use mail_common::maildir::is_message;
use mail_common::relpath::RelPath;
use mail_common::set::{Component, Inventory, SetFile, mailbox};

use super::error::Error;

/// A part of the mail tree that a set keeps by itself.
#[derive(Debug)]
pub(super) struct Unit<'a> {
    /// Its directory, relative to the mail root; the root for what lies above the mailboxes.
    pub(super) path: RelPath,
    pub(super) source: Source<'a>,
}

/// Where the entries of a unit are listed.
#[derive(Debug)]
pub(super) enum Source<'a> {
    /// In an index of a directory of the set.
    Index {
        directory: Arc<RelPath>,
        index: &'a SetFile,
    },
    /// In the set's checksums, as files below `mail/`.
    Files(Vec<&'a SetFile>),
}

/// The units of a set, sorted by path.
pub(super) fn units(inventory: &Inventory) -> Vec<Unit<'_>> {
    let mut units: Vec<Unit<'_>> = inventory
        .of_component(Component::Mailboxes)
        .filter_map(indexed)
        .collect();
    let mut plain: BTreeMap<RelPath, Vec<&SetFile>> = BTreeMap::new();
    for file in inventory.of_component(Component::Mailboxes) {
        let path = mailbox::plain_path(&file.path);
        if let Some(mailbox) = path.and_then(|path| plain_mailbox(&path)) {
            plain.entry(mailbox).or_default().push(file);
        }
    }
    units.extend(plain.into_iter().map(|(path, files)| Unit {
        path,
        source: Source::Files(files),
    }));
    units.sort_by(|a, b| a.path.cmp(&b.path));
    units
}

/// The path of a file of the old scripts, relative to the mail root.
pub(super) fn plain_path(file: &SetFile) -> Option<RelPath> {
    mailbox::plain_path(&file.path)
}

fn indexed(file: &SetFile) -> Option<Unit<'_>> {
    if !mailbox::is_index(&file.path) {
        return None;
    }
    let directory = file.path.parent()?;
    Some(Unit {
        path: mailbox::mailbox_of(&directory)?,
        source: Source::Index {
            directory: Arc::new(directory),
            index: file,
        },
    })
}

/// Domain and user of a file of the old scripts, which knew mailboxes at depth 2 only; less where
/// it lies higher.
fn plain_mailbox(path: &RelPath) -> Option<RelPath> {
    let folder = if is_message(path) {
        path.parent()?.parent()?
    } else {
        path.parent()?
    };
    let parts: Vec<&[u8]> = folder.components().take(2).collect();
    if parts.is_empty() {
        return Some(RelPath::root());
    }
    RelPath::new(parts.join(&b'/')).ok()
}

/// An index whose digest is the recorded one.
#[derive(Debug)]
pub(super) struct VerifiedIndex {
    file: File,
    pub(super) path: RelPath,
}

impl VerifiedIndex {
    /// Opens an index and hashes it: nothing of it is believed before.
    pub(super) fn open(inventory: &Inventory, index: &SetFile) -> Result<Self, Error> {
        let path = index.path.clone();
        let read = |source| Failed::at("read", path.as_path())(source);
        let set = Beneath::open(&inventory.set).map_err(read)?;
        let mut file = set.regular_file(&path).map_err(read)?;
        let (digest, _) = Sha256::of_reader(&file).map_err(read)?;
        if digest != index.sha256 {
            return Err(Error::IndexDigest { index: path });
        }
        file.rewind().map_err(read)?;
        Ok(Self { file, path })
    }

    /// Its entries, from the first.
    pub(super) fn entries(&mut self) -> Result<IndexReader<impl io::BufRead + use<'_>>, Error> {
        let started = self
            .file
            .rewind()
            .and_then(|()| IndexReader::open(&self.file));
        Ok(started.map_err(Failed::at("read", self.path.as_path()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_old_scripts_belong_to_a_mailbox() {
        let check = |path: &str, expected: &str| {
            assert_eq!(
                plain_mailbox(&path.parse().unwrap()).unwrap().to_string(),
                expected,
                "{path}"
            );
        };
        check("example.com/alice/cur/1", "example.com/alice");
        check("example.com/alice/.Sent/cur/1", "example.com/alice");
        check("example.com/alice/dovecot-keywords", "example.com/alice");
        check("alice/cur/1", "alice");
        check("cur/1", ".");
    }
}
