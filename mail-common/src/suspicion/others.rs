//! What is not mail: databases that lost their rows, keys that changed, files that are not there
//! any more. It is told, and nothing is held for it.
//!
//! All this is judged by what the manifests say of the sets before. What they do not say is not
//! known, and not judged.

use std::collections::{BTreeMap, BTreeSet};

use super::judge::{Finding, Rule};
use crate::record::{DatabaseRows, WatchedFile, WatchedRole};
use crate::relpath::RelPath;
use crate::set::Component;
use crate::text::printable;

/// Of a smaller table a day's work may remove half.
const LEAST_ROWS: u64 = 10;

/// So many are named.
const NAMED: usize = 5;

/// Whether all that there is was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Whatever is not there is gone.
    Whole,
    /// What is not there may have failed, or was not asked for.
    InPart,
}

/// Judges the databases that were saved by those of the sets before, the newest first.
#[must_use]
pub fn judge_databases(
    now: &[DatabaseRows],
    before: &[&[DatabaseRows]],
    saved: Saved,
) -> Vec<Finding> {
    let Some(last) = before.first() else {
        return Vec::new();
    };
    let is_there = |name: &str| now.iter().any(|database| database.database == name);
    let gone = last.iter().filter(|_| saved == Saved::Whole);
    let gone = gone.filter(|database| !is_there(&database.database));
    let gone: Vec<String> = gone.map(|it| printable(&it.database)).collect();
    let mut tables_gone = Vec::new();
    let mut rows_lost = Vec::new();
    for database in now {
        let earlier = before.iter().flat_map(|databases| databases.iter());
        let earlier = earlier.filter(|it| it.database == database.database);
        let earlier: Vec<&DatabaseRows> = earlier.collect();
        tables_gone.extend(missing_tables(database, &earlier));
        rows_lost.extend(shrunken_tables(database, &earlier));
    }
    let findings = [
        told(
            Component::Mysql,
            Rule::DatabaseGone,
            "a database is gone; was it dropped on purpose?",
            &gone,
        ),
        told(
            Component::Mysql,
            Rule::TablesGone,
            "tables are gone",
            &tables_gone,
        ),
        told(
            Component::Mysql,
            Rule::RowsLost,
            "a table has fewer than half the fewest rows it had in thirty days",
            &rows_lost,
        ),
    ];
    findings.into_iter().flatten().collect()
}

fn missing_tables(now: &DatabaseRows, earlier: &[&DatabaseRows]) -> Vec<String> {
    let Some(last) = earlier.first() else {
        return Vec::new();
    };
    let tables = last.tables.keys();
    let missing = tables.filter(|table| !now.tables.contains_key(*table));
    missing.map(|table| name_of(now, table)).collect()
}

/// Beside the least that a table had, so that one which is emptied now and then is not told again
/// and again.
fn shrunken_tables(now: &DatabaseRows, earlier: &[&DatabaseRows]) -> Vec<String> {
    let mut shrunken = Vec::new();
    for (table, rows) in &now.tables {
        let least = earlier.iter().filter_map(|it| it.tables.get(table)).min();
        if let Some(least) = least.filter(|least| **least >= LEAST_ROWS)
            && rows.saturating_mul(2) < *least
        {
            shrunken.push(format!("{} ({rows} of {least})", name_of(now, table)));
        }
    }
    shrunken
}

fn name_of(database: &DatabaseRows, table: &str) -> String {
    printable(&format!("{}.{table}", database.database))
}

/// Judges the watched files of `component`, which was saved whole, by those of the last set that
/// has any.
#[must_use]
pub fn judge_watched(
    now: &[WatchedFile],
    last: &[WatchedFile],
    component: Component,
) -> Vec<Finding> {
    let there: BTreeMap<_, _> = now.iter().map(|file| (key_of(file), file)).collect();
    let (mut changed, mut keys_gone, mut files_gone) = (Vec::new(), Vec::new(), Vec::new());
    let places = places_of_keys(now);
    for file in last.iter().filter(|file| file.component == component) {
        let archive = file.archive.as_deref().unwrap_or(file.component.name());
        let name = format!("{} in {}", printable(&file.path.path), printable(archive));
        match (there.get(&key_of(file)), file.role) {
            (Some(found), WatchedRole::Key) if found.sha256 != file.sha256 => changed.push(name),
            (Some(_), _) => {}
            // Who renews a key numbers the files, and removes the oldest one day.
            (None, WatchedRole::Key) if places.contains(&place_of(file)) => {}
            (None, WatchedRole::Key) => keys_gone.push(name),
            (None, WatchedRole::Compose) => files_gone.push(printable(&file.path.path)),
        }
    }
    let findings = [
        told(
            component,
            Rule::KeyChanged,
            "a private key has other content; was that you?",
            &changed,
        ),
        told(
            component,
            Rule::KeyGone,
            "a private key is gone",
            &keys_gone,
        ),
        told(
            component,
            Rule::FileGone,
            "a file of the Compose project is gone",
            &files_gone,
        ),
    ];
    findings.into_iter().flatten().collect()
}

/// One component may have several archives, with files of the same names.
type Archive<'a> = (Component, Option<&'a str>);

fn archive_of(file: &WatchedFile) -> Archive<'_> {
    (file.component, file.archive.as_deref())
}

fn key_of(file: &WatchedFile) -> (Archive<'_>, WatchedRole, &str) {
    (archive_of(file), file.role, &file.path.path)
}

