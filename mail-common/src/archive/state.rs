//! The state of a mailbox in a set of format 2: its segments, the entries of its `0000`, and what
//! became of the members of its segments since these were written.
//!
//! JSON lines in a zstd stream. The first says what follows: `{"format":2,"segments":[1,2,7],
//! "control":12,"changes":3}`. Then come the entries of `0000`, as lines of an index, and the
//! changes, sorted by segment and stored name. A member without a change is as its index says.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::iter::Peekable;

use serde::{Deserialize, Serialize};
use zstd::zstd_safe::CParameter;

use super::index::{Error, IndexEntry, IndexWriter, Lines, parse_entry};
use crate::relpath::{PathField, RelPath};

/// The format of a mailbox whose directory has a state.
pub const FORMAT: u32 = 2;

/// The segment of directories and control files.
pub const CONTROL: u32 = 0;

/// What the names begin with under which messages are stored whose own would be in the way of
/// another one; a number follows.
pub const STORED_PREFIX: &[u8] = b"stored-";

/// What became of a member since its segment was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is no longer in the mailbox.
    Gone {
        /// When this was first seen, in seconds since 1970.
        since_seconds: i64,
    },
    /// It has another name, or is another file with the same content, mode, owner and time.
    Here {
        /// Its name now.
        path: RelPath,
        /// Its inode now.
        inode: u64,
        /// Its change time now, as in the index.
        ctime_ns: i64,
    },
}

/// The state of a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The numbers of all segments of messages, ascending.
    pub segments: Vec<u32>,
    /// The entries of `0000`, sorted by path.
    pub control: Vec<IndexEntry>,
    /// By segment and stored name.
    pub changes: BTreeMap<(u32, RelPath), Change>,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct HeadLine<'a> {
    format: u32,
    segments: Cow<'a, [u32]>,
    control: u64,
    changes: u64,
}

/// The line of a change.
#[derive(Serialize, Deserialize)]
struct ChangeLine<'a> {
    segment: u32,
    #[serde(borrow)]
    stored: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stored_b64: Option<String>,
    /// Absent for a member that is gone, and for one that has the name under which it is stored.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_b64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inode: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ctime_ns: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone_seconds: Option<i64>,
}

impl State {
    /// What became of the member `stored` of `segment`; `None` when it is as the index says.
    #[must_use]
    pub fn change(&self, segment: u32, stored: &RelPath) -> Option<&Change> {
        self.changes.get(&(segment, stored.clone()))
    }

    /// What became of the members of a segment, by stored name.
    pub(super) fn changes_of(
        &self,
        segment: u32,
    ) -> impl Iterator<Item = (&(u32, RelPath), &Change)> {
        let from = self.changes.range((segment, RelPath::root())..);
        from.take_while(move |((of, _), _)| *of == segment)
    }

    /// Reads `state.jsonl.zst`.
    ///
    /// # Errors
    /// When it is cut, damaged, or of another format.
    pub fn read(compressed: impl Read) -> Result<Self, Error> {
        let decoder = zstd::Decoder::new(compressed);
        let decoder = decoder.map_err(|source| Error::Read { line: 1, source })?;
        Self::read_lines(BufReader::with_capacity(128 * 1024, decoder))
    }

    fn read_lines(input: impl BufRead) -> Result<Self, Error> {
        let mut reader = StateReader::new(input)?;
        let mut state = Self {
            segments: std::mem::take(&mut reader.segments),
            control: std::mem::take(&mut reader.control),
            changes: BTreeMap::new(),
        };
        for change in reader {
            let (at, change) = change?;
            state.changes.insert(at, change);
        }
        Ok(state)
    }

    /// Writes `state.jsonl.zst`.
    ///
    /// # Errors
    /// As `out`.
    pub fn write<W: Write>(&self, out: W, level: i32) -> io::Result<W> {
        let mut encoder = zstd::Encoder::new(out, level)?;
        encoder.set_parameter(CParameter::ChecksumFlag(true))?;
        let head = HeadLine {
            format: FORMAT,
            segments: Cow::Borrowed(&self.segments),
            control: self.control.len() as u64,
            changes: self.changes.len() as u64,
        };
        write_line(&mut encoder, &head)?;
        let mut control = IndexWriter::new(encoder);
        for entry in &self.control {
            control.write(entry)?;
        }
        let (mut encoder, _) = control.into_parts();
        for ((segment, stored), change) in &self.changes {
            write_line(&mut encoder, &ChangeLine::of(*segment, stored, change))?;
        }
        encoder.finish()
    }
}

