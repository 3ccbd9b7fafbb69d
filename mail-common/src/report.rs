//! What people see on stderr: errors, warnings and progress, from any thread.
//!
//! `error:` changed the exit code, `warning:` did not; neither is ever silenced. Progress bars are
//! drawn only on a terminal, and lines are printed above them.

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::text::printable;

/// How much is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// `-q`: errors and warnings.
    Quiet,
    /// Progress and a summary too.
    #[default]
    Normal,
    /// `-v`: what is done, step by step, too.
    Verbose,
    /// `-vv`: every file too.
    Detailed,
}

/// Reports to people on stderr. Clones write to the same place and share the counters.
#[derive(Clone)]
pub struct Report(Arc<Inner>);

struct Inner {
    tool: String,
    verbosity: Verbosity,
    style: Style,
    bars: MultiProgress,
    output: Mutex<Box<dyn Write + Send>>,
    errors: AtomicU64,
    warnings: AtomicU64,
}

/// How a line says what it is, beside its words.
#[derive(Clone, Copy)]
enum Style {
    Plain,
    /// `error:` and `warning:` are coloured.
    Coloured,
    /// A priority stands before it (sd-daemon(3)).
    Journal,
}

/// How much a line matters.
#[derive(Clone, Copy)]
enum Level {
    Error,
    Warning,
    Notice,
    Step,
}

impl Report {
    /// Reports on stderr; with colour and progress bars when that is a terminal and `NO_COLOR` and
    /// `-q` allow, and with priorities when it is the journal of systemd.
    #[must_use]
    pub fn to_stderr(tool: &str, verbosity: Verbosity) -> Self {
        let terminal = io::stderr().is_terminal();
        let bars = match verbosity {
            Verbosity::Quiet => ProgressDrawTarget::hidden(),
            // Hides itself when stderr is not a terminal.
            _ => ProgressDrawTarget::stderr(),
        };
        let style = if terminal && colour_is_welcome() {
            Style::Coloured
        } else if is_journal(
            io::stderr(),
            std::env::var("JOURNAL_STREAM").ok().as_deref(),
        ) {
            Style::Journal
        } else {
            Style::Plain
        };
        Self::new(tool, verbosity, style, bars, Box::new(io::stderr()))
    }

    /// Reports in plain text to `output`; for tests.
    #[must_use]
    pub fn to_writer(
        tool: &str,
        verbosity: Verbosity,
        output: impl Write + Send + 'static,
    ) -> Self {
        Self::new(
            tool,
            verbosity,
            Style::Plain,
            ProgressDrawTarget::hidden(),
            Box::new(output),
        )
    }

    fn new(
        tool: &str,
        verbosity: Verbosity,
        style: Style,
        bars: ProgressDrawTarget,
        output: Box<dyn Write + Send>,
    ) -> Self {
        Self(Arc::new(Inner {
            tool: tool.to_owned(),
            verbosity,
            style,
            bars: MultiProgress::with_draw_target(bars),
            output: Mutex::new(output),
            errors: AtomicU64::new(0),
            warnings: AtomicU64::new(0),
        }))
    }

    /// Prints `error` and its causes on one line and counts it.
    pub fn error(&self, error: &dyn Error) {
        self.0.errors.fetch_add(1, Ordering::Relaxed);
        self.print(Level::Error, &chain(error));
    }

    /// Prints a warning and counts it.
    pub fn warning(&self, message: impl fmt::Display) {
        self.0.warnings.fetch_add(1, Ordering::Relaxed);
        self.print(Level::Warning, &message.to_string());
    }

    /// Prints the summary of the run, unless `-q`.
    pub fn summary(&self, message: impl fmt::Display) {
        self.print_from(Verbosity::Normal, Level::Notice, message);
    }

    /// Prints a step of the work, with `-v`.
    pub fn info(&self, message: impl fmt::Display) {
        self.print_from(Verbosity::Verbose, Level::Step, message);
    }

    /// Prints what is done to one file, with `-vv`.
    pub fn detail(&self, message: impl fmt::Display) {
        self.print_from(Verbosity::Detailed, Level::Step, message);
    }

