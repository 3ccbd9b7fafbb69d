//! A dump read to its end before anything is touched: what it concerns, whether it may be loaded,
//! whether it is whole.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use mail_common::interrupt::Interrupted;

use super::action::Action;
use super::dump::Dump;
use super::error::Error;
use super::found::{Found, TableRows};
use super::kind::TableVerb;
use super::route::{Route, Rules};
use super::script::{Script, Step};
use super::share::Weights;
use super::source::{Content, with_content};
use super::statement::{Statement, StatementReader};
use super::token::{Reading, Token, Tokens};
use super::trust::Trust;

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
    /// What makes its stored code.
    pub(super) script: Script,
    /// Whether its head names a database.
    pub(super) is_named: bool,
    /// The database that its head names, where the file is called otherwise.
    pub(super) renamed: Option<String>,
}

/// A dump with what was found in it.
pub(super) type SurveyedDump = (Dump, Survey);

impl fmt::Display for TablesAndRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tables, {} rows", self.tables, self.rows)
    }
}

impl Survey {
    /// Reads `dump`, of a database.
    pub(super) fn of_database(dump: &Dump, trust: Trust, stop: &AtomicBool) -> Result<Self, Error> {
        let survey = Self::of(dump, trust, stop, |title, named| {
            database_rules(dump, title, named)
        })?;
        match (&survey.rules, survey.footer) {
            (Rules::Ours(_), Footer::Counts(counts)) => check_recorded(dump, counts)?,
            (Rules::Ours(_), _) => return Err(no_last_line(dump)),
            _ => {}
        }
        if let Some(implied) = &survey.found.implied
            && survey.renamed.is_none()
            && *implied == dump.database()
            && !survey.is_named
            && has_date(&dump.stem)
        {
            return Err(dump.refused(
                1,
                "it names no database, and its file is called after a date; call it \
                 DATABASE.sql.gz, after the database",
            ));
        }
        let holds_nothing = survey.found.databases.is_empty();
        let is_of_the_server = !survey.found.passed_over.is_empty();
        match survey.rules {
            Rules::Ours(_) if holds_nothing => Err(dump.incomplete("it makes no database")),
            Rules::Stock(_) if holds_nothing && !is_of_the_server => {
                Err(dump
                    .incomplete("it holds no table and no database: the dump failed, or was cut"))
            }
            _ => Ok(survey),
        }
    }

    /// Reads `dump`, of the accounts.
    pub(super) fn of_accounts(dump: &Dump, stop: &AtomicBool) -> Result<Self, Error> {
        let survey = Self::of(dump, Trust::Gate, stop, |_, _| Ok(Rules::Accounts))?;
        if survey.footer == Footer::Accounts {
            Ok(survey)
        } else {
            Err(no_last_line(dump))
        }
    }

    fn of(
        dump: &Dump,
        trust: Trust,
        stop: &AtomicBool,
        rules: impl FnOnce(&str, Option<&str>) -> Result<Rules, Error>,
    ) -> Result<Self, Error> {
        with_content(&dump.file, dump.expected_bytes(), |content| {
            let mut reader = StatementReader::new(content);
            let mut next = read(dump, &mut reader)?;
            let title = reader.first_comment().to_owned();
            let rules = rules(&title, reader.named_database())?;
            let is_named = reader.named_database().is_some();
            let mut surveyor = Surveyor::new(rules, trust);
            while let Some(statement) = next {
                if stop.load(Ordering::Relaxed) {
                    return Err(Interrupted.into());
                }
                let line = statement.line;
                surveyor
                    .add(statement)
                    .map_err(|reason| dump.refused(line, reason))?;
                next = read(dump, &mut reader)?;
            }
            let footer = Footer::parse(reader.last_comment());
            surveyor.check_whole(dump, &title, footer)?;
            if let Some(reason) = surveyor.route.refusal() {
                return Err(dump.refused(1, reason));
            }
            Ok(Survey {
                is_named,
                ..surveyor.finish(dump, footer)
            })
        })
    }

    /// Whether tables would replace those that are there, and nothing is in any of them.
    fn has_no_rows(&self) -> bool {
        let is_empty = |table: &TableRows| table.rows == 0 && table.is_exact;
        matches!(self.rules, Rules::Stock(_))
            && !self.found.tables.is_empty()
            && self.found.tables.values().all(is_empty)
    }

