//! A run that looks for messages: what is asked for, and what is done with what is found.

mod sets; // which sets are meant
mod plan; // what is looked for, and what for
mod execute; // found, listed, restored

pub(crate) use execute::execute;
pub(crate) use plan::{Hunt, is_asked_for};
