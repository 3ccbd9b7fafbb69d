//! What the session settings of a dump say of its own text: SQL mode and character set.

use super::modes::Modes;
use super::token::{Reading, Token, Tokens, is_skipped};

impl Modes {
    /// Those that hold after `statement`. What comes out of a variable is what was before.
    pub(super) fn after(self, statement: &[u8]) -> Self {
        let mut modes = self;
        let mut tokens = Tokens::new(statement, Reading::Run, self).significant();
        let is_of_the_server = |token: Token<'_>| {
            ["GLOBAL", "PERSIST", "PERSIST_ONLY"]
                .iter()
                .any(|word| token.is_word(word))
        };
        // Neither is run, so neither changes how the rest is read.
        if is_skipped(statement) || tokens.clone().any(is_of_the_server) {
            return modes;
        }
        if !tokens.next().is_some_and(|token| token.is_word("SET")) {
            return modes;
        }
        let mut is_target = true;
        while let Some(token) = tokens.next() {
            let mut value = || {
                tokens
                    .by_ref()
                    .find(|token| !matches!(token, Token::Symbol(b'=' | b':')))
            };
            if is_target && token.is_word("SQL_MODE") {
                modes = modes.with_sql_mode(value());
            } else if is_target && (token.is_word("NAMES") || token.is_word("CHARACTER_SET_CLIENT"))
            {
                modes.is_utf8 = is_utf8(value());
            }
            match token {
                Token::Symbol(b'=') => is_target = false,
                Token::Symbol(b',') => is_target = true,
                _ => {}
            }
        }
        modes
    }

    fn with_sql_mode(self, value: Option<Token<'_>>) -> Self {
        let value = literal(value);
        let has = |name: &str| {
            value
                .split(|&byte| byte == b',')
                .any(|mode| mode.trim_ascii() == name.as_bytes())
        };
        let with_ansi_quotes = [
            "ANSI_QUOTES",
            "ANSI",
            "ORACLE",
            "MSSQL",
            "DB2",
            "POSTGRESQL",
            "MAXDB",
        ];
        Self {
            has_backslash_escapes: !has("NO_BACKSLASH_ESCAPES"),
            has_ansi_quotes: with_ansi_quotes.into_iter().any(has),
            ..self
        }
    }
}

/// Neither is another set that a string can be sent in unchanged.
fn is_utf8(value: Option<Token<'_>>) -> bool {
    let value = literal(value);
    value.is_empty() || value.starts_with(b"UTF8") || value == b"BINARY" || value == b"DEFAULT"
}

/// A value that is written out, in upper case; empty for a variable.
fn literal(value: Option<Token<'_>>) -> Vec<u8> {
    match value {
        Some(Token::Text(value) | Token::Word(value)) => value.to_ascii_uppercase(),
        Some(Token::Name(value)) => value.to_ascii_uppercase(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(statements: &[&str], has_backslash_escapes: bool, has_ansi_quotes: bool) {
        let modes = statements
            .iter()
            .fold(Modes::default(), |modes, statement| {
                modes.after(statement.as_bytes())
            });
        assert_eq!(
            modes,
            Modes {
                has_backslash_escapes,
                has_ansi_quotes,
                is_utf8: true
            },
            "{statements:?}"
        );
    }

    #[test]
    fn the_last_mode_that_is_set_holds() {
        check(&[], true, false);
        check(
            &["/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */"],
            true,
            false,
        );
        check(
            &["SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'"],
            false,
            true,
        );
        check(
            &["set @@session.sql_mode := \"NO_BACKSLASH_ESCAPES\""],
            false,
            false,
        );
        check(
            &["SET SESSION sql_mode='PIPES_AS_CONCAT,ORACLE'"],
            true,
            true,
        );
        check(
            &[
                "SET sql_mode='NO_BACKSLASH_ESCAPES'",
                "SET @saved_sql_mode = @@sql_mode",
            ],
            false,
            false,
        );
        check(
            &[
                "SET sql_mode='NO_BACKSLASH_ESCAPES'",
                "SET sql_mode = @saved_sql_mode",
            ],
            true,
            false,
        );
    }

    #[test]
    fn what_is_not_run_sets_nothing() {
        check(&["SET GLOBAL sql_mode='NO_BACKSLASH_ESCAPES'"], true, false);
        check(&["SET @@global.sql_mode='ANSI_QUOTES'"], true, false);
        check(
            &["/*!80000 SET sql_mode='NO_BACKSLASH_ESCAPES' */"],
            true,
            false,
        );
    }

    #[test]
    fn what_is_in_a_string_sets_nothing() {
        check(
            &["INSERT INTO `SET` VALUES (SQL_MODE='NO_BACKSLASH_ESCAPES')"],
            true,
            false,
        );
        check(
            &["SET @code = 'SET sql_mode = ''NO_BACKSLASH_ESCAPES'''"],
            true,
            false,
        );
    }
}
