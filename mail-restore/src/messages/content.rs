//! The bytes of messages: only their frames are read, each once, and every content is checked
//! against its digest.
//!
//! Neither a frame nor an index is believed: what unpacks to more than it says, is not where it
//! should be, or has another digest is an error that names the message and its place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use mail_common::archive::frame::{self, FRAME_TAR_BYTES};
use mail_common::archive::index::Location;
use mail_common::archive::member::{self, Member};
use mail_common::archive::reader::TarReader;
use mail_common::archive::segment::{FrameSpan, read_frame};
use mail_common::beneath::Beneath;
use mail_common::checksum::{Sha256, Sha256Writer};
use mail_common::relpath::RelPath;
use zstd::zstd_safe;

use super::candidate::{Place, SavedFile};
use super::error::Error;
use super::work::{Work, for_each};

/// The most that a frame unpacks to in memory: about 4 MiB of members, the last of which may have
/// 16 MiB, with room.
const FRAME_MAX_BYTES: u64 = FRAME_TAR_BYTES + (32 << 20);

/// The most that stands before the content of a streamed file: its attributes.
const HEAD_MAX_BYTES: u64 = 8 << 20;

/// The longest head of a zstd frame (RFC 8878, 3.1.1.1).
const FRAME_HEAD_BYTES: usize = 18;

/// For `map_err` while a content is read.
pub(crate) fn unreadable(file: &SavedFile) -> impl FnOnce(io::Error) -> Error {
    |source| Error::Content {
        message: file.path.clone(),
        place: file.place.to_string(),
        source,
    }
}

/// The content of one message. Its last read fails when the digest is another than recorded, so
/// whoever reads to the end has the message as it was saved.
pub(crate) struct Content<'a> {
    inner: Box<dyn Read + 'a>,
    left: u64,
    digest: Option<Sha256Writer<io::Sink>>,
    expected: Sha256,
}

impl<'a> Content<'a> {
    fn new(inner: impl Read + 'a, file: &SavedFile) -> Self {
        let digest = Some(Sha256Writer::new(io::sink()));
        Self {
            inner: Box::new(inner),
            left: file.size,
            digest,
            expected: file.sha256,
        }
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let Some(mut digest) = self.digest.take() else {
            return Ok(0);
        };
        if self.left == 0 {
            if digest.into_parts().1 != self.expected {
                return Err(invalid("its sha256 is not the recorded one"));
            }
            return Ok(0);
        }
        let read = self.inner.read(&mut buffer[..wanted])?;
        if read == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        io::Write::write_all(&mut digest, &buffer[..read])?;
        self.digest = Some(digest);
        self.left -= read as u64;
        Ok(read)
    }
}

/// Reads `files` on all processors, each frame once, and gives every content, or why it cannot be
/// read, to `sink`. Once `is_over`, no further frame is read: what was not reached has no answer.
pub(crate) fn read_all<R: Send>(
    set: &Path,
    files: &[&SavedFile],
    is_over: impl Fn() -> bool + Sync,
    sink: impl Fn(usize, Result<Content<'_>, Error>) -> R + Sync,
) -> Vec<Option<R>> {
    let groups = by_frame(files);
    let answers = for_each(&groups, |group| {
        let mut answers = Vec::with_capacity(group.len());
        if !is_over() {
            read_group(set, files, group, &mut |number, content| {
                answers.push((number, sink(number, content)));
            });
        }
        answers
    });
    let mut all: Vec<Option<R>> = files.iter().map(|_| None).collect();
    for (number, answer) in answers.into_iter().flatten() {
        all[number] = Some(answer);
    }
    all
}

/// Reads one file whole, if it is no larger than `limit`.
pub(super) fn read_small(set: &Path, file: &SavedFile, limit: u64) -> Result<Vec<u8>, Error> {
    let mut answer = None;
    read_group(set, &[file], &[0], &mut |_, content| {
        answer =
            Some(content.and_then(|content| read_up_to(content, limit).map_err(unreadable(file))));
    });
    answer.unwrap_or_else(|| Err(absent(file)))
}

fn read_up_to(content: Content<'_>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(invalid("it is too large"));
    }
    Ok(bytes)
}

