//! The dumpdir of a directory: the names that it has, and in that of a mailbox first the renames
//! that lead there.
//!
//! GNU tar writes it into incremental archives and follows it at `--incremental`: it carries out
//! the renames, and deletes what is in the directory and not listed. In a pax archive it is the
//! record `GNU.dumpdir` of the directory entry. Format:
//! <https://www.gnu.org/software/tar/manual/html_node/Dumpdir.html>.
//!
//! tar believes it: it would rename across the whole file system, and search a listing that is not
//! sorted by halves and delete what it does not find. So reading is strict.

use std::collections::BTreeMap;

use super::error::Error;
use crate::relpath::{RelPath, UnsafePath};

/// What a listed name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Not a directory, and stored in this archive. tar removes a directory that has its name.
    Here,
    /// Not a directory, and stored elsewhere. tar leaves alone what has its name, a directory too.
    Elsewhere,
    /// A directory. tar removes anything else that has its name.
    Directory,
}

/// A file or a folder gets another name. Both are relative to the mail root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The name that it has.
    pub from: RelPath,
    /// The name that it gets. Folders that are not there are made; a file that is there is
    /// replaced.
    pub to: RelPath,
}

/// The renames of a mailbox, in the order in which they are carried out, and the names of one
/// directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dumpdir {
    /// Only in the dumpdir of the mailbox itself, which comes first: the purge of a folder would
    /// delete what is still to be moved out of it. What they put into the mailbox itself is not
    /// deleted by the same dumpdir: tar takes the names of a directory before it renames.
    pub renames: Vec<Rename>,
    names: BTreeMap<Vec<u8>, Listed>,
}

impl Dumpdir {
    /// Lists `name`, which is one component. The last word on a name counts.
    ///
    /// # Errors
    /// When no entry of a directory can have that name.
    pub fn list(&mut self, name: &[u8], listed: Listed) -> Result<(), UnsafePath> {
        RelPath::root().child(name)?;
        self.names.insert(name.to_vec(), listed);
        Ok(())
    }

    /// The listed names, sorted by bytes.
    pub fn names(&self) -> impl Iterator<Item = (&[u8], Listed)> {
        self.names
            .iter()
            .map(|(name, listed)| (name.as_slice(), *listed))
    }

    /// What `name` is, when it is listed.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<Listed> {
        self.names.get(name).copied()
    }

    /// The value of the record.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for rename in &self.renames {
            push(&mut bytes, b'R', rename.from.as_bytes());
            push(&mut bytes, b'T', rename.to.as_bytes());
        }
        for (name, listed) in &self.names {
            push(&mut bytes, letter(*listed), name);
        }
        bytes.push(0);
        bytes
    }

    /// Reads the record of `directory`, which lies in `mailbox`.
    ///
    /// # Errors
    /// When it does not end as it should, holds other elements, renames in another directory than
    /// the mailbox or out of it, or does not list its names in their order and once.
    pub fn parse(record: &[u8], directory: &RelPath, mailbox: &RelPath) -> Result<Self, Error> {
        let parser = Parser { directory, mailbox };
        let damaged = |reason| parser.damaged(reason);
        let body = match record {
            [0] => return Ok(Self::default()),
            [body @ .., 0, 0] => body,
            _ => return Err(damaged("it does not end with an empty element")),
        };
        let mut found = Self::default();
        let mut elements = body.split(|&byte| byte == 0);
        while let Some(element) = elements.next() {
            match element.split_first() {
                Some((b'R', _)) if !found.names.is_empty() || directory != mailbox => {
                    return Err(damaged(
                        "a rename stands elsewhere than first in the mailbox",
                    ));
                }
                Some((b'R', from)) => {
                    let to = elements.next().and_then(|next| next.strip_prefix(b"T"));
                    let to = to.ok_or_else(|| damaged("a rename has no target"))?;
                    let (from, to) = (parser.path(from)?, parser.path(to)?);
                    found.renames.push(Rename { from, to });
                }
                Some((letter, name)) => {
                    let listed = listed(*letter);
                    let listed = listed.ok_or_else(|| damaged("an element is of no known kind"))?;
                    parser.add(&mut found, name, listed)?;
                }
                None => return Err(damaged("an element is empty")),
            }
        }
        Ok(found)
    }
}

fn push(bytes: &mut Vec<u8>, letter: u8, text: &[u8]) {
    bytes.push(letter);
    bytes.extend_from_slice(text);
    bytes.push(0);
}

fn letter(listed: Listed) -> u8 {
    match listed {
        Listed::Here => b'Y',
        Listed::Elsewhere => b'N',
        Listed::Directory => b'D',
    }
}

