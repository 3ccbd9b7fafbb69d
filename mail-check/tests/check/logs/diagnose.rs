use super::support::{Checks, Logs, NOT_DELIVERED};

fn diagnose(logs: &Logs, trouble: &str) -> Checks {
    Checks::of(logs.tool(&["--diagnose", trouble]).run())
}

#[test]
fn mail_that_dovecot_does_not_take_is_diagnosed_from_the_log() {
    let logs = Logs::new("");
    logs.append("mail.log", &NOT_DELIVERED.repeat(3));
    let checks = diagnose(&logs, "receive");
    checks.assert("log-lmtp-failures", "warning", "Connection refused");
    checks.assert("diagnosis", "critical", "Postfix does not reach Dovecot");
    checks.assert(
        "diagnosis",
        "critical",
        "Level: Critical, recover within 1 hour. Next: doveadm service status lmtp",
    );
    assert_eq!(checks.found[0]["name"], "diagnosis");
    assert_eq!(checks.outcome.code(), 2);
    // What it looked at is not taken away from the next check.
    assert!(!logs.path("state").exists());
    logs.run()
        .assert("log", "ok", "first look")
        .assert("log-deferred", "ok", "3 deliveries");
}

#[test]
fn a_step_that_cannot_be_made_is_not_ok() {
    let logs = Logs::new("");
    logs.append(
        "mail.log",
        "Nov 25 08:00:00 mx postfix/master[1]: daemon started\n",
    );
    let checks = diagnose(&logs, "send");
    checks.assert("submission", "unknown", "look by hand: openssl s_client");
    checks.assert("diagnosis", "unknown", "could not be checked: submission");
    assert_eq!(checks.outcome.code(), 3);
}

#[test]
fn a_diagnosis_takes_no_other_operand_and_only_known_troubles() {
    let logs = Logs::new("");
    let _ = logs
        .tool(&["--diagnose", "receive", "logs"])
        .run()
        .assert_code(3)
        .assert_stderr("cannot be used with");
    let _ = logs
        .tool(&["--diagnose", "money"])
        .run()
        .assert_code(3)
        .assert_stderr("receive, send, auth, container");
}
