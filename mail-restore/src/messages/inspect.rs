//! Everything but the writing: each message is read and checked, and its subject becomes known.

use mail_common::message::{HEADER_MAX_BYTES, Header, text_of};

use super::candidate::{SavedFile, Selection};
use super::content::{check, read_all, unreadable};
use super::error::Problem;
use super::work::Work;

/// What the header of a message says.
struct Seen {
    message_id: Option<String>,
    subject: Option<String>,
}

/// Reads every message of `selection` and checks it against its digest; fills in Message-IDs and
/// subjects. Returns what could not be read. Stopped by a signal, it leaves the rest as it was.
pub fn inspect(selection: &mut Selection, work: &Work<'_>) -> Vec<Problem> {
    let files: Vec<&SavedFile> = selection
        .candidates
        .iter()
        .map(|candidate| &candidate.file)
        .collect();
    let answers = read_all(
        &selection.set,
        &files,
        || work.is_stopped(),
        |number, content| {
            let file = files[number];
            check(content?, HEADER_MAX_BYTES, work)
                .map(|start| seen(&start))
                .map_err(unreadable(file))
        },
    );
    let mut failures = Vec::new();
    for (candidate, answer) in selection.candidates.iter_mut().zip(answers) {
        match answer {
            Some(Ok(seen)) => {
                candidate.message_id = seen.message_id.or(candidate.message_id.take());
                candidate.subject = seen.subject;
            }
            Some(Err(error)) => {
                failures.push(Problem {
                    mailbox: candidate.address(),
                    path: Some(candidate.file.path.clone()),
                    error,
                });
            }
            None => {}
        }
    }
    failures
}

/// What cannot be unpacked shows nothing: its content was as it was saved.
fn seen(start: &[u8]) -> Seen {
    let text = text_of(start).ok().flatten();
    let header = text.and_then(|text| Header::read(text).ok());
    let head = header.as_ref().map(Header::head);
    Seen {
        message_id: head.and_then(|head| head.message_id()),
        subject: head.and_then(|head| head.text("Subject")),
    }
}