/// A change, after the segment and the stored name of its member.
pub type Changed = ((u32, RelPath), Change);

/// A state whose changes come one by one, sorted by segment and stored name, and are not kept: a
/// mailbox in which all was renamed has as many as messages.
#[derive(Debug)]
pub struct StateReader<R> {
    /// As in [`State`].
    pub segments: Vec<u32>,
    /// As in [`State`].
    pub control: Vec<IndexEntry>,
    lines: Lines<R>,
    known_segments: Vec<u32>,
    left: u64,
    last: Option<(u32, RelPath)>,
    has_ended: bool,
}

impl<R: Read> StateReader<BufReader<zstd::Decoder<'static, BufReader<R>>>> {
    /// Reads `state.jsonl.zst` up to the changes.
    ///
    /// # Errors
    /// When it is cut, damaged, or of another format.
    pub fn open(compressed: R) -> Result<Self, Error> {
        let decoder = zstd::Decoder::new(compressed);
        let decoder = decoder.map_err(|source| Error::Read { line: 1, source })?;
        Self::new(BufReader::with_capacity(128 * 1024, decoder))
    }
}

impl<R: BufRead> StateReader<R> {
    fn new(input: R) -> Result<Self, Error> {
        let mut lines = Lines::new(input);
        let head = lines.next_line(|head: HeadLine<'_>, _| {
            Ok((
                head.format,
                head.segments.into_owned(),
                head.control,
                head.changes,
            ))
        });
        let (format, segments, control, changes) = head?.ok_or(damaged("it is empty"))?;
        if format != FORMAT {
            return Err(damaged("it is of a format that this version does not know"));
        }
        if segments.contains(&CONTROL) || !segments.is_sorted_by(|a, b| a < b) {
            return Err(damaged("its segments are not in order"));
        }
        Ok(Self {
            known_segments: segments.clone(),
            segments,
            control: read_control(&mut lines, control)?,
            lines,
            left: changes,
            last: None,
            has_ended: false,
        })
    }

    fn next_change(&mut self) -> Result<Option<Changed>, Error> {
        if self.left == 0 {
            return self.end().map(|()| None);
        }
        self.left -= 1;
        let change = self.lines.next_line(ChangeLine::into_change)?;
        let (at, change) = change.ok_or(damaged("it is cut short"))?;
        if self.known_segments.binary_search(&at.0).is_err() {
            return Err(damaged(
                "a change is of a segment that the mailbox does not have",
            ));
        }
        if self.last.as_ref().is_some_and(|last| *last >= at) {
            return Err(damaged("its changes are not in order"));
        }
        self.last = Some(at.clone());
        Ok(Some((at, change)))
    }

    fn end(&mut self) -> Result<(), Error> {
        match self.lines.next_line(|_: serde_json::Value, _| Ok(()))? {
            Some(()) => Err(damaged("it has more lines than its first line says")),
            None => Ok(()),
        }
    }
}

impl<R: BufRead> Iterator for StateReader<R> {
    type Item = Result<Changed, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let next = self.next_change().transpose();
        self.has_ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Changes that are read beside the members that they are of, both sorted by segment and stored
/// name.
pub struct ChangeCursor<C: Iterator>(Peekable<C>);

impl<C: Iterator> fmt::Debug for ChangeCursor<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeCursor").finish_non_exhaustive()
    }
}

impl<C: Iterator<Item = Result<Changed, Error>>> ChangeCursor<C> {
    /// Before the first of `changes`.
    pub fn new(changes: C) -> Self {
        Self(changes.peekable())
    }

