//! A packed file whose pieces are scanned side by side: its verdict comes once it is read whole and
//! every piece has one.

use std::sync::{Mutex, PoisonError};

use mail_common::checksum::Sha256;

use crate::cache::Known;
use crate::finding::Finding;
use crate::item::Item;
use crate::mailbox::Standing;
use crate::message::Envelope;
use crate::packing::Packing;
use crate::run::Run;
use crate::verdict::Verdict;

/// A file that is being scanned in pieces.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) item: Item,
    pub(crate) packing: Packing,
    state: Mutex<State>,
}

/// What a piece is of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The member of the archive; `None` where the file is one content.
    pub(crate) member: Option<Vec<u8>>,
    /// Its name in the archive, where the mailbox had another for it.
    pub(crate) stored: Option<Vec<u8>>,
    pub(crate) standing: Standing,
    /// Which of the windows of a content it is; `None` where it is whole.
    pub(crate) window: Option<Window>,
}

/// A part of a content that is too large for one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug, Default)]
struct State {
    pending: u64,
    pieces: u64,
    windows: u64,
    infected: u64,
    unscanned: u64,
    noted: u64,
    /// Whether a member was infected or not scanned.
    has_bad_member: bool,
    /// Pieces of members that were gone from the mailbox, and are not clean.
    gone_unclean: u64,
    /// The first signature that was found, and where it lies in a file that is one content.
    signature: Option<(String, Option<String>)>,
    first_reason: Option<String>,
    first_note: Option<String>,
    envelope: Option<Envelope>,
    /// What the reader of the file came to.
    read: Option<Result<Sha256, String>>,
}

impl Part {
    /// All of a file that is one content.
    pub(crate) const WHOLE: Self = Self {
        member: None,
        stored: None,
        standing: Standing::Present,
        window: None,
    };
}

impl Artifact {
    pub(crate) fn new(item: Item, packing: Packing) -> Self {
        Self {
            item,
            packing,
            state: Mutex::default(),
        }
    }

    /// A piece goes to a worker.
    pub(crate) fn send(&self, part: &Part) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.pending += 1;
        if part.standing == Standing::Gone {
            return;
        }
        state.pieces += u64::from(part.window.is_none_or(|window| window.offset == 0));
        state.windows += u64::from(part.window.is_some());
    }

    /// A piece that was sent has a verdict.
    pub(crate) fn settle(&self, run: &Run<'_>, part: &Part, finding: Finding) {
        let finding = self.note(part, finding);
        if let (Some(member), Standing::Present) = (&part.member, part.standing) {
            run.tally.report_member(&self.item, member, &finding);
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.pending -= 1;
        state.add(part, finding);
        self.conclude(run, &mut state);
    }

    /// A piece is not sent at all: it is unscanned.
    pub(crate) fn refuse(&self, run: &Run<'_>, part: &Part, reason: String) {
        self.send(part);
        self.settle(run, part, run.scope.unscanned(reason));
    }

    /// The reader has come to the end of the file, or why it has not.
    pub(crate) fn close(&self, run: &Run<'_>, read: Result<Sha256, String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.read = Some(read);
        self.conclude(run, &mut state);
    }

    /// Says where in the archive something was found that is not clean.
    fn note(&self, part: &Part, finding: Finding) -> Finding {
        if finding.verdict == Verdict::Clean {
            return finding;
        }
        let window = part.window.map(|Window { offset, bytes }| {
            format!("found in its bytes {offset} to {}", offset + bytes)
        });
        let stored = part.stored.as_ref().map(|stored| {
            let stored = String::from_utf8_lossy(stored);
            format!("stored as {stored}")
        });
        let places: Vec<String> = window.into_iter().chain(stored).collect();
        if places.is_empty() {
            return finding;
        }
        Finding {
            note: Some(places.join(", ")),
            ..finding
        }
    }

    fn conclude(&self, run: &Run<'_>, state: &mut State) {
        if state.pending > 0 || state.read.is_none() {
            return;
        }
        let is_by_members = state.is_by_members();
        let finding = state.finding(run, run.scope.window_bytes_used());
        // In another set a member that is gone from this one may be a message.
        if let (Verdict::Clean, 0, Some(sha256), Some(identity)) = (
            &finding.verdict,
            state.gone_unclean,
            finding.sha256,
            run.scope.common_identity(),
        ) {
            run.scope.remember(
                &identity,
                self.packing.cache_key(sha256),
                Known::Clean(finding.note.clone()),
            );
        }
        if is_by_members {
            run.tally.report_archive(&self.item, &finding);
        } else {
            run.tally.report_file(&self.item, &finding);
        }
    }
}