/// The numbers of the files in each frame.
fn by_frame(files: &[&SavedFile]) -> Vec<Vec<usize>> {
    let mut frames: BTreeMap<(RelPath, u64), Vec<usize>> = BTreeMap::new();
    for (number, file) in files.iter().enumerate() {
        let offset = match &file.place {
            Place::Frame { location, .. } => location.frame_offset,
            Place::File(_) => 0,
        };
        frames
            .entry((file.place.path(), offset))
            .or_default()
            .push(number);
    }
    frames.into_values().collect()
}

type Sink<'a> = &'a mut dyn FnMut(usize, Result<Content<'_>, Error>);

/// Reads files that lie in the same frame.
fn read_group(set: &Path, files: &[&SavedFile], group: &[usize], sink: Sink<'_>) {
    for &number in group {
        let file = files[number];
        match &file.place {
            Place::File(path) => match Beneath::open(set).and_then(|set| set.regular_file(path)) {
                Ok(opened) => sink(
                    number,
                    Ok(Content::new(
                        BufReader::with_capacity(128 * 1024, opened),
                        file,
                    )),
                ),
                Err(source) => sink(number, Err(unopened(path, source))),
            },
            Place::Frame { location, .. } => {
                let segment = file.place.path();
                match open_frame(set, &segment, *location, file.size) {
                    Ok(Frame::Members(members)) => {
                        return read_members(&members, files, group, sink);
                    }
                    Ok(Frame::Streamed(stream)) => read_streamed(stream, number, file, sink),
                    Err(error) => sink(number, Err(error)),
                }
            }
        }
    }
}

fn read_members(members: &Members, files: &[&SavedFile], group: &[usize], sink: Sink<'_>) {
    for &number in group {
        sink(number, members.content(files[number]));
    }
}

fn read_streamed(mut stream: Stream, number: usize, file: &SavedFile, sink: Sink<'_>) {
    match stream.find(file) {
        Ok(()) => sink(number, Ok(Content::new(stream.tar, file))),
        Err(error) => sink(number, Err(error)),
    }
}

fn unopened(file: &RelPath, source: io::Error) -> Error {
    let file = file.clone();
    Error::Unopened { file, source }
}

fn absent(file: &SavedFile) -> Error {
    Error::Absent {
        message: file.path.clone(),
        place: file.place.to_string(),
    }
}

fn check_size(file: &SavedFile, found: u64) -> Result<(), Error> {
    if found == file.size {
        return Ok(());
    }
    let (message, place) = (file.path.clone(), file.place.to_string());
    Err(Error::Size {
        message,
        place,
        found,
        recorded: file.size,
    })
}

/// A frame that was opened.
pub(super) enum Frame {
    /// Unpacked in memory.
    Members(Members),
    /// One large file, unpacked as it is read.
    Streamed(Stream),
}

/// The members of a frame.
pub(super) struct Members {
    tar: Vec<u8>,
    members: BTreeMap<RelPath, Member>,
}

/// A frame that holds one file too large for memory, and declares no size.
pub(super) struct Stream {
    pub(super) tar: TarReader<io::Take<zstd::Decoder<'static, BufReader<Section>>>>,
    segment: RelPath,
    offset: u64,
}

impl Members {
    /// Paths and contents, in the order of the paths.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&RelPath, &[u8])> {
        self.members
            .iter()
            .map(|(path, member)| (path, &self.tar[member.content.clone()]))
    }

    fn content(&self, file: &SavedFile) -> Result<Content<'_>, Error> {
        let member = self.members.get(&file.stored).ok_or_else(|| absent(file))?;
        let content = &self.tar[member.content.clone()];
        check_size(file, content.len() as u64)?;
        Ok(Content::new(content, file))
    }
}

