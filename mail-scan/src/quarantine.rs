//! Moves an infected message out of a live Maildir, with a note that says where it was and why.
//! Nothing is ever taken out of a backup set.

use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mail_common::atomic::{self, StoredFile};
use mail_common::checksum::Sha256;
use mail_common::relpath::PathField;
use mail_common::set::CHECKSUMS;
use serde::Serialize;

use crate::clamd::Verdict;
use crate::item::{Finding, Item, Look};
use crate::maildir;

/// Between two looks for a message its flags may change again; so often they are followed.
const ATTEMPTS: usize = 3;

/// The directory that infected messages are moved to.
#[derive(Debug)]
pub(crate) struct Quarantine {
    dir: PathBuf,
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
    #[error("make the quarantine {}", dir.display())]
    Make { dir: PathBuf, source: io::Error },
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
    pub(crate) fn open(dir: &Path, time: String) -> Result<Self, QuarantineError> {
        let failed = |source| QuarantineError::Make {
            dir: dir.to_owned(),
            source,
        };
        atomic::create_dir_all(dir).map_err(failed)?;
        Ok(Self {
            dir: dir.to_owned(),
            time,
        })
    }

    /// Moves the infected message out and says where to; what is no message of a live Maildir
    /// stays, which is said too.
    pub(crate) fn take(
        &self,
        item: &Item,
        look: Look,
        finding: &Finding,
    ) -> Result<Taken, QuarantineError> {
        if item.place.set.is_some() || !maildir::is_message(&item.file) || may_be_in_set(&item.file)
        {
            return Ok(Taken::Left("no message of a live Maildir"));
        }
        let (Verdict::Infected(signature), Some(sha256)) = (&finding.verdict, finding.sha256)
        else {
            return Ok(Taken::Left("it was not read whole"));
        };
        let file = still_there(&item.file, look)?;
        let (target, note) = self.write_note(&file, signature, sha256, finding)?;
        move_message(&file, look, &target, sha256).inspect_err(|_| {
            // A note without its message says what is not so; that the message stays is said by the
            // error.
            let _ = fs::remove_file(&note);
        })?;
        Ok(Taken::Moved(target))
    }

    /// Writes the note under a name that is free; gives the name of the message, which goes with
    /// it, and its own.
    fn write_note(
        &self,
        file: &Path,
        signature: &str,
        sha256: Sha256,
        finding: &Finding,
    ) -> Result<(PathBuf, PathBuf), QuarantineError> {
        let failed = |note: &Path, source| QuarantineError::Note {
            note: note.to_owned(),
            file: file.to_owned(),
            source,
        };
        let text = self
            .note(file, signature, sha256, finding)
            .map_err(|source| failed(&self.dir, source))?;
        let (target, note, mut stored) = self
            .free_name(file, sha256)
            .map_err(|source| failed(&self.dir, source))?;
        let written = stored
            .write_all(&text)
            .and_then(|()| stored.finish())
            .and_then(|_| atomic::sync_parent(&note));
        written.map_err(|source| failed(&note, source))?;
        Ok((target, note))
    }

