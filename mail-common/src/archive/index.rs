//! The index of a mailbox: a JSON line for each entry, sorted by path, in a zstd stream.
//!
//! It tells where each entry lies and how the file looked when it was read, which is how the next
//! run knows what has not changed. It is read and written as a stream: memory does not grow with
//! the mailbox.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read, Write};

use jiff::fmt::rfc2822;
use serde::{Deserialize, Serialize};

use crate::checksum::Sha256;
use crate::failure::{Failure, FailureKind};
use crate::message::Head;
use crate::relpath::{PathField, RelPath, UnsafePath};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A regular file. A hard link is one too, whole in its own right: no message depends on
    /// another.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

/// What `lstat` says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Length in bytes; 0 for a directory, the target's length for a symbolic link.
    pub size: u64,
    /// Permission bits, `07777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Inode number.
    pub inode: u64,
    /// Change time, nanoseconds since 1970; 0 when the file may have changed in the tick in which
    /// it was read, so that it never counts as unchanged.
    pub ctime_ns: i64,
}

/// An entry of the live tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveEntry {
    /// Relative to the mail root.
    pub path: RelPath,
    /// What it is.
    pub kind: Kind,
    /// How it looked.
    pub stat: Stat,
}

/// Where the frame that holds an entry lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// The segment's number: `0001.tar.zst` is 1.
    pub segment: u32,
    /// Offset of the frame in the segment file, in bytes.
    pub frame_offset: u64,
    /// Length of the compressed frame, in bytes.
    pub frame_bytes: u64,
}

/// An entry of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The entry as it was when it was read.
    pub live: LiveEntry,
    /// Digest of the content; for files only.
    pub sha256: Option<Sha256>,
    /// Where it is.
    pub location: Location,
    /// The Message-ID of a message, without angle brackets; empty when the message has none. `None`
    /// for other files, and for a message whose header was not looked at.
    pub message_id: Option<String>,
    /// What else the header of a message says; `None` as for the Message-ID.
    pub envelope: Option<Box<Envelope>>,
    /// The names of the files that are attached to a message, see
    /// [`attachment_names`](crate::mime::attachment_names); `None` where they are not known.
    pub attachments: Option<Vec<String>>,
    /// Digest of the extended attributes; `None` where there are none.
    pub xattrs_sha256: Option<Sha256>,
}

/// The fields of a message's header by which people look for it: decoded, without characters that
/// act on a terminal, and cut to [`ENVELOPE_MAX_CHARS`] each. Empty where the message has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// When it was written, in seconds since 1970; `None` where that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_seconds: Option<i64>,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// Who gets a copy.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cc: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
}

impl Envelope {
    /// Of a message with this header.
    #[must_use]
    pub fn of(head: &Head<'_>) -> Self {
        let text = |name| head.text(name).unwrap_or_default();
        Self {
            date_seconds: head.field("Date").and_then(|date| date_seconds(&date)),
            from: text("From"),
            to: text("To"),
            cc: text("Cc"),
            subject: text("Subject"),
        }
    }
}

/// A date of RFC 5322 in seconds since 1970. A wrong day of the week is of no matter.
fn date_seconds(date: &[u8]) -> Option<i64> {
    let parser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    let time = parser.parse_timestamp(date.trim_ascii()).ok()?;
    Some(time.as_second())
}

/// How much of a field an envelope keeps, in characters.
pub const ENVELOPE_MAX_CHARS: usize = 200;

/// What is wrong with an index, or with a state, which has lines of the same kind.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream cannot be read or decompressed: cut short or damaged.
    #[error("read index line {line}")]
    Read {
        /// Counted from 1.
        line: u64,
        /// The cause.
        source: io::Error,
    },
    /// A line is not an index entry.
    #[error("parse index line {line}")]
    Parse {
        /// Counted from 1.
        line: u64,
        /// The cause.
        source: serde_json::Error,
    },
    /// A line names a path that leads out of the tree.
    #[error("parse index line {line}")]
    Path {
        /// Counted from 1.
        line: u64,
        /// The cause.
        source: UnsafePath,
    },
    /// A line lacks its place or digest.
    #[error("index line {line} is incomplete: {missing} is missing")]
    Incomplete {
        /// Counted from 1.
        line: u64,
        /// The field.
        missing: &'static str,
    },
    /// The lines are not sorted by path.
    #[error("index line {line} is out of order: {path} does not come after the line before it")]
    Unsorted {
        /// Counted from 1.
        line: u64,
        /// The path of that line.
        path: RelPath,
    },
    /// The lines are those of a state, which contradicts itself.
    #[error("the state of the mailbox is damaged: {reason}")]
    State {
        /// What is wrong.
        reason: &'static str,
    },
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Read { source, .. } => FailureKind::of_stored(source),
            Self::Parse { .. }
            | Self::Path { .. }
            | Self::Incomplete { .. }
            | Self::Unsorted { .. }
            | Self::State { .. } => FailureKind::Damaged,
        }
    }
}

