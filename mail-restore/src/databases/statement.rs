//! Statements out of a stream of SQL, cut where the stock client cuts them: by the delimiter that
//! holds, outside of strings, names and comments. Memory is bounded by the longest statement.
//!
//! What only a client would do (`\!`, `source`, `system`) is an error, and so is text that servers
//! of different versions would end in different places. Comments before a statement are skipped,
//! those inside are part of it.

use std::io::{self, Read};

use memchr::memmem;

use super::modes::Modes;
use super::sql_mode::TextSettings;

/// As much as the protocol can carry.
const LIMIT_BYTES: usize = 1 << 30;

const CHUNK_BYTES: usize = 256 * 1024;

/// The longest token that must be seen whole: the first line of newer dumps.
const LOOK_AHEAD_BYTES: usize = 64;

/// Commands of the stock client that are no SQL.
const CLIENT_COMMANDS: [&str; 25] = [
    "charset",
    "clear",
    "connect",
    "edit",
    "ego",
    "exit",
    "go",
    "nopager",
    "notee",
    "nowarning",
    "pager",
    "print",
    "prompt",
    "quit",
    "rehash",
    "sandbox",
    "source",
    "status",
    "system",
    "tee",
    "warnings",
    "costs",
    "resetconnection",
    "query_attributes",
    "ssl_session_data_print",
];

/// By which newer dumps keep old clients from running commands.
const SANDBOX: [&[u8]; 2] = [
    b"/*!999999\\- enable the sandbox mode */",
    b"/*M!999999\\- enable the sandbox mode */",
];

/// One statement, without its delimiter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// As it stands in the file.
    pub(super) text: Vec<u8>,
    /// In which it begins, from 1.
    pub(super) line: u64,
    /// Whether a semicolon stands outside its strings: only one statement may be run of it.
    pub(super) has_semicolon: bool,
    /// How its strings are to be read.
    pub(super) modes: Modes,
}

/// Why the text cannot be cut into statements.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file, or what it is compressed with.
    #[error("the file cannot be read")]
    Input(#[from] io::Error),
    /// Nothing that a server would take.
    #[error("line {line}: a statement of more than {} MiB", LIMIT_BYTES >> 20)]
    TooLong {
        /// Where it begins.
        line: u64,
    },
    /// The text ends within it.
    #[error("line {line}: {what} without an end; the dump is cut off, or is none")]
    Unended {
        /// Where it begins.
        line: u64,
        /// What has no end.
        what: &'static str,
    },
    /// What the stock client itself would do.
    #[error(
        "line {line}: {command:?} is a command of the client and no SQL; a dump has none: do not \
         trust this file"
    )]
    ClientCommand {
        /// Where it stands.
        line: u64,
        /// The command.
        command: String,
    },
    /// What no dump has.
    #[error("line {line}: {what}; no dump has this: do not trust this file")]
    Ambiguous {
        /// Where the statement begins.
        line: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// Where the next byte of a statement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Code,
    /// Between two of this byte, the first of them at `from`.
    Quoted {
        quote: u8,
        from: usize,
    },
    LineComment {
        from: usize,
    },
    BlockComment,
}

/// A statement that is being read.
#[derive(Debug)]
struct Scan {
    /// Bytes of it that are known.
    at: usize,
    state: State,
    /// Within `/*! ... */`, which a server runs or skips by its version.
    is_executable: bool,
    has_semicolon: bool,
}

/// Whether the scan has met the statement's end.
enum Step {
    /// Before `at` lies the statement, after it the delimiter.
    End,
    More,
}

/// Cuts `input` into statements.
#[derive(Debug)]
pub(super) struct StatementReader<R> {
    input: R,
    /// `buffer[start..]` is read and not used.
    buffer: Vec<u8>,
    start: usize,
    is_ended: bool,
    /// That of `buffer[start]`.
    line: u64,
    delimiter: Vec<u8>,
    /// The bytes that end a run of plain code.
    special: [bool; 256],
    settings: TextSettings,
    limit_bytes: usize,
    first_comment: Option<String>,
    last_comment: Option<String>,
    named_database: Option<String>,
}

