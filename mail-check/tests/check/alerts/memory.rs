//! What is sent once, again, and never lost.

use std::fs;
use std::time::{Duration, SystemTime};

use mail_tests::http::Request;
use mail_tests::receiver::closed_port;
use serde_json::Value;

use super::http::{Answer, Web};
use super::support::{Disk, Machine, notified};

fn machine(url: &str, more: &str) -> Machine {
    let machine = Machine::new("");
    let file = machine.put("url", url).display().to_string();
    machine.with(&format!(
        "[notify]\n{more}[[notify.webhook]]\nname = \"ops\"\ntemplate = \"json\"\nurl_file = \"{file}\"\n"
    ))
}

fn events(requests: &[Request]) -> Vec<String> {
    let event = |event: &Value| {
        let check = &event["check"];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        format!(
            "{} {} {}->{}",
            word(&event["event"]),
            word(&check["name"]),
            word(&event["was"]),
            word(&check["status"])
        )
    };
    let bodies = requests
        .iter()
        .map(|request| serde_json::from_str::<Value>(&request.body).unwrap());
    bodies
        .flat_map(|body| {
            body["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(event)
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_change_is_notified_once_and_so_is_the_recovery() {
    let web = Web::start(Answer::Status(200));
    let machine = machine(&web.url("http", "/"), "");
    for (disk, expected) in [
        (Disk::Ok, None),
        (Disk::Warning, Some("problem disk ok->warning")),
        (Disk::Warning, None),
        (Disk::Critical, Some("problem disk warning->critical")),
        (Disk::Ok, Some("recovery disk critical->ok")),
        (Disk::Ok, None),
    ] {
        let _ = machine.notify(disk);
        assert_eq!(
            events(&web.kept.take()),
            expected.into_iter().collect::<Vec<_>>()
        );
    }
}

#[test]
fn what_stays_bad_is_notified_again_and_a_run_of_other_checks_changes_nothing() {
    let web = Web::start(Answer::Status(200));
    let machine = machine(&web.url("http", "/"), "remind = \"1s\"\n");
    let _ = machine.notify(Disk::Warning);
    let _ = web.kept.take();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    // Nothing is configured for this group: the only finding is unknown, and news; the disk was not
    // looked at.
    let checks = machine.path("check.toml");
    let other = mail_tests::run::Tool::new("mail-check")
        .args(["tls", "--notify", "--checks"])
        .arg(checks);
    let _ = other.arg("--state").arg(machine.path("state")).run();
    assert!(
        events(&web.kept.take())
            .iter()
            .all(|event| !event.contains("disk"))
    );
    let _ = machine.notify(Disk::Warning);
    assert_eq!(events(&web.kept.take()), ["reminder disk warning->warning"]);
}

#[test]
fn a_status_must_hold_for_as_many_runs_as_were_asked_for() {
    let web = Web::start(Answer::Status(200));
    let machine = machine(&web.url("http", "/"), "after = 2\n");
    let sent: Vec<usize> = [Disk::Warning, Disk::Ok, Disk::Warning, Disk::Warning]
        .map(|disk| {
            let _ = machine.notify(disk);
            web.kept.take().len()
        })
        .into();
    assert_eq!(sent, [0, 0, 0, 1]);
}

#[test]
fn what_could_not_be_sent_is_sent_by_the_next_run() {
    let web = Web::start(Answer::Status(200));
    let machine = machine(&format!("http://127.0.0.1:{}/", closed_port()), "");
    let run = machine.notify(Disk::Critical).assert_code(2);
    assert_eq!(notified(&run, "ops")["status"], "critical");
    machine.put("url", &web.url("http", "/"));
    // It is over by now, and sent all the same.
    let _ = machine.notify(Disk::Ok).assert_code(0);
    assert_eq!(events(&web.kept.take()), ["recovery disk critical->ok"]);
    let _ = machine.notify(Disk::Ok);
    assert!(web.kept.take().is_empty());
}

#[test]
fn damage_makes_it_begin_again_and_is_reported() {
    let web = Web::start(Answer::Status(200));
    let machine = machine(&web.url("http", "/"), "");
    let _ = machine.notify(Disk::Warning);
    let _ = web.kept.take();
    let kept = machine.path("state").join("notify.json");
    for damage in ["", "{\"checks\":[{", "\0\0\0", "[]"] {
        fs::write(&kept, damage).unwrap();
        let run = machine.notify(Disk::Warning).assert_code(1);
        assert_eq!(notified(&run, "state")["status"], "warning");
        assert!(
            events(&web.kept.take()).contains(&"problem disk ok->warning".to_owned()),
            "{damage:?}"
        );
    }
    let _ = machine.notify(Disk::Warning);
    assert!(web.kept.take().is_empty());
}

#[test]
fn a_pipe_in_the_place_of_what_was_kept_is_replaced_and_a_directory_is_reported() {
    let web = Web::start(Answer::Status(200));
    let machine = machine(&web.url("http", "/"), "");
    fs::create_dir(machine.path("state")).unwrap();
    let kept = machine.path("state").join("notify.json");
    for (command, status, code) in [("mkfifo", "warning", 1), ("mkdir", "critical", 2)] {
        let made = std::process::Command::new(command).arg(&kept).status();
        assert!(made.unwrap().success());
        let run = machine.notify(Disk::Warning).assert_code(code);
        let of_state = |check: &Value| check["target"] == "state" && check["status"] == status;
        assert!(run.data("check").iter().any(of_state), "{command}");
        assert!(
            events(&web.kept.take()).contains(&"problem disk ok->warning".to_owned()),
            "{command}"
        );
        if kept.is_file() {
            fs::remove_file(&kept).unwrap();
        }
    }
}

#[test]
fn what_was_sent_and_cannot_be_kept_is_critical() {
    let web = Web::start(Answer::Status(200));
    let machine = machine(&web.url("http", "/"), "");
    fs::write(machine.path("state"), "no directory").unwrap();
    let run = machine.notify(Disk::Warning).assert_code(2);
    assert_eq!(notified(&run, "state")["status"], "critical");
}

/// Of its state, its metrics and its page.
#[test]
fn what_a_killed_run_was_writing_is_cleared_by_one_an_hour_later() {
    let web = Web::start(Answer::Status(200));
    let machine = machine(&web.url("http", "/"), "");
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let places = ["state", "metrics", "pages"].map(|name| machine.path(name));
    for place in &places {
        fs::create_dir(place).unwrap();
        let half = place.join(format!(".tmp-{}-0", dead.id()));
        fs::write(&half, "half").unwrap();
        let half = fs::File::open(&half).unwrap();
        half.set_modified(SystemTime::now() - Duration::from_secs(2 * 60 * 60))
            .unwrap();
    }
    let tool = machine.tool(Disk::Ok).arg("--notify").arg("--prometheus");
    let tool = tool.arg(places[1].join("mail.prom")).arg("--report");
    let _ = tool.arg(places[2].join("index.html")).run().assert_code(0);
    for place in &places {
        let names = fs::read_dir(place).unwrap();
        let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(!names.any(|name| name.starts_with(".tmp")), "{place:?}");
    }
}
