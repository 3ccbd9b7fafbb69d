//! What was counted becomes findings.

use super::settings::{Kind, Rate, Settings, Source};
use super::tally::{Counter, Tally, Topic};
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::status::Status;

/// How many reasons are shown.
const REASONS: usize = 3;

/// How many changes by administrators are shown: each matters.
const CHANGES: usize = 50;

/// What is counted, as the name of a check and as words in its message.
fn name_and_noun(topic: Topic) -> (&'static str, &'static str) {
    match topic {
        Topic::Bounced => ("log-bounced", "messages bounced"),
        Topic::Deferred => ("log-deferred", "deliveries were deferred"),
        Topic::Rejected => ("log-rejected", "clients were refused"),
        Topic::AuthFailures => ("log-auth-failures", "logins failed"),
        Topic::AuthErrors => ("log-auth-errors", "authentication errors"),
        Topic::ApiErrors => ("log-api-errors", "errors of the application are in the log"),
        Topic::LmtpFailures => ("log-lmtp-failures", "deliveries to mailboxes failed"),
        Topic::Probes => (
            "log-probes",
            "clients were held back, or went without a word",
        ),
        Topic::Http4xx => ("log-http-4xx", "requests were refused"),
        Topic::Http5xx => ("log-http-5xx", "requests failed"),
        Topic::Admin => ("log-admin", "changes came by the administration pages"),
        Topic::Tools => ("log-tools", "errors are in the log"),
        Topic::Pattern(_) | Topic::Ignored => ("log-pattern", "lines match"),
    }
}

/// What to do about it.
fn next_step(topic: Topic) -> &'static str {
    match topic {
        Topic::Bounced => "see that the addresses exist and that the domain is on no block list",
        Topic::Deferred => "see postqueue -p, and try again with postqueue -f",
        Topic::Rejected => "see who asks, and for what; fail2ban keeps them away",
        Topic::AuthFailures => {
            "block the addresses (fail2ban), or mend the password of a user's device"
        }
        Topic::AuthErrors => {
            "see that Dovecot's auth service and its database run: doveadm service status auth"
        }
        Topic::ApiErrors => "see what it was doing, and the services that it asks",
        Topic::LmtpFailures => "see that Dovecot runs, and look at disk, quota and permissions",
        Topic::Probes => "see who they are; fail2ban keeps them away",
        Topic::Http4xx => "see who asks, and for what",
        Topic::Http5xx => "see the log of the application behind",
        Topic::Admin => "make sure that they were yours",
        Topic::Tools => "see what failed, and run it again",
        Topic::Pattern(_) | Topic::Ignored => "look at them",
    }
}

/// A finding for each topic of the source's kind.
pub(super) fn judge_topics(source: &Source, settings: &Settings, tally: &Tally) -> Vec<Finding> {
    let topics = topics_of(source.kind).iter();
    topics
        .map(|topic| judge_topic(*topic, &source.name, settings, tally))
        .collect()
}

/// A finding for each pattern of the source.
pub(super) fn judge_patterns(source: &Source, settings: &Settings, tally: &Tally) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, pattern) in settings.patterns_of(source).enumerate() {
        let counter = tally.counter(Topic::Pattern(number));
        let message = summary(
            &counter,
            &format!("lines match in {}", source.name),
            "look at them",
            REASONS,
        );
        findings.push(limited(
            "log-pattern",
            &pattern.name,
            message,
            &counter,
            pattern.rate(),
        ));
    }
    findings
}

fn topics_of(kind: Kind) -> &'static [Topic] {
    match kind {
        Kind::Postfix => &[
            Topic::Bounced,
            Topic::Deferred,
            Topic::Rejected,
            Topic::AuthFailures,
            Topic::AuthErrors,
            Topic::LmtpFailures,
            Topic::Probes,
        ],
        Kind::Dovecot => &[
            Topic::AuthFailures,
            Topic::AuthErrors,
            Topic::LmtpFailures,
            Topic::Probes,
        ],
        Kind::Nginx => &[
            Topic::Http4xx,
            Topic::Http5xx,
            Topic::Admin,
            Topic::AuthFailures,
            Topic::AuthErrors,
            Topic::Probes,
        ],
        Kind::Roundcube => &[Topic::AuthFailures, Topic::ApiErrors],
        Kind::InboundApi => &[
            Topic::Http4xx,
            Topic::Http5xx,
            Topic::Admin,
            Topic::ApiErrors,
        ],
        Kind::Tools => &[Topic::Tools],
    }
}

fn judge_topic(topic: Topic, target: &str, settings: &Settings, tally: &Tally) -> Finding {
    let counter = tally.counter(topic);
    let (name, what) = name_and_noun(topic);
    let most = if topic == Topic::Admin {
        CHANGES
    } else {
        REASONS
    };
    let message = summary(&counter, what, next_step(topic), most);
    let finding = limited(name, target, message, &counter, rate_of(topic, settings));
    match topic {
        Topic::Http4xx | Topic::Http5xx => {
            with_share(finding, topic, &counter, settings, tally.requests)
        }
        _ => finding,
    }
}

fn rate_of(topic: Topic, settings: &Settings) -> Rate {
    match topic {
        Topic::Bounced => settings.bounced,
        Topic::Deferred => settings.deferred,
        Topic::Rejected => settings.rejected,
        Topic::AuthFailures => settings.auth_failures,
        Topic::AuthErrors => settings.auth_errors,
        Topic::ApiErrors => settings.api_errors,
        Topic::LmtpFailures => settings.lmtp_failures,
        Topic::Probes => settings.probes,
        Topic::Http4xx => settings.http_4xx,
        Topic::Http5xx => settings.http_5xx,
        Topic::Admin => settings.admin,
        Topic::Tools => settings.tools,
        Topic::Pattern(_) | Topic::Ignored => Rate::default(),
    }
}

