//! What the container of a service wrote, since the last line that was read.
//!
//! Each line has the daemon's time stamp; that of the last one is where the next run reads on.

use std::time::{Duration, Instant};

use jiff::SignedDuration;

use super::facts::Facts;
use super::follow::Note;
use super::lines::Reader;
use super::memory::{LastLine, Memory};
use super::tally::Tally;
use crate::context::Context;
use crate::docker::{DockerError, LogLine};

/// So much of the past is looked at on the first run.
const FIRST_LOOK: SignedDuration = SignedDuration::from_hours(1);

/// So much is held in memory at once.
const PART_BYTES: usize = 8 << 20;

const ANOTHER: &str = "the container is another than at the last run; \
                       what the old one wrote at its end is gone with it";

/// Reads the container of `service`.
pub(super) fn read(
    service: &str,
    max_bytes: u64,
    context: &Context,
    deadline: Instant,
    reader: &Reader<'_>,
    memory: &mut Memory,
    tally: &mut Tally,
) -> Result<Facts, DockerError> {
    let left = deadline
        .saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1));
    let docker = context.project.connect(left)?;
    let container = docker.service(&context.project.name()?, service)?;
    let earlier = memory.container.take();
    let now = context.now.timestamp();
    let first_look = now.saturating_sub(FIRST_LOOK).unwrap_or(now);
    let mut since = earlier
        .as_ref()
        .and_then(LastLine::time)
        .unwrap_or(first_look);
    let mut facts = Facts::default();
    loop {
        let logs = docker.logs(&container.id, since, PART_BYTES)?;
        for lines in logs.lines.chunk_by(|a, b| hour_of(a) == hour_of(b)) {
            let block = block_of(lines);
            tally.set_hour(hour_of(&lines[0]));
            reader.read(&block, tally);
            facts.read_bytes += block.len() as u64;
        }
        since = logs.lines.last().map_or(since, |line| line.time);
        if !logs.cut || logs.lines.is_empty() {
            break;
        }
        if facts.read_bytes >= max_bytes || Instant::now() >= deadline {
            facts.notes.push(Note::Cut);
            break;
        }
    }
    match earlier {
        None => facts.notes.push(Note::FirstLook {
            bytes: facts.read_bytes,
        }),
        Some(last) if last.id != container.id => facts.remarks.push(ANOTHER.to_owned()),
        Some(_) => {}
    }
    memory.container = Some(LastLine::new(container.id, since));
    Ok(facts)
}

/// The clock hour in which the daemon took a line, for those that have no time of their own.
fn hour_of(line: &LogLine) -> String {
    line.time.strftime("%Y-%m-%dT%H").to_string()
}

fn block_of(lines: &[LogLine]) -> Vec<u8> {
    let mut block = Vec::new();
    for line in lines {
        block.extend_from_slice(line.text.as_ref());
        block.push(b'\n');
    }
    block
}
