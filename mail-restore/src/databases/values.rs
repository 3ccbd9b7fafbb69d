//! The rows of an INSERT: literals and nothing else, and how many they are.
//!
//! An expression would be run with the rights of who restores: `LOAD_FILE`, a query on mysql.user.

use super::modes::Modes;
use super::token::{Reading, Token, Tokens, quoted_length};

/// What stands where a literal should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotLiteral(pub(super) String);

/// What may stand before a pair of parentheses with literals in it: geometries, as phpMyAdmin and
/// others write them.
const GEOMETRIES: [&str; 6] = [
    "GEOMFROMTEXT",
    "ST_GEOMFROMTEXT",
    "GEOMFROMWKB",
    "ST_GEOMFROMWKB",
    "GEOMETRYFROMTEXT",
    "ST_GEOMETRYFROMTEXT",
];

/// What may stand alone.
const CONSTANTS: [&str; 3] = ["NULL", "TRUE", "FALSE"];

/// What may stand before a string, beside the name of a character set: X'41', N'a', DATE'...'.
const PREFIXES: [&str; 6] = ["X", "B", "N", "DATE", "TIME", "TIMESTAMP"];

/// How many rows `insert` has, if they are literals.
pub(super) fn count_rows(insert: &[u8], modes: Modes) -> Result<u64, NotLiteral> {
    let Some(values) = values_of(insert, modes) else {
        return Err(NotLiteral("no VALUES".to_owned()));
    };
    Scan {
        text: values,
        at: 0,
        modes,
    }
    .rows()
}

/// Whether rows of the INSERT may take the place of others, or be left out.
pub(super) fn replaces(insert: &[u8], modes: Modes) -> bool {
    Tokens::new(insert, Reading::Run, modes)
        .significant()
        .take_while(|token| !token.is_word("INTO"))
        .take(4)
        .any(|token| token.is_word("REPLACE") || token.is_word("IGNORE"))
}

/// What follows VALUES.
fn values_of(insert: &[u8], modes: Modes) -> Option<&[u8]> {
    let mut tokens = Tokens::new(insert, Reading::Run, modes);
    let mut depth = 0;
    loop {
        match tokens.next()? {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') => depth -= 1,
            token if depth == 0 && (token.is_word("VALUES") || token.is_word("VALUE")) => {
                return Some(&insert[insert.len() - tokens.rest_bytes()..]);
            }
            _ => {}
        }
    }
}

/// Goes through the values byte by byte: dumps are mostly this.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    modes: Modes,
}

