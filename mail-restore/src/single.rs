//! Single messages of a run: found, shown, and added to where they belong.

use std::collections::BTreeSet;
use std::path::Path;

use glob::Pattern;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use mail_common::exit::Exit;
use mail_common::interrupt::Interrupt;
use mail_common::record::{Record, Restored};
use mail_common::relpath::{PathField, RelPath};
use mail_common::report::Unit;
use mail_common::set::{Component, SetFile};
use mail_common::tool::{Session, Totals, human_size};
use mail_common::upstream::Upstream;

use crate::args::Args;
use crate::messages::{
    self, Candidate, DeliveryError, Fate, Found, NotAMessageId, NotATime, NotAnAddress, Outcome,
    Query, Selection, Since, Work,
};
use crate::plan::{Clearance, Destination, Plan, Work as Wanted};
use mail_common::clearance::refusals;

/// Why a query cannot be understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    #[error(transparent)]
    Address(#[from] NotAnAddress),
    #[error(transparent)]
    MessageId(#[from] NotAMessageId),
    #[error(transparent)]
    Time(#[from] NotATime),
    #[error("no pattern: {text:?}")]
    Pattern {
        text: String,
        source: glob::PatternError,
    },
    #[error("single messages are verified as they are read; leave out --verify, or use --dry-run")]
    Verify,
    #[error(
        "--mailbox, --message-id, --since and --path are about mailboxes; leave out --component, or name mailboxes alone"
    )]
    OtherComponents,
}

/// Why no message was restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Find(#[from] messages::Error),
    #[error(transparent)]
    Deliver(#[from] DeliveryError),
    #[error(
        "{} does not say which message is meant: choose one of those listed by --mailbox or --path; nothing was restored",
        message_ids.join(", ")
    )]
    Ambiguous { message_ids: Vec<String> },
    #[error(
        "{refused} files are not known to be clean; nothing was restored: scan the set, or leave out --require-scan"
    )]
    NotClean { refused: usize },
    #[error(
        "interrupted by a signal: {left} messages were not reached; run again, and those that are there are left alone"
    )]
    Left { left: usize },
}

impl Error {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Ambiguous { .. } | Self::Find(messages::Error::NoMatch { .. }) => Exit::Bad,
            Self::Find(
                messages::Error::UnknownMailbox { .. } | messages::Error::NoMailboxes { .. },
            ) => Exit::Usage,
            _ => Exit::Unfinished,
        }
    }
}

/// The query of the command line; `None` where no single messages are asked for.
pub(crate) fn query(args: &Args, zone: &TimeZone) -> Result<Option<Query>, QueryError> {
    if !args.asks_for_messages() {
        return Ok(None);
    }
    if args.verify {
        return Err(QueryError::Verify);
    }
    if args
        .components()
        .is_some_and(|components| components != [Component::Mailboxes])
    {
        return Err(QueryError::OtherComponents);
    }
    let pattern = |text: &String| {
        Pattern::new(text).map_err(|source| QueryError::Pattern {
            text: text.clone(),
            source,
        })
    };
    Ok(Some(Query {
        mailboxes: args
            .mailbox
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, NotAnAddress>>()?,
        message_ids: args
            .message_id
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, NotAMessageId>>()?,
        since: args
            .since
            .as_ref()
            .map(|text| Since::parse(text, zone))
            .transpose()?,
        paths: args.path.iter().map(pattern).collect::<Result<_, _>>()?,
    }))
}

/// Restores what `query` means, or shows it.
pub(crate) fn restore(
    plan: &Plan,
    query: &Query,
    upstream: &Upstream,
    session: &Session,
    interrupt: &Interrupt,
    now: &ZonedDateTime,
) -> Result<(Exit, Totals), Error> {
    let progress = session.report.progress("messages", Unit::Bytes, None);
    let advance = |bytes| progress.advance(bytes);
    let stop = interrupt.flag();
    let work = Work {
        stop: &stop,
        progress: &advance,
    };
    let mut selection = match messages::find(&plan.inventory, query, &work)? {
        Found::Chosen(selection) => selection,
        Found::Ambiguous(mut ambiguous) => {
            list(ambiguous.inspectable(), plan, session, &work);
            return Err(Error::Ambiguous {
                message_ids: ambiguous.message_ids,
            });
        }
    };
    for unread in &selection.unread {
        session.fail(Some(Component::Mailboxes), None, &unread.error);
    }
    check_clean(plan, &selection, upstream, session)?;
    if plan.work == Wanted::Show {
        return show(&mut selection, plan, session, &work);
    }
    let outcome = match &plan.destination {
        Destination::Live => {
            messages::deliver(&selection, &plan.places.mail, now.timestamp(), &work)?
        }
        Destination::Directory(directory) => messages::write_to(&selection, directory, &work)?,
    };
    report(plan, session, &outcome)
}

