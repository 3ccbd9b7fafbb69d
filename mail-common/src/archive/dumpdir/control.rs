//! What `0000` says to tar: the dumpdirs of its directories, and the renames of the first.
//!
//! Listings are kept as their sums: memory grows with the directories, and not with the messages.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;

use super::error::Error;
use super::record::{Dumpdir, Listed, Rename};
use crate::archive::reader::{Head, MemberKind, TarReader};
use crate::relpath::RelPath;

/// What `0000` must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every directory has its dumpdir.
    Mailbox,
    /// What lies above mailboxes: no directory may have one, which would delete them.
    Above,
    /// All of a mail tree that is not divided, or what lies above no mailbox: the one or the other.
    Alone,
}

/// The names of a directory: how many, and the sum of the digests of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    count: u64,
    sum: u64,
}

/// What `0000` says to tar.
#[derive(Debug)]
pub struct Dumpdirs {
    pub(super) mailbox: RelPath,
    pub(super) scope: Scope,
    pub(super) renames: Vec<Rename>,
    pub(super) listings: BTreeMap<RelPath, Names>,
    /// The members of `0000`, sorted, each once.
    pub(super) members: Vec<RelPath>,
    hasher: RandomState,
}

impl Dumpdirs {
    /// Reads the members of `0000` of `mailbox` to the end of the archive.
    ///
    /// # Errors
    /// When it is damaged, or has dumpdirs where there may be none, or none where there must be.
    pub fn read(
        mailbox: &RelPath,
        scope: Scope,
        mut tar: TarReader<impl Read>,
    ) -> Result<Self, Error> {
        let mut dumpdirs = Self {
            mailbox: mailbox.clone(),
            scope,
            renames: Vec::new(),
            listings: BTreeMap::new(),
            members: Vec::new(),
            hasher: RandomState::new(),
        };
        let archive = |source| Error::Archive {
            mailbox: mailbox.clone(),
            source,
        };
        while let Some(head) = tar.next_member().map_err(archive)? {
            dumpdirs.meet(head)?;
        }
        tar.finish().map_err(archive)?;
        if dumpdirs.scope == Scope::Mailbox {
            if dumpdirs.members.len() < 2 {
                return Err(dumpdirs.beginning());
            }
            dumpdirs.members.remove(1);
        }
        dumpdirs.members.sort();
        Ok(dumpdirs)
    }

    fn meet(&mut self, head: Head) -> Result<(), Error> {
        if self.scope == Scope::Alone {
            self.scope = match head.dumpdir {
                Some(_) => Scope::Mailbox,
                None => Scope::Above,
            };
        }
        let path = head.path().map_err(|source| Error::Name {
            mailbox: self.mailbox.clone(),
            source,
        })?;
        if !path.is_within(&self.mailbox) {
            return Err(self.outside(&path));
        }
        let is_first = self.members.len() < 2 && self.scope == Scope::Mailbox;
        if is_first && path != self.mailbox {
            return Err(self.beginning());
        }
        let is_directory = head.kind == MemberKind::Directory;
        match (head.dumpdir, self.scope) {
            (Some(record), Scope::Mailbox) if is_directory => self.list(&path, &record)?,
            (Some(_), _) => return Err(presence(&path, "a dumpdir")),
            (None, Scope::Mailbox) if is_directory => return Err(presence(&path, "no dumpdir")),
            (None, _) => {}
        }
        self.members.push(path);
        Ok(())
    }

    /// Only the first entry may rename: that of the mailbox follows once more, without.
    fn list(&mut self, directory: &RelPath, record: &[u8]) -> Result<(), Error> {
        let dumpdir = Dumpdir::parse(record, directory, &self.mailbox)?;
        let mut names = Names::default();
        for (name, listed) in dumpdir.names() {
            self.add_name(&mut names, name, listed);
        }
        let before = self.listings.insert(directory.clone(), names);
        match self.members.len() {
            0 => self.renames = dumpdir.renames,
            1 if dumpdir.renames.is_empty() && before == Some(names) => {}
            number if number > 1 && dumpdir.renames.is_empty() && before.is_none() => {}
            _ => return Err(self.beginning()),
        }
        Ok(())
    }

    pub(super) fn add_name(&self, names: &mut Names, name: &[u8], listed: Listed) {
        let letter = match listed {
            Listed::Here => 'Y',
            Listed::Elsewhere => 'N',
            Listed::Directory => 'D',
        };
        names.count += 1;
        let digest = self.hasher.hash_one((letter, name));
        names.sum = names.sum.wrapping_add(digest);
    }

    fn beginning(&self) -> Error {
        Error::Beginning {
            mailbox: self.mailbox.clone(),
        }
    }

    pub(super) fn outside(&self, path: &RelPath) -> Error {
        Error::Outside {
            path: path.clone(),
            mailbox: self.mailbox.clone(),
        }
    }
}

fn presence(directory: &RelPath, found: &'static str) -> Error {
    let directory = directory.clone();
    Error::Presence { directory, found }
}
