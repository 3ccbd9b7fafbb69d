//! Moves an infected message out of a live Maildir, with a note that says where it was and why.
//! Nothing is ever taken out of a backup set.
//!
//! Root acts here on files of mail users, who can exchange a directory of theirs for a link between
//! any two steps. So the folder of the message is opened once, from the top of the tree and over no
//! link, and everything is done in that open folder by name: looked at, renamed, removed. A link
//! that takes the folder's place meanwhile is never followed; the worst that an exchange does is
//! that the message is not found.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mail_common::atomic::{self, StoredFile};
use mail_common::checksum::Sha256;
use mail_common::failure::{Failed, Failure, FailureKind};
use mail_common::relpath::PathField;
use mail_common::set::CHECKSUMS;
use mail_common::text::inert_json;
use mail_common::trusted;
use rustix::fs::{AtFlags, Mode};
use serde::Serialize;

use crate::finding::Finding;
use crate::item::Item;
use crate::look::{Look, Opened, open_in};
use crate::maildir;
use crate::tree::{Tree, is_gone};
use crate::verdict::Verdict;

/// Between two looks for a message its flags may change again; that is followed this often.
const ATTEMPTS: usize = 3;

/// The directory that infected messages are moved to.
#[derive(Debug)]
pub(crate) struct Quarantine {
    path: PathBuf,
    dir: OwnedFd,
    time: String,
}

/// What became of an infected file.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is there now.
    Moved(PathBuf),
    /// It is where it was, and why.
    Left(&'static str),
}

/// Why an infected message is still where it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QuarantineError {
    #[error(transparent)]
    Make(Failed),
    #[error("write the note {}; the message is still at {}", note.display(), file.display())]
    Note {
        note: PathBuf,
        file: PathBuf,
        source: io::Error,
    },
    #[error("move {} to the quarantine", file.display())]
    Move { file: PathBuf, source: io::Error },
    #[error("{} is no longer the file that was scanned; scan it again", file.display())]
    Changed { file: PathBuf },
}

impl Failure for QuarantineError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Make(failed) => failed.kind(),
            Self::Note { source, .. } | Self::Move { source, .. } => FailureKind::of_io(source),
            Self::Changed { .. } => FailureKind::Changed,
        }
    }
}

/// A message in its open folder.
struct Message {
    folder: OwnedFd,
    /// Where it was found, for people and the note.
    file: PathBuf,
}

/// What is kept beside a message: enough to give it back.
#[derive(Serialize)]
struct Note<'a> {
    #[serde(flatten)]
    path: PathField,
    sha256: String,
    signature: &'a str,
    engine: &'a str,
    time: &'a str,
    message_id: Option<&'a str>,
    subject: Option<&'a str>,
    mode: String,
    uid: u32,
    gid: u32,
}

