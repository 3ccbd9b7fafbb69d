//! Tells what a statement does.
//!
//! The list is one of what is allowed. Names of other databases are seen here; what a stored
//! function does when a row calls it is not.

use super::ddl::{alter, create, drop_object};
use super::kind::{Kind, Named, TableVerb};
use super::modes::Modes;
use super::settings::{self, Setting};
use super::statement::Statement;
use super::text::unescaped;
use super::token::{Reading, Token, Tokens, is_skipped};
use super::words::{Words, first_words};

/// The variable in which a dump of mail-backup keeps stored code.
const CODE_VARIABLE: &str = "mail_backup_code";

/// What may follow the first executable comment of a statement that consists of several.
const CONTINUATIONS: [&str; 10] = [
    "DEFINER",
    "SQL",
    "VIEW",
    "TRIGGER",
    "EVENT",
    "PROCEDURE",
    "FUNCTION",
    "ALGORITHM",
    "PACKAGE",
    "WITH",
];

/// What `statement` does. It is the same for servers that run its executable comments and for
/// those that skip them.
pub(super) fn classify(statement: &Statement) -> Kind {
    if is_skipped(&statement.text) {
        return Kind::Idle(first_words(&statement.text));
    }
    let run = read(&statement.text, Reading::Run, statement.modes);
    let is_plain = memchr::memmem::find(&statement.text, b"/*").is_none();
    if is_plain || has_one_meaning(statement, &run) {
        return run;
    }
    Kind::Foreign(first_words(&statement.text))
}

fn read(text: &[u8], reading: Reading, modes: Modes) -> Kind {
    let mut words = Words(Tokens::new(text, reading, modes));
    let foreign = || Kind::Foreign(first_words(text));
    let server = || Kind::Server(first_words(text));
    let Some(Token::Word(verb)) = words.next() else {
        return foreign();
    };
    let kind = match verb.to_ascii_uppercase().as_slice() {
        b"INSERT" | b"REPLACE" => insert(&mut words),
        b"SET" => return set(words, text, modes),
        b"USE" => words.name().map(|named| Kind::Use(named.name)),
        b"CREATE" => return create(words, text),
        b"ALTER" => return alter(words, text),
        b"DROP" => return drop_object(words, text),
        b"TRUNCATE" => {
            words.accept("TABLE");
            words
                .name()
                .map(|table| Kind::Table(TableVerb::Empty, table))
        }
        b"DO" => set_value(&mut words).map(Kind::Object),
        b"SELECT" => return select(words, text),
        b"DELETE" => delete_all(&mut words),
        b"SHOW" | b"CHECK" | b"CHECKSUM" | b"OPTIMIZE" | b"REPAIR" | b"DESCRIBE" | b"EXPLAIN"
        | b"DESC" => Some(Kind::Idle(first_words(text))),
        b"EXECUTE" => is_run_code(&mut words).then_some(Kind::RunCode),
        b"LOCK" | b"UNLOCK" | b"COMMIT" => Some(Kind::Superfluous),
        b"START" if words.accept("TRANSACTION") => Some(Kind::Superfluous),
        b"BEGIN" => words.next().is_none().then_some(Kind::Superfluous),
        b"GRANT" | b"REVOKE" | b"FLUSH" | b"INSTALL" | b"UNINSTALL" | b"CHANGE" | b"ANALYZE"
        | b"START" | b"STOP" | b"RESET" | b"PURGE" => return server(),
        _ => None,
    };
    kind.unwrap_or_else(foreign)
}

/// Whether every server sees the statement that `run` is, whichever executable comments it skips.
fn has_one_meaning(statement: &Statement, run: &Kind) -> bool {
    let Statement { text, modes, .. } = statement;
    let has_code_outside = Tokens::new(text, Reading::Skip, *modes).next().is_some();
    if has_code_outside && !matches!(run, Kind::Code(_)) {
        return begins_outside(text, *modes) && *run == read(text, Reading::Skip, *modes);
    }
    let mut before = Token::Symbol(b' ');
    let mut comments = 0;
    Tokens::new(text, Reading::Run, *modes).all(|token| {
        let follows = |words: &[&str]| words.iter().any(|word| token.is_word(word));
        let is_good = match before {
            Token::Open if comments > 1 => token == Token::Close || follows(&CONTINUATIONS),
            // WITH CHECK OPTION goes on, while WITH and a name would begin a query.
            Token::Word(_) if before.is_word("WITH") && comments > 1 => {
                follows(&["CASCADED", "LOCAL", "CHECK"])
            }
            _ => true,
        };
        comments += u32::from(token == Token::Open);
        before = token;
        is_good
    })
}

