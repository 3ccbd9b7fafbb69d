//! Statements of a dump of one database, as they are for another: each name of a database that has
//! another place for now becomes the name of that place.

use std::collections::BTreeMap;

use mail_mysql::quote_name;

use super::modes::Modes;
use super::token::{Reading, Token, Tokens};

/// Where databases are for now, by their names.
pub(super) type Places = BTreeMap<String, String>;

/// `text`, in which what stands before a dot has its place for now. For definitions of tables and
/// sequences, in which nothing but a database stands there.
pub(super) fn names(text: &[u8], modes: Modes, places: &Places) -> Vec<u8> {
    let mut edits = Vec::new();
    let mut tokens = Tokens::new(text, Reading::Run, modes);
    let mut before: Option<(Token<'_>, std::ops::Range<usize>)> = None;
    let mut was_dot = false;
    while let Some(token) = tokens.next() {
        if token == Token::Symbol(b'.') {
            edits.extend(before.take().and_then(|found| edit(found, places)));
            was_dot = true;
            continue;
        }
        before = (!std::mem::take(&mut was_dot)).then(|| (token, tokens.span()));
    }
    apply(text, edits)
}

/// A statement about a database, for its place.
pub(super) fn database(text: &[u8], modes: Modes, places: &Places) -> Vec<u8> {
    let mut tokens = Tokens::new(text, Reading::Run, modes);
    let keywords = [
        "CREATE", "ALTER", "DROP", "DATABASE", "SCHEMA", "IF", "NOT", "EXISTS", "OR", "REPLACE",
    ];
    while let Some(token) = tokens.next() {
        let is_keyword = keywords.iter().any(|word| token.is_word(word));
        if is_keyword || matches!(token, Token::Open | Token::Close) {
            continue;
        }
        let found = (token, tokens.span());
        return apply(text, edit(found, places).into_iter().collect());
    }
    text.to_vec()
}

/// The CREATE statement of stored code, for the place of its database: its name, and the table of a
/// trigger. Its body is what it is: it runs only where it belongs.
pub(super) fn head(text: &[u8], modes: Modes, places: &Places) -> Vec<u8> {
    let mut edits = Vec::new();
    let mut tokens = Tokens::new(text, Reading::Run, modes);
    let kinds = [
        "VIEW",
        "TRIGGER",
        "PROCEDURE",
        "FUNCTION",
        "EVENT",
        "PACKAGE",
    ];
    let Some(kind) = tokens.find(|token| kinds.iter().any(|kind| token.is_word(kind))) else {
        return text.to_vec();
    };
    edits.extend(qualifier(&mut tokens).and_then(|found| edit(found, places)));
    if kind.is_word("TRIGGER") && tokens.any(|token| token.is_word("ON")) {
        edits.extend(qualifier(&mut tokens).and_then(|found| edit(found, places)));
    }
    apply(text, edits)
}

/// The CREATE statement of an event, switched off. ENABLE stands before DO, as COMMENT does.
pub(super) fn switched_off(text: &[u8], modes: Modes) -> Vec<u8> {
    let mut tokens = Tokens::new(text, Reading::Run, modes);
    while let Some(token) = tokens.next() {
        let span = tokens.span();
        if token.is_word("ENABLE") {
            return apply(text, vec![(span, "DISABLE".to_owned())]);
        }
        if token.is_word("DISABLE") {
            return text.to_vec();
        }
        if token.is_word("COMMENT") || token.is_word("DO") {
            return apply(text, vec![(span.start..span.start, "DISABLE ".to_owned())]);
        }
    }
    text.to_vec()
}

/// The name before the dot of the next qualified name, after words such as IF NOT EXISTS.
fn qualifier<'a>(tokens: &mut Tokens<'a>) -> Option<(Token<'a>, std::ops::Range<usize>)> {
    loop {
        let token = tokens.next()?;
        let is_word = ["IF", "NOT", "EXISTS", "BODY"]
            .iter()
            .any(|word| token.is_word(word));
        if is_word || matches!(token, Token::Open | Token::Close) {
            continue;
        }
        let span = tokens.span();
        let is_qualified = tokens.clone().next() == Some(Token::Symbol(b'.'));
        return is_qualified.then_some((token, span));
    }
}

