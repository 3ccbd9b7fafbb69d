//! A run from its `begin` record to its `end`: the records on stdout, the report on stderr, and the
//! exit code.

use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::args::Format;
use super::opening::{Opening, Tool};
use super::table::Table;
use super::totals::Totals;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::jsonl::{self, Line, RecordReader, RecordWriter};
use crate::record::{self, Begin, End, ErrorRecord, Record};
use crate::relpath::{PathField, RelPath};
use crate::report::{self, Report};
use crate::set::Component;

/// A run that has begun. It is shared by reference between threads, and ends with
/// [`Session::finish`].
#[derive(Debug)]
pub struct Session {
    /// What people see of the run.
    pub report: Report,
    tool: Tool,
    begin: Begin,
    started: Instant,
    output: Mutex<Output>,
    error_count: AtomicU64,
    kept_errors: Mutex<Option<Vec<ErrorRecord>>>,
    done: Mutex<Option<Done>>,
}

/// What a run changed, for stderr when no record of it can be written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Done(String);

impl Session {
    /// Writes the `begin` record to stdout, as JSON or as a line for people.
    ///
    /// A stdout that cannot be written does not stop the work; the exit code of
    /// [`Session::finish`] tells.
    #[must_use]
    pub fn start(opening: Opening, format: Format, report: Report) -> Self {
        let stdout: Box<dyn Write + Send> = Box::new(io::stdout());
        let sink = match format {
            Format::Auto if io::stdout().is_terminal() => Sink::Text(table(stdout)),
            Format::Text => Sink::Text(table(stdout)),
            Format::Auto | Format::Jsonl => Sink::Jsonl(RecordWriter::new(stdout)),
            Format::Nagios => Sink::Plain(stdout),
        };
        Self::start_with(opening, report, sink)
    }

    /// The same, with records as JSON to `output` and the rest to `report`.
    #[cfg(test)]
    fn start_jsonl(opening: Opening, report: Report, output: impl Write + Send + 'static) -> Self {
        Self::start_with(
            opening,
            report,
            Sink::Jsonl(RecordWriter::new(Box::new(output))),
        )
    }

    fn start_with(opening: Opening, report: Report, sink: Sink) -> Self {
        let session = Self {
            report,
            tool: opening.tool,
            begin: begin_of(opening),
            started: Instant::now(),
            output: Mutex::new(Output {
                sink,
                failed: false,
            }),
            error_count: AtomicU64::new(0),
            kept_errors: Mutex::default(),
            done: Mutex::default(),
        };
        session.emit(&Record::Begin(session.begin.clone()));
        session
    }

    /// The `begin` record, as it was written.
    #[must_use]
    pub fn begin(&self) -> &Begin {
        &self.begin
    }

    /// Writes a record.
    pub fn emit(&self, record: &Record) {
        self.write(|sink| sink.record(record));
    }

