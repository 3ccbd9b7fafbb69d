//! Mailbox by mailbox through all sets, then through what has to be read, the newest messages
//! first.
//!
//! Where more is found than is held at once, the indexes are gone through again: once to divide all
//! contents into lots by the time of delivery, then once for each lot. Memory does not grow with
//! the mail then, but for a few bytes a message.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::{cmp, mem};

use mail_common::interrupt::Interrupted;
use mail_common::relpath::RelPath;
use mail_common::report;
use mail_common::set::address_of;

use super::conditions::{Conditions, Verdict};
use super::error::Error;
use super::found::{Message, Unread};
use super::look;
use super::mailbox::{self, InSets, Searched};
use super::older::{Turned, older_copies};
use super::sets::{SearchedSet, in_set};
use super::share::{Lots, Share};
use super::sieve::{Mailbox, Sieve, Whereabouts};
use crate::messages::{self, LOT, Room, Unsearched, Work, for_each, similar_to, units};

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
    pub(crate) detail: Detail,
    /// The newest so many.
    pub(crate) limit: Option<usize>,
    pub(crate) work: &'a Work<'a>,
}

/// How much has to be known of what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Where it is.
    Place,
    /// What a list says besides: headers of which no index has anything, and what is live.
    Listed,
}

/// What was found, or a lot of it.
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
    /// What was read from another set than the newest that has it.
    pub(crate) turned: Turned,
}

/// What one pass over all mailboxes gave.
#[derive(Default)]
struct Pass {
    messages: Vec<Message>,
    problems: Vec<Error>,
    index_lines: u64,
    /// There was no room for all.
    is_cut: bool,
}

