//! MariaDB: a login as backups log in, a query, and how many connections are taken.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mail_common::config::Settings as ServerSettings;
use mail_common::report::chain;
use mail_mysql::{ConnectionSettings, Options, connect};
use mysql::prelude::Queryable;

use super::answer::{answered, down, most_of};
use super::settings::Settings;
use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::probe::Probe;
use crate::status::Status;

/// Connections taken, and how many there may be.
#[derive(Clone, Copy, Debug)]
struct Connections {
    taken: u64,
    most: u64,
}

pub(super) fn probe(settings: &Settings, context: &Arc<Context>) -> Probe {
    let (response, connections) = (settings.response, settings.connections);
    let context = Arc::clone(context);
    Probe::new("mysql", "server", context.timeout, move || {
        match login(&context.server) {
            Ok(login) => check(login, most_of(context.timeout), response, connections),
            Err(why) => vec![Finding::unknown("mysql", "server", why)],
        }
    })
}

fn check(
    login: ConnectionSettings,
    within: Duration,
    response: Ceiling,
    connections: Ceiling,
) -> Vec<Finding> {
    let begun = Instant::now();
    let answer = bounded(within, move || ask(&login));
    let seconds = begun.elapsed().as_secs_f64();
    let hung = || {
        format!(
            "it hangs: no answer within {:.1} s; see SHOW PROCESSLIST and its log",
            within.as_secs_f64()
        )
    };
    match answer.unwrap_or_else(|| Err(hung())) {
        Err(why) => vec![down(("mysql", "server"), why, seconds, response)],
        Ok(found) => vec![
            answered(("mysql", "server"), seconds, response),
            judge_connections(found, connections),
        ],
    }
}

/// The account of backups: environment and configuration over the option file.
fn login(server: &ServerSettings) -> Result<ConnectionSettings, String> {
    let mysql = &server.mysql;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let options = Options::from_environment(|name| match name {
        "MYSQL_HOST" => mysql.host.clone(),
        "MYSQL_PORT" => mysql.port.map(|port| port.to_string()),
        "MYSQL_SOCKET" => mysql.socket.as_deref().map(text),
        "MYSQL_USER" => mysql.user.clone(),
        _ => std::env::var(name).ok(),
    });
    let mut options = options.map_err(|error| error.to_string())?;
    if let Some(path) = &mysql.config_file {
        let file =
            Options::from_file(path).map_err(|error| format!("{error}; see MYSQL_CONFIG_FILE"))?;
        options = options.or(file.options);
    }
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    Ok(options.settle(&user))
}

fn ask(login: &ConnectionSettings) -> Result<Connections, String> {
    let mut connection = connect(login).map_err(|error| chain(&error))?;
    let failed =
        |error: mysql::Error| format!("the server does not answer a query: {error}; see its log");
    let taken: Option<(String, u64)> = connection
        .query_first("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
        .map_err(failed)?;
    let most: Option<u64> = connection
        .query_first("SELECT @@max_connections")
        .map_err(failed)?;
    let (Some((_, taken)), Some(most)) = (taken, most) else {
        return Err("the server does not tell its connections; is it MariaDB?".to_owned());
    };
    Ok(Connections { taken, most })
}

fn judge_connections(connections: Connections, limits: Ceiling) -> Finding {
    let Connections { taken, most } = connections;
    let percent = taken as f64 * 100.0 / most.max(1) as f64;
    let message = format!("{taken} of {most} connections are taken");
    let mut finding =
        Finding::ok("mysql-connections", "server", message).under(percent, "percent", limits);
    if finding.status != Status::Ok {
        finding.message += "; see SHOW PROCESSLIST for who holds them";
    }
    finding
}

/// The driver bounds connecting only; a server that hangs later leaves a thread behind, which ends
/// with the process.
fn bounded<T: Send + 'static>(
    within: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more when it comes too late.
        let _ = sender.send(work());
    });
    receiver.recv_timeout(within).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_judged_by_their_share() {
        let status = |taken| {
            judge_connections(Connections { taken, most: 100 }, Ceiling::new(80.0, 95.0)).status
        };
        assert_eq!(
            [79, 80, 95].map(status),
            [Status::Ok, Status::Warning, Status::Critical]
        );
    }
}
