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
use crate::find::{Conditions, Error as FindError, Found, Message, Search, Whereabouts, sets_text};
use crate::messages::{Query, Work};
use crate::setup::{Destination, Work as Wish};
use crate::single;

/// Does what the hunt says. What fails is in the records, and the exit says how bad it was.
pub(crate) fn execute(
    hunt: &Hunt,
    upstream: &Upstream,
    session: &Session,
    now: &ZonedDateTime,
) -> (Exit, Totals) {
    let run = Run {
        hunt,
        upstream,
        session,
        interrupt: &Interrupt::on_signals(),
        now,
    };
    let (exit, mut totals) = run.run().unwrap_or_else(|error| {
        session.fail(None, None, &error);
        (exit_of(error.kind()), Totals::default())
    });
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
}

impl Run<'_> {
    fn run(&self) -> Result<(Exit, Totals), Error> {
        match &self.hunt.wanted {
            Wanted::Listed(listed) => self.restore(listed, self.wish(), Totals::default()),
            Wanted::Fitting {
                conditions,
                whereabouts,
                limit,
            } => self.search(conditions, *whereabouts, *limit),
        }
    }

    /// What is asked for beside a list, which records cannot be asked for.
    fn wish(&self) -> Wish {
        match self.hunt.aim {
            Aim::Restore(wish) => wish,
            Aim::List => Wish::Show,
        }
    }

    fn search(
        &self,
        conditions: &Conditions,
        whereabouts: Whereabouts,
        limit: Option<usize>,
    ) -> Result<(Exit, Totals), Error> {
        let stop = self.interrupt.flag();
        let progress = self
            .session
            .report
            .progress("looked into", Unit::Bytes, None);
        let advance = |bytes| progress.advance(bytes);
        let work = Work {
            stop: &stop,
            progress: &advance,
        };
        let search = Search {
            sets: &self.hunt.sets,
            conditions,
            not_in: self.hunt.not_in.as_ref(),
            live: &self.hunt.mail,
            whereabouts,
            limit,
            work: &work,
        };
        let mut found = search.run()?;
        if self.hunt.aim == Aim::List {
            search.describe(&mut found);
        }
        drop(progress);
        self.interrupt.check()?;
        let totals = self.report(&found);
        if found.messages.is_empty() {
            let error = self.no_match(conditions, &found);
            self.session.fail(None, None, &error);
            return Ok((exit_of(error.kind()), totals));
        }
        match self.hunt.aim {
            Aim::List => Ok(self.list(&found, limit, totals)),
            Aim::Restore(wish) => {
                self.check_clear(conditions, &found)?;
                let chosen = self.chosen(&found);
                // Of a large mailbox this is much memory, and the restore needs its own.
                drop(found);
                self.restore(&chosen, wish, totals)
            }
        }
    }

    /// Says what could not be looked into. What was not is never passed over.
    fn report(&self, found: &Found) -> Totals {
        for problem in &found.problems {
            self.session.fail(Some(Component::Mailboxes), None, problem);
        }
        let report = &self.session.report;
        if found.without_envelope > 0 {
            report.summary(format!(
                "{} messages were opened for their headers, which takes longer: they come from \
                 sets of an earlier version, or are compressed or encrypted",
                found.without_envelope
            ));
        }
        if found.without_attachments > 0 {
            report.summary(format!(
                "{} messages were opened for the names of their attachments, which takes longer: \
                 they come from sets of an earlier version, are over 16 MiB, or have very many or \
                 very long names",
                found.without_attachments
            ));
        }
        if !found.unsearched.is_empty() {
            report.warning(found.unsearched);
        }
        if found.live_is_unknown {
            report.warning(format!(
                "which of the messages are in the live mail is not known: {} cannot be looked \
                 through",
                self.hunt.mail.display()
            ));
        }
        let unsearched = found.unsearched;
        Totals::from([
            ("sets", self.hunt.sets.len() as u64),
            ("index_lines", found.index_lines),
            ("not_looked_into", unsearched.encrypted + unsearched.unclear),
        ])
    }

    fn no_match(&self, conditions: &Conditions, found: &Found) -> FindError {
        FindError::NoMatch {
            searched: conditions.to_string(),
            mailboxes: found.mailboxes,
            sets: sets_text(&self.hunt.sets),
        }
    }

    fn list(&self, found: &Found, limit: Option<usize>, mut totals: Totals) -> (Exit, Totals) {
        for message in &found.messages {
            if let Some(record) = message.record(&self.hunt.sets) {
                totals.add("messages", 1);
                totals.add("bytes", record.bytes);
                totals.add("missing", u64::from(record.live == Some(false)));
                self.session.emit(&Record::Message(record));
            }
        }
        let report = &self.session.report;
        report.summary(format!(
            "found {} messages in {}, {} of them not in the live mail; without --list they are \
             restored",
            totals.get("messages"),
            sets_text(&self.hunt.sets),
            totals.get("missing"),
        ));
        if limit == Some(found.messages.len()) {
            report.summary("these are the newest; there may be more");
        }
        let exit = if report.errors() == 0 {
            Exit::Done
        } else {
            Exit::Partial
        };
        (exit, totals)
    }

    /// A Message-ID must mean one message: what is restored is what was meant.
    fn check_clear(&self, conditions: &Conditions, found: &Found) -> Result<(), Error> {
        let mut by_id: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for (number, message) in found.messages.iter().enumerate() {
            let id = message.message_id.as_deref().unwrap_or_default();
            by_id.entry(id).or_default().insert(number);
        }
        by_id.retain(|id, numbers| conditions.query.wants_id(id) && numbers.len() > 1);
        if by_id.is_empty() {
            return Ok(());
        }
        for number in by_id.values().flatten() {
            if let Some(record) = found.messages[*number].record(&self.hunt.sets) {
                self.session.emit(&Record::Message(record));
            }
        }
        Err(Error::Ambiguous {
            message_ids: by_id.keys().map(|id| (*id).to_owned()).collect(),
        })
    }

    /// What was found, by the set from which it is taken.
    fn chosen(&self, found: &Found) -> Vec<Chosen> {
        let mut chosen: Vec<Chosen> = self.hunt.sets.iter().map(|_| Chosen::default()).collect();
        for message in &found.messages {
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

    /// Restores from each set what was chosen of it. One that fails does not keep back the others.
    fn restore(
        &self,
        chosen: &[Chosen],
        wish: Wish,
        mut totals: Totals,
    ) -> Result<(Exit, Totals), Error> {
        if wish == Wish::Restore
            && let Destination::Directory(directory) = &self.hunt.destination
        {
            atomic::create_dir_all(directory).map_err(Failed::at("make", directory))?;
        }
        let mut worst = self.upstream_exit();
        for (set, chosen) in self.hunt.sets.iter().zip(chosen) {
            if chosen.paths.is_empty() {
                continue;
            }
            self.interrupt.check()?;
            let job = single::Job {
                inventory: &set.inventory,
                work: wish,
                destination: &self.hunt.destination,
                mail: &self.hunt.mail,
                clearance: self.hunt.clearance,
                expected: Some((&set.name, &chosen.paths)),
            };
            let query = Query {
                only: Some(chosen.paths.keys().cloned().collect()),
                mailboxes: chosen.mailboxes.iter().flatten().cloned().collect(),
                ..Query::default()
            };
            let restored = single::restore(
                &job,
                &query,
                self.upstream,
                self.session,
                self.interrupt,
                self.now,
            );
            let (exit, of_set) = restored.unwrap_or_else(|error| {
                self.session.fail(Some(Component::Mailboxes), None, &error);
                (exit_of(error.kind()), Totals::default())
            });
            totals.merge(&of_set);
            worst = worst.max(exit);
        }
        if self.session.report.errors() > 0 {
            worst = worst.max(Exit::Partial);
        }
        Ok((worst, totals))
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
