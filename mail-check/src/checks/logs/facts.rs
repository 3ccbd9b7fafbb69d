//! What is known of a log besides its lines, and what that means.

use std::time::Duration;

use mail_common::tool::human_size;

use super::follow::Note;
use super::settings::Source;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::span::Span;
use crate::status::Status;

/// What is known of a log besides its lines.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) read_bytes: u64,
    /// Of the file; a container's log is the daemon's to rotate.
    pub(super) size: Option<u64>,
    pub(super) silent: Option<Duration>,
    pub(super) notes: Vec<Note>,
    /// A line of it, where none of its lines is of its kind.
    pub(super) foreign_line: Option<String>,
    /// Sentences on what was not as it should be, that do not change the status.
    pub(super) remarks: Vec<String>,
}

pub(super) fn judge(source: &Source, facts: &Facts) -> Finding {
    let mut message = format!("{} were read", human_size(facts.read_bytes));
    let mut status = Status::Ok;
    let mut add = |worst: Status, text: &str| {
        status = status.max(worst);
        message = format!("{message}; {text}");
    };
    for note in &facts.notes {
        let (worst, text) = described(note);
        add(worst, &text);
    }
    if let Some(line) = &facts.foreign_line {
        let kind = source.kind.name();
        add(
            Status::Unknown,
            &format!(
                "no line of it is of kind {kind}, so nothing is known of it: {line:?}; see `kind` and `file` in [[logs.source]]"
            ),
        );
    }
    for remark in &facts.remarks {
        add(Status::Ok, remark);
    }
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
fn described(note: &Note) -> (Status, String) {
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
#[path = "facts_tests.rs"]
mod tests;