/// Every segment that holds a message must have been found clean, where that is asked for.
fn check_clean(
    plan: &Plan,
    selection: &Selection,
    upstream: &Upstream,
    session: &Session,
) -> Result<(), Error> {
    if plan.clearance == Clearance::Digest {
        return Ok(());
    }
    let paths: BTreeSet<RelPath> = selection
        .candidates
        .iter()
        .map(|candidate| candidate.file.place.path())
        .collect();
    let files: Vec<&SetFile> = paths
        .iter()
        .filter_map(|path| plan.inventory.file(path))
        .collect();
    let refused = refusals(upstream, &plan.inventory.set, files.iter().copied());
    for refusal in &refused {
        session.record_failure(Some(Component::Mailboxes), Some(refusal.path()), refusal);
    }
    // A segment that the set does not know has no verdict either.
    match refused.len() + paths.len() - files.len() {
        0 => Ok(()),
        refused => Err(Error::NotClean { refused }),
    }
}

/// Lists what was found, and says what is there already; nothing is written.
fn show(
    selection: &mut Selection,
    plan: &Plan,
    session: &Session,
    work: &Work<'_>,
) -> Result<(Exit, Totals), Error> {
    let mut totals = list(selection, plan, session, work);
    if plan.destination == Destination::Live {
        let preview = messages::preview(selection, &plan.places.mail, work)?;
        preview
            .warnings
            .iter()
            .for_each(|warning| session.report.warning(warning));
        for failure in &preview.failures {
            session.fail(
                Some(Component::Mailboxes),
                failure.path.as_ref(),
                &failure.error,
            );
        }
        for restored in preview
            .restored
            .iter()
            .filter(|restored| restored.fate == Fate::Present)
        {
            session.report.summary(format!(
                "{} is there already: {}",
                restored.path, restored.target
            ));
            totals.add("present", 1);
        }
    }
    let exit = if session.report.errors() == 0 {
        Exit::Done
    } else {
        Exit::Bad
    };
    Ok((exit, totals))
}

/// Reads what was found and lists it, for who has to choose.
fn list(selection: &mut Selection, plan: &Plan, session: &Session, work: &Work<'_>) -> Totals {
    for failure in messages::inspect(selection, work) {
        session.fail(
            Some(Component::Mailboxes),
            failure.path.as_ref(),
            &failure.error,
        );
    }
    let root = target_root(plan);
    let mut totals = Totals::default();
    for candidate in &selection.candidates {
        session.report.summary(sentence(candidate));
        let directory = root.join(candidate.mailbox.as_path());
        emit(
            session,
            &candidate.file.path,
            &directory,
            candidate.file.size,
            Dry::Run,
        );
        totals.add("messages", 1);
        totals.add("bytes", candidate.file.size);
    }
    totals
}

/// A message for who has to choose.
fn sentence(candidate: &Candidate) -> String {
    let time = Timestamp::from_nanosecond(candidate.file.mtime_ns.into()).unwrap_or_default();
    let time = time
        .to_zoned_datetime(TimeZone::system())
        .strftime("%F %T")
        .to_string();
    let (address, folder, size) = (
        candidate.address(),
        candidate.folder(),
        human_size(candidate.file.size),
    );
    let id = candidate
        .message_id
        .as_deref()
        .filter(|id| !id.is_empty())
        .map(|id| format!(" <{id}>"));
    let subject = candidate.subject.as_deref().unwrap_or("(no subject)");
    format!(
        "{address} {folder} {time} {size}{} {subject}: {}",
        id.unwrap_or_default(),
        candidate.file.path
    )
}

fn report(plan: &Plan, session: &Session, outcome: &Outcome) -> Result<(Exit, Totals), Error> {
    let root = target_root(plan);
    let mut totals = Totals::default();
    for restored in &outcome.restored {
        match restored.fate {
            Fate::Added => {
                emit(
                    session,
                    &restored.path,
                    &root.join(restored.target.as_path()),
                    restored.size,
                    Dry::No,
                );
                totals.add("messages", 1);
                totals.add("bytes", restored.size);
            }
            Fate::Present => {
                session.report.info(format!(
                    "{} is there already: {}",
                    restored.path, restored.target
                ));
                totals.add("present", 1);
            }
        }
    }
    outcome
        .warnings
        .iter()
        .for_each(|warning| session.report.warning(warning));
    for failure in &outcome.failures {
        session.fail(
            Some(Component::Mailboxes),
            failure.path.as_ref(),
            &failure.error,
        );
    }
    session.report.summary(format!(
        "{} messages added below {}, {} were there already",
        totals.get("messages"),
        root.display(),
        totals.get("present")
    ));
    match outcome.left {
        0 if session.report.errors() == 0 => Ok((Exit::Done, totals)),
        0 => Ok((Exit::Partial, totals)),
        left => Err(Error::Left { left }),
    }
}

/// What the targets of messages are relative to.
fn target_root(plan: &Plan) -> std::path::PathBuf {
    match &plan.destination {
        Destination::Live => plan.places.mail.clone(),
        Destination::Directory(directory) => directory.clone(),
    }
}

/// Whether it was done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dry {
    Run,
    No,
}

fn emit(session: &Session, path: &RelPath, target: &Path, bytes: u64, dry: Dry) {
    session.emit(&Record::Restored(Restored {
        component: Component::Mailboxes,
        path: PathField::from(path),
        target: target.to_string_lossy().into_owned(),
        bytes,
        entries: 1,
        dry_run: dry == Dry::Run,
    }));
}
