//! Records as JSON lines: written one by one, read with what this version does not know kept as it
//! is.
//!
//! A tool in a pipeline passes on every line it reads, then adds its own, so that the pairs of
//! `begin` and `end` of several tools are in one stream. Each `begin` needs its `end`: an upstream
//! that ends without it has died.

use std::io::{self, BufRead, Read, Write};

use serde::Deserialize;
use serde::de::Error as _;

use crate::failure::{Failure, FailureKind};
use crate::record::{self, Record};
use crate::text::inert_json;

/// The longest line that is read: 16 MiB. More is not a record but damage, or an attack on memory.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// Why records could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody reads the records any more.
    #[error("write records: the reader has gone away")]
    Closed(#[source] io::Error),
    /// The records could not be written.
    #[error("write records")]
    Write(#[source] io::Error),
    /// The stream could not be read.
    #[error("read records line {line}")]
    Read {
        /// The line, from 1.
        line: u64,
        /// The cause.
        source: io::Error,
    },
    /// The line is longer than [`MAX_LINE_BYTES`].
    #[error("read records line {line}: longer than {MAX_LINE_BYTES} bytes")]
    TooLong {
        /// The line, from 1.
        line: u64,
    },
    /// The line is not a record, or a record of a known type without what it must have.
    #[error("read records line {line}")]
    Malformed {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The records come from a newer tool.
    #[error(
        "read records line {line}: version {found} is newer than {}; update this tool",
        record::VERSION
    )]
    NewerVersion {
        /// The line, from 1.
        line: u64,
        /// The version found.
        found: u64,
    },
    /// An `end` without its `begin`: the head of the stream is missing.
    #[error("read records line {line}: `end` of {tool} without its `begin`")]
    UnmatchedEnd {
        /// The line, from 1.
        line: u64,
        /// The tool that ended.
        tool: String,
    },
    /// The stream holds no run at all: the upstream failed before it began.
    #[error("read records: no `begin` record; the upstream tool has failed or wrote no records")]
    NoBegin,
    /// A tool began and did not end: it died, or the stream was cut.
    #[error(
        "read records: {tool} has ended without its `end` record; it has died or the stream was cut"
    )]
    NoEnd {
        /// The tool.
        tool: String,
    },
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Closed(error) | Self::Write(error) => FailureKind::of_io(error),
            Self::Read { .. }
            | Self::TooLong { .. }
            | Self::Malformed { .. }
            | Self::NewerVersion { .. }
            | Self::UnmatchedEnd { .. }
            | Self::NoBegin
            | Self::NoEnd { .. } => FailureKind::Upstream,
        }
    }
}

/// Writes records, each flushed as it is written.
#[derive(Debug)]
pub(crate) struct RecordWriter<W> {
    inner: W,
}

impl<W: Write> RecordWriter<W> {
    /// Writes to `inner`, which needs no buffer of its own.
    pub(crate) fn new(inner: W) -> Self {
        Self { inner }
    }

    /// Writes one record.
    ///
    /// # Errors
    /// [`Error::Closed`] or [`Error::Write`].
    pub(crate) fn write(&mut self, record: &Record) -> Result<(), Error> {
        let json = serde_json::to_string(record).map_err(|error| Error::Write(error.into()))?;
        self.put_line(&json)
    }

    /// Writes a line as it was read; what would act on a terminal is escaped.
    ///
    /// # Errors
    /// [`Error::Closed`] or [`Error::Write`].
    pub(crate) fn pass(&mut self, line: &Line) -> Result<(), Error> {
        self.put_line(&line.raw)
    }

    /// The inner writer, which has everything that was written.
    #[cfg(test)]
    fn into_inner(self) -> W {
        self.inner
    }

    fn put_line(&mut self, json: &str) -> Result<(), Error> {
        let line = format!("{}\n", inert_json(json));
        let written = self
            .inner
            .write_all(line.as_bytes())
            .and_then(|()| self.inner.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Error::Closed(error),
            _ => Error::Write(error),
        })
    }
}

/// A line of a stream of records.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The line as it was read, without its newline.
    pub raw: String,
    /// What it says; `None` when the type is not known to this version.
    pub record: Option<Record>,
}

/// Reads records line by line. It ends after the first error, since what follows damage cannot be
/// trusted.
#[derive(Debug)]
pub struct RecordReader<R> {
    inner: R,
    line: u64,
    /// A run was seen, whether it has ended or not.
    begun: bool,
    /// Tools that have begun and not ended, in order.
    open: Vec<String>,
    failed: bool,
}

