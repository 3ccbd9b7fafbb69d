//! How the bucket protects what is pushed: whether it can lock objects, and until when they are.

use jiff::Timestamp;
use mail_common::pool;
use mail_common::set::{CHECKSUMS, MANIFEST};

use super::context::Push;
use super::error::Error;
use super::plan::PushPlan;
use crate::store::{Body, Lock};

impl Push<'_> {
    /// Asks the bucket how it protects what it holds, and warns of what it lacks.
    pub(super) fn check_protection(&self) -> Result<(), Error> {
        let Some(protection) = self
            .store
            .protection()
            .map_err(|error| Error::LookFirst(error.into()))?
        else {
            return Ok(());
        };
        let report = &self.session.report;
        let state = |is_on: Option<bool>| match is_on {
            Some(true) => "on",
            Some(false) => "off",
            None => "unknown (the store does not say)",
        };
        report.summary(format!(
            "{}: Object Lock {}, versioning {}, default encryption {}",
            self.location,
            state(protection.object_lock),
            state(protection.versioning),
            state(protection.encryption),
        ));
        if protection.object_lock == Some(false) {
            if self.lock.is_some() {
                return Err(Error::NoObjectLock {
                    url: self.location.to_string(),
                });
            }
            report.warning(format!(
                "{} has no Object Lock: whoever has the keys can delete the backups; \
                 the manual says how to set up a bucket (docs/manual.md, \"The off-site copy\")",
                self.location
            ));
        }
        Ok(())
    }

    /// Locks every object of a set that is there.
    pub(super) fn lock_longer(&self, plan: &PushPlan<'_>, lock: Lock) -> Result<(), Error> {
        self.check_protection()?;
        let own = [MANIFEST, CHECKSUMS]
            .into_iter()
            .filter(|name| plan.remote.listed.contains_key(*name));
        let files = plan.files.iter().map(|(item, _)| item.stored_path.as_str());
        let paths: Vec<&str> = files.chain(own).collect();
        pool::for_each(
            self.jobs,
            &paths,
            || (),
            |(), path| {
                self.interrupt.check()?;
                Ok::<(), Error>(self.store.extend_lock(&plan.key(path), lock)?)
            },
        )?;
        // The mark on the checksums says until when everything is locked; they are the same, put
        // again.
        let Some(contents) = &plan.remote.contents else {
            return Ok(());
        };
        let checksums = Body::of_bytes(CHECKSUMS, contents.checksums.clone());
        self.put_closing_file(
            plan,
            CHECKSUMS,
            checksums,
            self.closing_marks(contents.seal),
        )?;
        Ok(())
    }
}

/// When a lock of `days` days ends: with the day, so that pushing again on the same day asks for
/// nothing new.
pub(crate) fn lock_end(now: Timestamp, days: u32) -> Timestamp {
    const DAY_SECONDS: i64 = 86_400;
    let day = now.as_second().div_euclid(DAY_SECONDS) + i64::from(days) + 1;
    Timestamp::from_second(day.saturating_mul(DAY_SECONDS)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_the_day_and_is_never_shorter_than_asked_for() {
        let check = |now: &str, days, end: &str| {
            assert_eq!(lock_end(now.parse().unwrap(), days).to_string(), end);
        };
        check("2026-11-23T00:00:00Z", 1, "2026-11-25T00:00:00Z");
        check("2026-11-23T23:59:59Z", 1, "2026-11-25T00:00:00Z");
        check("2026-11-23T04:00:00Z", 30, "2026-12-24T00:00:00Z");
    }
}
