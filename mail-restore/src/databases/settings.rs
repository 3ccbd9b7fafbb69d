//! What a dump may set of the session: what tells the server how to read the dump. Everything else
//! is passed over, so that a dump cannot change what the loader has pinned.

use super::modes::Modes;
use super::token::{Reading, Token, Tokens};

/// What to do with a SET statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// It is run.
    Run,
    /// It has no meaning here.
    PassOver,
    /// It sets what is needed to an expression, or both: no dump does.
    Foreign,
}

/// Variables that say how the dump is to be read, or what a server must take on trust of it.
const READING: [&str; 17] = [
    "CHARACTER_SET_CLIENT",
    "CHARACTER_SET_CONNECTION",
    "CHARACTER_SET_RESULTS",
    "CHECK_CONSTRAINT_CHECKS",
    "COLLATION_CONNECTION",
    "EXPLICIT_DEFAULTS_FOR_TIMESTAMP",
    "FOREIGN_KEY_CHECKS",
    "INNODB_COMPRESSION_DEFAULT",
    "INNODB_STRICT_MODE",
    "OLD_MODE",
    "SQL_IF_EXISTS",
    "SQL_MODE",
    "SQL_NOTES",
    "SYSTEM_VERSIONING_INSERT_HISTORY",
    "TIMESTAMP",
    "TIME_ZONE",
    "UNIQUE_CHECKS",
];

/// What one assignment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Assignment {
    /// Of a variable of [`READING`], or the character set.
    Reading,
    /// Of a variable of the user, which the dump may read again.
    User,
    /// Of anything else.
    Other,
    /// Of a variable of the user, to an expression.
    Expression,
    /// Of a variable of [`READING`], to an expression.
    Unreadable,
}

/// Judges a SET statement.
pub(super) fn judge(text: &[u8], modes: Modes) -> Setting {
    let tokens: Vec<_> = Tokens::new(text, Reading::Run, modes)
        .significant()
        .skip(1)
        .collect();
    let assignments: Vec<_> = split(&tokens).into_iter().map(assignment).collect();
    let has = |kind| assignments.contains(&kind);
    let is_idle = has(Assignment::Expression) || has(Assignment::Other);
    if has(Assignment::Unreadable) || is_idle && has(Assignment::Reading) {
        Setting::Foreign
    } else if is_idle {
        Setting::PassOver
    } else {
        Setting::Run
    }
}

/// At the commas that stand in no parentheses.
fn split<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut depth = 0;
    tokens
        .split(|token| {
            match token {
                Token::Symbol(b'(') => depth += 1,
                Token::Symbol(b')') => depth -= 1,
                _ => {}
            }
            depth == 0 && *token == Token::Symbol(b',')
        })
        .collect()
}

