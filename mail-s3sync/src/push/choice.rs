//! In which layout a set is pushed.
//!
//! A prefix without sets stays plain unless a pool is asked for: the rules of most buckets remove
//! every object after some days, also what newer sets use.

use super::context::Push;
use crate::layout::{Choice, Layout};
use crate::remote::{self, Pool, RemoteSet};

impl Push<'_> {
    /// The layout that was chosen, or else that of what is there: a set stays as it is, and so do
    /// those of a prefix. A directory has no pool.
    pub(super) fn layout_of(
        &self,
        remote: &RemoteSet,
        pool: &Pool<'_>,
    ) -> Result<Layout, remote::Error> {
        if !self.store.keeps_marks() {
            return Ok(Layout::Plain);
        }
        if let Choice::Always(layout) = self.layout {
            return Ok(layout);
        }
        if let Some(contents) = &remote.contents {
            return Ok(contents.layout);
        }
        if pool.listing()?.objects.is_empty() {
            return Ok(Layout::Plain);
        }
        Ok(Layout::Pool)
    }
}