fn begins_outside(text: &[u8], modes: Modes) -> bool {
    !matches!(
        Tokens::new(text, Reading::Run, modes).next(),
        Some(Token::Open) | None
    )
}

/// SETVAL of a sequence, or an answer that nobody reads. Into a file it would be one that somebody
/// does.
fn select(words: Words<'_>, text: &[u8]) -> Kind {
    if let Some(sequence) = set_value(&mut words.clone()) {
        return Kind::Object(sequence);
    }
    let mut words = words;
    let reaches = [
        "INTO",
        "SETVAL",
        "NEXTVAL",
        "NEXT",
        "LASTVAL",
        "LOAD_FILE",
        "GET_LOCK",
    ];
    if words.any(|word| reaches.iter().any(|reach| word.is_word(reach))) {
        return Kind::Foreign(first_words(text));
    }
    Kind::Idle(first_words(text))
}

fn set(mut words: Words<'_>, text: &[u8], modes: Modes) -> Kind {
    if let Some(code) = code(&mut words.clone()) {
        return Kind::Code(code);
    }
    if words.accept("STATEMENT") {
        return Kind::Foreign(first_words(text));
    }
    let is_server = |word: &Token<'_>| {
        ["GLOBAL", "PERSIST", "PERSIST_ONLY", "PASSWORD", "ROLE"]
            .iter()
            .any(|name| word.is_word(name))
    };
    if words.clone().any(|word| is_server(&word)) {
        return Kind::Server(first_words(text));
    }
    if words.any(|word| word.is_word("AUTOCOMMIT")) {
        return Kind::Superfluous;
    }
    match settings::judge(text, modes) {
        Setting::Run => Kind::Session,
        Setting::PassOver => Kind::Idle(first_words(text)),
        Setting::Foreign => Kind::Foreign(first_words(text)),
    }
}

/// INSERT, with values: with a query it would depend on other tables.
fn insert(words: &mut Words<'_>) -> Option<Kind> {
    for option in ["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE"] {
        words.accept(option);
    }
    words.accept("INTO");
    let table = words.name()?;
    let mut depth = 0;
    let values = words.by_ref().find(|token| {
        match token {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') => depth -= 1,
            _ => {}
        }
        depth == 0 && *token != Token::Symbol(b')')
    })?;
    let is_values = values.is_word("VALUES") || values.is_word("VALUE");
    is_values.then_some(Kind::Table(TableVerb::Insert, table))
}

/// `SETVAL(sequence, ...)`, and nothing that takes the answer elsewhere.
fn set_value(words: &mut Words<'_>) -> Option<Named> {
    let is_call = words.accept("SETVAL") && words.next() == Some(Token::Symbol(b'('));
    let sequence = words.name().filter(|_| is_call)?;
    let mut rest = words.skip_while(|token| *token != Token::Symbol(b')'));
    (rest.next().is_some() && rest.next().is_none()).then_some(sequence)
}

/// `DELETE FROM table`, and nothing that chooses rows.
fn delete_all(words: &mut Words<'_>) -> Option<Kind> {
    let table = words.accept("FROM").then(|| words.name()).flatten()?;
    words
        .next()
        .is_none()
        .then_some(Kind::Table(TableVerb::Empty, table))
}

fn is_run_code(words: &mut Words<'_>) -> bool {
    words.accept("IMMEDIATE")
        && words.next() == Some(Token::Symbol(b'@'))
        && words.accept(CODE_VARIABLE)
        && words.next().is_none()
}

/// The value of `@mail_backup_code = '...'`.
fn code(words: &mut Words<'_>) -> Option<Vec<u8>> {
    let is_code = words.next()? == Token::Symbol(b'@')
        && words.accept(CODE_VARIABLE)
        && words.next()? == Token::Symbol(b'=');
    match (is_code, words.next()?, words.next()) {
        (true, Token::Text(text), None) => Some(unescaped(text, b'\'', Modes::default())),
        (true, Token::Word(digits), None) => bytes_of(digits.strip_prefix(b"0x")?),
        _ => None,
    }
}

/// What hexadecimal digits mean.
fn bytes_of(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs
        .map(|pair| u8::try_from(digit(&pair[0])? * 16 + digit(&pair[1])?).ok())
        .collect()
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
