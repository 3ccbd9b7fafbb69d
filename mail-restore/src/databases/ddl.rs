//! CREATE, ALTER and DROP: what they concern.

use super::kind::{DatabaseVerb, Kind, Named, StoredKind, StoredVerb, TableVerb};
use super::token::Token;
use super::words::{Words, first_words};

/// The kinds of objects beside tables; `None` is a sequence.
const OBJECTS: [(&str, Option<StoredKind>); 7] = [
    ("VIEW", Some(StoredKind::View)),
    ("TRIGGER", Some(StoredKind::Trigger)),
    ("PROCEDURE", Some(StoredKind::Routine)),
    ("FUNCTION", Some(StoredKind::Routine)),
    ("EVENT", Some(StoredKind::Event)),
    ("SEQUENCE", None),
    ("PACKAGE", Some(StoredKind::Routine)),
];

pub(super) fn create(mut words: Words<'_>, text: &[u8]) -> Kind {
    let foreign = || Kind::Foreign(first_words(text));
    if words.accept("OR") {
        words.next();
    }
    if words.accept("DATABASE") || words.accept("SCHEMA") {
        return words.name().map_or_else(foreign, |named| {
            Kind::Database(DatabaseVerb::Create, named.name)
        });
    }
    if ["USER", "ROLE", "SERVER"]
        .iter()
        .any(|what| words.accept(what))
    {
        return Kind::Server(first_words(text));
    }
    if words.accept("TABLE") {
        let Some(table) = words.name() else {
            return foreign();
        };
        return table_definition(words, table, text);
    }
    if ["INDEX", "UNIQUE", "FULLTEXT", "SPATIAL"]
        .iter()
        .any(|kind| words.accept(kind))
    {
        // CREATE INDEX i USING BTREE ON t (a)
        let found = words.by_ref().take(8).any(|word| word.is_word("ON"));
        return match words.name().filter(|_| found) {
            Some(table) => Kind::Object(table),
            None => foreign(),
        };
    }
    // Before the kind stand definer, algorithm, security.
    let Some((kind, stored)) = words.by_ref().take(24).find_map(|word| object_kind(&word)) else {
        return foreign();
    };
    words.accept("BODY");
    let Some(object) = words.name() else {
        return foreign();
    };
    // A loadable function is code of the server's machine.
    if kind == "FUNCTION" && words.take(6).any(|word| word.is_word("SONAME")) {
        return Kind::Server(first_words(text));
    }
    match stored {
        Some(stored) => Kind::Stored(StoredVerb::Create, stored, object),
        None => Kind::Object(object),
    }
}

fn object_kind(word: &Token<'_>) -> Option<(&'static str, Option<StoredKind>)> {
    OBJECTS.into_iter().find(|(kind, _)| word.is_word(kind))
}

/// What a table may not have: rows of a query, files that lie elsewhere, another server. LIKE
/// depends on another table.
fn table_definition(words: Words<'_>, table: Named, text: &[u8]) -> Kind {
    let rest: Vec<_> = words.collect();
    let has = |wanted: &[&str]| {
        rest.iter()
            .any(|word| wanted.iter().any(|known| word.is_word(known)))
    };
    let follows = |first: &str, second: &str| {
        rest.windows(2)
            .any(|pair| pair[0].is_word(first) && pair[1].is_word(second))
    };
    if has(&["SELECT", "LOAD_FILE"])
        || follows("DATA", "DIRECTORY")
        || follows("INDEX", "DIRECTORY")
    {
        return Kind::Foreign(format!(
            "{} (a query, or files elsewhere)",
            first_words(text)
        ));
    }
    if rest.first() == Some(&Token::Symbol(b'(')) && !has(&["LIKE"]) {
        Kind::Table(TableVerb::Create, table)
    } else {
        Kind::Object(table)
    }
}

pub(super) fn alter(mut words: Words<'_>, text: &[u8]) -> Kind {
    let foreign = || Kind::Foreign(first_words(text));
    if words.accept("DATABASE") || words.accept("SCHEMA") {
        return words.name().map_or_else(foreign, |named| {
            Kind::Database(DatabaseVerb::Alter, named.name)
        });
    }
    if !words.accept("TABLE") {
        return foreign();
    }
    let Some(table) = words.name() else {
        return foreign();
    };
    let mut keys = words.clone();
    if (keys.accept("DISABLE") || keys.accept("ENABLE"))
        && keys.accept("KEYS")
        && keys.next().is_none()
    {
        return Kind::Table(TableVerb::Keys, table);
    }
    match words.any(|word| word.is_word("RENAME") || word.is_word("EXCHANGE")) {
        true => foreign(),
        false => Kind::Object(table),
    }
}

pub(super) fn drop_object(mut words: Words<'_>, text: &[u8]) -> Kind {
    let foreign = || Kind::Foreign(first_words(text));
    if words.accept("DATABASE") || words.accept("SCHEMA") {
        return words.name().map_or_else(foreign, |named| {
            Kind::Database(DatabaseVerb::Drop, named.name)
        });
    }
    let is_table = words.accept("TABLE");
    let found = OBJECTS.iter().find(|(kind, _)| words.accept(kind));
    if !is_table && found.is_none() {
        return foreign();
    }
    words.accept("BODY");
    let stored = found.and_then(|(_, stored)| *stored);
    match (words.name(), words.next(), stored) {
        (Some(table), None, _) if is_table => Kind::Table(TableVerb::Drop, table),
        (Some(object), None, Some(stored)) => Kind::Stored(StoredVerb::Drop, stored, object),
        (Some(object), None, None) => Kind::Object(object),
        _ => foreign(),
    }
}
