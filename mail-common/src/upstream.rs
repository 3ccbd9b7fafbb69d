//! What came by pipe: the tools that ran before this one and how each ended, what they saved, and
//! what a scanner found in it.

use std::path::{Path, PathBuf};

use crate::record::{Artifact, Begin, End, EndStatus, Record, Verdict};

/// The tool whose verdicts count.
pub const SCANNER: &str = "mail-scan";

/// The tool whose exit codes are those of Nagios.
pub const CHECKER: &str = "mail-check";

/// What a stream of records holds of sets and of scans.
#[derive(Clone, Debug, Default)]
pub struct Upstream {
    /// The tools, in the order in which they began.
    pub runs: Runs,
    /// The files that were saved, in order.
    pub artifacts: Vec<Artifact>,
    /// The verdicts on them, in order.
    pub verdicts: Vec<Statement>,
}

/// A verdict, and whether a scanner gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The verdict.
    pub verdict: Verdict,
    /// Whose it is: a tool writes its own records after those that it passes on, while it is the
    /// innermost run that has not ended. Without a run that is open, it is nobody's.
    pub is_of_scanner: bool,
}

/// A set, as records name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SetName<'a> {
    /// The directory that holds the sets.
    pub root: &'a str,
    /// The set in it.
    pub set: &'a str,
}

impl Upstream {
    /// Takes the next record of the stream.
    pub fn add(&mut self, record: Record) {
        self.runs.add(&record);
        match record {
            Record::Artifact(artifact) => self.artifacts.push(artifact),
            Record::Verdict(verdict) => self.verdicts.push(Statement {
                verdict,
                is_of_scanner: self
                    .runs
                    .innermost()
                    .is_some_and(|run| run.begin.tool == SCANNER),
            }),
            _ => {}
        }
    }

    /// The sets that artifacts name, each once.
    #[must_use]
    pub fn saved_sets(&self) -> Vec<SetName<'_>> {
        distinct(self.artifacts.iter().map(SetName::of_artifact))
    }

    /// The sets that artifacts or verdicts name, each once.
    #[must_use]
    pub fn named_sets(&self) -> Vec<SetName<'_>> {
        let saved = self.artifacts.iter().map(SetName::of_artifact);
        distinct(saved.chain(self.scanned_sets()))
    }

    fn scanned_sets(&self) -> impl Iterator<Item = SetName<'_>> {
        self.verdicts
            .iter()
            .filter_map(|statement| SetName::of_verdict(&statement.verdict))
    }
}

impl<'a> SetName<'a> {
    fn of_artifact(artifact: &'a Artifact) -> Self {
        Self {
            root: &artifact.root,
            set: &artifact.set,
        }
    }

    /// `None` where what was scanned is in no set.
    pub(crate) fn of_verdict(verdict: &'a Verdict) -> Option<Self> {
        Some(Self {
            root: verdict.root.as_deref()?,
            set: verdict.set.as_deref()?,
        })
    }

    /// Its directory.
    #[must_use]
    pub fn directory(self) -> PathBuf {
        Path::new(self.root).join(self.set)
    }
}

fn distinct<'a>(names: impl Iterator<Item = SetName<'a>>) -> Vec<SetName<'a>> {
    let mut found = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// The runs of tools that a stream holds.
#[derive(Clone, Debug, Default)]
pub struct Runs(Vec<ToolRun>);

/// A run of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolRun {
    /// How it began.
    pub begin: Begin,
    /// How it ended; `None` while it has not, or when it died.
    pub end: Option<End>,
}

impl Runs {
    /// Takes the next record of the stream; only `begin` and `end` count here.
    pub fn add(&mut self, record: &Record) {
        match record {
            Record::Begin(begin) => self.0.push(ToolRun {
                begin: begin.clone(),
                end: None,
            }),
            Record::End(end) => self.close(end),
            _ => {}
        }
    }

    /// An `end` is that of the last run of its tool that has none.
    fn close(&mut self, end: &End) {
        let mut open = self.0.iter_mut().rev().filter(|run| run.end.is_none());
        if let Some(run) = open.find(|run| run.begin.tool == end.tool) {
            run.end = Some(end.clone());
        }
    }

