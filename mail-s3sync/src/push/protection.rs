//! How the bucket protects what is pushed: whether it can lock objects, and until when they are.

use mail_common::pool;
use mail_common::set::{CHECKSUMS, MANIFEST};

use super::context::Push;
use super::error::Error;
use super::plan::PushPlan;
use crate::layout::POOL;
use crate::store::{Body, Expiry, Lock};

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

    /// Refuses a pool whose objects a rule would take from sets that are kept.
    pub(super) fn check_rules(&self) -> Result<(), Error> {
        let asked = self.store.expiry(POOL);
        let wanted = self.keep.pool;
        let url = self.store.url(POOL);
        match asked.map_err(|error| Error::LookFirst(error.into()))? {
            Expiry::After(days) if days < wanted => Err(Error::Rule { url, days, wanted }),
            Expiry::After(_) => Ok(()),
            Expiry::Never => {
                self.session.report.info(format!(
                    "no rule of the bucket removes what no set uses any more from {url}"
                ));
                Ok(())
            }
            Expiry::Unknown => {
                self.session.report.warning(format!(
                    "these keys may not read the rules of the bucket \
                     (s3:GetLifecycleConfiguration): see to it that none removes what is in {url} \
                     before {wanted} days"
                ));
                Ok(())
            }
        }
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