fn summary(counter: &Counter, what: &str, next: &str, most: usize) -> String {
    let busiest = counter.busiest();
    if counter.new == 0 && busiest.count == 0 {
        return format!("no {what} since the last run");
    }
    let hour = if busiest.text.is_empty() {
        "one hour".to_owned()
    } else {
        format!("the hour of {}", busiest.text)
    };
    let mut message = format!(
        "{} {what} since the last run, {} in {hour}",
        counter.new, busiest.count
    );
    if counter.new > 0 {
        message = format!("{message}: {}", counter.top(most).join("; "));
    }
    format!("{message}; {next}")
}

fn limited(name: &str, target: &str, message: String, counter: &Counter, rate: Rate) -> Finding {
    let none = Ceiling {
        warning: None,
        critical: None,
    };
    let count = counter.busiest().count as f64;
    let mut finding =
        Finding::ok(name, target, message).under(count, "an hour", rate.per_hour.unwrap_or(none));
    let by_run = rate
        .per_run
        .map_or(Status::Ok, |limits| limits.judge(counter.new as f64));
    finding.status = finding.status.max(by_run);
    finding
}

/// Adds the share of all requests, and judges that of failures.
fn with_share(
    mut finding: Finding,
    topic: Topic,
    counter: &Counter,
    settings: &Settings,
    requests: u64,
) -> Finding {
    let percent = counter.new as f64 * 100.0 / requests.max(1) as f64;
    finding.message = format!(
        "{} ({percent:.1} % of {requests} requests)",
        finding.message
    );
    if topic == Topic::Http5xx && requests >= settings.http_least_requests {
        finding.status = finding.status.max(settings.http_5xx_percent.judge(percent));
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::super::settings::Place;
    use super::super::tally::Hour;
    use super::*;

    fn source(kind: Kind) -> Source {
        Source {
            name: "s".into(),
            kind,
            place: Place::File("/l".into()),
            silent: None,
            max_size: 1,
        }
    }

    fn tally(topic: Topic, times: u64, line: &str) -> Tally {
        let mut tally = Tally::default();
        tally.count(topic, times, line.as_bytes(), "why");
        tally
    }

    fn status(findings: &[Finding], name: &str) -> Status {
        findings
            .iter()
            .find(|finding| finding.name == name)
            .unwrap()
            .status
    }

    #[test]
    fn each_topic_has_its_limits() {
        let check = |kind, topic, times, name: &str, expected| {
            let findings = judge_topics(
                &source(kind),
                &Settings::default(),
                &tally(topic, times, "Nov 25 08:00:00 x"),
            );
            assert_eq!(status(&findings, name), expected, "{name} {times}");
            let others = findings.iter().filter(|finding| finding.name != name);
            assert!(
                others
                    .into_iter()
                    .all(|finding| finding.status == Status::Ok)
            );
        };
        check(Kind::Postfix, Topic::Bounced, 9, "log-bounced", Status::Ok);
        check(
            Kind::Postfix,
            Topic::Bounced,
            10,
            "log-bounced",
            Status::Warning,
        );
        check(
            Kind::Postfix,
            Topic::Deferred,
            200,
            "log-deferred",
            Status::Critical,
        );
        check(
            Kind::Dovecot,
            Topic::AuthFailures,
            100,
            "log-auth-failures",
            Status::Warning,
        );
        check(
            Kind::Dovecot,
            Topic::LmtpFailures,
            1,
            "log-lmtp-failures",
            Status::Warning,
        );
        check(
            Kind::Nginx,
            Topic::Http4xx,
            1000,
            "log-http-4xx",
            Status::Warning,
        );
        check(
            Kind::InboundApi,
            Topic::Http5xx,
            10,
            "log-http-5xx",
            Status::Warning,
        );
        check(Kind::Nginx, Topic::Admin, 1, "log-admin", Status::Warning);
        check(Kind::Tools, Topic::Tools, 1, "log-tools", Status::Warning);
    }

    #[test]
    fn the_share_of_failed_requests_counts_when_there_were_enough() {
        let check = |requests, expected| {
            let mut tally = tally(Topic::Http5xx, 6, "");
            tally.requests = requests;
            assert_eq!(
                status(
                    &judge_topics(&source(Kind::Nginx), &Settings::default(), &tally),
                    "log-http-5xx"
                ),
                expected
            );
        };
        check(50, Status::Ok);
        check(100, Status::Warning);
        check(1000, Status::Ok);
    }

    #[test]
    fn an_hour_that_is_not_over_is_still_reported_and_a_limit_by_run_is_its_own() {
        let resumed = Tally::resumed([(
            Topic::Bounced,
            Hour {
                text: "Nov 25 08".into(),
                count: 12,
            },
        )]);
        let findings = judge_topics(&source(Kind::Postfix), &Settings::default(), &resumed);
        assert_eq!(status(&findings, "log-bounced"), Status::Warning);
        assert_eq!(
            findings[0]
                .message
                .split(": ")
                .next()
                .unwrap()
                .split(';')
                .next()
                .unwrap(),
            "0 messages bounced since the last run, 12 in the hour of Nov 25 08"
        );
        let settings: Settings =
            toml::from_str("bounced = { per_run = { critical = 2 } }").unwrap();
        let findings = judge_topics(
            &source(Kind::Postfix),
            &settings,
            &tally(Topic::Bounced, 2, ""),
        );
        assert_eq!(status(&findings, "log-bounced"), Status::Critical);
    }
}
