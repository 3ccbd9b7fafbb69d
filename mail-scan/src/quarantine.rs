//! Moves an infected message out of a live Maildir, with a note that says where it was and why. Nothing is ever taken out of a
//! backup set.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mail_common::atomic;
use mail_common::checksum::Sha256;
use mail_common::relpath::PathField;
use mail_common::set::CHECKSUMS;
use serde::Serialize;

use crate::clamd::Verdict;
use crate::item::{Finding, Item, Look};
use crate::maildir;

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
    Note { note: PathBuf, file: PathBuf, source: io::Error },
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
        let failed = |source| QuarantineError::Make { dir: dir.to_owned(), source };
        atomic::create_dir_all(dir).map_err(failed)?;
        Ok(Self { dir: dir.to_owned(), time })
    }

    /// Moves the infected message out and says where to; what is no message of a live Maildir stays, which is said too.
    pub(crate) fn take(&self, item: &Item, look: Look, finding: &Finding) -> Result<Taken, QuarantineError> {
        if item.place.set.is_some() || !maildir::is_message(&item.file) || is_in_set(&item.file) {
            return Ok(Taken::Left("no message of a live Maildir"));
        }
        let (Verdict::Infected(signature), Some(sha256)) = (&finding.verdict, finding.sha256) else {
            return Ok(Taken::Left("it was not read whole"));
        };
        let file = self.still_there(&item.file, look)?;
        let target = self.dir.join(format!("{sha256}.{}", file_stem(&file)));
        let note = self.dir.join(format!("{}.json", target.file_name().unwrap_or_default().to_string_lossy()));
        self.write_note(&note, &file, signature, sha256, finding)?;
        let failed = |source| QuarantineError::Move { file: file.clone(), source };
        move_out(&file, &target, sha256).map_err(failed)?;
        Ok(Taken::Moved(target))
    }

    /// The path where the file is that was scanned: its flags may have changed since.
    fn still_there(&self, path: &Path, look: Look) -> Result<PathBuf, QuarantineError> {
        let is_it =
            |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.ino() == look.inode && found.is_file());
        if is_it(path) {
            return Ok(path.to_owned());
        }
        let found = maildir::find_again(path).filter(|path| is_it(path));
        found.ok_or_else(|| QuarantineError::Changed { file: path.to_owned() })
    }

    fn write_note(
        &self,
        note: &Path,
        file: &Path,
        signature: &str,
        sha256: Sha256,
        finding: &Finding,
    ) -> Result<(), QuarantineError> {
        let failed = |source| QuarantineError::Note { note: note.to_owned(), file: file.to_owned(), source };
        let metadata = fs::symlink_metadata(file).map_err(failed)?;
        let text = serde_json::to_vec_pretty(&Note {
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
        });
        let text = text.map_err(|error| failed(error.into()))?;
        atomic::write_file(note, &text).map_err(failed)?;
        Ok(())
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
    unique.chars().map(|c| if is_plain(c) { c } else { '_' }).take(120).collect()
}

/// Whether a directory above `file` is a backup set, on the way up to the root.
fn is_in_set(file: &Path) -> bool {
    file.ancestors().skip(1).any(|dir| dir.join(CHECKSUMS).exists())
}

/// By rename, so that the message is never in two places or in none; on another file system by a verified copy first.
fn move_out(file: &Path, target: &Path, sha256: Sha256) -> io::Result<()> {
    match atomic::rename_into_place(file, target) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let content = fs::read(file)?;
            if Sha256::of(&content) != sha256 {
                return Err(io::Error::other("it has changed since it was scanned"));
            }
            atomic::write_file(target, &content)?;
            fs::remove_file(file)?;
        }
        renamed => renamed?,
    }
    fs::set_permissions(target, fs::Permissions::from_mode(0o600))?;
    atomic::sync_parent(target)?;
    atomic::sync_parent(file)
}
