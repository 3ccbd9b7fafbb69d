//! What the definition of a table or a view says of other places.

use super::statement::Statement;
use super::token::{Reading, Token, Tokens};

/// `CREATE VIEW name AS SELECT 1 AS a, 1 AS b`, which stands for a view until that is made.
pub(super) fn is_placeholder(statement: &Statement) -> bool {
    let mut tokens = Tokens::new(&statement.text, Reading::Run, statement.modes);
    let selects = tokens.find(|token| token.is_word("SELECT")).is_some();
    let is_part = |token: Token<'_>| match token {
        Token::Word(word) => word == b"1" || word.eq_ignore_ascii_case(b"AS"),
        Token::Name(_) | Token::Symbol(b',') => true,
        _ => false,
    };
    selects && tokens.all(is_part)
}

/// Engines whose tables are files of the server's machine, or tables of another server: what is
/// inserted into them goes there.
pub(super) fn engine_elsewhere(statement: &Statement) -> Option<&'static str> {
    const ELSEWHERE: [&str; 6] = ["CONNECT", "FEDERATED", "S3", "SPHINX", "SPIDER", "VP"];
    let mut tokens = Tokens::new(&statement.text, Reading::Run, statement.modes).significant();
    while let Some(token) = tokens.next() {
        if !token.is_word("ENGINE") || tokens.next() != Some(Token::Symbol(b'=')) {
            continue;
        }
        let engine = tokens.next()?;
        let name = match &engine {
            Token::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            other => other.name(),
        }?;
        if let Some(known) = ELSEWHERE
            .iter()
            .find(|known| name.eq_ignore_ascii_case(known))
        {
            return Some(known);
        }
    }
    None
}

/// A database that a definition names before a dot.
pub(super) struct NamedDatabase {
    pub(super) name: String,
    /// Whether a foreign key leads there.
    pub(super) is_referenced: bool,
}

/// The databases that a definition names.
pub(super) fn named_databases(statement: &Statement) -> Vec<NamedDatabase> {
    let mut found = Vec::new();
    let mut before: Option<NamedDatabase> = None;
    let mut is_referenced = false;
    for token in Tokens::new(&statement.text, Reading::Run, statement.modes) {
        if token == Token::Symbol(b'.') {
            found.extend(before.take());
        }
        before = token.name().map(|name| NamedDatabase {
            name,
            is_referenced,
        });
        is_referenced = token.is_word("REFERENCES");
    }
    found
}