    /// The run that began last of those that have not ended.
    fn innermost(&self) -> Option<&ToolRun> {
        self.0.iter().rev().find(|run| run.end.is_none())
    }

    /// In the order in which they began.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &ToolRun> {
        self.0.iter()
    }

    /// Those of one tool, in the order in which they began.
    pub fn of<'a>(&'a self, tool: &'a str) -> impl DoubleEndedIterator<Item = &'a ToolRun> {
        self.iter().filter(move |run| run.begin.tool == tool)
    }
}

/// How a run of a tool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All was done, and the answer is good.
    Good,
    /// All was done, and the answer is bad.
    Bad,
    /// A part failed, and the others were done.
    Partial,
    /// Another run held the lock; nothing was done.
    Locked,
    /// It could not start or could not finish: its records may not hold.
    Unfinished,
    /// It left no `end` record.
    Died,
}

impl ToolRun {
    /// How it ended.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.end.as_ref().map_or(Ending::Died, Ending::of)
    }
}

impl Ending {
    /// What an `end` record says. The exit code decides: it is what the caller of the tool saw. The
    /// status tells apart what one code stands for.
    #[must_use]
    pub fn of(end: &End) -> Self {
        match (end.exit, end.status) {
            (0, _) => Self::Good,
            (1, EndStatus::Incomplete) => Self::Partial,
            (1, EndStatus::Ok | EndStatus::Bad) => Self::Bad,
            (2, EndStatus::Bad) if end.tool == CHECKER => Self::Bad,
            (4, _) => Self::Locked,
            _ => Self::Unfinished,
        }
    }

    /// Whether what it reported on the way holds.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        match self {
            Self::Good | Self::Bad | Self::Partial => true,
            Self::Locked | Self::Unfinished | Self::Died => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn end(tool: &str, exit: u8, status: EndStatus) -> End {
        End {
            tool: tool.into(),
            status,
            exit,
            seconds: 1.0,
            totals: BTreeMap::new(),
        }
    }

    #[test]
    fn the_exit_code_says_how_a_run_ended() {
        use EndStatus::{Bad, Incomplete, Ok};
        for (tool, exit, status, expected) in [
            ("mail-scan", 0, Ok, Ending::Good),
            ("mail-scan", 1, Bad, Ending::Bad),
            ("mail-scan", 1, Incomplete, Ending::Partial),
            ("mail-scan", 2, Incomplete, Ending::Unfinished),
            ("mail-scan", 2, Bad, Ending::Unfinished),
            ("mail-scan", 3, Incomplete, Ending::Unfinished),
            // A code that is not known, and a status that contradicts the code.
            ("mail-scan", 3, Ok, Ending::Unfinished),
            ("mail-scan", 137, Ok, Ending::Unfinished),
            ("mail-backup", 4, Incomplete, Ending::Locked),
            ("mail-check", 1, Bad, Ending::Bad),
            ("mail-check", 2, Bad, Ending::Bad),
            ("mail-check", 2, Incomplete, Ending::Unfinished),
            ("mail-check", 3, Incomplete, Ending::Unfinished),
        ] {
            let ending = Ending::of(&end(tool, exit, status));
            assert_eq!(ending, expected, "{tool} {exit} {status:?}");
        }
    }

    #[test]
    fn an_end_closes_the_last_open_run_of_its_tool() {
        let begin = |time: &str| {
            Record::Begin(Begin {
                v: 1,
                tool: SCANNER.into(),
                version: "1".into(),
                host: "mx".into(),
                time: time.into(),
                args: Vec::new(),
                set: None,
                root: None,
                wanted: None,
                previous: None,
            })
        };
        let mut runs = Runs::default();
        runs.add(&begin("outer"));
        runs.add(&begin("inner"));
        assert_eq!(runs.innermost().unwrap().begin.time, "inner");
        runs.add(&Record::End(end(SCANNER, 3, EndStatus::Incomplete)));
        assert_eq!(runs.innermost().unwrap().begin.time, "outer");
        runs.add(&Record::End(end(SCANNER, 0, EndStatus::Ok)));
        assert_eq!(runs.innermost(), None);
        let endings: Vec<Ending> = runs.of(SCANNER).map(ToolRun::ending).collect();
        assert_eq!(endings, [Ending::Good, Ending::Unfinished]);
    }
}
