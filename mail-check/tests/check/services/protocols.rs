//! `services` on the mail protocols.

use std::time::{Duration, Instant};

use mail_tests::certificate::Certificate;
use mail_tests::docker::Docker;
use mail_tests::mail_server::{Half, MailServer};
use mail_tests::talker::{Manner, Talker};

use crate::server::support::{Bench, Found};

/// The machine is busy: a slow answer is not what these tests are about.
const CALM: &str = "response = { warning = 50, critical = 55 }";

/// `[services]` and `[tls]` for all protocols of a server.
pub(crate) fn settings(server: &MailServer, more: &str) -> String {
    let p = server.ports();
    format!(
        "[services]\n{CALM}\nname = 'mail.test'\nsmtp = ['127.0.0.1:{}']\nsubmission = ['127.0.0.1:{}']\nsmtps = ['127.0.0.1:{}']\n\
         imap = ['127.0.0.1:{}']\nimaps = ['127.0.0.1:{}']\npop3 = ['127.0.0.1:{}']\npop3s = ['127.0.0.1:{}']\n\
         lmtp = ['127.0.0.1:{}', 'unix:{}']\n{more}\n[tls]\nca_file = {:?}\n",
        p.smtp,
        p.submission,
        p.smtps,
        p.imap,
        p.imaps,
        p.pop3,
        p.pop3s,
        p.lmtp,
        server.lmtp_socket().display(),
        server.authority(),
    )
}

fn check_quickly(bench: &Bench, settings: &str) -> Found {
    Found::of(bench.tool("services", settings).args(["--timeout", "3"]))
}

