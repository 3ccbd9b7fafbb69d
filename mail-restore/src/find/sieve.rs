//! What is left of what was found: without the messages of another set, and without those that are
//! in the live mail.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use mail_common::failure::Failed;
use mail_common::relpath::RelPath;
use mail_common::set::address_of;

use super::contents::{contents, identities};
use super::error::Error;
use super::found::Message;
use super::live::Live;
use super::mailbox::InSets;
use super::sets::SearchedSet;
use super::share::Key;
use crate::messages::{self, Unit, units};

/// Whether messages of the live mail are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    Anywhere,
    /// Only what the live mailbox lacks.
    Missing,
}

/// A mailbox, and the sets that hold it.
#[derive(Debug)]
pub(crate) struct Mailbox<'a> {
    pub(crate) path: Arc<RelPath>,
    pub(crate) in_sets: InSets<'a>,
    /// What the live one holds, once it was looked through as a whole; nothing where it cannot be.
    live: OnceLock<Option<HashSet<Key>>>,
}

impl<'a> Mailbox<'a> {
    pub(crate) fn new(path: Arc<RelPath>, in_sets: InSets<'a>) -> Self {
        let live = OnceLock::new();
        Self {
            path,
            in_sets,
            live,
        }
    }
}

/// What is left out.
pub(crate) struct Sieve<'a> {
    pub(crate) sets: &'a [SearchedSet],
    /// The set whose messages are left out.
    pub(crate) other: Option<&'a SearchedSet>,
    units_of_other: BTreeMap<RelPath, Unit<'a>>,
    /// Mailboxes of it of which no file says what is in their archives.
    lost_of_other: BTreeSet<RelPath>,
    /// The live mail root.
    live: &'a Path,
    whereabouts: Whereabouts,
}

impl<'a> Sieve<'a> {
    /// Reads which mailboxes `other` has.
    ///
    /// # Errors
    /// When that cannot be told: what is left out is not known of any mailbox.
    pub(crate) fn new(
        sets: &'a [SearchedSet],
        other: Option<&'a SearchedSet>,
        live: &'a Path,
        whereabouts: Whereabouts,
    ) -> Result<Self, Error> {
        let (mut units_of_other, mut lost_of_other) = (BTreeMap::new(), BTreeSet::new());
        if let Some(set) = other {
            let units = units(&set.inventory).map_err(|source| Error::NoneCompared {
                set: set.name.clone(),
                source: Box::new(source),
            })?;
            let by_path = units.into_iter().map(|unit| (unit.path.clone(), unit));
            units_of_other = by_path.collect();
            lost_of_other = set.lost_mailboxes().collect();
        }
        Ok(Self {
            sets,
            other,
            units_of_other,
            lost_of_other,
            live,
            whereabouts,
        })
    }

    /// What is left of messages of a mailbox; what keeps it from being told comes back.
    pub(crate) fn sift(&self, mailbox: &RelPath, messages: &mut Vec<Message>) -> Vec<Error> {
        let mut problems = Vec::new();
        match self.contents_of_other(mailbox) {
            Ok(contents) if contents.is_empty() => {}
            Ok(contents) => messages.retain(|message| {
                let key = Key::of(mailbox, &message.mailbox, message.sha256);
                !contents.contains(&key)
            }),
            Err(error) => {
                messages.clear();
                problems.push(error);
            }
        }
        if self.whereabouts == Whereabouts::Missing {
            let marked = match Live::open(self.live) {
                Ok(live) => live.mark(messages),
                Err(_) => Vec::new(),
            };
            messages.retain(|message| message.live == Some(false));
            let marked = marked.into_iter();
            problems.extend(marked.map(|(mailbox, source)| not_looked(&mailbox, source)));
        }
        problems
    }

