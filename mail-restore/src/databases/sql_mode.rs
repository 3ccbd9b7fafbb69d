//! What the session settings of a dump say of its own text: SQL mode and character set.

use std::collections::BTreeMap;

use super::modes::{Charset, Modes};
use super::token::{Reading, Token, Tokens, is_skipped};

/// How the text is to be read now, and what the dump keeps in variables to go back to.
#[derive(Clone, Debug, Default)]
pub(super) struct TextSettings {
    pub(super) modes: Modes,
    kept: BTreeMap<String, Modes>,
}

impl TextSettings {
    /// Goes on to what holds after `statement`.
    pub(super) fn apply(&mut self, statement: &[u8]) {
        let mut tokens = Tokens::new(statement, Reading::Run, self.modes).significant();
        let is_set = tokens.next().is_some_and(|token| token.is_word("SET"));
        if !is_set || is_skipped(statement) {
            return;
        }
        let tokens: Vec<_> = tokens.collect();
        let is_of_the_server = |token: &Token<'_>| {
            ["GLOBAL", "PERSIST", "PERSIST_ONLY"]
                .iter()
                .any(|word| token.is_word(word))
        };
        // It is not run, so it does not change how the rest is read.
        if tokens.iter().any(is_of_the_server) {
            return;
        }
        for assignment in tokens.split(|token| *token == Token::Symbol(b',')) {
            self.assign(assignment);
        }
    }

    fn assign(&mut self, assignment: &[Token<'_>]) {
        if let [first, second, value @ ..] = assignment
            && first.is_word("CHARACTER")
            && second.is_word("SET")
        {
            self.set_charset(value);
            return;
        }
        let is_end = |token: &Token<'_>| *token == Token::Symbol(b'=') || token.is_word("NAMES");
        let Some(at) = assignment.iter().position(is_end) else {
            return;
        };
        let (target, value) = (&assignment[..at], &assignment[at + 1..]);
        let target = target
            .strip_suffix(&[Token::Symbol(b':')])
            .unwrap_or(target);
        match target {
            [] => self.set_charset(value),
            [Token::Symbol(b'@'), name] => {
                self.kept
                    .extend(name.name().map(|name| (lower(&name), self.modes)));
            }
            [.., name] if name.is_word("CHARACTER_SET_CLIENT") => self.set_charset(value),
            [.., name] if name.is_word("SQL_MODE") => self.set_sql_mode(value),
            _ => {}
        }
    }

    fn set_charset(&mut self, value: &[Token<'_>]) {
        self.modes.charset = match self.before(value) {
            Some(before) => before.charset,
            None => Charset::of(&literal(value.first())),
        };
    }

    fn set_sql_mode(&mut self, value: &[Token<'_>]) {
        self.modes = match self.before(value) {
            Some(before) => Modes {
                charset: self.modes.charset,
                ..before
            },
            None => self.modes.with_sql_mode(&literal(value.first())),
        };
    }

    /// What was kept in the variable that `value` names, if it names one. In one that was never
    /// set is what a session begins with.
    fn before(&self, value: &[Token<'_>]) -> Option<Modes> {
        let at = value
            .iter()
            .position(|token| *token == Token::Symbol(b'@'))?;
        let name = value.get(at + 1)?.name()?;
        Some(self.kept.get(&lower(&name)).copied().unwrap_or_default())
    }
}

impl Modes {
    fn with_sql_mode(self, value: &[u8]) -> Self {
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

/// A value that is written out, in upper case; empty for a variable.
fn literal(value: Option<&Token<'_>>) -> Vec<u8> {
    match value {
        Some(Token::Text(value) | Token::Word(value)) => value.to_ascii_uppercase(),
        Some(Token::Name(value)) => value.to_ascii_uppercase(),
        _ => Vec::new(),
    }
}

fn lower(name: &str) -> String {
    name.to_lowercase()
}

#[cfg(test)]
impl Modes {
    /// Those that hold after one statement.
    pub(super) fn after(self, statement: &[u8]) -> Self {
        let mut settings = TextSettings {
            modes: self,
            ..TextSettings::default()
        };
        settings.apply(statement);
        settings.modes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(statements: &[&str]) -> Modes {
        let mut settings = TextSettings::default();
        for statement in statements {
            settings.apply(statement.as_bytes());
        }
        settings.modes
    }

    #[track_caller]
    fn check(statements: &[&str], has_backslash_escapes: bool, has_ansi_quotes: bool) {
        let modes = all(statements);
        assert_eq!(
            modes,
            Modes {
                has_backslash_escapes,
                has_ansi_quotes,
                charset: Charset::Utf8
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
    fn what_was_kept_in_a_variable_holds_again() {
        let head = "/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='ANSI_QUOTES' */";
        let code = [
            "/*!50003 SET @saved_sql_mode = @@sql_mode */",
            "/*!50003 SET sql_mode = 'NO_BACKSLASH_ESCAPES' */",
            "/*!50003 SET sql_mode = @saved_sql_mode */",
        ];
        check(&[&[head], &code[..]].concat(), true, true);
        check(&[&[head], &code[..2]].concat(), false, false);
        check(
            &[head, "/*!40101 SET SQL_MODE=IFNULL(@old_sql_mode, '') */"],
            true,
            false,
        );
    }

    #[test]
    fn the_character_set_is_the_one_before_a_definition_again() {
        let definition = [
            "/*!40101 SET @saved_cs_client     = @@character_set_client */",
            "/*!40101 SET character_set_client = utf8mb4 */",
            "/*!40101 SET character_set_client = @saved_cs_client */",
        ];
        for (head, expected) in [
            ("/*!40101 SET NAMES cp850 */", Charset::Named("cp850")),
            (
                "SET NAMES 'latin1' COLLATE 'latin1_bin'",
                Charset::Named("latin1"),
            ),
            ("SET CHARACTER SET koi8r", Charset::Named("koi8r")),
            ("SET NAMES sjis", Charset::Other),
            ("SET NAMES utf8", Charset::Utf8),
        ] {
            let of = |count: usize| all(&[&[head], &definition[..count]].concat()).charset;
            assert_eq!(
                (of(0), of(2), of(3)),
                (expected, Charset::Utf8, expected),
                "{head}"
            );
        }
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
