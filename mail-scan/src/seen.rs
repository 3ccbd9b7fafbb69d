//! Contents that were found clean in this run: the same bytes are not shown to clamd again.
//! Maildirs are full of equal small files, and a message to many is in many mailboxes.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use mail_common::checksum::Sha256;

use crate::inside::Role;

/// So many digests are kept: a few MiB.
const MAX_DIGESTS: usize = 100_000;

/// Digests of contents that were found clean, each with what it was taken for, shared between
/// threads.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<HashSet<(Sha256, Role)>>);

impl Seen {
    pub(crate) fn contains(&self, digest: Sha256, role: Role) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&(digest, role))
    }

    /// Keeps the digest of a clean content, while there is room.
    pub(crate) fn add(&self, digest: Sha256, role: Role) {
        let mut digests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if digests.len() < MAX_DIGESTS {
            digests.insert((digest, role));
        }
    }
}
