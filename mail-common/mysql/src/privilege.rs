//! What the account may see, from `SHOW GRANTS`: the server leaves out in silence what it may not.

use crate::error::Cause;
use crate::session::Session;

/// The grants of the account and its active roles.
#[derive(Debug, Default)]
pub struct Privileges(Vec<Grant>);

#[derive(Debug, PartialEq, Eq)]
struct Grant {
    /// In upper case; a privilege on single columns is left out, since it shows no whole table.
    privileges: Vec<String>,
    /// As a LIKE pattern; `%` for all.
    database: String,
    /// `None` for all tables.
    table: Option<String>,
}

impl Privileges {
    /// Asks the server.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn read(session: &mut Session) -> Result<Self, Cause> {
        let rows = session.texts("SHOW GRANTS")?;
        Ok(Self(
            rows.iter()
                .filter_map(|row| parse_grant(row.first()?))
                .collect(),
        ))
    }

    /// Whether `privilege` is held on every database.
    #[must_use]
    pub fn everywhere(&self, privilege: &str) -> bool {
        self.0
            .iter()
            .any(|grant| grant.database == "%" && grant.table.is_none() && grant.has(privilege))
    }

    /// Whether `privilege`, in upper case, is held on all of `database`.
    #[must_use]
    pub fn on_database(&self, privilege: &str, database: &str) -> bool {
        let covers = |grant: &Grant| grant.table.is_none() && like(&grant.database, database);
        self.0
            .iter()
            .any(|grant| covers(grant) && grant.has(privilege))
    }

    /// Whether `privilege` is held on `table`.
    pub(crate) fn on_table(&self, privilege: &str, database: &str, table: &str) -> bool {
        let named =
            |grant: &Grant| grant.database == database && grant.table.as_deref() == Some(table);
        self.on_database(privilege, database)
            || self
                .0
                .iter()
                .any(|grant| named(grant) && grant.has(privilege))
    }

    /// Whether the bodies of the routines of `database` are shown.
    pub(crate) fn sees_routines(&self, database: &str) -> bool {
        self.on_table("SELECT", "mysql", "proc")
            || self.on_database("SHOW CREATE ROUTINE", database)
    }
}

impl Grant {
    fn has(&self, privilege: &str) -> bool {
        self.privileges
            .iter()
            .any(|held| held == privilege || held == "ALL PRIVILEGES")
    }
}

/// Reads `GRANT a, b (col) ON what TO ...`; `None` for roles, routines and proxies.
fn parse_grant(line: &str) -> Option<Grant> {
    let rest = line.strip_prefix("GRANT ")?;
    let (privileges, rest) = split_outside(rest, " ON ")?;
    let (object, _) = split_outside(rest, " TO ")?;
    let (database, table) = parse_object(object)?;
    let privileges = split_list(privileges)
        .into_iter()
        .filter(|p| !p.contains('('))
        .collect();
    Some(Grant {
        privileges,
        database,
        table,
    })
}

fn parse_object(object: &str) -> Option<(String, Option<String>)> {
    if object == "*.*" {
        return Some(("%".to_owned(), None));
    }
    let object = object.strip_prefix("TABLE ").unwrap_or(object);
    let (database, table) = split_outside(object, ".")?;
    let database = unquote_name(database)?;
    if table == "*" {
        return Some((database, None));
    }
    Some((database, Some(unquote_name(table)?)))
}

fn unquote_name(quoted: &str) -> Option<String> {
    Some(
        quoted
            .strip_prefix('`')?
            .strip_suffix('`')?
            .replace("``", "`"),
    )
}

/// Splits at the first `separator` that is in neither backticks nor brackets.
pub(crate) fn split_outside<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let (mut quoted, mut depth) = (false, 0usize);
    for (at, c) in text.char_indices() {
        match c {
            _ if !quoted && depth == 0 && text[at..].starts_with(separator) => {
                return Some((&text[..at], &text[at + separator.len()..]));
            }
            '`' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn split_list(mut text: &str) -> Vec<String> {
    let mut items = Vec::new();
    while let Some((item, rest)) = split_outside(text, ",") {
        items.push(item.trim().to_ascii_uppercase());
        text = rest;
    }
    items.push(text.trim().to_ascii_uppercase());
    items
}

/// SQL's LIKE, byte by byte and case-sensitive: `%`, `_`, and a backslash before either.
fn like(pattern: &str, text: &str) -> bool {
    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'%', rest @ ..], _) => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
            ([b'\\', wanted, rest @ ..], [found, tail @ ..]) => {
                wanted == found && matches(rest, tail)
            }
            ([b'_', rest @ ..], [_, tail @ ..]) => matches(rest, tail),
            ([wanted, rest @ ..], [found, tail @ ..]) => wanted == found && matches(rest, tail),
            _ => false,
        }
    }
    matches(pattern.as_bytes(), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn privileges(lines: &[&str]) -> Privileges {
        Privileges(lines.iter().filter_map(|line| parse_grant(line)).collect())
    }

    #[test]
    fn global_database_and_table_grants_add_up() {
        let held = privileges(&[
            "GRANT `reader` TO `u`@`h`",
            "GRANT USAGE ON *.* TO `u`@`h` IDENTIFIED BY PASSWORD '*00'",
            "GRANT SELECT, SHOW VIEW ON `mail\\_db`.* TO `u`@`h`",
            "GRANT TRIGGER ON `m%`.* TO `u`@`h`",
            "GRANT SELECT (`a`, `b`), INSERT ON `x`.`odd ``t` TO `u`@`h`",
            "GRANT SELECT ON `mysql`.`proc` TO `u`@`h`",
            "GRANT EXECUTE ON PROCEDURE `x`.`p` TO `u`@`h`",
        ]);
        assert!(held.on_database("SELECT", "mail_db"));
        assert!(!held.on_database("SELECT", "mailxdb"));
        assert!(held.on_database("TRIGGER", "mail_db") && held.on_table("TRIGGER", "mail", "t"));
        assert!(held.on_table("INSERT", "x", "odd `t") && !held.on_table("SELECT", "x", "odd `t"));
        assert!(held.sees_routines("x") && !held.everywhere("SELECT"));
    }

    #[test]
    fn all_privileges_hold_everything() {
        let held =
            privileges(&["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"]);
        assert!(
            held.everywhere("SELECT")
                && held.on_table("TRIGGER", "a", "b")
                && held.sees_routines("a")
        );
    }

    proptest::proptest! {
        #[test]
        fn random_grants_never_panic(line in "GRANT [A-Z,.*`() ü]{0,60}") {
            let _ = parse_grant(&line);
        }
    }
}
