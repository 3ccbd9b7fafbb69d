//! Single messages of a run: found, shown, and added to where they belong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use mail_common::checksum::Sha256;
use mail_common::clearance::RefusedMember;
use mail_common::exit::Exit;
use mail_common::failure::Failure;
use mail_common::interrupt::Interrupt;
use mail_common::relpath::RelPath;
use mail_common::report::Unit;
use mail_common::set::{Component, Inventory, SetFile};
use mail_common::tool::{Session, Totals, human_size};
use mail_common::upstream::Upstream;

use crate::error::{Error, exit_of};
use crate::find::{self, Unread};
use crate::left_out::{Reason, judge};
use crate::messages::{
    self, Amount, Candidate, Disposition, Found, Known, Many, Outcome, Problem, Query, Selection,
    Work,
};
use crate::plan::Plan;
use crate::restored::{Ledger, Mode};
use crate::setup::{Clearance, Destination, Work as Wanted};

/// From which set messages are taken, and what is done with them.
pub(crate) struct Job<'a> {
    pub(crate) inventory: &'a Inventory,
    pub(crate) work: Wanted,
    pub(crate) destination: &'a Destination,
    /// The live mail root.
    pub(crate) mail: &'a Path,
    pub(crate) clearance: Clearance,
    /// The name of the set, and the contents that the messages must have, where these are known.
    pub(crate) expected: Option<(&'a str, &'a BTreeMap<RelPath, Sha256>)>,
}

impl<'a> Job<'a> {
    /// What a plan says.
    pub(crate) fn of(plan: &'a Plan) -> Self {
        Self {
            inventory: &plan.inventory,
            work: plan.work,
            destination: &plan.destination,
            mail: &plan.places.mail,
            clearance: plan.clearance,
            expected: None,
        }
    }
}

/// How the work with one set ended.
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) totals: Totals,
    /// What the set could not give.
    pub(crate) unread: Vec<Unread>,
    /// Nothing more can be written.
    pub(crate) is_full: bool,
}

/// Restores what `query` means, or shows it: lot by lot where it is much. `known` is kept from set
/// to set.
pub(crate) fn restore(
    job: &Job<'_>,
    query: &Query,
    upstream: &Upstream,
    session: &Session,
    interrupt: &Interrupt,
    now: &ZonedDateTime,
    known: &mut Known,
) -> Result<Ended, Error> {
    let progress = session.report.progress("messages", Unit::Bytes, None);
    let advance = |bytes| progress.advance(bytes);
    let stop = interrupt.flag();
    known.begin();
    let mut run = Run {
        job,
        session,
        interrupt,
        work: Work {
            stop: &stop,
            progress: &advance,
        },
        now: now.timestamp(),
        known,
        left_out: Vec::new(),
        done: Done::default(),
    };
    match run.find(query)? {
        None => {}
        Some(Amount::Few(found)) => {
            let selection = run.chosen(found, query)?;
            let candidates = selection.candidates.iter();
            let archives = candidates.map(|candidate| candidate.file.place.path());
            run.check_clean(&archives.collect(), upstream)?;
            run.take(selection)?;
        }
        Some(Amount::Many(many)) => {
            run.check_clean(&many.archives, upstream)?;
            run.take_all(&many, query);
        }
    }
    run.conclude()
}

/// How a run exits that `error` stopped. Where it has added messages, a part was done.
pub(crate) fn stopped(error: &Error, totals: &Totals) -> Exit {
    match error {
        Error::MessagesLeft { .. } | Error::Full if totals.get("messages") > 0 => Exit::Partial,
        error => exit_of(error.kind()),
    }
}

/// Says what was added; the last word of a run that restores messages.
pub(crate) fn summarise(root: &Path, totals: &Totals, session: &Session) {
    let summary = format!(
        "{} messages added below {}, {} were there already",
        totals.get("messages"),
        root.display(),
        totals.get("present")
    );
    session.sum_up(summary);
}

