//! Where a log file is read on: its growth, or, when it was rotated, the rest of the old file and
//! then the new one.
//!
//! A place in a file is known by device, inode and offset, and by a digest of the bytes before it:
//! a file that was truncated and has grown again (logrotate's copytruncate) is not taken for one
//! that only grew, and its copy is found by these bytes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mail_common::checksum::Sha256;
use mail_common::trusted;
use serde::{Deserialize, Serialize};

/// How many bytes before an offset its digest covers.
const TAIL_BYTES: u64 = 256;

/// A place in a log file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    device: u64,
    inode: u64,
    offset: u64,
    tail: Sha256,
}

/// A log file that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) path: PathBuf,
    device: u64,
    inode: u64,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
}

/// Bytes of a file that are to be read.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) log: Opened,
    pub(super) from: u64,
    /// It may begin in the midst of a line, which is left out.
    pub(super) is_cut: bool,
}

/// What is to be read, in order, and what has to be said of it.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) pieces: Vec<Piece>,
    pub(super) notes: Vec<Note>,
}

/// Something that a reader of the findings has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// It was not read before.
    FirstLook { bytes: u64 },
    /// The old file was found, and is read first.
    Rotated { old: PathBuf },
    /// The old file was compressed before it was read.
    Compressed { old: PathBuf },
    /// The file is another, or was emptied, and the old one is nowhere.
    Lost,
    /// More is new than a run reads.
    TooMuch { skipped_bytes: u64 },
    /// There was no time to read all; the next run reads on.
    Unfinished { left_bytes: u64 },
    /// A container wrote more than a run reads; the next run reads on.
    Cut,
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    #[error("it is not there; see that the path is right and that its service logs to a file")]
    Absent,
    #[error("it cannot be read: permission denied; run as root or as a member of its group")]
    Denied,
    #[error("it is not a regular file")]
    NotAFile,
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
}

/// How much is read at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) max_bytes: u64,
    pub(super) first_look: u64,
}

/// Opens a log. One that is a pipe or a device does not hang.
#[expect(
    clippy::disallowed_methods,
    reason = "a log may be a link of its administrator; what is not a file is refused below"
)]
pub(super) fn open(path: &Path) -> Result<Opened, FollowError> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path);
    let file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FollowError::Absent,
        io::ErrorKind::PermissionDenied => FollowError::Denied,
        _ => FollowError::Read(error),
    })?;
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(FollowError::NotAFile);
    }
    let (device, inode, size, modified) =
        (facts.dev(), facts.ino(), facts.len(), facts.modified()?);
    Ok(Opened {
        file,
        path: path.to_owned(),
        device,
        inode,
        size,
        modified,
    })
}

/// Plans how to read `current` from where `earlier` left off.
pub(super) fn follow(
    current: Opened,
    earlier: Option<&Position>,
    bounds: Bounds,
) -> Result<Course, FollowError> {
    let mut course = match earlier {
        None => first_look(current, bounds.first_look),
        Some(earlier) if earlier.is_in(&current)? => {
            Course::of(vec![Piece::whole_from(current, earlier.offset)])
        }
        Some(earlier) => rotated(current, earlier)?,
    };
    course.limit(bounds.max_bytes);
    Ok(course)
}

impl Position {
    /// The place `offset` in `log`.
    pub(super) fn new(log: &Opened, offset: u64) -> io::Result<Self> {
        Ok(Self {
            device: log.device,
            inode: log.inode,
            offset,
            tail: tail(&log.file, offset)?,
        })
    }

    /// Whether `log` is the file, grown or unchanged.
    fn is_in(&self, log: &Opened) -> io::Result<bool> {
        Ok(self.device == log.device && self.inode == log.inode && self.continues_in(log)?)
    }

    /// Whether `log` holds what was read before: the file, or a copy of it.
    fn continues_in(&self, log: &Opened) -> io::Result<bool> {
        Ok(log.size >= self.offset && tail(&log.file, self.offset)? == self.tail)
    }
}

