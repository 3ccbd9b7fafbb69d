//! `manifest.jsonl`: the records of the run that made a set, `begin` first and `end` last.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::beneath;
use crate::failure::{Failed, Failure, FailureKind};
use crate::jsonl::{self, RecordReader, RecordWriter};
use crate::record::{
    Alarm, Artifact, Begin, Canary, Changes, DatabaseRows, End, ErrorRecord, MailboxChanges,
    Record, WatchedFile,
};
use crate::relpath::RelPath;
use crate::set::Component;

/// The longest manifest that is written and read. Who can write to the disk could forge one that
/// fills the memory of whoever looks at the set.
pub const MAX_BYTES: u64 = 128 << 20;

/// The most files that a set with a manifest has: those of some ten thousand busy mailboxes.
pub const MAX_FILES: usize = 300_000;

/// What a run recorded of the set that it made.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// How the run began.
    pub begin: Begin,
    /// What has changed since the sets before.
    pub day: DayRecords,
    /// The files of the set, in the order in which they were recorded.
    pub artifacts: Vec<Artifact>,
    /// What failed.
    pub errors: Vec<ErrorRecord>,
    /// How the run ended.
    pub end: End,
}

/// What a run recorded of the changes since the sets before it. These records follow `begin`, so
/// that who looks for them need not read the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DayRecords {
    /// What was not as on an ordinary day.
    pub alarms: Vec<Alarm>,
    /// All mailboxes together; `None` where nothing was compared, and in sets of earlier versions.
    pub changes: Option<Changes>,
    /// The mailboxes in which anything has changed.
    pub mailboxes: Vec<MailboxChanges>,
    /// The message that nobody touches, where there is one.
    pub canary: Option<Canary>,
    /// The databases that were saved.
    pub databases: Vec<DatabaseRows>,
    /// Private keys, and files of the Compose project.
    pub watched: Vec<WatchedFile>,
}

/// How a manifest begins.
#[derive(Clone, Debug, PartialEq)]
pub struct ManifestHead {
    /// How the run began.
    pub begin: Begin,
    /// What has changed since the sets before.
    pub day: DayRecords,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened.
    #[error(transparent)]
    Open(#[from] Failed),
    /// A line is damaged or the file was cut; the source says which and how.
    #[error("read manifest {}", path.display())]
    Read {
        /// The manifest.
        path: PathBuf,
        /// The cause.
        source: jsonl::Error,
    },
    /// It was written by a newer version.
    #[error("manifest {} is of version {found}; update this tool", path.display())]
    NewerVersion {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// It is larger than [`MAX_BYTES`], or names more than [`MAX_FILES`].
    #[error(
        "manifest {} has over {} MiB or {MAX_FILES} files, as no set of mail-backup; use another \
         set",
        path.display(),
        MAX_BYTES >> 20
    )]
    TooLarge {
        /// The manifest.
        path: PathBuf,
    },
    /// The first record is not `begin`.
    #[error("manifest {} does not start with a `begin` record", path.display())]
    NoBegin {
        /// The manifest.
        path: PathBuf,
    },
    /// The last record is not `end`.
    #[error("manifest {} does not finish with an `end` record", path.display())]
    NoEnd {
        /// The manifest.
        path: PathBuf,
    },
}

impl Error {
    fn of_line(error: jsonl::Error, path: &Path) -> Self {
        let path = path.to_owned();
        match error {
            jsonl::Error::NewerVersion { found, .. } => Self::NewerVersion { path, found },
            jsonl::Error::NoBegin | jsonl::Error::UnmatchedEnd { .. } => Self::NoBegin { path },
            jsonl::Error::NoEnd { .. } => Self::NoEnd { path },
            source => Self::Read { path, source },
        }
    }
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Open(failed) => failed.kind(),
            Self::Read {
                source: jsonl::Error::Read { source, .. },
                ..
            } => FailureKind::of_io(source),
            Self::NewerVersion { .. } => FailureKind::Unsupported,
            Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::NoBegin { .. }
            | Self::NoEnd { .. } => FailureKind::Damaged,
        }
    }
}

