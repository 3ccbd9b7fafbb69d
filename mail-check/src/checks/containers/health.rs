//! Whether a service is there, runs, is healthy, and was not started again and again.

use jiff::Timestamp;

use super::facts::{Known, Service};
use super::memory::Memory;
use super::settings::Settings;
use crate::docker::{Details, Health, State};
use crate::finding::Finding;
use crate::span::Span;
use crate::status::Status;

/// How much is shown of what a health check printed.
const MAX_OUTPUT_CHARS: usize = 200;

/// A container that Docker started again is not trusted to stay before it has run this long.
const JUST_SECONDS: u64 = 60;

/// The worst of its containers.
pub(super) fn judge(
    service: &Service<'_>,
    memory: &Memory,
    settings: &Settings,
    now: Timestamp,
) -> Option<Finding> {
    let name = service.name;
    if service.containers.is_empty() {
        let message = format!("it has no container; run docker compose up -d {name}");
        return Some(Finding::critical("container", name, message));
    }
    let findings = service
        .containers
        .iter()
        .map(|known| judge_one(name, known, memory, settings, now));
    findings.reduce(|a, b| if a.status >= b.status { a } else { b })
}

fn judge_one(
    service: &str,
    known: &Known,
    memory: &Memory,
    settings: &Settings,
    now: Timestamp,
) -> Finding {
    let details = match &known.inspected {
        Ok((details, _)) => details,
        Err(error) => return Finding::unknown("container", service, error.to_string()),
    };
    let may_end = settings.one_shot.iter().any(|one_shot| one_shot == service);
    let (status, words) = status_of(service, details, may_end, now);
    let restarts = memory.new_restarts(&known.container.id, details.restarts);
    let again = match restarts {
        0 => String::new(),
        _ => format!(
            "; Docker had to start it again {restarts} times since the last run, \
             see docker compose logs {service}"
        ),
    };
    let message = format!("{} {words}{again}", known.container.name);
    Finding::new(status, "container", service, message).under(
        restarts as f64,
        "restarts",
        settings.restarts,
    )
}

fn status_of(service: &str, details: &Details, may_end: bool, now: Timestamp) -> (Status, String) {
    let code = details.exit_code;
    match details.state {
        State::Running => of_running(service, details, now),
        State::Exited if may_end && code == 0 => (Status::Ok, "has done its work".to_owned()),
        State::Restarting => {
            let words = format!(
                "ends and is started again (exit code {code}, {} times so far){}",
                details.restarts,
                why(details)
            );
            (
                Status::Critical,
                format!("{words}; see docker compose logs {service}"),
            )
        }
        State::Paused => (
            Status::Critical,
            format!("is paused; run docker compose unpause {service}"),
        ),
        State::Created => (
            Status::Critical,
            format!(
                "was never started{}; run docker compose up -d {service}",
                why(details)
            ),
        ),
        State::Exited | State::Dead => {
            let words = format!(
                "does not run: it ended with exit code {code}{}",
                why(details)
            );
            (
                Status::Critical,
                format!(
                    "{words}; see docker compose logs {service}, \
                     then docker compose up -d {service}"
                ),
            )
        }
        State::Removing => (
            Status::Critical,
            format!("is being removed; run docker compose up -d {service}"),
        ),
        State::Unsaid => (
            Status::Unknown,
            "is in a state that Docker does not name".to_owned(),
        ),
    }
}

fn of_running(service: &str, details: &Details, now: Timestamp) -> (Status, String) {
    let age_seconds = details
        .started
        .map(|started| now.duration_since(started).as_secs().max(0).unsigned_abs());
    let since = age_seconds.map_or_else(String::new, |seconds| {
        format!(", for {}", Span::seconds(seconds))
    });
    // One that ends again and again is seen running now and then.
    if details.restarts > 0 && age_seconds.is_some_and(|seconds| seconds < JUST_SECONDS) {
        let words = format!(
            "runs{since}, after Docker had to start it again; {} times so far",
            details.restarts
        );
        return (
            Status::Warning,
            format!("{words}; see docker compose logs {service}"),
        );
    }
    match &details.health {
        Health::Healthy => (Status::Ok, format!("runs and is healthy{since}")),
        Health::Unchecked => (Status::Ok, format!("runs; it has no health check{since}")),
        Health::Starting => (
            Status::Unknown,
            format!("runs, and its health check has not answered yet{since}"),
        ),
        Health::Unhealthy {
            failing_streak,
            last_output,
        } => {
            let output = if last_output.is_empty() {
                "printed nothing".to_owned()
            } else {
                format!("printed: {}", shortened(last_output))
            };
            let words =
                format!("is unhealthy; {failing_streak} probes in a row failed, the last {output}");
            (
                Status::Critical,
                format!("{words}; see docker compose logs {service}"),
            )
        }
    }
}

