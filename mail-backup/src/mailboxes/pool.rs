//! Workers that read files and compress frames, one a core, shared by all mailboxes.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;

use crossbeam_channel::{Receiver, Sender, bounded};
use mail_common::archive::frame::{self, FRAME_TAR_BYTES, FrameCompressor};
use mail_common::archive::index::LiveEntry;
use mail_common::archive::member::{self, Member};
use mail_common::archive::segment::{FrameSpan, read_frame};

use crate::source::pack::{LARGE_BYTES, Packed, pack};
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

/// An old frame without the members that are gone.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    pub(crate) frame: Vec<u8>,
}

/// Why an old frame cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RebuildError {
    #[error("read frame at {offset} of {path}")]
    Read {
        path: PathBuf,
        offset: u64,
        source: io::Error,
    },
    #[error("read frame at {offset} of {path}")]
    Members {
        path: PathBuf,
        offset: u64,
        source: member::Error,
    },
    #[error("the frame at {offset} of {path} does not hold what its index says")]
    Mismatch { path: PathBuf, offset: u64 },
}

/// An old frame and which of its members to keep.
#[derive(Debug)]
pub(crate) struct OldFrame {
    pub(crate) segment: Arc<File>,
    pub(crate) path: PathBuf,
    pub(crate) span: FrameSpan,
    pub(crate) keep: Vec<bool>,
}

enum Job {
    Build(Vec<LiveEntry>, Sender<io::Result<Built>>),
    Rebuild(OldFrame, Sender<Result<Rebuilt, RebuildError>>),
}

impl FramePool {
    /// Starts `threads` workers in `scope`.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        tree: &'scope SourceTree,
        level: i32,
        threads: usize,
        stop: &'scope AtomicBool,
    ) -> io::Result<Self> {
        let (jobs, queue) = bounded::<Job>(threads);
        for _ in 0..threads {
            let queue = queue.clone();
            let mut worker = Worker {
                tree,
                compressor: FrameCompressor::new(level)?,
                tar: Vec::new(),
            };
            let is_wanted = move |_: &Job| !stop.load(Ordering::Relaxed);
            scope.spawn(move || {
                queue
                    .iter()
                    .filter(is_wanted)
                    .for_each(|job| worker.work(job))
            });
        }
        Ok(Self {
            jobs,
            in_flight: threads + 1,
        })
    }

    /// Asks for a frame of `entries`.
    pub(crate) fn build(&self, entries: Vec<LiveEntry>) -> Receiver<io::Result<Built>> {
        let (answer, result) = bounded(1);
        self.give(Job::Build(entries, answer));
        result
    }

    /// Asks for an old frame without what is gone.
    pub(crate) fn rebuild(&self, frame: OldFrame) -> Receiver<Result<Rebuilt, RebuildError>> {
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
        }
        // One large file must not hold its memory for the rest of the run.
        self.tar.shrink_to(FRAME_TAR_BYTES as usize * 2);
    }

    fn build(&mut self, entries: Vec<LiveEntry>) -> io::Result<Built> {
        self.tar.clear();
        let packed = pack(self.tree, entries, &mut self.tar);
        let frame = if packed.entries.is_empty() {
            Vec::new()
        } else {
            self.compressor.compress(&self.tar)?
        };
        Ok(Built { frame, packed })
    }

    fn rebuild(&mut self, old: &OldFrame) -> Result<Rebuilt, RebuildError> {
        let OldFrame { path, span, .. } = old;
        let (path, offset) = (path.clone(), span.offset);
        // A frame holds at least one member, and a member in memory is no larger than this.
        let limit = FRAME_TAR_BYTES + 2 * LARGE_BYTES;
        let read =
            read_frame(&old.segment, *span).and_then(|frame| frame::decompress(&frame, limit));
        let tar = match read {
            Ok(tar) => tar,
            Err(source) => {
                return Err(RebuildError::Read {
                    path,
                    offset,
                    source,
                });
            }
        };
        let members = match member::members(&tar) {
            Ok(members) => members,
            Err(source) => {
                return Err(RebuildError::Members {
                    path,
                    offset,
                    source,
                });
            }
        };
        if !matches_index(&members, &old.keep) {
            return Err(RebuildError::Mismatch { path, offset });
        }
        self.tar.clear();
        for (member, _) in members.iter().zip(&old.keep).filter(|(_, keep)| **keep) {
            self.tar.extend_from_slice(&tar[member.whole.clone()]);
        }
        let frame = self.compressor.compress(&self.tar);
        let frame = frame.map_err(|source| RebuildError::Read {
            path,
            offset,
            source,
        })?;
        Ok(Rebuilt { frame })
    }
}

/// The members of a frame are those of the index, one for one: as many, and in the same order, by
/// path.
fn matches_index(members: &[Member], keep: &[bool]) -> bool {
    members.len() == keep.len() && members.is_sorted_by(|a, b| a.path < b.path)
}
