//! One table: its rows as INSERT statements of about 1 MiB, streamed.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Cause;
use crate::schema::{Column, Origin, Versioning};
use crate::script::{Script, name};
use crate::session::{History, Session};
use crate::value::Notation;

/// A statement is ended when it is this long; one row may make it longer.
const STATEMENT_BYTES: usize = 1 << 20;

/// How the rows of a table are read and written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RowPlan {
    /// The SELECT.
    pub(crate) select: String,
    /// What stands before the first row.
    pub(crate) insert: String,
    pub(crate) past: Past,
}

/// What becomes of the history of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// It has none.
    None,
    /// It is saved, and loads by `system_versioning_insert_history`.
    Saved,
    /// No SQL of this server can load it.
    Lost,
}

/// Why the rows could not be saved to the end.
#[derive(Debug)]
pub(crate) enum RowFailure {
    /// The server's side.
    Read(Cause),
    /// The output's side.
    Write(io::Error),
    /// The run was asked to stop.
    Stopped,
}

/// Who is told of the work, and may end it.
pub(crate) struct Watch<'a> {
    /// Set from outside.
    pub(crate) stop: &'a AtomicBool,
    /// Told how many rows of the database are written.
    pub(crate) progress: &'a mut dyn FnMut(u64),
}

/// Decides how to save the rows of a table of the session's database.
pub(crate) fn plan_rows(
    table: &str,
    columns: &[Column],
    versioning: Versioning,
    history: History,
) -> RowPlan {
    let past = past(columns, versioning, history);
    let saved: Vec<_> = columns
        .iter()
        .filter(|column| is_saved(column, past))
        .collect();
    let mut targets: Vec<_> = saved.iter().map(|column| name(&column.name)).collect();
    let mut sources: Vec<_> = saved.iter().map(|column| source(column)).collect();
    if past == Past::Saved
        && !columns
            .iter()
            .any(|column| column.origin == Origin::RowPeriod)
    {
        targets.extend(["row_start".to_owned(), "row_end".to_owned()]);
        sources.extend(["row_start".to_owned(), "row_end".to_owned()]);
    }
    let when = if past == Past::Saved {
        " FOR SYSTEM_TIME ALL"
    } else {
        ""
    };
    RowPlan {
        select: format!(
            "SELECT SQL_NO_CACHE {} FROM {}{when}",
            sources.join(", "),
            name(table)
        ),
        insert: format!(
            "INSERT INTO {} ({}) VALUES",
            name(table),
            targets.join(", ")
        ),
        past,
    }
}

/// A history by transaction number (BIGINT) cannot be inserted on any server.
fn past(columns: &[Column], versioning: Versioning, history: History) -> Past {
    let by_transaction =
        |column: &Column| column.origin == Origin::RowPeriod && column.data_type == "bigint";
    match (versioning, history) {
        (Versioning::None, _) => Past::None,
        (Versioning::System, History::Lost) => Past::Lost,
        (Versioning::System, History::Insertable) if columns.iter().any(by_transaction) => {
            Past::Lost
        }
        (Versioning::System, History::Insertable) => Past::Saved,
    }
}

fn is_saved(column: &Column, past: Past) -> bool {
    match column.origin {
        Origin::Stored => true,
        Origin::Generated => false,
        Origin::RowPeriod => past == Past::Saved,
    }
}

/// The expression that reads a column without loss.
fn source(column: &Column) -> String {
    let quoted = name(&column.name);
    match column.data_type.as_str() {
        // A FLOAT prints six digits only; as a double it prints all.
        "float" | "double" => format!("{quoted}+0e0"),
        // The error value prints as '', like a member that is empty: only the number tells them
        // apart.
        "enum" | "set" if has_empty_member(&column.column_type) => {
            format!("CAST({quoted} AS UNSIGNED)")
        }
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext"
            if !is_exact(&column.character_set) =>
        {
            format!("CAST({quoted} AS BINARY)")
        }
        _ => quoted,
    }
}

fn has_empty_member(column_type: &str) -> bool {
    column_type.contains("('',")
        || column_type.contains(",'',")
        || column_type.ends_with(",'')")
        || column_type.ends_with("('')")
}

/// Whether text in this character set survives the way through utf8mb4; the others go as bytes.
fn is_exact(character_set: &str) -> bool {
    ["utf8mb4", "utf8mb3", "utf8", "latin1", "ascii"].contains(&character_set)
}

/// The rows of a table, by COUNT(*), history included where a dump has it.
pub(crate) fn count_rows(session: &mut Session, table: &str, past: Past) -> Result<u64, Cause> {
    let when = if past == Past::Saved {
        " FOR SYSTEM_TIME ALL"
    } else {
        ""
    };
    let query = format!("SELECT COUNT(*) FROM {}{when}", name(table));
    let answer = session.first_cell(&query)?;
    Ok(answer
        .and_then(|count| count.parse().ok())
        .unwrap_or_default())
}

/// What was written of a table.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) rows: u64,
    /// Of the longest statement.
    pub(crate) longest_bytes: usize,
}