    /// What became of the member `stored` of `segment`, if that is the next change.
    ///
    /// # Errors
    /// When the next change cannot be read.
    pub fn of(&mut self, segment: u32, stored: &RelPath) -> Result<Option<Change>, Error> {
        let changed = self.next_if(|at| *at == (segment, stored))?;
        Ok(changed.map(|(_, change)| change))
    }

    /// The next change, if its member comes before `stored` of `segment`.
    ///
    /// # Errors
    /// When the next change cannot be read.
    pub fn next_before(
        &mut self,
        segment: u32,
        stored: &RelPath,
    ) -> Result<Option<Changed>, Error> {
        self.next_if(|at| *at < (segment, stored))
    }

    /// The next change, if its member is in `segment` or one before.
    ///
    /// # Errors
    /// When the next change cannot be read.
    pub fn next_up_to(&mut self, segment: u32) -> Result<Option<Changed>, Error> {
        self.next_if(|(of, _)| *of <= segment)
    }

    fn next_if(
        &mut self,
        is_meant: impl Fn(&(u32, &RelPath)) -> bool,
    ) -> Result<Option<Changed>, Error> {
        let next = self.0.next_if(|next| match next {
            Ok(((segment, stored), _)) => is_meant(&(*segment, stored)),
            Err(_) => true,
        });
        next.transpose()
    }
}

fn read_control(lines: &mut Lines<impl BufRead>, count: u64) -> Result<Vec<IndexEntry>, Error> {
    let mut control: Vec<IndexEntry> = Vec::new();
    for _ in 0..count {
        let entry = lines.next_line(parse_entry)?;
        let entry = entry.ok_or(damaged("it is cut short"))?;
        if entry.location.segment != CONTROL {
            return Err(damaged("an entry of 0000 lies elsewhere"));
        }
        let last = control.last();
        if last.is_some_and(|last| last.live.path >= entry.live.path) {
            return Err(damaged("the entries of 0000 are not in order"));
        }
        control.push(entry);
    }
    Ok(control)
}

fn damaged(reason: &'static str) -> Error {
    Error::State { reason }
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    out.write_all(&bytes)
}

impl ChangeLine<'_> {
    fn of(segment: u32, stored: &RelPath, change: &Change) -> Self {
        let name = PathField::from(stored);
        let line = Self {
            segment,
            stored: name.path.into(),
            stored_b64: name.path_b64,
            path: None,
            path_b64: None,
            inode: None,
            ctime_ns: None,
            gone_seconds: None,
        };
        match change {
            Change::Gone { since_seconds } => Self {
                gone_seconds: Some(*since_seconds),
                ..line
            },
            Change::Here {
                path,
                inode,
                ctime_ns,
            } => {
                let renamed = (path != stored).then(|| PathField::from(path));
                let (path, path_b64) = renamed.map_or((None, None), |field| {
                    (Some(field.path.into()), field.path_b64)
                });
                Self {
                    path,
                    path_b64,
                    inode: Some(*inode),
                    ctime_ns: Some(*ctime_ns),
                    ..line
                }
            }
        }
    }

    fn into_change(self, line: u64) -> Result<Changed, Error> {
        let missing = |missing| Error::Incomplete { line, missing };
        let stored = checked(&self.stored, self.stored_b64, line)?;
        let change = match self.gone_seconds {
            Some(since_seconds) => Change::Gone { since_seconds },
            None => Change::Here {
                path: match self.path {
                    Some(path) => checked(&path, self.path_b64, line)?,
                    None => stored.clone(),
                },
                inode: self.inode.ok_or_else(|| missing("inode"))?,
                ctime_ns: self.ctime_ns.ok_or_else(|| missing("ctime_ns"))?,
            },
        };
        Ok(((self.segment, stored), change))
    }
}

