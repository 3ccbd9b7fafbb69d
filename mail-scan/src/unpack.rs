//! Reads a packed file from beginning to end, and sends what it holds to the workers, piece by
//! piece, with nothing on disk.
//!
//! The digest is computed on the way, of the very bytes that were unpacked.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use crossbeam_channel::Sender;
use mail_common::archive::reader::{MemberKind, TarReader};
use mail_common::checksum::{Sha256, Sha256Writer};
use mail_common::interrupt::Interrupted;
use mail_common::report::chain;

use crate::artifact::{Artifact, Part, Window};
use crate::budget::Taken;
use crate::cache::Known;
use crate::content::MEMORY_MAX_BYTES;
use crate::finding::Finding;
use crate::item::Item;
use crate::job::{BYTES_A_JOB, CONTENTS_A_JOB, Job, Piece};
use crate::look::Opened;
use crate::mailbox::Standing;
use crate::packing::{Inner, Packing, inner_of};
use crate::run::Run;
use crate::totals::add;
use crate::unscanned::Error;
use crate::verdict::Verdict;

/// What is read at a time to be thrown away.
const DRAIN_BYTES: usize = 128 << 10;

/// Pieces are this much larger than what is new in them: a signature that lies across two of them
/// is whole in one.
const OVERLAP_SHARE: u64 = 16;

/// Reads `item`, sends its pieces to `pieces`, and closes it.
pub(crate) fn unpack(run: &Run<'_>, item: Item, packing: Packing, pieces: &Sender<Job>) {
    if let Err(error) = check_mailbox(run, &item) {
        let unscanned = run.scope.unscanned(error.to_string());
        return run.tally.report_file(&item, &unscanned);
    }
    if let Some(finding) = known(run, &item, packing) {
        return run.tally.report_file(&item, &finding);
    }
    let artifact = Arc::new(Artifact::new(item, packing));
    let read = read(run, &artifact, pieces).map_err(|error| {
        let reason = chain(&error);
        if !matches!(error, Error::Interrupted(_)) {
            run.scope.session.fail(None, None, &error);
        }
        reason
    });
    artifact.close(run, read);
}

/// Where some members of an archive may be gone, it must be known which.
fn check_mailbox(run: &Run<'_>, item: &Item) -> Result<(), Error> {
    match &item.segment {
        None => Ok(()),
        Some(segment) => segment.check(&run.scope.interrupt, run.scope.session),
    }
}

/// The verdict of an earlier run, where the file still is what it was: it is read to compute its
/// digest, and not unpacked.
fn known(run: &Run<'_>, item: &Item, packing: Packing) -> Option<Finding> {
    let expected = item.expected?;
    let Some(Known::Clean(note)) = run.scope.cache?.lookup(&packing.cache_key(expected)) else {
        return None;
    };
    let Ok(Opened::File(file, look)) = item.open() else {
        return None;
    };
    let source = Hashing {
        counts: Counts::No,
        ..Hashing::new(run, file)
    };
    // What is another file by now is read again, and counted then.
    let found = source.finish().ok().filter(|found| *found == expected)?;
    run.tally.progress.advance(look.bytes);
    add(&run.tally.counters.bytes, look.bytes);
    add(&run.tally.counters.cached, 1);
    let unscanned = run.scope.unscanned("");
    Some(Finding {
        verdict: Verdict::Clean,
        sha256: Some(found),
        note,
        ..unscanned
    })
}

fn read(run: &Run<'_>, artifact: &Arc<Artifact>, pieces: &Sender<Job>) -> Result<Sha256, Error> {
    let item = &artifact.item;
    let place = || item.place.to_string();
    let file = match item.open().map_err(|source| Error::Read {
        place: place(),
        source,
    })? {
        Opened::File(file, _) => file,
        Opened::NoFile(what) => {
            return Err(Error::NoFile {
                place: place(),
                what,
            });
        }
    };
    let mut source = Hashing::new(run, file);
    let mut unpacker = Unpacker {
        run,
        artifact,
        outlet: pieces,
        waiting: Vec::new(),
        waiting_bytes: 0,
    };
    let unpacked = unpacker.unpack(&mut source).and(unpacker.flush());
    // Whatever came of it, the digest decides first: what is not as it was saved need not unpack.
    let found = source.finish().map_err(|source| Error::Read {
        place: place(),
        source,
    });
    // A signal ends every read of the file: nothing is wrong with it.
    run.scope.interrupt.check()?;
    if let (Ok(found), Some(expected)) = (&found, item.expected)
        && *found != expected
    {
        return Err(Error::Digest {
            place: place(),
            found: *found,
            expected,
        });
    }
    unpacked.and(found)
}

