//! The users of the user-management database.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use mail_common::report::{Report, Verbosity, chain};
use mail_mysql::ConnectionSettings;
use mysql::prelude::Queryable;
use mysql::{Conn, Row, Value};

use crate::context::Context;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    /// In small letters: `alice@example.com`.
    pub(super) email: String,
    pub(super) quota_bytes: Option<u64>,
    pub(super) enabled: bool,
    pub(super) created: Option<Timestamp>,
}

/// All users, or why they are not known; connecting, and each answer, may take `within`.
pub(super) fn read(
    database: &str,
    query: &str,
    context: &Context,
    within: Duration,
) -> Result<Vec<User>, String> {
    // What it would warn of is a check of its own: file-mode.
    let report = Report::to_writer("mail-check", Verbosity::Quiet, std::io::sink());
    let settings = ConnectionSettings::from_config(&context.config, &context.server.mysql, &report)
        .map_err(|error| format!("find the database server: {}", chain(&error)))?;
    let mut conn = mail_mysql::connect_within(&settings, within)
        .map_err(|error| format!("ask the database server: {}", chain(&error)))?;
    let rows = rows(&mut conn, database, query).map_err(|error| {
        let why = chain(&error);
        format!("ask for the users of {database} ({query}); see `users_query` in [users]: {why}")
    })?;
    if rows.is_empty() {
        return Err(format!("{database} has no user: {query}"));
    }
    let users = rows.iter().map(|row| User::read(|name| cell(row, name)));
    users
        .collect::<Option<_>>()
        .ok_or_else(|| format!("{query} gives no column `email`; see `users_query` in [users]"))
}

fn rows(conn: &mut Conn, database: &str, query: &str) -> mysql::Result<Vec<Row>> {
    for statement in [
        "SET NAMES utf8mb4",
        "SET SESSION time_zone = '+00:00'",
        "SET SESSION TRANSACTION READ ONLY",
    ] {
        conn.query_drop(statement)?;
    }
    conn.select_db(database)?;
    conn.query(query)
}

/// The text protocol gives text and NULL; a column that is not there is NULL.
fn cell(row: &Row, name: &str) -> Option<String> {
    let column = row
        .columns_ref()
        .iter()
        .position(|column| column.name_str().eq_ignore_ascii_case(name))?;
    match row.as_ref(column)? {
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

impl User {
    /// `None` for a row without an address.
    fn read(cell: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let quota = cell("quota").or_else(|| cell("quota_bytes"));
        // BOOL is a number; a BIT comes as one byte, ENUM('Y', 'N') as a letter.
        let is_off = |text: &str| matches!(text, "0" | "\0" | "" | "N" | "n" | "no" | "false");
        Some(Self {
            email: cell("email")?.trim().to_lowercase(),
            quota_bytes: quota
                .and_then(|text| text.parse().ok())
                .filter(|bytes| *bytes > 0),
            enabled: !cell("enabled").is_some_and(|text| is_off(&text)),
            created: cell("created").and_then(|text| time(&text)),
        })
    }
}

/// Seconds, or `2026-11-25 08:00:00` in UTC.
fn time(text: &str) -> Option<Timestamp> {
    if let Ok(second) = text.parse() {
        return Timestamp::from_second(second).ok();
    }
    let time: DateTime = text.parse().ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_by_the_names_of_columns() {
        let user = |cells: &[(&str, &str)]| {
            User::read(|name| {
                cells
                    .iter()
                    .find(|(column, _)| *column == name)
                    .map(|(_, text)| (*text).to_owned())
            })
        };
        let alice = User {
            email: "alice@example.com".to_owned(),
            quota_bytes: None,
            enabled: true,
            created: None,
        };
        assert_eq!(
            user(&[("email", "Alice@Example.com ")]),
            Some(alice.clone())
        );
        assert_eq!(
            user(&[
                ("email", "alice@example.com"),
                ("quota", "0"),
                ("enabled", "1")
            ]),
            Some(alice.clone())
        );
        let full = user(&[
            ("email", "a@b"),
            ("quota", "1000"),
            ("enabled", "0"),
            ("created", "2026-11-25 08:00:00"),
        ])
        .unwrap();
        assert_eq!((full.quota_bytes, full.enabled), (Some(1000), false));
        assert_eq!(full.created, "2026-11-25T08:00:00Z".parse().ok());
        assert_eq!(
            time("1700000000"),
            Timestamp::from_second(1_700_000_000).ok()
        );
        assert_eq!(time("0000-00-00 00:00:00"), None);
        assert_eq!(user(&[("name", "alice")]), None);
    }
}
