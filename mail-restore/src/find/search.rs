//! Mailbox by mailbox through all sets, then through what has to be read, the newest messages first.

use std::cmp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use mail_common::interrupt::Interrupted;
use mail_common::relpath::RelPath;
use mail_common::set::{Component, Listing, address_of, saved_mailboxes};

use super::conditions::{Conditions, Verdict};
use super::error::Error;
use super::found::Message;
use super::live::Live;
use super::look;
use super::mailbox::{self, InSets, Searched};
use super::sets::SearchedSet;
use crate::messages::{self, Unit, Unsearched, Work, for_each, similar_to, units};

/// How many messages are read before it is looked whether there are enough.
const READ_AHEAD_MIN: usize = 500;

/// What is looked for, and where.
pub(crate) struct Search<'a> {
    /// The newest first.
    pub(crate) sets: &'a [SearchedSet],
    pub(crate) conditions: &'a Conditions,
    /// Messages of this set are left out.
    pub(crate) not_in: Option<&'a SearchedSet>,
    /// The live mail root.
    pub(crate) live: &'a Path,
    pub(crate) whereabouts: Whereabouts,
    /// The newest so many.
    pub(crate) limit: Option<usize>,
    pub(crate) work: &'a Work<'a>,
}

/// Whether messages of the live mail are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    Anywhere,
    /// Only what the live mailbox has not.
    Missing,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The newest first.
    pub(crate) messages: Vec<Message>,
    /// What could not be read or told.
    pub(crate) problems: Vec<Error>,
    pub(crate) unsearched: Unsearched,
    /// Messages in indexes that were read; one that lies in two chains of sets counts twice.
    pub(crate) index_lines: u64,
    pub(crate) mailboxes: usize,
    /// How many had to be read, since no index has their header.
    pub(crate) without_envelope: usize,
    /// How many others, since none has the names of their attachments.
    pub(crate) without_attachments: usize,
    /// Whether the live mail could not be looked through.
    pub(crate) live_is_unknown: bool,
}

