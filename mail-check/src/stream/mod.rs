//! Records of the other tools: read as they come, and judged. Memory does not grow with their
//! number.

mod facts; // what a stream says
mod judge; // from what it says to findings

pub(crate) use facts::{Facts, begun};
pub(crate) use judge::{judge, settled};
