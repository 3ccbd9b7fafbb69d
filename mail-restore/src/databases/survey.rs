//! A dump read to its end before anything is touched: what it concerns, whether it may be loaded,
//! whether it is whole.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use super::dump::Dump;
use super::error::Error;
use super::route::{Action, Found, Route, Rules};
use super::share::Weights;
use super::source::{Content, with_content};
use super::statement::{Statement, StatementReader};

/// What the last line of a dump says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Footer {
    /// Mail-backup's, of a database.
    Counts(TablesAndRows),
    /// Mail-backup's, of accounts.
    Accounts,
    /// That of `mariadb-dump` and `mysqldump`.
    Stock,
    /// Nothing, as with `--skip-comments`.
    None,
}

/// What a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TablesAndRows {
    pub(super) tables: u64,
    pub(super) rows: u64,
}

/// What was found in a dump.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    pub(super) rules: Rules,
    pub(super) found: Found,
    pub(super) footer: Footer,
    pub(super) statements: u64,
    /// Of the longest statement.
    pub(super) longest_bytes: u64,
    /// Of all statements.
    pub(super) bytes: u64,
    pub(super) weights: Weights,
}

impl fmt::Display for TablesAndRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tables, {} rows", self.tables, self.rows)
    }
}

impl Survey {
    /// Reads `dump`, of a database.
    pub(super) fn of_database(dump: &Dump, stop: &AtomicBool) -> Result<Self, Error> {
        let survey = Self::of(dump, stop, |title| database_rules(dump, title))?;
        match (&survey.rules, survey.footer) {
            (Rules::Ours(_), Footer::Counts(counts)) => check_recorded(dump, counts)?,
            (Rules::Ours(_), _) => return Err(no_last_line(dump)),
            _ => {}
        }
        match survey.rules {
            Rules::Ours(_) if survey.found.databases.is_empty() => {
                Err(dump.incomplete("it makes no database"))
            }
            _ => Ok(survey),
        }
    }

    /// Reads `dump`, of the accounts.
    pub(super) fn of_accounts(dump: &Dump, stop: &AtomicBool) -> Result<Self, Error> {
        let survey = Self::of(dump, stop, |_| Ok(Rules::Accounts))?;
        if survey.footer == Footer::Accounts {
            Ok(survey)
        } else {
            Err(no_last_line(dump))
        }
    }

    fn of(
        dump: &Dump,
        stop: &AtomicBool,
        rules: impl FnOnce(&str) -> Result<Rules, Error>,
    ) -> Result<Self, Error> {
        with_content(&dump.file, dump.expected_bytes(), |content| {
            let mut reader = StatementReader::new(content);
            let mut next = read(dump, &mut reader)?;
            let mut surveyor = Surveyor::new(rules(reader.first_comment())?);
            while let Some(statement) = next {
                if stop.load(Ordering::Relaxed) {
                    return Err(Error::Interrupted);
                }
                surveyor
                    .add(&statement)
                    .map_err(|reason| dump.refused(statement.line, reason))?;
                next = read(dump, &mut reader)?;
            }
            Ok(surveyor.finish(Footer::parse(reader.last_comment())))
        })
    }

    /// What an administrator should know and does not hold loading back.
    pub(super) fn warnings(&self, dump: &Dump) -> Vec<String> {
        let path = &dump.path;
        let mut warnings: Vec<_> = Vec::new();
        if matches!(self.rules, Rules::Stock(_)) && self.footer != Footer::Stock {
            warnings.push(format!(
                "{path} does not end with `-- Dump completed`: whether it is whole cannot be told"
            ));
        }
        if !self.found.passed_over.is_empty() {
            let what: Vec<_> = self.found.passed_over.iter().take(5).cloned().collect();
            warnings.push(format!(
                "{path}: what concerns the server is not loaded ({}); for accounts, look at them with zgrep and load them by hand",
                what.join(", ")
            ));
        }
        warnings
    }
}

pub(super) fn read(
    dump: &Dump,
    reader: &mut StatementReader<Content>,
) -> Result<Option<Statement>, Error> {
    reader.next().map_err(|source| Error::Read {
        file: dump.path.clone(),
        source,
    })
}

