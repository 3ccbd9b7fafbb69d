//! Where a pull comes from, and how.

use std::num::NonZeroUsize;

use mail_common::interrupt::Interrupt;
use mail_common::signature::AllowedSigners;
use mail_common::tool::Session;

use crate::encryption::Identities;
use crate::store::ObjectStore;

/// Where to pull from, and how.
pub(crate) struct Pull<'a> {
    pub(crate) store: &'a dyn ObjectStore,
    pub(crate) session: &'a Session,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) jobs: NonZeroUsize,
    pub(crate) identities: Option<&'a Identities>,
    /// Whose sets are accepted; none: any set is.
    pub(crate) signers: Option<&'a AllowedSigners>,
}
