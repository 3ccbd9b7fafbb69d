//! Parts of uploads that were never ended: they cost money, and no listing of objects shows them.

use jiff::{SignedDuration, Timestamp};
use mail_common::report;
use mail_common::set::SetKind;

use super::context::Push;
use super::plan::PushPlan;
use crate::layout::POOL;

/// Nobody goes on with an upload to which nothing was sent for this long.
const STALE_AFTER: SignedDuration = SignedDuration::from_hours(24);

impl Push<'_> {
    /// Drops what uploads of runs that died have left below the sets and in the pool. A store that
    /// does not allow it is as good: the bucket's lifecycle rule does the same. Hourly sets are
    /// looked for only where one is pushed: most buckets have none.
    pub(super) fn drop_stale_uploads(&self, pushed: SetKind) {
        let Ok(before) = self.now.checked_sub(STALE_AFTER) else {
            return;
        };
        let report = &self.session.report;
        let kinds = SetKind::ALL.into_iter();
        let kinds = kinds.filter(|kind| *kind != SetKind::Hourly || *kind == pushed);
        for prefix in kinds
            .map(|kind| format!("{kind}/"))
            .chain([POOL.to_owned()])
        {
            match self.store.abort_stale(&prefix, before) {
                Ok(0) => {}
                Ok(count) => report.info(format!(
                    "dropped {count} unfinished uploads of runs that died below {prefix}"
                )),
                Err(error) => report.info(format!(
                    "unfinished uploads stay: {}",
                    report::chain(&error)
                )),
            }
        }
    }

    /// Whether [`Push::drop_stale_uploads`] is worth its requests when there is nothing to send.
    /// The push that closed the set has done it: within a day there is little new to find, and a
    /// push of what is there stays at one listing and one object.
    pub(super) fn may_have_stale_uploads(&self, plan: &PushPlan<'_>) -> bool {
        plan.closed()
            .is_some_and(|closed: Timestamp| self.now.duration_since(closed) > STALE_AFTER)
    }
}