impl Search<'_> {
    /// Looks through everything, and gives what it finds to `each`: at once, or lot after lot.
    pub(crate) fn run<E: From<Error>>(
        &self,
        mut each: impl FnMut(Found) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut found = Found::default();
        let mailboxes = self.mailboxes(&mut found)?;
        let sieve = Sieve::new(self.sets, self.not_in, self.live, self.whereabouts)?;
        let named = mailboxes.iter().filter(|mailbox| !mailbox.path.is_root());
        found.mailboxes = named.count().max(1);
        let room = Room::new(LOT);
        let sift = |path: &RelPath, messages: &mut Vec<Message>| sieve.sift(path, messages);
        let all = self.pass(&mailboxes, sift, |_| Share::All(&room))?;
        if !all.is_cut {
            found.index_lines = all.index_lines;
            self.complete(&mut found, all, self.limit, &sieve, None)?;
            return each(found);
        }
        drop(all);
        self.run_lots(found, &mailboxes, &sieve, each)
    }

    fn run_lots<E: From<Error>>(
        &self,
        mut found: Found,
        mailboxes: &[Mailbox<'_>],
        sieve: &Sieve<'_>,
        mut each: impl FnMut(Found) -> Result<(), E>,
    ) -> Result<(), E> {
        let lots = self.survey(&mut found, mailboxes, sieve)?;
        let known_mailboxes = found.mailboxes;
        let (mut left, mut said) = (self.limit, HashSet::new());
        for lot in 0..lots.count {
            let share = |number: usize| Share::Lot(&lots.of_mailbox[number], lot);
            let pass = self.pass(mailboxes, |path, found| sieve.sift_lot(path, found), share)?;
            self.complete(&mut found, pass, left, sieve, Some(mailboxes))?;
            // Each pass meets the same damage.
            found
                .problems
                .retain(|problem| said.insert(report::chain(problem)));
            let count = found.messages.len();
            each(mem::take(&mut found))?;
            found.mailboxes = known_mailboxes;
            left = left.map(|left| left - count);
            if left == Some(0) {
                break;
            }
        }
        Ok(())
    }

    /// Divides all contents into lots.
    fn survey(
        &self,
        found: &mut Found,
        mailboxes: &[Mailbox<'_>],
        sieve: &Sieve<'_>,
    ) -> Result<Lots, Error> {
        let answers = for_each(mailboxes, |mailbox| {
            let mut searched = self.one(mailbox, Share::Survey)?;
            let problems = sieve.sift_contents(mailbox, &mut searched.times);
            Ok::<_, Interrupted>((searched, problems))
        });
        let mut of_mailbox = Vec::new();
        for answer in answers {
            let (searched, problems) = answer.map_err(messages::Error::from)?;
            found.index_lines += searched.index_lines;
            // What cannot be read now is in no lot, and a later pass may read it well.
            let of_sets = searched.problems.into_iter();
            let of_sets = of_sets.map(|(set, source)| in_set(&self.sets[set], source));
            found.problems.extend(of_sets.chain(problems));
            of_mailbox.push(searched.times);
        }
        Ok(Lots::new(of_mailbox, LOT))
    }

    /// One pass over all mailboxes.
    fn pass<'s>(
        &self,
        mailboxes: &[Mailbox<'_>],
        sift: impl Fn(&RelPath, &mut Vec<Message>) -> Vec<Error> + Sync,
        share: impl Fn(usize) -> Share<'s> + Sync,
    ) -> Result<Pass, Error> {
        let numbered: Vec<(usize, &Mailbox<'_>)> = mailboxes.iter().enumerate().collect();
        let answers = for_each(&numbered, |(number, mailbox)| {
            let mut searched = self.one(mailbox, share(*number))?;
            let mut problems = Vec::new();
            if !searched.is_cut {
                problems = sift(&mailbox.path, &mut searched.messages);
            }
            Ok::<_, Interrupted>((searched, problems))
        });
        let mut pass = Pass::default();
        for answer in answers {
            let (searched, problems) = answer.map_err(messages::Error::from)?;
            let of_sets = searched.problems.into_iter();
            let of_sets = of_sets.map(|(set, source)| in_set(&self.sets[set], source));
            pass.problems.extend(of_sets.chain(problems));
            pass.messages.extend(searched.messages);
            pass.index_lines += searched.index_lines;
            pass.is_cut |= searched.is_cut;
        }
        pass.messages.sort_by(|a, b| a.rank().cmp(&b.rank()));
        Ok(pass)
    }

    /// Makes a pass what was found: what has to be read is read, and described if it is listed.
    fn complete(
        &self,
        found: &mut Found,
        pass: Pass,
        limit: Option<usize>,
        sieve: &Sieve<'_>,
        lots_of: Option<&[Mailbox<'_>]>,
    ) -> Result<(), Error> {
        found.messages = pass.messages;
        found.problems.extend(pass.problems);
        self.settle(found, limit);
        if self.detail == Detail::Listed {
            // Of few messages, only files of their sizes are looked at.
            let lots_of = lots_of.filter(|_| self.limit.is_none());
            self.describe(found, sieve, lots_of);
        }
        if self.work.is_stopped() {
            return Err(messages::Error::from(Interrupted).into());
        }
        Ok(())
    }

    /// Each mailbox that is asked for, in the sets that hold it.
    fn mailboxes(&self, found: &mut Found) -> Result<Vec<Mailbox<'_>>, Error> {
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
        let mailboxes = mailboxes.into_iter();
        Ok(mailboxes
            .map(|(path, in_sets)| Mailbox::new(path, in_sets))
            .collect())
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

    fn one(&self, mailbox: &Mailbox<'_>, share: Share<'_>) -> Result<Searched, Interrupted> {
        let of = (&mailbox.path, &mailbox.in_sets);
        mailbox::search(self.sets, self.conditions, self.work, share, of)
    }

    /// Reads what has to be read, from the newest message on, until there are enough.
    fn settle(&self, found: &mut Found, wanted: Option<usize>) {
        let waiting = mem::take(&mut found.messages);
        let limit = wanted.unwrap_or(usize::MAX);
        let step = match wanted {
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
            self.read(found, &mut some);
            some.retain(|message| message.verdict == Verdict::Yes);
            found.messages.extend(some);
        }
        found.messages.truncate(limit);
    }

    /// Reads those of `messages` that are open. What a set cannot give is read from the next older
    /// one that has it.
    fn read(&self, found: &mut Found, messages: &mut [Message]) {
        loop {
            let looked = look::settle(self.sets, self.conditions, messages, self.work);
            found.unsearched = found.unsearched.and(looked.unsearched);
            let problems = looked.problems.into_iter();
            let problems = problems.map(|(set, source)| in_set(&self.sets[set], source));
            found.problems.extend(problems);
            let turned = looked
                .unread
                .iter()
                .map(|(set, unread)| self.turn_to_older(found, messages, *set, unread))
                .sum::<usize>();
            if turned == 0 {
                return;
            }
        }
    }

    /// Opens again those of the `unread` messages of a set that an older one has; how many.
    fn turn_to_older(
        &self,
        found: &mut Found,
        messages: &mut [Message],
        set: usize,
        unread: &[Unread],
    ) -> usize {
        // A signal is seen after this.
        let Ok(mut copies) = older_copies(self.sets, set, unread, self.work) else {
            return 0;
        };
        let mut turned = 0;
        for message in messages {
            let of_set = message.newest.as_ref().filter(|newest| newest.set == set);
            let Some(path) = of_set.map(|newest| newest.file.path.clone()) else {
                continue;
            };
            if let Some(copy) = copies.remove(&path) {
                found.turned.note(set, copy.newest_set(), path);
                message.newest = copy.newest;
                message.verdict = Verdict::Open;
                turned += 1;
            }
        }
        turned
    }

    /// Looks up what a list says besides.
    fn describe(&self, found: &mut Found, sieve: &Sieve<'_>, lots_of: Option<&[Mailbox<'_>]>) {
        let problems = look::read_headers(self.sets, &mut found.messages, self.work);
        let problems = problems.into_iter();
        let problems = problems.map(|(set, source)| in_set(&self.sets[set], source));
        found.problems.extend(problems);
        if self.whereabouts == Whereabouts::Anywhere {
            found.live_is_unknown = !sieve.mark(&mut found.messages, lots_of);
        }
    }
}

/// The mailboxes of a set of which no file says what is in their archives.
fn lost(set: &SearchedSet) -> Vec<Error> {
    let lost = set.lost_mailboxes();
    lost.map(|mailbox| Error::Lost {
        mailbox: address_of(&mailbox),
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::AtomicBool;

    use mail_common::set::Component;
    use mail_tests::server::Server;

    use super::*;

    /// What fails while the lots are made, and at no other time.
    #[test]
    fn what_cannot_be_read_when_lots_are_made_is_named() {
        let (server, path) = Server::saved(3);
        let sets = [SearchedSet::open(&server.root(), &path, None).unwrap()];
        let (conditions, stop) = (Conditions::default(), AtomicBool::new(false));
        let work = Work {
            stop: &stop,
            progress: &|_| {},
        };
        let search = Search {
            sets: &sets,
            conditions: &conditions,
            not_in: None,
            live: Path::new("/nonexistent"),
            whereabouts: Whereabouts::Anywhere,
            detail: Detail::Place,
            limit: None,
            work: &work,
        };
        let mut found = Found::default();
        let mailboxes = search.mailboxes(&mut found).unwrap();
        let sieve = Sieve::new(&sets, None, search.live, search.whereabouts).unwrap();
        let _ = search.survey(&mut found, &mailboxes, &sieve).unwrap();
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        let mut indexes = 0;
        for file in sets[0].inventory.of_component(Component::Mailboxes) {
            if file.path.name().ends_with(b".jsonl.zst") {
                fs::remove_file(path.join(file.path.as_path())).unwrap();
                indexes += 1;
            }
        }
        assert!(indexes > 0);
        let _ = search.survey(&mut found, &mailboxes, &sieve).unwrap();
        assert_eq!(found.problems.len(), mailboxes.len());
    }
}
