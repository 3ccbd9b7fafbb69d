//! One content: kept in the pool for long enough, or sent there.

use mail_common::checksum::Sha256;
use mail_common::record::TransferAction;

use super::content::{Content, Stored};
use super::ledger::{Known, Plain};
use super::life::{Life, Need};
use crate::layout::pool_key;
use crate::push::context::Push;
use crate::push::error::Error;
use crate::push::item::Item;
use crate::store::{Attributes, Body, Confirmed, Lock, LockMode, Marks};

/// A content that is in the pool, for long enough.
#[derive(Clone, Debug)]
pub(super) struct Pooled {
    pub(super) stored: Sha256,
    pub(super) known: Known,
    pub(super) action: TransferAction,
}

impl Push<'_> {
    /// Sees to it that the pool has the content, and keeps it for the term of the set.
    pub(super) fn deliver(&self, content: &Content, life: &Life) -> Result<Pooled, Error> {
        let item = &content.items[0];
        let Some(stored) = &content.stored else {
            return self.send_to_pool(item, life.lock_of(life.now));
        };
        let mut known = stored.known.clone();
        let action = match life.need(stored.object.modified, known.locked_until) {
            Need::Nothing => TransferAction::Skipped,
            Need::Lock(lock) => {
                self.store.extend_lock(&stored.object.key, lock)?;
                known.locked_until = known.locked_until.max(Some(lock.until));
                TransferAction::Skipped
            }
            Need::Rewrite(lock) => {
                let lock = self.lock_that_stays(stored, lock)?;
                let Some(Confirmed { etag }) = self.write_again(stored, lock)? else {
                    return self.send_to_pool(item, lock);
                };
                known.etag = etag;
                known.locked_until = lock.map(|lock| lock.until);
                TransferAction::Copied
            }
        };
        Ok(Pooled {
            stored: stored.sha256,
            known,
            action,
        })
    }

    /// The lock of what is written again. A new version has none of its own, and other sets may
    /// rely on the one there is: it ends no sooner, also where this push locks nothing. The store
    /// is asked for it; where the keys may not ask, the ledger knows until when.
    fn lock_that_stays(&self, stored: &Stored, lock: Option<Lock>) -> Result<Option<Lock>, Error> {
        let found = self.store.look(&stored.object.key)?;
        let known = stored.known.locked_until.map(|until| Lock {
            mode: LockMode::Governance,
            until,
        });
        let there = found.and_then(|found| found.lock).or(known);
        let there = there.filter(|there| there.until > self.now);
        Ok(longer(lock, there))
    }

    /// Lets the store copy an object onto itself, so that the rule counts its days from now on;
    /// `None` when it is not what it was any more, or the store cannot.
    fn write_again(&self, stored: &Stored, lock: Option<Lock>) -> Result<Option<Confirmed>, Error> {
        let plain = stored.known.plain.clone();
        let attributes = attributes(stored.sha256, plain, lock);
        self.copy_in_store(&stored.object, &stored.object.key, &attributes)
    }

    fn send_to_pool(&self, item: &Item, lock: Option<Lock>) -> Result<Pooled, Error> {
        let (body, plain) = self.body(item)?;
        let (bytes, stored) = (body.bytes(), body.sha256());
        let attributes = attributes(stored, plain.clone(), lock);
        let confirmed = self.store.put(&pool_key(stored), body, &attributes)?;
        Ok(Pooled {
            stored,
            known: Known {
                bytes,
                etag: confirmed.etag,
                locked_until: lock.map(|lock| lock.until),
                plain,
            },
            action: TransferAction::Uploaded,
        })
    }

    /// What is sent of a file, encrypted where it has to be.
    pub(super) fn body(&self, item: &Item) -> Result<(Body, Option<Plain>), Error> {
        let body = item.file.open()?;
        let Some(recipients) = self.recipients else {
            return Ok((body, None));
        };
        let plain = Plain {
            sha256: item.sha256,
            recipients: recipients.text().to_owned(),
        };
        let encrypted = self.encrypt(recipients, &item.file.location(), body)?;
        Ok((encrypted, Some(plain)))
    }
}

/// The lock that is wanted, for as long as one that is there.
fn longer(wanted: Option<Lock>, there: Option<Lock>) -> Option<Lock> {
    let (Some(wanted), Some(there)) = (wanted, there) else {
        return wanted.or(there);
    };
    Some(Lock {
        until: wanted.until.max(there.until),
        ..wanted
    })
}

/// How an object is stored.
pub(super) fn attributes(stored: Sha256, plain: Option<Plain>, lock: Option<Lock>) -> Attributes {
    let marks = Marks {
        sha256: Some(stored),
        plain_sha256: plain.as_ref().map(|plain| plain.sha256),
        recipients: plain.map(|plain| plain.recipients),
        ..Marks::default()
    };
    Attributes { marks, lock }
}
