//! Workers that read files and compress frames, one a core, shared by all mailboxes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::Scope;

use crossbeam_channel::{Receiver, Sender, bounded};
use mail_common::archive::frame::{self, FRAME_TAR_BYTES, FrameCompressor};
use mail_common::archive::member::{self, Member};
use mail_common::archive::segment::{FrameSpan, read_frame};
use mail_common::interrupt::Interrupt;
use mail_common::relpath::RelPath;

use super::error::Error;
use super::old_member::{Judged, Suspect};
use super::stored_xattrs::StoredXattrs;
use crate::source::pack::{LARGE_BYTES, Packed, Request, pack};
use crate::source::recheck::recheck;
use crate::source::tree::SourceTree;

/// Gives work to the workers. They end when the last clone is gone; once the run is to stop, they
/// drop what waits.
#[derive(Clone, Debug)]
pub(crate) struct FramePool {
    jobs: Sender<Job>,
    /// Frames that one mailbox may have under way.
    pub(crate) in_flight: usize,
}

/// A frame made from files of the live tree.
#[derive(Debug)]
pub(crate) struct Built {
    /// Compressed; empty when nothing could be read.
    pub(crate) frame: Vec<u8>,
    pub(crate) packed: Packed,
}

/// A frame of the last backup and which of its members to keep.
#[derive(Debug)]
pub(crate) struct OldFrame {
    pub(crate) segment: Arc<File>,
    /// Where the segment lies, for messages.
    pub(crate) path: PathBuf,
    pub(crate) span: FrameSpan,
    /// The names of the members to keep, and those that they are to have.
    pub(crate) living: BTreeMap<RelPath, RelPath>,
    /// Names of the others.
    pub(crate) dead: BTreeSet<RelPath>,
}

enum Job {
    Build(Vec<Request>, Sender<Result<Built, Error>>),
    Rebuild(OldFrame, Sender<Result<Vec<u8>, Error>>),
    Recheck(Vec<Suspect>, Sender<Vec<Judged>>),
}

impl FramePool {
    /// Starts `threads` workers in `scope`.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        tree: &'scope SourceTree,
        level: i32,
        threads: usize,
        interrupt: &'scope Interrupt,
    ) -> Result<Self, Error> {
        let (jobs, queue) = bounded::<Job>(threads);
        for _ in 0..threads {
            let queue = queue.clone();
            let mut worker = Worker {
                tree,
                compressor: FrameCompressor::new(level).map_err(Error::Compress)?,
                tar: Vec::new(),
            };
            scope.spawn(move || {
                for job in queue {
                    if interrupt.check().is_ok() {
                        worker.work(job);
                    }
                }
            });
        }
        Ok(Self {
            jobs,
            in_flight: threads + 1,
        })
    }

    /// Asks for a frame.
    pub(crate) fn build(&self, requests: Vec<Request>) -> Receiver<Result<Built, Error>> {
        let (answer, result) = bounded(1);
        self.give(Job::Build(requests, answer));
        result
    }

    /// Asks whether messages are what they look like.
    pub(crate) fn recheck(&self, suspects: Vec<Suspect>) -> Receiver<Vec<Judged>> {
        let (answer, result) = bounded(1);
        self.give(Job::Recheck(suspects, answer));
        result
    }

    /// Asks for an old frame without the members that are gone, and under the names of today.
    pub(crate) fn rebuild(&self, frame: OldFrame) -> Receiver<Result<Vec<u8>, Error>> {
        let (answer, result) = bounded(1);
        self.give(Job::Rebuild(frame, answer));
        result
    }

    fn give(&self, job: Job) {
        // Without workers the job is dropped and with it the answer's sender: the receiver sees
        // that.
        drop(self.jobs.send(job));
    }
}

impl OldFrame {
    /// Its tar.
    fn read(&self) -> Result<Vec<u8>, Error> {
        // A frame holds at least one member, and a member in memory is no larger than this.
        let limit = FRAME_TAR_BYTES + 2 * LARGE_BYTES;
        read_frame(&self.segment, self.span)
            .and_then(|frame| frame::decompress(&frame, limit))
            .map_err(|error| self.error(error))
    }

    /// The members of `tar`, which is its own. They are those of the index, one for one.
    fn members(&self, tar: &[u8]) -> Result<Vec<Member>, Error> {
        let members = member::members(tar).map_err(|error| self.error(error))?;
        let names: BTreeSet<&RelPath> = members.iter().map(|member| &member.path).collect();
        let indexed: BTreeSet<&RelPath> = self.living.keys().chain(&self.dead).collect();
        if names.len() != members.len() || names != indexed {
            return Err(self.error("it does not hold what the index says"));
        }
        Ok(members)
    }

    fn error(&self, problem: impl std::fmt::Display) -> Error {
        let offset = self.span.offset;
        Error::last_backup(&self.path)(format!("frame at offset {offset}: {problem}"))
    }
}

struct Worker<'a> {
    tree: &'a SourceTree,
    compressor: FrameCompressor,
    tar: Vec<u8>,
}

impl Worker<'_> {
    fn work(&mut self, job: Job) {
        // A mailbox that gave up no longer waits for its answer.
        match job {
            Job::Build(entries, answer) => drop(answer.send(self.build(entries))),
            Job::Rebuild(frame, answer) => drop(answer.send(self.rebuild(&frame))),
            Job::Recheck(suspects, answer) => drop(answer.send(self.recheck(suspects))),
        }
        // One large file must not hold its memory for the rest of the run.
        self.tar.shrink_to(FRAME_TAR_BYTES as usize * 2);
    }

    fn build(&mut self, requests: Vec<Request>) -> Result<Built, Error> {
        self.tar.clear();
        let packed = pack(self.tree, requests, &mut self.tar);
        let frame = if packed.entries.is_empty() {
            Vec::new()
        } else {
            self.compress()?
        };
        Ok(Built { frame, packed })
    }

    fn rebuild(&mut self, old: &OldFrame) -> Result<Vec<u8>, Error> {
        let tar = old.read()?;
        let members = old.members(&tar)?;
        self.tar.clear();
        for member in members {
            match old.living.get(&member.path) {
                Some(name) if *name == member.path => {
                    self.tar.extend_from_slice(&tar[member.whole]);
                }
                Some(name) => {
                    let renamed = member.append_renamed(&tar, name, &mut self.tar);
                    renamed.map_err(|error| old.error(error))?;
                }
                None => {}
            }
        }
        self.compress()
    }

    fn recheck(&self, suspects: Vec<Suspect>) -> Vec<Judged> {
        let mut stored = StoredXattrs::default();
        let judge = |Suspect { live, old, segment }| {
            let archived = || stored.of(segment.as_deref()?, &old);
            Judged {
                verdict: recheck(self.tree, &live, &old.known, archived),
                live,
                old,
            }
        };
        suspects.into_iter().map(judge).collect()
    }

    fn compress(&mut self) -> Result<Vec<u8>, Error> {
        self.compressor.compress(&self.tar).map_err(Error::Compress)
    }
}
