//! The accounts of a server as SQL: users with their hashed credentials, roles, grants, default
//! roles.
//!
//! It loads after the databases, since a grant on a table needs the table, and any number of times.
//! A user that is already there keeps its credentials: nobody, `root` least of all, is locked out
//! of the server by a restore. The server's own account, `mariadb.sys`, is left out. Who loads it
//! becomes administrator of each role that is new there: only an administrator of a role can grant
//! it, also when the file is loaded again.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::dump::DumpReport;
use crate::error::{Cause, Error, Meaning};
use crate::privilege::split_outside;
use crate::script::{Script, literal, name};
use crate::session::Session;

/// What stands for the database in errors.
const ACCOUNTS: &str = "accounts";

const TITLE: &str = "Accounts, saved by mail-backup. \
                     Load them after the databases, with: mariadb < FILE\n\
     Accounts that exist already keep their passwords.";

/// A user, or a role, which has no host.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Account {
    User { name: String, host: String },
    Role { name: String },
}

/// The statements of the file, each kind in its place.
#[derive(Debug, Default)]
struct Statements {
    plugins: Vec<String>,
    users: Vec<String>,
    roles: Vec<String>,
    wide_grants: Vec<String>,
    /// On tables and routines: they fail where the object is not there, so they come late.
    narrow_grants: Vec<String>,
    default_roles: Vec<String>,
}

/// Writes all accounts into what `open` gives, and returns that with the report, whose `rows`
/// counts users and roles.
///
/// # Errors
/// When the connection is lost, the output fails or `stop` is set. An account that may not be read
/// is in [`DumpReport::missing`].
pub fn dump_accounts<W: Write>(
    session: &mut Session,
    open: impl FnOnce() -> io::Result<W>,
    stop: &AtomicBool,
) -> Result<(W, DumpReport), Error> {
    let mut report = DumpReport::default();
    let statements = collect(session, stop, &mut report)?;
    let out = open().map_err(|source| Error::Open {
        database: ACCOUNTS.into(),
        source,
    })?;
    let (users, roles) = (statements.users.len(), statements.roles.len());
    let summary = format!("{users} users, {roles} roles");
    let (out, written_bytes) =
        write(out, &statements, &summary).map_err(|source| Error::Write {
            database: ACCOUNTS.into(),
            source,
        })?;
    report.rows = (users + roles) as u64;
    report.source_bytes = written_bytes;
    Ok((out, report))
}

fn collect(
    session: &mut Session,
    stop: &AtomicBool,
    report: &mut DumpReport,
) -> Result<Statements, Error> {
    let mut statements = Statements::default();
    let accounts = match accounts(session) {
        Ok(accounts) => accounts,
        Err(cause) => {
            pass_over("accounts", &cause, report)?;
            return Ok(statements);
        }
    };
    for account in &accounts {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped {
                database: ACCOUNTS.into(),
            });
        }
        match collect_account(session, account, &mut statements) {
            Ok(()) => {}
            Err(cause) if is_ignored(session, &cause) => report.warnings.push(format!(
                "account {} is not saved: the server ignores it, \
                 since it resolves no host names (skip_name_resolve)",
                account.sql()
            )),
            Err(cause) => pass_over(&format!("account {}", account.sql()), &cause, report)?,
        }
    }
    // Servers before 10.11 have no PUBLIC.
    if let Ok(lines) = grants(session, "PUBLIC") {
        statements.add_grants(lines);
    }
    if let Err(cause) = collect_plugins(session, &mut statements) {
        pass_over("authentication plugins", &cause, report)?;
    }
    name_unsaved(session, report)?;
    Ok(statements)
}

