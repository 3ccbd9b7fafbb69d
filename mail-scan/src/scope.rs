//! What is fixed while a run lasts: with what is scanned, and within which limits.

use std::sync::OnceLock;

use mail_common::checksum::Sha256;
use mail_common::interrupt::Interrupt;
use mail_common::tool::Session;

use crate::accepted::AcceptedList;
use crate::args::EncryptedMail;
use crate::budget::{Budget, Taken};
use crate::cache::{Cache, Key, Known};
use crate::clamd::Pool;
use crate::content::MEMORY_MAX_BYTES;
use crate::finding::Finding;
use crate::inside::Role;
use crate::quarantine::Quarantine;
use crate::verdict::Verdict;

/// The sizes in which large texts are scanned, the best first.
const WINDOWS_BYTES: [u64; 4] = [4 << 20, 2 << 20, 1 << 20, 256 << 10];

/// What is fixed while a run lasts.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) session: &'a Session,
    pub(crate) interrupt: Interrupt,
    pub(crate) pool: &'a Pool,
    pub(crate) cache: Option<&'a Cache>,
    pub(crate) quarantine: Option<&'a Quarantine>,
    pub(crate) budget: Budget,
    pub(crate) max_bytes: Option<u64>,
    /// The identities of the clamds when the run began, each once.
    identities: Vec<String>,
    /// For contents that are large, or become so once they are unpacked.
    large: Budget,
    pub(crate) encrypted_mail: EncryptedMail,
    pub(crate) accepted: Option<&'a AcceptedList>,
    window_bytes: OnceLock<u64>,
}

impl<'a> Scope<'a> {
    /// A run that scans with `pool`, and holds `budget` in memory.
    pub(crate) fn new(
        session: &'a Session,
        interrupt: Interrupt,
        pool: &'a Pool,
        budget: Budget,
    ) -> Self {
        Self {
            session,
            interrupt,
            pool,
            cache: None,
            quarantine: None,
            budget,
            max_bytes: None,
            identities: pool.identities(),
            large: Budget::new(MEMORY_MAX_BYTES),
            encrypted_mail: EncryptedMail::default(),
            accepted: None,
            window_bytes: OnceLock::new(),
        }
    }

    /// Why there is no verdict, from the clamds of the run.
    pub(crate) fn unscanned(&self, reason: impl Into<String>) -> Finding {
        Finding::unscanned(reason, &self.pool.engine())
    }

    /// Whether `--max-size` leaves a content of `bytes` out.
    pub(crate) fn leaves_out(&self, bytes: u64) -> Option<String> {
        let limit = self.max_bytes.filter(|limit| bytes > *limit)?;
        Some(format!("{bytes} bytes are more than --max-size {limit}"))
    }

    /// How large the windows are in which large texts are scanned: what every clamd looks into.
    pub(crate) fn window_bytes(&self) -> u64 {
        *self.window_bytes.get_or_init(|| {
            let [.., least] = WINDOWS_BYTES;
            let is_seen = |bytes: &u64| !self.pool.is_in_doubt(*bytes);
            WINDOWS_BYTES.into_iter().find(is_seen).unwrap_or(least)
        })
    }

    /// The same, where anything was scanned in windows.
    pub(crate) fn window_bytes_used(&self) -> Option<u64> {
        self.window_bytes.get().copied()
    }

    /// Waits until there is room for a content that takes so much in memory.
    pub(crate) fn take_large(&self, bytes: u64) -> Taken {
        self.large.take(bytes)
    }

    /// What the policy makes of a content that is encrypted as a whole.
    pub(crate) fn judge_encrypted(&self, what: &str) -> Verdict {
        match self.encrypted_mail {
            EncryptedMail::Unscanned => Verdict::Unscanned(format!("encrypted: {what}")),
            EncryptedMail::Note => Verdict::Noted(format!(
                "encrypted: {what}; not looked into, and let pass by --encrypted-mail note"
            )),
        }
    }

    /// The finding, or that what was not scanned is let pass because somebody accepted it.
    pub(crate) fn judge_accepted(&self, finding: Finding) -> Finding {
        let (Verdict::Unscanned(reason), Some(sha256)) = (&finding.verdict, finding.sha256) else {
            return finding;
        };
        match self.accepted.and_then(|list| list.note(sha256, reason)) {
            None => finding,
            Some(note) => Finding {
                verdict: Verdict::Noted(note),
                ..finding
            },
        }
    }

    /// What an earlier run found in the content that has this digest.
    pub(crate) fn known(&self, digest: Sha256, role: Role) -> Option<Known> {
        self.cache?.lookup(&Key::of_content(digest, role))
    }

    /// The identity of every clamd, where all have one and the same, and have had it since the run
    /// began: what was scanned in pieces is remembered under it.
    pub(crate) fn common_identity(&self) -> Option<String> {
        let [identity] = &self.identities[..] else {
            return None;
        };
        let now = self.pool.identities();
        now.iter()
            .all(|now| now == identity)
            .then(|| identity.clone())
    }

    /// Remembers what a clamd of `identity` found. A cache that cannot be written only makes the
    /// next run slower.
    pub(crate) fn remember(&self, identity: &str, key: Key, known: Known) {
        if let Some(cache) = self.cache
            && let Err(error) = cache.remember(identity, key, known)
        {
            let report = &self.session.report;
            report.warning(format!("the cache cannot be written: {error}"));
        }
    }
}