impl Scan<'_> {
    fn rows(mut self) -> Result<u64, NotLiteral> {
        let mut rows = 0;
        let mut depth = 0_u32;
        // Whether the parentheses of depth 2 are those of a geometry.
        let mut may_nest = false;
        while let Some(&byte) = self.text.get(self.at) {
            let nests = std::mem::take(&mut may_nest);
            match byte {
                b'(' if depth == 0 || depth == 1 && nests => {
                    depth += 1;
                    self.at += 1;
                }
                b')' if depth > 0 => {
                    depth -= 1;
                    rows += u64::from(depth == 0);
                    self.at += 1;
                }
                b',' => self.at += 1,
                b'\'' if depth > 0 => self.string()?,
                b'"' if depth > 0 && !self.modes.is_name_quote(b'"') => self.string()?,
                byte if byte.is_ascii_whitespace() => self.at += 1,
                byte if depth > 0 && (byte.is_ascii_digit() || b"+-.".contains(&byte)) => {
                    self.number()?;
                }
                byte if depth > 0 && (byte.is_ascii_alphabetic() || byte == b'_') => {
                    may_nest = self.word()?;
                }
                _ => return Err(self.not_literal()),
            }
        }
        Ok(rows)
    }

    fn string(&mut self) -> Result<(), NotLiteral> {
        let from = self.at + 1;
        let length = quoted_length(&self.text[from..], self.text[self.at], self.modes);
        if from + length >= self.text.len() {
            return Err(self.not_literal());
        }
        self.at = from + length + 1;
        Ok(())
    }

    /// `-1.5e10`, `0x41`, `0b01`: a sign, then a digit or a dot, then letters and digits as a
    /// number has them.
    fn number(&mut self) -> Result<(), NotLiteral> {
        let rest = &self.text[self.at..];
        let sign = usize::from(rest[0] == b'-' || rest[0] == b'+');
        let length = rest[sign..]
            .iter()
            .enumerate()
            .take_while(|(at, byte)| {
                let is_exponent = *at > 0 && matches!(rest[sign + at - 1], b'e' | b'E');
                byte.is_ascii_hexdigit()
                    || matches!(byte, b'.' | b'x')
                    || is_exponent && matches!(byte, b'+' | b'-')
            })
            .count();
        let is_number = length > 0 && (rest[sign].is_ascii_digit() || rest[sign] == b'.');
        let ends = !rest
            .get(sign + length)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_$(".contains(byte));
        if !is_number || !ends {
            return Err(self.not_literal());
        }
        self.at += sign + length;
        Ok(())
    }

    /// Whether parentheses may follow.
    fn word(&mut self) -> Result<bool, NotLiteral> {
        let rest = &self.text[self.at..];
        let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        let length = rest.iter().take_while(is_part).count();
        let word = &rest[..length];
        let after = rest[length..].trim_ascii_start();
        let is_one_of = |words: &[&str]| {
            words
                .iter()
                .any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
        };
        let stands_before_string =
            after.first() == Some(&b'\'') || after.starts_with(b"0x") && word[0] == b'_';
        let is_introducer = (word[0] == b'_' || is_one_of(&PREFIXES)) && stands_before_string;
        let is_geometry = is_one_of(&GEOMETRIES) && after.first() == Some(&b'(');
        let is_constant = is_one_of(&CONSTANTS) && after.first() != Some(&b'(');
        if !is_introducer && !is_geometry && !is_constant {
            return Err(self.not_literal());
        }
        self.at += length;
        Ok(is_geometry)
    }

    /// The beginning of what is none; of a string, nothing.
    fn not_literal(&self) -> NotLiteral {
        let rest = &self.text[self.at..];
        let is_shown = |byte: &&u8| byte.is_ascii_graphic() && !b"'\"".contains(byte);
        let shown: Vec<u8> = rest.iter().take_while(is_shown).take(40).copied().collect();
        NotLiteral(shown.escape_ascii().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<u64, &str>) {
        let found = count_rows(text.as_bytes(), Modes::default());
        let expected = expected.map_err(|what| NotLiteral(what.to_owned()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn literals_are_rows() {
        check(
            "INSERT INTO t VALUES (1,-2.5e-10,NULL),('a''b\\'),(',\"x\")",
            Ok(1).and(Ok(2)),
        );
        check(
            "INSERT INTO `VALUES` (`a)b`, c) VALUES (0xFF00,b'101',X'41',_binary 'x\\'')",
            Ok(1),
        );
        check(
            "INSERT INTO t VALUES\n(_latin1 0x41, .5, +3, 1.), (true, FALSE, null)",
            Ok(2),
        );
        check("INSERT INTO t VALUES (), ()", Ok(2));
        check(
            "REPLACE INTO t VALUES (ST_GeomFromText('POINT(1 1)', 4326), DATE'2026-01-01')",
            Ok(1),
        );
    }

    #[test]
    fn expressions_are_not() {
        check("INSERT INTO t VALUES ((SELECT 1))", Err("(SELECT"));
        check(
            "INSERT INTO t VALUES (LOAD_FILE('/etc/passwd'))",
            Err("LOAD_FILE("),
        );
        check("INSERT INTO t VALUES (1-sleep(9))", Err("-sleep(9))"));
        check("INSERT INTO t VALUES (f())", Err("f())"));
        check("INSERT INTO t VALUES (@@datadir)", Err("@@datadir)"));
        check(
            "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a=1",
            Err("ON"),
        );
        check("INSERT INTO t VALUES (`b`)", Err("`b`)"));
        check("INSERT INTO t VALUES (1 /* x */)", Err("/*"));
        check("INSERT INTO t VALUES (CURRENT_USER)", Err("CURRENT_USER)"));
        check("INSERT INTO t VALUES (1e(2))", Err("1e(2))"));
        check("INSERT INTO t VALUES (NULL(1))", Err("NULL(1))"));
        check("INSERT INTO t VALUES (DEFAULT)", Err("DEFAULT)"));
        check("INSERT INTO t VALUES ('a' 'b', 'c", Err(""));
        check("INSERT INTO t SELECT 1", Err("no VALUES"));
        check(
            "INSERT INTO t VALUES (GeomFromText((SELECT 1)))",
            Err("(SELECT"),
        );
    }

    proptest::proptest! {
        #[test]
        fn random_values_never_panic(text in "[(),'\"0-9a-fx_eN.+ \\\\-]{0,40}") {
            let _ = count_rows(format!("INSERT INTO t VALUES {text}").as_bytes(), Modes::default());
        }
    }
}
