//! A push into the pool: each content once, whichever sets use it.
//!
//! What is there is known from one listing and the ledger; the store is asked only for what these
//! do not know. What lies in the pool is locked and written again so that it outlives every set
//! that uses it, without a right to delete.

mod ledger; // what pushes have had confirmed of the pool
mod life; // what an object needs, so that it outlives the set
mod content; // what the set holds, each content once, and what the pool has of it
mod plan; // what is to be done
mod deliver; // one content
mod guide; // RESTORE.txt
mod closing; // what stands below the set's name, which makes it a set
mod run; // all of it, in order
#[cfg(test)]
mod simulation; // 400 days of pushes, rules and locks
