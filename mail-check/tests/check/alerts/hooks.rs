//! Webhooks and the dead-man switch.

use std::thread;

use mail_tests::receiver::closed_port;
use serde_json::Value;

use super::http::{Answer, Web};
use super::identity::Identity;
use super::support::{Disk, Machine, notified, secret};

fn hook(machine: Machine, template: &str, url: &str) -> Machine {
    let file = secret(machine.path("").as_path(), &format!("{template}-url"), url);
    machine.with(&format!(
        "[[notify.webhook]]\nname = \"ops\"\ntemplate = \"{template}\"\nurl_file = \"{file}\"\n"
    ))
}

fn ping(machine: Machine, url: &str, more: &str) -> Machine {
    let file = secret(machine.path("").as_path(), "ping-url", url);
    machine.with(&format!("[notify.ping]\nurl_file = \"{file}\"\n{more}"))
}

#[test]
fn each_template_is_sent_as_its_receiver_wants_it() {
    let web = Web::start(Answer::Status(200));
    for template in ["json", "slack", "discord", "ntfy"] {
        let machine = hook(Machine::new(""), template, &web.url("http", "/hook/secret"));
        let run = machine.notify(Disk::Warning).assert_code(1);
        assert_eq!(notified(&run, "ops")["status"], "ok");
        let requests = web.kept.take();
        assert_eq!(
            (requests.len(), requests[0].path.as_str()),
            (1, "/hook/secret"),
            "{template}"
        );
        let body: Value = serde_json::from_str(&requests[0].body).unwrap_or_default();
        match template {
            "json" => {
                assert_eq!(
                    (&body["status"], &body["events"][0]["event"]),
                    (&"warning".into(), &"problem".into())
                );
                let check = &body["events"][0]["check"];
                assert_eq!(
                    (&check["name"], &check["status"], &check["unit"]),
                    (&"disk".into(), &"warning".into(), &"percent".into())
                );
                let record = serde_json::json!({ "type": "check", "data": check });
                mail_tests::schema::Schema::open().assert_valid(&[record]);
            }
            "slack" => assert!(
                body["text"].as_str().unwrap().starts_with("[WARNING] "),
                "{body}"
            ),
            "discord" => assert!(body["content"].as_str().unwrap().contains("NEW"), "{body}"),
            _ => {
                assert_eq!(
                    (requests[0].header("priority"), requests[0].header("tags")),
                    ("4", "warning")
                );
                assert!(
                    requests[0].header("title").starts_with("[WARNING] ")
                        && requests[0].body.contains("NEW")
                );
            }
        }
    }
}

#[test]
fn a_receiver_that_fails_for_a_moment_is_tried_again() {
    let web = Web::start(Answer::FailFirst(2));
    let machine = hook(Machine::new(""), "json", &web.url("http", "/"));
    let run = machine.notify(Disk::Warning).assert_code(1);
    assert_eq!(notified(&run, "ops")["status"], "ok");
    assert_eq!(web.kept.take().len(), 3);
}

#[test]
fn a_receiver_that_does_not_accept_is_critical_and_its_url_stays_secret() {
    let check = |url: &str, expected: &str, attempts: Option<(&Web, usize)>| {
        let run = hook(Machine::new(""), "json", url)
            .tool(Disk::Warning)
            .args(["--notify", "-vv"])
            .run()
            .assert_code(2);
        let message = notified(&run, "ops")["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(message.contains(expected), "{message}");
        assert!(
            !run.text().contains("token") && !run.stderr.contains("token"),
            "{}",
            run.stderr
        );
        if let Some((web, attempts)) = attempts {
            assert_eq!(web.kept.take().len(), attempts, "{url}");
        }
    };
    let web = |answer| Web::start(answer);
    let (broken, gone, moved, garbage) = (
        web(Answer::Status(500)),
        web(Answer::Status(404)),
        web(Answer::Status(302)),
        web(Answer::Garbage),
    );
    check(
        &broken.url("http", "/token"),
        "status 500",
        Some((&broken, 3)),
    );
    check(&gone.url("http", "/token"), "status 404", Some((&gone, 1)));
    check(
        &moved.url("http", "/token"),
        "status 302",
        Some((&moved, 1)),
    );
    check(&garbage.url("http", "/token"), "not HTTP", None);
    check(
        &format!("http://127.0.0.1:{}/token", closed_port()),
        "reach the receiver",
        None,
    );
    check("http://nowhere.invalid/token", "receiver", None);
}

#[test]
fn a_receiver_that_hangs_keeps_nobody_else_waiting() {
    let (hung, quick) = (Web::start(Answer::Hang), Web::start(Answer::Status(200)));
    let machine = Machine::new("");
    let hung_url = secret(machine.path("").as_path(), "hung", &hung.url("http", "/"));
    let quick_url = secret(machine.path("").as_path(), "quick", &quick.url("http", "/"));
    let machine = machine.with(&format!(
        "[notify]\ntimeout = \"1s\"\n[[notify.webhook]]\nname = \"hung\"\ntemplate = \"json\"\nurl_file = \"{hung_url}\"\n\
         [[notify.webhook]]\nname = \"quick\"\ntemplate = \"json\"\nurl_file = \"{quick_url}\"\n"
    ));
    let run = machine.notify(Disk::Warning).assert_code(2);
    assert_eq!(notified(&run, "quick")["status"], "ok");
    assert!(
        notified(&run, "hung")["message"]
            .as_str()
            .unwrap()
            .contains("no answer within 1 s")
    );
    // The next run tells the one of the other.
    let _ = machine.notify(Disk::Warning);
    let sent: Vec<Value> = quick
        .kept
        .take()
        .iter()
        .map(|request| serde_json::from_str(&request.body).unwrap())
        .collect();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1]["events"][0]["check"]["name"], "notify");
    assert_eq!(sent[1]["events"][0]["check"]["target"], "hung");
}

