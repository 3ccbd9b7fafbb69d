//! What a live mailbox holds already, in whatever folder: compared by size first, then by digest.
//!
//! Dovecot may move and flag messages meanwhile. A mailbox in which something changed while it was
//! looked through is looked through again, so that no message is missed because it was being
//! renamed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use mail_common::checksum::Sha256;
use mail_common::maildir::holds_messages;
use mail_common::relpath::RelPath;
use rustix::fs::{FileType, Stat};

use super::directory::Directory;
use super::work::for_each;

/// How often a mailbox that never holds still is looked through.
const ROUNDS: usize = 5;

/// The mode of a message where there is none to take it from.
const MESSAGE_MODE: u32 = 0o600;

/// The messages of a mailbox that have one of the wanted sizes.
#[derive(Debug)]
pub(crate) struct Present {
    by_digest: BTreeMap<Sha256, RelPath>,
    /// The permission bits that messages have here.
    pub(super) mode: u32,
}

impl Present {
    /// Where a message with this content is, relative to the mailbox.
    pub(crate) fn place_of(&self, sha256: Sha256) -> Option<&RelPath> {
        self.by_digest.get(&sha256)
    }
}

/// What tells a file from every other, and from itself with another content: inode, size,
/// modification and change time.
pub(crate) type Identity = (u64, u64, i64, i64);

/// Looks through all folders of `mailbox` for messages of these sizes.
pub(super) fn look_through(mailbox: &Directory, sizes: &BTreeSet<u64>) -> io::Result<Present> {
    look_through_knowing(mailbox, sizes, HashMap::new())
}

/// The same, where the contents of some files are known and need not be read.
pub(crate) fn look_through_knowing(
    mailbox: &Directory,
    sizes: &BTreeSet<u64>,
    mut known: HashMap<Identity, Sha256>,
) -> io::Result<Present> {
    let mut round = 1;
    loop {
        let mut listing = Listing::default();
        listing.add(mailbox, &RelPath::root(), sizes)?;
        let digests = digests(mailbox, &listing.files, &mut known)?;
        if round == ROUNDS || (digests.is_whole && listing.is_settled && listing.holds(mailbox)?) {
            let mode = listing
                .mode
                .map_or(MESSAGE_MODE, |mode| (mode & 0o666) | MESSAGE_MODE);
            return Ok(Present {
                by_digest: digests.by_digest,
                mode,
            });
        }
        round += 1;
    }
}

/// A message as the listing has it.
#[derive(Debug)]
struct Listed {
    path: RelPath,
    /// What tells in the next round that it was hashed.
    identity: Identity,
}

/// All messages at one moment, if nothing changed meanwhile.
#[derive(Debug)]
struct Listing {
    files: Vec<Listed>,
    /// The directories of messages, with their times before they were read.
    read: Vec<(RelPath, (i64, i64))>,
    mode: Option<u32>,
    is_settled: bool,
}

impl Default for Listing {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            read: Vec::new(),
            mode: None,
            is_settled: true,
        }
    }
}

