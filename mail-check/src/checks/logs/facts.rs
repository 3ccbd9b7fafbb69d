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
    let mut status = Status::Ok;
    let mut message = format!("{} were read", human_size(facts.read_bytes));
    for (worst, text) in sentences(source, facts) {
        status = status.max(worst);
        message = format!("{message}; {text}");
    }
    let finding = Finding::new(status, "log", &source.name, message);
    match facts.size {
        Some(size) => {
            let limit = Ceiling::warning(source.max_size as f64);
            finding.under(size as f64, "bytes", limit)
        }
        None => finding,
    }
}

/// What there is to know of a log, each with the status that it alone would give.
fn sentences(source: &Source, facts: &Facts) -> Vec<(Status, String)> {
    let mut sentences: Vec<_> = facts
        .notes
        .iter()
        .map(|note| (status_of(note), sentence(note)))
        .collect();
    if let Some(line) = &facts.foreign_line {
        let kind = source.kind.name();
        let text = format!(
            "no line of it is of kind {kind}, so nothing is known of it: {line:?}; \
             see `kind` and `file` in [[logs.source]]"
        );
        sentences.push((Status::Unknown, text));
    }
    let remarks = facts.remarks.iter().cloned();
    sentences.extend(remarks.map(|remark| (Status::Ok, remark)));
    if let (Some(limit), Some(silent)) = (source.silent, facts.silent)
        && silent >= limit.duration()
    {
        let since = Span::seconds(silent.as_secs());
        let text = format!(
            "nothing was written to it for {since}; see that its service runs and logs there"
        );
        sentences.push((Status::Warning, text));
    }
    let size = facts.size.unwrap_or_default();
    if size >= source.max_size {
        let size = human_size(size);
        let text = format!("it has grown to {size} and was not rotated; see /etc/logrotate.d");
        sentences.push((Status::Warning, text));
    }
    sentences
}

/// What was not read is unknown.
fn status_of(note: &Note) -> Status {
    match note {
        Note::FirstLook { .. } | Note::Rotated { .. } => Status::Ok,
        Note::Compressed { .. }
        | Note::Lost
        | Note::TooMuch { .. }
        | Note::Cut
        | Note::Unfinished { .. } => Status::Unknown,
    }
}

fn sentence(note: &Note) -> String {
    match note {
        Note::FirstLook { bytes } => {
            let bytes = human_size(*bytes);
            format!("this was the first look, at the last {bytes} only")
        }
        Note::Rotated { old } => {
            let old = old.display();
            format!("it was rotated, and the rest of {old} was read too")
        }
        Note::Compressed { old } => format!(
            "it was rotated, and the rest of {} is not read: it is compressed; \
             let logrotate delay compression (delaycompress)",
            old.display()
        ),
        Note::Lost => "it was emptied or replaced, and the old file is not found: \
                       what was written to it since the last run is not read"
            .to_owned(),
        Note::TooMuch { skipped_bytes } => format!(
            "{} before that are not read; run more often, or raise max_bytes",
            human_size(*skipped_bytes)
        ),
        Note::Cut => "the newest lines are not read yet; the next run reads on; \
                      run more often, or raise max_bytes"
            .to_owned(),
        Note::Unfinished { left_bytes } => format!(
            "{} are not read yet for lack of time; the next run reads on; raise --timeout",
            human_size(*left_bytes)
        ),
    }
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
