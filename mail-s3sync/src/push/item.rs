//! A file of the set on its way into the store.

use std::sync::Arc;

use mail_common::checksum::Sha256;
use mail_common::record::TransferAction;
use mail_common::relpath::RelPath;

use super::local::LocalFile;

/// A file that is to be in the store.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// In the set.
    pub(super) path: RelPath,
    /// In the set in the store: the text of the path, with `.age` when it is encrypted.
    pub(super) stored_path: String,
    pub(super) file: LocalFile,
    pub(super) bytes: u64,
    pub(super) sha256: Sha256,
}

/// A file that the store has confirmed.
#[derive(Clone, Debug)]
pub(super) struct Delivered {
    pub(super) item: Arc<Item>,
    /// As it is stored.
    pub(super) bytes: u64,
    /// The digest of what is stored.
    pub(super) stored: Sha256,
    pub(super) etag: Option<String>,
    pub(super) action: TransferAction,
}
