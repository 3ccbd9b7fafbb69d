//! Copies inside the store. Where it cannot, the content is sent, which comes to the same end.

use std::sync::atomic::Ordering;

use mail_common::report::chain;

use super::context::Push;
use super::error::Error;
use crate::store::{Attributes, Confirmed, Listed};

impl Push<'_> {
    /// Lets the store copy `source`; `None` when that is not what was listed, or the store cannot.
    pub(super) fn copy_in_store(
        &self,
        source: &Listed,
        key: &str,
        attributes: &Attributes,
    ) -> Result<Option<Confirmed>, Error> {
        match self.store.copy(source, key, attributes) {
            Err(error) if !error.is_interruption() => {
                if error.is_not_implemented() {
                    self.not_copied.fetch_add(1, Ordering::Relaxed);
                }
                let report = &self.session.report;
                report.info(format!("sent instead: {}", chain(&error)));
                Ok(None)
            }
            copied => Ok(copied?),
        }
    }

    /// Says what follows where the store copies nothing at all.
    pub(super) fn warn_of_copies(&self) {
        let count = self.not_copied.swap(0, Ordering::Relaxed);
        if count > 0 {
            self.session.report.warning(format!(
                "{} cannot copy objects: {count} files that it has were sent again, and whenever \
                 they would be copied they will be",
                self.location
            ));
        }
    }
}
