//! What stored code would do where its database ends: accounts, files, the server itself, other
//! databases, and statements that are put together only when it runs.
//!
//! A trigger or an event runs by itself, with the rights of its definer. So what a dump brings of
//! them is looked at for what it calls, not only for where it lies.

use std::collections::BTreeSet;

use super::modes::Modes;
use super::token::{Reading, Token, Tokens};

/// What was found in the text of stored code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// The words that concern accounts, files or the server.
    pub(super) forbidden: Option<String>,
    /// Whether it runs statements out of strings.
    pub(super) is_dynamic: bool,
    /// Whether it calls procedures.
    pub(super) calls: bool,
    /// What stands before a dot: databases, tables and aliases.
    pub(super) names: BTreeSet<String>,
    /// In whose name it runs.
    pub(super) definer: Option<(String, String)>,
}

/// Alone they are enough, wherever they stand; none of them is a name unless it is quoted, or
/// nobody calls a column so.
const ALONE: [&str; 9] = [
    "GRANT",
    "REVOKE",
    "KILL",
    "INFILE",
    "OUTFILE",
    "DUMPFILE",
    "LOAD_FILE",
    "SONAME",
    "SHUTDOWN",
];

/// Pairs of words, of which the second is any of several.
const PAIRS: [(&str, &[&str]); 13] = [
    ("CREATE", &["USER", "ROLE", "SERVER", "DATABASE", "SCHEMA"]),
    ("REPLACE", &["USER", "ROLE", "SERVER", "DATABASE", "SCHEMA"]),
    ("ALTER", &["USER", "SERVER", "DATABASE", "SCHEMA"]),
    ("DROP", &["USER", "ROLE", "SERVER", "DATABASE", "SCHEMA"]),
    ("RENAME", &["USER"]),
    (
        "SET",
        &[
            "PASSWORD",
            "GLOBAL",
            "PERSIST",
            "PERSIST_ONLY",
            "ROLE",
            "DEFAULT",
        ],
    ),
    ("INSTALL", &["PLUGIN", "SONAME"]),
    ("UNINSTALL", &["PLUGIN", "SONAME"]),
    ("CHANGE", &["MASTER", "REPLICATION"]),
    ("RESET", &["MASTER", "SLAVE", "REPLICA", "QUERY", "PERSIST"]),
    ("START", &["SLAVE", "REPLICA", "ALL"]),
    ("STOP", &["SLAVE", "REPLICA", "ALL"]),
    (
        "FLUSH",
        &[
            "PRIVILEGES",
            "TABLES",
            "TABLE",
            "LOGS",
            "HOSTS",
            "STATUS",
            "BINARY",
            "USER_RESOURCES",
            "NO_WRITE_TO_BINLOG",
            "LOCAL",
        ],
    ),
];

/// Looks at the text of stored code, from its CREATE on.
pub(super) fn of(text: &[u8], modes: Modes) -> Reach {
    let mut reach = Reach::default();
    let tokens: Vec<_> = Tokens::new(text, Reading::Run, modes)
        .significant()
        .collect();
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1);
        if let Token::Word(_) = token {
            reach.look_at_word(token, next);
        }
        if next == Some(&Token::Symbol(b'.'))
            && let Some(name) = token.name()
        {
            reach.names.insert(name);
        }
        if assigns_global(&tokens[at..]) {
            reach.forbidden.get_or_insert_with(|| "@@GLOBAL".to_owned());
        }
    }
    reach.definer = definer(&tokens);
    reach
}

impl Reach {
    fn look_at_word(&mut self, word: &Token<'_>, next: Option<&Token<'_>>) {
        let words = |first: &str, second: &str| format!("{first} {second}").trim_end().to_owned();
        if let Some(found) = ALONE.iter().find(|known| word.is_word(known)) {
            self.forbidden.get_or_insert_with(|| words(found, ""));
        }
        for (first, seconds) in PAIRS.iter().filter(|(first, _)| word.is_word(first)) {
            let second = seconds
                .iter()
                .find(|second| next.is_some_and(|next| next.is_word(second)));
            if let Some(second) = second {
                self.forbidden.get_or_insert_with(|| words(first, second));
            }
        }
        self.is_dynamic |= word.is_word("PREPARE") || word.is_word("EXECUTE");
        self.calls |= word.is_word("CALL");
    }
}

/// `SET @@GLOBAL.x`, also after a comma.
fn assigns_global(tokens: &[Token<'_>]) -> bool {
    let at = Token::Symbol(b'@');
    match tokens {
        [before, first, second, scope, ..] => {
            (before.is_word("SET") || *before == Token::Symbol(b','))
                && *first == at
                && *second == at
                && scope.is_word("GLOBAL")
                && tokens
                    .iter()
                    .skip(6)
                    .take(2)
                    .any(|token| *token == Token::Symbol(b'='))
        }
        _ => false,
    }
}

fn definer(tokens: &[Token<'_>]) -> Option<(String, String)> {
    let name = |token: &Token<'_>| match token {
        Token::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        token => token.name(),
    };
    match tokens
        .iter()
        .take(12)
        .position(|token| token.is_word("DEFINER"))
        .map(|at| &tokens[at + 1..])
    {
        Some([Token::Symbol(b'='), user, Token::Symbol(b'@'), host, ..]) => {
            Some((name(user)?, name(host)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str) -> Reach {
        of(text.as_bytes(), Modes::default())
    }

    #[track_caller]
    fn check_forbidden(text: &str, expected: Option<&str>) {
        assert_eq!(look(text).forbidden.as_deref(), expected, "{text}");
    }

    #[test]
    fn what_leaves_the_database_is_seen() {
        check_forbidden(
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO GRANT ALL ON *.* TO x",
            Some("GRANT"),
        );
        check_forbidden(
            "CREATE PROCEDURE p() BEGIN SET a=1; CREATE OR REPLACE USER x; END",
            Some("REPLACE USER"),
        );
        check_forbidden("CREATE PROCEDURE p() SET GLOBAL a=1", Some("SET GLOBAL"));
        check_forbidden(
            "CREATE PROCEDURE p() SET @a=1, @@GLOBAL.b=2",
            Some("@@GLOBAL"),
        );
        check_forbidden(
            "CREATE FUNCTION f() RETURNS TEXT RETURN LOAD_FILE('/x')",
            Some("LOAD_FILE"),
        );
        check_forbidden(
            "CREATE PROCEDURE p() SELECT 1 INTO OUTFILE '/x'",
            Some("OUTFILE"),
        );
        check_forbidden(
            "CREATE PROCEDURE p() SELECT 'GRANT', `grant`, t.flush, flush FROM t",
            None,
        );
        check_forbidden("CREATE PROCEDURE p() SELECT @@GLOBAL.x, @@global.y", None);
        check_forbidden(
            "CREATE PROCEDURE p() BEGIN START TRANSACTION; DROP TEMPORARY TABLE x; END",
            None,
        );
    }

    #[test]
    fn names_calls_and_definers_are_seen() {
        let found = look(
            "CREATE DEFINER=`a b`@'%' TRIGGER t BEFORE INSERT ON u FOR EACH ROW DELETE FROM other.secret",
        );
        assert_eq!(found.definer, Some(("a b".into(), "%".into())));
        assert!(found.names.contains("other") && !found.is_dynamic && !found.calls);
        let found = look(
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN CALL p(); EXECUTE IMMEDIATE @x; END",
        );
        assert!(found.is_dynamic && found.calls && found.definer.is_none());
    }
}
