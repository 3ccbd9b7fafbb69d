//! `logs`: what the services wrote since the last run, wherever it was rotated to in between.

mod settings; // which logs, what is counted, the limits
mod follow; // where a file is read on
mod reading; // files, in blocks of whole lines
mod container; // what containers wrote
mod lines; // what lines mean
mod tally; // what was counted
mod judge; // counts become findings
mod memory; // what the next run needs to know

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use mail_common::tool::human_size;

use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::probe::Probe;
use crate::span::Span;
use crate::state::Kept;
use crate::status::{Status, worse};

use follow::{Bounds, FollowError, Note, Opened};
use lines::Reader;
use memory::Memory;
use settings::{Place, Source};
use tally::Tally;

pub(crate) use settings::{EXAMPLE, Settings};

/// How long a log may be absent while it is rotated.
const ROTATION: Duration = Duration::from_millis(300);

/// A probe for each log.
pub(crate) fn probes(context: &Arc<Context>) -> Vec<Probe> {
    let settings = &context.settings.logs;
    let sources = settings.source.0.iter().map(|source| {
        let (context, source) = (Arc::clone(context), source.clone());
        Probe::new("log", source.name.clone(), context.timeout, move || {
            check(&source, &context)
        })
    });
    let mut probes: Vec<Probe> = sources.collect();
    for pattern in &settings.pattern {
        if !settings
            .source
            .0
            .iter()
            .any(|source| source.name == pattern.source)
        {
            let (target, source, within) = (
                pattern.name.clone(),
                pattern.source.clone(),
                context.timeout,
            );
            probes.push(Probe::new(
                "log-pattern",
                target.clone(),
                within,
                move || {
                    let message = format!(
                        "no [[logs.source]] is called {source:?}, so it was looked for nowhere"
                    );
                    vec![Finding::unknown("log-pattern", target, message)]
                },
            ));
        }
    }
    probes
}

/// What is known of a log besides its lines.
#[derive(Debug, Default)]
struct Facts {
    read_bytes: u64,
    /// Of the file; a container's log is the daemon's to rotate.
    size: Option<u64>,
    silent: Option<Duration>,
    notes: Vec<Note>,
    /// Sentences on what was not as it should be, that do not change the status.
    remarks: Vec<String>,
}

/// Reads, judges, and only then keeps how far it came: what happened may be told twice, but not
/// never.
fn check(source: &Source, context: &Context) -> Vec<Finding> {
    // What is not read by then is left to the next run, which is better than no answer.
    let begun = Instant::now();
    let deadline = begun + context.timeout.mul_f64(0.7);
    let settings = &context.settings.logs;
    let (earlier, remark) = match context.state.load::<Memory>(&memory::name(source)) {
        Kept::There(memory) => (memory, None),
        Kept::Nothing => (Memory::default(), None),
        Kept::Damaged(why) => (
            Memory::default(),
            Some(format!("begun anew, since what was kept is damaged: {why}")),
        ),
    };
    let now_seconds = context.now.timestamp().as_second();
    let mut tally = earlier.resume(source, settings, now_seconds);
    let mut memory = earlier.clone();
    let read = Reader::new(source, settings)
        .map_err(|error| error.to_string())
        .and_then(|reader| match &source.place {
            Place::File(_) => {
                read_file(source, context, deadline, &reader, &mut memory, &mut tally)
                    .map_err(|error| error.to_string())
            }
            Place::Container(service) => {
                container::read(service, context, deadline, &reader, &mut memory, &mut tally)
                    .map_err(|error| error.to_string())
            }
        });
    let mut facts = match read {
        Ok(facts) => facts,
        Err(why) => return vec![unreadable(source, &earlier, &why)],
    };
    facts.remarks.extend(remark);
    let mut findings = vec![judge_log(source, &facts)];
    findings.extend(judge::judge(source, settings, &tally));
    memory.remember(source, settings, &tally, now_seconds);
    // A probe that is late was told as unknown, and its findings are lost: then nothing may be
    // kept.
    if begun.elapsed() < context.timeout.mul_f64(0.9)
        && let Err(error) = context.state.keep(&memory::name(source), &memory)
    {
        let log = &mut findings[0];
        log.status = worse(log.status, Status::Warning);
        log.message = format!("{}; {}", log.message, mail_common::report::chain(&error));
    }
    findings
}