    /// Whether stdout is for lines that the tool prints itself, and for no record.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        matches!(lock(&self.output).sink, Sink::Plain(_))
    }

    /// Prints lines on a stdout that is [plain](Session::is_plain).
    pub fn print(&self, lines: &str) {
        self.write(|sink| match sink {
            Sink::Plain(output) => output
                .write_all(lines.as_bytes())
                .map_err(jsonl::Error::Write),
            Sink::Jsonl(_) | Sink::Text(_) => Ok(()),
        });
    }

    /// Passes the records of the upstream on to their end, in order, each before `take` sees what
    /// it says. As JSON a line is untouched; for people it is a row when its type is known.
    ///
    /// # Errors
    /// A damaged line, or an upstream that ended without its `end` record. What came before was
    /// passed on and taken; it is for the caller to decide whether that is worth anything.
    pub fn pass_all(
        &self,
        upstream: impl BufRead,
        mut take: impl FnMut(Record),
    ) -> Result<(), jsonl::Error> {
        let mut reader = RecordReader::new(upstream);
        for line in reader.by_ref() {
            let line = line?;
            self.write(|sink| sink.line(&line));
            if let Some(record) = line.record {
                take(record);
            }
        }
        reader.finish()
    }

    /// Reports on stderr and in the records that something failed. The caller goes on, and ends
    /// with the right [`Exit`].
    pub fn fail(
        &self,
        component: Option<Component>,
        path: Option<&RelPath>,
        failure: &dyn Failure,
    ) {
        self.report.error(failure);
        let record = error_record(component, path, failure);
        self.error_count.fetch_add(1, Ordering::Relaxed);
        if let Some(kept) = &mut *lock(&self.kept_errors) {
            kept.push(record.clone());
        }
        self.emit(&Record::Error(record));
    }

    /// Keeps what fails from now on, for the manifest of a set. Nobody else does: every file of a
    /// forged set may fail.
    pub fn keep_errors(&self) {
        lock(&self.kept_errors).get_or_insert_default();
    }

    /// What failed since [`Session::keep_errors`], in order.
    #[must_use]
    pub fn errors(&self) -> Vec<ErrorRecord> {
        lock(&self.kept_errors).clone().unwrap_or_default()
    }

    /// How often something failed.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.error_count.load(Ordering::Relaxed)
    }

    /// The `end` record of a run that ended now; for the manifest of a set, which is written before
    /// the run ends.
    #[must_use]
    pub fn end(&self, exit: Exit, totals: Totals) -> End {
        End {
            tool: self.begin.tool.clone(),
            status: exit.status(),
            exit: exit.code(),
            seconds: self.started.elapsed().as_millis() as f64 / 1000.0,
            totals: totals.into(),
        }
    }

    /// Says for people what the run has done, and keeps it as [`Session::has_done`] does.
    pub fn sum_up(&self, done: impl Into<String>) {
        let done = done.into();
        self.report.summary(&done);
        self.has_done(done);
    }

    /// What the run has changed, beside what it said before, for the last line on stderr when
    /// stdout could not be written: the exit code is then that of a run that could not finish,
    /// which reads as if nothing was done.
    pub fn has_done(&self, done: impl Into<String>) {
        let mut kept = lock(&self.done);
        *kept = Some(Done(match kept.take() {
            None => done.into(),
            Some(Done(before)) => format!("{before}; {}", done.into()),
        }));
    }

    /// Ends the run with its result. A failure is recorded first.
    pub fn conclude(self, result: Result<(Exit, Totals), impl Failure>) -> ExitCode {
        let (exit, totals) = result.unwrap_or_else(|failure| {
            self.fail(None, None, &failure);
            ((self.tool.exit_of)(failure.kind()), Totals::default())
        });
        self.finish(exit, totals)
    }

    /// Writes the `end` record and gives the exit code, which is 3 when stdout could not be
    /// written.
    pub fn finish(self, exit: Exit, totals: Totals) -> ExitCode {
        self.finish_as(exit, totals).into()
    }

    fn finish_as(self, exit: Exit, totals: Totals) -> Exit {
        self.emit(&Record::End(self.end(exit, totals)));
        self.write(Sink::finish);
        if lock(&self.output).failed {
            if let Some(done) = lock(&self.done).as_ref() {
                self.report.error(done);
            }
            Exit::Unfinished
        } else {
            exit
        }
    }

    /// Says once that stdout cannot be written, and writes no more to it.
    fn write(&self, write: impl FnOnce(&mut Sink) -> Result<(), jsonl::Error>) {
        let mut output = lock(&self.output);
        if output.failed {
            return;
        }
        let result = output.put(&self.report, write);
        drop(output);
        if let Err(error) = result {
            self.report.error(&error);
        }
    }
}

/// Where records go.
#[derive(Debug)]
struct Output {
    sink: Sink,
    failed: bool,
}

impl Output {
    fn put(
        &mut self,
        report: &Report,
        write: impl FnOnce(&mut Sink) -> Result<(), jsonl::Error>,
    ) -> Result<(), jsonl::Error> {
        let result = match &mut self.sink {
            Sink::Jsonl(_) | Sink::Plain(_) => write(&mut self.sink),
            // The table and the bars may share a terminal.
            Sink::Text(_) => report.suspend(|| write(&mut self.sink)),
        };
        self.failed = result.is_err();
        result
    }
}

/// How records are written.
enum Sink {
    Jsonl(RecordWriter<Box<dyn Write + Send>>),
    Text(Table<Box<dyn Write + Send>>),
    /// No records: lines that the tool prints itself.
    Plain(Box<dyn Write + Send>),
}

