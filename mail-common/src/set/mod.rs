//! Backup sets: layout, naming, lock, commit.

mod component; // what a set is made of

pub use component::{Component, UnknownComponent};