/// Takes one file apart.
struct Unpacker<'a, 'b> {
    run: &'a Run<'b>,
    artifact: &'a Arc<Artifact>,
    outlet: &'a Sender<Job>,
    /// Pieces that go with the next ones.
    waiting: Vec<Piece>,
    waiting_bytes: u64,
}

impl Unpacker<'_, '_> {
    fn unpack(&mut self, source: &mut Hashing<'_>) -> Result<(), Error> {
        let Packing { compression, inner } = self.artifact.packing;
        let mut content = compression
            .reader(source)
            .map_err(|source| self.damaged(source))?;
        match inner {
            Inner::Archive => self.members(&mut content),
            Inner::Text => self.text(&Part::WHOLE, &mut content),
            Inner::Whole => self.whole(&mut content),
        }
    }

    fn members(&mut self, content: &mut (dyn Read + Send)) -> Result<(), Error> {
        let failed = |source| Error::Tar {
            place: self.artifact.item.place.to_string(),
            source,
        };
        let mut archive = TarReader::new(content);
        while let Some(head) = archive.next_member().map_err(failed)? {
            self.run.scope.interrupt.check()?;
            if head.kind != MemberKind::File {
                continue;
            }
            let part = self.part_of(head.name);
            if part.standing == Standing::Present {
                add(&self.run.tally.counters.members, 1);
            }
            let is_text = inner_of(part.member.as_deref().unwrap_or_default()) == Inner::Text;
            if let Some(reason) = self.run.scope.leaves_out(head.size) {
                self.artifact.refuse(self.run, &part, reason);
            } else if is_text && head.size > self.run.scope.window_bytes() {
                self.text(&part, &mut archive)?;
            } else if head.size > MEMORY_MAX_BYTES {
                let reason = format!(
                    "{} bytes are more than is looked into in one piece",
                    head.size
                );
                self.artifact.refuse(self.run, &part, reason);
            } else {
                self.member(part, head.size, &mut archive)?;
            }
        }
        archive.finish().map_err(failed)?;
        Ok(())
    }

    /// The member that is stored as `name`.
    fn part_of(&self, name: Vec<u8>) -> Part {
        let Some(segment) = &self.artifact.item.segment else {
            return Part {
                member: Some(name),
                ..Part::WHOLE
            };
        };
        let seen = segment.seen(&name);
        Part {
            member: Some(seen.name),
            stored: seen.stored,
            standing: seen.standing,
            window: None,
        }
    }

    /// A member that may be in memory, once there is room for it.
    fn member(&mut self, part: Part, size: u64, archive: &mut impl Read) -> Result<(), Error> {
        let taken = self.take(size)?;
        let mut bytes = Vec::new();
        archive
            .read_to_end(&mut bytes)
            .map_err(|source| self.damaged(source))?;
        self.send(part, bytes, taken)
    }

