//! What a stream of records says: how each tool ended, what was found, what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use jiff::Timestamp;
use mail_common::jsonl::RecordReader;
use mail_common::record::{
    Alarm, Check, ErrorRecord, Record, StoredSet, Usage, Verdict, VerdictStatus,
};
use mail_common::report::chain;
use mail_common::tool::Session;
use mail_common::upstream::{Runs, ToolRun};

/// How many of a kind are named; all are counted.
pub(crate) const NAMED: usize = 20;

/// What a stream says. Where a tool ran several times, what is found and stored is that of all its
/// runs.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) runs: Runs,
    pub(crate) infected: u64,
    /// The first of them.
    pub(crate) infected_first: Vec<Infected>,
    pub(crate) unscanned: u64,
    pub(crate) unscanned_first: Vec<String>,
    pub(crate) errors: u64,
    pub(crate) errors_first: Vec<String>,
    pub(crate) sets: Vec<StoredSet>,
    pub(crate) usages: Vec<Usage>,
    /// Checks that others made.
    pub(crate) checks: Vec<Check>,
    /// What was not as on an ordinary day.
    pub(crate) alarms: Vec<Alarm>,
    /// Why the stream cannot be trusted to be whole.
    pub(crate) broken: Option<String>,
    /// What members of archives were found to be, by archive.
    bad_members: BTreeMap<String, BadMembers>,
}

/// What the members of an archive were found to be.
#[derive(Debug, Default)]
struct BadMembers {
    infected: bool,
    /// Why members were not scanned.
    reasons: BTreeSet<String>,
}

/// What a scanner found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Infected {
    /// The member of an archive, else the file: a name that is the same tomorrow.
    pub(crate) what: String,
    /// Where it lies.
    pub(crate) place: String,
    pub(crate) signature: String,
    pub(crate) message_id: Option<String>,
    pub(crate) subject: Option<String>,
}

/// When a run began; `None` when that cannot be read.
pub(crate) fn begun(run: &ToolRun) -> Option<Timestamp> {
    run.begin.time.parse().ok()
}

impl Facts {
    /// Reads `input` to its end.
    pub(crate) fn read(input: impl BufRead) -> Self {
        let mut facts = Self::default();
        let mut reader = RecordReader::new(input);
        for line in reader.by_ref() {
            match line {
                Ok(line) => line.record.into_iter().for_each(|record| facts.add(record)),
                Err(error) => {
                    facts.broken = Some(chain(&error));
                    return facts;
                }
            }
        }
        facts.broken = reader.finish().err().map(|error| chain(&error));
        facts
    }

    /// Reads `upstream` to its end, and passes all of it on.
    pub(crate) fn pass(session: &Session, upstream: impl BufRead) -> Self {
        let mut facts = Self::default();
        let passed = session.pass_all(upstream, |record| facts.add(record));
        facts.broken = passed.err().map(|error| chain(&error));
        facts
    }

    /// The last run of `tool`.
    pub(crate) fn last_run<'a>(&'a self, tool: &'a str) -> Option<&'a ToolRun> {
        self.runs.of(tool).next_back()
    }

    fn add(&mut self, record: Record) {
        self.runs.add(&record);
        match record {
            Record::Verdict(verdict) => self.verdict(&verdict),
            Record::Error(error) => self.error(&error),
            Record::Set(set) => self.sets.push(set),
            Record::Usage(usage) => self.usages.push(usage),
            Record::Check(check) => self.checks.push(check),
            Record::Alarm(alarm) => self.alarms.push(alarm),
            Record::Changes(_)
            | Record::Mailbox(_)
            | Record::Accepted(_)
            | Record::Canary(_)
            | Record::Database(_)
            | Record::Watched(_)
            | Record::Begin(_)
            | Record::End(_)
            | Record::Artifact(_)
            | Record::Pruned(_)
            | Record::Transfer(_)
            | Record::Plan(_)
            | Record::Warning(_)
            | Record::Restored(_)
            | Record::Message(_) => {}
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        let what = verdict
            .member
            .as_ref()
            .unwrap_or(&verdict.path.path)
            .clone();
        if self.is_by_members(verdict) {
            return;
        }
        match verdict.status {
            VerdictStatus::Clean => {}
            VerdictStatus::Infected => {
                self.infected += 1;
                if self.infected_first.len() < NAMED {
                    self.infected_first.push(infected(verdict, what));
                }
            }
            VerdictStatus::Unscanned => {
                self.unscanned += 1;
                if self.unscanned_first.len() < NAMED {
                    let reason = verdict.reason.as_deref().unwrap_or("no reason given");
                    self.unscanned_first.push(format!("{what} ({reason})"));
                }
            }
        }
    }

    /// Whether this is the verdict on an archive that its members have had: each thing counts once.
    /// The verdicts on members come before that on their archive.
    fn is_by_members(&mut self, verdict: &Verdict) -> bool {
        if verdict.status == VerdictStatus::Clean {
            return false;
        }
        let file = file_of(verdict);
        if verdict.member.is_some() {
            let members = self.bad_members.entry(file).or_default();
            members.add(verdict);
            return false;
        }
        let members = self.bad_members.get(&file);
        members.is_some_and(|members| members.explain(verdict))
    }

    fn error(&mut self, error: &ErrorRecord) {
        self.errors += 1;
        if self.errors_first.len() < NAMED {
            let causes = error
                .causes
                .iter()
                .map(|cause| format!(": {cause}"))
                .collect::<String>();
            self.errors_first.push(format!("{}{causes}", error.message));
        }
    }
}

impl BadMembers {
    fn add(&mut self, verdict: &Verdict) {
        self.infected |= verdict.status == VerdictStatus::Infected;
        self.reasons.extend(verdict.reason.clone());
    }

    /// Whether the verdict on the archive says no more than theirs did. Where some were not
    /// scanned, its reason ends with one of theirs; where it was itself not read to its end, it
    /// does not.
    fn explain(&self, archive: &Verdict) -> bool {
        match (archive.status, &archive.reason) {
            (VerdictStatus::Infected, _) => self.infected,
            (_, Some(reason)) => self.reasons.iter().any(|known| reason.ends_with(known)),
            (_, None) => false,
        }
    }
}

/// The file of a verdict, with the set that it lies in.
fn file_of(verdict: &Verdict) -> String {
    let path = &verdict.path.path;
    match (&verdict.root, &verdict.set) {
        (Some(root), Some(set)) => format!("{root}/{set}/{path}"),
        _ => path.clone(),
    }
}

fn infected(verdict: &Verdict, what: String) -> Infected {
    let file = file_of(verdict);
    let place = match &verdict.member {
        Some(member) => format!("{file}: {member}"),
        None => file,
    };
    Infected {
        what,
        place,
        signature: verdict
            .signature
            .clone()
            .unwrap_or_else(|| "no name".to_owned()),
        message_id: verdict.message_id.clone(),
        subject: verdict.subject.clone(),
    }
}
