//! The newest of what other tools wrote down: records that were appended to a file, run after run.

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use mail_common::jsonl::RecordReader;
use mail_common::record::{
    EndStatus, Record, StoredSet, Transfer, TransferAction, Usage, Verdict, VerdictStatus,
};
use mail_common::report::chain;
use mail_common::trusted;

/// So much bad news is shown; the rest is counted.
pub(super) const MAX_SHOWN: usize = 20;

/// What mail-s3sync can be asked for.
const COMMANDS: [&str; 5] = ["push", "pull", "verify", "list", "usage"];

/// What a file holds.
pub(super) struct Stream<T> {
    pub(super) newest: Option<T>,
    /// Why there is nothing, or why there may be something newer.
    pub(super) problem: Option<String>,
}

/// A run that has ended, or has not.
#[derive(Default)]
pub(super) struct RunOf<T> {
    pub(super) began: String,
    pub(super) status: Option<EndStatus>,
    pub(super) seconds: f64,
    pub(super) facts: T,
}

/// What a scan found.
#[derive(Default)]
pub(super) struct Scan {
    pub(super) set: Option<String>,
    pub(super) clean: u64,
    pub(super) infected: u64,
    pub(super) unscanned: u64,
    /// The first of those that are not clean.
    pub(super) shown: Vec<Verdict>,
}

/// What is known of the copy elsewhere, each from the newest run that tells it.
#[derive(Default)]
pub(super) struct Copies {
    pub(super) push: Option<RunOf<Push>>,
    pub(super) sets: Option<RunOf<Vec<StoredSet>>>,
    pub(super) usage: Option<RunOf<Vec<Usage>>>,
}

/// What was sent.
#[derive(Default)]
pub(super) struct Push {
    pub(super) set: Option<String>,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) by_action: BTreeMap<TransferAction, u64>,
    pub(super) locked_until: Option<String>,
    pub(super) errors: u64,
}

/// The newest scan in `path`, where one is named.
pub(super) fn newest_scan(path: Option<&Path>) -> Stream<RunOf<Scan>> {
    let Some(path) = path else {
        return Stream {
            newest: None,
            problem: Some(unnamed("scans")),
        };
    };
    let mut newest: Option<RunOf<Scan>> = None;
    let read = each(path, |record| match record {
        Record::Begin(begin) if begin.tool == "mail-scan" => {
            newest = Some(RunOf {
                began: begin.time,
                ..RunOf::default()
            });
            if let Some(run) = &mut newest {
                run.facts.set = begin.set;
            }
        }
        Record::Verdict(verdict) => {
            if let Some(run) = &mut newest {
                run.facts.count(verdict);
            }
        }
        Record::End(end) if end.tool == "mail-scan" => {
            finish(newest.as_mut(), end.status, end.seconds);
        }
        _ => {}
    });
    Stream {
        newest,
        problem: read.err(),
    }
}

/// The newest push, list and usage in `paths`; of two files the later one is believed.
pub(super) fn newest_copy(paths: &[PathBuf]) -> Stream<Copies> {
    let mut copies = Copies::default();
    let mut problems = Vec::new();
    for path in paths {
        problems.extend(add_copies(path, &mut copies).err());
    }
    if paths.is_empty() {
        problems.push(unnamed("s3"));
    }
    let is_empty = copies.push.is_none() && copies.sets.is_none() && copies.usage.is_none();
    let problem = (!problems.is_empty()).then(|| problems.join("; "));
    Stream {
        newest: (!is_empty).then_some(copies),
        problem,
    }
}

fn add_copies(path: &Path, copies: &mut Copies) -> Result<(), String> {
    let mut command = String::new();
    each(path, |record| match record {
        Record::Begin(begin) if begin.tool == "mail-s3sync" => {
            // A rehearsal of a push is none.
            let is_dry = begin.args.iter().any(|arg| arg == "--dry-run");
            let named = begin.args.into_iter();
            let named = named.filter(|arg| !is_dry && COMMANDS.contains(&arg.as_str()));
            command = named.take(1).collect();
            copies.begin(&command, begin.time, begin.set);
        }
        Record::Transfer(transfer) => {
            if let Some(run) = copies.push.as_mut().filter(|_| command == "push") {
                run.facts.count(transfer);
            }
        }
        Record::Set(set) => copies
            .sets
            .iter_mut()
            .for_each(|run| run.facts.push(set.clone())),
        Record::Usage(usage) => copies
            .usage
            .iter_mut()
            .for_each(|run| run.facts.push(usage.clone())),
        Record::Error(_) => {
            if let Some(run) = copies.push.as_mut().filter(|_| command == "push") {
                run.facts.errors += 1;
            }
        }
        Record::End(end) if end.tool == "mail-s3sync" => {
            copies.end(&command, end.status, end.seconds);
            command.clear();
        }
        _ => {}
    })
}

fn unnamed(section: &str) -> String {
    format!("no records are named; see [{section}] in mail-check --print-config")
}

impl Scan {
    fn count(&mut self, verdict: Verdict) {
        match verdict.status {
            VerdictStatus::Clean => self.clean += 1,
            VerdictStatus::Infected => self.infected += 1,
            VerdictStatus::Unscanned => self.unscanned += 1,
        }
        if verdict.status != VerdictStatus::Clean && self.shown.len() < MAX_SHOWN {
            self.shown.push(verdict);
        }
    }
}

impl Push {
    fn count(&mut self, transfer: Transfer) {
        *self.by_action.entry(transfer.action).or_default() += 1;
        self.files += 1;
        self.bytes += transfer.bytes;
        self.set.get_or_insert(transfer.set);
        self.locked_until = transfer.locked_until.or(self.locked_until.take());
    }
}

impl Copies {
    fn begin(&mut self, command: &str, began: String, set: Option<String>) {
        match command {
            "push" => {
                self.push = Some(RunOf {
                    began,
                    facts: Push {
                        set,
                        ..Push::default()
                    },
                    ..RunOf::default()
                });
            }
            "list" => {
                self.sets = Some(RunOf {
                    began,
                    ..RunOf::default()
                });
            }
            "usage" => {
                self.usage = Some(RunOf {
                    began,
                    ..RunOf::default()
                });
            }
            _ => {}
        }
    }

    fn end(&mut self, command: &str, status: EndStatus, seconds: f64) {
        match command {
            "push" => finish(self.push.as_mut(), status, seconds),
            "list" => finish(self.sets.as_mut(), status, seconds),
            "usage" => finish(self.usage.as_mut(), status, seconds),
            _ => {}
        }
    }
}

fn finish<T>(run: Option<&mut RunOf<T>>, status: EndStatus, seconds: f64) {
    if let Some(run) = run {
        (run.status, run.seconds) = (Some(status), seconds);
    }
}

/// Hands over each record that is known, as far as the file can be read; why not to its end.
fn each(path: &Path, mut see: impl FnMut(Record)) -> Result<(), String> {
    let file = trusted::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{}: there are no records yet", path.display()),
        _ => format!("{}: it cannot be read: {error}", path.display()),
    })?;
    for line in RecordReader::new(BufReader::new(file)) {
        let line = line.map_err(|error| {
            let why = chain(&error);
            format!("{}: what follows is not shown: {why}", path.display())
        })?;
        line.record.into_iter().for_each(&mut see);
    }
    Ok(())
}
