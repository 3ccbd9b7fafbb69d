//! How the bucket protects what is pushed: whether it can lock objects, and until when they are.

use mail_common::pool;
use mail_common::set::{CHECKSUMS, MANIFEST, SIGNATURE, SetKind};

use super::context::Push;
use super::error::Error;
use super::plan::PushPlan;
use crate::keep::Keep;
use crate::layout::POOL;
use crate::store::{Body, Expiry, Lock, StoreError};

const MEND_RULES: &str = "make the rules by scripts/aws/make-bucket";

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
                 docs/mail-s3sync.md, \"The bucket\", says how to set one up",
                self.location
            ));
        }
        Ok(())
    }

    /// Refuses a pool whose objects a rule would take from sets that are kept, and warns where sets
    /// of that kind go sooner or later than what they use.
    pub(super) fn check_rules(&self, kind: SetKind) -> Result<(), Error> {
        let look_first = |error: StoreError| Error::LookFirst(error.into());
        let of_pool = self.store.expiry(POOL).map_err(look_first)?;
        self.check_pool_rule(&of_pool)?;
        let sets = format!("{}/", kind.name());
        let of_sets = self.store.expiry(&sets).map_err(look_first)?;
        if let Some(fault) = fault_of_rule(&of_sets, &of_pool, self.keep.days(kind)) {
            let (url, setting) = (self.store.url(&sets), Keep::setting(kind));
            let days = self.keep.days(kind);
            let report = &self.session.report;
            report.warning(match fault {
                RuleFault::Quick(after) => format!(
                    "a rule of the bucket removes the sets in {url} after {after} days, and \
                     {setting} is {days}: they go sooner than they should; {MEND_RULES}"
                ),
                RuleFault::Slow(after) => format!(
                    "the rules of the bucket remove the sets in {url} only after {after} days, and \
                     {setting} is {days}: in between they are listed and may have lost files; set \
                     {setting} to {after}, or {MEND_RULES}"
                ),
                RuleFault::Missing => format!(
                    "no rule of the bucket removes the sets in {url}, and one removes what they \
                     use: after {days} days ({setting}) they are listed and may have lost \
                     files; {MEND_RULES}"
                ),
            });
        }
        Ok(())
    }

    fn check_pool_rule(&self, of_pool: &Expiry) -> Result<(), Error> {
        let wanted = self.keep.pool;
        let url = self.store.url(POOL);
        match of_pool {
            Expiry::After(days) if *days < wanted => Err(Error::Rule {
                url,
                days: *days,
                wanted,
            }),
            Expiry::After(_) => Ok(()),
            Expiry::Never => {
                self.session.report.summary(format!(
                    "no rule of the bucket removes what no set uses any more from {url}: \
                     `mail-s3sync prune` does"
                ));
                Ok(())
            }
            Expiry::Denied => {
                self.warn_of_unknown_rules(
                    "these keys may not read the rules of the bucket \
                     (s3:GetLifecycleConfiguration)",
                );
                Ok(())
            }
            Expiry::Unknown(why) => {
                self.warn_of_unknown_rules(&format!(
                    "the rules of the bucket are not known ({why})"
                ));
                Ok(())
            }
        }
    }

    fn warn_of_unknown_rules(&self, why: &str) {
        self.session.report.warning(format!(
            "{why}: see to it that none removes what is in {} before {} days",
            self.store.url(POOL),
            self.keep.pool
        ));
    }

    /// Locks every object of a set that is there.
    pub(super) fn lock_longer(&self, plan: &PushPlan<'_>, lock: Lock) -> Result<(), Error> {
        self.check_protection()?;
        let own = [MANIFEST, SIGNATURE, CHECKSUMS]
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

/// What is wrong with the rule for sets, beside that for the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RuleFault {
    /// They go before their time, after so many days.
    Quick(u32),
    /// They stay for so many days, when what they use may have gone.
    Slow(u32),
    /// They stay for good, and what they use does not.
    Missing,
}

/// What is wrong with rules that are known, where sets are to be kept for `days`.
fn fault_of_rule(of_sets: &Expiry, of_pool: &Expiry, days: u32) -> Option<RuleFault> {
    match (of_sets, of_pool) {
        (&Expiry::After(after), _) if after < days => Some(RuleFault::Quick(after)),
        (&Expiry::After(after), Expiry::After(_)) if after > days => Some(RuleFault::Slow(after)),
        (Expiry::Never, Expiry::After(_)) => Some(RuleFault::Missing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_to_go_before_what_they_use() {
        let check = |of_sets, of_pool, expected| {
            let fault = fault_of_rule(&of_sets, of_pool, 100);
            assert_eq!(fault, expected, "{of_sets:?} {of_pool:?}");
        };
        let (never, pool) = (&Expiry::Never, &Expiry::After(310));
        check(Expiry::After(100), pool, None);
        check(Expiry::After(99), pool, Some(RuleFault::Quick(99)));
        check(Expiry::After(99), never, Some(RuleFault::Quick(99)));
        check(Expiry::After(300), pool, Some(RuleFault::Slow(300)));
        check(Expiry::After(300), never, None);
        check(Expiry::Never, pool, Some(RuleFault::Missing));
        check(Expiry::Never, never, None);
    }
}
