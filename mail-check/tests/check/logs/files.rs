use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::support::{BOUNCED, Checks, Logs, NOT_DELIVERED};

#[test]
fn events_are_counted_since_the_last_run_and_stay_for_their_hour() {
    let logs = Logs::new("");
    logs.append("mail.log", &BOUNCED.repeat(4));
    let first = logs.run();
    first
        .assert("log", "ok", "first look")
        .assert("log-bounced", "ok", "4 messages bounced");
    assert_eq!(first.outcome.code(), 0);
    logs.append("mail.log", &BOUNCED.repeat(6));
    logs.append("mail.log", NOT_DELIVERED);
    let second = logs.run();
    second
        .assert(
            "log-bounced",
            "warning",
            "6 messages bounced since the last run, 10 in the hour of Nov 25 08: 6x host mx.example.net",
        )
        .assert("log-deferred", "ok", "1x connect to mail.test[private/dovecot-lmtp]: Connection refused")
        .assert("log-lmtp-failures", "warning", "see that Dovecot runs");
    assert_eq!(second.outcome.code(), 1);
    logs.run().assert(
        "log-bounced",
        "warning",
        "0 messages bounced since the last run, 10 in the hour",
    );
}

#[test]
fn rotation_loses_nothing_and_compression_is_named() {
    let logs = Logs::new("");
    logs.append("mail.log", BOUNCED);
    logs.run();
    logs.append("mail.log", BOUNCED);
    let moved = Command::new("mv")
        .arg(logs.path("mail.log"))
        .arg(logs.path("mail.log.1"))
        .status()
        .unwrap();
    assert!(moved.success());
    logs.append(
        "mail.log",
        &format!("Nov 25 08:00:00 mx postfix/master[1]: reload\n{BOUNCED}"),
    );
    logs.run()
        .assert("log", "ok", "mail.log.1 was read too")
        .assert("log-bounced", "ok", "2 messages bounced");
    logs.run();
    let zipped = Command::new("gzip")
        .arg(logs.path("mail.log"))
        .status()
        .unwrap();
    assert!(zipped.success());
    fs::copy(logs.path("mail.log.gz"), logs.path("mail.log.2.gz")).unwrap();
    logs.append("mail.log", NOT_DELIVERED);
    logs.run()
        .assert("log", "unknown", "mail.log.2.gz is not read")
        .assert("log-deferred", "ok", "1 deliveries");
}

#[test]
fn a_log_that_is_not_there_or_gone_or_no_file_is_never_ok() {
    let logs = Logs::new("");
    let absent = logs.run();
    absent.assert("log", "unknown", "not there");
    assert_eq!(absent.outcome.code(), 3);
    logs.append("mail.log", BOUNCED);
    logs.run();
    fs::remove_file(logs.path("mail.log")).unwrap();
    let gone = logs.run();
    gone.assert("log", "critical", "is gone");
    assert_eq!(gone.outcome.code(), 2);
    fs::create_dir(logs.path("mail.log")).unwrap();
    logs.run().assert("log", "unknown", "not a regular file");
}