impl Listing {
    /// Adds the folder at `path` and those in it.
    fn add(&mut self, folder: &Directory, path: &RelPath, sizes: &BTreeSet<u64>) -> io::Result<()> {
        for entry in folder
            .entries()?
            .into_iter()
            .filter(|entry| entry.is_directory && entry.name != b"tmp")
        {
            let child = path.child(&entry.name).map_err(io::Error::other)?;
            let opened = match folder.open(&entry.name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.is_settled = false;
                    continue;
                }
                opened => opened?,
            };
            if holds_messages(&entry.name) {
                self.add_messages(&opened, child, sizes)?;
            } else {
                self.add(&opened, &child, sizes)?;
            }
        }
        Ok(())
    }

    fn add_messages(
        &mut self,
        directory: &Directory,
        path: RelPath,
        sizes: &BTreeSet<u64>,
    ) -> io::Result<()> {
        let before = times(&directory.stat()?);
        for entry in directory.entries()? {
            let stat = match directory.look(&entry.name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.is_settled = false;
                    continue;
                }
                stat => stat?,
            };
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                continue;
            }
            self.mode.get_or_insert(stat.st_mode & 0o777);
            if sizes.contains(&size) {
                let path = path.child(&entry.name).map_err(io::Error::other)?;
                self.files.push(Listed {
                    path,
                    identity: identity(&stat, size),
                });
            }
        }
        self.read.push((path, before));
        Ok(())
    }

    /// Whether no directory has changed since it was read.
    fn holds(&self, mailbox: &Directory) -> io::Result<bool> {
        for (path, before) in &self.read {
            match mailbox.descend(path).and_then(|directory| directory.stat()) {
                Ok(stat) if times(&stat) == *before => {}
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

fn identity(stat: &Stat, size: u64) -> Identity {
    let (modified, changed) = times(stat);
    (stat.st_ino, size, modified, changed)
}

/// Modification and change time in nanoseconds.
fn times(stat: &Stat) -> (i64, i64) {
    let nanoseconds =
        |seconds: i64, nanoseconds: i64| seconds.saturating_mul(1_000_000_000) + nanoseconds;
    let part = |value: u64| i64::try_from(value).unwrap_or(0);
    (
        nanoseconds(stat.st_mtime, part(stat.st_mtime_nsec)),
        nanoseconds(stat.st_ctime, part(stat.st_ctime_nsec)),
    )
}

struct Digests {
    by_digest: BTreeMap<Sha256, RelPath>,
    /// No message vanished before it was hashed.
    is_whole: bool,
}

/// Hashes on all processors what an earlier round has not.
fn digests(
    mailbox: &Directory,
    files: &[Listed],
    known: &mut HashMap<Identity, Sha256>,
) -> io::Result<Digests> {
    let new: Vec<&Listed> = files
        .iter()
        .filter(|file| !known.contains_key(&file.identity))
        .collect();
    let hashed = for_each(&new, |file| hash(mailbox, &file.path));
    let mut is_whole = true;
    for (file, digest) in new.iter().zip(hashed) {
        match digest {
            Ok(digest) => drop(known.insert(file.identity, digest)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => is_whole = false,
            Err(error) => return Err(error),
        }
    }
    let mut by_digest = BTreeMap::new();
    for file in files {
        if let Some(digest) = known.get(&file.identity) {
            by_digest
                .entry(*digest)
                .or_insert_with(|| file.path.clone());
        }
    }
    Ok(Digests {
        by_digest,
        is_whole,
    })
}

fn hash(mailbox: &Directory, path: &RelPath) -> io::Result<Sha256> {
    hash_file(mailbox, path).map(|(digest, _)| digest)
}

/// Digest and size of the file at `path` below `directory`.
pub(super) fn hash_file(directory: &Directory, path: &RelPath) -> io::Result<(Sha256, u64)> {
    let parent = path.parent().unwrap_or_else(RelPath::root);
    Sha256::of_reader(directory.descend(&parent)?.open_file(path.name())?)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests make the mailbox")]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mailbox(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    fn look(dir: &tempfile::TempDir, sizes: &[u64]) -> Present {
        let sizes = sizes.iter().copied().collect();
        look_through(&Directory::open_root(dir.path()).unwrap(), &sizes).unwrap()
    }

    #[test]
    fn a_message_is_found_in_any_folder() {
        let dir = mailbox(&[
            ("cur/1.a:2,S", "one"),
            ("new/2.b", "two"),
            (".Archive.2025/cur/3.c:2,", "three"),
            ("Work/Old/cur/4.d:2,", "four"),
            ("tmp/5.e", "six"),
            ("dovecot-uidlist", "ten"),
        ]);
        let present = look(&dir, &[3, 4, 5]);
        let place = |content: &str| {
            present
                .place_of(Sha256::of(content.as_bytes()))
                .map(ToString::to_string)
        };
        assert_eq!(place("one").as_deref(), Some("cur/1.a:2,S"));
        assert_eq!(place("two").as_deref(), Some("new/2.b"));
        assert_eq!(place("three").as_deref(), Some(".Archive.2025/cur/3.c:2,"));
        assert_eq!(place("four").as_deref(), Some("Work/Old/cur/4.d:2,"));
        for nowhere in ["six", "ten", "xyz"] {
            assert_eq!(place(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn links_are_not_followed() {
        let outside = mailbox(&[("cur/1.a:2,S", "one")]);
        let dir = mailbox(&[("new/2.b", "two")]);
        symlink(outside.path().join("cur"), dir.path().join("cur")).unwrap();
        symlink(outside.path(), dir.path().join(".Other")).unwrap();
        symlink(
            outside.path().join("cur/1.a:2,S"),
            dir.path().join("new/3.c"),
        )
        .unwrap();
        assert_eq!(look(&dir, &[3]).place_of(Sha256::of(b"one")), None);
    }

    #[test]
    fn messages_are_given_the_mode_of_those_that_are_there() {
        let dir = mailbox(&[("cur/1.a:2,S", "one")]);
        let set = |mode| {
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(dir.path().join("cur/1.a:2,S"), permissions).unwrap();
        };
        for (there, expected) in [
            (0o600, 0o600),
            (0o640, 0o640),
            (0o777, 0o666),
            (0o400, 0o600),
        ] {
            set(there);
            assert_eq!(look(&dir, &[]).mode, expected, "{there:o}");
        }
        assert_eq!(look(&mailbox(&[("tmp/x", "")]), &[]).mode, 0o600);
    }
}
