//! A database as the server has it: its tables, and the options that it was made with.

use super::error::Error;
use super::server::{Server, literal, name};

/// Tables and sequences of a database, or none where it is not there.
pub(super) fn tables(server: &mut Server, database: &str) -> Result<Vec<String>, Error> {
    let query = format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE <> 'VIEW' \
         AND TABLE_SCHEMA = {0} AND BINARY TABLE_SCHEMA = {0} ORDER BY BINARY TABLE_NAME",
        literal(database)
    );
    server.names(&query, "the tables of a database")
}

/// By what ALTER DATABASE gives a database the options that it has; `None` where it is not there.
pub(super) fn options(server: &mut Server, database: &str) -> Result<Option<String>, Error> {
    const UNKNOWN_COLUMN: u16 = 1054;
    let of = |comment: &str| {
        format!(
            "SELECT CONCAT('CHARACTER SET ', DEFAULT_CHARACTER_SET_NAME, ' COLLATE ', \
             DEFAULT_COLLATION_NAME{comment}) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME \
             = {0} AND BINARY SCHEMA_NAME = {0}",
            literal(database)
        )
    };
    let rows = match server.rows(&of(", ' COMMENT ', QUOTE(SCHEMA_COMMENT)")) {
        // Servers before 10.5 keep no comment.
        Err(mail_mysql::Cause::Server {
            code: UNKNOWN_COLUMN,
            ..
        }) => server.rows(&of("")),
        rows => rows,
    };
    let rows = rows.map_err(|source| Error::Ask {
        what: "the character set of a database",
        source,
    })?;
    Ok(rows.into_iter().flatten().next())
}

pub(super) fn alter(server: &mut Server, database: &str, options: &str) -> Result<(), Error> {
    server.prepare(
        database,
        &format!("ALTER DATABASE {} {options}", name(database)),
    )
}
