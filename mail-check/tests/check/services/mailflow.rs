//! `mailflow`: the round trip on a private Postfix and Dovecot, and each way in which it fails.

use std::time::{Duration, Instant};

use mail_tests::mail_server::{Half, MailServer};
use mail_tests::talker::{Manner, Talker};

use crate::server::support::{Bench, Found};

/// The probe mailbox is alice's.
fn settings(server: &MailServer, bench: &Bench, delay: &str) -> String {
    let (p, password) = (
        server.ports(),
        bench.put("password", format!("{}\n", MailServer::PASSWORD)),
    );
    format!(
        "[services]\nname = 'mail.test'\n[services.postfix]\nconfig_dir = {:?}\n[tls]\nca_file = {:?}\n\
         [mailflow]\nsubmit = 'submission://127.0.0.1:{}'\nread = 'imaps://127.0.0.1:{}'\nuser = 'alice@example.org'\n\
         password_file = {password:?}\ndelay = {delay}\n",
        server.postfix_config(),
        server.authority(),
        p.submission,
        p.imaps,
    )
}

const CALM: &str = "{ warning = 50, critical = 55 }";

fn messages(server: &MailServer) -> String {
    server
        .imap("alice@example.org")
        .command("STATUS INBOX (MESSAGES)")
        .join(" ")
}

#[test]
fn a_message_goes_round_and_nothing_is_left() {
    let (server, bench) = (MailServer::start(), Bench::new());
    let settings = settings(&server, &bench, CALM);
    // Somebody's mail, marked as deleted but not expunged, and the probe message of a run that was
    // killed long ago.
    let mut imap = server.imap("alice@example.org");
    let append = |flags: &str, date: &str, text: &str| {
        format!(
            "APPEND INBOX ({flags}) {date} {{{}+}}\r\n{text}",
            text.len()
        )
    };
    imap.command(&append("\\Deleted", "", "Subject: mine\r\n\r\nkeep\r\n"));
    let old = "X-Mail-Check: mail-check-1-2-submission\r\n\r\nold\r\n";
    imap.command(&append("", "\"01-Jan-2026 00:00:00 +0000\"", old));
    imap.command(&append("", "", old));
    assert!(
        messages(&server).contains("MESSAGES 3"),
        "{}",
        messages(&server)
    );
    for _ in 0..2 {
        bench.check("mailflow", &settings).assert(
            "mailflow",
            "submission",
            "ok",
            "came through in",
        );
    }
    // The old one is gone; the young one may be of a run that goes on.
    assert!(
        messages(&server).contains("MESSAGES 2"),
        "{}",
        messages(&server)
    );
    let other = settings
        .replace("submission://", "smtps://")
        .replace("imaps://", "imap://");
    let other = other.replace(
        &format!(":{}'", server.ports().submission),
        &format!(":{}'", server.ports().smtps),
    );
    let other = other.replace(
        &format!(":{}'", server.ports().imaps),
        &format!(":{}'", server.ports().imap),
    );
    bench
        .check("mailflow", &other)
        .assert("mailflow", "submission", "ok", "came through in");
}

#[test]
fn each_step_that_fails_is_named() {
    let (server, bench) = (MailServer::start(), Bench::new());
    let good = settings(&server, &bench, CALM);
    let check = |settings: &str, status: &str, words: &str| {
        let begun = Instant::now();
        let found = Found::of(bench.tool("mailflow", settings).args(["--timeout", "3"]));
        found.assert("mailflow", "submission", status, words);
        assert!(begun.elapsed() < Duration::from_secs(40), "{words}");
    };
    let wrong = bench.put("wrong", "not the password\n");
    let refused = good.replace(
        &format!("{:?}", bench.path("password")),
        &format!("{wrong:?}"),
    );
    check(
        &refused,
        "critical",
        "reading the probe mailbox failed: 127.0.0.1",
    );
    check(&refused, "critical", "refuses the login");
    check(
        &good.replace("name = 'mail.test'", "name = 'other.test'"),
        "critical",
        "not for other.test",
    );
    check(
        &good.replace("delay =", "from = 'x@'\ndelay ="),
        "critical",
        "submission failed",
    );
    check(
        &good.replace("/password\"", "/absent\""),
        "unknown",
        "cannot be read",
    );
    server.pause(Half::Postfix);
    check(&good, "critical", "submission failed: 127.0.0.1");
    check(&good, "critical", "hangs: it has not sent the greeting 220");
    server.stop(Half::Postfix);
    check(&good, "critical", "nobody listens");
    server.stop(Half::Dovecot);
    check(
        &good,
        "critical",
        "reading the probe mailbox failed: nobody listens",
    );
}

#[test]
fn mail_that_is_accepted_and_does_not_come_is_critical_with_the_reason_of_the_queue() {
    let (server, bench) = (MailServer::start(), Bench::new());
    server.set_postfix("virtual_transport = lmtp:inet:127.0.0.1:1");
    let settings = settings(&server, &bench, "{ warning = 2, critical = 4 }");
    let begun = Instant::now();
    let found = bench.check("mailflow", &settings);
    found.assert(
        "mailflow",
        "submission",
        "critical",
        "has not come within 4 s: it waits in the queue as",
    );
    found.assert("mailflow", "submission", "critical", "Connection refused");
    assert!(begun.elapsed() < Duration::from_secs(40));
}

#[test]
fn the_inbound_api_is_a_way_of_its_own() {
    let (server, bench) = (MailServer::start(), Bench::new());
    let refusing = Talker::start(Manner::Closes(b"HTTP/1.1 401 no\r\n\r\n".to_vec()));
    let inbound = |port: u16| {
        let url = format!("http://127.0.0.1:{port}/inbound");
        format!(
            "{}[mailflow.inbound]\nurl = '{url}'\nbody = '{{id}}'\n",
            settings(&server, &bench, "{ critical = 3 }")
        )
    };
    let found = bench.check("mailflow", &inbound(refusing.port()));
    found.assert("mailflow", "inbound", "critical", "answers with status 401");
    let accepting = Talker::start(Manner::Closes(b"HTTP/1.1 202 yes\r\n\r\n".to_vec()));
    let lost = bench.check("mailflow", &inbound(accepting.port()));
    lost.assert(
        "mailflow",
        "inbound",
        "critical",
        "was accepted and has not come within 3 s",
    );
}

#[test]
fn a_token_is_not_sent_to_a_server_that_is_not_trusted() {
    let (server, stranger, bench) = (MailServer::start(), MailServer::start(), Bench::new());
    let url = format!("https://127.0.0.1:{}/inbound", stranger.ports().imaps);
    let headers = bench.put("headers", "Authorization: Bearer secret-token\n");
    let inbound =
        format!("[mailflow.inbound]\nurl = '{url}'\nheaders_file = {headers:?}\nbody = '{{id}}'\n");
    let found = bench.check(
        "mailflow",
        &format!("{}{inbound}", settings(&server, &bench, CALM)),
    );
    found.assert(
        "mailflow",
        "inbound",
        "critical",
        "its certificate is not trusted",
    );
    found.assert("mailflow", "submission", "ok", "came through in");
}
