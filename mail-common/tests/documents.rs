//! `docs/records.md` lists every kind of failure, in the order of the code, with its exit code.
#![allow(clippy::disallowed_methods, reason = "sample files")]
#![expect(
    clippy::unwrap_used,
    reason = "a document without the table ends the test"
)]

use mail_common::failure::FailureKind;

const DOCUMENT: &str = include_str!("../../docs/records.md");
const SOURCE: &str = include_str!("../src/failure.rs");

/// The variants of the enum, as records write them.
fn kinds_in_the_source() -> Vec<String> {
    let body = SOURCE.split_once("pub enum FailureKind {").unwrap().1;
    let body = body.split_once("\n}").unwrap().0;
    let variants = body
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','));
    variants.map(snake_case).collect()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// Name and exit code of each row of the table.
fn rows() -> Vec<(String, u8)> {
    let table = DOCUMENT.split_once("| kind | meaning | exit |").unwrap().1;
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    cells
        .map(|cells| {
            (
                cells[1].trim_matches('`').to_owned(),
                cells[3].parse().unwrap(),
            )
        })
        .collect()
}

#[test]
fn every_kind_of_failure_is_documented_with_its_exit_code() {
    let documented: Vec<String> = rows().into_iter().map(|(name, _)| name).collect();
    assert_eq!(documented, kinds_in_the_source());
    for (name, code) in rows() {
        let kind: FailureKind = serde_json::from_value(name.clone().into()).unwrap();
        assert_eq!(kind.exit().code(), code, "{name}");
    }
}