type Edit = (std::ops::Range<usize>, String);

fn edit((token, span): (Token<'_>, std::ops::Range<usize>), places: &Places) -> Option<Edit> {
    let place = places.get(&token.name()?)?;
    Some((span, quote_name(place)))
}

fn apply(text: &[u8], edits: Vec<Edit>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 64);
    let mut copied = 0;
    for (span, replacement) in edits {
        out.extend_from_slice(&text[copied..span.start]);
        out.extend_from_slice(replacement.as_bytes());
        copied = span.end;
    }
    out.extend_from_slice(&text[copied..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        [("d".to_owned(), "new".to_owned())].into()
    }

    #[track_caller]
    fn check(change: impl Fn(&[u8], Modes, &Places) -> Vec<u8>, text: &str, expected: &str) {
        let changed = change(text.as_bytes(), Modes::default(), &places());
        assert_eq!(String::from_utf8(changed).unwrap(), expected);
    }

    #[test]
    fn databases_get_their_places() {
        check(
            names,
            "CREATE TABLE t (a INT DEFAULT nextval(`d`.`s`) COMMENT 'd.x', CONSTRAINT c FOREIGN KEY (a) REFERENCES `d`.`d` (`d`))",
            "CREATE TABLE t (a INT DEFAULT nextval(`new`.`s`) COMMENT 'd.x', CONSTRAINT c FOREIGN KEY (a) REFERENCES `new`.`d` (`d`))",
        );
        check(
            names,
            "ALTER TABLE `d`.`t` ADD KEY (`e`.`d`.`x`)",
            "ALTER TABLE `new`.`t` ADD KEY (`e`.`d`.`x`)",
        );
        check(
            database,
            "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `d` /*!40100 DEFAULT CHARACTER SET latin1 */",
            "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `new` /*!40100 DEFAULT CHARACTER SET latin1 */",
        );
        check(
            database,
            "ALTER DATABASE `e` COLLATE d",
            "ALTER DATABASE `e` COLLATE d",
        );
    }

    #[test]
    fn heads_of_code_get_their_places_and_bodies_do_not() {
        check(
            head,
            "/*!50003 CREATE*/ /*!50003 TRIGGER d.tr BEFORE INSERT ON d.t FOR EACH ROW INSERT INTO d.u VALUES (1) */",
            "/*!50003 CREATE*/ /*!50003 TRIGGER `new`.tr BEFORE INSERT ON `new`.t FOR EACH ROW INSERT INTO d.u VALUES (1) */",
        );
        check(
            head,
            "CREATE VIEW `v` AS select `d`.`x` from `t` `d`",
            "CREATE VIEW `v` AS select `d`.`x` from `t` `d`",
        );
        check(
            head,
            "CREATE PROCEDURE IF NOT EXISTS `d`.p() SELECT 1",
            "CREATE PROCEDURE IF NOT EXISTS `new`.p() SELECT 1",
        );
    }

    #[test]
    fn events_are_switched_off() {
        let off = |text: &[u8], modes, _: &Places| switched_off(text, modes);
        check(
            off,
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY ENABLE DO SELECT 1",
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1",
        );
        check(
            off,
            "CREATE EVENT e ON SCHEDULE AT NOW() DO ENABLE",
            "CREATE EVENT e ON SCHEDULE AT NOW() DISABLE DO ENABLE",
        );
        check(
            off,
            "CREATE EVENT e ON SCHEDULE AT '1' COMMENT 'DO' DO x",
            "CREATE EVENT e ON SCHEDULE AT '1' DISABLE COMMENT 'DO' DO x",
        );
    }
}