impl Quarantine {
    /// Makes the directory where it is not there.
    pub(crate) fn open(path: &Path, time: String) -> Result<Self, QuarantineError> {
        let failed =
            |source| QuarantineError::Make(Failed::at("make the quarantine", path)(source));
        atomic::create_dir_all(path).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            dir: trusted::open(path).map_err(failed)?.into(),
            time,
        })
    }

    /// Moves the infected message out, and returns where to; what is not a message of a live
    /// Maildir stays.
    pub(crate) fn take(
        &self,
        item: &Item,
        look: Look,
        finding: &Finding,
    ) -> Result<Taken, QuarantineError> {
        let messages = item
            .tree()
            .filter(|tree| maildir::is_message(tree, &item.file));
        let Some(tree) = messages else {
            return Ok(Taken::Left("not a message of a live Maildir"));
        };
        let (Verdict::Infected(signature), Some(sha256)) = (&finding.verdict, finding.sha256)
        else {
            return Ok(Taken::Left("it was not read whole"));
        };
        let message = Message::find(tree, &item.file, look)?;
        if may_be_in_set(&message.folder) {
            return Ok(Taken::Left("not a message of a live Maildir"));
        }
        let name = self.write_note(&message, signature, sha256, finding)?;
        let moved = self.move_message(tree, message, look, &name, sha256);
        moved.inspect_err(|_| {
            // A note without its message says what is not so; that the message stays is said by the
            // error.
            let _ = rustix::fs::unlinkat(&self.dir, note_name(&name), AtFlags::empty());
        })?;
        Ok(Taken::Moved(self.path.join(name)))
    }

    /// Writes the note under a name that is free; gives the name of the message, which goes with
    /// it.
    fn write_note(
        &self,
        message: &Message,
        signature: &str,
        sha256: Sha256,
        finding: &Finding,
    ) -> Result<String, QuarantineError> {
        let failed = |note: PathBuf| {
            let file = message.file.clone();
            |source| QuarantineError::Note { note, file, source }
        };
        let note = self.note(message, signature, sha256, finding);
        let text = note.map_err(failed(self.path.clone()))?;
        let free = self.free_name(&message.file, sha256);
        let (name, mut stored) = free.map_err(failed(self.path.clone()))?;
        let path = self.path.join(note_name(&name));
        let written = stored
            .write_all(&text)
            .and_then(|()| stored.finish())
            .and_then(|_| atomic::sync_parent(&path));
        written.map_err(failed(path))?;
        Ok(name)
    }

    /// Copies of a mailbox have equal messages of equal names.
    fn free_name(&self, file: &Path, sha256: Sha256) -> io::Result<(String, StoredFile)> {
        let stem = format!("{sha256}.{}", file_stem(file));
        for number in 1_u64.. {
            let name = if number == 1 {
                stem.clone()
            } else {
                format!("{stem}.{number}")
            };
            let note = self.path.join(note_name(&name));
            match StoredFile::create(&note) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                _ if self.path.join(&name).symlink_metadata().is_ok() => {
                    std::fs::remove_file(&note)?;
                }
                created => return Ok((name, created?)),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn note(
        &self,
        message: &Message,
        signature: &str,
        sha256: Sha256,
        finding: &Finding,
    ) -> io::Result<Vec<u8>> {
        let (folder, name) = (&message.folder, message.name());
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let note = Note {
            path: PathField::of_bytes(message.file.as_os_str().as_bytes()),
            sha256: sha256.to_string(),
            signature,
            engine: &finding.engine,
            time: &self.time,
            message_id: finding.envelope.message_id.as_deref(),
            subject: finding.envelope.subject.as_deref(),
            mode: format!("{:04o}", stat.st_mode & 0o7777),
            uid: stat.st_uid,
            gid: stat.st_gid,
        };
        let json = serde_json::to_string_pretty(&note)?;
        Ok(inert_json(&json).into_owned().into_bytes())
    }

    /// Moves the message, whose flags may be changed meanwhile.
    fn move_message(
        &self,
        tree: &Tree,
        mut message: Message,
        look: Look,
        target: &str,
        sha256: Sha256,
    ) -> Result<(), QuarantineError> {
        for attempt in 1.. {
            match self.move_out(&message, look, target, sha256) {
                Err(error) if is_gone(&error) && attempt < ATTEMPTS => {
                    message = Message::find(tree, &message.file, look)?;
                }
                moved => {
                    let file = message.file;
                    return moved.map_err(|source| QuarantineError::Move { file, source });
                }
            }
        }
        Ok(())
    }

    /// By rename, so that the message is never in two places or in none; on another file system by
    /// a verified copy first.
    fn move_out(
        &self,
        message: &Message,
        look: Look,
        target: &str,
        sha256: Sha256,
    ) -> io::Result<()> {
        let (folder, name) = (&message.folder, message.name());
        match atomic::rename_between(folder, name, &self.dir, target.as_ref()) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                self.copy_out(message, look, target, sha256)?;
            }
            renamed => {
                renamed?;
                if !look.is_at(&self.dir, target.as_ref()) {
                    atomic::rename_between(&self.dir, target.as_ref(), folder, name)?;
                    return Err(changed());
                }
                let private = Mode::from_raw_mode(0o600);
                rustix::fs::chmodat(&self.dir, target, private, AtFlags::empty())?;
            }
        }
        rustix::fs::fsync(&self.dir)?;
        Ok(rustix::fs::fsync(folder)?)
    }

    fn copy_out(
        &self,
        message: &Message,
        look: Look,
        target: &str,
        sha256: Sha256,
    ) -> io::Result<()> {
        let (folder, name) = (&message.folder, message.name());
        let Opened::File(file, _) = open_in(folder, name)? else {
            return Err(changed());
        };
        let mut content = Vec::new();
        file.take(look.bytes + 1).read_to_end(&mut content)?;
        if Sha256::of(&content) != sha256 {
            return Err(changed());
        }
        let copy = self.path.join(target);
        atomic::write_file(&copy, &content)?;
        if !look.is_at(folder, name) {
            std::fs::remove_file(&copy)?;
            return Err(changed());
        }
        Ok(rustix::fs::unlinkat(folder, name, AtFlags::empty())?)
    }
}

impl Message {
    /// Opens the folder that holds the file which was scanned: its flags may have changed since.
    fn find(tree: &Tree, file: &Path, look: Look) -> Result<Self, QuarantineError> {
        let here = Self::at(tree, file.to_owned(), look);
        let elsewhere = || Self::at(tree, maildir::find_again(tree, file)?, look);
        here.or_else(elsewhere)
            .ok_or_else(|| QuarantineError::Changed {
                file: file.to_owned(),
            })
    }