impl<R: BufRead> RecordReader<R> {
    /// Reads from `inner`.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            line: 0,
            begun: false,
            open: Vec::new(),
            failed: false,
        }
    }

    /// To be called at the end of the input: whether it was whole.
    ///
    /// # Errors
    /// [`Error::NoBegin`] when there was no run, [`Error::NoEnd`] when one has not ended.
    pub fn finish(self) -> Result<(), Error> {
        match self.open.into_iter().next_back() {
            Some(tool) => Err(Error::NoEnd { tool }),
            None if self.begun => Ok(()),
            None => Err(Error::NoBegin),
        }
    }

    /// The number of the last line that was read, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    fn read_line(&mut self) -> Result<Option<Line>, Error> {
        let Some(raw) = self.read_raw()? else {
            return Ok(None);
        };
        let raw = text_of(raw, self.line)?;
        let record = parse_line(&raw, self.line)?;
        match &record {
            Some(Record::Begin(begin)) => {
                self.begun = true;
                self.open.push(begin.tool.clone());
            }
            Some(Record::End(end)) => self.close(&end.tool)?,
            _ => {}
        }
        Ok(Some(Line { raw, record }))
    }

    fn read_raw(&mut self) -> Result<Option<Vec<u8>>, Error> {
        self.line += 1;
        let mut raw = Vec::new();
        let mut limited = self.inner.by_ref().take(MAX_LINE_BYTES as u64 + 1);
        limited
            .read_until(b'\n', &mut raw)
            .map_err(|source| Error::Read {
                line: self.line,
                source,
            })?;
        if raw.is_empty() {
            return Ok(None);
        }
        if raw.last() == Some(&b'\n') {
            raw.pop();
        } else if raw.len() > MAX_LINE_BYTES {
            return Err(Error::TooLong { line: self.line });
        }
        Ok(Some(raw))
    }

    fn close(&mut self, tool: &str) -> Result<(), Error> {
        let Some(index) = self.open.iter().rposition(|open| open == tool) else {
            return Err(Error::UnmatchedEnd {
                line: self.line,
                tool: tool.to_owned(),
            });
        };
        self.open.remove(index);
        Ok(())
    }
}

impl<R: BufRead> Iterator for RecordReader<R> {
    type Item = Result<Line, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let result = self.read_line();
        self.failed = result.is_err();
        result.transpose()
    }
}

/// What every record has, whatever its type.
#[derive(Deserialize)]
struct Envelope {
    r#type: String,
}

/// What every `begin` has, whatever its version.
#[derive(Deserialize)]
struct Versioned {
    data: Version,
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

/// JSON is UTF-8 (RFC 8259), in fields that this version does not know too.
fn text_of(raw: Vec<u8>, line: u64) -> Result<String, Error> {
    String::from_utf8(raw).map_err(|error| Error::Malformed {
        line,
        source: serde_json::Error::custom(error.utf8_error()),
    })
}

fn parse_line(raw: &str, line: u64) -> Result<Option<Record>, Error> {
    let malformed = |source| Error::Malformed { line, source };
    let envelope: Envelope = serde_json::from_str(raw).map_err(malformed)?;
    match envelope.r#type.as_str() {
        "begin" => refuse_newer(raw, line)?,
        "artifact" | "verdict" | "transfer" | "restored" | "message" | "set" | "usage"
        | "check" | "changes" | "mailbox" | "alarm" | "accepted" | "canary" | "database"
        | "watched" | "error" | "end" => {}
        _ => return Ok(None),
    }
    serde_json::from_str(raw).map(Some).map_err(malformed)
}