impl Stream {
    /// The path and size of the file, whose content follows.
    pub(super) fn next_member(&mut self) -> Result<Option<(RelPath, u64)>, Error> {
        let damaged = |error| Error::Frame {
            segment: self.segment.clone(),
            offset: self.offset,
            source: io::Error::other(error),
        };
        let Some(head) = self.tar.next_member().map_err(damaged)? else {
            return Ok(None);
        };
        Ok(head.path().ok().map(|path| (path, head.size)))
    }

    fn find(&mut self, file: &SavedFile) -> Result<(), Error> {
        match self.next_member()? {
            Some((path, size)) if path == file.stored => check_size(file, size),
            _ => Err(absent(file)),
        }
    }
}

/// Opens the frame at `location`. A frame that declares no size is unpacked up to
/// `stream_bytes` of content.
pub(super) fn open_frame(
    set: &Path,
    segment: &RelPath,
    location: Location,
    stream_bytes: u64,
) -> Result<Frame, Error> {
    let offset = location.frame_offset;
    let damaged = |source| Error::Frame {
        segment: segment.clone(),
        offset,
        source,
    };
    let opened = Beneath::open(set).and_then(|set| set.regular_file(segment));
    let file = opened.map_err(|source| unopened(segment, source))?;
    let span = FrameSpan {
        offset,
        bytes: location.frame_bytes,
    };
    match declared_bytes(&file, span).map_err(damaged)? {
        Some(_) => {
            let tar = unpack(&file, span).map_err(damaged)?;
            let members =
                member::members(&tar).map_err(|error| damaged(io::Error::other(error)))?;
            let members = members
                .into_iter()
                .map(|member| (member.path.clone(), member))
                .collect();
            Ok(Frame::Members(Members { tar, members }))
        }
        None => {
            let section = Section {
                file,
                offset,
                left: span.bytes,
            };
            let decoder = zstd::Decoder::new(section).map_err(damaged)?.single_frame();
            let tar = TarReader::new(decoder.take(stream_bytes.saturating_add(HEAD_MAX_BYTES)));
            Ok(Frame::Streamed(Stream {
                tar,
                segment: segment.clone(),
                offset,
            }))
        }
    }
}

/// The size that a frame declares to unpack to; `None` when it declares none. It must lie
/// within its segment.
fn declared_bytes(segment: &File, span: FrameSpan) -> io::Result<Option<u64>> {
    let end = span.offset.checked_add(span.bytes);
    if end.is_none_or(|end| {
        segment
            .metadata()
            .is_ok_and(|metadata| end > metadata.len())
    }) {
        return Err(invalid("it goes beyond the end of its segment"));
    }
    let mut head = [0; FRAME_HEAD_BYTES];
    let head = &mut head[..FRAME_HEAD_BYTES.min(usize::try_from(span.bytes).unwrap_or(usize::MAX))];
    segment.read_exact_at(head, span.offset)?;
    zstd_safe::get_frame_content_size(head).map_err(|_| invalid("not a zstd frame"))
}

fn unpack(segment: &File, span: FrameSpan) -> io::Result<Vec<u8>> {
    // Incompressible data grows by less than this (ZSTD_compressBound).
    if span.bytes > FRAME_MAX_BYTES + FRAME_MAX_BYTES / 128 {
        return Err(invalid("it is larger than a frame can be"));
    }
    frame::decompress(&read_frame(segment, span)?, FRAME_MAX_BYTES)
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// A part of a file.
pub(super) struct Section {
    file: File,
    offset: u64,
    left: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Copies a content to nowhere, so that it is checked; gives back its first `head_bytes`.
pub(super) fn check(
    mut content: Content<'_>,
    head_bytes: usize,
    work: &Work<'_>,
) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = content.read(&mut buffer)?;
        if read == 0 {
            return Ok(head);
        }
        head.extend_from_slice(&buffer[..read.min(head_bytes - head.len())]);
        (work.progress)(read as u64);
    }
}
