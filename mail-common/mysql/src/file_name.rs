//! The names of dumps in a set: `mysql/<database>.sql.zst`, `mysql/_accounts.sql.zst`.

use std::fmt::Write as _;

use mail_common::relpath::RelPath;

const SUFFIX: &str = ".sql.zst";

/// The directory of the component in a set.
///
/// # Panics
/// Never: a plain word is a safe path.
#[must_use]
pub fn directory() -> RelPath {
    RelPath::new("mysql").expect("a plain word is a safe path")
}

/// The file of a database.
#[must_use]
pub fn of_database(database: &str) -> RelPath {
    file_of(&encode(database))
}

/// The file of the accounts.
#[must_use]
pub fn of_accounts() -> RelPath {
    file_of("_accounts")
}

/// The database that the file of this name, without its suffixes, holds; `None` when no database
/// has such a file.
#[must_use]
pub fn database_of(stem: &str) -> Option<String> {
    let mut name = String::with_capacity(stem.len());
    let mut rest = stem;
    while let Some((before, after)) = rest.split_once('%') {
        let code = u8::from_str_radix(after.get(..2)?, 16).ok()?;
        name.push_str(before);
        name.push(char::from(code));
        rest = &after[2..];
    }
    name.push_str(rest);
    (encode(&name) == stem).then_some(name)
}

fn file_of(stem: &str) -> RelPath {
    directory()
        .child(format!("{stem}{SUFFIX}").as_bytes())
        .unwrap_or_else(|_| directory())
}

/// What a file name cannot hold, a leading dot, and a leading underscore (kept for `_accounts`)
/// become %XX.
fn encode(database: &str) -> String {
    let mut name = String::with_capacity(database.len());
    for (at, char) in database.char_indices() {
        match char {
            '/' | '%' | '\0' => {}
            '.' | '_' if at == 0 => {}
            _ => {
                name.push(char);
                continue;
            }
        }
        // Writing to a String cannot fail.
        let _ = write!(name, "%{:02X}", u32::from(char));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(database: &str, stem: &str) {
        assert_eq!(
            of_database(database).to_string(),
            format!("mysql/{stem}.sql.zst")
        );
        assert_eq!(database_of(stem).as_deref(), Some(database));
    }

    #[test]
    fn a_database_has_a_file_whatever_its_name() {
        check("roundcube", "roundcube");
        check("mail users", "mail users");
        check("a/b%c", "a%2Fb%25c");
        check("..", "%2E.");
        check("_accounts", "%5Faccounts");
        check("ユーザ", "ユーザ");
    }

    #[test]
    fn a_name_that_no_database_has_is_none() {
        for stem in ["_accounts", ".x", "a%", "a%2", "a%zz", "a%41", "a/b", "%ü"] {
            assert_eq!(database_of(stem), None, "{stem}");
        }
    }
}