/// What belongs to no database and no account, and is not saved: named, never left out in silence.
fn name_unsaved(session: &mut Session, report: &mut DumpReport) -> Result<(), Error> {
    let kinds = [
        (
            "loadable function",
            "SELECT name, dl FROM mysql.func",
            "CREATE FUNCTION ... SONAME",
        ),
        (
            "server definition",
            "SELECT Server_name, Wrapper FROM mysql.servers",
            "CREATE SERVER",
        ),
    ];
    for (kind, query, statement) in kinds {
        match session.texts(query) {
            Ok(rows) => report.missing.extend(rows.iter().map(|row| {
                format!(
                    "{kind} {} is not saved; write its {statement} down",
                    row.join(" of ")
                )
            })),
            Err(cause) => pass_over(kind, &cause, report)?,
        }
    }
    Ok(())
}

/// Names what may not be seen; a lost connection is an error.
fn pass_over(object: &str, cause: &Cause, report: &mut DumpReport) -> Result<(), Error> {
    if cause.meaning() == Meaning::Lost {
        let (database, object) = (ACCOUNTS.to_owned(), object.to_owned());
        return Err(Error::Lost {
            database,
            object,
            source: cause.clone(),
        });
    }
    report
        .missing
        .push(format!("{object}: {cause}; grant SELECT on mysql.*"));
    Ok(())
}

/// A server that resolves no names leaves accounts of a host name in its table, but knows nothing
/// of them.
fn is_ignored(session: &mut Session, cause: &Cause) -> bool {
    const NO_SUCH_USER: u16 = 1133;
    let Cause::Server {
        code: NO_SUCH_USER, ..
    } = cause
    else {
        return false;
    };
    session
        .texts("SELECT @@skip_name_resolve")
        .is_ok_and(|rows| rows.concat() == ["1"])
}

fn accounts(session: &mut Session) -> Result<Vec<Account>, Cause> {
    let rows =
        session.texts("SELECT User, Host, is_role FROM mysql.user ORDER BY is_role, User, Host")?;
    let account = |row: Vec<String>| match <[String; 3]>::try_from(row).ok()? {
        [name, _, role] if role == "Y" => (name != "PUBLIC").then_some(Account::Role { name }),
        [name, host, _] => (name != "mariadb.sys").then_some(Account::User { name, host }),
    };
    Ok(rows.into_iter().filter_map(account).collect())
}

fn collect_account(
    session: &mut Session,
    account: &Account,
    statements: &mut Statements,
) -> Result<(), Cause> {
    match account {
        Account::User { .. } => {
            let lines = session.texts(&format!("SHOW CREATE USER {}", account.sql()))?;
            statements.users.push(
                lines
                    .into_iter()
                    .flatten()
                    .map(|line| if_absent(&line))
                    .collect::<Vec<_>>()
                    .join(";\n"),
            );
        }
        Account::Role { .. } => statements
            .roles
            .push(format!("CREATE ROLE IF NOT EXISTS {}", account.sql())),
    }
    statements.add_grants(grants(session, &account.sql())?);
    Ok(())
}

fn if_absent(line: &str) -> String {
    line.strip_prefix("CREATE USER ").map_or_else(
        || line.to_owned(),
        |rest| format!("CREATE USER IF NOT EXISTS {rest}"),
    )
}

fn grants(session: &mut Session, account: &str) -> Result<Vec<String>, Cause> {
    let rows = session.texts(&format!("SHOW GRANTS FOR {account}"))?;
    Ok(rows.into_iter().flatten().collect())
}

/// The plugins by which the users log in, where they come from a library.
fn collect_plugins(session: &mut Session, statements: &mut Statements) -> Result<(), Cause> {
    let query = "SELECT PLUGIN_NAME, PLUGIN_LIBRARY FROM information_schema.PLUGINS \
         WHERE PLUGIN_TYPE = 'AUTHENTICATION' AND PLUGIN_STATUS = 'ACTIVE' \
         AND PLUGIN_LIBRARY IS NOT NULL";
    for row in session.texts(query)? {
        let Ok([plugin, library]) = <[String; 2]>::try_from(row) else {
            continue;
        };
        let via = format!(" VIA {plugin}");
        let or = format!(" OR {plugin}");
        if statements
            .users
            .iter()
            .any(|user| user.contains(&via) || user.contains(&or))
        {
            let install = format!(
                "INSTALL PLUGIN IF NOT EXISTS {} SONAME {}",
                name(&plugin),
                literal(&library)
            );
            statements.plugins.push(install);
        }
    }
    Ok(())
}