#[test]
fn only_a_certificate_that_is_trusted_and_fits_is_talked_to() {
    let run = |identity: &Identity, trusted: &Identity| {
        let web = Web::start_secured(identity);
        let machine = hook(Machine::new(""), "json", &web.url("https", "/token"));
        let run = machine
            .tool(Disk::Warning)
            .arg("--notify")
            .env("SSL_CERT_FILE", trusted.certificate())
            .run();
        (notified(&run, "ops"), web.kept.take().len())
    };
    let (right, other) = (Identity::new("localhost"), Identity::new("mx.example.com"));
    let (finding, count) = run(&right, &right);
    assert_eq!((&finding["status"], count), (&"ok".into(), 1), "{finding}");
    for (identity, trusted) in [(&right, &other), (&other, &other)] {
        let (finding, count) = run(identity, trusted);
        assert_eq!((&finding["status"], count), (&"critical".into(), 0));
        assert!(
            finding["message"].as_str().unwrap().contains("certificate"),
            "{finding}"
        );
    }
}

#[test]
fn the_switch_hears_of_the_beginning_and_the_end() {
    let check = |disk, more: &str, expected: &[&str]| {
        let web = Web::start(Answer::Status(200));
        let run = ping(Machine::new(""), &web.url("http", "/key?create=1"), more).notify(disk);
        assert_eq!(notified(&run, "ping")["status"], "ok");
        let requests = web.kept.take();
        assert_eq!(
            requests
                .iter()
                .map(|request| request.path.as_str())
                .collect::<Vec<_>>(),
            expected
        );
        assert!(
            requests[1].body.contains(" checks, "),
            "{}",
            requests[1].body
        );
    };
    check(Disk::Ok, "", &["/key/start?create=1", "/key?create=1"]);
    check(
        Disk::Critical,
        "",
        &["/key/start?create=1", "/key/fail?create=1"],
    );
    check(
        Disk::Warning,
        "end = \"exit-code\"\n",
        &["/key/start?create=1", "/key/1?create=1"],
    );
}

#[test]
fn the_switch_knows_whether_others_could_be_notified() {
    let (web, broken) = (
        Web::start(Answer::Status(200)),
        Web::start(Answer::Status(404)),
    );
    let machine = Machine::new("");
    let dir = machine.path("");
    let (key, hook) = (
        secret(&dir, "key", &web.url("http", "/key")),
        secret(&dir, "hook", &broken.url("http", "/")),
    );
    let machine = machine.with(&format!(
        "[notify.ping]\nurl_file = \"{key}\"\n[[notify.webhook]]\nname = \"ops\"\ntemplate = \"json\"\nurl_file = \"{hook}\"\n"
    ));
    let _ = machine.notify(Disk::Warning).assert_code(2);
    assert_eq!(web.kept.take().last().unwrap().path, "/key/fail");
}

#[test]
fn two_runs_at_once_notify_once() {
    let web = Web::start(Answer::Status(200));
    let machine = hook(Machine::new(""), "json", &web.url("http", "/"));
    let tools: Vec<_> = (0..4)
        .map(|_| machine.tool(Disk::Warning).arg("--notify"))
        .collect();
    let runs: Vec<_> = tools
        .into_iter()
        .map(|tool| thread::spawn(move || tool.run()))
        .collect();
    for run in runs {
        let _ = run.join().unwrap().assert_code(1);
    }
    assert_eq!(web.kept.take().len(), 1);
}
