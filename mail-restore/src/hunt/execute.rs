//! Searches, and lists what was found or restores it: each message from the newest set that has it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ZonedDateTime;
use mail_common::atomic;
use mail_common::exit::Exit;
use mail_common::failure::{Failed, Failure};
use mail_common::interrupt::Interrupt;
use mail_common::record::Record;
use mail_common::report::Unit;
use mail_common::set::{Component, address_of};
use mail_common::tool::{Session, Totals};
use mail_common::upstream::{Ending, Upstream};

use super::plan::{Aim, Chosen, Hunt, Wanted};
use crate::error::{Error, exit_of};
use crate::find::{
    Conditions, Detail, Error as FindError, Found, Message, Search, Turned, Unread, Whereabouts,
    older_copies, sets_text,
};
use crate::messages::{Known, Query, Unsearched, Work};
use crate::setup::{Destination, Work as Wish};
use crate::single;

/// Does what the hunt says. What fails is in the records, and the exit says how bad it was.
pub(crate) fn execute(
    hunt: &Hunt,
    upstream: &Upstream,
    session: &Session,
    now: &ZonedDateTime,
) -> (Exit, Totals) {
    let mut run = Run {
        hunt,
        upstream,
        session,
        interrupt: &Interrupt::on_signals(),
        now,
        known: Known::default(),
        done: Done::default(),
    };
    let exit = run.run().unwrap_or_else(|error| {
        session.fail(None, None, &error);
        single::stopped(&error, &run.done.totals)
    });
    let mut totals = run.done.totals;
    totals.add("errors", session.report.errors());
    totals.add("warnings", session.report.warnings());
    (exit, totals)
}

struct Run<'a> {
    hunt: &'a Hunt,
    upstream: &'a Upstream,
    session: &'a Session,
    interrupt: &'a Interrupt,
    now: &'a ZonedDateTime,
    /// Of the live mail.
    known: Known,
    done: Done,
}

/// What was done so far.
#[derive(Default)]
struct Done {
    totals: Totals,
    found: usize,
    mailboxes: usize,
    without_envelope: usize,
    without_attachments: usize,
    unsearched: Unsearched,
    live_is_unknown: bool,
    /// The worst of what was restored.
    worst: Option<Exit>,
    /// The messages of a set, or of a lot of it, were refused.
    is_refused: bool,
}

