//! By mail: the sendmail program and SMTP, and what goes wrong with both.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use mail_tests::receiver::closed_port;
use serde_json::Value;

use super::identity::Identity;
use super::smtp::{MailServer, Manner};
use super::support::{Disk, Machine, notified};

/// A program in the place of sendmail that keeps its arguments and its input.
fn sendmail(machine: &Machine, script: &str) -> String {
    let path = machine.put("sendmail", &format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn by_smtp(server: &MailServer, more: &str) -> Machine {
    Machine::new(&format!(
        "[notify.mail]\nto = [\"admin@example.com\"]\nsmtp = \"{}\"\n{more}",
        server.address()
    ))
}

#[test]
fn the_program_gets_the_email_and_the_administrator_is_the_recipient() {
    let machine = Machine::new("");
    let (args, letter) = (machine.path("args"), machine.path("letter"));
    let program = sendmail(
        &machine,
        &format!("echo \"$@\" >{}; cat >{}", args.display(), letter.display()),
    );
    let machine = machine.with(&format!("[notify.mail]\nsendmail = \"{program}\"\n"));
    let run = machine
        .tool(Disk::Warning)
        .arg("--notify")
        .env("ADMIN_EMAIL", "root@example.com")
        .run()
        .assert_code(1);
    assert_eq!(notified(&run, "mail")["status"], "ok");
    assert_eq!(
        fs::read_to_string(args).unwrap(),
        "-i -- root@example.com\n"
    );
    let letter = fs::read_to_string(letter).unwrap();
    assert!(!letter.contains('\r'), "{letter}");
    for part in [
        "\nTo: root@example.com\n",
        "\nSubject: [WARNING] ",
        "\nAuto-Submitted: auto-generated\n",
        "NEW\n  WARNING   disk /",
    ] {
        assert!(letter.contains(part), "no {part:?} in\n{letter}");
    }
}

/// A letter as Python's library reads it: its subject, the name of its character set, its text, and
/// the longest line of what was sent.
const READ: &str = "
import email, email.policy, json, sys
raw = open(sys.argv[1], 'rb').read()
letter = email.message_from_bytes(raw, policy=email.policy.default)
print(json.dumps({'subject': letter['Subject'], 'charset': letter.get_content_charset(),
    'text': letter.get_content(), 'defects': [str(d) for d in letter.defects],
    'longest': max(map(len, raw.splitlines())), 'head_is_ascii': raw.split(b'\\n\\n')[0].isascii()}))
";

/// The letter of a warning about `/` for who has this language.
fn letter_in(language: &str) -> Value {
    let machine = Machine::new("");
    let letter = machine.path("letter");
    let program = sendmail(&machine, &format!("cat >{}", letter.display()));
    let machine = machine.with(&format!("[notify.mail]\nsendmail = \"{program}\"\n"));
    let run = machine.tool(Disk::Warning).arg("--notify");
    let run = run.env("ADMIN_EMAIL", "root@example.com");
    let run = run.env("LC_ALL", language).run().assert_code(1);
    let checks = run.data("check");
    let disk = checks.iter().find(|check| check["name"] == "disk");
    let message = disk.expect("it is checked")["message"].as_str().unwrap();
    let mut python = Command::new("python3");
    let output = python.args(["-c", READ]).arg(&letter).output().unwrap();
    let mut read: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(read["text"].as_str().unwrap().contains(message), "{read:#}");
    let lines = read["text"].as_str().unwrap().replace("\r\n", "\n");
    read["text"] = lines.into();
    read["message"] = message.into();
    read
}

#[test]
fn a_letter_has_the_frame_of_its_language_and_any_program_can_read_it() {
    let japanese = letter_in("ja_JP.UTF-8");
    let english = letter_in("C");
    for letter in [&japanese, &english] {
        assert_eq!(letter["charset"], "utf-8", "{letter:#}");
        assert_eq!(letter["defects"], serde_json::json!([]));
        assert_eq!(letter["head_is_ascii"], true);
        assert!(letter["longest"].as_u64().unwrap() <= 998);
    }
    let part = |letter: &Value, name: &str| letter[name].as_str().unwrap().to_owned();
    let subject = part(&japanese, "subject");
    assert!(
        subject.starts_with("[警告] ") && subject.ends_with(": disk /"),
        "{subject}"
    );
    assert!(part(&english, "subject").starts_with("[WARNING] "));
    let text = part(&japanese, "text");
    for wanted in [
        "(危険 0、警告 1、不明 0)\n",
        "\n新しい異常\n  警告  disk /(",
    ] {
        assert!(text.contains(wanted), "no {wanted:?} in\n{text}");
    }
    assert!(part(&english, "text").is_ascii());
    assert!(
        part(&japanese, "message").is_ascii(),
        "messages are English"
    );
}

#[test]
fn a_program_that_fails_or_hangs_is_critical_and_reported() {
    let machine = Machine::new("");
    let program = sendmail(&machine, "echo 'fatal: queue is full' >&2; exit 75");
    let machine = machine.with(&format!(
        "[notify.mail]\nto = [\"a@example.com\"]\nsendmail = \"{program}\"\n"
    ));
    let run = machine
        .notify(Disk::Warning)
        .assert_code(2)
        .assert_stderr("queue is full");
    let finding = notified(&run, "mail");
    assert_eq!(finding["status"], "critical");
    assert!(
        finding["message"]
            .as_str()
            .unwrap()
            .contains("queue is full"),
        "{finding}"
    );
    assert_eq!(run.data("error").len(), 1);
    let program = sendmail(&machine, "exec sleep 60");
    let machine = machine.with(&format!(
        "[notify]\ntimeout = \"1s\"\n[notify.mail]\nto = [\"a@example.com\"]\nsendmail = \"{program}\"\n"
    ));
    let _ = machine
        .notify(Disk::Warning)
        .assert_code(2)
        .assert_stderr("gave no answer within 1 s");
    let machine = machine
        .with("[notify.mail]\nto = [\"a@example.com\"]\nsendmail = \"/nonexistent/sendmail\"\n");
    let _ = machine
        .notify(Disk::Warning)
        .assert_code(2)
        .assert_stderr("/nonexistent/sendmail is not installed");
}

#[test]
fn smtp_in_the_clear_on_this_machine_and_with_a_login() {
    let server = MailServer::start(Manner::Plain);
    let machine = by_smtp(
        &server,
        "tls = \"none\"\nuser = \"alerts\"\npassword_env = \"ALERTS_PASSWORD\"\n",
    );
    let run = machine
        .tool(Disk::Critical)
        .args(["--notify", "-vv"])
        .env("ALERTS_PASSWORD", "hunter2")
        .run()
        .assert_code(2);
    assert_eq!(notified(&run, "mail")["status"], "ok");
    let letters = server.kept.take();
    assert_eq!(letters.len(), 1);
    // "\0alerts\0hunter2" in base64.
    assert!(
        letters[0]
            .commands
            .iter()
            .any(|line| line == "AUTH PLAIN AGFsZXJ0cwBodW50ZXIy"),
        "{:?}",
        letters[0].commands
    );
    assert!(
        letters[0]
            .commands
            .iter()
            .any(|line| line.starts_with("RCPT TO:<admin@example.com>"))
    );
    assert!(
        letters[0].text.contains("Subject: [CRITICAL] "),
        "{}",
        letters[0].text
    );
    assert!(!run.text().contains("hunter2") && !run.stderr.contains("hunter2"));
}

#[test]
fn smtp_is_private_by_default_and_a_wrong_certificate_is_not_talked_to() {
    let identity = Identity::new("localhost");
    let trusted = identity.certificate();
    let servers = [
        (MailServer::starttls(&identity), ""),
        (
            MailServer::start(Manner::Immediate(identity.server())),
            "tls = \"tls\"\n",
        ),
    ];
    for (server, more) in &servers {
        let run = by_smtp(server, more)
            .tool(Disk::Warning)
            .arg("--notify")
            .env("SSL_CERT_FILE", &trusted)
            .run();
        assert_eq!(notified(&run.assert_code(1), "mail")["status"], "ok");
        assert!(server.kept.take().iter().all(|letter| letter.is_secured));
        let untrusting = by_smtp(server, more).notify(Disk::Warning).assert_code(2);
        assert_eq!(notified(&untrusting, "mail")["status"], "critical");
        assert!(server.kept.take().is_empty());
    }
    // A server that offers no STARTTLS gets nothing in the clear.
    let server = MailServer::start(Manner::Plain);
    let _ = by_smtp(&server, "").notify(Disk::Warning).assert_code(2);
    assert!(server.kept.take().is_empty());
}

#[test]
fn a_server_that_refuses_hangs_or_is_not_there_is_named() {
    let check = |server: &str, expected: &str| {
        let text = format!(
            "[notify]\ntimeout = \"1s\"\n[notify.mail]\nto = [\"a@example.com\"]\nsmtp = \"{server}\"\ntls = \"none\"\n"
        );
        let run = Machine::new(&text).notify(Disk::Warning).assert_code(2);
        let message = notified(&run, "mail")["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            message.contains(expected) && message.contains(server),
            "{message}"
        );
    };
    check(&MailServer::start(Manner::Refuse).address(), "no such user");
    check(&MailServer::start(Manner::Hang).address(), "send by");
    check(&format!("127.0.0.1:{}", closed_port()), "refused");
}

#[test]
fn the_scripts_settings_mute_alerts_and_ask_for_good_news() {
    let server = MailServer::start(Manner::Plain);
    let machine = by_smtp(&server, "tls = \"none\"\n");
    let run = |disk, name, value| machine.tool(disk).arg("--notify").env(name, value).run();
    let _ = run(Disk::Warning, "NOTIFICATION_ON_FAILURE", "false").assert_code(1);
    assert!(server.kept.take().is_empty());
    let _ = run(Disk::Ok, "NOTIFICATION_ON_FAILURE", "false").assert_code(0);
    let _ = run(Disk::Ok, "NOTIFICATION_ON_SUCCESS", "true").assert_code(0);
    let letters = server.kept.take();
    assert_eq!(letters.len(), 1);
    assert!(
        letters[0].text.contains("Subject: [OK] "),
        "{}",
        letters[0].text
    );
}

#[test]
fn nobody_to_notify_is_a_wrong_configuration() {
    let run = Machine::new("")
        .notify(Disk::Ok)
        .assert_code(3)
        .assert_stderr("[notify.mail]");
    assert!(run.data("check").is_empty());
    let _ = Machine::new("")
        .notify(Disk::Ok)
        .assert_stderr("ADMIN_EMAIL");
}
