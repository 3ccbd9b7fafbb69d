//! What a run has found and counted so far, and how verdicts are reported.

use std::sync::atomic::{AtomicU64, Ordering};

use mail_common::record::Record;
use mail_common::report::{Progress, Unit};
use mail_common::tool::Session;

use crate::finding::Finding;
use crate::item::Item;
use crate::listed::Listed;
use crate::seen::Seen;
use crate::totals::{Counters, add, get};
use crate::verdict::Verdict;

/// Findings that are printed, at most; all are in the records.
const PRINTED_MAX: u64 = 50;

/// After how many files their number is drawn again.
const DRAWN_EVERY: u64 = 64;

/// What a run has found and counted so far.
#[derive(Debug)]
pub(crate) struct Tally<'a> {
    session: &'a Session,
    pub(crate) counters: Counters,
    pub(crate) progress: Progress,
    /// Contents that were clean.
    pub(crate) seen: Seen,
    /// What was listed of live trees.
    pub(crate) listed: Listed,
    printed: AtomicU64,
    /// Bytes of what the progress bar knows of; `None` where a tree is scanned, of which nobody
    /// knows how large it is.
    expected_bytes: Option<AtomicU64>,
}

/// Whether it is known how much there is to be scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Sets and records say how large their files are.
    Known,
    Unknown,
}

#[derive(Debug, thiserror::Error)]
enum Reported {
    #[error("{signature} found in {what}{note}")]
    Infected {
        signature: String,
        what: String,
        note: String,
    },
    #[error("not scanned: {what}: {reason}")]
    Unscanned { what: String, reason: String },
    #[error("more was found or not scanned; the records have all of it")]
    More,
}

impl<'a> Tally<'a> {
    /// Nothing yet, of operands of this extent.
    pub(crate) fn new(session: &'a Session, extent: Extent) -> Self {
        Self {
            session,
            counters: Counters::default(),
            progress: session.report.progress("scan", Unit::Bytes, None),
            seen: Seen::default(),
            listed: Listed::default(),
            printed: AtomicU64::new(0),
            expected_bytes: (extent == Extent::Known).then(AtomicU64::default),
        }
    }

    /// So many bytes more are going to be read.
    pub(crate) fn expect(&self, bytes: u64) {
        if let Some(expected) = &self.expected_bytes {
            let before = expected.fetch_add(bytes, Ordering::Relaxed);
            self.progress.set_total(before + bytes);
        }
    }

    /// Reports the verdict on a member of `item`; clean members are not reported one by one, but
    /// for those that there is something to say of.
    pub(crate) fn report_member(&self, item: &Item, member: &[u8], finding: &Finding) {
        match finding.verdict {
            Verdict::Clean => return,
            Verdict::Noted(_) => {}
            Verdict::Infected(_) => add(&self.counters.infected_members, 1),
            Verdict::Unscanned(_) => add(&self.counters.unscanned_members, 1),
        }
        let what = format!("{}: {}", item.place, String::from_utf8_lossy(member));
        self.print(what, finding);
        let record = finding.record(&item.place, Some(member));
        self.session.emit(&Record::Verdict(record));
    }

    /// Reports the verdict on an archive that is what its members are. These have been reported,
    /// and people count each thing once.
    pub(crate) fn report_archive(&self, item: &Item, finding: &Finding) {
        match finding.verdict {
            Verdict::Clean | Verdict::Noted(_) => {}
            Verdict::Infected(_) => add(&self.counters.infected_archives, 1),
            Verdict::Unscanned(_) => add(&self.counters.unscanned_archives, 1),
        }
        self.settle(item, finding);
    }

    /// Reports the verdict on a whole file.
    pub(crate) fn report_file(&self, item: &Item, finding: &Finding) {
        self.print(item.place.to_string(), finding);
        self.settle(item, finding);
    }

    fn settle(&self, item: &Item, finding: &Finding) {
        let counter = match finding.verdict {
            Verdict::Clean | Verdict::Noted(_) => &self.counters.clean,
            Verdict::Infected(_) => &self.counters.infected,
            Verdict::Unscanned(_) => &self.counters.unscanned,
        };
        add(counter, 1);
        add(&self.counters.files, 1);
        let record = finding.record(&item.place, None);
        self.session.emit(&Record::Verdict(record));
        let files = get(&self.counters.files);
        if files % DRAWN_EVERY == 1 {
            self.progress.message(&format!("{files} files"));
        }
    }

    fn print(&self, what: String, finding: &Finding) {
        let report = &self.session.report;
        if matches!(
            finding.verdict,
            Verdict::Infected(_) | Verdict::Unscanned(_)
        ) {
            match self.printed.fetch_add(1, Ordering::Relaxed) {
                0..PRINTED_MAX => {}
                PRINTED_MAX => return report.error(&Reported::More),
                _ => return,
            }
        }
        match &finding.verdict {
            Verdict::Clean => report.detail(format!("clean: {what}")),
            Verdict::Noted(reason) => report.detail(format!("noted: {what}: {reason}")),
            Verdict::Infected(signature) => report.error(&Reported::Infected {
                signature: signature.clone(),
                what,
                note: note_of(finding),
            }),
            Verdict::Unscanned(reason) => report.error(&Reported::Unscanned {
                what,
                reason: reason.clone(),
            }),
        }
    }
}

fn note_of(finding: &Finding) -> String {
    let note = finding.note.iter().map(|note| format!(", {note}"));
    let subject = finding.envelope.subject.iter();
    let subject = subject.map(|subject| format!(", subject {subject:?}"));
    note.chain(subject).collect()
}