fn write<W: Write>(out: W, statements: &Statements, summary: &str) -> io::Result<(W, u64)> {
    let mut script = Script::begin(out, TITLE)?;
    for group in statements.in_order() {
        script.text("\n")?;
        for statement in group {
            script.statement(statement)?;
        }
    }
    script.finish(summary)
}

impl Account {
    fn sql(&self) -> String {
        match self {
            Self::User { name: user, host } => format!("{}@{}", name(user), name(host)),
            Self::Role { name: role } => name(role),
        }
    }
}

impl Statements {
    fn add_grants(&mut self, lines: Vec<String>) {
        for line in lines {
            match () {
                () if line.starts_with("SET DEFAULT ROLE") => self.default_roles.push(line),
                () if is_narrow(&line) => self.narrow_grants.push(without_credentials(&line)),
                () => self.wide_grants.push(without_credentials(&line)),
            }
        }
    }

    /// In the order in which they load.
    fn in_order(&self) -> [&[String]; 6] {
        [
            &self.plugins,
            &self.users,
            &self.roles,
            &self.wide_grants,
            &self.narrow_grants,
            &self.default_roles,
        ]
    }
}

/// Whether a grant is on a table or a routine.
fn is_narrow(line: &str) -> bool {
    let object = split_outside(line, " ON ").and_then(|(_, rest)| split_outside(rest, " TO "));
    object.is_some_and(|(object, _)| !object.ends_with(".*") && object.contains('.'))
}

/// A grant without IDENTIFIED, REQUIRE and limits, which CREATE USER carries: they would change a
/// user that is there.
fn without_credentials(line: &str) -> String {
    let Some((head, grantee)) = split_outside(line, " TO ") else {
        return line.to_owned();
    };
    let (grantee, tail) = split_outside(grantee, " ").unwrap_or((grantee, ""));
    let tail = format!(" {}", outside_strings(tail));
    let option = [" GRANT OPTION", " ADMIN OPTION"]
        .into_iter()
        .find(|option| tail.contains(option));
    let with = option
        .map(|option| format!(" WITH{option}"))
        .unwrap_or_default();
    format!("{head} TO {grantee}{with}")
}

fn outside_strings(text: &str) -> String {
    text.split('\'').step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        assert_eq!(without_credentials(line), expected);
    }

    #[test]
    fn grants_keep_their_option_and_lose_their_credentials() {
        check(
            "GRANT SELECT ON `a b`.* TO `u`@`%`",
            "GRANT SELECT ON `a b`.* TO `u`@`%`",
        );
        check(
            "GRANT `r` TO `u v`@`h` WITH ADMIN OPTION",
            "GRANT `r` TO `u v`@`h` WITH ADMIN OPTION",
        );
        check(
            "GRANT ALL PRIVILEGES ON *.* TO `u`@`h` IDENTIFIED BY PASSWORD '*AB' REQUIRE SSL WITH GRANT OPTION",
            "GRANT ALL PRIVILEGES ON *.* TO `u`@`h` WITH GRANT OPTION",
        );
        check(
            "GRANT USAGE ON *.* TO `u`@`h` IDENTIFIED VIA x USING ' GRANT OPTION' WITH MAX_QUERIES_PER_HOUR 5",
            "GRANT USAGE ON *.* TO `u`@`h`",
        );
    }

    #[test]
    fn grants_on_single_objects_come_late() {
        assert!(is_narrow("GRANT SELECT (`a`) ON `d`.`t` TO `u`@`h`"));
        assert!(is_narrow("GRANT EXECUTE ON PROCEDURE `d`.`p` TO `u`@`h`"));
        assert!(
            !is_narrow("GRANT SELECT ON `d`.* TO `u`@`h`") && !is_narrow("GRANT `r` TO `u`@`h`")
        );
    }
}
