//! Records from standard input: passed on as they are, and the sets and verdicts in them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::path::{Path, PathBuf};

use mail_common::jsonl;
use mail_common::record::{Artifact, Record, Verdict, VerdictStatus};
use mail_common::tool::Session;

/// What the upstream said.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    /// The sets that its artifacts are in.
    pub(crate) sets: BTreeSet<PathBuf>,
    artifacts: Vec<Artifact>,
    /// By set and path; the worst of all that was said.
    verdicts: BTreeMap<(String, String), VerdictStatus>,
    /// The scanner could not finish: what it called clean is not proven so.
    scan_is_unfinished: bool,
}

/// An artifact is not proven clean.
#[derive(Debug, thiserror::Error)]
#[error("{set}/{path} is {what}, and --require-clean was given: the set is not pushed")]
pub(crate) struct NotClean {
    set: String,
    path: String,
    what: &'static str,
}

impl Upstream {
    /// Reads to the end, passing every line on.
    pub(crate) fn read(input: impl BufRead, session: &Session) -> Result<Self, jsonl::Error> {
        let mut upstream = Self::default();
        session.pass_all(input, |record| match record {
            Record::Artifact(artifact) => upstream.add_artifact(artifact),
            Record::Verdict(verdict) => upstream.add_verdict(verdict),
            // 0: all is clean; 1: something is not. After anything else a scanner may no longer be
            // believed.
            Record::End(end) if end.tool == "mail-scan" && end.exit > 1 => {
                upstream.scan_is_unfinished = true
            }
            _ => {}
        })?;
        Ok(upstream)
    }

    /// The artifacts that no verdict calls clean, or one calls something else.
    pub(crate) fn not_clean(&self) -> Vec<NotClean> {
        let complaint = |artifact: &Artifact| {
            let what = match self
                .verdicts
                .get(&(artifact.set.clone(), artifact.path.path.clone()))
            {
                Some(VerdictStatus::Clean) if self.scan_is_unfinished => {
                    "of a scan that could not finish"
                }
                Some(VerdictStatus::Clean) => return None,
                Some(VerdictStatus::Infected) => "infected",
                Some(VerdictStatus::Unscanned) => "unscanned",
                None => "without a verdict",
            };
            Some(NotClean {
                set: artifact.set.clone(),
                path: artifact.path.path.clone(),
                what,
            })
        };
        self.artifacts.iter().filter_map(complaint).collect()
    }

    fn add_artifact(&mut self, artifact: Artifact) {
        self.sets
            .insert(Path::new(&artifact.root).join(&artifact.set));
        self.artifacts.push(artifact);
    }

    fn add_verdict(&mut self, verdict: Verdict) {
        let Some(set) = verdict.set else { return };
        let worst = self
            .verdicts
            .entry((set, verdict.path.path))
            .or_insert(verdict.status);
        if severity(verdict.status) > severity(*worst) {
            *worst = verdict.status;
        }
    }
}

const fn severity(status: VerdictStatus) -> u8 {
    match status {
        VerdictStatus::Clean => 0,
        VerdictStatus::Unscanned => 1,
        VerdictStatus::Infected => 2,
    }
}
