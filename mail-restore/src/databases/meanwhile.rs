//! What other clients wrote to the live tables while the restore ran: it went with the old tables.

use super::error::Error;
use super::journal::Journal;
use super::server::{Server, literal, name};

/// The server's time. Nothing that is written later is sure to be in the set of what was there.
pub(super) fn now(server: &mut Server) -> Result<String, Error> {
    let asked = server.cell("SELECT NOW()");
    asked.map_err(|source| Error::Ask {
        what: "its time",
        source,
    })
}

/// Names the old tables that were written to since then. The server knows the time of the last
/// write of a table, except of a sequence, and goes on knowing it when the table is renamed.
pub(super) fn warning(
    server: &mut Server,
    journal: &Journal,
    since: &str,
) -> Result<Option<String>, Error> {
    let mut written = Vec::new();
    for place in &journal.places {
        let query = format!(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} \
             AND UPDATE_TIME >= {} ORDER BY 1",
            literal(&place.old),
            literal(since)
        );
        let tables = server.names(&query, "when its tables were written to")?;
        let live = |table: &String| format!("{}.{}", name(&place.live), name(table));
        written.extend(tables.iter().map(live));
    }
    Ok((!written.is_empty()).then(|| text(&written, since)))
}

fn text(written: &[String], since: &str) -> String {
    const NAMED: usize = 5;
    let mut tables = written[..written.len().min(NAMED)].join(", ");
    if let Some(more) = written.len().checked_sub(NAMED).filter(|more| *more > 0) {
        tables = format!("{tables} and {more} more");
    }
    format!(
        "other clients wrote to {tables} since {since} UTC, while the restore ran: what they \
         wrote is lost, if it is not in the set of what was there before; stop them before a \
         restore"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_tables_are_named_and_the_others_counted() {
        let tables = |count: usize| vec!["`d`.`t`".to_owned(); count];
        assert!(text(&tables(1), "x").contains("wrote to `d`.`t` since x UTC"));
        let five = "`d`.`t`, `d`.`t`, `d`.`t`, `d`.`t`, `d`.`t`";
        assert!(text(&tables(5), "x").contains(&format!("wrote to {five} since")));
        assert!(text(&tables(7), "x").contains(&format!("wrote to {five} and 2 more since")));
    }
}
