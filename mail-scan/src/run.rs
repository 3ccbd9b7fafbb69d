//! What the threads of a run share: what is fixed, and what is counted.

use crate::scope::Scope;
use crate::tally::Tally;

/// A run.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) scope: Scope<'a>,
    pub(crate) tally: Tally<'a>,
}
