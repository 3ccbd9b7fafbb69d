//! What was restored, or would be: the record of each part, and the totals of all.

use std::path::Path;

use mail_common::record::{Record, Restored};
use mail_common::relpath::{PathField, RelPath};
use mail_common::set::Component;
use mail_common::tool::{Session, Totals};

use crate::build::Built;

/// Whether a run does what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Apply,
    DryRun,
}

/// Writes down what a run restores.
pub(crate) struct Ledger<'a> {
    session: &'a Session,
    mode: Mode,
    pub(crate) totals: Totals,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(session: &'a Session, mode: Mode) -> Self {
        Self {
            session,
            mode,
            totals: Totals::default(),
        }
    }

    /// Files of the set that are in the tree or the file at `target`.
    pub(crate) fn add_built(&mut self, parts: &[Built], target: &Path) {
        for part in parts {
            let Built {
                component,
                path,
                unpacked,
            } = part;
            self.emit(*component, path, target, (unpacked.bytes, unpacked.entries));
            self.totals.add("files", 1);
            self.totals.add("entries", unpacked.entries);
            self.totals.add("bytes", unpacked.bytes);
        }
    }

    /// A message of the set that is at `target`.
    pub(crate) fn add_message(&mut self, path: &RelPath, target: &Path, bytes: u64) {
        self.emit(Component::Mailboxes, path, target, (bytes, 1));
        self.totals.add("messages", 1);
        self.totals.add("bytes", bytes);
    }

    fn emit(
        &self,
        component: Component,
        path: &RelPath,
        target: &Path,
        (bytes, entries): (u64, u64),
    ) {
        self.session.emit(&Record::Restored(Restored {
            component,
            path: PathField::from(path),
            target: target.to_string_lossy().into_owned(),
            bytes,
            entries,
            dry_run: self.mode == Mode::DryRun,
        }));
    }
}