    /// Copies of a mailbox have equal messages of equal names.
    fn free_name(&self, file: &Path, sha256: Sha256) -> io::Result<(PathBuf, PathBuf, StoredFile)> {
        let stem = format!("{sha256}.{}", file_stem(file));
        for number in 1_u64.. {
            let name = if number == 1 {
                stem.clone()
            } else {
                format!("{stem}.{number}")
            };
            let (target, note) = (self.dir.join(&name), self.dir.join(format!("{name}.json")));
            match StoredFile::create(&note) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                _ if target.symlink_metadata().is_ok() => fs::remove_file(&note)?,
                created => return Ok((target, note, created?)),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn note(
        &self,
        file: &Path,
        signature: &str,
        sha256: Sha256,
        finding: &Finding,
    ) -> io::Result<Vec<u8>> {
        let metadata = fs::symlink_metadata(file)?;
        let note = Note {
            path: PathField::of_bytes(file.as_os_str().as_bytes()),
            sha256: sha256.to_string(),
            signature,
            engine: &finding.engine,
            time: &self.time,
            message_id: finding.envelope.message_id.as_deref(),
            subject: finding.envelope.subject.as_deref(),
            mode: format!("{:04o}", metadata.mode() & 0o7777),
            uid: metadata.uid(),
            gid: metadata.gid(),
        };
        Ok(serde_json::to_vec_pretty(&note)?)
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

/// Whether a directory above `file`, wherever links lead, is a backup set; also where that cannot
/// be told.
fn may_be_in_set(file: &Path) -> bool {
    let Some(Ok(folder)) = file.parent().map(Path::canonicalize) else {
        return true;
    };
    folder.ancestors().any(|dir| dir.join(CHECKSUMS).exists())
}

/// The path where the file is that was scanned: its flags may have changed since.
fn still_there(path: &Path, look: Look) -> Result<PathBuf, QuarantineError> {
    let is_it = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| is_same(&found, look));
    if is_it(path) {
        return Ok(path.to_owned());
    }
    let found = maildir::find_again(path).filter(|path| is_it(path));
    found.ok_or_else(|| QuarantineError::Changed {
        file: path.to_owned(),
    })
}

/// A number of an inode is given again once a file is gone.
fn is_same(found: &fs::Metadata, look: Look) -> bool {
    let mtime_ns = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
    found.is_file()
        && (found.ino(), found.len(), mtime_ns) == (look.inode, look.bytes, look.mtime_ns)
}

/// Moves the message, whose flags may be changed meanwhile.
fn move_message(
    file: &Path,
    look: Look,
    target: &Path,
    sha256: Sha256,
) -> Result<(), QuarantineError> {
    let mut file = file.to_owned();
    for _ in 1..ATTEMPTS {
        match move_out(&file, look, target, sha256) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                file = still_there(&file, look)?
            }
            Err(source) => return Err(QuarantineError::Move { file, source }),
            Ok(()) => return Ok(()),
        }
    }
    move_out(&file, look, target, sha256).map_err(|source| QuarantineError::Move { file, source })
}

/// By rename, so that the message is never in two places or in none; on another file system by a
/// verified copy first.
fn move_out(file: &Path, look: Look, target: &Path, sha256: Sha256) -> io::Result<()> {
    let changed = || io::Error::other("it has changed since it was scanned");
    match atomic::rename_into_place(file, target) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let content = fs::read(file)?;
            if Sha256::of(&content) != sha256 {
                return Err(changed());
            }
            atomic::write_file(target, &content)?;
            fs::remove_file(file)?;
        }
        renamed => {
            renamed?;
            if !fs::symlink_metadata(target).is_ok_and(|found| is_same(&found, look)) {
                atomic::rename_into_place(target, file)?;
                return Err(changed());
            }
            fs::set_permissions(target, fs::Permissions::from_mode(0o600))?;
        }
    }
    atomic::sync_parent(target)?;
    atomic::sync_parent(file)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]
mod tests {
    use super::*;
    use crate::item::Opened;
    use crate::source::place_of;

    /// A quarantine, and a message of a Maildir in `dir`, as it was scanned.
    fn infected(dir: &Path) -> (Quarantine, Item, Look, Finding) {
        for name in ["cur", "new", "tmp"] {
            fs::create_dir_all(dir.join("box").join(name)).unwrap();
        }
        let file = dir.join("box/cur/1.a:2,");
        fs::write(&file, "bad").unwrap();
        let item = Item {
            place: place_of(&file),
            file,
            identity: None,
            expected: None,
            _guard: None,
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
        fs::read_dir(&quarantine.dir).unwrap().count()
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
        fs::write(&item.file, "another message").unwrap();
        assert!(matches!(
            quarantine.take(&item, look, &finding),
            Err(QuarantineError::Changed { .. })
        ));
        assert!(item.file.exists() && kept(&quarantine) == 0);
        // Swapped at the last moment.
        let target = quarantine.dir.join("target");
        assert!(move_message(&item.file, look, &target, Sha256::of(b"bad")).is_err());
        assert_eq!(fs::read(&item.file).unwrap(), b"another message");
        assert!(!target.exists());
    }
}