impl Search<'_> {
    /// Looks through everything.
    pub(crate) fn run(&self) -> Result<Found, Error> {
        let mut found = Found::default();
        let mailboxes = self.mailboxes(&mut found)?;
        let not_in = self.units_of_other(&mut found);
        found.mailboxes = mailboxes
            .keys()
            .filter(|path| !path.is_root())
            .count()
            .max(1);
        let mailboxes: Vec<_> = mailboxes.into_iter().collect();
        let answers = for_each(&mailboxes, |(path, in_sets)| {
            let searched = self.one(path, in_sets)?;
            Ok::<_, Interrupted>(self.sifted(path, searched, not_in.get(path)))
        });
        for answer in answers {
            let (messages, problems, index_lines) = answer.map_err(messages::Error::from)?;
            found.messages.extend(messages);
            found.problems.extend(problems);
            found.index_lines += index_lines;
        }
        found.messages.sort_by(|a, b| a.rank().cmp(&b.rank()));
        self.settle(&mut found);
        if self.work.is_stopped() {
            return Err(messages::Error::from(Interrupted).into());
        }
        Ok(found)
    }

    /// Each mailbox that is asked for, in the sets that hold it.
    fn mailboxes(&self, found: &mut Found) -> Result<BTreeMap<Arc<RelPath>, InSets<'_>>, Error> {
        let mut mailboxes: BTreeMap<Arc<RelPath>, InSets<'_>> = BTreeMap::new();
        let mut names = BTreeSet::new();
        for (number, set) in self.sets.iter().enumerate() {
            found.problems.extend(lost(set));
            match units(&set.inventory) {
                Ok(units) => {
                    for unit in units {
                        names.insert(unit.path.clone());
                        if self.conditions.wants_unit(&unit.path) {
                            let path = Arc::new(unit.path.clone());
                            mailboxes.entry(path).or_default().push((number, unit));
                        }
                    }
                }
                Err(source) => found.problems.push(in_set(set, source)),
            }
        }
        self.check_named(&names)?;
        Ok(mailboxes)
    }

    /// A mailbox that no set has is a mistake, unless the mail tree is not divided into mailboxes.
    fn check_named(&self, names: &BTreeSet<RelPath>) -> Result<(), Error> {
        let is_divided = names.iter().any(|name| !name.is_root());
        for address in &self.conditions.query.mailboxes {
            if is_divided && !names.iter().any(|name| address.names(name)) {
                let known = names.iter().map(address_of);
                return Err(Error::UnknownMailbox {
                    address: address.to_string(),
                    sets: sets_text(self.sets),
                    similar: similar_to(address, known),
                });
            }
        }
        Ok(())
    }

    /// The mailboxes of the set whose messages are left out.
    fn units_of_other(&self, found: &mut Found) -> BTreeMap<RelPath, Unit<'_>> {
        let Some(set) = self.not_in else {
            return BTreeMap::new();
        };
        match units(&set.inventory) {
            Ok(units) => units
                .into_iter()
                .map(|unit| (unit.path.clone(), unit))
                .collect(),
            Err(source) => {
                found.problems.push(in_set(set, source));
                BTreeMap::new()
            }
        }
    }

    fn one(&self, path: &Arc<RelPath>, in_sets: &InSets<'_>) -> Result<Searched, Interrupted> {
        mailbox::search(self.sets, self.conditions, self.work, path, in_sets)
    }

    /// What is left of a mailbox without the messages of the other set and of the live mail.
    fn sifted(
        &self,
        path: &Arc<RelPath>,
        searched: Searched,
        other: Option<&Unit<'_>>,
    ) -> (Vec<Message>, Vec<Error>, u64) {
        let Searched {
            mut messages,
            problems,
            index_lines,
        } = searched;
        let mut problems: Vec<Error> = problems
            .into_iter()
            .map(|(set, source)| in_set(&self.sets[set], source))
            .collect();
        if let (Some(set), Some(unit)) = (self.not_in, other) {
            match mailbox::contents(set, path, unit) {
                Ok(contents) => {
                    let key = |message: &Message| (Arc::clone(&message.mailbox), message.sha256);
                    messages.retain(|message| !contents.contains(&key(message)));
                }
                Err(source) => {
                    messages.clear();
                    problems.push(Error::NotCompared {
                        mailbox: address_of(path),
                        set: set.name.clone(),
                        source: Box::new(source),
                    });
                }
            }
        }
        if self.whereabouts == Whereabouts::Missing {
            problems.extend(self.keep_missing(&mut messages));
        }
        (messages, problems, index_lines)
    }

    fn keep_missing(&self, messages: &mut Vec<Message>) -> Vec<Error> {
        let marked = match Live::open(self.live) {
            Ok(live) => live.mark(messages),
            Err(_) => Vec::new(),
        };
        messages.retain(|message| message.live == Some(false));
        let not_looked = |(mailbox, source): (Arc<RelPath>, _)| Error::NotLooked {
            mailbox: address_of(&mailbox),
            source: Box::new(source),
        };
        marked.into_iter().map(not_looked).collect()
    }

    /// Reads what has to be read, from the newest message on, until there are enough.
    fn settle(&self, found: &mut Found) {
        let waiting = std::mem::take(&mut found.messages);
        let limit = self.limit.unwrap_or(usize::MAX);
        let step = match self.limit {
            Some(limit) => cmp::max(limit.saturating_mul(4), READ_AHEAD_MIN),
            None => cmp::max(waiting.len(), 1),
        };
        let mut waiting = waiting.into_iter().peekable();
        while found.messages.len() < limit && waiting.peek().is_some() {
            let mut some: Vec<Message> = waiting.by_ref().take(step).collect();
            let is_blank =
                |message: &&Message| message.envelope.is_none() && message.verdict == Verdict::Open;
            found.without_envelope += some.iter().filter(is_blank).count();
            if self.conditions.asks_for_names_alone() {
                let is_open = |message: &&Message| message.verdict == Verdict::Open;
                let is_half_known = |message: &&Message| is_open(message) && !is_blank(message);
                found.without_attachments += some.iter().filter(is_half_known).count();
            }
            let looked = look::settle(self.sets, self.conditions, &mut some, self.work);
            found.unsearched = found.unsearched.and(looked.unsearched);
            let problems = looked.problems.into_iter();
            let problems = problems.map(|(set, source)| in_set(&self.sets[set], source));
            found.problems.extend(problems);
            some.retain(|message| message.verdict == Verdict::Yes);
            found.messages.extend(some);
        }
        found.messages.truncate(limit);
    }

    /// Looks up what a list says besides: headers of which no index has anything, and what is live.
    pub(crate) fn describe(&self, found: &mut Found) {
        let problems = look::read_headers(self.sets, &mut found.messages, self.work);
        let problems = problems.into_iter();
        let problems = problems.map(|(set, source)| in_set(&self.sets[set], source));
        found.problems.extend(problems);
        if self.whereabouts == Whereabouts::Missing {
            return;
        }
        found.live_is_unknown = match Live::open(self.live) {
            Ok(live) => !live.mark(&mut found.messages).is_empty(),
            Err(_) => true,
        };
    }
}

fn in_set(set: &SearchedSet, source: messages::Error) -> Error {
    Error::InSet {
        set: set.name.clone(),
        source: Box::new(source),
    }
}

/// The mailboxes of a set of which no file says what is in their archives.
fn lost(set: &SearchedSet) -> Vec<Error> {
    let saved = saved_mailboxes(set.inventory.of_component(Component::Mailboxes));
    let lost = saved.into_iter().flatten();
    let lost = lost.filter(|mailbox| mailbox.listing == Listing::Lost);
    lost.map(|mailbox| Error::Lost {
        mailbox: address_of(&mailbox.path()),
        set: set.name.clone(),
    })
    .collect()
}

/// The sets for a sentence: by name, or how many.
pub(crate) fn sets_text(sets: &[SearchedSet]) -> String {
    match sets {
        [one] => one.name.clone(),
        [.., oldest] => format!("{} sets from {} on", sets.len(), oldest.name),
        [] => "no set".to_owned(),
    }
}
