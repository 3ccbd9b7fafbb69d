//! A file that is to be scanned, and how records name it.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mail_common::checksum::Sha256;
use mail_common::record::{self, VerdictStatus};
use mail_common::relpath::PathField;
use mail_common::set::ReadLock;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

use crate::clamd::Verdict;
use crate::message::Envelope;
use crate::source::Identity;

/// How records name a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The directory that holds the sets, and the set; `None` for a file in no set.
    pub(crate) set: Option<(String, String)>,
    /// Relative to the set, or absolute.
    pub(crate) path: PathField,
}

/// A file that is to be scanned.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Where it is.
    pub(crate) file: PathBuf,
    pub(crate) place: Place,
    /// Which file was found there in a live tree.
    pub(crate) identity: Option<Identity>,
    /// The digest that its set has on record.
    pub(crate) expected: Option<Sha256>,
    /// While it lives, the set is neither replaced nor removed.
    pub(crate) _guard: Option<Arc<ReadLock>>,
}

/// What was learnt of a file, a member or a window.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    /// The digest of what was scanned, where all of it was read.
    pub(crate) sha256: Option<Sha256>,
    /// Who said so.
    pub(crate) engine: String,
    /// What there is to say of a clean or infected one.
    pub(crate) note: Option<String>,
    pub(crate) envelope: Envelope,
}

/// What stands at a path that is to be scanned.
#[derive(Debug)]
pub(crate) enum Opened {
    File(File, Look),
    /// A link, a named pipe, a socket or a device: it holds nothing to be scanned.
    NoFile(&'static str),
}

/// How an open file looks; two equal looks mean that it has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) bytes: u64,
    pub(crate) inode: u64,
    pub(crate) mtime_ns: i128,
    pub(crate) ctime_ns: i128,
}

impl Item {
    /// Opens it where it is a file, and nothing else: to open a device may set it off, and a pipe's
    /// writer waits for a reader.
    pub(crate) fn open(&self) -> io::Result<Opened> {
        let stat = rustix::fs::statat(CWD, &self.file, AtFlags::SYMLINK_NOFOLLOW)?;
        if let Some(what) = other_than_file(&stat) {
            return Ok(Opened::NoFile(what));
        }
        // It may have been replaced since.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&self.file, flags, Mode::empty()) {
            Err(rustix::io::Errno::LOOP) => return Ok(Opened::NoFile("a symbolic link")),
            file => File::from(file?),
        };
        let stat = rustix::fs::fstat(&file)?;
        Ok(other_than_file(&stat)
            .map_or_else(|| Opened::File(file, Look::of(&stat)), Opened::NoFile))
    }
}

fn other_than_file(stat: &rustix::fs::Stat) -> Option<&'static str> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Symlink => Some("a symbolic link"),
        FileType::Directory => Some("a directory"),
        FileType::Fifo => Some("a named pipe"),
        FileType::Socket => Some("a socket"),
        _ => Some("a device"),
    }
}

impl Look {
    /// How `file` looks now.
    pub(crate) fn at(file: &File) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::fstat(file)?))
    }

    /// How long ago it last changed.
    pub(crate) fn age(self) -> Duration {
        let changed = u64::try_from(self.ctime_ns)
            .map(Duration::from_nanos)
            .unwrap_or_default();
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH + changed)
            .unwrap_or_default()
    }

    fn of(stat: &rustix::fs::Stat) -> Self {
        let nanoseconds =
            |seconds: i64, rest: u64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            inode: stat.st_ino,
            mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

impl Finding {
    /// There is no verdict.
    pub(crate) fn unscanned(reason: impl Into<String>, engine: &str) -> Self {
        Self {
            verdict: Verdict::Unscanned(reason.into()),
            sha256: None,
            engine: engine.to_owned(),
            note: None,
            envelope: Envelope::default(),
        }
    }

    /// The record of it, of the whole file or of a member.
    pub(crate) fn record(&self, place: &Place, member: Option<&[u8]>) -> record::Verdict {
        let (status, signature, reason) = match &self.verdict {
            Verdict::Clean => (VerdictStatus::Clean, None, self.note.clone()),
            Verdict::Infected(signature) => (
                VerdictStatus::Infected,
                Some(signature.clone()),
                self.note.clone(),
            ),
            Verdict::Unscanned(reason) => (VerdictStatus::Unscanned, None, Some(reason.clone())),
        };
        let member = member.map(PathField::of_bytes);
        let (root, set) = place.set.clone().unzip();
        record::Verdict {
            root,
            set,
            path: place.path.clone(),
            member_b64: member.as_ref().and_then(|member| member.path_b64.clone()),
            member: member.map(|member| member.path),
            sha256: self.sha256,
            status,
            signature,
            reason,
            message_id: self.envelope.message_id.clone(),
            subject: self.envelope.subject.clone(),
            engine: self.engine.clone(),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.set {
            Some((root, set)) => write!(f, "{root}/{set}/{}", self.path.path),
            None => f.write_str(&self.path.path),
        }
    }
}
