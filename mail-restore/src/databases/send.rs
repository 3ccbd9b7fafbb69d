//! A statement of a dump on its way to the server: as text, and one at a time.

use mail_common::relpath::RelPath;
use mail_mysql::Cause;

use super::error::Error;
use super::server::Server;
use super::statement::Statement;
use super::text;
use super::words::first_words;

/// Why a statement was not run.
pub(super) enum Failure {
    /// It is in no character set that can be sent.
    NotText,
    /// The server's side.
    Server(Cause),
}

impl Failure {
    /// The error, in its place in the dump.
    pub(super) fn at(self, file: &RelPath, statement: &Statement) -> Error {
        let (file, line) = (file.clone(), statement.line);
        match self {
            Self::NotText => Error::NotText { file, line },
            Self::Server(source) => Error::Statement {
                file,
                line,
                statement: first_words(&statement.text),
                source,
            },
        }
    }
}

/// The text that is sent. The driver lets the server run what follows a semicolon: code with one
/// inside is sent in a form that cannot be two statements.
pub(super) fn text_of(statement: &Statement) -> Result<String, Failure> {
    let text = text::of(statement).map_err(|text::NotText| Failure::NotText)?;
    Ok(if statement.has_semicolon {
        text::as_one_statement(&text, statement.modes)
    } else {
        text.into_owned()
    })
}

/// Runs `statement`.
pub(super) fn send(server: &mut Server, statement: &Statement) -> Result<(), Failure> {
    let text = text::of(statement).map_err(|text::NotText| Failure::NotText)?;
    let sent = if statement.has_semicolon {
        server.run(&text::as_one_statement(&text, statement.modes))
    } else {
        server.run(&text)
    };
    sent.map_err(Failure::Server)
}
