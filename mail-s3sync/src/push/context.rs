//! Where a push goes, and how.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use mail_common::interrupt::Interrupt;
use mail_common::record::Record;
use mail_common::tool::Session;

use crate::cost::Terms;
use crate::encryption::{self, Recipients};
use crate::keep::Keep;
use crate::layout::Choice;
use crate::location::Location;
use crate::store::{Body, Lock, ObjectStore};

/// Where to push, and how.
pub(crate) struct Push<'a> {
    pub(crate) store: &'a dyn ObjectStore,
    pub(crate) location: &'a Location,
    /// Where the store is, unless that is AWS.
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) session: &'a Session,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) jobs: NonZeroUsize,
    pub(crate) now: Timestamp,
    pub(crate) lock: Option<Lock>,
    pub(crate) layout: Choice,
    pub(crate) keep: Keep,
    pub(crate) recipients: Option<&'a Recipients>,
    /// The storage class of what is sent.
    pub(crate) storage_class: &'a str,
    pub(crate) terms: &'a Terms,
    pub(crate) intent: Intent,
    /// How many objects the store could not copy, since it copies none.
    pub(crate) not_copied: AtomicU64,
}

/// Whether it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    Send,
    /// The store is one that changes nothing: see what would be done.
    Rehearse,
}

impl Push<'_> {
    /// Writes a record of what was done. What is rehearsed was not.
    pub(super) fn emit(&self, record: &Record) {
        if self.intent == Intent::Send {
            self.session.emit(record);
        }
    }

    /// Encrypts what is sent, to its readers.
    pub(super) fn encrypt(
        &self,
        recipients: &Recipients,
        name: &Path,
        plain: Body,
    ) -> Result<Body, encryption::Error> {
        let encrypted = match self.intent {
            Intent::Send => recipients.encrypt(name, plain)?,
            Intent::Rehearse => recipients.rehearse(name, &plain)?,
        };
        Ok(encrypted.body)
    }
}
