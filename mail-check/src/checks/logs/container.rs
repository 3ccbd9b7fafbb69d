//! What the container of a service wrote, since the last line that was read.
//!
//! Each line has the daemon's time stamp; that of the last one is where the next run reads on.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::Facts;
use super::follow::Note;
use super::lines::Reader;
use super::memory::{Memory, Told};
use super::tally::Tally;
use crate::context::Context;
use crate::docker::{ComposeError, Docker, DockerError, LogLine, project};

/// So much of the past is looked at on the first run, and when the container is another.
const FIRST_LOOK: SignedDuration = SignedDuration::from_hours(1);

/// Why a container cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ContainerError {
    #[error(transparent)]
    Docker(#[from] DockerError),
    #[error(transparent)]
    Compose(#[from] ComposeError),
}

/// Reads the container of `service`.
pub(super) fn read(
    service: &str,
    context: &Context,
    deadline: Instant,
    reader: &Reader<'_>,
    memory: &mut Memory,
    tally: &mut Tally,
) -> Result<Facts, ContainerError> {
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let docker = Docker::of(context, left)?;
    let container = docker.service(&project(context)?, service)?;
    let now = context.now.timestamp();
    let earlier = memory.container.as_ref().filter(|told| told.id == container.id).map(|told| told.time);
    let since = earlier.unwrap_or(now.saturating_sub(FIRST_LOOK).unwrap_or(now));
    let logs = docker.logs(&container.id, since, context.settings.logs.max_bytes)?;
    let block = block_of(&logs.lines);
    reader.read(&block, tally);
    let mut facts = Facts { read_bytes: block.len() as u64, ..Facts::default() };
    if earlier.is_none() {
        facts.notes.push(Note::FirstLook { bytes: facts.read_bytes });
    }
    if logs.cut {
        facts.notes.push(Note::Cut);
    }
    let time: Timestamp = logs.lines.last().map_or(since, |line| line.time);
    memory.container = Some(Told { id: container.id, time });
    Ok(facts)
}

fn block_of(lines: &[LogLine]) -> Vec<u8> {
    let mut block = Vec::new();
    for line in lines {
        block.extend_from_slice(line.text.as_ref());
        block.push(b'\n');
    }
    block
}