    fn at(tree: &Tree, file: PathBuf, look: Look) -> Option<Self> {
        let folder = tree.directory(file.parent()?).ok()?;
        let message = Self { folder, file };
        look.is_at(&message.folder, message.name())
            .then_some(message)
    }

    fn name(&self) -> &OsStr {
        self.file.file_name().unwrap_or_default()
    }
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Moved(target) => write!(f, "moved to {}", target.display()),
            Self::Left(why) => write!(f, "left where it is: {why}"),
        }
    }
}

fn note_name(name: &str) -> String {
    format!("{name}.json")
}

fn changed() -> io::Error {
    io::Error::other("it has changed since it was scanned")
}

/// The unique name of a message, without what may not be in a name elsewhere.
fn file_stem(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let unique = name.split(':').next().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._,=-".contains(c);
    unique
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .take(120)
        .collect()
}

/// Whether a directory above the open folder, wherever that really is, is a backup set; also where
/// that cannot be found out (proc(5)).
fn may_be_in_set(folder: &OwnedFd) -> bool {
    let link = format!("/proc/self/fd/{}", folder.as_fd().as_raw_fd());
    let Ok(path) = std::fs::read_link(link) else {
        return true;
    };
    path.ancestors().any(|dir| dir.join(CHECKSUMS).exists())
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]
mod tests {
    use std::fs::{self, File};
    use std::sync::Arc;

    use super::*;
    use crate::item::{Holder, Place};

    /// A quarantine, and a message of a Maildir in `dir`, as it was scanned.
    fn infected(dir: &Path) -> (Quarantine, Item, Look, Finding) {
        for name in ["cur", "new", "tmp"] {
            fs::create_dir_all(dir.join("box").join(name)).unwrap();
        }
        let file = dir.join("box/cur/1.a:2,");
        fs::write(&file, "bad").unwrap();
        let tree = Arc::new(Tree::open(dir).unwrap());
        let item = Item {
            place: Place::of_path(&file),
            file,
            holder: Holder::Tree(tree, None),
            expected: None,
            segment: None,
        };
        let Opened::File(_, look) = item.open().unwrap() else {
            panic!("it is a file")
        };
        let verdict = Verdict::Infected("Eicar".to_owned());
        let finding = Finding {
            verdict,
            sha256: Some(Sha256::of(b"bad")),
            ..Finding::unscanned("", "ClamAV")
        };
        (
            Quarantine::open(&dir.join("quarantine"), "now".to_owned()).unwrap(),
            item,
            look,
            finding,
        )
    }

    fn kept(quarantine: &Quarantine) -> usize {
        fs::read_dir(&quarantine.path).unwrap().count()
    }

    #[test]
    fn a_message_whose_flags_changed_is_taken_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (quarantine, item, look, finding) = infected(dir.path());
        let now = dir.path().join("box/cur/1.a:2,S");
        fs::rename(&item.file, &now).unwrap();
        assert!(matches!(
            quarantine.take(&item, look, &finding),
            Ok(Taken::Moved(_))
        ));
        assert!(!now.exists() && kept(&quarantine) == 2);
    }

    #[test]
    fn another_message_in_its_place_stays_and_leaves_no_note() {
        let dir = tempfile::tempdir().unwrap();
        let (quarantine, item, look, finding) = infected(dir.path());
        let folder = dir.path().join("box/cur");
        let message = |file: &Path| Message {
            folder: File::open(&folder).unwrap().into(),
            file: file.to_owned(),
        };
        fs::write(&item.file, "another message").unwrap();
        assert!(matches!(
            quarantine.take(&item, look, &finding),
            Err(QuarantineError::Changed { .. })
        ));
        assert!(item.file.exists() && kept(&quarantine) == 0);
        // Swapped at the last moment.
        let bad = Sha256::of(b"bad");
        let swapped = message(&item.file);
        assert!(quarantine.move_out(&swapped, look, "t", bad).is_err());
        assert!(quarantine.copy_out(&swapped, look, "t", bad).is_err());
        assert_eq!(fs::read(&item.file).unwrap(), b"another message");
        assert_eq!(kept(&quarantine), 0);
    }

    #[test]
    fn a_folder_that_became_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (quarantine, item, look, finding) = infected(dir.path());
        let path = |name: &str| dir.path().join(name);
        fs::rename(path("box/cur"), path("theirs")).unwrap();
        std::os::unix::fs::symlink(path("theirs"), path("box/cur")).unwrap();
        let taken = quarantine.take(&item, look, &finding);
        assert!(matches!(taken, Ok(Taken::Left(_))), "{taken:?}");
        assert!(path("theirs/1.a:2,").exists() && kept(&quarantine) == 0);
    }
}