/// The wire form of a line. Without digest and place it is a line of a spool: an entry still to be
/// saved.
///
/// Flat and borrowed where it can be: this is the hot path of a run in which nothing changed.
#[derive(Serialize, Deserialize)]
pub(super) struct IndexLine<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_b64: Option<String>,
    kind: Kind,
    size: u64,
    #[serde(borrow)]
    mode: Cow<'a, str>,
    uid: u32,
    gid: u32,
    mtime_ns: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frame_offset: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frame_bytes: Option<u64>,
    inode: u64,
    ctime_ns: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    envelope: Option<Cow<'a, Envelope>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attachments: Option<Cow<'a, [String]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    xattrs_sha256: Option<Sha256>,
}

/// Writes index lines, or spool lines of live entries. Compression and digest are the inner
/// writer's.
#[derive(Debug)]
pub struct IndexWriter<W> {
    inner: W,
    line: Vec<u8>,
    entries: u64,
    bytes: u64,
}

impl<W: Write> IndexWriter<W> {
    /// Starts with no line.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            line: Vec::with_capacity(512),
            entries: 0,
            bytes: 0,
        }
    }

    /// Writes a line of the index.
    ///
    /// # Errors
    /// As the inner writer.
    pub fn write(&mut self, entry: &IndexEntry) -> io::Result<()> {
        let line = IndexLine {
            sha256: entry.sha256,
            segment: Some(entry.location.segment),
            frame_offset: Some(entry.location.frame_offset),
            frame_bytes: Some(entry.location.frame_bytes),
            message_id: entry.message_id.as_deref().map(Cow::Borrowed),
            envelope: entry.envelope.as_deref().map(Cow::Borrowed),
            attachments: entry.attachments.as_deref().map(Cow::Borrowed),
            xattrs_sha256: entry.xattrs_sha256,
            ..IndexLine::of(&entry.live)
        };
        self.write_line(&line)
    }

    /// Writes a line of a spool: an entry that has no place yet.
    ///
    /// # Errors
    /// As the inner writer.
    pub fn write_live(&mut self, entry: &LiveEntry) -> io::Result<()> {
        self.write_line(&IndexLine::of(entry))
    }

    fn write_line(&mut self, line: &IndexLine<'_>) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.entries += 1;
        self.bytes += self.line.len() as u64;
        self.inner.write_all(&self.line)
    }

    /// Length of all lines so far, before compression.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The inner writer and the number of lines.
    pub fn into_parts(self) -> (W, u64) {
        (self.inner, self.entries)
    }
}

/// Reads an index as a stream and checks that it is sorted.
#[derive(Debug)]
pub struct IndexReader<R> {
    lines: Lines<R>,
    last: Option<RelPath>,
}

impl<R: Read> IndexReader<BufReader<zstd::Decoder<'static, BufReader<R>>>> {
    /// Reads `index.jsonl.zst`.
    ///
    /// # Errors
    /// When the decompressor cannot be set up.
    pub fn open(compressed: R) -> io::Result<Self> {
        Ok(Self::new(BufReader::with_capacity(
            128 * 1024,
            zstd::Decoder::new(compressed)?,
        )))
    }
}

impl<R: BufRead> IndexReader<R> {
    /// Reads plain lines.
    pub fn new(inner: R) -> Self {
        Self {
            lines: Lines::new(inner),
            last: None,
        }
    }

    /// The number of the last line that was read.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.lines.number
    }

    fn read_entry(&mut self) -> Result<Option<IndexEntry>, Error> {
        let Some(entry) = self.lines.next_line(parse_entry)? else {
            return Ok(None);
        };
        let line = self.lines.number;
        let path = &entry.live.path;
        if self.last.as_ref().is_some_and(|last| last >= path) {
            let path = path.clone();
            return Err(Error::Unsorted { line, path });
        }
        self.last = Some(path.clone());
        Ok(Some(entry))
    }
}

impl<R: BufRead> Iterator for IndexReader<R> {
    type Item = Result<IndexEntry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_entry().transpose()
    }
}

/// Reads a spool of live entries, in the order in which they were written.
#[derive(Debug)]
pub struct SpoolReader<R>(Lines<R>);

impl<R: BufRead> SpoolReader<R> {
    /// Reads plain lines.
    pub fn new(inner: R) -> Self {
        Self(Lines::new(inner))
    }
}

impl<R: BufRead> Iterator for SpoolReader<R> {
    type Item = Result<LiveEntry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_line(parse_live).transpose()
    }
}

