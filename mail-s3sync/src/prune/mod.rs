//! Removes what is past its days, for stores whose own rules do not: old sets, and what no set of
//! the pool uses any more.
//!
//! It is the only part that deletes, and is run with other keys than those of the mail server. A
//! push may be at work at any moment, so what is removed must be old enough that none relies on it:
//!
//! - A push that finds an object in the pool and leaves it as it is has seen that `S3_POOL_DAYS`
//!   after it was written its set is past its days. Only what is older than that is removed: no set
//!   that is still to be kept, closed or about to be, can rest on it.
//! - A push that finds an object older than that writes it again, perhaps after it was listed here.
//!   So a mark is put first, and the pool listed after it. Before a push closes a set, it lists the
//!   pool again: then it sees the mark, and gives up; or the mark is gone again, and it sees what
//!   was removed; or the mark came later, and what it wrote is listed here as new.

mod context; // what is pruned, and how
mod error; // why nothing, or not all, was removed
mod fate; // which sets go
mod census; // what is there, and what uses it
mod mark; // says that a prune is at work
mod removal; // one after the other, and what became of it
mod run; // all of it, in order
#[cfg(test)]
mod races; // beside pushes, at every request

pub(crate) use context::{Mode, Prune};
pub(crate) use error::Error;
