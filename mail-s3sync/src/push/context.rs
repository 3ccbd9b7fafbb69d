//! Where a push goes, and how.

use std::num::NonZeroUsize;

use jiff::Timestamp;
use mail_common::interrupt::Interrupt;
use mail_common::tool::Session;

use crate::encryption::Recipients;
use crate::keep::Keep;
use crate::layout::Choice;
use crate::location::Location;
use crate::store::{Lock, ObjectStore};

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
}
