//! The suspicious day: on which the mail itself was destroyed, and the backup would faithfully keep
//! what is left.
//!
//! A Maildir message never changes under its unique name, and begins with a header line. So what is
//! counted between two backups tells a bad night from an ordinary one. What is kept until somebody
//! has looked, and how long, is said here too: every tool that removes sets must agree on it.

mod limits; // from where on a change is not ordinary
mod day; // the changes of a day, from the runs that saw them
mod judge; // a day beside the thirty before it: pure
mod month; // thirty days together: pure
mod others; // databases, keys and files: pure
#[cfg(test)]
mod simulation; // a year of ordinary life, and attacks
mod hold; // the alarms that nobody has accepted

/// The domain of the message that nobody touches: no mailbox of a user is in it. Such names are
/// reserved (RFC 2606), so no mail comes there.
pub const CANARY_DOMAIN: &str = "backup-canary.invalid";

pub use day::{Day, DayRun, days, forget_seen, is_of_day, moment_of, runs};
pub use hold::{ACCEPTED, HOLD, Hold, HoldError, accept, accepted, raise};
pub use judge::{Finding, Rule, is_about, judge};
pub use limits::{Limits, MailboxLimits};
pub use month::{Told, judge_month};
pub use others::{Saved, judge_databases, judge_watched};
