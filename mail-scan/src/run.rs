//! What the threads of a run share, and how verdicts are told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use mail_common::checksum::Sha256;
use mail_common::interrupt::Interrupt;
use mail_common::record::Record;
use mail_common::report::Progress;
use mail_common::tool::Session;

use crate::budget::Budget;
use crate::cache::{Cache, Key, Known};
use crate::clamd::{Pool, Verdict};
use crate::item::{Finding, Item};
use crate::quarantine::Quarantine;
use crate::seen::Seen;
use crate::source::Listed;
use crate::totals::{Counters, add, get};

/// So many findings are printed; all are in the records.
const PRINTED_MAX: u64 = 50;

/// The number of files is drawn so often.
const SAID_EVERY: u64 = 64;

/// The sizes in which large texts are scanned, the best first.
const WINDOWS_BYTES: [u64; 4] = [4 << 20, 2 << 20, 1 << 20, 256 << 10];

/// What the threads of a run share.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) session: &'a Session,
    pub(crate) pool: &'a Pool,
    pub(crate) cache: Option<&'a Cache>,
    /// The identities of the clamds when the run began, each once.
    pub(crate) identities: Vec<String>,
    pub(crate) quarantine: Option<&'a Quarantine>,
    pub(crate) budget: Budget,
    /// Held while a content is in memory that is large once it is unpacked.
    pub(crate) unpacking: Mutex<()>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) seen: Seen,
    pub(crate) listed: Listed,
    pub(crate) interrupt: Interrupt,
    pub(crate) totals: Counters,
    pub(crate) progress: Progress,
    pub(crate) printed: AtomicU64,
    pub(crate) window_bytes: OnceLock<u64>,
}

#[derive(Debug, thiserror::Error)]
#[error("{signature} found in {what}{note}")]
struct Infected {
    signature: String,
    what: String,
    note: String,
}

#[derive(Debug, thiserror::Error)]
#[error("not scanned: {what}: {reason}")]
struct Unscanned {
    what: String,
    reason: String,
}

#[derive(Debug, thiserror::Error)]
#[error("more was found or not scanned; the records have all of it")]
struct More;

impl Run<'_> {
    /// Tells the verdict on a member of `item`; clean members are not told one by one.
    pub(crate) fn tell_member(&self, item: &Item, member: &[u8], finding: &Finding) {
        match finding.verdict {
            Verdict::Clean => return,
            Verdict::Infected(_) => add(&self.totals.infected_members, 1),
            Verdict::Unscanned(_) => add(&self.totals.unscanned_members, 1),
        }
        self.print(
            &format!("{}: {}", item.place, String::from_utf8_lossy(member)),
            finding,
        );
        self.session
            .emit(&Record::Verdict(finding.record(&item.place, Some(member))));
    }

    /// Tells the verdict on a whole file.
    pub(crate) fn tell(&self, item: &Item, finding: &Finding) {
        let counter = match finding.verdict {
            Verdict::Clean => &self.totals.clean,
            Verdict::Infected(_) => &self.totals.infected,
            Verdict::Unscanned(_) => &self.totals.unscanned,
        };
        add(counter, 1);
        add(&self.totals.files, 1);
        self.print(&item.place.to_string(), finding);
        self.session
            .emit(&Record::Verdict(finding.record(&item.place, None)));
        let files = get(&self.totals.files);
        if files % SAID_EVERY == 1 {
            self.progress.message(&format!("{files} files"));
        }
    }

    fn print(&self, what: &str, finding: &Finding) {
        let report = &self.session.report;
        let what = what.to_owned();
        if finding.verdict != Verdict::Clean {
            match self.printed.fetch_add(1, Ordering::Relaxed) {
                0..PRINTED_MAX => {}
                PRINTED_MAX => return report.error(&More),
                _ => return,
            }
        }
        match &finding.verdict {
            Verdict::Clean => report.detail(format!("clean: {what}")),
            Verdict::Infected(signature) => {
                let subject = finding
                    .envelope
                    .subject
                    .iter()
                    .map(|subject| format!(", subject {subject:?}"));
                let note = finding
                    .note
                    .iter()
                    .map(|note| format!(", {note}"))
                    .chain(subject)
                    .collect();
                report.error(&Infected {
                    signature: signature.clone(),
                    what,
                    note,
                });
            }
            Verdict::Unscanned(reason) => report.error(&Unscanned {
                what,
                reason: reason.clone(),
            }),
        }
    }

    /// Whether `--max-size` leaves a content of `bytes` out.
    pub(crate) fn leaves_out(&self, bytes: u64) -> Option<String> {
        let limit = self.max_bytes.filter(|limit| bytes > *limit)?;
        Some(format!("{bytes} bytes are more than --max-size {limit}"))
    }

    /// How large the windows are in which large texts are scanned: what every clamd looks into.
    pub(crate) fn window_bytes(&self) -> u64 {
        *self.window_bytes.get_or_init(|| {
            let fits = |bytes: &u64| !self.pool.is_in_doubt(*bytes);
            WINDOWS_BYTES
                .into_iter()
                .find(fits)
                .unwrap_or(WINDOWS_BYTES[WINDOWS_BYTES.len() - 1])
        })
    }

    /// What an earlier run found in the content that has this digest.
    pub(crate) fn known(&self, digest: Sha256) -> Option<Known> {
        let known = self.cache?.lookup(&Key::of_content(digest))?;
        add(&self.totals.cached, 1);
        Some(known)
    }

    /// The identity of every clamd, where all have one and the same, and have had it since the run
    /// began: what was scanned in pieces is remembered under it.
    pub(crate) fn common_identity(&self) -> Option<String> {
        let [identity] = &self.identities[..] else {
            return None;
        };
        self.pool
            .identities()
            .iter()
            .all(|now| now == identity)
            .then(|| identity.clone())
    }

    /// Remembers what a clamd of `identity` said. A cache that cannot be written is said once, at
    /// the end.
    pub(crate) fn remember(&self, identity: &str, key: Key, known: Known) {
        if let Some(cache) = self.cache
            && let Err(error) = cache.remember(identity, key, known)
        {
            self.session
                .report
                .warning(format!("the cache cannot be written: {error}"));
        }
    }
}