    /// The same of contents of a mailbox, before they are divided into lots. Of what lies above the
    /// mailboxes that is done with each lot.
    pub(crate) fn sift_contents(
        &self,
        mailbox: &Mailbox<'_>,
        times: &mut HashMap<Key, i64>,
    ) -> Vec<Error> {
        let path = &mailbox.path;
        if path.is_root() || times.is_empty() {
            return Vec::new();
        }
        let mut problems = Vec::new();
        match self.contents_of_other(path) {
            Ok(contents) => times.retain(|key, _| !contents.contains(key)),
            Err(error) => {
                times.clear();
                problems.push(error);
            }
        }
        if self.whereabouts == Whereabouts::Missing {
            match self.contents_of_live(mailbox) {
                Ok(contents) => times.retain(|key, _| !contents.contains(key)),
                Err(source) => {
                    times.clear();
                    problems.push(not_looked(path, source));
                }
            }
        }
        problems
    }

    /// What is left of a lot. Its contents were sifted before they were divided.
    pub(crate) fn sift_lot(&self, mailbox: &RelPath, messages: &mut Vec<Message>) -> Vec<Error> {
        if mailbox.is_root() {
            return self.sift(mailbox, messages);
        }
        if self.whereabouts == Whereabouts::Missing {
            messages
                .iter_mut()
                .for_each(|message| message.live = Some(false));
        }
        Vec::new()
    }

    /// Notes which messages are live; whether that can be told of all. In a lot of a list without
    /// end, each mailbox is looked through once.
    pub(crate) fn mark(&self, messages: &mut [Message], lots_of: Option<&[Mailbox<'_>]>) -> bool {
        let Some(mailboxes) = lots_of else {
            return Live::open(self.live).is_ok_and(|live| live.mark(messages).is_empty());
        };
        let by_path: HashMap<&RelPath, &Mailbox<'_>> =
            mailboxes.iter().map(|one| (&*one.path, one)).collect();
        let (mut is_known, mut others) = (true, Vec::new());
        for message in messages {
            let Some(mailbox) = by_path.get(&*message.mailbox) else {
                others.push(message);
                continue;
            };
            let live = mailbox
                .live
                .get_or_init(|| self.contents_of_live(mailbox).ok());
            let key = Key::of_content(message.sha256);
            message.live = live.as_ref().map(|contents| contents.contains(&key));
            is_known &= message.live.is_some();
        }
        if others.is_empty() {
            return is_known;
        }
        let looked = Live::open(self.live).map(|live| live.mark_each(others).is_empty());
        is_known && looked.unwrap_or(false)
    }

    fn contents_of_other(&self, mailbox: &RelPath) -> Result<HashSet<Key>, Error> {
        let Some(set) = self.other else {
            return Ok(HashSet::new());
        };
        if self.lost_of_other.contains(mailbox) {
            return Err(Error::LostCompared {
                mailbox: address_of(mailbox),
                set: set.name.clone(),
            });
        }
        let Some(unit) = self.units_of_other.get(mailbox) else {
            return Ok(HashSet::new());
        };
        let contents = contents(set, &Arc::new(mailbox.clone()), unit);
        contents.map_err(|source| Error::NotCompared {
            mailbox: address_of(mailbox),
            set: set.name.clone(),
            source: Box::new(source),
        })
    }

    /// The contents of the live mailbox. What is as it was in the newest set is not read.
    fn contents_of_live(&self, mailbox: &Mailbox<'_>) -> Result<HashSet<Key>, messages::Error> {
        let live = Live::open(self.live).map_err(Failed::at("open", self.live))?;
        let known = mailbox.in_sets.first();
        // What cannot be read there, the search has named: all is read.
        let known = known.map(|(set, unit)| identities(&self.sets[*set], unit));
        live.contents(
            &mailbox.path,
            known.and_then(Result::ok).unwrap_or_default(),
        )
    }
}

fn not_looked(mailbox: &RelPath, source: messages::Error) -> Error {
    Error::NotLooked {
        mailbox: address_of(mailbox),
        source: Box::new(source),
    }
}