impl Manifest {
    /// Reads the manifest at `path`. Records of other types are skipped.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, cut or too large, or is of a newer version.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::collect(open(path)?, path)
    }

    /// Reads a manifest from `input`; `path` is for messages.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn read_from(input: impl BufRead, path: &Path) -> Result<Self, Error> {
        Self::collect(input, path)
    }

    fn collect(input: impl BufRead, path: &Path) -> Result<Self, Error> {
        let mut artifacts = Vec::new();
        let mut keep = |artifact| {
            artifacts.push(artifact);
            Ok::<(), Error>(())
        };
        let run = each_artifact_of(input, path, &mut keep)?;
        Ok(Self {
            begin: run.begin,
            day: run.day,
            artifacts,
            errors: run.errors,
            end: run.end,
        })
    }

    /// Writes the records: `begin`, alarms, changes, what else is watched, artifacts, errors,
    /// `end`.
    ///
    /// # Errors
    /// As the writer.
    pub fn write_to(&self, output: &mut impl Write) -> Result<(), jsonl::Error> {
        let mut writer = RecordWriter::new(output);
        writer.write(&Record::Begin(self.begin.clone()))?;
        for record in self.day.records() {
            writer.write(&record)?;
        }
        for artifact in &self.artifacts {
            writer.write(&Record::Artifact(artifact.clone()))?;
        }
        for error in &self.errors {
            writer.write(&Record::Error(error.clone()))?;
        }
        writer.write(&Record::End(self.end.clone()))
    }

    /// The artifact at `path`, relative to the set.
    #[must_use]
    pub fn artifact(&self, path: &RelPath) -> Option<&Artifact> {
        self.artifacts
            .iter()
            .find(|artifact| RelPath::try_from(&artifact.path).is_ok_and(|found| found == *path))
    }

    /// The components that have an artifact, in the order of [`Component::ALL`].
    #[must_use]
    pub fn components(&self) -> Vec<Component> {
        let is_present =
            |component: &Component| self.artifacts.iter().any(|a| a.component == *component);
        Component::ALL.into_iter().filter(is_present).collect()
    }

    /// What a complete set held when this one was made.
    #[must_use]
    pub fn wanted(&self) -> Vec<Component> {
        wanted(&self.begin)
    }

    /// Whether the set holds every component that a complete one held when it was made.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let held = self.components();
        !held.is_empty()
            && self
                .wanted()
                .iter()
                .all(|component| held.contains(component))
    }

    /// The size of all artifacts together.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.artifacts
            .iter()
            .fold(0, |sum, artifact| sum.saturating_add(artifact.bytes))
    }
}

impl DayRecords {
    /// As they are written.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let alarms = self.alarms.iter().cloned().map(Record::Alarm);
        let changes = self.changes.iter().cloned().map(Record::Changes);
        let mailboxes = self.mailboxes.iter().cloned().map(Record::Mailbox);
        let canary = self.canary.iter().cloned().map(Record::Canary);
        let databases = self.databases.iter().cloned().map(Record::Database);
        let watched = self.watched.iter().cloned().map(Record::Watched);
        let others = canary.chain(databases).chain(watched);
        alarms.chain(changes).chain(mailboxes).chain(others)
    }

    /// Takes `record` if it is one of these. Gives it back if it is not.
    fn take(&mut self, record: Record) -> Option<Record> {
        match record {
            Record::Alarm(alarm) => self.alarms.push(alarm),
            Record::Changes(changes) => self.changes = Some(changes),
            Record::Mailbox(mailbox) => self.mailboxes.push(mailbox),
            Record::Canary(canary) => self.canary = Some(canary),
            Record::Database(database) => self.databases.push(database),
            Record::Watched(file) => self.watched.push(file),
            other => return Some(other),
        }
        None
    }

    fn are_too_many(&self) -> bool {
        let counts = [
            self.alarms.len(),
            self.mailboxes.len(),
            self.databases.len(),
            self.watched.len(),
        ];
        counts.iter().sum::<usize>() > MAX_FILES
    }
}