impl Sink {
    fn record(&mut self, record: &Record) -> Result<(), jsonl::Error> {
        match self {
            Self::Jsonl(writer) => writer.write(record),
            Self::Text(table) => table.add(record).map_err(jsonl::Error::Write),
            Self::Plain(_) => Ok(()),
        }
    }

    fn line(&mut self, line: &Line) -> Result<(), jsonl::Error> {
        match (self, &line.record) {
            (Self::Jsonl(writer), _) => writer.pass(line),
            (Self::Text(table), Some(record)) => table.add(record).map_err(jsonl::Error::Write),
            (Self::Text(_), None) | (Self::Plain(_), _) => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), jsonl::Error> {
        match self {
            Self::Jsonl(_) => Ok(()),
            Self::Text(table) => table.flush().map_err(jsonl::Error::Write),
            Self::Plain(output) => output.flush().map_err(jsonl::Error::Write),
        }
    }
}

/// A table as wide as the terminal, where stdout is one.
fn table(stdout: Box<dyn Write + Send>) -> Table<Box<dyn Write + Send>> {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    let columns = size.ok().map(|size| usize::from(size.ws_col));
    Table::new(stdout, columns.filter(|columns| *columns > 0))
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jsonl(_) => "Jsonl",
            Self::Text(_) => "Text",
            Self::Plain(_) => "Plain",
        })
    }
}

fn begin_of(opening: Opening) -> Begin {
    Begin {
        v: record::VERSION,
        tool: opening.tool.name.to_owned(),
        version: opening.tool.version.to_owned(),
        host: rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        time: record::timestamp(&opening.time),
        args: opening.args,
        set: opening.subject.set,
        root: opening.subject.root,
        wanted: None,
        previous: None,
    }
}

fn error_record(
    component: Option<Component>,
    path: Option<&RelPath>,
    failure: &dyn Failure,
) -> ErrorRecord {
    let (path, path_b64) = match path.map(PathField::from) {
        Some(field) => (Some(field.path), field.path_b64),
        None => (None, None),
    };
    ErrorRecord {
        component,
        path,
        path_b64,
        kind: Some(failure.kind()),
        message: failure.to_string(),
        causes: report::causes(failure).collect(),
    }
}

