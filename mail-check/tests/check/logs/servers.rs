use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use mail_tests::mail_server::{Half, MailServer};

use super::support::{Checks, Logs, wait_for};

fn configured(server: &MailServer) -> Logs {
    let logs = Logs::new("");
    logs.configure(&format!(
        "[[logs.source]]\nname = \"postfix\"\nkind = \"postfix\"\nfile = {:?}\n\
         [[logs.source]]\nname = \"dovecot\"\nkind = \"dovecot\"\nfile = {:?}\n",
        server.postfix_log(),
        server.dovecot_log()
    ));
    logs
}

fn send(server: &MailServer, to: &str) {
    let mut command = Command::new("/usr/sbin/sendmail");
    command
        .arg("-C")
        .arg(server.postfix_config())
        .args(["-f", "bob@example.org", to]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"Subject: x\n\nhello\n")
        .unwrap();
    assert!(child.wait().unwrap().success());
}

/// Dovecot logs a login that failed when the connection ends.
fn log_in_wrongly(server: &MailServer) {
    let stream = TcpStream::connect(("127.0.0.1", server.ports().imap)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    (&stream)
        .write_all(b"a LOGIN bob@example.org wrong\r\n")
        .unwrap();
    assert!(lines.any(|line| line.unwrap().starts_with("a NO")));
}

#[test]
fn what_postfix_and_dovecot_write_is_understood() {
    let server = MailServer::start();
    let logs = configured(&server);
    logs.run().assert("log", "ok", "first look").assert(
        "log-auth-failures",
        "ok",
        "no logins failed",
    );
    log_in_wrongly(&server);
    send(&server, "nobody@example.org");
    wait_for("auth failed, 1 attempts", || server.logs());
    wait_for("status=bounced", || server.logs());
    server.stop(Half::Dovecot);
    send(&server, "alice@example.org");
    wait_for("status=deferred", || server.logs());
    let outcome = logs.run().outcome;
    let dovecot = Checks {
        found: outcome.data("check"),
        outcome,
    }
    .about("dovecot");
    dovecot
        .assert(
            "log-auth-failures",
            "ok",
            "1 logins failed since the last run",
        )
        .assert("log-auth-failures", "ok", "1x 127.0.0.1");
    let postfix = Checks {
        found: dovecot.outcome.data("check"),
        outcome: dovecot.outcome,
    }
    .about("postfix");
    postfix
        .assert("log-bounced", "ok", "1 messages bounced")
        .assert("log-deferred", "ok", "dovecot-lmtp]");
    postfix.assert("log-lmtp-failures", "warning", "dovecot-lmtp]");
    let diagnosis = Checks::of(logs.tool(&["--diagnose", "receive"]).run());
    diagnosis.assert("diagnosis", "critical", "Dovecot").assert(
        "diagnosis",
        "critical",
        "then postqueue -f",
    );
}
