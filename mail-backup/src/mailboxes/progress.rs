//! How far the mailboxes are, in bytes of the source.
//!
//! How large the mail is now is known only when all of it has been listed. So the total is at first
//! the size at the last backup, and each mailbox corrects its share once it has been compared. What
//! need not be read is done at that moment. Without a last backup there is no total.

use std::sync::atomic::{AtomicU64, Ordering};

use mail_common::report::Progress;

pub(crate) struct MailProgress<'a> {
    bar: &'a Progress,
    /// 0 when it is not known.
    total_bytes: AtomicU64,
}

impl<'a> MailProgress<'a> {
    /// Begins with the size at the last backup, 0 when there is none.
    pub(crate) fn new(bar: &'a Progress, total_bytes: u64) -> Self {
        bar.set_total(total_bytes);
        Self {
            bar,
            total_bytes: AtomicU64::new(total_bytes),
        }
    }

    /// A mailbox that had `last_bytes` at the last backup has `bytes` now.
    pub(crate) fn correct(&self, last_bytes: u64, bytes: u64) {
        let correct = |total: u64| (total > 0).then(|| (total + bytes).saturating_sub(last_bytes));
        let order = Ordering::Relaxed;
        if self.total_bytes.fetch_update(order, order, correct).is_ok() {
            self.bar.set_total(self.total_bytes.load(order));
        }
    }

    /// This much is done.
    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.advance(bytes);
    }
}
