//! Where files that are to be scanned come from: directories, sets, the records of another tool.

mod paths; // files and directories
mod listed; // what was found of them, since they change meanwhile
mod sets; // sets, ours and those of the old scripts

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crossbeam_channel::Sender;
use mail_common::archive::compression::Compression;
use mail_common::relpath::PathField;

use crate::item::{Item, Place};
use crate::packing::{Inner, Packing};
use crate::work::{BYTES_A_JOB, CONTENTS_A_JOB, Job};

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
    fn send(&mut self, item: Item, packing: Packing, bytes: u64) -> Result<(), Closed> {
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
        match self.waiting.len() >= CONTENTS_A_JOB || self.waiting_bytes >= BYTES_A_JOB {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self) -> Result<(), Closed> {
        self.waiting_bytes = 0;
        match std::mem::take(&mut self.waiting) {
            waiting if waiting.is_empty() => Ok(()),
            waiting => self.work.send(Job::Files(waiting)).map_err(|_| Closed),
        }
    }
}

pub(crate) use listed::{Identity, Listed};
pub(crate) use paths::{feed_changed, feed_path};
pub(crate) use sets::{SetError, feed_artifacts, feed_set};

/// How records name a file that is in no set: by its absolute path.
pub(crate) fn place_of(file: &Path) -> Place {
    Place {
        set: None,
        path: PathField::of_bytes(file.as_os_str().as_bytes()),
    }
}
