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
use crate::find;
use crate::left_out::{Judged, judge};
use crate::messages::{self, Candidate, Disposition, Found, Outcome, Query, Selection, Work};
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

/// Restores what `query` means, or shows it.
pub(crate) fn restore(
    job: &Job<'_>,
    query: &Query,
    upstream: &Upstream,
    session: &Session,
    interrupt: &Interrupt,
    now: &ZonedDateTime,
) -> Result<(Exit, Totals), Error> {
    let progress = session.report.progress("messages", Unit::Bytes, None);
    let advance = |bytes| progress.advance(bytes);
    let stop = interrupt.flag();
    let run = Run {
        job,
        session,
        interrupt,
        work: Work {
            stop: &stop,
            progress: &advance,
        },
    };
    let Some(mut selection) = run.select(query)? else {
        return Ok((Exit::Partial, Totals::default()));
    };
    let left_out = run.check_clean(&mut selection, upstream)?;
    if selection.candidates.is_empty() {
        return Ok((Exit::Partial, Totals::default()));
    }
    if job.work == Wanted::Show {
        return run.show(&mut selection);
    }
    let outcome = match job.destination {
        Destination::Live => messages::deliver(&selection, job.mail, now.timestamp(), &run.work)?,
        Destination::Directory(directory) => messages::write_to(&selection, directory, &run.work)?,
    };
    let (exit, totals) = run.report(&outcome);
    Ok((exit.max(left_out), totals))
}

struct Run<'a> {
    job: &'a Job<'a>,
    session: &'a Session,
    interrupt: &'a Interrupt,
    work: Work<'a>,
}

impl Run<'_> {
    /// What `query` means; `None` where nothing of what was found before is there.
    fn select(&self, query: &Query) -> Result<Option<Selection>, Error> {
        let found = messages::find(self.job.inventory, query, &self.work);
        let found = match (found, self.job.expected) {
            (Err(messages::Error::NoMatch { .. }), Some((set, expected))) => {
                self.name_absent(set, expected.keys());
                return Ok(None);
            }
            (found, _) => found?,
        };
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
        self.keep_expected(&mut selection);
        Ok(Some(selection))
    }

    /// Names what is not what was found: the set was exchanged, or records speak of another.
    fn keep_expected(&self, selection: &mut Selection) {
        let Some((set, expected)) = self.job.expected else {
            return;
        };
        let is_it = |candidate: &Candidate| {
            expected.get(&candidate.file.path) == Some(&candidate.file.sha256)
        };
        selection.candidates.retain(is_it);
        let found = selection.candidates.iter();
        let found: BTreeSet<&RelPath> = found.map(|candidate| &candidate.file.path).collect();
        self.name_absent(set, expected.keys().filter(|path| !found.contains(path)));
    }

    fn name_absent<'p>(&self, set: &str, paths: impl Iterator<Item = &'p RelPath>) {
        for path in paths {
            let (path, set) = (path.clone(), set.to_owned());
            self.record(None, &find::Error::NotThere { path, set });
        }
    }

    /// Every segment that holds a message must have been found clean, where that is asked for, but
    /// for messages that are left out: those leave the selection, and the exit says so.
    fn check_clean(&self, selection: &mut Selection, upstream: &Upstream) -> Result<Exit, Error> {
        let Clearance::Scan(leave_out) = self.job.clearance else {
            return Ok(Exit::Done);
        };
        let inventory = self.job.inventory;
        let candidates = selection.candidates.iter();
        let paths: BTreeSet<RelPath> = candidates
            .map(|candidate| candidate.file.place.path())
            .collect();
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
            0 => Ok(self.leave_out(selection, &judged)),
            refused => Err(Error::NotClean {
                refused: refused as u64,
            }),
        }
    }

    fn leave_out(&self, selection: &mut Selection, judged: &Judged) -> Exit {
        let mut exit = Exit::Done;
        for reason in &judged.reasons {
            let RefusedMember { member, refusal } = &reason.member;
            let before = selection.candidates.len();
            selection.candidates.retain(|candidate| {
                candidate.file.path != *member || candidate.file.place.path() != *refusal.path()
            });
            if selection.candidates.len() < before {
                self.record(Some(member), reason);
                exit = Exit::Partial;
            }
        }
        exit
    }

    /// Lists what was found, and says what is there already; nothing is written.
    fn show(&self, selection: &mut Selection) -> Result<(Exit, Totals), Error> {
        let mut totals = self.list(selection);
        if *self.job.destination == Destination::Live {
            let preview = messages::preview(selection, self.job.mail, &self.work)?;
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
        self.interrupt.check()?;
        let exit = if self.session.report.errors() == 0 {
            Exit::Done
        } else {
            Exit::Bad
        };
        Ok((exit, totals))
    }

    /// Reads what was found and lists it, for who has to choose.
    fn list(&self, selection: &mut Selection) -> Totals {
        for problem in messages::inspect(selection, &self.work) {
            self.record(problem.path.as_ref(), &problem.error);
        }
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
    fn report(&self, outcome: &Outcome) -> (Exit, Totals) {
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
        self.report_problems(outcome);
        let summary = format!(
            "{} messages added below {}, {} were there already",
            ledger.totals.get("messages"),
            root.display(),
            ledger.totals.get("present")
        );
        self.session.report.summary(&summary);
        self.session.has_done(summary);
        (self.exit(outcome.left), ledger.totals)
    }

    fn exit(&self, left: usize) -> Exit {
        if left == 0 {
            return if self.session.report.errors() == 0 {
                Exit::Done
            } else {
                Exit::Partial
            };
        }
        let error = if self.interrupt.check().is_err() {
            Error::MessagesInterrupted { left }
        } else {
            Error::MessagesLeft { left }
        };
        self.session.fail(None, None, &error);
        exit_of(error.kind())
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
        match self.job.destination {
            Destination::Live => self.job.mail.to_owned(),
            Destination::Directory(directory) => directory.clone(),
        }
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
