use super::*;

type Found = (Status, &'static str, &'static str, &'static str);

const REFUSED: &str =
    "3 deliveries were deferred: 3x connect to mail.test[private/dovecot-lmtp]: Connection refused";

#[track_caller]
fn check(scenario: Scenario, found: &[Found], status: Status, parts: &[&str]) {
    let findings: Vec<Finding> = found
        .iter()
        .map(|(status, name, target, words)| Finding::new(*status, *name, *target, *words))
        .collect();
    let diagnosis = diagnose(scenario, &findings);
    assert_eq!(
        (&*diagnosis.name, &*diagnosis.target, diagnosis.status),
        ("diagnosis", scenario.name(), status),
        "{diagnosis:?}"
    );
    for part in parts {
        assert!(
            diagnosis.message.contains(part),
            "no {part:?} in {}",
            diagnosis.message
        );
    }
}

#[test]
fn each_cause_is_told_from_its_symptoms() {
    use Scenario::{Auth, Container, Receive, Send};
    use Status::{Critical, Ok, Unknown, Warning};
    let table: &[(Scenario, &[Found], Status, &[&str])] = &[
        (
            Receive,
            &[
                (Warning, "log-deferred", "mail", REFUSED),
                (Critical, "disk", "/var", "99 %"),
            ],
            Critical,
            &["/var is full", "within 1 hour", "df -h /var"],
        ),
        (
            Receive,
            &[(Warning, "log-deferred", "mail", REFUSED)],
            Critical,
            &["does not reach Dovecot", "doveadm service status lmtp"],
        ),
        (
            Receive,
            &[
                (Critical, "lmtp", "dovecot:24", "refused"),
                (Warning, "log-deferred", "mail", REFUSED),
            ],
            Critical,
            &["over LMTP", "then postqueue -f"],
        ),
        (
            Receive,
            &[
                (Critical, "container", "dovecot", "exited"),
                (Critical, "lmtp", "dovecot:24", "refused"),
            ],
            Critical,
            &["dovecot does not run", "docker compose up -d dovecot"],
        ),
        (
            Receive,
            &[(Critical, "container", "postfix", "unhealthy: probe failed")],
            Critical,
            &["health check fails", "within 2 hours"],
        ),
        (
            Receive,
            &[
                (Critical, "clamd", "clamav:3310", "down"),
                (Warning, "queue", "postfix", "40 wait"),
            ],
            Critical,
            &["ClamAV", "High"],
        ),
        (
            Receive,
            &[(
                Warning,
                "queue",
                "postfix",
                "40 wait: milter-reject: 4.7.1 Service unavailable",
            )],
            Critical,
            &["a milter"],
        ),
        (
            Receive,
            &[(Critical, "smtp", "mx:25", "refused")],
            Critical,
            &["Postfix does not take mail on mx:25"],
        ),
        (
            Receive,
            &[(
                Warning,
                "log-lmtp-failures",
                "mail",
                "2x INBOX: Quota exceeded",
            )],
            Warning,
            &["over their quota", "within 4 hours"],
        ),
        (
            Receive,
            &[(Warning, "mailflow", "probe", "no message within 60 s")],
            Critical,
            &["does not arrive in time"],
        ),
        (
            Send,
            &[(Warning, "log-deferred", "mail", REFUSED)],
            Critical,
            &["the way out is closed"],
        ),
        (
            Send,
            &[(
                Critical,
                "postfix-config",
                "postfix",
                "relayhost is [old]:587",
            )],
            Critical,
            &["relayhost is not as it should be"],
        ),
        (
            Send,
            &[(Warning, "log-deferred", "mail", "1x Greylisted, try again")],
            Warning,
            &["Level: Low, recover within 24 hours"],
        ),
        (
            Send,
            &[(
                Warning,
                "log-bounced",
                "mail",
                "9x blocked using zen.spamhaus.org",
            )],
            Critical,
            &["on a block list"],
        ),
        (
            Send,
            &[(Warning, "dkim-keys", "/dkim", "none")],
            Warning,
            &["unsigned", "ls -l /dkim"],
        ),
        (
            Send,
            &[(Critical, "submission", "mx:587", "refused")],
            Critical,
            &["takes no mail from users"],
        ),
        (
            Auth,
            &[
                (Critical, "mysql", "db", "refused"),
                (Critical, "imaps", "mx:993", "refused"),
            ],
            Critical,
            &["the database does not answer"],
        ),
        (
            Auth,
            &[(Critical, "imaps", "mx:993", "refused")],
            Critical,
            &["Dovecot does not answer on mx:993"],
        ),
        (
            Auth,
            &[(
                Warning,
                "log-auth-failures",
                "mail",
                "200 logins failed: 150x 192.0.2.1",
            )],
            Warning,
            &["150x 192.0.2.1", "fail2ban"],
        ),
        (
            Container,
            &[(Unknown, "docker", "/var/run/docker.sock", "no answer")],
            Critical,
            &["the Docker daemon does not answer"],
        ),
        (
            Container,
            &[(Critical, "container", "clamav", "exited: out of memory")],
            Critical,
            &["killed for lack of memory"],
        ),
        (
            Container,
            &[(Warning, "container", "nginx", "restarted 5 times")],
            Critical,
            &["again and again"],
        ),
        (
            Container,
            &[(Warning, "memory", "machine", "91 %")],
            Warning,
            &["memory is short"],
        ),
        // No rule knows it: it is reported all the same.
        (
            Container,
            &[
                (Ok, "cpu", "machine", "5 %"),
                (Critical, "new-check", "x", "broken"),
            ],
            Critical,
            &["new-check of x", "broken"],
        ),
    ];
    for (scenario, found, status, parts) in table {
        check(*scenario, found, *status, parts);
    }
}

#[test]
fn advice_is_no_symptom() {
    let words = "1 deliveries to mailboxes failed: 1x Connection refused by private/dovecot; look at quota and permission denied";
    check(
        Scenario::Receive,
        &[(Status::Warning, "log-lmtp-failures", "mail", words)],
        Status::Critical,
        &["does not reach Dovecot"],
    );
}

#[test]
fn nothing_wrong_is_ok_only_when_every_step_was_made() {
    check(
        Scenario::Send,
        &[(Status::Ok, "submission", "mx", "fine")],
        Status::Ok,
        &["every step was made", "SPF"],
    );
    let partly = [
        (Status::Ok, "disk", "/", "fine"),
        (Status::Unknown, "docker", "configuration", "not checked"),
    ];
    check(
        Scenario::Receive,
        &partly,
        Status::Unknown,
        &["could not be checked: docker", "dig MX"],
    );
}

#[test]
fn every_rule_can_be_reached() {
    for (number, rule) in RULES.iter().enumerate() {
        let status = match rule.when {
            When::Critical => Status::Critical,
            When::Bad => Status::Warning,
            When::Silent => Status::Unknown,
        };
        let finding = |name: &&str| {
            Finding::new(
                status,
                *name,
                "t",
                rule.says.first().copied().unwrap_or("words"),
            )
        };
        let scenarios = [
            Scenario::Receive,
            Scenario::Send,
            Scenario::Auth,
            Scenario::Container,
        ];
        let is_first = |finding: Finding| {
            scenarios.iter().any(|scenario| {
                RULES
                    .iter()
                    .position(|rule| rule.explains(*scenario, &finding))
                    == Some(number)
            })
        };
        assert!(
            rule.names.iter().any(|name| is_first(finding(name))),
            "{rule:?}"
        );
    }
}