    /// How many errors were printed.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.0.errors.load(Ordering::Relaxed)
    }

    /// How many warnings were printed.
    #[must_use]
    pub fn warnings(&self) -> u64 {
        self.0.warnings.load(Ordering::Relaxed)
    }

    /// Shows the progress of a piece of work. Without a total it counts, and has no bar.
    #[must_use]
    pub fn progress(&self, label: &str, unit: Unit, total: Option<u64>) -> Progress {
        let bar = self.0.bars.add(ProgressBar::no_length());
        bar.set_prefix(label.to_owned());
        bar.set_style(style(unit, Total::Unknown));
        let progress = Progress { bar, unit };
        if let Some(total) = total {
            progress.set_total(total);
        }
        progress
    }

    /// Runs `write`, which writes to the terminal, while no bar is drawn.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.bars.suspend(write)
    }

    fn print_from(&self, least: Verbosity, level: Level, message: impl fmt::Display) {
        if self.0.verbosity >= least {
            self.print(level, &message.to_string());
        }
    }

    fn print(&self, level: Level, message: &str) {
        let (priority, label) = (self.0.style.priority(level), self.0.style.label(level));
        let line = format!("{priority}{}: {label}{}\n", self.0.tool, printable(message));
        self.suspend(|| {
            let mut output = self.0.output.lock().unwrap_or_else(PoisonError::into_inner);
            // When stderr is closed there is nobody left to tell; the exit code still says it.
            let _ = output
                .write_all(line.as_bytes())
                .and_then(|()| output.flush());
        });
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("tool", &self.0.tool)
            .field("errors", &self.errors())
            .finish_non_exhaustive()
    }
}

/// What a piece of work is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown with a binary unit.
    Bytes,
    /// Rows of databases.
    Rows,
    /// Files.
    Files,
}

/// The progress of one piece of work; its line goes away with it.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    unit: Unit,
}

impl Progress {
    /// Counts what is done, in the unit of the work.
    pub fn advance(&self, count: u64) {
        self.bar.inc(count);
    }

    /// The size of the whole work is known now, so that there can be a bar. 0 is not a size: sets
    /// of the old scripts, for example, record none.
    pub fn set_total(&self, total: u64) {
        if total > 0 {
            self.bar.set_length(total);
            self.bar.set_style(style(self.unit, Total::Known));
        }
    }

    /// Says what is being worked on.
    pub fn message(&self, text: &str) {
        self.bar.set_message(printable(text));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// `error` and its causes, joined with `: `.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        text.push_str(": ");
        text.push_str(&cause);
    }
    text
}

/// The causes of `error`, the nearest first.
pub fn causes(error: &dyn Error) -> impl Iterator<Item = String> {
    std::iter::successors(error.source(), |&cause| cause.source()).map(ToString::to_string)
}

impl Style {
    fn label(self, level: Level) -> &'static str {
        match (level, self) {
            (Level::Error, Self::Coloured) => "\x1b[1;31merror:\x1b[0m ",
            (Level::Error, Self::Plain | Self::Journal) => "error: ",
            (Level::Warning, Self::Coloured) => "\x1b[1;33mwarning:\x1b[0m ",
            (Level::Warning, Self::Plain | Self::Journal) => "warning: ",
            (Level::Notice | Level::Step, _) => "",
        }
    }

    fn priority(self, level: Level) -> &'static str {
        match (self, level) {
            (Self::Plain | Self::Coloured, _) => "",
            (Self::Journal, Level::Error) => "<3>",
            (Self::Journal, Level::Warning) => "<4>",
            (Self::Journal, Level::Notice) => "<5>",
            (Self::Journal, Level::Step) => "<6>",
        }
    }
}

/// Whether `output` is what systemd connected with the journal: `JOURNAL_STREAM` is its device and
/// inode (systemd.exec(5)), and is inherited by programs whose output goes elsewhere.
fn is_journal(output: impl AsFd, stream: Option<&str>) -> bool {
    let Some((device, inode)) = stream.and_then(|stream| stream.split_once(':')) else {
        return false;
    };
    rustix::fs::fstat(output)
        .is_ok_and(|stat| device.parse() == Ok(stat.st_dev) && inode.parse() == Ok(stat.st_ino))
}