    /// What an administrator should know and does not hold loading back.
    pub(super) fn warnings(&self, dump: &Dump) -> Vec<String> {
        let path = &dump.path;
        let mut warnings: Vec<_> = Vec::new();
        if let Some(database) = &self.renamed {
            warnings.push(format!(
                "{path} holds database {database}, by its head, and is restored into {database}"
            ));
        }
        if matches!(self.rules, Rules::Stock(_)) && self.footer != Footer::Stock {
            warnings.push(format!(
                "{path} does not end with `-- Dump completed`: whether it is whole cannot be told"
            ));
        }
        if self.has_no_rows() {
            warnings.push(format!(
                "{path} makes {} tables and has no rows: they will be empty (mysqldump writes \
                 such dumps with --no-data and --tab)",
                self.found.tables.len()
            ));
        }
        if !self.found.passed_over.is_empty() {
            let what: Vec<_> = self.found.passed_over.iter().take(5).cloned().collect();
            warnings.push(format!(
                "{path}: what concerns the server is not loaded ({}); for accounts, look at them \
                 with zgrep and load them by hand",
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

/// What the dump is allowed, by its first line. Where there is a manifest, mail-backup wrote it. A
/// stock dump says in its head which database it is of; else it is that of its file's name.
fn database_rules(dump: &Dump, title: &str, named: Option<&str>) -> Result<Rules, Error> {
    let is_ours = title.starts_with("-- Database ") && title.contains(", saved by mail-backup");
    match (is_ours, dump.recorded, named) {
        (true, _, _) => Ok(Rules::Ours(dump.database())),
        (false, Some(_), _) => {
            Err(dump.refused(1, "the set is of mail-backup, and this dump is not"))
        }
        (false, None, Some(named)) => Ok(Rules::Stock(named.to_owned())),
        (false, None, None) => Ok(Rules::Stock(dump.database())),
    }
}

/// Whether the name of a file ends with a date or a time, which the name of a database does not.
fn has_date(stem: &str) -> bool {
    let is_part = |char: char| char.is_ascii_digit() || "-_.:T".contains(char);
    let tail = &stem[stem.trim_end_matches(is_part).len()..];
    let digits = tail.chars().filter(char::is_ascii_digit).count();
    digits >= 6 && tail.len() < stem.len()
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
    steps: Vec<Step>,
    /// Variables that the head keeps what it changes in, and those that the foot gives back.
    kept: BTreeSet<String>,
    given_back: BTreeSet<String>,
}

impl Surveyor {
    fn new(rules: Rules, trust: Trust) -> Self {
        let route = Route::new(rules.clone(), trust);
        Self {
            rules,
            route,
            stretch: 0,
            statements: 0,
            longest_bytes: 0,
            bytes: 0,
            weights: Weights::default(),
            steps: Vec::new(),
            kept: BTreeSet::new(),
            given_back: BTreeSet::new(),
        }
    }

    fn add(&mut self, statement: Statement) -> Result<(), String> {
        let bytes = statement.text.len() as u64;
        self.statements += 1;
        self.bytes += bytes;
        self.longest_bytes = self.longest_bytes.max(bytes);
        match self.route.next(&statement)? {
            Action::Owner(table, verb) => {
                if verb == TableVerb::Insert {
                    self.route.count(&table, &statement)?;
                }
                self.weights.add(self.stretch, table, bytes);
            }
            Action::Alone => self.stretch += 1,
            Action::Database(verb, database) => {
                self.stretch += 1;
                self.steps.push(Step::Database(verb, database, statement));
            }
            Action::Everyone => {
                self.note_variables(&statement);
                self.steps.push(Step::Session(statement));
            }
            Action::Select(database) => self.steps.push(Step::Use(database)),
            Action::Stored(step) => self.steps.push(Step::Stored(step, statement)),
            Action::Nobody => {}
        }
        Ok(())
    }

    /// `SET @OLD_SQL_MODE=@@SQL_MODE` stands in the head, `SET SQL_MODE=@OLD_SQL_MODE` in the foot.
    fn note_variables(&mut self, statement: &Statement) {
        let tokens: Vec<_> = Tokens::new(&statement.text, Reading::Run, statement.modes).collect();
        for (at, token) in tokens.iter().enumerate() {
            let (Token::Symbol(b'@'), Some(Token::Word(name))) = (token, tokens.get(at + 1)) else {
                continue;
            };
            let name = String::from_utf8_lossy(name).to_ascii_uppercase();
            if !name.starts_with("OLD_") {
                continue;
            }
            let is_kept = matches!(tokens.get(at + 2), Some(Token::Symbol(b'=' | b':')));
            if is_kept {
                self.kept.insert(name);
            } else {
                self.given_back.insert(name);
            }
        }
    }

    /// Whether a stock dump is cut off between two statements. Programs that write comments write
    /// one at the end, and those that keep the settings of the session give them back.
    fn check_whole(&self, dump: &Dump, title: &str, footer: Footer) -> Result<(), Error> {
        let Rules::Stock(_) = &self.rules else {
            return Ok(());
        };
        if self.statements == 0 {
            return Err(dump.incomplete("it is empty: the dump failed, or was cut"));
        }
        let has_title = ["-- MariaDB dump ", "-- MySQL dump "]
            .iter()
            .any(|known| title.starts_with(known));
        if has_title && footer != Footer::Stock {
            return Err(
                dump.incomplete("its last line `-- Dump completed` is missing, so it is cut off")
            );
        }
        if let Some(lost) = self.kept.difference(&self.given_back).next() {
            return Err(dump.incomplete(format!(
                "its end is missing, which gives @{lost} back, so it is cut off"
            )));
        }
        Ok(())
    }

    fn finish(self, dump: &Dump, footer: Footer) -> Survey {
        let Self {
            rules,
            route,
            statements,
            longest_bytes,
            bytes,
            weights,
            steps,
            ..
        } = self;
        let mut found = route.into_found();
        // What is only selected is not replaced by nothing.
        let made: BTreeSet<_> = found.created.union(&found.filled).cloned().collect();
        found.databases.retain(|database| made.contains(database));
        let renamed = found
            .implied
            .clone()
            .filter(|database| *database != dump.database());
        Survey {
            script: Script::new(steps, found.implied.clone(), !found.stored.is_empty()),
            rules,
            found,
            footer,
            statements,
            longest_bytes,
            bytes,
            weights,
            is_named: false,
            renamed,
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
    fn a_date_is_not_part_of_a_name() {
        for stem in ["mail_2026-01-05", "mail-20260105", "mail.2026-01-05T03:00"] {
            assert!(has_date(stem), "{stem}");
        }
        for stem in ["mail", "mail2", "20260105", "db_v1_2", "mail_2026"] {
            assert!(!has_date(stem), "{stem}");
        }
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