impl Course {
    fn of(pieces: Vec<Piece>) -> Self {
        Self {
            pieces,
            notes: Vec::new(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.pieces.iter().map(Piece::bytes).sum()
    }

    /// Leaves out the oldest of what is over `max_bytes`.
    fn limit(&mut self, max_bytes: u64) {
        let skipped_bytes = self.bytes().saturating_sub(max_bytes);
        let mut over = skipped_bytes;
        for piece in &mut self.pieces {
            let cut = over.min(piece.bytes());
            piece.from += cut;
            piece.is_cut |= cut > 0;
            over -= cut;
        }
        if skipped_bytes > 0 {
            self.notes.push(Note::TooMuch { skipped_bytes });
        }
    }
}

impl Piece {
    fn whole_from(log: Opened, from: u64) -> Self {
        Self {
            log,
            from,
            is_cut: false,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.log.size.saturating_sub(self.from)
    }
}

fn first_look(current: Opened, most: u64) -> Course {
    let from = current.size.saturating_sub(most);
    let note = Note::FirstLook {
        bytes: current.size - from,
    };
    Course {
        pieces: vec![Piece {
            is_cut: from > 0,
            log: current,
            from,
        }],
        notes: vec![note],
    }
}

/// The rest of the old file, those that came between, and the new one.
///
/// The new one is begun when something is in it: until then its writer may still write to the old
/// one.
fn rotated(current: Opened, earlier: &Position) -> Result<Course, FollowError> {
    let Siblings {
        mut plain,
        compressed,
    } = siblings(&current)?;
    plain.sort_by_key(|log| log.modified);
    let old = position_of(&plain, |log| earlier.is_in(log))?;
    // The copy of a file that was truncated has an inode of its own.
    let copy = || {
        position_of(&plain, |log| {
            Ok(earlier.offset > 0 && earlier.continues_in(log)?)
        })
    };
    let old = if old.is_some() { old } else { copy()? };
    let Some(old) = old else {
        return Ok(without_old(current, earlier, compressed));
    };
    let begun = plain.split_off(old);
    let note = Note::Rotated {
        old: begun[0].path.clone(),
    };
    let mut pieces: Vec<Piece> = begun
        .into_iter()
        .map(|log| Piece::whole_from(log, 0))
        .collect();
    pieces[0].from = earlier.offset;
    if current.size > 0 {
        pieces.push(Piece::whole_from(current, 0));
    }
    Ok(Course {
        pieces,
        notes: vec![note],
    })
}

/// The newest that is so.
fn position_of(
    logs: &[Opened],
    is_so: impl Fn(&Opened) -> io::Result<bool>,
) -> io::Result<Option<usize>> {
    for (number, log) in logs.iter().enumerate().rev() {
        if is_so(log)? {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

fn without_old(current: Opened, earlier: &Position, compressed: Option<PathBuf>) -> Course {
    let note = match compressed {
        Some(old) => Note::Compressed { old },
        None => Note::Lost,
    };
    // Of a file that holds nothing yet, nothing can have been lost.
    let notes = if earlier.offset == 0 && earlier.inode == current.inode {
        Vec::new()
    } else {
        vec![note]
    };
    Course {
        pieces: vec![Piece::whole_from(current, 0)],
        notes,
    }
}

/// Rotated files of a log.
struct Siblings {
    plain: Vec<Opened>,
    /// The newest of those that are compressed.
    compressed: Option<PathBuf>,
}

/// `mail.log.1`, `mail.log-20261125`, `mail.log.2.gz`: as logrotate names them.
fn siblings(current: &Opened) -> Result<Siblings, FollowError> {
    let directory = current
        .path
        .parent()
        .filter(|path| !path.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = current
        .path
        .file_name()
        .unwrap_or_default()
        .as_encoded_bytes();
    let mut found = Siblings {
        plain: Vec::new(),
        compressed: None,
    };
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in trusted::read_dir(directory)? {
        let entry = entry?;
        match entry
            .file_name()
            .as_encoded_bytes()
            .strip_prefix(name)
            .map(kind_of)
        {
            // What cannot be opened, or is gone by now, is not the old file.
            Some(Suffix::Plain) => found.plain.extend(open(&entry.path()).ok()),
            Some(Suffix::Compressed) => {
                let modified = entry
                    .metadata()
                    .and_then(|facts| facts.modified())
                    .unwrap_or(SystemTime::UNIX_EPOCH);
                if modified >= newest {
                    (newest, found.compressed) = (modified, Some(entry.path()));
                }
            }
            Some(Suffix::Other) | None => {}
        }
    }
    Ok(found)
}

#[derive(Debug, PartialEq, Eq)]
enum Suffix {
    Plain,
    Compressed,
    Other,
}

fn kind_of(suffix: &[u8]) -> Suffix {
    let packed = [&b".gz"[..], b".xz", b".bz2", b".zst"]
        .iter()
        .find_map(|end| suffix.strip_suffix(*end));
    let number = packed.unwrap_or(suffix);
    let is_number = matches!(number, [b'.' | b'-', b'0'..=b'9', rest @ ..]
        if rest.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-'));
    match (is_number, packed) {
        (false, _) => Suffix::Other,
        (true, None) => Suffix::Plain,
        (true, Some(_)) => Suffix::Compressed,
    }
}

fn tail(file: &File, offset: u64) -> io::Result<Sha256> {
    let length = offset.min(TAIL_BYTES);
    let mut bytes = vec![0; length as usize];
    match file.read_exact_at(&mut bytes, offset - length) {
        // It has become shorter just now: then it holds something else.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Sha256::of(b"shorter")),
        read => read.map(|()| Sha256::of(&bytes)),
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
