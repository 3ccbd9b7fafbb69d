//! In which layout a set is pushed.

use super::context::Push;
use crate::layout::{Choice, Layout};
use crate::remote::{self, Pool, PoolListing, RemoteSet, names};

impl Push<'_> {
    /// The layout that was chosen, or else that of what is there: a set stays as it is, and so do
    /// those of a prefix. The first set of a prefix begins a pool. A directory has none.
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
        if !pool.listing()?.objects.is_empty() || names(self.store)?.is_empty() {
            return Ok(Layout::Pool);
        }
        // Another push may have begun the pool, and put the set that is seen, since it was listed.
        if PoolListing::of(self.store)?.objects.is_empty() {
            return Ok(Layout::Plain);
        }
        Ok(Layout::Pool)
    }
}