#[test]
fn a_log_that_may_not_be_read_is_unknown() {
    let logs = Logs::new("");
    logs.append("mail.log", BOUNCED);
    fs::set_permissions(logs.path("mail.log"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(logs.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    Checks::of(logs.tool(&["logs"]).as_nobody().run()).assert(
        "log",
        "unknown",
        "permission denied",
    );
}

#[test]
fn a_damaged_state_is_reported_and_the_log_is_read_again() {
    let logs = Logs::new("");
    logs.append("mail.log", BOUNCED);
    logs.run();
    fs::write(logs.path("state/log-mail.json"), "{\"position\": 7").unwrap();
    logs.run().assert("log", "ok", "log-mail.json").assert(
        "log-bounced",
        "ok",
        "1 messages bounced",
    );
    logs.run().assert("log-bounced", "ok", "0 messages bounced");
}

#[test]
fn a_state_that_cannot_be_kept_is_reported_and_the_events_are_counted_again() {
    let logs = Logs::new("");
    logs.append("mail.log", BOUNCED);
    fs::write(logs.path("state"), "a file").unwrap();
    for _ in 0..2 {
        logs.run()
            .assert("log", "warning", "the next run will not know")
            .assert("log-bounced", "ok", "1 messages");
    }
}

#[test]
fn runs_at_once_do_not_break_each_other_and_nothing_is_counted_twice() {
    let logs = Logs::new("");
    logs.append("mail.log", BOUNCED);
    logs.run();
    logs.append("mail.log", &BOUNCED.repeat(5));
    let running: Vec<_> = (0..6).map(|_| logs.tool(&["logs"]).spawn()).collect();
    for run in running {
        // Six in the hour, whoever read them first.
        Checks::of(run.wait())
            .assert("log", "ok", "")
            .assert("log-bounced", "ok", "6 in the hour");
    }
    logs.run().assert(
        "log-bounced",
        "ok",
        "0 messages bounced since the last run, 6 in the hour",
    );
}

#[test]
fn more_than_a_run_reads_is_named_and_the_newest_is_read() {
    let logs = Logs::new("[logs]\nmax_bytes = 4096\n");
    logs.append("mail.log", BOUNCED);
    logs.run();
    logs.append("mail.log", &BOUNCED.repeat(1000));
    logs.append("mail.log", NOT_DELIVERED);
    logs.run()
        .assert("log", "unknown", "are not read; run more often")
        .assert("log-deferred", "ok", "1 deliveries");
}

#[test]
fn a_log_that_grew_too_large_or_fell_silent_is_a_warning() {
    let logs = Logs::new("");
    let log = logs.path("mail.log");
    logs.configure(&format!(
        "[[logs.source]]\nname = \"mail\"\nkind = \"postfix\"\nfile = {log:?}\nsilent = \"1h\"\nmax_size = 100\n"
    ));
    logs.append("mail.log", "Nov 25 08:00:00 mx postfix/master[1]: x\n");
    logs.run().assert("log", "ok", "");
    logs.append("mail.log", BOUNCED);
    logs.run().assert("log", "warning", "was not rotated");
    let aged = Command::new("touch")
        .args(["-d", "3 hours ago"])
        .arg(&log)
        .status()
        .unwrap();
    assert!(aged.success());
    logs.run()
        .assert("log", "warning", "nothing was written to it for 3 h");
}

#[test]
fn own_patterns_administration_and_errors_of_tools_are_found() {
    let logs = Logs::new("");
    let source = |name: &str, kind: &str| {
        format!(
            "[[logs.source]]\nname = \"{name}\"\nkind = \"{kind}\"\nfile = {:?}\n",
            logs.path(name)
        )
    };
    let pattern = |name: &str, source: &str| {
        format!(
            "[[logs.pattern]]\nname = \"{name}\"\nsource = \"{source}\"\nregex = 'user \\d+ left'\ncritical = 2\n"
        )
    };
    logs.configure(&format!(
        "{}{}{}{}",
        source("web", "nginx"),
        source("tools", "tools"),
        pattern("left", "web"),
        pattern("nowhere", "wbe")
    ));
    let request = |what: &str| {
        format!(
            "192.0.2.9 - - [25/Nov/2026:08:00:01 +0000] \"{what} HTTP/2.0\" 200 2 \"-\" \"-\"\n"
        )
    };
    logs.append("web", &request("DELETE /admin/users/7?token=s3cret"));
    logs.append("web", "user 1 left\nuser 2 left\nuser x left\n");
    logs.append(
        "tools",
        "[2026-11-25 03:00:09] [ERROR] [MYSQL] dump failed\nmail-backup: warning: x\n",
    );
    let checks = logs.run();
    checks
        .assert(
            "log-admin",
            "warning",
            "1x 200 DELETE /admin/users/7 by 192.0.2.9",
        )
        .assert("log-tools", "warning", "[MYSQL] dump failed");
    assert!(!checks.outcome.text().contains("s3cret"));
    let status = |target: &str| {
        checks
            .found
            .iter()
            .find(|check| check["target"] == target)
            .unwrap()["status"]
            .clone()
    };
    assert_eq!(
        (status("left"), status("nowhere")),
        ("critical".into(), "unknown".into())
    );
}

#[test]
fn binary_rubbish_and_a_line_of_megabytes_do_no_harm() {
    let logs = Logs::new("");
    logs.append("mail.log", BOUNCED);
    logs.run();
    let rubbish: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 23) as u8)
        .collect();
    let mut log = fs::read(logs.path("mail.log")).unwrap();
    log.extend_from_slice(&rubbish);
    log.extend_from_slice(&[b'x'; 4 << 20]);
    log.push(b'\n');
    log.extend_from_slice(BOUNCED.as_bytes());
    fs::write(logs.path("mail.log"), log).unwrap();
    logs.run()
        .assert("log", "ok", "")
        .assert("log-bounced", "ok", "1 messages bounced");
}

/// The log of an application that is taken for one of Postfix, Dovecot or Nginx.
const ANOTHER: &str = "2026-11-28 08:00:00,123 ERROR app.lmtp: LMTP delivery failed: [Errno 111] Connection refused\n\
                       Traceback (most recent call last):\nsmtplib.SMTPServerDisconnected: closed\n";

#[test]
fn a_log_of_another_kind_is_unknown_and_stays_so() {
    for kind in ["postfix", "dovecot", "nginx", "tools"] {
        let logs = Logs::new("");
        let log = logs.path("x.log");
        logs.configure(&format!(
            "[[logs.source]]\nname = \"mail\"\nkind = \"{kind}\"\nfile = {log:?}\n"
        ));
        logs.append("x.log", ANOTHER);
        for _ in 0..2 {
            let run = logs.run();
            run.assert("log", "unknown", "app.lmtp");
            assert_eq!((run.outcome.code(), run.found.len()), (3, 1), "{kind}");
        }
        let known = match kind {
            "nginx" => {
                "192.0.2.9 - - [25/Nov/2026:08:00:00 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"\n"
            }
            "tools" => "[2026-11-25 03:00:09] [INFO] [MYSQL] done\n",
            _ => "Nov 25 08:00:00 mx postfix/master[1]: reload\n",
        };
        logs.append("x.log", known);
        assert_eq!(logs.run().outcome.code(), 0, "{kind}");
    }
}

#[test]
fn errors_of_the_inbound_api_are_counted_once() {
    let logs = Logs::new("");
    let log = logs.path("api.log");
    logs.configure(&format!(
        "[[logs.source]]\nname = \"api\"\nkind = \"inbound-api\"\nfile = {log:?}\n"
    ));
    logs.append("api.log", ANOTHER);
    logs.run().assert("log", "ok", "read").assert(
        "log-api-errors",
        "warning",
        "1 errors of the application",
    );
}

#[test]
fn colours_and_lines_without_a_time_hide_nothing() {
    let logs = Logs::new("");
    let bounced = BOUNCED.split_once("mx ").unwrap().1;
    let coloured = bounced.replace("status=bounced", "\u{1b}[31mstatus=\u{1b}[0mbounced");
    logs.append("mail.log", &coloured.repeat(10));
    let hour = Command::new("date").arg("+%Y-%m-%d %H").output().unwrap();
    let hour = String::from_utf8(hour.stdout).unwrap();
    let run = logs.run();
    run.assert("log-bounced", "warning", "10 in the hour of ");
    let message = run
        .found
        .iter()
        .find(|check| check["name"] == "log-bounced")
        .unwrap();
    assert!(
        message["message"]
            .as_str()
            .unwrap()
            .contains(&hour.trim()[..10]),
        "{message}"
    );
}
