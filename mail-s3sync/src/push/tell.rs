//! What a push says of each file: a record, and a count.

use mail_common::checksum::Sha256;
use mail_common::record::{Record, Transfer, TransferAction};
use mail_common::relpath::PathField;
use mail_common::tool::Totals;

use super::{Done, Push, Work};
use crate::totals::add_transfer;

impl Push<'_> {
    /// Writes the record of a file, and counts it.
    pub(super) fn tell(&self, work: &Work<'_>, done: &Done, totals: &mut Totals) {
        self.session.emit(&self.record(work, done));
        add_transfer(totals, done.action, done.bytes);
    }

    /// The record of a file.
    pub(super) fn record(&self, work: &Work<'_>, done: &Done) -> Record {
        self.transfer_record(
            work,
            &done.item.stored_path,
            (done.bytes, done.stored),
            done.action,
        )
    }

    /// As [`Push::tell`], of the manifest or the checksums, which have just been put.
    pub(super) fn tell_own(
        &self,
        work: &Work<'_>,
        name: &str,
        found: (u64, Sha256),
        totals: &mut Totals,
    ) {
        self.session
            .emit(&self.transfer_record(work, name, found, TransferAction::Uploaded));
        add_transfer(totals, TransferAction::Uploaded, found.0);
    }

    /// As [`Push::tell`], of the manifest or the checksums, which were there.
    pub(super) fn tell_own_skipped(&self, work: &Work<'_>, name: &str, totals: &mut Totals) {
        let Some((contents, listed)) = work
            .remote
            .contents
            .as_ref()
            .zip(work.remote.listed.get(name))
        else {
            return;
        };
        let sha256 = contents
            .entry(name)
            .map_or(contents.sha256, |entry| entry.stored);
        let found = (listed.bytes, sha256);
        self.session
            .emit(&self.transfer_record(work, name, found, TransferAction::Skipped));
        add_transfer(totals, TransferAction::Skipped, listed.bytes);
    }

    fn transfer_record(
        &self,
        work: &Work<'_>,
        path: &str,
        (bytes, sha256): (u64, Sha256),
        action: TransferAction,
    ) -> Record {
        Record::Transfer(Transfer {
            set: work.local.name.to_string(),
            path: PathField {
                path: path.to_owned(),
                path_b64: None,
            },
            bytes,
            sha256,
            url: self.store.url(&work.key(path)),
            action,
            locked_until: work.locked_until.map(|until| until.to_string()),
        })
    }
}