fn listed(letter: u8) -> Option<Listed> {
    match letter {
        b'Y' => Some(Listed::Here),
        b'N' => Some(Listed::Elsewhere),
        b'D' => Some(Listed::Directory),
        _ => None,
    }
}

struct Parser<'a> {
    directory: &'a RelPath,
    mailbox: &'a RelPath,
}

impl Parser<'_> {
    fn damaged(&self, reason: &'static str) -> Error {
        Error::Damaged {
            directory: self.directory.clone(),
            reason,
        }
    }

    fn refused(&self, source: UnsafePath) -> Error {
        Error::Refused {
            directory: self.directory.clone(),
            source,
        }
    }

    /// A path of a rename: below the mailbox.
    fn path(&self, text: &[u8]) -> Result<RelPath, Error> {
        let path = RelPath::new(text).map_err(|source| self.refused(source))?;
        if path.is_within(self.mailbox) && path != *self.mailbox {
            return Ok(path);
        }
        Err(Error::RenamesOutside {
            directory: self.directory.clone(),
            path,
        })
    }

    fn add(&self, found: &mut Dumpdir, name: &[u8], listed: Listed) -> Result<(), Error> {
        let last = found.names.last_key_value();
        if last.is_some_and(|(last, _)| last.as_slice() >= name) {
            return Err(self.damaged("its names are not sorted"));
        }
        let added = found.list(name, listed);
        added.map_err(|source| self.refused(source))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::path;
    use super::*;
    use crate::failure::{Failure, FailureKind};
    use proptest::prelude::*;

    fn parse(record: &[u8]) -> Result<Dumpdir, Error> {
        Dumpdir::parse(record, &path("a.example/b"), &path("a.example/b"))
    }

    #[test]
    fn the_record_is_as_frozen_here() {
        let mut dumpdir = Dumpdir {
            renames: vec![Rename {
                from: path("a.example/b/cur/1"),
                to: path("a.example/b/.Sent/cur/1:2,S"),
            }],
            ..Dumpdir::default()
        };
        for (name, listed) in [
            (&b"cur"[..], Listed::Directory),
            (b"a\nb\xff", Listed::Elsewhere),
            (b"Zebra", Listed::Here),
        ] {
            dumpdir.list(name, listed).unwrap();
        }
        let record: &[u8] = b"Ra.example/b/cur/1\0Ta.example/b/.Sent/cur/1:2,S\0\
            YZebra\0Na\nb\xff\0Dcur\0\0";
        assert_eq!(dumpdir.to_bytes(), record);
        assert_eq!(parse(record).unwrap(), dumpdir);
        assert_eq!(Dumpdir::default().to_bytes(), b"\0");
        assert_eq!(parse(b"\0").unwrap(), Dumpdir::default());
    }

    #[test]
    fn damage_is_found() {
        for record in [
            &b""[..],
            b"Na",
            b"Na\0",
            b"\0\0",
            b"Na\0\0\0",
            b"Nb\0Na\0\0",
            b"Na\0Da\0\0",
            b"Xa\0\0",
            b"Ra.example/b/c\0\0",
            b"Ra.example/b/c\0Nd\0\0",
            b"Ta.example/b/c\0\0",
            b"Na\0Ra.example/b/c\0Ta.example/b/d\0\0",
        ] {
            let kind = parse(record).unwrap_err().kind();
            assert_eq!(kind, FailureKind::Damaged, "{record:?}");
        }
        let folder = path("a.example/b/cur");
        let record = b"Ra.example/b/c\0Ta.example/b/d\0\0";
        assert!(Dumpdir::parse(record, &folder, &path("a.example/b")).is_err());
    }

    #[test]
    fn what_leads_out_of_the_mailbox_is_refused() {
        for record in [
            &b"N..\0\0"[..],
            b"N.\0\0",
            b"N\0\0",
            b"Na/b\0\0",
            b"R/etc/passwd\0Ta.example/b/c\0\0",
            b"Ra.example/b/c\0T/etc/passwd\0\0",
            b"Ra.example/b/../x\0Ta.example/b/c\0\0",
            b"Ra.example/b/c\0Ta.example/bb/c\0\0",
            b"Ra.example/b\0Ta.example/b/c\0\0",
            b"R\0Ta.example/b/c\0\0",
        ] {
            let kind = parse(record).unwrap_err().kind();
            assert_eq!(kind, FailureKind::Refused, "{record:?}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(record in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&record);
        }

        #[test]
        fn what_is_written_is_read(
            names in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..9), 0..9),
        ) {
            let mut dumpdir = Dumpdir::default();
            for name in names {
                let _ = dumpdir.list(&name, Listed::Elsewhere);
            }
            prop_assert_eq!(parse(&dumpdir.to_bytes()).unwrap(), dumpdir);
        }
    }
}
