//! The canary: a message that nobody touches, in a mailbox that nobody has (`BACKUP_CANARY=yes`).
//!
//! No user sees it, no program reads it, so whatever becomes of it was done by somebody who goes
//! through all mail. It is made once, with the owner and the mode of the mailboxes beside it, and
//! known by its unique name. Its text follows from that name, so that a run which has no set to
//! look into knows it again.

mod place; // where it lies
mod make; // the message and the directories above it
mod tend; // whether it is as it was made

pub(crate) use place::CanaryPlan;
pub(crate) use tend::{Tended, tend};