fn places_of_keys(files: &[WatchedFile]) -> BTreeSet<(Archive<'_>, Option<RelPath>)> {
    let keys = files.iter().filter(|file| file.role == WatchedRole::Key);
    keys.map(place_of).collect()
}

/// The directory of a file.
fn place_of(file: &WatchedFile) -> (Archive<'_>, Option<RelPath>) {
    let path = RelPath::try_from(&file.path).ok();
    (archive_of(file), path.and_then(|path| path.parent()))
}

fn told(component: Component, rule: Rule, what: &str, names: &[String]) -> Option<Finding> {
    if names.is_empty() {
        return None;
    }
    let named = names.iter().take(NAMED).cloned().collect::<Vec<_>>();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(Finding {
        rule,
        component: Some(component),
        message: format!("{what}: {}{more}", named.join(", ")),
        mailboxes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Sha256;

    fn database(name: &str, tables: &[(&str, u64)]) -> DatabaseRows {
        DatabaseRows {
            database: name.to_owned(),
            tables: tables.iter().map(|(n, r)| ((*n).to_owned(), *r)).collect(),
        }
    }

    #[track_caller]
    fn check_rows(days: &[u64], expected: &[&str]) {
        let all: Vec<Vec<DatabaseRows>> = days
            .iter()
            .map(|rows| vec![database("mail", &[("users", *rows), ("domains", 3)])])
            .collect();
        let before: Vec<&[DatabaseRows]> = all[1..].iter().map(Vec::as_slice).collect();
        let findings = judge_databases(&all[0], &before, Saved::Whole);
        check(&findings, expected);
    }

    #[track_caller]
    fn check(findings: &[Finding], expected: &[&str]) {
        let found: Vec<String> = findings
            .iter()
            .map(|it| format!("{}: {}", it.rule.name(), it.message))
            .collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn a_table_that_has_less_than_half_of_its_least_is_told() {
        check_rows(&[0], &[]);
        check_rows(&[100, 100], &[]);
        check_rows(&[50, 100], &[]);
        check_rows(&[49, 100], &["rows-lost: a table has"]);
        check_rows(&[0, 10], &["mail.users (0 of 10)"]);
        check_rows(&[0, 9], &[]);
        // A cache that is emptied now and then.
        check_rows(&[0, 5000, 20, 5000], &["mail.users (0 of 20)"]);
        check_rows(&[0, 5000, 0, 5000], &[]);
    }

    #[test]
    fn databases_and_tables_that_are_gone_are_told() {
        let last = [
            database("mail", &[("a", 1), ("b", 2)]),
            database("old", &[]),
        ];
        let now = [database("mail", &[("a", 1)])];
        let before: [&[DatabaseRows]; 1] = [&last];
        let gone = "database-gone: a database is gone; was it dropped on purpose?: old";
        let tables = "tables-gone: tables are gone: mail.b";
        check(
            &judge_databases(&now, &before, Saved::Whole),
            &[gone, tables],
        );
        // A dump that failed is not a database that is gone.
        check(&judge_databases(&now, &before, Saved::InPart), &[tables]);
        check(&judge_databases(&now, &[], Saved::Whole), &[]);
    }

    fn file(role: WatchedRole, path: &str, content: &str) -> WatchedFile {
        WatchedFile {
            component: Component::Ssl,
            role,
            archive: (role == WatchedRole::Key).then(|| "ssl/certbot.tar.zst".to_owned()),
            path: (&path.parse::<RelPath>().unwrap()).into(),
            sha256: Sha256::of(content.as_bytes()),
        }
    }

    #[test]
    fn keys_that_changed_and_files_that_are_gone_are_told() {
        use WatchedRole::{Compose, Key};
        let judge =
            |now: &[WatchedFile], last: &[WatchedFile]| judge_watched(now, last, Component::Ssl);
        let key = file(Key, "live/a/privkey.pem", "1");
        let other = file(Key, "live/a/privkey.pem", "2");
        check(&judge(std::slice::from_ref(&key), &[]), &[]);
        let same = std::slice::from_ref(&key);
        check(&judge(same, same), &[]);
        check(
            &judge(std::slice::from_ref(&other), same),
            &[
                "key-changed: a private key has other content; was that you?: live/a/privkey.pem in ssl",
            ],
        );
        check(&judge(&[], same), &["key-gone: a private key is gone"]);
        // Of the same name in another archive of the component.
        let elsewhere = WatchedFile {
            archive: Some("config/extra/etc/a.tar.zst".into()),
            ..other.clone()
        };
        let both = [key.clone(), elsewhere.clone()];
        check(&judge(&both, &both), &[]);
        check(
            &judge(same, &both),
            &["key-gone: a private key is gone: live/a/privkey.pem in config/extra/etc/a.tar.zst"],
        );
        let renewed = file(Key, "live/a/privkey2.pem", "2");
        check(&judge(&[renewed], same), &[]);
        let compose = file(Compose, "config/docker-compose.yml", "1");
        let edited = file(Compose, "config/docker-compose.yml", "2");
        let compose = std::slice::from_ref(&compose);
        check(&judge(&[edited], compose), &[]);
        check(
            &judge(&[], compose),
            &["file-gone: a file of the Compose project is gone: config/docker-compose.yml"],
        );
        check(&judge_watched(&[], compose, Component::Config), &[]);
    }
}