impl State {
    /// Whether the verdict on the file is that on its members. A file that was not read to its end
    /// is unscanned itself.
    fn is_by_members(&self) -> bool {
        let was_read = matches!(self.read, Some(Ok(_)));
        self.has_bad_member && (was_read || self.infected > 0)
    }

    fn add(&mut self, part: &Part, finding: Finding) {
        if part.standing == Standing::Gone {
            self.gone_unclean += u64::from(finding.verdict != Verdict::Clean);
            return;
        }
        let is_bad = matches!(
            finding.verdict,
            Verdict::Infected(_) | Verdict::Unscanned(_)
        );
        self.has_bad_member |= is_bad && part.member.is_some();
        match finding.verdict {
            Verdict::Clean => {}
            Verdict::Noted(reason) => {
                self.noted += 1;
                self.first_note.get_or_insert(reason);
            }
            Verdict::Infected(signature) => {
                self.infected += 1;
                let note = finding.note.filter(|_| part.member.is_none());
                self.signature.get_or_insert((signature, note));
                if part.member.is_none() {
                    self.envelope.get_or_insert(finding.envelope);
                }
            }
            Verdict::Unscanned(reason) => {
                self.unscanned += 1;
                self.first_reason.get_or_insert(reason);
            }
        }
    }

    /// The verdict on the file. What is damaged or was not read to its end is never clean; an
    /// infection outweighs that.
    fn finding(&mut self, run: &Run<'_>, window_bytes: Option<u64>) -> Finding {
        let sha256 = self
            .read
            .as_ref()
            .and_then(|read| read.as_ref().ok().copied());
        let failure = self.read.take().and_then(Result::err);
        let (verdict, note) = match (self.signature.take(), failure, self.first_reason.take()) {
            (Some((signature, place)), failure, _) => {
                let note = failure
                    .or(place)
                    .or_else(|| (self.pieces > 1).then(|| self.count("infected", self.infected)));
                (Verdict::Infected(signature), note)
            }
            (None, Some(failure), _) => (Verdict::Unscanned(failure), None),
            (None, None, Some(reason)) if self.pieces <= 1 => (Verdict::Unscanned(reason), None),
            (None, None, Some(reason)) => (
                Verdict::Unscanned(format!(
                    "{}: {reason}",
                    self.count("not scanned", self.unscanned)
                )),
                None,
            ),
            (None, None, None) => match self.first_note.take() {
                None => (Verdict::Clean, self.windows_note(window_bytes)),
                Some(note) if self.pieces <= 1 => (Verdict::Noted(note), None),
                Some(note) => {
                    let counted = self.count("let pass", self.noted);
                    (Verdict::Noted(format!("{counted}: {note}")), None)
                }
            },
        };
        let engine = run.scope.pool.engine();
        Finding {
            verdict,
            sha256,
            engine,
            note,
            envelope: self.envelope.take().unwrap_or_default(),
        }
    }

    fn count(&self, what: &str, number: u64) -> String {
        format!("{number} of {} members {what}", self.pieces)
    }

    fn windows_note(&self, window_bytes: Option<u64>) -> Option<String> {
        let bytes = window_bytes.filter(|_| self.windows > 0)?;
        Some(format!(
            "scanned in {} overlapping windows of {bytes} bytes",
            self.windows
        ))
    }
}