/// Looks at the version before the rest, which a newer version may have changed.
fn refuse_newer(begin: &str, line: u64) -> Result<(), Error> {
    let versioned: Versioned =
        serde_json::from_str(begin).map_err(|source| Error::Malformed { line, source })?;
    match versioned.data.v {
        found if found > u64::from(record::VERSION) => Err(Error::NewerVersion { line, found }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BEGIN: &str = r#"{"type":"begin","data":{"v":1,"tool":"a","version":"1","host":"h","time":"t","args":[],"new":7}}"#;
    const END: &str =
        r#"{"type":"end","data":{"tool":"a","status":"ok","exit":0,"seconds":1,"totals":{}}}"#;

    /// Reads `input`, passes all of it on, and says how it ended.
    fn pass(input: &[u8]) -> (Vec<u8>, Result<(), Error>) {
        let mut reader = RecordReader::new(input);
        let mut writer = RecordWriter::new(Vec::new());
        let mut failure = None;
        for line in reader.by_ref() {
            match line {
                Ok(line) => writer.pass(&line).unwrap(),
                Err(error) => failure = Some(error),
            }
        }
        (
            writer.into_inner(),
            failure.map_or_else(|| reader.finish(), Err),
        )
    }

    fn check(input: &str, expected: &str) {
        let (_, result) = pass(input.as_bytes());
        let message = result.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
        assert_eq!(message, expected, "{input}");
    }

    fn end_of(tool: &str) -> String {
        END.replace("\"a\"", &format!("\"{tool}\""))
    }

    fn begin_of(tool: &str) -> String {
        BEGIN.replace("\"a\"", &format!("\"{tool}\""))
    }

    #[test]
    fn every_begin_needs_its_end() {
        let (a, b, end_a, end_b) = (begin_of("a"), begin_of("b"), end_of("a"), end_of("b"));
        check(&format!("{a}\n{end_a}\n"), "ok");
        check(&format!("{a}\n{b}\n{end_a}\n{end_b}"), "ok");
        check(&format!("{a}\n{a}\n{end_a}\n{end_a}\n"), "ok");
        let died =
            "read records: a has ended without its `end` record; it has died or the stream was cut";
        check(&format!("{a}\n"), died);
        check(&format!("{a}\n{b}\n{end_b}\n"), died);
        check(
            &format!("{a}\n{end_b}\n"),
            "read records line 2: `end` of b without its `begin`",
        );
        check(
            "",
            "read records: no `begin` record; the upstream tool has failed or wrote no records",
        );
    }

    /// Names and subjects are whatever others made them, and somebody looks at records on a
    /// terminal.
    #[test]
    fn what_would_act_is_escaped_and_read_back() {
        let host = "a\u{1b}[2J\u{9b}1m\u{202e}b\u{2066}\u{7f}\u{e0041}\"é請\n";
        let mut begin: record::Begin = serde_json::from_value(
            serde_json::json!({"v": 1, "tool": "a", "version": "1", "host": host, "time": "t", "args": []}),
        )
        .unwrap();
        begin.args.push(host.to_owned());
        let mut writer = RecordWriter::new(Vec::new());
        writer.write(&Record::Begin(begin.clone())).unwrap();
        let line = String::from_utf8(writer.into_inner()).unwrap();
        let shown = r#""host":"a\u001b[2J\u009b1m\u202eb\u2066\u007f\udb40\udc41\"é請\n""#;
        assert!(line.contains(shown), "{line}");
        let read: Record = serde_json::from_str(&line).unwrap();
        assert_eq!(read, Record::Begin(begin));
    }

    /// A tool of the pipeline may be older than this one, or somebody else's.
    #[test]
    fn what_would_act_is_escaped_in_what_is_passed_on_too() {
        let later = "{\"type\":\"later\",\r\"x\":\"\u{202e}\u{9b}31m\u{7f}\"}";
        let (output, result) = pass(format!("{BEGIN}\n{later}\n{END}\n").as_bytes());
        result.unwrap();
        let inert = r#"{"type":"later", "x":"\u202e\u009b31m\u007f"}"#;
        let expected = format!("{BEGIN}\n{inert}\n{END}\n");
        assert_eq!(String::from_utf8(output).unwrap(), expected);

        let not_text = [b"{\"type\":\"later\",\"x\":\"\x9b31m\"}\n", END.as_bytes()].concat();
        let (output, result) = pass(&not_text);
        assert_eq!(output, b"");
        assert!(
            matches!(result, Err(Error::Malformed { line: 1, .. })),
            "{result:?}"
        );
    }

    #[test]
    fn damage_is_an_error_with_its_line() {
        check(&format!("{BEGIN}\n{}", &END[..30]), "read records line 2");
        check(&format!("{BEGIN}\n\n{END}\n"), "read records line 2");
        check(&format!("{BEGIN}\n[]\n"), "read records line 2");
        check(
            r#"{"type":"end","data":{"tool":"a"}}"#,
            "read records line 1",
        );
        let newer = BEGIN
            .replace("\"v\":1", "\"v\":2")
            .replace("\"tool\"", "\"program\"");
        check(
            &newer,
            "read records line 1: version 2 is newer than 1; update this tool",
        );
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let endless = io::BufReader::new(io::repeat(b' '));
        let error = RecordReader::new(endless).next().unwrap().unwrap_err();
        assert!(matches!(error, Error::TooLong { line: 1 }), "{error}");
    }

    #[test]
    fn what_is_not_known_is_passed_on_untouched() {
        let input = format!("{BEGIN}\r\n {{ \"type\" : \"later\", \"x\":[1.0, 1e3] }}\n{END}\n");
        let (output, result) = pass(input.as_bytes());
        result.unwrap();
        assert_eq!(String::from_utf8(output).unwrap(), input);
        let lines: Vec<Line> = RecordReader::new(input.as_bytes())
            .map(Result::unwrap)
            .collect();
        assert!(matches!(lines[0].record, Some(Record::Begin(_))));
        assert_eq!(lines[1].record, None);
    }

    #[test]
    fn a_closed_output_is_an_error_of_its_own() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let line = Line {
            raw: "{}".to_owned(),
            record: None,
        };
        assert!(matches!(
            RecordWriter::new(writer).pass(&line),
            Err(Error::Closed(_))
        ));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (_, result) = pass(&input);
            prop_assert!(result.is_err());
        }

        #[test]
        fn lines_of_unknown_types_are_passed_on_byte_for_byte(
            text in "[^\"\\\\\n\r\\p{Cc}\\p{Cf}\\p{Cn}\\p{Zl}\\p{Zp}]{0,40}",
            space in " {0,3}",
        ) {
            let data = format!("{space}{{\"data\":\"{text}\"");
            let input = format!("{data},{space}\"type\":\"x{text}\"}}{space}\n");
            let (output, _) = pass(input.as_bytes());
            prop_assert_eq!(output, input.into_bytes());
        }
    }
}
