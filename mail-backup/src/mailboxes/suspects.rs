//! Messages that look like old ones and have other times, another name or another inode: they are
//! read by the workers and compared with what is stored.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use mail_common::archive::index::LiveEntry;
use mail_common::beneath;

use super::context::Context;
use super::error::Error;
use super::history::History;
use super::old_member::{Judged, OldMember, Suspect};
use crate::source::recheck::KnownXattrs;

/// How much is given to a worker at a time.
const BATCH_BYTES: u64 = 4 << 20;

/// What opening a file costs, as reading so many bytes does.
const OPEN_BYTES: u64 = 16 << 10;

/// Those that wait, and those that are being read.
pub(crate) struct Suspects<'a> {
    context: &'a Context<'a>,
    history: Option<&'a History<'a>>,
    /// The segment of format 1 that was opened last.
    open: Option<(u32, Option<Arc<File>>)>,
    batch: Vec<Suspect>,
    batch_bytes: u64,
    waiting: VecDeque<Receiver<Vec<Judged>>>,
}

impl<'a> Suspects<'a> {
    pub(crate) fn new(context: &'a Context<'a>, history: Option<&'a History<'a>>) -> Self {
        Self {
            context,
            history,
            open: None,
            batch: Vec::new(),
            batch_bytes: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Adds one. Gives those that were read meanwhile.
    pub(crate) fn add(&mut self, live: LiveEntry, old: OldMember) -> Result<Vec<Judged>, Error> {
        self.batch_bytes += live.stat.size + OPEN_BYTES;
        let segment = match old.known.xattrs {
            KnownXattrs::InArchive if live.stat != old.known.stat => self.open(old.segment),
            KnownXattrs::InArchive | KnownXattrs::Digest(_) => None,
        };
        self.batch.push(Suspect { live, old, segment });
        if self.batch_bytes < BATCH_BYTES {
            return Ok(Vec::new());
        }
        let mut judged = Vec::new();
        if self.waiting.len() >= self.context.pool.in_flight {
            judged = self.first()?;
        }
        self.submit()?;
        Ok(judged)
    }

    /// Gives all that are left; it is empty then.
    pub(crate) fn finish(&mut self) -> Result<Vec<Judged>, Error> {
        if !self.batch.is_empty() {
            self.submit()?;
        }
        let mut judged = Vec::new();
        while !self.waiting.is_empty() {
            judged.extend(self.first()?);
        }
        Ok(judged)
    }

    /// A segment of the last backup; `None` when it cannot be opened.
    fn open(&mut self, number: u32) -> Option<Arc<File>> {
        if let Some((open, file)) = &self.open
            && *open == number
        {
            return file.clone();
        }
        let segment = self.history?.segments().get(&number)?;
        let file = beneath::regular_file(&segment.file).ok().map(Arc::new);
        self.open = Some((number, file.clone()));
        file
    }

    fn submit(&mut self) -> Result<(), Error> {
        self.context.check_interrupt()?;
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        self.waiting.push_back(self.context.pool.recheck(batch));
        Ok(())
    }

    /// Waits for the batch that has waited longest.
    fn first(&mut self) -> Result<Vec<Judged>, Error> {
        let Some(answer) = self.waiting.pop_front() else {
            return Ok(Vec::new());
        };
        answer.recv().map_err(|_| self.context.no_answer())
    }
}