/// As <https://no-color.org> has it: set and not empty means no.
fn colour_is_welcome() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether it is known how much there is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Total {
    Known,
    Unknown,
}

fn style(unit: Unit, total: Total) -> ProgressStyle {
    ProgressStyle::with_template(template(unit, total))
        .expect("the templates are constants")
        .progress_chars("=> ")
}

const fn template(unit: Unit, total: Total) -> &'static str {
    match (unit, total) {
        (Unit::Bytes, Total::Known) => {
            "{prefix:12} [{bar:30}] {bytes:>10}/{total_bytes:10} \
             {bytes_per_sec:>12} {eta:>5} {wide_msg}"
        }
        (Unit::Bytes, Total::Unknown) => {
            "{prefix:12} {bytes:>10} {bytes_per_sec:>12} {elapsed:>5} {wide_msg}"
        }
        (Unit::Rows, Total::Known) => {
            "{prefix:12} [{bar:30}] {human_pos:>10}/{human_len} rows {eta:>5} {wide_msg}"
        }
        (Unit::Rows, Total::Unknown) => "{prefix:12} {human_pos:>10} rows {elapsed:>5} {wide_msg}",
        (Unit::Files, Total::Known) => {
            "{prefix:12} [{bar:30}] {human_pos:>10}/{human_len} files {eta:>5} {wide_msg}"
        }
        (Unit::Files, Total::Unknown) => {
            "{prefix:12} {human_pos:>10} files {elapsed:>5} {wide_msg}"
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A place to write to that can be looked at.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Shared {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(data)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("read \u{1b}[2J{name}")]
    struct Outer {
        name: String,
        source: io::Error,
    }

    fn printed(verbosity: Verbosity) -> String {
        let shared = Shared::default();
        let report = Report::to_writer("mail-x", verbosity, shared.clone());
        report.error(&Outer {
            name: "a\nb".into(),
            source: io::Error::other("no such thing"),
        });
        report.warning("odd");
        report.summary("sum");
        report.info("step");
        report.detail("file");
        assert_eq!((report.errors(), report.clone().warnings()), (1, 1));
        shared.text()
    }

    #[test]
    fn the_journal_is_known_by_its_device_and_inode() {
        let file = tempfile::tempfile().unwrap();
        let stat = rustix::fs::fstat(&file).unwrap();
        let own = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(is_journal(&file, Some(&own)));
        let other = format!("{}:{}", stat.st_dev, stat.st_ino + 1);
        for stream in [None, Some(""), Some("8"), Some("a:b"), Some(&*other)] {
            assert!(!is_journal(&file, stream), "{stream:?}");
        }
    }

    #[test]
    fn work_of_unknown_size_has_no_bar_that_could_be_full() {
        let report = Report::to_writer("mail-x", Verbosity::Normal, Shared::default());
        for total in [None, Some(0)] {
            let progress = report.progress("mysql", Unit::Rows, total);
            progress.advance(3);
            assert_eq!((progress.bar.length(), progress.bar.position()), (None, 3));
            progress.set_total(9);
            assert_eq!(progress.bar.length(), Some(9));
        }
        for unit in [Unit::Bytes, Unit::Rows, Unit::Files] {
            assert!(!template(unit, Total::Unknown).contains("{bar"));
            assert!(template(unit, Total::Known).contains("{bar"));
            let has_bytes = template(unit, Total::Unknown).contains("bytes");
            assert_eq!(has_bytes, unit == Unit::Bytes);
            style(unit, Total::Unknown);
            style(unit, Total::Known);
        }
    }

    #[test]
    fn errors_are_never_silenced_and_cannot_forge_lines() {
        let quiet = "mail-x: error: read \\u{1b}[2Ja\\nb: no such thing\nmail-x: warning: odd\n";
        assert_eq!(printed(Verbosity::Quiet), quiet);
        assert_eq!(printed(Verbosity::Normal), format!("{quiet}mail-x: sum\n"));
        assert_eq!(
            printed(Verbosity::Verbose),
            format!("{quiet}mail-x: sum\nmail-x: step\n")
        );
        assert_eq!(
            printed(Verbosity::Detailed),
            format!("{quiet}mail-x: sum\nmail-x: step\nmail-x: file\n")
        );
    }
}
