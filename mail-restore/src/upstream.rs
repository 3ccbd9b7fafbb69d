//! The records of the tools before this one in a pipeline: each is passed on as it comes, and what
//! they say is kept.

use std::io::BufRead;

use mail_common::jsonl;
use mail_common::record::{Artifact, Record, Verdict, VerdictStatus};
use mail_common::tool::Session;

/// Whose verdicts they are.
const SCANNER: &str = "mail-scan";

/// Its exit codes after which its verdicts count: all is clean, or something is not.
const FINISHED: [u8; 2] = [0, 1];

/// What the records say.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) verdicts: Vec<Verdict>,
}

/// A file of a set, as a verdict names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SetName<'a> {
    pub(crate) root: &'a str,
    pub(crate) set: &'a str,
}

impl Upstream {
    /// Reads all records of `input` and passes them on to `session`.
    ///
    /// # Errors
    /// When a line is damaged, or a tool has ended without its `end` record.
    pub(crate) fn read(input: impl BufRead, session: &Session) -> Result<Self, jsonl::Error> {
        let mut upstream = Self::default();
        let mut unfinished = None;
        session.pass_all(input, |record| match record {
            Record::Artifact(artifact) => upstream.artifacts.push(artifact),
            Record::Verdict(verdict) => upstream.verdicts.push(verdict),
            Record::End(end) if end.tool == SCANNER && !FINISHED.contains(&end.exit) => {
                unfinished = Some(end.exit)
            }
            _ => {}
        })?;
        if let Some(exit) = unfinished {
            upstream.believe_nothing_clean(exit);
        }
        Ok(upstream)
    }

    /// A scan that could not finish may have lost its belief in a scanner after it had said clean.
    fn believe_nothing_clean(&mut self, exit: u8) {
        for verdict in self
            .verdicts
            .iter_mut()
            .filter(|verdict| verdict.status == VerdictStatus::Clean)
        {
            verdict.status = VerdictStatus::Unscanned;
            verdict.reason = Some(format!(
                "{SCANNER} could not finish (exit code {exit}); scan it again"
            ));
        }
    }

    /// The sets that artifacts and verdicts name, each once.
    pub(crate) fn sets(&self) -> Vec<SetName<'_>> {
        let of_artifacts = self.artifacts.iter().map(|artifact| SetName {
            root: &artifact.root,
            set: &artifact.set,
        });
        let of_verdicts = self.verdicts.iter().filter_map(set_of);
        let mut sets = Vec::new();
        for set in of_artifacts.chain(of_verdicts) {
            if !sets.contains(&set) {
                sets.push(set);
            }
        }
        sets
    }
}

/// The set of a verdict; `None` where what was scanned is in no set.
pub(crate) fn set_of(verdict: &Verdict) -> Option<SetName<'_>> {
    Some(SetName {
        root: verdict.root.as_deref()?,
        set: verdict.set.as_deref()?,
    })
}
