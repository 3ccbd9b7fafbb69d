//! Where what is found is sent: plain files to who scans, packed ones to who unpacks.

use crossbeam_channel::Sender;
use mail_common::archive::compression::Compression;

use crate::item::Item;
use crate::job::{BYTES_A_JOB, CONTENTS_A_JOB, Job};
use crate::packing::{Inner, Packing};

/// Texts up to this size are scanned like any other file.
const TEXT_WHOLE_BYTES: u64 = 256 << 10;

/// Where sources send what they find.
#[derive(Debug)]
pub(crate) struct Outlet {
    work: Sender<Job>,
    packed: Sender<(Item, Packing)>,
    /// Files that go with the next ones.
    waiting: Vec<Item>,
    waiting_bytes: u64,
}

/// Nobody takes items any more: the run is ending.
#[derive(Debug, thiserror::Error)]
#[error("the run is ending")]
pub(crate) struct Closed;

impl Outlet {
    /// Plain files go to `work`, the others to who unpacks them.
    pub(crate) fn new(work: Sender<Job>, packed: Sender<(Item, Packing)>) -> Self {
        Self {
            work,
            packed,
            waiting: Vec::new(),
            waiting_bytes: 0,
        }
    }

    /// Sends `item` of `bytes` to who can scan it.
    pub(super) fn send(&mut self, item: Item, packing: Packing, bytes: u64) -> Result<(), Closed> {
        let is_plain = match (packing.compression, packing.inner) {
            (Compression::None, Inner::Whole) => true,
            (Compression::None, Inner::Text) => bytes <= TEXT_WHOLE_BYTES,
            _ => false,
        };
        if !is_plain {
            return self.packed.send((item, packing)).map_err(|_| Closed);
        }
        self.waiting.push(item);
        self.waiting_bytes += bytes;
        if self.waiting.len() < CONTENTS_A_JOB && self.waiting_bytes < BYTES_A_JOB {
            return Ok(());
        }
        self.flush()
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self) -> Result<(), Closed> {
        self.waiting_bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        self.work.send(Job::Files(waiting)).map_err(|_| Closed)
    }
}