/// What the dump is allowed, by its first line. Where there is a manifest, mail-backup wrote it.
fn database_rules(dump: &Dump, title: &str) -> Result<Rules, Error> {
    let is_ours = title.starts_with("-- Database ") && title.contains(", saved by mail-backup");
    match (is_ours, dump.recorded) {
        (true, _) => Ok(Rules::Ours(dump.database())),
        (false, None) => Ok(Rules::Stock(dump.database())),
        (false, Some(_)) => Err(dump.refused(1, "the set is of mail-backup, and this dump is not")),
    }
}

fn check_recorded(dump: &Dump, counts: TablesAndRows) -> Result<(), Error> {
    match dump.recorded {
        Some(recorded) if recorded.entries != counts.tables => Err(dump.incomplete(format!(
            "its last line says {} tables, and the manifest {}",
            counts.tables, recorded.entries
        ))),
        _ => Ok(()),
    }
}

fn no_last_line(dump: &Dump) -> Error {
    dump.incomplete("its last line `-- Dump completed by mail-backup` is missing, so it is cut off")
}

impl Footer {
    fn parse(line: &str) -> Self {
        let Some(summary) = line.strip_prefix("-- Dump completed by mail-backup: ") else {
            return if line.starts_with("-- Dump completed") {
                Self::Stock
            } else {
                Self::None
            };
        };
        let number = |part: &str, unit: &str| part.strip_suffix(unit)?.parse().ok();
        let Some((first, second)) = summary.split_once(", ") else {
            return Self::None;
        };
        match (number(first, " tables"), number(second, " rows")) {
            (Some(tables), Some(rows)) => Self::Counts(TablesAndRows { tables, rows }),
            _ if first.ends_with(" users") && second.ends_with(" roles") => Self::Accounts,
            _ => Self::None,
        }
    }
}

/// Adds up a dump.
struct Surveyor {
    rules: Rules,
    route: Route,
    stretch: u32,
    statements: u64,
    longest_bytes: u64,
    bytes: u64,
    weights: Weights,
}

impl Surveyor {
    fn new(rules: Rules) -> Self {
        let route = Route::new(rules.clone());
        Self {
            rules,
            route,
            stretch: 0,
            statements: 0,
            longest_bytes: 0,
            bytes: 0,
            weights: Weights::default(),
        }
    }

    fn add(&mut self, statement: &Statement) -> Result<(), String> {
        let bytes = statement.text.len() as u64;
        self.statements += 1;
        self.bytes += bytes;
        self.longest_bytes = self.longest_bytes.max(bytes);
        match self.route.next(statement)? {
            Action::Owner(table, _) => self.weights.add(self.stretch, table, bytes),
            Action::Alone => self.stretch += 1,
            Action::Everyone | Action::Nobody => {}
        }
        Ok(())
    }

    fn finish(self, footer: Footer) -> Survey {
        let Self {
            rules,
            route,
            statements,
            longest_bytes,
            bytes,
            weights,
            ..
        } = self;
        Survey {
            rules,
            found: route.into_found(),
            footer,
            statements,
            longest_bytes,
            bytes,
            weights,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Footer) {
        assert_eq!(Footer::parse(line), expected, "{line}");
    }

    #[test]
    fn the_last_line_tells() {
        let counts = |tables, rows| Footer::Counts(TablesAndRows { tables, rows });
        check(
            "-- Dump completed by mail-backup: 27 tables, 45 rows",
            counts(27, 45),
        );
        check(
            "-- Dump completed by mail-backup: 3 users, 1 roles",
            Footer::Accounts,
        );
        check(
            "-- Dump completed by mail-backup: 27 tables, 4x rows",
            Footer::None,
        );
        check("-- Dump completed by mail-backup: 27 tab", Footer::None);
        check("-- Dump completed on 2026-11-23 12:00:00", Footer::Stock);
        check("-- Dump completed", Footer::Stock);
        check("", Footer::None);
    }
}
