//! What a live mailbox holds already, in whatever folder: compared by size first, then by digest.
//!
//! Dovecot may move and flag messages meanwhile. A mailbox in which something changed while it was
//! looked through is looked through again, so that no message is missed because it was being
//! renamed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::io;

use mail_common::checksum::Sha256;
use mail_common::maildir::holds_messages;
use mail_common::relpath::RelPath;
use rustix::fs::{FileType, Stat};

use super::directory::{Directory, Entry};
use super::work::for_each;

/// How often a mailbox that never holds still is looked through.
const ROUNDS: usize = 5;

/// The mode of a message where there is none to take it from.
const MESSAGE_MODE: u32 = 0o600;

/// Files of a directory that are looked at together.
const CHUNK: usize = 4096;

/// The wanted messages that a mailbox has.
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

/// Sizes and digests of messages that are looked for.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    sizes: BTreeSet<u64>,
    digests: HashSet<Sha256>,
}

impl Wanted {
    pub(crate) fn of(files: impl Iterator<Item = (u64, Sha256)>) -> Self {
        let mut wanted = Self::default();
        for (size, digest) in files {
            wanted.sizes.insert(size);
            wanted.digests.insert(digest);
        }
        wanted
    }
}

/// What tells a file from every other, and from itself with another content: inode, size,
/// modification and change time.
pub(crate) type Identity = (u64, u64, i64, i64);

/// What a run knows of the files of live mailboxes.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Their contents, which need not be read again.
    digests: HashMap<Identity, Sha256>,
    /// Devices and inodes of what this run has added: it was not there before.
    pub(super) added: HashSet<(u64, u64)>,
}

impl Known {
    /// Where the contents of these files are known.
    pub(crate) fn of(digests: HashMap<Identity, Sha256>) -> Self {
        let added = HashSet::new();
        Self { digests, added }
    }

    /// A new run begins: what the one before has added is there.
    pub(crate) fn begin(&mut self) {
        self.added.clear();
    }
}

/// Looks through all folders of `mailbox` for these messages.
pub(crate) fn look_through(
    mailbox: &Directory,
    wanted: &Wanted,
    known: &mut Known,
) -> io::Result<Present> {
    let is_wanted = |size| wanted.sizes.contains(&size);
    let note = |places: &mut BTreeMap<Sha256, RelPath>, digest, folder: &RelPath, name: &[u8]| {
        if wanted.digests.contains(&digest)
            && let Ok(path) = folder.child(name)
        {
            places.entry(digest).or_insert(path);
        }
    };
    let (by_digest, mode) = walk(mailbox, &is_wanted, known, &note)?;
    let mode = mode.map_or(MESSAGE_MODE, |mode| (mode & 0o666) | MESSAGE_MODE);
    Ok(Present { by_digest, mode })
}

/// All contents of `mailbox`, as the keys that `key` makes of their digests.
pub(crate) fn contents_of<K: Eq + Hash>(
    mailbox: &Directory,
    known: &mut Known,
    key: impl Fn(Sha256) -> K,
) -> io::Result<HashSet<K>> {
    let note = |keys: &mut HashSet<K>, digest, _: &RelPath, _: &[u8]| {
        keys.insert(key(digest));
    };
    Ok(walk(mailbox, &|_| true, known, &note)?.0)
}

/// What is done with a content: its digest, its folder and its name.
type Note<'a, P> = &'a dyn Fn(&mut P, Sha256, &RelPath, &[u8]);

/// Notes all messages of wanted sizes at one moment, and the mode of one of them.
fn walk<P: Default>(
    mailbox: &Directory,
    is_wanted: &dyn Fn(u64) -> bool,
    known: &mut Known,
    note: Note<'_, P>,
) -> io::Result<(P, Option<u32>)> {
    let mut round = 1;
    loop {
        let mut walk = Walk {
            is_wanted,
            known: &mut *known,
            note,
            places: P::default(),
            read: Vec::new(),
            mode: None,
            is_settled: true,
        };
        walk.folder(mailbox, &RelPath::root())?;
        if round == ROUNDS || (walk.is_settled && walk.holds(mailbox)?) {
            return Ok((walk.places, walk.mode));
        }
        round += 1;
    }
}

