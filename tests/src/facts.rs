//! What a server holds, by its own words: by it two databases are compared.

use crate::mariadb::MariaDb;

/// What `server` holds in `database`: the definition of every object, and a checksum of each
/// table's rows.
///
/// # Panics
/// When the server does not answer.
#[must_use]
pub fn facts(server: &MariaDb, database: &str) -> Vec<String> {
    let list = |query: &str| -> Vec<String> {
        let prefix = format!(
            "USE `{database}`; SET time_zone='+00:00'; SET NAMES utf8mb4; SET sql_mode='';"
        );
        server
            .sql(&format!("{prefix} {query}"))
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let names = |query: &str| list(&format!("{query}_SCHEMA = '{database}' ORDER BY 1"));
    let mut facts = list(&format!("SHOW CREATE DATABASE `{database}`"));
    let quote = |name: &str| format!("`{}`", name.replace('`', "``"));
    for table in names(
        "SELECT TABLE_NAME FROM information_schema.TABLES \
         WHERE TABLE_TYPE IN ('BASE TABLE','SYSTEM VERSIONED') AND TABLE",
    ) {
        facts.extend(list(&format!(
            "SHOW CREATE TABLE {}; CHECKSUM TABLE {0} EXTENDED",
            quote(&table)
        )));
    }
    for table in names(
        "SELECT TABLE_NAME FROM information_schema.TABLES \
         WHERE TABLE_TYPE = 'SYSTEM VERSIONED' AND TABLE",
    ) {
        let period = if table == "versioned_named" {
            "s, e"
        } else {
            "row_start, row_end"
        };
        facts.extend(list(&format!(
            "SELECT *, {period} FROM {} FOR SYSTEM_TIME ALL ORDER BY 1, {period}",
            quote(&table)
        )));
    }
    for sequence in names(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'SEQUENCE' AND TABLE",
    ) {
        facts.extend(list(&format!(
            "SHOW CREATE SEQUENCE {}; SELECT * FROM {0}",
            quote(&sequence)
        )));
    }
    for view in names("SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE") {
        facts.extend(list(&format!("SHOW CREATE VIEW {}", quote(&view))));
    }
    for routine in names(
        "SELECT CONCAT(ROUTINE_TYPE, ' `', ROUTINE_NAME, '`') FROM information_schema.ROUTINES \
         WHERE ROUTINE",
    ) {
        facts.extend(list(&format!("SHOW CREATE {routine}")));
    }
    let trigger_columns = "TRIGGER_NAME, ACTION_ORDER, EVENT_OBJECT_TABLE, ACTION_TIMING, \
         EVENT_MANIPULATION, ACTION_STATEMENT, SQL_MODE, DEFINER, CHARACTER_SET_CLIENT, \
         COLLATION_CONNECTION, DATABASE_COLLATION";
    facts.extend(names(&format!(
        "SELECT {trigger_columns} FROM information_schema.TRIGGERS WHERE TRIGGER"
    )));
    for event in names("SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT") {
        facts.extend(list(&format!("SHOW CREATE EVENT {}", quote(&event))));
    }
    facts
}
