//! Makes the canary, like the mailboxes beside it.
//!
//! The mail root belongs to others: each directory is opened from the one above it, never through a
//! link, and given to its owner by its descriptor.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use jiff::Timestamp;
use mail_common::atomic::{StoredFile, rename_between, sync_open_dir};
use mail_common::beneath::Beneath;
use mail_common::checksum::Sha256;
use mail_common::record::{Canary, CanaryState};
use mail_common::relpath::RelPath;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Stat, Uid};
use rustix::io::Errno;

use super::place::{CanaryPlan, DIRECTORIES, child, names_in};

/// What a Maildir has.
const FOLDERS: [&str; 3] = ["cur", "new", "tmp"];

/// Set-user-ID and set-group-ID are not copied: `RestrictSUIDSGID=` of our unit refuses to set
/// them, and nobody delivers to the canary, so no file takes its group from its directory.
const COPIED_MODE: u32 = 0o1777;

/// Whose a directory is, and who may do what with it.
#[derive(Clone, Copy, Debug)]
struct Likeness {
    uid: u32,
    gid: u32,
    mode: u32,
}

/// Makes it; `None` where there is no mailbox that it could be like.
pub(super) fn make(
    root: &Beneath,
    plan: &CanaryPlan,
    now: Timestamp,
) -> io::Result<Option<Canary>> {
    let directory = plan.directory();
    let Some(neighbour) = neighbour(root, plan.depth)? else {
        return Ok(None);
    };
    let mut current = root.directory(&RelPath::root())?;
    let mut like = RelPath::root();
    for (level, name) in directory.components().enumerate() {
        // In the only mailbox there is, it lies in a directory beside `cur`.
        like = match neighbour.components().nth(level) {
            Some(name) => child(&like, name)?,
            None => like,
        };
        current = ensure(&current, name, likeness(root, &like)?)?;
    }
    let inner = child(&like, b"cur")?;
    let inner = likeness(root, &inner).or_else(|_| likeness(root, &like))?;
    for folder in FOLDERS {
        ensure(&current, folder.as_bytes(), inner)?;
    }
    let unique = format!(
        "{}.M{}.backup-canary",
        now.as_second(),
        now.subsec_microsecond()
    );
    let name = format!("{unique}:2,S");
    let sha256 = write(&current, &name, &text(&unique), inner)?;
    Ok(Some(Canary {
        path: format!("{directory}/cur/{name}"),
        sha256,
        state: CanaryState::Made,
    }))
}

/// The message. All of it follows from its unique name.
pub(super) fn text(unique: &str) -> String {
    let [domain, user] = DIRECTORIES;
    format!(
        "From: mail-backup <{user}@{domain}>\n\
         To: {user}@{domain}\n\
         Subject: Do not touch: mail-backup watches this message\n\
         Message-ID: <{unique}@{domain}>\n\
         MIME-Version: 1.0\n\
         Content-Type: text/plain; charset=us-ascii\n\
         \n\
         BACKUP_CANARY=yes has put this message here. Nobody reads it and nobody\n\
         writes to it. When it is gone, or changes, somebody goes through all mail:\n\
         mail-backup raises an alarm then, and keeps every older backup.\n"
    )
}

/// The first mailbox in the order of the names.
fn neighbour(root: &Beneath, depth: usize) -> io::Result<Option<RelPath>> {
    first_below(root, &RelPath::root(), depth)
}

fn first_below(root: &Beneath, directory: &RelPath, depth: usize) -> io::Result<Option<RelPath>> {
    if depth == 0 {
        return Ok(Some(directory.clone()));
    }
    let mut names = names_in(root, directory)?;
    names.retain(|name| name != DIRECTORIES[0].as_bytes());
    names.sort();
    for name in names {
        let path = child(directory, &name)?;
        if is_directory(root, &path)?
            && let Some(found) = first_below(root, &path, depth - 1)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn is_directory(root: &Beneath, path: &RelPath) -> io::Result<bool> {
    match rustix::fs::statat(root, path.as_path(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(FileType::from_raw_mode(found.st_mode) == FileType::Directory),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn likeness(root: &Beneath, path: &RelPath) -> io::Result<Likeness> {
    let found: Stat = rustix::fs::fstat(root.directory(path)?)?;
    Ok(Likeness {
        uid: found.st_uid,
        gid: found.st_gid,
        mode: found.st_mode & COPIED_MODE,
    })
}

/// Opens the directory `name`; makes it where it is not there.
fn ensure(above: &OwnedFd, name: &[u8], like: Likeness) -> io::Result<OwnedFd> {
    let name = OsStr::from_bytes(name);
    let made = rustix::fs::mkdirat(above, name, Mode::RWXU);
    if let Err(errno) = made
        && errno != Errno::EXIST
    {
        return Err(errno.into());
    }
    let directory = Beneath::in_directory(above, name)?;
    // What a run that was ended half-way has made is still ours.
    if made.is_err() && !is_ours(&directory)? {
        return Ok(directory);
    }
    // It is given away last: until then the next run takes up where this one ended.
    if is_ours(&directory)? {
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(like.mode))?;
    }
    give(&directory, like)?;
    sync_open_dir(above)?;
    Ok(directory)
}

fn is_ours(directory: impl AsFd) -> io::Result<bool> {
    let found = rustix::fs::fstat(directory)?;
    Ok(found.st_uid == rustix::process::geteuid().as_raw())
}

/// Gives what this run has made to who owns what is beside it. Only root can; who runs as the owner
/// of all mail need not.
fn give(made: impl AsFd, like: Likeness) -> io::Result<()> {
    let found = rustix::fs::fstat(&made)?;
    let we = rustix::process::geteuid();
    if found.st_uid != we.as_raw() {
        let why = "somebody else has put something in its place";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    if !we.is_root() || (found.st_uid, found.st_gid) == (like.uid, like.gid) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(like.uid), Gid::from_raw(like.gid));
    Ok(rustix::fs::fchown(made, Some(uid), Some(gid))?)
}

/// As a delivery does: whole in `tmp`, then under its name in `cur`.
fn write(mailbox: &OwnedFd, name: &str, text: &str, like: Likeness) -> io::Result<Sha256> {
    let name = OsStr::new(name);
    let tmp = Beneath::in_directory(mailbox, OsStr::new("tmp"))?;
    let cur = Beneath::in_directory(mailbox, OsStr::new("cur"))?;
    let mut file = StoredFile::create_in(&tmp, name)?;
    file.write_all(text.as_bytes())?;
    let (stored, file) = file.finish_unsynced()?;
    give(&file, like)?;
    file.sync_all()?;
    rename_between(&tmp, name, &cur, name)?;
    sync_open_dir(&cur)?;
    Ok(stored.sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_directory_cannot_be_made_is_told() {
        let above = Beneath::open("/sys".as_ref()).unwrap();
        let above = above.directory(&RelPath::root()).unwrap();
        let like = Likeness {
            uid: 0,
            gid: 0,
            mode: 0o700,
        };
        let error = ensure(&above, b"canary", like).unwrap_err();
        assert_ne!(error.kind(), io::ErrorKind::NotFound, "{error}");
    }
}