/// A message as the listing has it.
#[derive(Debug)]
struct Listed {
    name: Vec<u8>,
    /// What tells in the next round that it was hashed.
    identity: Identity,
}

/// One round.
struct Walk<'a, P> {
    is_wanted: &'a dyn Fn(u64) -> bool,
    known: &'a mut Known,
    note: Note<'a, P>,
    places: P,
    /// The directories of messages, with their times before they were read.
    read: Vec<(RelPath, (i64, i64))>,
    mode: Option<u32>,
    /// Nothing vanished while it was looked at.
    is_settled: bool,
}

impl<P> Walk<'_, P> {
    /// Looks through the folder at `path` and those in it.
    fn folder(&mut self, folder: &Directory, path: &RelPath) -> io::Result<()> {
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
                self.messages(&opened, child)?;
            } else {
                self.folder(&opened, &child)?;
            }
        }
        Ok(())
    }

    fn messages(&mut self, directory: &Directory, path: RelPath) -> io::Result<()> {
        let before = times(&directory.stat()?);
        for entries in directory.entries()?.chunks(CHUNK) {
            let listed = self.list(directory, entries)?;
            self.hash(directory, &listed)?;
            for file in &listed {
                if let Some(digest) = self.known.digests.get(&file.identity) {
                    (self.note)(&mut self.places, *digest, &path, &file.name);
                }
            }
        }
        self.read.push((path, before));
        Ok(())
    }

    /// The messages among `entries` that have a wanted size.
    fn list(&mut self, directory: &Directory, entries: &[Entry]) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for entry in entries {
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
            let is_ours = self.known.added.contains(&(stat.st_dev, stat.st_ino));
            if (self.is_wanted)(size) && !is_ours {
                listed.push(Listed {
                    name: entry.name.clone(),
                    identity: identity(&stat, size),
                });
            }
        }
        Ok(listed)
    }

    /// Hashes on all processors what is not known.
    fn hash(&mut self, directory: &Directory, listed: &[Listed]) -> io::Result<()> {
        let is_new = |file: &&Listed| !self.known.digests.contains_key(&file.identity);
        let new: Vec<&Listed> = listed.iter().filter(is_new).collect();
        let hashed = for_each(&new, |file| {
            Sha256::of_reader(directory.open_file(&file.name)?)
        });
        for (file, hashed) in new.iter().zip(hashed) {
            match hashed {
                Ok((digest, _)) => drop(self.known.digests.insert(file.identity, digest)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.is_settled = false,
                Err(error) => return Err(error),
            }
        }
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

    const CONTENTS: [&str; 6] = ["one", "two", "three", "four", "six", "ten"];

    fn look(dir: &tempfile::TempDir, sizes: &[u64]) -> Present {
        look_knowing(dir, sizes, &mut Known::default())
    }

    fn look_knowing(dir: &tempfile::TempDir, sizes: &[u64], known: &mut Known) -> Present {
        let wanted = Wanted {
            sizes: sizes.iter().copied().collect(),
            digests: CONTENTS.map(|text| Sha256::of(text.as_bytes())).into(),
        };
        let mailbox = Directory::open_root(dir.path()).unwrap();
        look_through(&mailbox, &wanted, known).unwrap()
    }

    /// A restore in several lots adds a message and its copy in another folder alike.
    #[test]
    fn what_this_run_added_was_not_there() {
        use std::os::unix::fs::MetadataExt;
        let dir = mailbox(&[("cur/1.a:2,S", "one"), ("new/2.b", "two")]);
        let mut known = Known::default();
        let added = fs::metadata(dir.path().join("new/2.b")).unwrap();
        known.added.insert((added.dev(), added.ino()));
        let present = look_knowing(&dir, &[3], &mut known);
        assert!(present.place_of(Sha256::of(b"one")).is_some());
        assert_eq!(present.place_of(Sha256::of(b"two")), None);
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
