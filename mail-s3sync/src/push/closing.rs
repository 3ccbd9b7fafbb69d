//! The end of a push: the set is opened before its files change, and closed when all are confirmed.
//!
//! A reader takes a set for complete when its checksums are there and every file that they list is.
//! That must hold at every moment at which this push may be killed, and whatever another program
//! writes meanwhile. Therefore, in this order:
//!
//! 1. A set whose list changes is marked as open: checksums that list nothing take the place of the
//!    old ones, which would soon vouch for a mixture of two sets.
//! 2. The files are sent, each confirmed by its own ETag.
//! 3. The set is listed again. What another program replaced since its confirmation stops the
//!    push here.
//! 4. The manifest, then the checksums. They carry the seal: a digest of the ETags that were
//!    confirmed. What is replaced after the listing, or in the same second as the closing, has
//!    another ETag, so that the next push and every reader know that it is not what was closed.

use jiff::ZonedDateTime;
use mail_common::checksum::Sha256;
use mail_common::record::timestamp;
use mail_common::set::{CHECKSUMS, MANIFEST, SIGNATURE};
use mail_common::tool::Totals;

use super::context::Push;
use super::encrypted;
use super::error::Error;
use super::item::Delivered;
use super::local::LocalSet;
use super::plan::PushPlan;
use crate::remote::{self, seal};
use crate::store::{Attributes, Body, Confirmed, Listed, Marks};

impl Push<'_> {
    /// Lets nobody take a set for complete while files of it are replaced by others.
    pub(super) fn mark_as_open(&self, plan: &PushPlan<'_>) -> Result<(), Error> {
        let Some(contents) = &plan.remote.contents else {
            return Ok(());
        };
        if self.recipients.is_none() && contents.checksums == plan.local.checksums {
            return Ok(());
        }
        let marker = Body::of_bytes(CHECKSUMS, open_marker());
        let key = plan.key(CHECKSUMS);
        self.store.put(&key, marker, &Attributes::default())?;
        Ok(())
    }

    /// Compares every file as it was confirmed with what the store lists; only then is the set
    /// closed.
    pub(super) fn confirm(
        &self,
        plan: &PushPlan<'_>,
        delivered: &[Delivered],
    ) -> Result<(), Error> {
        let listed = remote::list(self.store, plan.local.name).map_err(Error::Store)?;
        for file in delivered {
            let path = &file.item.stored_path;
            let there = listed.get(path);
            if !there.is_some_and(|there| is_as_confirmed(there, file)) {
                return Err(Error::Changed {
                    url: self.store.url(&plan.key(path)),
                });
            }
        }
        Ok(())
    }

    /// Puts the manifest and the signature, then the checksums with the seal.
    pub(super) fn close(
        &self,
        plan: &PushPlan<'_>,
        delivered: &[Delivered],
        totals: &mut Totals,
    ) -> Result<(), Error> {
        self.interrupt.check()?;
        let (manifest, checksums) = closing_files(plan.local, plan.recipients_text(), delivered)?;
        let mut etags: Vec<(&str, Option<String>)> = delivered
            .iter()
            .map(|file| (file.item.stored_path.as_str(), file.etag.clone()))
            .collect();
        if let Some(manifest) = manifest {
            let put = self.put_and_report(plan, MANIFEST, manifest, Marks::default(), totals)?;
            etags.push((MANIFEST, put.etag));
        }
        if let Some(signature) = &plan.local.signature {
            let body = Body::of_bytes(SIGNATURE, signature.clone());
            self.put_and_report(plan, SIGNATURE, body, Marks::default(), totals)?;
        }
        let sealed = seal(etags.iter().map(|(path, etag)| (*path, etag.as_deref())));
        let marks = self.closing_marks(sealed);
        let checksums = Body::of_bytes(CHECKSUMS, checksums);
        self.put_and_report(plan, CHECKSUMS, checksums, marks, totals)?;
        Ok(())
    }

    fn put_and_report(
        &self,
        plan: &PushPlan<'_>,
        name: &str,
        body: Body,
        marks: Marks,
        totals: &mut Totals,
    ) -> Result<Confirmed, Error> {
        let stored = (body.bytes(), body.sha256());
        let confirmed = self.put_closing_file(plan, name, body, marks)?;
        self.report_closing_file(plan, name, stored, totals);
        Ok(confirmed)
    }

    /// Puts the manifest or the checksums.
    pub(super) fn put_closing_file(
        &self,
        plan: &PushPlan<'_>,
        name: &str,
        body: Body,
        marks: Marks,
    ) -> Result<Confirmed, Error> {
        let attributes = Attributes {
            marks: Marks {
                sha256: Some(body.sha256()),
                ..marks
            },
            lock: self.lock,
        };
        Ok(self.store.put(&plan.key(name), body, &attributes)?)
    }

    /// What the checksums say of the other objects.
    pub(super) fn closing_marks(&self, seal: Option<Sha256>) -> Marks {
        Marks {
            locked_until: self.lock.map(|lock| lock.until),
            seal,
            ..Marks::default()
        }
    }
}

/// Checksums that list nothing.
pub(super) fn open_marker() -> String {
    let time = timestamp(&ZonedDateTime::now());
    format!(
        "# mail-s3sync is replacing this set since {time}; \
         it is complete again when this line is gone\n"
    )
}

/// The manifest, where the set has one, and the checksums, as they are stored beside the set.
pub(super) fn closing_files(
    local: &LocalSet,
    recipients: Option<&str>,
    delivered: &[Delivered],
) -> Result<(Option<Body>, Vec<u8>), Error> {
    let Some(own) = local.manifest() else {
        return Ok((None, local.checksums.clone()));
    };
    let own = own.open()?;
    let Some(recipients) = recipients else {
        return Ok((Some(own), local.checksums.clone()));
    };
    let manifest =
        encrypted::manifest(&own.whole()?, recipients, delivered).map_err(Error::Manifest)?;
    let checksums = encrypted::checksums(&manifest, delivered);
    Ok((Some(Body::of_bytes(MANIFEST, manifest)), checksums))
}

fn is_as_confirmed(listed: &Listed, file: &Delivered) -> bool {
    let same_etag = match (&listed.etag, &file.etag) {
        (Some(listed), Some(confirmed)) => listed == confirmed,
        _ => true,
    };
    listed.bytes == file.bytes && same_etag
}
