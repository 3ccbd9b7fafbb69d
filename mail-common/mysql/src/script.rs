//! The SQL file being written: its head and foot, quoting, and stored code.

use std::io::{self, Write};

use crate::pinned::{self, LOAD_SQL_MODE};
use crate::value::{Notation, append_quoted};

/// Makes the loading session read everything exactly, whatever its defaults are, and remembers
/// those. What can bend a definition comes from [`pinned`].
const HEAD: &str = "\
SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES';
SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT, @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS;
SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION;
SET NAMES utf8mb4;
SET @OLD_TIME_ZONE=@@TIME_ZONE, TIME_ZONE='+00:00';
SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0;
SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0;
SET @OLD_CHECK_CONSTRAINT_CHECKS=@@CHECK_CONSTRAINT_CHECKS, CHECK_CONSTRAINT_CHECKS=0;
";

/// Undoes the head.
const FOOT: &str = "\
SET CHECK_CONSTRAINT_CHECKS=@OLD_CHECK_CONSTRAINT_CHECKS;
SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS;
SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS;
SET TIME_ZONE=@OLD_TIME_ZONE;
SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT, CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS;
SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION;
SET SQL_MODE=@OLD_SQL_MODE;
";

/// Where the bytes of a dump go, and how many went.
pub(crate) struct Script<W> {
    out: W,
    written_bytes: u64,
}

/// A stored program or view: its text, and the session in which the server must read it.
#[derive(Debug)]
pub(crate) struct StoredCode {
    /// The whole CREATE statement, which may hold bytes in its strings.
    pub(crate) create: Vec<u8>,
    /// `None` where the object has none (views).
    pub(crate) sql_mode: Option<String>,
    /// Of the session that made it.
    pub(crate) character_set_client: String,
    /// Of the session that made it.
    pub(crate) collation_connection: String,
    /// The default collation of the database when it was made; `None` for views.
    pub(crate) database_collation: Option<String>,
    /// Of events only.
    pub(crate) time_zone: Option<String>,
}

impl<W: Write> Script<W> {
    /// Writes the head, with `title` as its first line.
    pub(crate) fn begin(out: W, title: &str) -> io::Result<Self> {
        let mut script = Self {
            out,
            written_bytes: 0,
        };
        script.comment(title)?;
        script.text(HEAD)?;
        script.text(&pinned::head())?;
        Ok(script)
    }

    /// Writes the foot. `summary` is the last line, by which a reader knows that nothing was cut
    /// off.
    pub(crate) fn finish(mut self, summary: &str) -> io::Result<(W, u64)> {
        self.text("\n")?;
        self.text(&pinned::foot())?;
        self.text(FOOT)?;
        self.comment(&format!("Dump completed by mail-backup: {summary}"))?;
        Ok((self.out, self.written_bytes))
    }

    /// Appends `bytes` as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written_bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Appends `text` as it is.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.raw(text.as_bytes())
    }

    /// A statement on a line of its own.
    pub(crate) fn statement(&mut self, sql: &str) -> io::Result<()> {
        self.text(sql)?;
        self.text(";\n")
    }

    /// A comment; a line break in it cannot end it.
    pub(crate) fn comment(&mut self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            self.text(&format!("-- {}\n", line.replace('\r', " ")))?;
        }
        Ok(())
    }

    /// Stored code, run out of a string.
    ///
    /// The stock client removes comments from what it sends, needs another delimiter, and reads
    /// stored code in one character set although each object may have its own. In a string of the
    /// file's character set the text arrives whole; the server converts it to that of the object
    /// when it runs it. `drop` removes what has its name, under the object's own SQL mode: without
    /// Oracle's, DROP PACKAGE is unknown.
    pub(crate) fn stored_code(&mut self, drop: &str, code: &StoredCode) -> io::Result<()> {
        self.statement(&format!(
            "\nSET @mail_backup_code = {}",
            code_literal(&code.create)
        ))?;
        if let Some(zone) = &code.time_zone {
            self.statement(&format!("SET TIME_ZONE = {}", literal(zone)))?;
        }
        self.statement(&format!(
            "SET CHARACTER_SET_CLIENT = {}, COLLATION_CONNECTION = {}",
            code.character_set_client, code.collation_connection
        ))?;
        if let Some(mode) = &code.sql_mode {
            self.statement(&format!("SET SQL_MODE = {}", literal(mode)))?;
        }
        self.statement(drop)?;
        self.statement("EXECUTE IMMEDIATE @mail_backup_code")?;
        self.statement(&format!("SET SQL_MODE = '{LOAD_SQL_MODE}'"))?;
        self.statement("SET TIME_ZONE = '+00:00'")?;
        self.statement("SET NAMES utf8mb4")
    }
}

/// A name in backticks.
#[must_use]
pub fn name(text: &str) -> String {
    format!("`{}`", text.replace('`', "``"))
}

/// A string in quotes, for the dump and for our own queries.
pub(crate) fn literal(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    append_quoted(text.as_bytes(), &mut out);
    // Only ASCII bytes are added, so what was UTF-8 is UTF-8.
    String::from_utf8(out).unwrap_or_default()
}

/// Stored code as a string. Code that is not UTF-8 is a string of bytes, which the server takes as
/// they are, in the character set of the session.
fn code_literal(code: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(code) {
        return readable_literal(text);
    }
    let mut digits = Vec::with_capacity(2 * code.len() + 2);
    Notation::Hex.append(Some(code), &mut digits);
    digits.into_iter().map(char::from).collect()
}

/// A string in quotes that keeps its lines.
fn readable_literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "\\'");
    format!(
        "'{}'",
        escaped
            .replace('\0', "\\0")
            .replace('\r', "\\r")
            .replace('\x1a', "\\Z")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_strings_are_quoted() {
        assert_eq!(name("a `b`"), "`a ``b```");
        assert_eq!(literal("it's \\"), r"'it\'s \\'");
        assert_eq!(readable_literal("it's \\n\n\r"), "'it\\'s \\\\n\n\\r'");
    }

    #[test]
    fn a_comment_cannot_be_left() {
        let mut script = Script {
            out: Vec::new(),
            written_bytes: 0,
        };
        script.comment("a\nDROP DATABASE x;\r--").unwrap();
        assert_eq!(
            String::from_utf8(script.out).unwrap(),
            "-- a\n-- DROP DATABASE x; --\n"
        );
    }
}