/// Writes all rows. `before` rows of the database were written earlier.
pub(crate) fn write_rows<W: Write>(
    session: &mut Session,
    plan: &RowPlan,
    script: &mut Script<W>,
    watch: &mut Watch<'_>,
    before: u64,
) -> Result<Rows, RowFailure> {
    let mut answer = session.stream(&plan.select).map_err(RowFailure::Read)?;
    let notations: Vec<_> = answer.columns().as_ref().iter().map(Notation::of).collect();
    let mut statement = Vec::with_capacity(STATEMENT_BYTES + STATEMENT_BYTES / 4);
    let mut written = Rows::default();
    for row in &mut answer {
        let row = row.map_err(|error| RowFailure::Read(error.into()))?;
        begin_row(&plan.insert, &mut statement);
        append_row(&row, &notations, &mut statement);
        written.rows += 1;
        if statement.len() < STATEMENT_BYTES {
            continue;
        }
        written.longest_bytes = written.longest_bytes.max(statement.len());
        end_statement(script, &mut statement).map_err(RowFailure::Write)?;
        (watch.progress)(before + written.rows);
        if watch.stop.load(Ordering::Relaxed) {
            // To drop the answer would read it to its end, which may take an hour.
            std::mem::forget(answer);
            return Err(RowFailure::Stopped);
        }
    }
    end_statement(script, &mut statement).map_err(RowFailure::Write)?;
    (watch.progress)(before + written.rows);
    Ok(written)
}

fn begin_row(insert: &str, statement: &mut Vec<u8>) {
    if statement.is_empty() {
        statement.extend_from_slice(insert.as_bytes());
        statement.extend_from_slice(b"\n(");
    } else {
        statement.extend_from_slice(b",\n(");
    }
}

fn append_row(row: &::mysql::Row, notations: &[Notation], statement: &mut Vec<u8>) {
    for (index, notation) in notations.iter().enumerate() {
        if index > 0 {
            statement.push(b',');
        }
        let value = match row.as_ref(index) {
            Some(::mysql::Value::Bytes(bytes)) => Some(&bytes[..]),
            _ => None,
        };
        notation.append(value, statement);
    }
    statement.push(b')');
}

/// Writes the statement, if any. One very large row does not keep its memory for the rest of the
/// table.
fn end_statement<W: Write>(script: &mut Script<W>, statement: &mut Vec<u8>) -> io::Result<()> {
    if statement.is_empty() {
        return Ok(());
    }
    statement.extend_from_slice(b";\n");
    script.raw(statement)?;
    statement.clear();
    statement.shrink_to(4 * STATEMENT_BYTES);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, column_type: &str, origin: Origin) -> Column {
        let data_type = column_type.split('(').next().unwrap().to_owned();
        Column {
            name: name.into(),
            data_type,
            column_type: column_type.into(),
            character_set: "utf8mb4".into(),
            origin,
        }
    }

    fn check(
        columns: &[Column],
        versioning: Versioning,
        history: History,
        expected: (&str, &str, Past),
    ) {
        let plan = plan_rows("t", columns, versioning, history);
        assert_eq!(
            (plan.select.as_str(), plan.insert.as_str(), plan.past),
            expected
        );
    }

    #[test]
    fn columns_are_named_and_computed_ones_left_out() {
        let columns = [
            column("a", "int(11)", Origin::Stored),
            column("f`", "float", Origin::Stored),
            column("g", "int(11)", Origin::Generated),
            column("e", "enum('x','')", Origin::Stored),
        ];
        let select = "SELECT SQL_NO_CACHE `a`, `f```+0e0, CAST(`e` AS UNSIGNED) FROM `t`";
        check(
            &columns,
            Versioning::None,
            History::Lost,
            (
                select,
                "INSERT INTO `t` (`a`, `f```, `e`) VALUES",
                Past::None,
            ),
        );
    }

    #[test]
    fn history_comes_with_its_periods() {
        let plain = [column("a", "int", Origin::Stored)];
        let select = "SELECT SQL_NO_CACHE `a`, row_start, row_end FROM `t` FOR SYSTEM_TIME ALL";
        let insert = "INSERT INTO `t` (`a`, row_start, row_end) VALUES";
        check(
            &plain,
            Versioning::System,
            History::Insertable,
            (select, insert, Past::Saved),
        );
        let now = (
            "SELECT SQL_NO_CACHE `a` FROM `t`",
            "INSERT INTO `t` (`a`) VALUES",
            Past::Lost,
        );
        check(&plain, Versioning::System, History::Lost, now);
        let by_transaction = [
            column("a", "int", Origin::Stored),
            column("s", "bigint(20) unsigned", Origin::RowPeriod),
        ];
        check(
            &by_transaction,
            Versioning::System,
            History::Insertable,
            now,
        );
    }

    #[test]
    fn text_that_utf8mb4_cannot_carry_goes_as_bytes() {
        let mut sjis = column("j", "varchar(9)", Origin::Stored);
        sjis.character_set = "sjis".into();
        assert_eq!(source(&sjis), "CAST(`j` AS BINARY)");
    }
}
