//! The mailboxes of a set: each with its index, or its state and indexes, or, in a set of the old
//! scripts, with its files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek};

use mail_common::archive::members::{self, Member, Members};
use mail_common::archive::state::StateReader;
use mail_common::archive::view::View;
use mail_common::beneath::Beneath;
use mail_common::checksum::Sha256;
use mail_common::failure::Failed;
use mail_common::maildir::is_message;
use mail_common::relpath::RelPath;
use mail_common::set::{
    Component, Inventory, Listing, SavedMailbox, SetFile, mailbox, saved_mailboxes,
};

use super::error::Error;

/// A part of the mail tree that a set keeps by itself.
#[derive(Debug)]
pub(crate) struct Unit<'a> {
    /// Its directory, relative to the mail root; the root for what lies above the mailboxes.
    pub(crate) path: RelPath,
    pub(crate) source: Source<'a>,
}

/// Where the entries of a unit are listed.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    /// In an index, or in indexes and a state.
    Saved(SavedMailbox),
    /// In the set's checksums, as files below `mail/`.
    Files(Vec<&'a SetFile>),
}

/// The units of a set, sorted by path.
///
/// # Errors
/// When the files of a mailbox contradict each other.
pub(crate) fn units(inventory: &Inventory) -> Result<Vec<Unit<'_>>, Error> {
    let saved = saved_mailboxes(inventory.of_component(Component::Mailboxes))?;
    let mut units: Vec<Unit<'_>> = saved.into_iter().filter_map(listed).collect();
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
    Ok(units)
}

/// The path of a file of the old scripts, relative to the mail root.
pub(super) fn plain_path(file: &SetFile) -> Option<RelPath> {
    mailbox::plain_path(&file.path)
}

fn listed(saved: SavedMailbox) -> Option<Unit<'static>> {
    if saved.listing == Listing::Lost {
        return None;
    }
    Some(Unit {
        path: saved.path(),
        source: Source::Saved(saved),
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

/// The members of a mailbox, one by one.
pub(crate) type MemberStream<'a> = Box<dyn Iterator<Item = Result<Member, members::Error>> + 'a>;

/// A mailbox whose index, or whose state and indexes, have the recorded digests.
#[derive(Debug)]
pub(crate) struct VerifiedMailbox<'a> {
    saved: &'a SavedMailbox,
    /// The file that errors name: the index, or the state.
    pub(crate) listing: RelPath,
    files: BTreeMap<RelPath, File>,
}

impl<'a> VerifiedMailbox<'a> {
    /// Opens and hashes what says what is in the archives: nothing of it is believed before.
    pub(crate) fn open(inventory: &Inventory, saved: &'a SavedMailbox) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        for file in saved.listing.files() {
            files.insert(file.path.clone(), open_verified(inventory, file)?);
        }
        let first = saved.listing.files().next().map(|file| file.path.clone());
        Ok(Self {
            saved,
            listing: first.unwrap_or_else(|| saved.directory.clone()),
            files,
        })
    }

    /// Its members, from the first, in the order in which they are stored.
    pub(crate) fn members(&self) -> Result<MemberStream<'_>, Error> {
        let unreadable = |source| Error::Index {
            index: self.listing.clone(),
            source,
        };
        let Listing::State { indexes, .. } = &self.saved.listing else {
            let view = View::of_index(self.rewound(&self.listing)?);
            return Ok(Box::new(view.map_err(unreadable)?));
        };
        let state = StateReader::open(self.rewound(&self.listing)?);
        let state = state.map_err(|source| unreadable(source.into()))?;
        self.saved.check_segments(&state.segments)?;
        Ok(Box::new(Members::new(state, |segment| {
            let index = indexes.get(segment).ok_or(io::ErrorKind::NotFound)?;
            self.rewound(&index.path).map_err(io::Error::other)
        })))
    }

    /// A file at its beginning: each is read to its end before it is opened again.
    fn rewound(&self, path: &RelPath) -> Result<&File, Failed> {
        let missing = || Failed::at("open", path.as_path())(io::ErrorKind::NotFound.into());
        let mut file = self.files.get(path).ok_or_else(missing)?;
        file.rewind().map_err(Failed::at("read", path.as_path()))?;
        Ok(file)
    }
}

/// Opens and hashes a file that says what is in the archives.
fn open_verified(inventory: &Inventory, file: &SetFile) -> Result<File, Error> {
    let opened = open_listing(inventory, file)?;
    verify_listing(&opened, file)?;
    Ok(opened)
}

/// Opens a file that says what is in the archives.
pub(crate) fn open_listing(inventory: &Inventory, file: &SetFile) -> Result<File, Failed> {
    let path = file.path.as_path();
    let set = Beneath::open(&inventory.set).map_err(Failed::at("read", path))?;
    set.regular_file(&file.path)
        .map_err(Failed::at("read", path))
}

/// Whether an opened file has the digest that the set has on record.
pub(crate) fn verify_listing(mut opened: &File, file: &SetFile) -> Result<(), Error> {
    let (digest, _) =
        Sha256::of_reader(&mut opened).map_err(Failed::at("read", file.path.as_path()))?;
    if digest != file.sha256 {
        return Err(Error::IndexDigest {
            index: file.path.clone(),
        });
    }
    Ok(())
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