impl<R: Read> StatementReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            start: 0,
            is_ended: false,
            line: 1,
            delimiter: b";".to_vec(),
            special: special_bytes(b';'),
            settings: TextSettings::default(),
            limit_bytes: LIMIT_BYTES,
            first_comment: None,
            last_comment: None,
            named_database: None,
        }
    }

    /// The first comment of a line of its own, if the first statement comes after it.
    pub(super) fn first_comment(&self) -> &str {
        self.first_comment.as_deref().unwrap_or_default()
    }

    /// The database that the head of a stock dump names: `-- Host: localhost    Database: mail`.
    pub(super) fn named_database(&self) -> Option<&str> {
        self.named_database.as_deref()
    }

    /// The last comment that stood between statements; after the last statement: the last line of a
    /// dump.
    pub(super) fn last_comment(&self) -> &str {
        self.last_comment.as_deref().unwrap_or_default()
    }

    /// The next statement; `None` at the end of the text.
    pub(super) fn next(&mut self) -> Result<Option<Statement>, ReadError> {
        if !self.skip_to_statement()? {
            return Ok(None);
        }
        self.first_comment.get_or_insert_default();
        self.last_comment = None;
        let line = self.line;
        let (end, has_semicolon) = self.find_end()?;
        let text = self.buffer[self.start..self.start + end].to_vec();
        self.consume(end + self.delimiter.len());
        let statement = Statement {
            text,
            line,
            has_semicolon,
            modes: self.settings.modes,
        };
        self.settings.apply(&statement.text);
        Ok(Some(statement))
    }

    /// Passes over white space, comments, empty statements and DELIMITER lines.
    fn skip_to_statement(&mut self) -> Result<bool, ReadError> {
        loop {
            self.ask(LOOK_AHEAD_BYTES)?;
            let head = &self.buffer[self.start..];
            let Some(&first) = head.first() else {
                return Ok(false);
            };
            if head.starts_with(b"<?xml") {
                return Err(self.ambiguous("XML, and only SQL is read (mysqldump --xml)"));
            }
            if first.is_ascii_whitespace() {
                self.skip_white_space();
            } else if let Some(sandbox) = SANDBOX.iter().find(|line| head.starts_with(line)) {
                self.consume(sandbox.len());
            } else if first == b'#' || starts_line_comment(head) {
                self.skip_line_comment()?;
            } else if head.starts_with(b"/*") && !is_executable(head) {
                self.skip_block_comment()?;
            } else if head.starts_with(&self.delimiter) {
                self.consume(self.delimiter.len());
            } else if !self.skip_client_command()? {
                return Ok(true);
            }
        }
    }

    fn skip_white_space(&mut self) {
        let rest = &self.buffer[self.start..];
        self.consume(
            rest.iter()
                .position(|byte| !byte.is_ascii_whitespace())
                .unwrap_or(rest.len()),
        );
    }

    fn skip_line_comment(&mut self) -> Result<(), ReadError> {
        let text = self.take_line(self.line, "a comment")?;
        let text = String::from_utf8_lossy(&text[..text.len().min(512)])
            .trim_end()
            .to_owned();
        self.first_comment.get_or_insert_with(|| text.clone());
        if text.starts_with("-- Host: ")
            && let Some((_, name)) = text.split_once("Database: ")
            && !name.is_empty()
        {
            self.named_database.get_or_insert_with(|| name.to_owned());
        }
        // mysqldump ends with an empty comment after the one that tells.
        if text.len() > 2 {
            self.last_comment = Some(text);
        }
        Ok(())
    }

    fn skip_block_comment(&mut self) -> Result<(), ReadError> {
        let line = self.line;
        self.consume(2);
        loop {
            let rest = &self.buffer[self.start..];
            if let Some(at) = memmem::find(rest, b"*/") {
                self.consume(at + 2);
                return Ok(());
            }
            // The last byte may be the first of the two.
            self.consume(rest.len().saturating_sub(1));
            if !self.fill()? {
                return Err(ReadError::Unended {
                    line,
                    what: "a comment",
                });
            }
        }
    }

    /// Obeys DELIMITER, refuses the other commands. `false` when a statement begins here.
    fn skip_client_command(&mut self) -> Result<bool, ReadError> {
        let line = self.line;
        let head = &self.buffer[self.start..];
        let length = head
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'_')
            .count();
        let word = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
        if CLIENT_COMMANDS.contains(&word.as_str()) || head[0] == b'?' {
            let command = if word.is_empty() {
                "?".to_owned()
            } else {
                word
            };
            return Err(ReadError::ClientCommand { line, command });
        }
        if word != "delimiter" {
            return Ok(false);
        }
        let text = self.take_line(line, "a DELIMITER line")?;
        let mut words = text[length..]
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        self.set_delimiter(words.next().unwrap_or_default())
            .map_err(|what| ReadError::Ambiguous { line, what })
            .map(|()| true)
    }

    fn set_delimiter(&mut self, delimiter: &[u8]) -> Result<(), &'static str> {
        let is_usable = |byte: &u8| byte.is_ascii_graphic() && !b"'\"`\\#".contains(byte);
        if delimiter.is_empty() || delimiter.len() > 16 || !delimiter.iter().all(is_usable) {
            return Err("a DELIMITER that cannot be told from text");
        }
        self.delimiter = delimiter.to_vec();
        self.special = special_bytes(delimiter[0]);
        Ok(())
    }

    /// Where the statement ends, counted from the start, and whether a semicolon stands in its
    /// code.
    fn find_end(&mut self) -> Result<(usize, bool), ReadError> {
        let mut scan = Scan {
            at: 0,
            state: State::Code,
            is_executable: false,
            has_semicolon: false,
        };
        loop {
            if let Step::End = self.scan(&mut scan)? {
                return match scan.is_executable {
                    true => Err(ReadError::Unended {
                        line: self.line,
                        what: "an executable comment",
                    }),
                    false => Ok((scan.at, scan.has_semicolon)),
                };
            }
            if self.buffer.len() - self.start > self.limit_bytes {
                return Err(ReadError::TooLong { line: self.line });
            }
            // What the last bytes mean may be clear only now that nothing follows.
            let was_ended = self.is_ended;
            if !self.fill()? && was_ended {
                let what = match scan.state {
                    State::Code | State::LineComment { .. } => "a statement",
                    State::Quoted { .. } => "a string or name",
                    State::BlockComment => "a comment",
                };
                return Err(ReadError::Unended {
                    line: self.line,
                    what,
                });
            }
        }
    }

    /// Goes on until the statement ends, or until the next byte's meaning depends on what is not
    /// read yet.
    fn scan(&self, scan: &mut Scan) -> Result<Step, ReadError> {
        let text = &self.buffer[self.start..];
        while scan.at < text.len() {
            let before = (scan.at, scan.state);
            match scan.state {
                State::Code => {
                    if let Step::End = self.scan_code(text, scan)? {
                        return Ok(Step::End);
                    }
                }
                State::Quoted { quote, from } => self.scan_quoted(text, scan, quote, from)?,
                State::LineComment { from } => self.scan_line_comment(text, scan, from)?,
                State::BlockComment => scan_block_comment(text, scan),
            }
            if before == (scan.at, scan.state) {
                break;
            }
        }
        Ok(Step::More)
    }

    /// Goes to the next byte that means something, and past it.
    fn scan_code(&self, text: &[u8], scan: &mut Scan) -> Result<Step, ReadError> {
        let rest = &text[scan.at..];
        let plain_bytes = rest
            .iter()
            .position(|&byte| self.special[usize::from(byte)])
            .unwrap_or(rest.len());
        scan.at += plain_bytes;
        let rest = &rest[plain_bytes..];
        let Some(&byte) = rest.first() else {
            return Ok(Step::More);
        };
        if rest.starts_with(&self.delimiter) {
            return Ok(Step::End);
        }
        if rest.len() < self.delimiter.len().max(4)
            && !self.is_ended
            && !matches!(byte, b'\'' | b'"' | b'`')
        {
            return Ok(Step::More);
        }
        self.scan_special(text, scan, byte)?;
        Ok(Step::More)
    }

    /// Goes past `byte`, and into what it opens.
    fn scan_special(&self, text: &[u8], scan: &mut Scan, byte: u8) -> Result<(), ReadError> {
        let rest = &text[scan.at..];
        match byte {
            b'\'' | b'"' | b'`' => {
                let from = scan.at;
                scan.enter(State::Quoted { quote: byte, from }, 1);
            }
            b'#' => scan.enter(State::LineComment { from: scan.at }, 1),
            b'-' if starts_line_comment(rest) => {
                scan.enter(State::LineComment { from: scan.at }, 2);
            }
            b'/' if is_executable(rest) && scan.is_executable => {
                return Err(self.ambiguous("an executable comment inside another"));
            }
            b'/' if is_executable(rest) => {
                scan.is_executable = true;
                scan.at += 3;
            }
            b'/' if rest.starts_with(b"/*") => scan.enter(State::BlockComment, 2),
            b'*' if rest.starts_with(b"*/") => {
                scan.is_executable = false;
                scan.at += 2;
            }
            b'\\' if rest.get(1) == Some(&b'N') => scan.at += 2,
            b'\\' => return Err(self.client_command(text, scan.at)),
            byte => {
                scan.has_semicolon |= byte == b';';
                scan.at += 1;
            }
        }
        Ok(())
    }

    fn scan_quoted(
        &self,
        text: &[u8],
        scan: &mut Scan,
        quote: u8,
        from: usize,
    ) -> Result<(), ReadError> {
        let rest = &text[scan.at..];
        let found = match self.settings.modes.backslash_escapes_in(quote) {
            true => memchr::memchr2(quote, b'\\', rest),
            false => memchr::memchr(quote, rest),
        };
        let Some(at) = found else {
            scan.at = text.len();
            return Ok(());
        };
        scan.at += at;
        if rest[at] == b'\\' {
            // Whatever follows is text; it may not be read yet.
            if at + 1 < rest.len() {
                scan.at += 2;
            }
            return Ok(());
        }
        // A doubled quote closes the string and opens it again, which comes to the same.
        self.check_hidden_end(scan, &text[from..scan.at])?;
        scan.enter(State::Code, 1);
        Ok(())
    }

    fn scan_line_comment(
        &self,
        text: &[u8],
        scan: &mut Scan,
        from: usize,
    ) -> Result<(), ReadError> {
        let Some(at) = memchr::memchr(b'\n', &text[scan.at..]) else {
            scan.at = text.len();
            return Ok(());
        };
        scan.at += at;
        self.check_hidden_end(scan, &text[from..scan.at])?;
        scan.enter(State::Code, 1);
        Ok(())
    }

    /// A server that skips an executable comment ends it at the first `*/`, one that runs it does
    /// not look in strings.
    fn check_hidden_end(&self, scan: &Scan, text: &[u8]) -> Result<(), ReadError> {
        match scan.is_executable && memmem::find(text, b"*/").is_some() {
            true => {
                Err(self.ambiguous("an executable comment ends inside a string, for some servers"))
            }
            false => Ok(()),
        }
    }

    fn ambiguous(&self, what: &'static str) -> ReadError {
        ReadError::Ambiguous {
            line: self.line,
            what,
        }
    }

    fn client_command(&self, text: &[u8], at: usize) -> ReadError {
        let command = String::from_utf8_lossy(&text[at..text.len().min(at + 2)]).into_owned();
        ReadError::ClientCommand {
            line: self.line + newlines(&text[..at]),
            command,
        }
    }

    /// Has at least `bytes` bytes ready, unless the text ends before.
    fn ask(&mut self, bytes: usize) -> io::Result<()> {
        while self.buffer.len() - self.start < bytes && self.fill()? {}
        Ok(())
    }

    /// Uses up the rest of the line, and gives it back without its end.
    fn take_line(&mut self, line: u64, what: &'static str) -> Result<Vec<u8>, ReadError> {
        let mut looked_at = 0;
        loop {
            let rest = &self.buffer[self.start..];
            if let Some(at) = memchr::memchr(b'\n', &rest[looked_at..]) {
                let text = rest[..looked_at + at].to_vec();
                self.consume(text.len() + 1);
                return Ok(text);
            }
            looked_at = rest.len();
            if looked_at > self.limit_bytes {
                return Err(ReadError::Unended { line, what });
            }
            if !self.fill()? {
                let text = self.buffer[self.start..].to_vec();
                self.consume(text.len());
                return Ok(text);
            }
        }
    }

    fn consume(&mut self, bytes: usize) {
        let end = (self.start + bytes).min(self.buffer.len());
        self.line += newlines(&self.buffer[self.start..end]);
        self.start = end;
    }

    /// Reads more; `false` at the end of the text.
    fn fill(&mut self) -> io::Result<bool> {
        if self.is_ended {
            return Ok(false);
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let kept_bytes = self.buffer.len();
        if kept_bytes < CHUNK_BYTES {
            // One very long statement does not keep its memory for the rest of the dump.
            self.buffer.shrink_to(8 * CHUNK_BYTES);
        }
        self.buffer.resize(kept_bytes + CHUNK_BYTES, 0);
        let read = loop {
            match self.input.read(&mut self.buffer[kept_bytes..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer
            .truncate(kept_bytes + read.as_ref().copied().unwrap_or(0));
        self.is_ended = read? == 0;
        Ok(!self.is_ended)
    }
}

impl Scan {
    fn enter(&mut self, state: State, bytes: usize) {
        self.state = state;
        self.at += bytes;
    }
}

fn scan_block_comment(text: &[u8], scan: &mut Scan) {
    match memmem::find(&text[scan.at..], b"*/") {
        Some(at) => scan.enter(State::Code, at + 2),
        // The last byte may be the first of the two.
        None => scan.at = scan.at.max(text.len().saturating_sub(1)),
    }
}

/// `-- ` or `--` at the end of a line, as the server reads it.
fn starts_line_comment(text: &[u8]) -> bool {
    text.starts_with(b"--")
        && text
            .get(2)
            .is_none_or(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
}

/// `/*!` and MariaDB's `/*M!`.
fn is_executable(text: &[u8]) -> bool {
    text.starts_with(b"/*!") || text.starts_with(b"/*M!")
}

fn newlines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

fn special_bytes(delimiter: u8) -> [bool; 256] {
    let mut special = [false; 256];
    for byte in [
        b'\'', b'"', b'`', b'#', b'-', b'/', b'*', b'\\', b';', delimiter,
    ] {
        special[usize::from(byte)] = true;
    }
    special
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
