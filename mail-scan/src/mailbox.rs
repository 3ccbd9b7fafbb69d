//! Which members of the archives of a set were still in their mailboxes on its day, and under which
//! names. What was gone by then is not restored, and is no infected mail.
//!
//! It is looked into all the same: the verdict on an archive is kept for other sets, and there it
//! may be a message.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use mail_common::archive::segment::segment_number;
use mail_common::archive::state::{CONTROL, Change, STORED_PREFIX, State};
use mail_common::interrupt::{Interrupt, Interrupted};
use mail_common::relpath::RelPath;
use mail_common::report::chain;
use mail_common::set::{Listing, MailboxError, SavedMailbox, SetFile, saved_mailboxes, verify};
use mail_common::tool::Session;

use crate::unscanned::Error;

/// The mailboxes of a set that have a state, by their directories in the set.
#[derive(Debug, Default)]
pub(crate) struct Mailboxes(BTreeMap<RelPath, Arc<Mailbox>>);

/// A mailbox of a set that has a state.
#[derive(Debug)]
pub(crate) struct Mailbox {
    set: PathBuf,
    saved: SavedMailbox,
    /// Read when it is first needed; or why it cannot be used.
    state: OnceLock<Result<State, String>>,
}

/// An archive of such a mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    mailbox: Arc<Mailbox>,
    number: u32,
}

/// Whether a member was in its mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Present,
    Gone,
}

/// A member as its mailbox had it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The name that it had last.
    pub(crate) name: Vec<u8>,
    /// Its name in the archive, where that is another.
    pub(crate) stored: Option<Vec<u8>>,
    pub(crate) standing: Standing,
}

impl Mailboxes {
    /// Those of the set in directory `set` among `files`.
    pub(crate) fn new<'a>(
        set: &Path,
        files: impl IntoIterator<Item = &'a SetFile>,
    ) -> Result<Self, MailboxError> {
        let mut found = BTreeMap::new();
        for saved in saved_mailboxes(files)? {
            if matches!(saved.listing, Listing::State { .. }) {
                let mailbox = Mailbox {
                    set: set.to_owned(),
                    state: OnceLock::new(),
                    saved,
                };
                found.insert(mailbox.saved.directory.clone(), Arc::new(mailbox));
            }
        }
        Ok(Self(found))
    }

    /// What `path` of the set is an archive of.
    pub(crate) fn segment(&self, path: &RelPath) -> Option<Segment> {
        let mailbox = self.0.get(&path.parent()?)?;
        Some(Segment {
            number: segment_number(path.name())?,
            mailbox: Arc::clone(mailbox),
        })
    }
}

impl Mailbox {
    fn read(&self, interrupt: &Interrupt) -> Result<State, Error> {
        let files: Vec<&SetFile> = self.saved.listing.files().collect();
        let damaged = verify::verify(&self.set, &files, NonZeroUsize::MIN, interrupt, &|_| {})?;
        if let Some(damage) = damaged.into_iter().next() {
            return Err(MailboxError::from(damage).into());
        }
        let state = self.saved.examine(&self.set, |_| {})?;
        // Only a mailbox that has a state is one of these.
        Ok(state.unwrap_or_default())
    }
}

impl Segment {
    /// Makes sure that all that is said of the archives is as it was saved, and fits. What is wrong
    /// with a mailbox is reported once.
    pub(crate) fn check(&self, interrupt: &Interrupt, session: &Session) -> Result<(), Error> {
        let read = self.mailbox.state.get_or_init(|| {
            let read = self.mailbox.read(interrupt);
            read.map_err(|error| {
                if !matches!(error, Error::Interrupted(Interrupted)) {
                    session.fail(None, None, &error);
                }
                chain(&error)
            })
        });
        let failed = |reason: &String| Error::State {
            reason: reason.clone(),
        };
        read.as_ref().map(drop).map_err(failed)
    }

    /// The member that is stored as `name`, as the mailbox had it.
    pub(crate) fn seen(&self, name: &[u8]) -> Seen {
        let state = self
            .mailbox
            .state
            .get()
            .and_then(|state| state.as_ref().ok());
        let stored = RelPath::new(name).ok();
        let change = state.zip(stored).and_then(|(state, stored)| {
            let change = state.change(self.number, &stored);
            change.cloned()
        });
        let as_stored = |standing| Seen {
            name: name.to_vec(),
            stored: None,
            standing,
        };
        match change {
            None => as_stored(Standing::Present),
            Some(Change::Gone { .. }) => as_stored(Standing::Gone),
            Some(Change::Here { path, .. }) => Seen {
                name: path.as_bytes().to_vec(),
                stored: (path.as_bytes() != name).then(|| name.to_vec()),
                standing: Standing::Present,
            },
        }
    }

    /// Whether messages lie in it, beside control files that have stayed as they are.
    pub(crate) fn has_messages(&self) -> bool {
        self.number != CONTROL
    }

    /// Whether `member` is a message under a name that means nothing.
    pub(crate) fn has_lost_name(&self, member: &[u8]) -> bool {
        let name = member.rsplit(|byte| *byte == b'/').next();
        self.has_messages() && name.is_some_and(|name| name.starts_with(STORED_PREFIX))
    }
}