fn read_file(
    source: &Source,
    context: &Context,
    deadline: Instant,
    reader: &Reader<'_>,
    memory: &mut Memory,
    tally: &mut Tally,
) -> Result<Facts, FollowError> {
    let Place::File(path) = &source.place else {
        return Err(FollowError::NotAFile);
    };
    let settings = &context.settings.logs;
    let bounds = Bounds {
        max_bytes: settings.max_bytes,
        first_look: settings.first_look,
    };
    let log = open_while_rotated(path)?;
    let (size, silent) = (
        Some(log.size),
        SystemTime::now().duration_since(log.modified).ok(),
    );
    let course = follow::follow(log, memory.position.as_ref(), bounds)?;
    let read = reading::read(course, deadline, |block| reader.read(block, tally))?;
    memory.position = read.position.or(memory.position.take());
    Ok(Facts {
        read_bytes: read.bytes,
        size,
        silent,
        notes: read.notes,
        remarks: Vec::new(),
    })
}

/// Between its two steps, a rotation leaves no file of that name.
fn open_while_rotated(path: &std::path::Path) -> Result<Opened, FollowError> {
    match follow::open(path) {
        Err(FollowError::Absent) => {
            thread::sleep(ROTATION);
            follow::open(path)
        }
        opened => opened,
    }
}

/// A log that was there and is gone is critical: what is written now goes where nobody looks.
fn unreadable(source: &Source, earlier: &Memory, why: &str) -> Finding {
    let was_there = earlier.position.is_some()
        && matches!(&source.place, Place::File(path) if matches!(path.try_exists(), Ok(false)));
    match (was_there, &source.place) {
        (true, Place::File(path)) => Finding::critical(
            "log",
            &source.name,
            format!(
                "{} was there at the last run and is gone; have its service open it again (postfix reload, doveadm log reopen, nginx -s reopen)",
                path.display()
            ),
        ),
        (_, Place::File(path)) => {
            Finding::unknown("log", &source.name, format!("{}: {why}", path.display()))
        }
        (_, Place::Container(service)) => {
            Finding::unknown("log", &source.name, format!("{service}: {why}"))
        }
    }
}

fn judge_log(source: &Source, facts: &Facts) -> Finding {
    let mut message = format!("{} were read", human_size(facts.read_bytes));
    let mut status = Status::Ok;
    let mut add = |worst: Status, text: &str| {
        status = worse(status, worst);
        message = format!("{message}; {text}");
    };
    for note in &facts.notes {
        let (worst, text) = told(note);
        add(worst, &text);
    }
    facts
        .remarks
        .iter()
        .for_each(|remark| add(Status::Ok, remark));
    if let (Some(limit), Some(silent)) = (source.silent, facts.silent)
        && silent >= limit.duration()
    {
        let since = Span::seconds(silent.as_secs());
        add(
            Status::Warning,
            &format!(
                "nothing was written to it for {since}; see that its service runs and logs there"
            ),
        );
    }
    let size = facts.size.unwrap_or_default();
    if size >= source.max_size {
        add(
            Status::Warning,
            &format!(
                "it has grown to {} and was not rotated; see /etc/logrotate.d",
                human_size(size)
            ),
        );
    }
    let finding = Finding::new(status, "log", &source.name, message);
    match facts.size {
        Some(size) => finding.under(
            size as f64,
            "bytes",
            Ceiling::warning(source.max_size as f64),
        ),
        None => finding,
    }
}

/// What was not read is unknown; where nothing is missing it is only said.
fn told(note: &Note) -> (Status, String) {
    match note {
        Note::FirstLook { bytes } => (
            Status::Ok,
            format!(
                "this was the first look, at the last {} only",
                human_size(*bytes)
            ),
        ),
        Note::Rotated { old } => (
            Status::Ok,
            format!(
                "it was rotated, and the rest of {} was read too",
                old.display()
            ),
        ),
        Note::Compressed { old } => {
            let next = "let logrotate delay compression (delaycompress)";
            (
                Status::Unknown,
                format!(
                    "it was rotated, and the rest of {} is not read: it is compressed; {next}",
                    old.display()
                ),
            )
        }
        Note::Lost => {
            let what = "it was emptied or replaced, and the old file is not found";
            (
                Status::Unknown,
                format!("{what}: what was written to it since the last run is not read"),
            )
        }
        Note::TooMuch { skipped_bytes } => {
            let next = "run more often, or raise max_bytes";
            (
                Status::Unknown,
                format!(
                    "{} before that are not read; {next}",
                    human_size(*skipped_bytes)
                ),
            )
        }
        Note::Cut => {
            let next = "the next run reads on; run more often, or raise max_bytes";
            (
                Status::Unknown,
                format!("the newest lines are not read yet; {next}"),
            )
        }
        Note::Unfinished { left_bytes } => {
            let next = "the next run reads on; raise --timeout";
            (
                Status::Unknown,
                format!(
                    "{} are not read yet for lack of time; {next}",
                    human_size(*left_bytes)
                ),
            )
        }
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