    /// One content of a length that nobody knows before, in one piece, or refused.
    fn whole(&mut self, content: &mut dyn Read) -> Result<(), Error> {
        let part = Part::WHOLE;
        let asked = self.run.scope.max_bytes.unwrap_or(MEMORY_MAX_BYTES);
        let limit = asked.min(MEMORY_MAX_BYTES);
        let mut bytes = Vec::new();
        content
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| self.damaged(source))?;
        if bytes.len() as u64 <= limit {
            let taken = self.take(bytes.len() as u64)?;
            return self.send(part, bytes, taken);
        }
        let rest = drain(content).map_err(|source| self.damaged(source))?;
        let total = bytes.len() as u64 + rest;
        let reason = self.run.scope.leaves_out(total);
        let reason = reason
            .unwrap_or_else(|| format!("{total} bytes are more than is looked into in one piece"));
        self.artifact.refuse(self.run, &part, reason);
        Ok(())
    }

    /// Text of any length, in windows that overlap; what fits into one is scanned whole.
    fn text(&mut self, part: &Part, content: &mut dyn Read) -> Result<(), Error> {
        let window = self.run.scope.window_bytes();
        let overlap = usize::try_from(window / OVERLAP_SHARE).unwrap_or(usize::MAX);
        let (mut offset, mut carried) = (0, Vec::new());
        loop {
            self.run.scope.interrupt.check()?;
            let taken = self.take(window)?;
            let mut bytes: Vec<u8> = carried;
            let before = bytes.len();
            let room = window - before as u64;
            let new = content
                .take(room)
                .read_to_end(&mut bytes)
                .map_err(|source| self.damaged(source))?;
            let total = offset + bytes.len() as u64;
            if let Some(reason) = self.run.scope.leaves_out(total) {
                drain(content).map_err(|source| self.damaged(source))?;
                self.artifact.refuse(self.run, part, reason);
                return Ok(());
            }
            if new == 0 && offset > 0 {
                return Ok(());
            }
            let is_last = (new as u64) < room;
            carried = if is_last {
                Vec::new()
            } else {
                bytes[bytes.len() - overlap..].to_vec()
            };
            let next = total - carried.len() as u64;
            let whole = is_last && offset == 0;
            let window = (!whole).then_some(Window {
                offset,
                bytes: bytes.len() as u64,
            });
            let part = Part {
                window,
                ..part.clone()
            };
            self.send(part, bytes, taken)?;
            if is_last {
                return Ok(());
            }
            offset = next;
        }
    }

    fn send(&mut self, part: Part, content: Vec<u8>, taken: Taken) -> Result<(), Error> {
        if part.window.is_some() {
            add(&self.run.tally.counters.windows, 1);
        }
        self.artifact.send(&part);
        self.waiting_bytes += content.len() as u64;
        self.waiting.push(Piece {
            artifact: Arc::clone(self.artifact),
            part,
            content,
            taken,
        });
        if self.waiting.len() < CONTENTS_A_JOB && self.waiting_bytes < BYTES_A_JOB {
            return Ok(());
        }
        self.flush()
    }

    /// Takes room for a content. A large one may have to wait until all others are scanned, so none
    /// of them may wait here.
    fn take(&mut self, bytes: u64) -> Result<Taken, Error> {
        if bytes > BYTES_A_JOB {
            self.flush()?;
        }
        Ok(self.run.scope.budget.take(bytes))
    }

    /// Hands over what waits. The workers end only after the readers.
    fn flush(&mut self) -> Result<(), Error> {
        self.waiting_bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let sent = self.outlet.send(Job::Pieces(waiting));
        Ok(sent.map_err(|_| Interrupted)?)
    }

    fn damaged(&self, source: io::Error) -> Error {
        Error::Unpack {
            place: self.artifact.item.place.to_string(),
            source,
        }
    }
}

fn drain(content: &mut dyn Read) -> io::Result<u64> {
    io::copy(
        &mut io::BufReader::with_capacity(DRAIN_BYTES, content),
        &mut io::sink(),
    )
}

/// A file whose digest is computed while it is read.
struct Hashing<'a> {
    file: File,
    digest: Sha256Writer<io::Sink>,
    run: &'a Run<'a>,
    counts: Counts,
}

/// Whether the progress bar counts what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    Yes,
    No,
}

impl<'a> Hashing<'a> {
    fn new(run: &'a Run<'a>, file: File) -> Self {
        Self {
            file,
            digest: Sha256Writer::new(io::sink()),
            run,
            counts: Counts::Yes,
        }
    }

    /// Reads what is left and gives the digest of all of it.
    fn finish(mut self) -> io::Result<Sha256> {
        drain(&mut self)?;
        Ok(self.digest.into_parts().1)
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.run.scope.interrupt.check().map_err(io::Error::other)?;
        let length = self.file.read(buffer)?;
        io::Write::write_all(&mut self.digest, &buffer[..length])?;
        if self.counts == Counts::Yes {
            self.run.tally.progress.advance(length as u64);
        }
        Ok(length)
    }
}