/// A thread that panicked while it held the lock has left whole values behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::opening::Subject;
    use super::*;
    use crate::failure::FailureKind;
    use crate::report::Verbosity;
    use crate::report::tests::Shared;

    fn opening() -> Opening {
        Opening {
            tool: Tool {
                name: "mail-x",
                version: "1.2.3",
                exit_codes: &[],
                exit_of: FailureKind::exit,
            },
            args: vec!["--daily".into()],
            time: "2026-11-23T03:00:00+09:00[Asia/Tokyo]".parse().unwrap(),
            subject: Subject {
                root: Some("/b".into()),
                set: None,
            },
        }
    }

    fn records(output: &Shared) -> Vec<Record> {
        let text = output.text();
        let mut reader = RecordReader::new(text.as_bytes());
        let records = reader
            .by_ref()
            .map(|line| line.unwrap().record.unwrap())
            .collect();
        reader.finish().unwrap();
        records
    }

    #[test]
    fn a_run_has_its_begin_its_errors_and_its_end() {
        let (output, stderr) = (Shared::default(), Shared::default());
        let report = Report::to_writer("mail-x", Verbosity::Quiet, stderr.clone());
        let session = Session::start_jsonl(opening(), report, output.clone());
        let path = RelPath::new(b"a/\xff").unwrap();
        session.fail(
            Some(Component::Ssl),
            Some(&path),
            &jsonl::Error::Write(io::Error::other("full")),
        );
        assert_eq!((session.error_count(), session.errors().len()), (1, 0));
        session.keep_errors();
        session.fail(None, None, &jsonl::Error::Write(io::Error::other("cut")));
        assert_eq!((session.error_count(), session.errors().len()), (2, 1));
        assert_eq!(
            session.finish_as(Exit::Partial, Totals::from([("errors", 1)])),
            Exit::Partial
        );

        assert_eq!(
            stderr.text(),
            "mail-x: error: write records: full\nmail-x: error: write records: cut\n"
        );
        let records = records(&output);
        let [
            Record::Begin(begin),
            Record::Error(error),
            Record::Error(_),
            Record::End(end),
        ] = &records[..]
        else {
            panic!("{records:?}");
        };
        assert_eq!(
            (begin.time.as_str(), begin.root.as_deref()),
            ("2026-11-23T03:00:00+09:00", Some("/b"))
        );
        assert!(!begin.host.is_empty());
        assert_eq!(
            (error.path.as_deref(), error.path_b64.as_deref()),
            (Some("a/\u{fffd}"), Some("YS//"))
        );
        assert_eq!(
            (error.message.as_str(), &error.causes[..]),
            ("write records", &["full".to_owned()][..])
        );
        assert_eq!(
            (end.exit, end.status, end.totals["errors"]),
            (1, record::EndStatus::Incomplete, 1)
        );
    }

    /// What of `upstream` came out between `begin` and `end`, the tools whose end was taken, and
    /// how it ended.
    fn pass_all(upstream: &str) -> (String, Vec<String>, Result<(), jsonl::Error>) {
        let output = Shared::default();
        let report = Report::to_writer("mail-x", Verbosity::Quiet, Shared::default());
        let session = Session::start_jsonl(opening(), report, output.clone());
        let begin = output.text();
        let mut ended = Vec::new();
        let result = session.pass_all(upstream.as_bytes(), |record| {
            assert!(
                output.text().contains(r#""tool":"a""#),
                "a record is passed on before it is taken"
            );
            if let Record::End(end) = record {
                ended.push(end.tool);
            }
        });
        (output.text()[begin.len()..].to_owned(), ended, result)
    }

    #[test]
    fn the_upstream_is_passed_on_and_taken_as_far_as_it_is_whole() {
        let begin = r#"{"type":"begin","data":{"v":1,"tool":"a","version":"1","host":"h","time":"t","args":[]}}"#;
        let end =
            r#"{"type":"end","data":{"tool":"a","status":"ok","exit":0,"seconds":1,"totals":{}}}"#;
        let whole = format!("{begin}\n {{\"type\":\"later\",  \"x\":1e3}}\n{end}\n");
        let (passed, ended, result) = pass_all(&whole);
        assert_eq!((passed, ended), (whole, vec!["a".to_owned()]));
        result.unwrap();

        let (passed, ended, result) = pass_all(&format!("{begin}\n"));
        assert_eq!((passed, ended), (format!("{begin}\n"), vec![]));
        assert!(matches!(result, Err(jsonl::Error::NoEnd { tool }) if tool == "a"));

        let (passed, ended, result) = pass_all(&format!("{begin}\n{end}\ndamage\n{end}\n"));
        assert_eq!(
            (passed, ended),
            (format!("{begin}\n{end}\n"), vec!["a".to_owned()])
        );
        assert!(matches!(
            result,
            Err(jsonl::Error::Malformed { line: 3, .. })
        ));
    }

    #[test]
    fn a_closed_stdout_is_reported_once_and_is_no_success() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let stderr = Shared::default();
        let session = Session::start_jsonl(
            opening(),
            Report::to_writer("mail-x", Verbosity::Quiet, stderr.clone()),
            writer,
        );
        assert_eq!(
            session.finish_as(Exit::Done, Totals::default()),
            Exit::Unfinished
        );
        assert_eq!(
            stderr.text().matches("the reader has gone away").count(),
            1,
            "{}",
            stderr.text()
        );
    }

    #[test]
    fn what_was_changed_is_printed_when_no_record_can_be_written() {
        let stderr_of = |output: Box<dyn Write + Send>| {
            let stderr = Shared::default();
            let report = Report::to_writer("mail-x", Verbosity::Quiet, stderr.clone());
            let session = Session::start_jsonl(opening(), report, output);
            session.has_done("all is in place");
            session.has_done("two were moved");
            let exit = session.finish_as(Exit::Done, Totals::default());
            (exit, stderr.text())
        };
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (exit, text) = stderr_of(Box::new(writer));
        assert_eq!(exit, Exit::Unfinished);
        let done = "error: all is in place; two were moved\n";
        assert!(text.ends_with(done), "{text}");
        assert_eq!(stderr_of(Box::new(io::sink())), (Exit::Done, String::new()));
    }
}
