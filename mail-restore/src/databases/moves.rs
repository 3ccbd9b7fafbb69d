//! Tables on their way from one database to another, many in one RENAME.

use super::error::Error;
use super::server::{Server, name};

/// A table's move: from, to.
pub(super) type Move = (String, String);

pub(super) fn all_to(tables: &[String], from: &str, to: &str) -> Vec<Move> {
    let place = |database: &str, table: &String| format!("{}.{}", name(database), name(table));
    let to_place = |table| (place(from, table), place(to, table));
    tables.iter().map(to_place).collect()
}

/// Renames in one statement: if one table cannot be renamed, none is. Only where the server takes
/// no statement as long as that, there are several; they are undone like one.
pub(super) fn rename(server: &mut Server, moves: &[Move]) -> Result<(), Error> {
    const ROOM_BYTES: usize = 1024;
    let limit = usize::try_from(server.packet_bytes()?).unwrap_or(usize::MAX);
    let mut parts: Vec<String> = Vec::new();
    for (from, to) in moves {
        let part = format!("{from} TO {to}");
        match parts.last_mut() {
            Some(last) if last.len() + part.len() + ROOM_BYTES < limit => {
                last.push_str(", ");
                last.push_str(&part);
            }
            _ => parts.push(part),
        }
    }
    for part in parts {
        server.prepare("all of them", &format!("RENAME TABLE {part}"))?;
    }
    Ok(())
}
