//! Where files that are to be scanned come from: directories, sets, the records of another tool.

mod paths; // files and directories
mod records; // artifacts that another tool has named
mod sets; // sets, ours and those of the old scripts

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crossbeam_channel::Sender;
use mail_common::relpath::PathField;

use crate::item::{Item, Place};
use crate::packing::{Inner, Packing};
use mail_common::archive::compression::Compression;

pub(crate) use records::{Upstream, read_records};

/// Texts up to this size are scanned like any other file.
const TEXT_WHOLE_BYTES: u64 = 16 << 20;

/// Where sources send what they find.
#[derive(Clone, Debug)]
pub(crate) struct Outlet {
    /// Files that are scanned as they are.
    pub(crate) files: Sender<Item>,
    /// Files that are unpacked.
    pub(crate) packed: Sender<(Item, Packing)>,
}

/// Nobody takes items any more: the run is ending.
#[derive(Debug, thiserror::Error)]
#[error("the run is ending")]
pub(crate) struct Closed;

impl Outlet {
    /// Sends `item` of `bytes` to who can scan it.
    fn send(&self, item: Item, packing: Packing, bytes: u64) -> Result<(), Closed> {
        let is_plain = match (packing.compression, packing.inner) {
            (Compression::None, Inner::Whole) => true,
            (Compression::None, Inner::Text) => bytes <= TEXT_WHOLE_BYTES,
            _ => false,
        };
        match is_plain {
            true => self.files.send(item).map_err(|_| Closed),
            false => self.packed.send((item, packing)).map_err(|_| Closed),
        }
    }
}

pub(crate) use paths::feed_path;
pub(crate) use sets::{SetError, feed_artifacts, feed_set};

/// How records name a file that is in no set: by its absolute path.
pub(crate) fn place_of(file: &Path) -> Place {
    Place { set: None, path: PathField::of_bytes(file.as_os_str().as_bytes()) }
}