/// Lines of bounded length, counted.
#[derive(Debug)]
pub(super) struct Lines<R> {
    inner: R,
    buffer: Vec<u8>,
    pub(super) number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            buffer: Vec::with_capacity(512),
            number: 0,
        }
    }

    /// The next line, which is a `Line` and is made into what it says; `None` at the end.
    pub(super) fn next_line<'a, Line: Deserialize<'a>, T>(
        &'a mut self,
        convert: impl FnOnce(Line, u64) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.buffer.clear();
        self.number += 1;
        let line = self.number;
        let limited = (&mut self.inner)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut self.buffer);
        if limited.map_err(|source| Error::Read { line, source })? == 0 {
            return Ok(None);
        }
        let parsed =
            serde_json::from_slice(&self.buffer).map_err(|source| Error::Parse { line, source })?;
        convert(parsed, line).map(Some)
    }
}

/// A path is at most some thousand bytes; a longer line is damage.
const MAX_LINE_BYTES: u64 = 64 * 1024;

pub(super) fn parse_entry(parsed: IndexLine<'_>, line: u64) -> Result<IndexEntry, Error> {
    parsed.into_entry(line)
}

fn parse_live(parsed: IndexLine<'_>, line: u64) -> Result<LiveEntry, Error> {
    parsed.into_live(line)
}