fn checked(path: &str, path_b64: Option<String>, line: u64) -> Result<RelPath, Error> {
    let field = PathField {
        path: path.to_owned(),
        path_b64,
    };
    RelPath::try_from(&field).map_err(|source| Error::Path { line, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::index::{Kind, LiveEntry, Location, Stat};
    use crate::failure::{Failure, FailureKind};
    use proptest::prelude::*;

    const LINES: &str = concat!(
        r#"{"format":2,"segments":[1,12],"control":1,"changes":3}"#,
        "\n",
        r#"{"path":"a/b","kind":"directory","size":0,"mode":"0700","uid":5000,"gid":5000,"mtime_ns":7,"segment":0,"frame_offset":0,"frame_bytes":77,"inode":12,"ctime_ns":8}"#,
        "\n",
        r#"{"segment":1,"stored":"a/b/cur/1","gone_seconds":1795490443}"#,
        "\n",
        r#"{"segment":1,"stored":"a/b/cur/2:2,","path":"a/b/cur/2:2,S","inode":13,"ctime_ns":9}"#,
        "\n",
        r#"{"segment":12,"stored":"a/b/cur/3�","stored_b64":"YS9iL2N1ci8z/w==","inode":14,"ctime_ns":0}"#,
        "\n",
    );

    fn path(name: &[u8]) -> RelPath {
        RelPath::new(name).unwrap()
    }

    fn state() -> State {
        let directory = IndexEntry {
            live: LiveEntry {
                path: path(b"a/b"),
                kind: Kind::Directory,
                stat: Stat {
                    size: 0,
                    mode: 0o700,
                    uid: 5000,
                    gid: 5000,
                    mtime_ns: 7,
                    inode: 12,
                    ctime_ns: 8,
                },
            },
            sha256: None,
            location: Location {
                segment: 0,
                frame_offset: 0,
                frame_bytes: 77,
            },
            message_id: None,
            envelope: None,
            attachments: None,
            xattrs_sha256: None,
        };
        let gone = Change::Gone {
            since_seconds: 1_795_490_443,
        };
        let here = |name: &[u8], inode, ctime_ns| Change::Here {
            path: path(name),
            inode,
            ctime_ns,
        };
        State {
            segments: vec![1, 12],
            control: vec![directory],
            changes: BTreeMap::from([
                ((1, path(b"a/b/cur/1")), gone),
                ((1, path(b"a/b/cur/2:2,")), here(b"a/b/cur/2:2,S", 13, 9)),
                ((12, path(b"a/b/cur/3\xff")), here(b"a/b/cur/3\xff", 14, 0)),
            ]),
        }
    }

    #[test]
    fn the_lines_are_as_frozen_here() {
        let compressed = state().write(Vec::new(), 3).unwrap();
        let lines = zstd::decode_all(&compressed[..]).unwrap();
        assert_eq!(String::from_utf8(lines).unwrap(), LINES);
        assert_eq!(State::read(&compressed[..]).unwrap(), state());
    }

    #[test]
    fn damage_is_found() {
        let read = |lines: &str| State::read_lines(lines.as_bytes());
        let check = |from: &str, to: &str| {
            assert!(LINES.contains(from), "{from}");
            let kind = read(&LINES.replacen(from, to, 1)).unwrap_err().kind();
            assert_eq!(kind, FailureKind::Damaged, "{from} {to}");
        };
        check(r#""format":2"#, r#""format":3"#);
        check("[1,12]", "[12,1]");
        check("[1,12]", "[1,1,12]");
        check("[1,12]", "[0,1,12]");
        check("[1,12]", "[1]");
        check(r#""control":1"#, r#""control":0"#);
        check(r#""control":1"#, r#""control":2"#);
        check(r#""changes":3"#, r#""changes":2"#);
        check(r#""changes":3"#, r#""changes":4"#);
        check(r#""segment":0"#, r#""segment":1"#);
        check("cur/1\"", "cur/4\"");
        check("cur/1\"", "../../../x\"");
        check("cur/2:2,S", "../../../x");
        check(r#","inode":13"#, "");
        let (cut, _) = LINES.trim_end().rsplit_once('\n').unwrap();
        assert!(read(cut).is_err());
        assert!(read("").is_err());
        assert_eq!(read(LINES).unwrap(), state());
    }

    #[test]
    fn a_cut_stream_is_an_error() {
        let compressed = state().write(Vec::new(), 3).unwrap();
        for length in 0..compressed.len() {
            assert!(State::read(&compressed[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn random_lines_never_panic(lines in "[ -~\n]{0,200}") {
            let _ = State::read_lines(lines.as_bytes());
        }
    }
}