fn why(details: &Details) -> String {
    match (details.out_of_memory, details.error.as_str()) {
        (true, _) => ", killed for want of memory".to_owned(),
        (false, "") => String::new(),
        (false, error) => format!(": {}", shortened(error)),
    }
}

/// On one line.
fn shortened(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(MAX_OUTPUT_CHARS) {
        Some((at, _)) => format!("{}...", &words[..at]),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::Container;
    use crate::docker::{DockerError, Image};

    fn details(state: State, health: Health) -> Details {
        Details {
            state,
            health,
            restarts: 0,
            exit_code: 0,
            out_of_memory: false,
            error: String::new(),
            started: Timestamp::from_second(1000).ok(),
            image_id: String::new(),
            image_name: String::new(),
            tty: false,
        }
    }

    fn known(inspected: Result<Details, DockerError>) -> Known {
        let text = |text: &str| text.to_owned();
        let container = Container {
            id: text("1"),
            name: text("p-s-1"),
            service: text("s"),
            running: true,
        };
        let image = Image {
            id: String::new(),
            created: None,
        };
        Known {
            container,
            inspected: inspected.map(|details| (details, image)),
            usage: None,
        }
    }

    fn judged(containers: &[Known], settings: &Settings) -> Finding {
        let service = Service {
            name: "s",
            containers: containers.iter().collect(),
        };
        judge(
            &service,
            &Memory::default(),
            settings,
            Timestamp::from_second(1100).unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn each_state_has_its_status_and_its_reason() {
        let settings = Settings {
            one_shot: vec!["s".to_owned()],
            ..Settings::default()
        };
        let check = |details: Details, status, words: &str| {
            let finding = judged(&[known(Ok(details))], &settings);
            assert_eq!(finding.status, status, "{}", finding.message);
            assert!(finding.message.contains(words), "{}", finding.message);
        };
        let running = |health| details(State::Running, health);
        let not_running = |state, status, words| {
            check(details(state, Health::Unchecked), status, words);
        };
        let words = "p-s-1 runs and is healthy, for 1 min 40 s";
        check(running(Health::Healthy), Status::Ok, words);
        check(running(Health::Unchecked), Status::Ok, "no health check");
        check(
            running(Health::Starting),
            Status::Unknown,
            "not answered yet",
        );
        let unhealthy = Health::Unhealthy {
            failing_streak: 3,
            last_output: format!("a\n b {}", "x".repeat(300)),
        };
        let words = "3 probes in a row failed, the last printed: a b xxx";
        check(running(unhealthy), Status::Critical, words);
        not_running(State::Paused, Status::Critical, "unpause s");
        let words = "started again (exit code 0";
        not_running(State::Restarting, Status::Critical, words);
        not_running(State::Created, Status::Critical, "never started");
        not_running(State::Dead, Status::Critical, "does not run");
        not_running(State::Removing, Status::Critical, "removed");
        not_running(State::Unsaid, Status::Unknown, "does not name");
        not_running(State::Exited, Status::Ok, "done its work");
        let again = |second| Details {
            restarts: 4,
            started: Timestamp::from_second(second).ok(),
            ..details(State::Running, Health::Unchecked)
        };
        check(again(1099), Status::Warning, "4 times so far");
        check(again(1000), Status::Ok, "runs");
        let failed = Details {
            exit_code: 137,
            out_of_memory: true,
            ..details(State::Exited, Health::Unchecked)
        };
        check(
            failed,
            Status::Critical,
            "exit code 137, killed for want of memory",
        );
    }

    #[test]
    fn one_that_should_run_and_ended_well_is_still_critical() {
        let finding = judged(
            &[known(Ok(details(State::Exited, Health::Unchecked)))],
            &Settings::default(),
        );
        assert_eq!(finding.status, Status::Critical);
    }

    #[test]
    fn the_worst_container_of_a_service_is_reported() {
        let good = || known(Ok(details(State::Running, Health::Healthy)));
        let bad = || known(Ok(details(State::Paused, Health::Healthy)));
        let lost = || {
            known(Err(DockerError::NotASocket {
                address: String::new(),
            }))
        };
        let settings = Settings::default();
        assert_eq!(
            judged(&[good(), bad(), good()], &settings).status,
            Status::Critical
        );
        assert_eq!(judged(&[good(), lost()], &settings).status, Status::Unknown);
        assert_eq!(judged(&[], &settings).status, Status::Critical);
    }
}
