//! What a push reports of each file: a record, and a count.

use jiff::Timestamp;
use mail_common::checksum::Sha256;
use mail_common::record::{Record, Transfer, TransferAction};
use mail_common::relpath::PathField;
use mail_common::set::{CHECKSUMS, MANIFEST};
use mail_common::tool::Totals;

use super::context::Push;
use super::item::Delivered;
use super::plan::PushPlan;
use crate::remote::SetName;
use crate::totals::add_transfer;

impl Push<'_> {
    /// Writes the record of a file, and counts it.
    pub(super) fn report_file(&self, plan: &PushPlan<'_>, file: &Delivered, totals: &mut Totals) {
        self.emit(&self.record(plan, file));
        add_transfer(totals, file.action, file.bytes);
    }

    /// The record of a file.
    pub(super) fn record(&self, plan: &PushPlan<'_>, file: &Delivered) -> Record {
        let stored = (file.bytes, file.stored);
        self.record_of(plan, &file.item.stored_path, stored, file.action)
    }

    /// As [`Push::report_file`], of the manifest or the checksums, which have just been put.
    pub(super) fn report_closing_file(
        &self,
        plan: &PushPlan<'_>,
        name: &str,
        stored: (u64, Sha256),
        totals: &mut Totals,
    ) {
        let action = TransferAction::Uploaded;
        self.emit(&self.record_of(plan, name, stored, action));
        add_transfer(totals, action, stored.0);
    }

    /// As [`Push::report_file`], of the manifest and the checksums, which were there.
    pub(super) fn report_kept_closing_files(&self, plan: &PushPlan<'_>, totals: &mut Totals) {
        let Some(contents) = &plan.remote.contents else {
            return;
        };
        for name in [MANIFEST, CHECKSUMS] {
            let Some(listed) = plan.remote.listed.get(name) else {
                continue;
            };
            let entry = contents.entry(name);
            let sha256 = entry.map_or(contents.sha256, |entry| entry.stored);
            let (stored, action) = ((listed.bytes, sha256), TransferAction::Skipped);
            self.emit(&self.record_of(plan, name, stored, action));
            add_transfer(totals, action, listed.bytes);
        }
    }

    fn record_of(
        &self,
        plan: &PushPlan<'_>,
        path: &str,
        stored: (u64, Sha256),
        action: TransferAction,
    ) -> Record {
        let (name, key) = (plan.local.name, plan.key(path));
        self.transfer_record(name, path, &key, stored, action, plan.locked_until)
    }

    /// The record of the file `path` of a set, which lies under `key`.
    pub(super) fn transfer_record(
        &self,
        set: SetName,
        path: &str,
        key: &str,
        (bytes, sha256): (u64, Sha256),
        action: TransferAction,
        locked_until: Option<Timestamp>,
    ) -> Record {
        Record::Transfer(Transfer {
            set: set.to_string(),
            path: PathField {
                path: path.to_owned(),
                path_b64: None,
            },
            bytes,
            sha256,
            url: self.store.url(key),
            action,
            locked_until: locked_until.map(|until| until.to_string()),
        })
    }
}