impl ManifestHead {
    /// Reads the beginning of the manifest at `path`, up to its first file.
    ///
    /// # Errors
    /// When that cannot be read, is damaged or too large, or is of a newer version.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut reader = RecordReader::new(open(path)?);
        let mut head = Self {
            begin: begin_of(&mut reader, path)?,
            day: DayRecords::default(),
        };
        for line in reader {
            let record = line.map_err(|error| Error::of_line(error, path))?.record;
            let other = record.and_then(|record| head.day.take(record));
            if matches!(
                other,
                Some(Record::Artifact(_) | Record::Error(_) | Record::End(_))
            ) {
                return Ok(head);
            }
            if head.day.are_too_many() {
                return Err(Error::TooLarge {
                    path: path.to_owned(),
                });
            }
        }
        Err(Error::NoEnd {
            path: path.to_owned(),
        })
    }
}

fn begin_of(reader: &mut RecordReader<impl BufRead>, path: &Path) -> Result<Begin, Error> {
    let first = reader.next().transpose();
    let first = first.map_err(|error| Error::of_line(error, path))?;
    match first.and_then(|line| line.record) {
        Some(Record::Begin(begin)) => Ok(begin),
        _ => Err(Error::NoBegin {
            path: path.to_owned(),
        }),
    }
}

/// What a manifest says beside the artifacts.
struct Run {
    begin: Begin,
    day: DayRecords,
    errors: Vec<ErrorRecord>,
    end: End,
}

/// Hands over each artifact of the manifest at `path`, and gives the record of how the run began.
/// The first one that `take` refuses ends it, and none is kept here, so that a forged manifest does
/// not fill the memory.
///
/// # Errors
/// As [`Manifest::read`], and as `take`.
pub(crate) fn each_artifact<E: From<Error>>(
    path: &Path,
    mut take: impl FnMut(Artifact) -> Result<(), E>,
) -> Result<Begin, E> {
    let run = each_artifact_of(open(path)?, path, &mut take)?;
    Ok(run.begin)
}

fn open(path: &Path) -> Result<impl BufRead, Error> {
    let file = beneath::regular_file(path).map_err(Failed::at("open manifest", path))?;
    must_be_short(&file, path)?;
    Ok(BufReader::new(file.take(MAX_BYTES)))
}

