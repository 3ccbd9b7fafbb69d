//! One file: into a hidden file beside its place, verified, then under its name.
//!
//! The hidden file is named for what it should become, so that the next pull goes on where this one
//! stopped.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use mail_common::atomic;
use mail_common::beneath;
use mail_common::checksum::{Sha256, Sha256Writer};
use mail_common::failure::Failed;
use mail_common::flock::Flock;
use mail_common::record::TransferAction;
use mail_common::report::Progress;
use mail_common::trusted;
use rustix::fs::OFlags;

use super::context::Pull;
use super::error::Error;
use crate::encryption::Identities;
use crate::place::put_in_place;
use crate::remote::{self, Entry};

/// How often a file is fetched that comes with another digest.
const ATTEMPTS: u32 = 3;
const COPY_BYTES: usize = 256 * 1024;

/// How the names of hidden files begin.
const HIDDEN: &str = ".tmp-pull-";
/// What follows in the name of one that is decrypted.
const PLAIN: &str = "-plain";

impl Pull<'_> {
    /// Sees to it that the file is there, and gives its size.
    pub(super) fn fetch(
        &self,
        key: &str,
        to: &Path,
        entry: &Entry,
        progress: &Progress,
    ) -> Result<(TransferAction, u64), Error> {
        let path = to.join(entry.plain_path().as_path());
        progress.message(&entry.path.to_string_lossy());
        if let Some(bytes) = bytes_if_there(&path, entry.plain) {
            return Ok((TransferAction::Skipped, bytes));
        }
        let parent = path.parent().unwrap_or(to);
        atomic::create_dir_all(parent).map_err(Failed::at("write", parent))?;
        let hidden = parent.join(hidden_name(entry));
        let mut locked = open_locked(&hidden)?;
        let file = locked.file_mut();
        self.download(key, file, &hidden, entry.stored, progress)?;
        let finished = match self.identities {
            Some(identities) if entry.is_encrypted() => decrypt(file, &hidden, entry, identities)?,
            _ => hidden.clone(),
        };
        trusted::open(parent)
            .and_then(|directory| put_in_place(directory, name_of(&finished), name_of(&path)))
            .map_err(Failed::at("write", &path))?;
        atomic::remove_tree(&hidden).map_err(Failed::at("write", &hidden))?;
        let bytes = std::fs::metadata(&path)
            .map_err(Failed::at("write", &path))?
            .len();
        Ok((TransferAction::Downloaded, bytes))
    }

    /// Fills the hidden file until it has the digest, and syncs it.
    fn download(
        &self,
        key: &str,
        file: &mut File,
        hidden: &Path,
        expected: Sha256,
        progress: &Progress,
    ) -> Result<(), Error> {
        let failed = |source| Failed::at("write", hidden)(source);
        let mut found = expected;
        for _ in 0..ATTEMPTS {
            file.rewind().map_err(failed)?;
            // What an interrupted pull has left is hashed again, not trusted.
            let mut hasher = Sha256Writer::new(io::sink());
            io::copy(file, &mut hasher).map_err(failed)?;
            self.append(key, file, &mut hasher, hidden, progress)?;
            found = hasher.into_parts().1;
            if found == expected {
                return Ok(file.sync_all().map_err(failed)?);
            }
            file.set_len(0).map_err(failed)?;
        }
        Err(Error::Damaged {
            url: self.store.url(key),
            times: ATTEMPTS,
            expected,
            found,
        })
    }

    /// Appends what is not in the file yet.
    fn append(
        &self,
        key: &str,
        file: &mut File,
        hasher: &mut Sha256Writer<io::Sink>,
        hidden: &Path,
        progress: &Progress,
    ) -> Result<(), Error> {
        let url = || self.store.url(key);
        let missing = || remote::Error::Missing { url: url() };
        let opened = self.store.get(key, hasher.bytes());
        let mut download = opened.map_err(remote::Error::from)?.ok_or_else(missing)?;
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            let read = download.reader.read(&mut buffer);
            // A reader ends with an error of its own when a signal comes.
            self.interrupt.check()?;
            let read = read.map_err(|source| remote::Error::Read { url: url(), source })?;
            if read == 0 {
                return Ok(());
            }
            hasher
                .write_all(&buffer[..read])
                .expect("a sink takes everything");
            file.write_all(&buffer[..read])
                .map_err(Failed::at("write", hidden))?;
            progress.advance(read as u64);
        }
    }
}

fn name_of(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

/// The size of the file at `path`, when it has that digest.
pub(super) fn bytes_if_there(path: &Path, expected: Sha256) -> Option<u64> {
    let (sha256, bytes) = Sha256::of_reader(beneath::regular_file(path).ok()?).ok()?;
    (sha256 == expected).then_some(bytes)
}

/// A temporary name, the same for the same file with the same content.
fn hidden_name(entry: &Entry) -> String {
    let what = [entry.path.as_bytes(), entry.stored.to_string().as_bytes()].concat();
    format!("{HIDDEN}{}", &Sha256::of(&what).to_string()[..32])
}

/// Removes what pulls of other sets that were killed have left in a directory. A pull that is at
/// work holds a lock on its file.
pub(super) fn clear_unfinished(directory: &Path) -> io::Result<()> {
    let mut hidden = Vec::new();
    for entry in trusted::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().as_bytes().starts_with(HIDDEN.as_bytes()) {
            hidden.push(entry.path());
        }
    }
    // What is decrypted comes after what it is made of, and has no lock of its own.
    hidden.sort();
    for path in hidden {
        let made_of = path.to_str().and_then(|path| path.strip_suffix(PLAIN));
        if made_of.is_some_and(|path| Path::new(path).exists()) {
            continue;
        }
        let file = beneath::regular_file(&path)?;
        if Flock::try_exclusive(file)?.is_some() {
            atomic::remove_tree(&path)?;
        }
    }
    Ok(())
}

/// Opens or makes the hidden file, and shuts out another pull.
#[expect(
    clippy::disallowed_methods,
    reason = "it is made here, in a directory of the administrator, and no link is followed"
)]
fn open_locked(path: &Path) -> Result<Flock<File>, Error> {
    let failed = |source| Failed::at("write", path)(source);
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    let options = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(nofollow)
        .clone();
    let file = options.open(path).map_err(failed)?;
    match Flock::try_exclusive(file).map_err(failed)? {
        Some(locked) => Ok(locked),
        None => Err(Error::Busy {
            path: path.to_owned(),
        }),
    }
}

/// Decrypts the hidden file into another one, whose digest is that of the file in the set.
fn decrypt(
    file: &mut File,
    hidden: &Path,
    entry: &Entry,
    identities: &Identities,
) -> Result<PathBuf, Error> {
    let mut path = hidden.as_os_str().to_owned();
    path.push(PLAIN);
    let path = PathBuf::from(path);
    let failed = |source| Failed::at("write", &path)(source);
    file.rewind().map_err(failed)?;
    atomic::remove_tree(&path).map_err(failed)?;
    let mut reader = identities.decrypt(BufReader::new(&*file))?;
    let mut plain = atomic::StoredFile::create(&path).map_err(failed)?;
    io::copy(&mut reader, &mut plain).map_err(failed)?;
    let stored = plain.finish().map_err(failed)?;
    if stored.sha256 == entry.plain {
        return Ok(path.clone());
    }
    atomic::remove_tree(&path).map_err(failed)?;
    Err(Error::Damaged {
        url: entry.path.to_string(),
        times: 1,
        expected: entry.plain,
        found: stored.sha256,
    })
}
