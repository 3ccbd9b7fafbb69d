//! The words of a statement, for whoever reads its grammar.

use super::kind::Named;
use super::token::{Token, Tokens};

/// How many words of a statement are quoted in messages.
const QUOTED_BYTES: usize = 60;

/// Tokens without the ends of executable comments, one ahead of the reader where that is asked for.
#[derive(Clone)]
pub(super) struct Words<'a>(pub(super) Tokens<'a>);

impl<'a> Iterator for Words<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.0
            .by_ref()
            .find(|token| !matches!(token, Token::Open | Token::Close))
    }
}

impl Words<'_> {
    /// Passes over `word`, if it is next.
    pub(super) fn accept(&mut self, word: &str) -> bool {
        let mut ahead = self.clone();
        let is_next = ahead.next().is_some_and(|token| token.is_word(word));
        if is_next {
            *self = ahead;
        }
        is_next
    }

    /// A name, after IF EXISTS or IF NOT EXISTS.
    pub(super) fn name(&mut self) -> Option<Named> {
        if self.accept("IF") {
            self.accept("NOT");
            self.accept("EXISTS");
        }
        let first = self.next()?.name()?;
        let mut ahead = self.clone();
        if ahead.next() != Some(Token::Symbol(b'.')) {
            return Some(Named {
                database: None,
                name: first,
            });
        }
        let name = ahead.next()?.name()?;
        *self = ahead;
        Some(Named {
            database: Some(first),
            name,
        })
    }
}

/// The beginning of a statement, for messages. It stops at the first value, which nobody else need
/// read.
pub(super) fn first_words(text: &[u8]) -> String {
    let end = memchr::memchr3(b'\'', b'"', b'\n', text).unwrap_or(text.len());
    let text = String::from_utf8_lossy(&text[..end.min(4 * QUOTED_BYTES)])
        .trim_end()
        .to_owned();
    match text.char_indices().nth(QUOTED_BYTES) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_quote_the_beginning_and_no_value() {
        assert_eq!(
            first_words(b"INSERT INTO t VALUES ('secret')"),
            "INSERT INTO t VALUES ("
        );
        assert_eq!(
            first_words("é".repeat(90).as_bytes()),
            format!("{}...", "é".repeat(60))
        );
    }
}