/// What was done so far.
#[derive(Default)]
struct Done {
    totals: Totals,
    /// Messages that were looked at, and those of them that were not reached.
    seen: usize,
    left: usize,
    /// Nothing more can be written.
    is_full: bool,
    unread: Vec<Unread>,
}

struct Run<'a> {
    job: &'a Job<'a>,
    session: &'a Session,
    interrupt: &'a Interrupt,
    work: Work<'a>,
    /// For the names of messages.
    now: Timestamp,
    known: &'a mut Known,
    /// Messages that are left out, since a scanner did not find them clean.
    left_out: Vec<Reason>,
    done: Done,
}

impl Run<'_> {
    /// What `query` means; `None` where nothing of what was found before is there, which was said.
    fn find(&mut self, query: &Query) -> Result<Option<Amount>, Error> {
        let found = messages::find_some(self.job.inventory, query, &self.work);
        match (found, self.job.expected) {
            (Err(messages::Error::NoMatch { .. }), Some((set, expected))) => {
                self.name_absent(set, expected.iter().filter(|one| query.wants_path(one.0)));
                Ok(None)
            }
            (found, _) => Ok(Some(found?)),
        }
    }

    /// What was found, if it is clear what is meant.
    fn chosen(&mut self, found: Found, query: &Query) -> Result<Selection, Error> {
        let mut selection = match found {
            Found::Chosen(selection) => selection,
            Found::Ambiguous(mut ambiguous) => {
                self.list(ambiguous.inspectable());
                return Err(Error::Ambiguous {
                    message_ids: ambiguous.message_ids,
                });
            }
        };
        for unread in &selection.unread {
            self.record(None, &unread.error);
        }
        if !selection.unsearched.is_empty() {
            self.session.report.warning(selection.unsearched);
        }
        self.keep_expected(&mut selection, query);
        Ok(selection)
    }

    /// Takes lot after lot. What was done is done: what fails is recorded, and ends it.
    fn take_all(&mut self, many: &Many, query: &Query) {
        for lot in &many.lots {
            if self.done.is_full || self.interrupt.check().is_err() {
                break;
            }
            let query = query.of_lot(lot);
            let found = messages::find(self.job.inventory, &query, &self.work);
            let taken = found
                .map_err(Error::from)
                .and_then(|found| self.chosen(found, &query))
                .and_then(|selection| self.take(selection));
            if let Err(error) = taken {
                self.record(None, &error);
                break;
            }
        }
        self.done.left += many.messages.saturating_sub(self.done.seen);
    }

    /// Restores or shows these messages.
    fn take(&mut self, mut selection: Selection) -> Result<(), Error> {
        let job = self.job;
        self.done.seen += selection.candidates.len();
        self.leave_out(&mut selection);
        if job.work == Wanted::Show {
            return self.show(&mut selection);
        }
        let outcome = match job.destination {
            Destination::Live => {
                messages::deliver_knowing(&selection, job.mail, self.now, self.known, &self.work)?
            }
            Destination::Directory(directory) => {
                messages::write_to(&selection, directory, &self.work)?
            }
        };
        self.note_unread(&selection, &outcome.failures);
        self.report(&outcome);
        Ok(())
    }

    /// Notes which messages another set may have whole.
    fn note_unread(&mut self, selection: &Selection, problems: &[Problem]) {
        let unread = problems.iter().filter(|one| one.error.is_of_set());
        let paths: BTreeSet<&RelPath> = unread.filter_map(|one| one.path.as_ref()).collect();
        let files = selection.candidates.iter().map(|one| &one.file);
        for file in files.filter(|file| paths.contains(&file.path)) {
            self.done.unread.push(Unread {
                path: file.path.clone(),
                sha256: file.sha256,
                file: Some(file.place.path()),
            });
        }
    }

    /// Names what is not what was found: the set was exchanged, or records speak of another.
    fn keep_expected(&mut self, selection: &mut Selection, query: &Query) {
        let Some((set, expected)) = self.job.expected else {
            return;
        };
        let is_it = |candidate: &Candidate| {
            expected.get(&candidate.file.path) == Some(&candidate.file.sha256)
        };
        selection.candidates.retain(is_it);
        let found = selection.candidates.iter();
        let found: BTreeSet<&RelPath> = found.map(|candidate| &candidate.file.path).collect();
        let meant = expected.iter().filter(|one| query.wants_path(one.0));
        let absent: Vec<_> = meant.filter(|one| !found.contains(one.0)).collect();
        self.name_absent(set, absent.into_iter());
    }

    /// Names what of a set is not there, and notes it: another one may have it.
    fn name_absent<'p>(
        &mut self,
        set: &str,
        expected: impl Iterator<Item = (&'p RelPath, &'p Sha256)>,
    ) {
        for (path, sha256) in expected {
            let (path, set) = (path.clone(), set.to_owned());
            self.done.unread.push(Unread {
                path: path.clone(),
                sha256: *sha256,
                file: None,
            });
            self.record(None, &find::Error::NotThere { path, set });
        }
    }

    /// Every segment that holds a message must have been found clean, where that is asked for, but
    /// for messages that are left out.
    fn check_clean(&mut self, paths: &BTreeSet<RelPath>, upstream: &Upstream) -> Result<(), Error> {
        let Clearance::Scan(leave_out) = self.job.clearance else {
            return Ok(());
        };
        let inventory = self.job.inventory;
        let files: Vec<&SetFile> = paths
            .iter()
            .filter_map(|path| inventory.file(path))
            .collect();
        let judged = judge(leave_out, upstream, &inventory.set, files.iter().copied());
        for refusal in &judged.refused {
            self.record(Some(refusal.path()), refusal);
        }
        // A segment that the set does not know has no verdict either.
        match judged.refused.len() + paths.len() - files.len() {
            0 => {
                self.left_out = judged.reasons;
                Ok(())
            }
            refused => Err(Error::NotClean {
                refused: refused as u64,
            }),
        }
    }

    /// Takes out of the selection what was not found clean, and names it.
    fn leave_out(&self, selection: &mut Selection) {
        for reason in &self.left_out {
            let RefusedMember { member, refusal } = &reason.member;
            let before = selection.candidates.len();
            // A flag that was set since gave it another name than its archive has.
            selection.candidates.retain(|Candidate { file, .. }| {
                let is_named = file.path == *member || file.stored == *member;
                !is_named || file.place.path() != *refusal.path()
            });
            if selection.candidates.len() < before {
                self.record(Some(member), reason);
            }
        }
    }

    /// Lists what was found, and says what is there already; nothing is written.
    fn show(&mut self, selection: &mut Selection) -> Result<(), Error> {
        let mut totals = self.list(selection);
        if *self.job.destination == Destination::Live {
            let root = self.job.mail;
            let preview = messages::preview_knowing(selection, root, self.known, &self.work)?;
            self.report_problems(&preview);
            for restored in &preview.restored {
                if restored.disposition == Disposition::Present {
                    self.session.report.summary(format!(
                        "{} is there already: {}",
                        restored.path, restored.target
                    ));
                    totals.add("present", 1);
                }
            }
        }
        self.done.totals.merge(&totals);
        self.interrupt.check()?;
        Ok(())
    }

    /// Reads what was found and lists it, for who has to choose.
    fn list(&mut self, selection: &mut Selection) -> Totals {
        let problems = messages::inspect(selection, &self.work);
        for problem in &problems {
            self.record(problem.path.as_ref(), &problem.error);
        }
        self.note_unread(selection, &problems);
        let root = self.target_root();
        let mut ledger = Ledger::new(self.session, Mode::DryRun);
        for candidate in &selection.candidates {
            self.session.report.summary(sentence(candidate));
            let (file, mailbox) = (&candidate.file, candidate.mailbox.as_path());
            ledger.add_message(&file.path, &root.join(mailbox), file.size);
        }
        ledger.totals
    }

    /// Records what was done. Each message that was not reached counts, whatever kept the run from
    /// it.
    fn report(&mut self, outcome: &Outcome) {
        let root = self.target_root();
        let mut ledger = Ledger::new(self.session, Mode::Apply);
        for restored in &outcome.restored {
            let target = root.join(restored.target.as_path());
            match restored.disposition {
                Disposition::Added => ledger.add_message(&restored.path, &target, restored.size),
                Disposition::Present => {
                    self.session.report.info(format!(
                        "{} is there already: {}",
                        restored.path, restored.target
                    ));
                    ledger.totals.add("present", 1);
                }
            }
        }
        self.done.totals.merge(&ledger.totals);
        self.report_problems(outcome);
        self.done.left += outcome.left;
        let mut failures = outcome.failures.iter();
        self.done.is_full |=
            failures.any(|failure| matches!(failure.error, messages::Error::Write { .. }));
    }

    fn conclude(self) -> Result<Ended, Error> {
        let exit = match self.job.work {
            Wanted::Show => {
                self.interrupt.check()?;
                self.exit_of_answer(Exit::Bad)
            }
            _ if self.job.expected.is_none() => {
                summarise(&self.target_root(), &self.done.totals, self.session);
                self.exit()
            }
            _ => self.exit(),
        };
        let done = self.done;
        Ok(Ended {
            exit,
            totals: done.totals,
            unread: done.unread,
            is_full: done.is_full,
        })
    }

    fn exit_of_answer(&self, bad: Exit) -> Exit {
        if self.session.report.errors() == 0 {
            Exit::Done
        } else {
            bad
        }
    }

    /// What was not reached is said. Where messages were added, not everything is as it was.
    fn exit(&self) -> Exit {
        let left = self.done.left;
        if left == 0 {
            return self.exit_of_answer(Exit::Partial);
        }
        let error = if self.interrupt.check().is_err() {
            Error::MessagesInterrupted { left }
        } else {
            Error::MessagesLeft { left }
        };
        self.session.fail(None, None, &error);
        stopped(&error, &self.done.totals)
    }

    fn report_problems(&self, outcome: &Outcome) {
        for warning in &outcome.warnings {
            self.session.report.warning(warning);
        }
        for problem in &outcome.failures {
            self.record(problem.path.as_ref(), &problem.error);
        }
    }

    fn record(&self, path: Option<&RelPath>, failure: &dyn Failure) {
        self.session.fail(Some(Component::Mailboxes), path, failure);
    }

    /// What the targets of messages are relative to.
    fn target_root(&self) -> PathBuf {
        target_root(self.job.destination, self.job.mail)
    }
}

/// What the targets of messages are relative to.
pub(crate) fn target_root(destination: &Destination, mail: &Path) -> PathBuf {
    match destination {
        Destination::Live => mail.to_owned(),
        Destination::Directory(directory) => directory.clone(),
    }
}

/// A message for who has to choose.
fn sentence(candidate: &Candidate) -> String {
    let file = &candidate.file;
    let time = Timestamp::from_nanosecond(file.mtime_ns.into()).unwrap_or_default();
    let time = time.to_zoned_datetime(TimeZone::system()).strftime("%F %T");
    let (address, folder, size) = (
        candidate.address(),
        candidate.folder(),
        human_size(file.size),
    );
    let id = candidate.message_id.as_deref().unwrap_or_default();
    let id = if id.is_empty() {
        String::new()
    } else {
        format!(" <{id}>")
    };
    let subject = candidate.subject.as_deref().unwrap_or("(no subject)");
    format!(
        "{address} {folder} {time} {size}{id} {subject}: {}",
        file.path
    )
}
