//! `logs`: what the services wrote since the last run, wherever it was rotated to in between.

mod settings; // which logs, what is counted, the limits
mod follow; // where a file is read on
mod reading; // files, in blocks of whole lines
mod facts; // what is known of a log besides its lines
mod container; // what containers wrote
mod lines; // what lines mean
mod tally; // what was counted
mod judge; // counts become findings
mod memory; // what the next run needs to know

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use jiff::ZonedDateTime;
use mail_common::report::chain;

use crate::context::Context;
use crate::finding::Finding;
use crate::probe::Probe;
use crate::state::Kept;
use crate::status::Status;

use facts::Facts;
use follow::{Bounds, FollowError, Opened};
use lines::Reader;
use memory::Memory;
use settings::{Place, Source};
use tally::Tally;

pub(crate) use settings::{EXAMPLE, Settings};

/// How long a log may be absent while it is rotated.
const ROTATION: Duration = Duration::from_millis(300);

/// A probe for each log.
pub(crate) fn probes(settings: &Settings, context: &Arc<Context>) -> Vec<Probe> {
    let shared = Arc::new(settings.clone());
    let mut probes = Vec::new();
    for source in &settings.source.0 {
        let (settings, context) = (Arc::clone(&shared), Arc::clone(context));
        let (source, within) = (source.clone(), context.timeout);
        probes.push(Probe::new("log", source.name.clone(), within, move || {
            check(&source, &settings, &context)
        }));
    }
    let is_known = |name: &str| settings.source.0.iter().any(|source| source.name == name);
    for pattern in settings
        .pattern
        .iter()
        .filter(|pattern| !is_known(&pattern.source))
    {
        let source = &pattern.source;
        let why = format!("no [[logs.source]] is called {source:?}, so it was looked for nowhere");
        probes.push(Probe::unknown("log-pattern", &pattern.name, why));
    }
    probes
}

/// Reads, judges, and only then keeps how far it came: what happened may be reported twice, but
/// not never.
fn check(source: &Source, settings: &Settings, context: &Context) -> Vec<Finding> {
    let begun = Instant::now();
    let now_seconds = context.now.timestamp().as_second();
    let (earlier, remark) = load(source, context);
    let mut tally = earlier.resume(source, settings, now_seconds);
    tally.set_hour(hour_text(&context.now));
    let mut memory = earlier.clone();
    // What is not read by then is left to the next run, which is better than no answer.
    let deadline = begun + context.timeout.mul_f64(0.7);
    let read = read(source, settings, context, deadline, &mut memory, &mut tally);
    let mut facts = match read {
        Ok(facts) => facts,
        Err(why) => return vec![unreadable(source, &earlier, &why)],
    };
    facts.remarks.extend(remark);
    facts.foreign_line = earlier.foreign_line(&tally, facts.read_bytes);
    let mut findings = vec![facts::judge(source, &facts)];
    // Of a log that holds something else, nothing is known of any topic.
    if facts.foreign_line.is_none() {
        findings.extend(judge::judge_topics(source, settings, &tally));
    }
    findings.extend(judge::judge_patterns(source, settings, &tally));
    memory.remember(source, settings, &tally, facts.foreign_line, now_seconds);
    // A probe that is late was reported as unknown, and its findings are lost: then nothing may be
    // kept.
    if begun.elapsed() < context.timeout.mul_f64(0.9)
        && let Err(error) = context.state.keep(&memory::name(source), &memory)
    {
        let log = &mut findings[0];
        log.status = log.status.max(Status::Warning);
        log.message = format!("{}; {}", log.message, chain(&error));
    }
    findings
}

/// The clock hour of lines without a time: that in which they are read.
fn hour_text(time: &ZonedDateTime) -> String {
    time.strftime("%Y-%m-%d %H").to_string()
}

/// What the last run kept, and a remark where that is damaged.
fn load(source: &Source, context: &Context) -> (Memory, Option<String>) {
    match context.state.load(&memory::name(source)) {
        Kept::There(memory) => (memory, None),
        Kept::Nothing => (Memory::default(), None),
        Kept::Damaged(why) => {
            let remark = format!("read from the start, since what was kept is damaged: {why}");
            (Memory::default(), Some(remark))
        }
    }
}

fn read(
    source: &Source,
    settings: &Settings,
    context: &Context,
    deadline: Instant,
    memory: &mut Memory,
    tally: &mut Tally,
) -> Result<Facts, String> {
    let reader = Reader::new(source, settings).map_err(|error| error.to_string())?;
    let bounds = Bounds {
        max_bytes: settings.max_bytes,
        first_look: settings.first_look,
    };
    match &source.place {
        Place::File(path) => read_file(path, bounds, deadline, &reader, memory, tally)
            .map_err(|error| error.to_string()),
        Place::Container(service) => {
            let max_bytes = settings.max_bytes;
            container::read(
                service, max_bytes, context, deadline, &reader, memory, tally,
            )
            .map_err(|error| error.to_string())
        }
    }
}

fn read_file(
    path: &Path,
    bounds: Bounds,
    deadline: Instant,
    reader: &Reader<'_>,
    memory: &mut Memory,
    tally: &mut Tally,
) -> Result<Facts, FollowError> {
    let log = open_while_rotated(path)?;
    let (size, modified) = (log.size, log.modified);
    let course = follow::follow(log, memory.position.as_ref(), bounds)?;
    let read = reading::read(course, deadline, |block| reader.read(block, tally))?;
    memory.position = read.position.or(memory.position.take());
    Ok(Facts {
        read_bytes: read.bytes,
        size: Some(size),
        silent: SystemTime::now().duration_since(modified).ok(),
        notes: read.notes,
        ..Facts::default()
    })
}

/// Between its two steps, a rotation leaves no file of that name.
fn open_while_rotated(path: &Path) -> Result<Opened, FollowError> {
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
                "{} was there at the last run and is gone; have its service open it again \
                 (postfix reload, doveadm log reopen, nginx -s reopen)",
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