fn at(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

#[test]
fn a_sound_server_is_ok_and_what_stops_or_hangs_is_critical() {
    let (server, bench) = (MailServer::start(), Bench::new());
    let postfix = format!(
        "[services.postfix]\nconfig_dir = {:?}\nmyhostname = 'mail.test'\nrelayhost = ''",
        server.postfix_config()
    );
    let settings = settings(&server, &postfix);
    let p = server.ports();
    let sound = bench.check("services", &settings);
    assert_eq!(sound.troubles(), Vec::<String>::new(), "{sound:?}");
    sound.assert("queue", "length", "ok", "0 messages wait");
    sound.assert("postfix-config", "relayhost", "ok", "relayhost is \"\"");

    server.set_postfix("relayhost = [elsewhere.test]");
    bench.check("services", &settings).assert(
        "postfix-config",
        "relayhost",
        "critical",
        "[elsewhere.test]",
    );

    server.stop(Half::Postfix);
    let stopped = bench.check("services", &settings);
    for (name, port) in [
        ("smtp", p.smtp),
        ("submission", p.submission),
        ("smtps", p.smtps),
    ] {
        stopped.assert(name, &at(port), "critical", "nobody listens");
    }
    stopped.assert("imaps", &at(p.imaps), "ok", "it answers");

    server.pause(Half::Dovecot);
    let begun = Instant::now();
    let hung = check_quickly(&bench, &settings);
    assert!(begun.elapsed() < Duration::from_secs(30));
    for (name, port) in [
        ("imap", p.imap),
        ("imaps", p.imaps),
        ("pop3", p.pop3),
        ("pop3s", p.pop3s),
        ("lmtp", p.lmtp),
    ] {
        hung.assert(name, &at(port), "critical", "hangs: it has not sent");
    }
}

/// A byte each tenth of a second, as each protocol begins, and never the end of it.
#[test]
fn every_kind_of_server_that_drips_is_given_up() {
    let bench = Bench::new();
    let drip = |begin: &[u8]| {
        let bytes = [begin, &[b'x'; 10_000]].concat();
        Talker::start(Manner::Drips(bytes, Duration::from_millis(100)))
    };
    let kinds: [(&str, &[u8]); 9] = [
        ("smtp", b"220-"),
        ("submission", b"220 "),
        ("smtps", b"\x16\x03\x03\x40\x00\x02"),
        ("imap", b"* OK "),
        ("imaps", b"\x16\x03\x03\x40\x00\x02"),
        ("pop3", b"+OK "),
        ("pop3s", b"\x16\x03\x03\x40\x00\x02"),
        ("lmtp", b"220 "),
        ("clamd", b"PON"),
    ];
    let talkers = kinds.map(|(kind, begin)| (kind, drip(begin)));
    let (page, mysql) = (
        drip(b"HTTP/1.1 200 OK\r\nX: "),
        drip(b"\x50\0\0\0\x0a10.11"),
    );
    let url = format!("http://127.0.0.1:{}/", page.port());
    let mut settings = "[services]\nmysql = true\n".to_owned();
    for (kind, talker) in &talkers {
        settings += &format!("{kind} = ['{}']\n", at(talker.port()));
    }
    settings += &format!("[[services.http]]\nurl = '{url}'\n");
    let tool = bench.tool("services", &settings);
    let tool = tool
        .env("MYSQL_HOST", "127.0.0.1")
        .env("MYSQL_PORT", mysql.port().to_string())
        .env("MYSQL_CONFIG_FILE", "/dev/null");
    let begun = Instant::now();
    let found = Found::of(tool.args(["--timeout", "3"]));
    assert!(begun.elapsed() < Duration::from_secs(60));
    for (kind, talker) in &talkers {
        found.assert(kind, &at(talker.port()), "critical", "hangs");
    }
    found.assert("http", &url, "critical", "hangs");
    found.assert("mysql", "server", "critical", "answer");
}

#[test]
fn who_does_not_keep_to_the_protocol_is_named() {
    let bench = Bench::new();
    let check = |kind: &str, manner: Manner, words: &str| {
        let talker = Talker::start(manner);
        let settings = format!("[services]\n{kind} = ['127.0.0.1:{}']\n", talker.port());
        let begun = Instant::now();
        check_quickly(&bench, &settings).assert(kind, &at(talker.port()), "critical", words);
        assert!(begun.elapsed() < Duration::from_secs(30), "{kind} {words}");
    };
    check(
        "submission",
        Manner::Says(b"hello\r\n".to_vec()),
        "sends \"hello\" instead of the greeting 220",
    );
    check(
        "smtp",
        Manner::Says(b"554 go away\r\n".to_vec()),
        "refuses the connection: 554 go away",
    );
    check(
        "smtps",
        Manner::Says(b"220 mail ESMTP\r\n".to_vec()),
        "TLS with",
    );
    check(
        "imap",
        Manner::Closes(Vec::new()),
        "closed the connection instead of sending the greeting",
    );
    check(
        "imap",
        Manner::Says(b"* BYE too many\r\n".to_vec()),
        "refuses the connection",
    );
    check(
        "imaps",
        Manner::Silent,
        "hangs: it has not sent TLS handshake",
    );
    check("pop3", Manner::Endless, "sends more than it may");
    check(
        "lmtp",
        Manner::Drips(vec![b'2'; 10_000], Duration::from_millis(100)),
        "hangs",
    );
}

#[test]
fn a_slow_service_is_a_warning_and_a_bare_one_offers_too_little() {
    let bench = Bench::new();
    let slow = Talker::start(Manner::Drips(
        b"HTTP/1.0 200 OK\r\n\r\n".to_vec(),
        Duration::from_millis(40),
    ));
    let page = |more: &str| {
        format!(
            "[services]\nresponse = {{ warning = 0.2 }}\n[[services.http]]\nurl = 'http://127.0.0.1:{}/x'\n{more}",
            slow.port()
        )
    };
    let target = format!("http://127.0.0.1:{}/x", slow.port());
    // It never closes, which a page has to.
    check_quickly(&bench, &page("")).assert(
        "http",
        &target,
        "critical",
        "hangs: it has not sent the page",
    );
    let answers = |body: &str| {
        Talker::start(Manner::Closes(
            format!("HTTP/1.1 200 OK\r\nx: y\r\n\r\n{body}").into_bytes(),
        ))
    };
    let check = |body: &str, more: &str, status: &str, words: &str| {
        let talker = answers(body);
        let url = format!("http://127.0.0.1:{}/ping", talker.port());
        let settings = format!("[services]\n{CALM}\n[[services.http]]\nurl = '{url}'\n{more}");
        bench
            .check("services", &settings)
            .assert("http", &url, status, words);
    };
    check("pong", "text = 'pong'", "ok", "it answers");
    check("ping", "text = 'pong'", "critical", "is not in the page");
    check("pong", "status = 204", "critical", "status 200, not 204");
}

#[test]
fn a_slow_answer_is_judged_by_its_limits() {
    let (server, bench) = (MailServer::start(), Bench::new());
    let port = server.ports().lmtp;
    let settings =
        format!("[services]\nresponse = {{ warning = 0 }}\nlmtp = ['127.0.0.1:{port}']\n");
    bench
        .check("services", &settings)
        .assert("lmtp", &at(port), "warning", "which is slow");
}

#[test]
fn certificates_that_users_cannot_trust_are_critical() {
    let (server, bench) = (
        MailServer::start_with(&Certificate::for_names(&["DNS:other.test"])),
        Bench::new(),
    );
    let port = server.ports().imaps;
    let trusted = settings(&server, "");
    let target = at(port);
    bench.check("services", &trusted).assert(
        "imaps",
        &target,
        "critical",
        "is for other.test, not for mail.test",
    );
    let serve = |certificate: &Certificate| {
        server.set_certificate(certificate);
        server.stop(Half::Dovecot);
        server.resume(Half::Dovecot);
    };
    serve(&Certificate::default().valid(-30, -1));
    bench
        .check("services", &trusted)
        .assert("imaps", &target, "critical", "expired at");
    serve(&Certificate::default().self_signed());
    bench
        .check("services", &trusted)
        .assert("imaps", &target, "critical", "is not trusted");
    let allowed = format!("{trusted}allow_self_signed = true\n");
    bench
        .check("services", &allowed)
        .assert("imaps", &target, "ok", "it answers");
    serve(&Certificate::default());
    let nobody = format!("[services]\n{CALM}\nname = 'mail.test'\nimaps = ['127.0.0.1:{port}']\n");
    bench.check("services", &nobody).assert(
        "imaps",
        &target,
        "critical",
        "no authority that this machine trusts",
    );
    bench
        .check("services", &trusted)
        .assert("imaps", &target, "ok", "it answers");
}

#[test]
fn postfix_in_a_container_is_asked_there() {
    let (docker, bench) = (Docker::start(), Bench::new());
    bench.put(
        "mail-server/docker-compose.yml",
        "name: post\nservices:\n  mta:\n    image: mail-test\n",
    );
    let waiting = r#"{"queue_id": "4abc", "arrival_time": 1000, "recipients": [{"address": "b@y", "delay_reason": "x refused"}]}"#;
    let script = format!(
        "printf '#!/bin/sh\necho myhostname = mail.test; echo mydomain = test; echo relayhost =\n' >/bin/postconf\n\
         printf '#!/bin/sh\ncat /queue\n' >/bin/postqueue\nchmod 755 /bin/postconf /bin/postqueue\n\
         echo '{waiting}' >/queue\nexec sleep 600"
    );
    let container = docker.service("post", "mta", &[], &script);
    docker.docker(&[
        "exec",
        &container,
        "sh",
        "-c",
        "until [ -s /queue ]; do sleep 0.01; done",
    ]);
    let settings = |service: &str| {
        let postfix = format!(
            "[services.postfix]\ncontainer = '{service}'\nmyhostname = 'other.test'\nrelayhost = ''\n"
        );
        format!("[docker]\nsocket = {:?}\n{postfix}", docker.socket())
    };
    let found = bench.check("services", &settings("mta"));
    found.assert(
        "postfix-config",
        "myhostname",
        "warning",
        "\"mail.test\", not \"other.test\"",
    );
    found.assert("postfix-config", "relayhost", "ok", "relayhost is");
    found.assert("queue", "oldest", "critical", "4abc").assert(
        "queue",
        "oldest",
        "critical",
        "x refused",
    );
    found.assert("queue", "length", "ok", "1 messages wait");
    let absent = bench.check("services", &settings("nobody"));
    absent
        .assert("queue", "postfix", "unknown", "nobody")
        .assert("postfix-config", "postfix", "unknown", "nobody");
}
