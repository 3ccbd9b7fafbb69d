//! Whether the REST API of the user management answers.

use std::time::Duration;

use ureq::Agent;

use crate::finding::Finding;

pub(super) fn check(url: &str, expected: u16, within: Duration) -> Finding {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(within))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build()
        .into();
    judge(
        url,
        expected,
        agent.get(url).call().map(|answer| answer.status().as_u16()),
    )
}

fn judge(url: &str, expected: u16, answer: Result<u16, ureq::Error>) -> Finding {
    match answer {
        Ok(status) if status == expected => {
            Finding::ok("user-api", url, format!("it answers with {status}"))
        }
        Ok(status) => {
            let message = format!(
                "it answers with {status}, not {expected}; see the log of the user management"
            );
            Finding::critical("user-api", url, message)
        }
        Err(error) => {
            let message = format!("it does not answer: {error}; is the user management running?");
            Finding::critical("user-api", url, message)
        }
    }
}