/// Refuses a manifest that is larger than [`MAX_BYTES`].
///
/// # Errors
/// [`Error::TooLarge`], or as fstat(2).
pub(crate) fn must_be_short(file: &File, path: &Path) -> Result<(), Error> {
    let metadata = file.metadata();
    let bytes = metadata.map_err(Failed::at("open manifest", path))?.len();
    if bytes > MAX_BYTES {
        return Err(Error::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(())
}

fn each_artifact_of<E: From<Error>>(
    input: impl BufRead,
    path: &Path,
    take: &mut impl FnMut(Artifact) -> Result<(), E>,
) -> Result<Run, E> {
    let path_of = || path.to_owned();
    let mut reader = RecordReader::new(input);
    let begin = begin_of(&mut reader, path)?;
    let mut day = DayRecords::default();
    let (mut files, mut errors, mut end) = (0, Vec::new(), None);
    for line in reader.by_ref() {
        if end.is_some() {
            return Err(Error::NoEnd { path: path_of() }.into());
        }
        let record = line.map_err(|error| Error::of_line(error, path))?.record;
        if day.are_too_many() {
            return Err(Error::TooLarge { path: path_of() }.into());
        }
        match record.and_then(|record| day.take(record)) {
            Some(Record::Artifact(_)) if files == MAX_FILES => {
                return Err(Error::TooLarge { path: path_of() }.into());
            }
            Some(Record::Artifact(artifact)) => {
                files += 1;
                take(artifact)?;
            }
            Some(Record::Error(error)) => errors.push(error),
            Some(Record::End(last)) => end = Some(last),
            _ => {}
        }
    }
    let whole = reader.finish();
    whole.map_err(|error| Error::of_line(error, path))?;
    let end = end.ok_or_else(|| Error::NoEnd { path: path_of() })?;
    Ok(Run {
        begin,
        day,
        errors,
        end,
    })
}

/// What a complete set held when the run that `begin` records made it.
#[must_use]
pub fn wanted(begin: &Begin) -> Vec<Component> {
    let wanted = begin.wanted.clone();
    wanted.unwrap_or_else(|| Component::ALL.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BEGIN: &str = r#"{"type":"begin","data":{"v":1,"tool":"mail-backup","version":"0.1.0","host":"h","time":"2026-11-23T03:00:00+09:00","args":[]}}"#;
    const ARTIFACT: &str = r#"{"type":"artifact","data":{"root":"/b","set":"daily/2026-11-23","component":"mysql","path":"mysql/a.sql.zst","bytes":7,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","entries":1,"source_bytes":9,"reused":false}}"#;
    const ERROR: &str = r#"{"type":"error","data":{"component":"ssl","message":"m","causes":[]}}"#;
    const END: &str = r#"{"type":"end","data":{"tool":"mail-backup","status":"incomplete","exit":1,"seconds":2.5,"totals":{"bytes":7}}}"#;

    fn read(lines: &[&str]) -> Result<Manifest, Error> {
        Manifest::read_from(lines.join("\n").as_bytes(), Path::new("/b/manifest.jsonl"))
    }

    fn check_refused(lines: &[&str], expected: &str) {
        assert_eq!(crate::report::chain(&read(lines).unwrap_err()), expected);
    }

    #[test]
    fn what_is_read_is_written_alike() {
        let manifest = read(&[BEGIN, ARTIFACT, ERROR, END]).unwrap();
        let mut written = Vec::new();
        manifest.write_to(&mut written).unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            [BEGIN, ARTIFACT, ERROR, END, ""].join("\n")
        );
        assert_eq!(manifest.components(), [Component::Mysql]);
        assert_eq!(manifest.total_bytes(), 7);
        assert!(
            manifest
                .artifact(&"mysql/a.sql.zst".parse().unwrap())
                .is_some()
        );
        assert!(
            manifest
                .artifact(&"mysql/b.sql.zst".parse().unwrap())
                .is_none()
        );
    }

    #[test]
    fn records_of_later_versions_of_tools_are_skipped() {
        assert!(read(&[BEGIN, r#"{"type":"later","data":1}"#, END]).is_ok());
    }

    #[test]
    fn a_manifest_that_is_not_whole_is_refused() {
        check_refused(
            &[],
            "manifest /b/manifest.jsonl does not start with a `begin` record",
        );
        check_refused(
            &[ARTIFACT, END],
            "manifest /b/manifest.jsonl does not start with a `begin` record",
        );
        check_refused(
            &[BEGIN, ARTIFACT],
            "manifest /b/manifest.jsonl does not finish with an `end` record",
        );
        check_refused(
            &[BEGIN, END, ARTIFACT],
            "manifest /b/manifest.jsonl does not finish with an `end` record",
        );
        let newer = BEGIN.replace("\"v\":1", "\"v\":2");
        check_refused(
            &[&newer, END],
            "manifest /b/manifest.jsonl is of version 2; update this tool",
        );
        let damaged = ARTIFACT.replace("\"bytes\":7", "\"bytes\":\"7\"");
        let message = crate::report::chain(&read(&[BEGIN, &damaged, END]).unwrap_err());
        assert!(
            message
                .starts_with("read manifest /b/manifest.jsonl: read records line 2: invalid type"),
            "{message}"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Manifest::read(Path::new("/nonexistent/manifest.jsonl")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "open manifest /nonexistent/manifest.jsonl"
        );
    }

    proptest! {
        #[test]
        fn a_cut_manifest_is_never_taken_for_whole(cut in 0usize..800) {
            let text = [BEGIN, ARTIFACT, ERROR, END].join("\n");
            if let Some(part) = text.as_bytes().get(..cut).filter(|part| part.len() < text.len()) {
                prop_assert!(Manifest::read_from(part, Path::new("m")).is_err());
            }
        }
    }
}
