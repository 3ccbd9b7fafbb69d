//! The mailboxes of a tree: which members of their archives they are made of, and under which
//! names.
//!
//! All that is said of the members is read and compared before the first of them is made.

use std::num::NonZeroUsize;
use std::path::Path;

use mail_common::archive::index::Kind;
use mail_common::archive::members::Member;
use mail_common::archive::state::{Change, State};
use mail_common::interrupt::Interrupt;
use mail_common::pool;
use mail_common::relpath::RelPath;
use mail_common::set::SavedMailbox;

use super::error::Error;
use super::links::{Links, find_links};

/// The mailboxes of a tree, examined.
pub(crate) struct Mailboxes<'a> {
    set: &'a Path,
    saved: &'a [SavedMailbox],
    /// What became of the members; `None` in format 1. In the order of `saved`.
    states: Vec<Option<State>>,
    /// Of every file that was in them: eight bytes a message.
    inodes: Vec<u64>,
}

/// An archive of a mailbox of format 2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) number: u32,
    pub(crate) state: &'a State,
}

impl<'a> Mailboxes<'a> {
    /// Reads what says what is in the archives of `saved`.
    ///
    /// # Errors
    /// When it is damaged, or does not fit.
    pub(crate) fn examine(
        set: &'a Path,
        saved: &'a [SavedMailbox],
        threads: NonZeroUsize,
        interrupt: &Interrupt,
    ) -> Result<Self, Error> {
        let examined = pool::for_each(
            threads,
            saved,
            || (),
            |(), mailbox| {
                interrupt.check()?;
                let mut inodes = Vec::new();
                let state = mailbox.examine(set, |member| match member {
                    Member::Here(stored) if stored.entry.live.kind == Kind::File => {
                        inodes.push(stored.entry.live.stat.inode);
                    }
                    Member::Here(_) | Member::Gone { .. } => {}
                })?;
                Ok::<_, Error>((state, inodes))
            },
        )?;
        let (states, inodes): (Vec<_>, Vec<_>) = examined.into_iter().unzip();
        Ok(Self {
            set,
            saved,
            states,
            inodes: inodes.concat(),
        })
    }

    /// What is known of the archive `number` of a mailbox of format 2.
    pub(crate) fn segment(&self, (mailbox, number): (usize, u32)) -> Option<Segment<'_>> {
        let state = self.states.get(mailbox)?.as_ref()?;
        Some(Segment { number, state })
    }

    /// The mailbox of this number, with its state.
    pub(crate) fn get(&self, mailbox: usize) -> (&SavedMailbox, Option<&State>) {
        (&self.saved[mailbox], self.states[mailbox].as_ref())
    }

    /// The names that were one file.
    pub(crate) fn links(mut self) -> Result<Links, Error> {
        let inodes = std::mem::take(&mut self.inodes);
        find_links(self.set, self.saved, &self.states, inodes)
    }
}

impl Segment<'_> {
    /// The name in the mailbox of the member that is stored as `stored`; `None` when it was gone.
    pub(crate) fn present(&self, stored: &RelPath) -> Option<RelPath> {
        match self.state.change(self.number, stored) {
            None => Some(stored.clone()),
            Some(Change::Here { path, .. }) => Some(path.clone()),
            Some(Change::Gone { .. }) => None,
        }
    }
}