impl Run<'_> {
    fn run(&mut self) -> Result<Exit, Error> {
        let hunt = self.hunt;
        let result = match &hunt.wanted {
            Wanted::Listed(listed) => self.restore(listed.clone(), self.wish()),
            Wanted::Fitting {
                conditions,
                whereabouts,
                limit,
            } => self.search(conditions, *whereabouts, *limit),
        };
        if self.done.worst.is_some() && self.wish() == Wish::Restore {
            let root = single::target_root(&hunt.destination, &hunt.mail);
            single::summarise(&root, &self.done.totals, self.session);
        }
        result?;
        let is_clean = self.session.report.errors() == 0;
        let least = if is_clean {
            Exit::Done
        } else if self.done.is_refused && self.done.totals.get("messages") == 0 {
            Exit::Unfinished
        } else {
            Exit::Partial
        };
        Ok(self.done.worst.unwrap_or(Exit::Done).max(least))
    }

    /// What is asked for beside a list, which records cannot be asked for.
    fn wish(&self) -> Wish {
        match self.hunt.aim {
            Aim::Restore(wish) => wish,
            Aim::List => Wish::Show,
        }
    }

    fn search(
        &mut self,
        conditions: &Conditions,
        whereabouts: Whereabouts,
        limit: Option<usize>,
    ) -> Result<(), Error> {
        let (hunt, stop) = (self.hunt, self.interrupt.flag());
        let report = &self.session.report;
        let progress = report.progress("looked into", Unit::Bytes, None);
        let advance = |bytes| progress.advance(bytes);
        let work = Work {
            stop: &stop,
            progress: &advance,
        };
        let is_list = hunt.aim == Aim::List;
        let search = Search {
            sets: &hunt.sets,
            conditions,
            not_in: hunt.not_in.as_ref(),
            live: &hunt.mail,
            whereabouts,
            detail: if is_list {
                Detail::Listed
            } else {
                Detail::Place
            },
            limit,
            work: &work,
        };
        // Which message a Message-ID means is known when all were seen; they are few.
        let is_by_id = !conditions.query.message_ids.is_empty() && !is_list;
        let mut by_id = Vec::new();
        self.done.totals.add("sets", hunt.sets.len() as u64);
        search.run(|mut found| {
            self.interrupt.check()?;
            self.note(&found);
            if is_by_id {
                by_id.append(&mut found.messages);
                return Ok(());
            }
            self.take(found.messages)
        })?;
        if is_by_id {
            self.check_clear(conditions, &by_id)?;
            self.take(by_id)?;
        }
        drop(progress);
        self.conclude(conditions, limit)
    }

    /// Says what was found, and what was not looked into. To find nothing is an error.
    fn conclude(&self, conditions: &Conditions, limit: Option<usize>) -> Result<(), Error> {
        self.report(limit);
        if self.done.found == 0 {
            return Err(self.no_match(conditions).into());
        }
        Ok(())
    }

    /// Lists these messages, or restores them.
    fn take(&mut self, messages: Vec<Message>) -> Result<(), Error> {
        self.done.found += messages.len();
        match self.hunt.aim {
            Aim::List => {
                self.list(&messages);
                Ok(())
            }
            Aim::Restore(wish) => {
                let chosen = self.chosen(&messages);
                // The restore needs memory of its own.
                drop(messages);
                self.restore(chosen, wish)
            }
        }
    }

    /// Says what could not be looked into. What was not is never passed over.
    fn note(&mut self, found: &Found) {
        for problem in &found.problems {
            self.session.fail(Some(Component::Mailboxes), None, problem);
        }
        self.warn_of(&found.turned);
        let done = &mut self.done;
        done.mailboxes = found.mailboxes;
        done.without_envelope += found.without_envelope;
        done.without_attachments += found.without_attachments;
        done.unsearched = done.unsearched.and(found.unsearched);
        done.live_is_unknown |= found.live_is_unknown;
        done.totals.add("index_lines", found.index_lines);
        let Unsearched { encrypted, unclear } = found.unsearched;
        done.totals.add("not_looked_into", encrypted + unclear);
    }

    fn report(&self, limit: Option<usize>) {
        let (done, report) = (&self.done, &self.session.report);
        if done.without_envelope > 0 {
            report.summary(format!(
                "{} messages were opened for their headers, which takes longer: they come from \
                 sets of an earlier version, or are compressed or encrypted",
                done.without_envelope
            ));
        }
        if done.without_attachments > 0 {
            report.summary(format!(
                "{} messages were opened for the names of their attachments, which takes longer: \
                 they come from sets of an earlier version, are over 16 MiB, or have very many or \
                 very long names",
                done.without_attachments
            ));
        }
        if !done.unsearched.is_empty() {
            report.warning(done.unsearched);
        }
        if done.live_is_unknown {
            report.warning(format!(
                "which of the messages are in the live mail is not known: {} cannot be looked \
                 through",
                self.hunt.mail.display()
            ));
        }
        if self.hunt.aim != Aim::List || done.found == 0 {
            return;
        }
        report.summary(format!(
            "found {} messages in {}, {} of them not in the live mail; without --list they are \
             restored",
            done.totals.get("messages"),
            sets_text(&self.hunt.sets),
            done.totals.get("missing"),
        ));
        if limit == Some(done.found) {
            report.summary("these are the newest; there may be more");
        }
    }

    fn no_match(&self, conditions: &Conditions) -> FindError {
        FindError::NoMatch {
            searched: conditions.to_string(),
            mailboxes: self.done.mailboxes,
            sets: sets_text(&self.hunt.sets),
        }
    }

    fn list(&mut self, messages: &[Message]) {
        for message in messages {
            if let Some(record) = message.record(&self.hunt.sets) {
                let totals = &mut self.done.totals;
                totals.add("messages", 1);
                totals.add("bytes", record.bytes);
                totals.add("missing", u64::from(record.live == Some(false)));
                self.session.emit(&Record::Message(record));
            }
        }
    }

    /// A Message-ID must mean one message: what is restored is what was meant.
    fn check_clear(&self, conditions: &Conditions, found: &[Message]) -> Result<(), Error> {
        let mut by_id: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for (number, message) in found.iter().enumerate() {
            let id = message.message_id.as_deref().unwrap_or_default();
            by_id.entry(id).or_default().insert(number);
        }
        by_id.retain(|id, numbers| conditions.query.wants_id(id) && numbers.len() > 1);
        if by_id.is_empty() {
            return Ok(());
        }
        for number in by_id.values().flatten() {
            if let Some(record) = found[*number].record(&self.hunt.sets) {
                self.session.emit(&Record::Message(record));
            }
        }
        Err(Error::Ambiguous {
            message_ids: by_id.keys().map(|id| (*id).to_owned()).collect(),
        })
    }

    /// What was found, by the set from which it is taken.
    fn chosen(&self, messages: &[Message]) -> Vec<Chosen> {
        let mut chosen: Vec<Chosen> = self.hunt.sets.iter().map(|_| Chosen::default()).collect();
        for message in messages {
            let Message {
                newest: Some(newest),
                mailbox,
                sha256,
                ..
            } = message
            else {
                continue;
            };
            let path = newest.file.path.clone();
            chosen[newest.set].choose(path, *sha256, &address_of(mailbox));
        }
        chosen
    }

    /// Restores from each set what was chosen of it, the newest first. One that fails does not keep
    /// back the others.
    fn restore(&mut self, mut chosen: Vec<Chosen>, wish: Wish) -> Result<(), Error> {
        let hunt = self.hunt;
        if wish == Wish::Restore
            && let Destination::Directory(directory) = &hunt.destination
        {
            atomic::create_dir_all(directory).map_err(Failed::at("make", directory))?;
        }
        self.note_exit(self.upstream_exit());
        for number in 0..hunt.sets.len() {
            let of_set = std::mem::take(&mut chosen[number]);
            if of_set.paths.is_empty() {
                continue;
            }
            self.interrupt.check()?;
            let unread = self.restore_of(number, &of_set, wish)?;
            self.turn_to_older(number, &unread, &mut chosen)?;
        }
        Ok(())
    }

    /// Restores what was chosen of a set; what the set cannot give comes back.
    fn restore_of(
        &mut self,
        number: usize,
        chosen: &Chosen,
        wish: Wish,
    ) -> Result<Vec<Unread>, Error> {
        let (hunt, set) = (self.hunt, &self.hunt.sets[number]);
        let job = single::Job {
            inventory: &set.inventory,
            work: wish,
            destination: &hunt.destination,
            mail: &hunt.mail,
            clearance: hunt.clearance,
            expected: Some((&set.name, &chosen.paths)),
        };
        let query = Query {
            only: Some(chosen.paths.keys().cloned().collect()),
            mailboxes: chosen.mailboxes.iter().flatten().cloned().collect(),
            whole_folders: hunt.whole_folders().cloned(),
            ..Query::default()
        };
        let restored = single::restore(
            &job,
            &query,
            self.upstream,
            self.session,
            self.interrupt,
            self.now,
            &mut self.known,
        );
        match restored {
            Ok(ended) => {
                self.done.totals.merge(&ended.totals);
                self.note_exit(ended.exit);
                if ended.is_full {
                    return Err(Error::Full);
                }
                Ok(ended.unread)
            }
            Err(error) => {
                let is_of_set = matches!(&error, Error::Messages(error) if error.is_of_set());
                let exit = self.note_failed(&set.name, error);
                self.note_exit(exit);
                Ok(if is_of_set {
                    chosen.unread()
                } else {
                    Vec::new()
                })
            }
        }
    }

    /// What a set cannot give is taken from the next older one that has it.
    fn turn_to_older(
        &mut self,
        set: usize,
        unread: &[Unread],
        chosen: &mut [Chosen],
    ) -> Result<(), Error> {
        if unread.is_empty() {
            return Ok(());
        }
        let (sets, stop) = (&self.hunt.sets, self.interrupt.flag());
        let work = Work {
            stop: &stop,
            progress: &|_| {},
        };
        let mut copies = older_copies(sets, set, unread, &work)?;
        let mut turned = Turned::default();
        for Unread { path, .. } in unread {
            let Some(Message {
                newest: Some(newest),
                mailbox,
                sha256,
                ..
            }) = copies.remove(path)
            else {
                let error = FindError::NoCopy { path: path.clone() };
                self.session
                    .fail(Some(Component::Mailboxes), Some(path), &error);
                continue;
            };
            turned.note(set, newest.set, path.clone());
            chosen[newest.set].choose(newest.file.path, sha256, &address_of(&mailbox));
        }
        self.warn_of(&turned);
        Ok(())
    }

    fn warn_of(&self, turned: &Turned) {
        for sentence in turned.sentences(&self.hunt.sets) {
            self.session.report.warning(sentence);
        }
    }

    /// Records why nothing of a set, or of a lot of it, was restored. A refusal keeps back these
    /// messages alone: at the end it is seen whether others were restored.
    fn note_failed(&mut self, set: &str, error: Error) -> Exit {
        let error = match error {
            Error::NotClean { refused } => Error::NotCleanOfSearch {
                refused,
                set: set.to_owned(),
            },
            error => error,
        };
        self.session.fail(Some(Component::Mailboxes), None, &error);
        let (answer, exit) = (error.kind().exit(), exit_of(error.kind()));
        if answer == exit {
            return exit;
        }
        self.done.is_refused = true;
        Exit::Partial
    }

    fn note_exit(&mut self, exit: Exit) {
        self.done.worst = Some(self.done.worst.map_or(exit, |worst| worst.max(exit)));
    }

    /// Of a list that was not whole, not all can be restored.
    fn upstream_exit(&self) -> Exit {
        let mut runs = self.upstream.runs.iter();
        if runs.all(|run| run.ending() == Ending::Good) {
            Exit::Done
        } else {
            Exit::Partial
        }
    }
}