impl IndexLine<'_> {
    /// What a line of a spool says.
    fn of(live: &LiveEntry) -> Self {
        let PathField { path, path_b64 } = PathField::from(&live.path);
        let stat = &live.stat;
        Self {
            path: path.into(),
            path_b64,
            kind: live.kind,
            size: stat.size,
            mode: format!("{:04o}", stat.mode).into(),
            uid: stat.uid,
            gid: stat.gid,
            mtime_ns: stat.mtime_ns,
            sha256: None,
            segment: None,
            frame_offset: None,
            frame_bytes: None,
            inode: stat.inode,
            ctime_ns: stat.ctime_ns,
            message_id: None,
            envelope: None,
            attachments: None,
            xattrs_sha256: None,
        }
    }

    fn into_entry(mut self, line: u64) -> Result<IndexEntry, Error> {
        let missing = |missing| Error::Incomplete { line, missing };
        let location = Location {
            segment: self.segment.ok_or_else(|| missing("segment"))?,
            frame_offset: self.frame_offset.ok_or_else(|| missing("frame_offset"))?,
            frame_bytes: self.frame_bytes.ok_or_else(|| missing("frame_bytes"))?,
        };
        if self.kind == Kind::File && self.sha256.is_none() {
            return Err(missing("sha256"));
        }
        let sha256 = self.sha256;
        let message_id = self.message_id.take().map(Cow::into_owned);
        let envelope = self
            .envelope
            .take()
            .map(|found| Box::new(found.into_owned()));
        let attachments = self.attachments.take().map(Cow::into_owned);
        let xattrs_sha256 = self.xattrs_sha256;
        Ok(IndexEntry {
            live: self.into_live(line)?,
            sha256,
            location,
            message_id,
            envelope,
            attachments,
            xattrs_sha256,
        })
    }

    fn into_live(self, line: u64) -> Result<LiveEntry, Error> {
        let mode = u32::from_str_radix(&self.mode, 8).map_err(|_| Error::Incomplete {
            line,
            missing: "an octal mode",
        })?;
        let field = PathField {
            path: self.path.into_owned(),
            path_b64: self.path_b64,
        };
        let path = RelPath::try_from(&field).map_err(|source| Error::Path { line, source })?;
        let stat = Stat {
            size: self.size,
            mode,
            uid: self.uid,
            gid: self.gid,
            mtime_ns: self.mtime_ns,
            inode: self.inode,
            ctime_ns: self.ctime_ns,
        };
        Ok(LiveEntry {
            path,
            kind: self.kind,
            stat,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str = r#"{"path":"example.com/alice/cur/1:2,S","kind":"file","size":5,"mode":"0600","uid":5000,"gid":5000,"mtime_ns":1700000000123456789,"sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","segment":1,"frame_offset":0,"frame_bytes":77,"inode":12,"ctime_ns":1700000001000000000}"#;

    fn entry() -> IndexEntry {
        IndexEntry {
            live: LiveEntry {
                path: "example.com/alice/cur/1:2,S".parse().unwrap(),
                kind: Kind::File,
                stat: Stat {
                    size: 5,
                    mode: 0o600,
                    uid: 5000,
                    gid: 5000,
                    mtime_ns: 1_700_000_000_123_456_789,
                    inode: 12,
                    ctime_ns: 1_700_000_001_000_000_000,
                },
            },
            sha256: Some(Sha256::of(b"hello")),
            location: Location {
                segment: 1,
                frame_offset: 0,
                frame_bytes: 77,
            },
            message_id: None,
            envelope: None,
            attachments: None,
            xattrs_sha256: None,
        }
    }

    #[test]
    fn the_line_is_as_frozen_here() {
        let mut writer = IndexWriter::new(Vec::new());
        writer.write(&entry()).unwrap();
        assert_eq!(
            String::from_utf8(writer.into_parts().0).unwrap(),
            format!("{LINE}\n")
        );
        let back: Vec<_> = IndexReader::new(LINE.as_bytes())
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(back, [entry()]);
    }

    #[test]
    fn the_line_of_a_message_has_its_message_id() {
        let check = |id: &str, field: &str| {
            let line = LINE.replace(r#""ctime_ns":1700000001000000000}"#, field);
            let entry = IndexEntry {
                message_id: Some(id.to_owned()),
                ..entry()
            };
            let mut writer = IndexWriter::new(Vec::new());
            writer.write(&entry).unwrap();
            assert_eq!(
                String::from_utf8(writer.into_parts().0).unwrap(),
                format!("{line}\n")
            );
            let back: Vec<_> = IndexReader::new(line.as_bytes())
                .collect::<Result<_, _>>()
                .unwrap();
            assert_eq!(back, [entry]);
        };
        check(
            "1.a@mx",
            r#""ctime_ns":1700000001000000000,"message_id":"1.a@mx"}"#,
        );
        check("", r#""ctime_ns":1700000001000000000,"message_id":""}"#);
        check(
            "a\"\u{7}@mx",
            r#""ctime_ns":1700000001000000000,"message_id":"a\"\u0007@mx"}"#,
        );
    }

    #[test]
    fn the_line_of_a_message_has_its_envelope_and_attachments() {
        let envelope = Envelope {
            date_seconds: Some(1_700_000_000),
            from: "A <a@example.com>".into(),
            subject: "見積".into(),
            ..Envelope::default()
        };
        let entry = IndexEntry {
            envelope: Some(Box::new(envelope)),
            attachments: Some(vec!["見積.pdf".into(), "a".into()]),
            xattrs_sha256: entry().sha256,
            ..entry()
        };
        let mut writer = IndexWriter::new(Vec::new());
        writer.write(&entry).unwrap();
        let line = String::from_utf8(writer.into_parts().0).unwrap();
        let expected = LINE.replace(
            r#""ctime_ns":1700000001000000000}"#,
            concat!(
                r#""ctime_ns":1700000001000000000,"envelope":{"date_seconds":1700000000,"#,
                r#""from":"A <a@example.com>","subject":"見積"},"#,
                r#""attachments":["見積.pdf","a"],"#,
                r#""xattrs_sha256":"#,
                r#""2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}"#
            ),
        );
        assert_eq!(line, format!("{expected}\n"));
        let back: Vec<_> = IndexReader::new(line.as_bytes())
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(back, [entry]);
    }

    /// Which is why a field can be added: a reader of before passes over it.
    #[test]
    fn a_field_of_a_later_version_is_passed_over() {
        let line = LINE.replace(r#""inode":12,"#, r#""inode":12,"later":{"a":[1]},"#);
        let back: Vec<_> = IndexReader::new(line.as_bytes())
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(back, [entry()]);
    }

    fn check(input: &str, expected: &str) {
        let error = IndexReader::new(input.as_bytes())
            .find_map(Result::err)
            .expect("an error");
        assert_eq!(error.to_string(), expected, "{input}");
    }

    #[test]
    fn damage_is_named() {
        check(
            &format!("{LINE}\n{LINE}\n"),
            "index line 2 is out of order: \
             example.com/alice/cur/1:2,S does not come after the line before it",
        );
        check(
            &LINE.replace(r#""segment":1,"#, ""),
            "index line 1 is incomplete: segment is missing",
        );
        check(
            &LINE.replace(r#""mode":"0600""#, r#""mode":"rw""#),
            "index line 1 is incomplete: an octal mode is missing",
        );
        check(
            &LINE.replace("example.com/alice", "../../etc"),
            "parse index line 1",
        );
        check(&LINE[..LINE.len() / 2], "parse index line 1");
    }

    #[test]
    fn a_cut_stream_is_an_error() {
        let compressed = zstd::encode_all(LINE.as_bytes(), 3).unwrap();
        let cut = &compressed[..compressed.len() - 9];
        assert!(IndexReader::open(cut).unwrap().any(|entry| entry.is_err()));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            for _ in IndexReader::new(&bytes[..]).take(10) {}
            if let Ok(reader) = IndexReader::open(&bytes[..]) {
                for _ in reader.take(10) {}
            }
        }
    }
}
