//! How a trip ended, as a finding.

use super::settings::Route;
use super::trip::Outcome;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::status::Status;

const NAME: &str = "mailflow";

/// The settings are not whole: nothing is known of the mail flow.
pub(super) fn unmade(route: Route, why: String) -> Finding {
    Finding::unknown(NAME, route.name(), why)
}

pub(super) fn judge(route: Route, outcome: Outcome, limits: Ceiling) -> Finding {
    let target = route.name();
    match outcome {
        Outcome::Failed { step, why } => {
            Finding::critical(NAME, target, format!("{step} failed: {why}"))
        }
        Outcome::Lost { waited, reason } => {
            let seconds = waited.as_secs_f64();
            let why = reason.unwrap_or_else(|| {
                "see postqueue -p and the logs of Postfix and Dovecot".to_owned()
            });
            let message =
                format!("a message was accepted and has not come within {seconds:.0} s: {why}");
            Finding::critical(NAME, target, message).under(seconds, "seconds", limits)
        }
        Outcome::Arrived { delay, left_behind } => {
            let seconds = delay.as_secs_f64();
            let message = format!("a message came through in {seconds:.2} s");
            let mut finding = Finding::ok(NAME, target, message).under(seconds, "seconds", limits);
            if finding.status != Status::Ok {
                finding.message += ", which is slow; see postqueue -p and the load of the machine";
            }
            match left_behind {
                None => finding,
                Some(why) => {
                    let message = format!(
                        "{}, but it could not be removed from the mailbox: {why}",
                        finding.message
                    );
                    Finding {
                        status: finding.status.max(Status::Warning),
                        message,
                        ..finding
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_outcome_has_its_status() {
        let check = |outcome: Outcome, status: Status, words: &str| {
            let finding = judge(Route::Submission, outcome, Ceiling::new(60.0, 300.0));
            assert_eq!(finding.status, status, "{finding:?}");
            assert!(finding.message.contains(words), "{finding:?}");
        };
        let arrived = |seconds, left_behind: Option<&str>| Outcome::Arrived {
            delay: Duration::from_secs(seconds),
            left_behind: left_behind.map(str::to_owned),
        };
        check(arrived(1, None), Status::Ok, "1.00 s");
        check(arrived(60, None), Status::Warning, "slow");
        check(arrived(1, Some("denied")), Status::Warning, "denied");
        check(
            Outcome::Lost {
                waited: Duration::from_secs(10),
                reason: Some("refused".to_owned()),
            },
            Status::Critical,
            "refused",
        );
        check(
            Outcome::Lost {
                waited: Duration::from_secs(301),
                reason: None,
            },
            Status::Critical,
            "postqueue",
        );
        check(
            Outcome::Failed {
                step: "submission",
                why: "x".to_owned(),
            },
            Status::Critical,
            "submission failed: x",
        );
        assert_eq!(
            unmade(Route::Inbound, "x".to_owned()).status,
            Status::Unknown
        );
    }
}
