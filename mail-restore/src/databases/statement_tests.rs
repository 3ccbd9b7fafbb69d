//! Statements out of streams that are cut anywhere.

use super::*;
use proptest::prelude::*;

/// Gives `text` in pieces of `piece` bytes.
struct Pieces<'a> {
    text: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.piece.min(into.len()).min(self.text.len());
        into[..length].copy_from_slice(&self.text[..length]);
        self.text = &self.text[length..];
        Ok(length)
    }
}

fn read_pieces(text: &[u8], piece: usize) -> Result<Vec<(u64, String)>, String> {
    let mut reader = StatementReader::new(Pieces { text, piece });
    let mut found = Vec::new();
    while let Some(statement) = reader.next().map_err(|error| error.to_string())? {
        found.push((
            statement.line,
            String::from_utf8_lossy(&statement.text).into_owned(),
        ));
    }
    Ok(found)
}

#[track_caller]
fn check(text: &str, expected: &[(u64, &str)]) {
    for piece in [1, 2, 3, 7, usize::MAX] {
        let found = read_pieces(text.as_bytes(), piece).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(line, text)| (*line, text.as_str()))
            .collect();
        assert_eq!(found, expected, "in pieces of {piece}");
    }
}

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    for piece in [1, 2, 3, 7, usize::MAX] {
        let error = read_pieces(text.as_bytes(), piece).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn statements_end_at_the_delimiter_outside_of_quotes() {
    check("", &[]);
    check(" ;;\n; \n", &[]);
    check("A;B ;\n C\n;", &[(1, "A"), (1, "B "), (2, "C\n")]);
    check(r#"A ';' ";" `;`;B;"#, &[(1, r#"A ';' ";" `;`"#), (1, "B")]);
    let quotes = [r"A ''''", r"B '\''", r"C `\`", r#"D """;""#, "E"];
    let text = quotes.map(|statement| format!("{statement};")).concat();
    check(&text, &quotes.map(|statement| (1, statement)));
    check(
        "A 'ü\\\\';B '表\n日';C \\N;",
        &[(1, "A 'ü\\\\'"), (1, "B '表\n日'"), (2, "C \\N")],
    );
}

#[test]
fn comments_between_statements_go_and_those_inside_stay() {
    check(
        "-- it's; one\n# it's; two\n/* it's;\nthree */A;--\n",
        &[(4, "A")],
    );
    let inside = "A -- it's;\n, b # ';\n /* it's; */ c";
    check(&format!("{inside};B--1;"), &[(1, inside), (3, "B--1")]);
    let executable = ["/*!40101 SET x='*' */", "/*M!100 B */", "A/**/"];
    let text = format!(
        "{};{};/*+ no */{};",
        executable[0], executable[1], executable[2]
    );
    check(&text, &executable.map(|statement| (1, statement)));
    check(
        "/*!50003 CREATE /* it's */ X */;",
        &[(1, "/*!50003 CREATE /* it's */ X */")],
    );
    check("/*M!999999\\- enable the sandbox mode */ \nA;", &[(2, "A")]);
    check("/*!999999\\- enable the sandbox mode */ \nA;", &[(2, "A")]);
}

#[test]
fn a_delimiter_line_holds_until_the_next() {
    let text = "DELIMITER ;;\nA; B 'x';;\n;;\ndelimiter // \n;C;//\nDELIMITER ;\nD;";
    check(text, &[(2, "A; B 'x'"), (5, ";C;"), (7, "D")]);
    check("DELIMITER $$\n-- it's\nA $1 $$", &[(3, "A $1 ")]);
    check_refused("DELIMITER\nA;", "DELIMITER");
    check_refused("DELIMITER '\nA;", "DELIMITER");
}

#[test]
fn the_sql_mode_of_the_dump_decides_what_a_backslash_is() {
    let statements = [
        "SET sql_mode='NO_BACKSLASH_ESCAPES'",
        r"A '\'",
        "SET sql_mode=''",
        r"B '\';'",
    ];
    let text = statements.map(|statement| format!("{statement};")).concat();
    check(&text, &statements.map(|statement| (1, statement)));
    let ansi = ["SET sql_mode='ANSI_QUOTES'", r#"A "\""#];
    check(
        &ansi.map(|statement| format!("{statement};")).concat(),
        &ansi.map(|statement| (1, statement)),
    );
}

#[test]
fn commands_of_the_client_are_refused() {
    for text in [
        "\\! rm -rf /\n",
        "A;\nsystem id;",
        "SOURCE /etc/passwd;",
        "A \\. /etc/passwd\n;",
        "tee /x",
        "?;",
    ] {
        check_refused(text, "is a command of the client");
    }
    check_refused("A;\n\nB\n\\! id\n;", r#"line 4: "\\!""#);
    check_refused("/*!999999\\! id */;", "is a command of the client");
}

#[test]
fn what_servers_would_end_in_different_places_is_refused() {
    check_refused(
        "/*!999999 SET @x=' */ DROP DATABASE y -- ' */;",
        "for some servers",
    );
    check_refused(
        "/*!999999 SET @x=1 -- */ DROP DATABASE y\n */;",
        "for some servers",
    );
    check_refused("/*!1 A /*!2 B */ C */;", "inside another");
}

#[test]
fn a_text_that_is_cut_off_is_refused() {
    check_refused("A;\nB", "line 2: a statement without an end");
    check_refused("A;\n\nB 'x;\n;", "line 3: a string or name without an end");
    check_refused("A;/* x", "a comment without an end");
    check_refused("A /* x;", "a comment without an end");
    check_refused("/*! A;", "an executable comment without an end");
    check_refused("A '\\", "a string or name without an end");
}

#[test]
fn a_statement_that_is_too_long_is_refused() {
    let text = format!("A;\nB '{}';", "x".repeat(3 * CHUNK_BYTES));
    let mut reader = StatementReader::new(text.as_bytes());
    reader.limit_bytes = 2 * CHUNK_BYTES;
    assert!(reader.next().unwrap().is_some());
    assert!(matches!(reader.next(), Err(ReadError::TooLong { line: 2 })));
}

#[test]
fn the_first_and_the_last_comment_are_known() {
    let mut reader =
        StatementReader::new(&b"\n-- title\n-- more\nA;-- x\nB;\n-- Dump completed\n--\n"[..]);
    while reader.next().unwrap().is_some() {}
    assert_eq!(
        (reader.first_comment(), reader.last_comment()),
        ("-- title", "-- Dump completed")
    );
    let mut reader = StatementReader::new(&b"A;-- x\nB;"[..]);
    while reader.next().unwrap().is_some() {}
    assert_eq!((reader.first_comment(), reader.last_comment()), ("", ""));
}

/// What decides where a statement ends.
const WORDS: [&str; 23] = [
    "A",
    ";",
    "'",
    "\"",
    "`",
    "\\'",
    "\\\\",
    "-- ",
    "--",
    "#",
    "/*",
    "*/",
    "/*!1 ",
    "/*M!",
    "\n",
    " ",
    "\\N",
    "DELIMITER ;;\n",
    "DELIMITER ;\n",
    ";;",
    "SET sql_mode='NO_BACKSLASH_ESCAPES';",
    "ü",
    "x",
];

proptest! {
    #[test]
    fn random_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_pieces(&text, 5);
    }

    #[test]
    fn pieces_make_no_difference(
        words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..40),
        piece in 1usize..9,
    ) {
        let text = words.concat();
        prop_assert_eq!(read_pieces(text.as_bytes(), piece), read_pieces(text.as_bytes(), usize::MAX));
    }
}
