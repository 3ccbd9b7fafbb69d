//! An account that is made for one restore: it may do anything in the new databases, and nothing
//! elsewhere. Whatever a dump holds, the server itself keeps it there.

use std::collections::BTreeSet;
use std::io::Read;

use mail_common::secret::Secret;
use mail_common::trusted;
use mail_mysql::ConnectionSettings;

use super::error::Error;
use super::journal::Journal;
use super::server::{Server, name};
use super::survey::SurveyedDump;
use super::trust::Trust;

/// Makes the account, if the one that restores may; else that one loads, behind the gate alone.
pub(super) fn make(
    server: &mut Server,
    connection: &ConnectionSettings,
    journal: &mut Journal,
    dumps: &[SurveyedDump],
    trust: Trust,
) -> Option<ConnectionSettings> {
    // What is trusted may need more than this account can.
    if trust == Trust::Full {
        return None;
    }
    let (user, password) = (user_of(journal), password()?);
    let host = server
        .rows("SELECT SUBSTRING_INDEX(USER(), '@', -1)")
        .ok()?;
    let host = host.into_iter().flatten().next()?;
    let account = format!("{}@{}", name(&user), name(&host));
    // Written down first: a run that is killed leaves none that nobody knows.
    journal.account = Some(account.clone());
    journal.write(server).ok()?;
    server
        .run(&format!("CREATE USER {account} IDENTIFIED BY '{password}'"))
        .ok()?;
    for place in &journal.places {
        let on = pattern(&place.new);
        server
            .run(&format!("GRANT ALL ON {on}.* TO {account}"))
            .ok()?;
    }
    for database in referenced(journal, dumps) {
        let on = pattern(database);
        server
            .run(&format!("GRANT REFERENCES ON {on}.* TO {account}"))
            .ok()?;
    }
    let settings = ConnectionSettings {
        user,
        password: Some(Secret::new(password)),
        ..connection.clone()
    };
    Server::connect(&settings).is_ok().then_some(settings)
}

/// Drops the account, which has done its work.
pub(super) fn drop(server: &mut Server, journal: &mut Journal) -> Result<(), Error> {
    if let Some(account) = journal.account.take() {
        server.prepare(&account, &format!("DROP USER IF EXISTS {account}"))?;
        journal.write(server)?;
    }
    Ok(())
}

/// Other databases to which foreign keys lead.
fn referenced<'a>(journal: &Journal, dumps: &'a [SurveyedDump]) -> BTreeSet<&'a String> {
    let is_own = |database: &&String| journal.places.iter().any(|place| place.live == **database);
    dumps
        .iter()
        .flat_map(|(_, survey)| &survey.found.referenced)
        .filter(|database| !is_own(database))
        .collect()
}

fn user_of(journal: &Journal) -> String {
    let token = journal.database.strip_prefix(mail_mysql::scratch::PREFIX);
    format!("mr_{}", token.unwrap_or(&journal.database))
}

/// In GRANT, `_` and `%` are patterns.
fn pattern(database: &str) -> String {
    let escaped = database.replace('\\', "\\\\");
    name(&escaped.replace('_', "\\_").replace('%', "\\%"))
}

/// One that every rule for passwords takes: long, with letters of both cases, digits and a sign.
fn password() -> Option<String> {
    let mut bytes = [0; 24];
    trusted::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .ok()?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("Aa1_{digits}"))
}
