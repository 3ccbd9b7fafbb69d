//! What is pruned, and how.

use std::num::NonZeroUsize;

use jiff::Timestamp;
use mail_common::interrupt::Interrupt;
use mail_common::suspicion::Hold;
use mail_common::tool::Session;

use crate::keep::Keep;
use crate::store::ObjectStore;

/// Whether anything is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Only shown.
    List,
    Remove,
}

/// What is pruned, and how.
pub(crate) struct Prune<'a> {
    pub(crate) store: &'a dyn ObjectStore,
    pub(crate) session: &'a Session,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) jobs: NonZeroUsize,
    pub(crate) now: Timestamp,
    pub(crate) keep: Keep,
    /// Alarms that nobody has accepted.
    pub(crate) hold: Option<&'a Hold>,
    pub(crate) mode: Mode,
}