fn assignment(tokens: &[Token<'_>]) -> Assignment {
    if tokens.first().is_some_and(|token| token.is_word("NAMES")) {
        return character_set(&tokens[1..]);
    }
    if let [first, second, rest @ ..] = tokens
        && first.is_word("CHARACTER")
        && second.is_word("SET")
    {
        return character_set(rest);
    }
    let Some(at) = tokens
        .iter()
        .position(|token| *token == Token::Symbol(b'='))
    else {
        return Assignment::Other;
    };
    let (target, value) = (&tokens[..at], &tokens[at + 1..]);
    let target = target
        .strip_suffix(&[Token::Symbol(b':')])
        .unwrap_or(target);
    let kind = target_kind(target);
    match kind {
        _ if is_plain(value) => kind,
        Assignment::Reading => Assignment::Unreadable,
        Assignment::User => Assignment::Expression,
        other => other,
    }
}

fn character_set(value: &[Token<'_>]) -> Assignment {
    let is_good = match value {
        [set] => is_plain(std::slice::from_ref(set)),
        [set, word, collation] => {
            is_plain(std::slice::from_ref(set))
                && word.is_word("COLLATE")
                && is_plain(std::slice::from_ref(collation))
        }
        _ => false,
    };
    if is_good {
        Assignment::Reading
    } else {
        Assignment::Unreadable
    }
}

/// `@name`, `@@name`, `@@SESSION.name`, `SESSION name`, `name`.
fn target_kind(target: &[Token<'_>]) -> Assignment {
    let at = Token::Symbol(b'@');
    let name = match target {
        [first, name] if *first == at && name.name().is_some() => return Assignment::User,
        [first, second, name] if *first == at && *second == at => name,
        [first, second, scope, dot, name]
            if *first == at
                && *second == at
                && *dot == Token::Symbol(b'.')
                && is_session(scope) =>
        {
            name
        }
        [scope, name] if is_session(scope) => name,
        [name] => name,
        _ => return Assignment::Other,
    };
    if READING.iter().any(|known| name.is_word(known)) {
        Assignment::Reading
    } else {
        Assignment::Other
    }
}

fn is_session(scope: &Token<'_>) -> bool {
    scope.is_word("SESSION") || scope.is_word("LOCAL")
}

/// A literal, a word, or a variable.
fn is_plain(value: &[Token<'_>]) -> bool {
    let at = Token::Symbol(b'@');
    match value {
        // HeidiSQL: IFNULL(@OLD_SQL_MODE, '')
        [
            function,
            Token::Symbol(b'('),
            variable @ ..,
            Token::Symbol(b','),
            default,
            Token::Symbol(b')'),
        ] if function.is_word("IFNULL") => {
            is_plain(variable) && is_plain(std::slice::from_ref(default))
        }
        [Token::Text(_) | Token::Word(_) | Token::Name(_)] => true,
        [Token::Symbol(b'-' | b'+'), Token::Word(number)] => number.iter().all(u8::is_ascii_digit),
        // A number with a fraction, such as a timestamp.
        [Token::Word(whole), Token::Symbol(b'.'), Token::Word(part)] => {
            whole.iter().chain(part.iter()).all(u8::is_ascii_digit)
        }
        [first, Token::Word(_) | Token::Name(_)] => *first == at,
        [first, second, Token::Word(_)] => *first == at && *second == at,
        [first, second, scope, dot, Token::Word(_)] => {
            *first == at && *second == at && is_session(scope) && *dot == Token::Symbol(b'.')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: Setting, texts: &[&str]) {
        for text in texts {
            assert_eq!(judge(text.as_bytes(), Modes::default()), expected, "{text}");
        }
    }

    #[test]
    fn what_tells_how_to_read_is_run() {
        check(
            Setting::Run,
            &[
                "SET NAMES utf8mb4",
                "SET NAMES 'utf8' COLLATE 'utf8_bin'",
                "SET CHARACTER SET utf8",
                "/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */",
                "SET @@session.system_versioning_insert_history = 1",
                "SET SESSION time_zone := '+00:00'",
                "SET @saved_cs_client = @@character_set_client",
                "SET TIMESTAMP=1700000000.5",
                "/*!40101 SET SQL_MODE=IFNULL(@OLD_SQL_MODE, '') */",
                "/*M!100601 SET @OLD_OLD_MODE=@@OLD_MODE, OLD_MODE='UTF8_IS_UTF8MB3' */",
            ],
        );
    }

    #[test]
    fn the_rest_is_passed_over() {
        check(
            Setting::PassOver,
            &[
                "SET @@SESSION.SQL_LOG_BIN= 0",
                "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
                "SET @x = LOAD_FILE('/etc/passwd')",
                "SET @x = (SELECT 1, 2)",
                "SET sql_select_limit = 1",
                "SET wait_timeout=5, @a=1",
            ],
        );
        check(
            Setting::Foreign,
            &[
                "SET sql_mode = (SELECT 'x')",
                "SET sql_mode='', sql_log_bin=0",
                "SET @x=f(), NAMES utf8",
                "SET NAMES utf8 , x.y = 1",
            ],
        );
    }
}
