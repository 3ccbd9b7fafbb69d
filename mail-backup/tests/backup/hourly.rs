//! Sets of every hour, or of every ten minutes; and what came out as it was, which is linked.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{self, Kinds, Server, assert_sums, capture, inode, names, unpack_mail};
use mail_tests::run::Outcome;
use mail_tests::tree::snapshot;

fn hourly(server: &Server) -> Vec<String> {
    names(&server.root().join("hourly"))
}

/// The name of an hourly set of so long ago, as `date` writes it.
fn ago(ago: &str) -> String {
    let mut date = Command::new("date");
    let output = String::from_utf8(capture(date.args([
        "-d",
        &format!("{ago} ago"),
        "+%Y-%m-%dT%H%M",
    ])));
    output.unwrap().trim().to_owned()
}

/// Gives a set the name of another minute.
fn rename(server: &Server, from: &str, to: &str) {
    let hourly = server.root().join("hourly");
    fs::rename(hourly.join(from), hourly.join(to)).unwrap();
}

#[test]
fn an_hourly_set_is_whole_and_costs_what_changed() {
    let server = Server::with_mail(60, 3).and_database();
    server.run(&["--daily"]).assert_code(0);
    let daily = server.latest().unwrap();
    support::settle();
    let outcome = server.run(&["--hourly"]).assert_code(0);
    let made = hourly(&server);
    assert_eq!(made.len(), 1);
    let name = format!("hourly/{}", made[0]);
    assert_eq!(made[0].len(), "2026-11-23T1510".len());
    assert_eq!(server.latest().as_deref(), Some(&*name));
    assert_eq!(outcome.data("begin")[0]["set"], name.as_str());
    let artifacts = outcome.data("artifact");
    assert!(
        artifacts
            .iter()
            .all(|artifact| artifact["set"] == name.as_str())
    );
    let set = server.set(&name);
    assert_sums(&set);
    // Nothing has changed: all is linked, dumps and archives of configuration too. Two small files
    // are copied each time.
    for artifact in &artifacts {
        let path = artifact["path"].as_str().unwrap();
        if ["config/docker-compose.yml", "config/env"].contains(&path) {
            continue;
        }
        assert_eq!(artifact["reused"], true, "{path}");
        assert_eq!(
            inode(&set.join(path)),
            inode(&server.set(&daily).join(path))
        );
    }
    let restored = tempfile::tempdir().unwrap();
    unpack_mail(&set, restored.path());
    snapshot(&server.mail())
        .without_temporary()
        .assert_same(&snapshot(restored.path()));
    // The next daily set is newer again.
    server.run(&["--daily"]).assert_code(0);
    assert_eq!(server.latest(), Some(daily));
}

#[test]
fn two_runs_in_one_minute_leave_one_set_of_it() {
    let server = Server::with_one_message();
    let run = || {
        server
            .run(&["--hourly", "--component", "mailboxes"])
            .assert_code(0)
    };
    run();
    let first = hourly(&server);
    run();
    let both = hourly(&server);
    // The minute may have ended between them.
    assert!(both == first || both.len() == 2, "{both:?}");
    assert!(both.iter().all(|name| !name.contains('.')), "{both:?}");
    assert_eq!(
        server.latest(),
        both.last().map(|name| format!("hourly/{name}"))
    );
}

/// A run at a time of the clock of central Europe, in seconds since 1970.
fn run_at(server: &Server, seconds: &str) -> Outcome {
    let text = |args: &[&str]| {
        let output = String::from_utf8(capture(Command::new("date").args(args)));
        output.unwrap().trim().parse::<i64>().unwrap()
    };
    let offset = text(&["-d", seconds, "+%s"]) - text(&["+%s"]);
    let tool = server.tool(&["--hourly", "--component", "mailboxes"]);
    let tool = tool.env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3");
    support::checked(tool.clock(&format!("{offset:+}")).run())
}

#[test]
fn the_hour_that_comes_twice_in_autumn_costs_no_set() {
    let server = Server::with_one_message();
    run_at(&server, "2026-10-25 00:30:10Z").assert_code(0);
    assert_eq!(hourly(&server), ["2026-10-25T0230"]);
    for again in ["2026-10-25 01:30:10Z", "2026-10-25 01:30:50Z"] {
        let outcome = run_at(&server, again).assert_code(0);
        assert_eq!(hourly(&server), ["2026-10-25T0230", "2026-10-25T0231"]);
        let name = "hourly/2026-10-25T0231";
        assert_eq!(outcome.data("begin")[0]["set"], name);
        assert_eq!(server.latest().as_deref(), Some(name));
    }
    run_at(&server, "2026-10-25 01:31:10Z").assert_code(0);
    let all = ["2026-10-25T0230", "2026-10-25T0231", "2026-10-25T0232"];
    assert_eq!(hourly(&server), all);
    for name in all {
        assert_sums(&server.set(&format!("hourly/{name}")));
    }
}

fn run_one(server: &Server, args: &[&str]) -> Outcome {
    let settings = [
        ("BACKUP_COMPONENTS", "mailboxes"),
        ("HOURLY_RETENTION_HOURS", "4"),
        ("DAILY_RETENTION_DAYS", "1"),
    ];
    let mut tool = server.tool(&[&["--hourly"], args].concat());
    for (name, value) in settings {
        tool = tool.env(name, value);
    }
    support::checked(tool.run()).assert_code(0)
}

#[test]
fn each_kind_has_its_own_retention() {
    let server = Server::with_one_message();
    for date in ["2026-01-01", "2026-01-05"] {
        let args = ["--component", "mailboxes", "--no-prune", "--date", date];
        server.run(&args).assert_code(0);
    }
    let old = [
        "8 hours", "7 hours", "6 hours", "5 hours", "3 hours", "2 hours",
    ]
    .map(ago);
    for name in &old {
        run_one(&server, &["--no-prune"]);
        let made = hourly(&server).pop().unwrap();
        rename(&server, &made, name);
    }
    fs::rename(
        server.root().join("hourly").join(&old[0]),
        server
            .root()
            .join("hourly")
            .join(format!("{}.incomplete", old[0])),
    )
    .unwrap();
    run_one(&server, &[]);
    let left = hourly(&server);
    // The newest four stay, since four hours are kept; what is older than that goes.
    assert_eq!(left[..left.len() - 1], old[3..], "{left:?}");
    assert_eq!(server.daily(), ["2026-01-01", "2026-01-05"]);
    assert_eq!(
        server.latest(),
        left.last().map(|name| format!("hourly/{name}"))
    );
}

#[test]
fn an_hourly_set_has_no_other_date() {
    let server = Server::with_one_message();
    for other in [&["--date", "2026-11-23"][..], &["--daily"], &["--weekly"]] {
        server.run(&[&["--hourly"], other].concat()).assert_code(2);
    }
    assert_eq!(hourly(&server), [""; 0]);
}

#[test]
fn what_failed_is_kept_beside_the_others() {
    let server = Server::with_one_message();
    fs::remove_dir_all(server.path("certbot")).unwrap();
    let args = ["--hourly", "--component", "mailboxes", "--component", "ssl"];
    server.run(&args).assert_code(1).assert_kinds(&["io"]);
    let made = hourly(&server);
    assert!(
        made.len() == 1 && made[0].ends_with(".incomplete"),
        "{made:?}"
    );
    assert_eq!(server.latest(), None);
}

/// The inode of a file in the set of a day.
fn inode_in(server: &Server, set: &str, file: &str) -> u64 {
    inode(&server.set(set).join(file))
}

const DUMP: &str = "mysql/mailserver.sql.zst";
const CONFIG: &str = "config/config.tar.zst";
const FILES: [&str; 5] = [
    DUMP,
    "mysql/_accounts.sql.zst",
    CONFIG,
    "ssl/certbot.tar.zst",
    "dkim/dkim.tar.zst",
];

#[test]
fn what_came_out_as_it_was_is_linked_and_what_did_not_is_not() {
    let server = Server::with_one_message().and_database();
    let run = |date: &str| server.run(&["--date", date]).assert_code(0);
    let (one, two, three) = ("daily/2026-11-21", "daily/2026-11-22", "daily/2026-11-23");
    run("2026-11-21");
    run("2026-11-22");
    for file in FILES {
        let linked = inode_in(&server, one, file) == inode_in(&server, two, file);
        assert!(linked, "{file}");
    }
    support::put(&server.path("config/postfix/main.cf"), b"changed\n");
    // Old damage is not linked for what was written well.
    let damaged = server.set(two).join("dkim/dkim.tar.zst");
    damage(&damaged);
    let outcome = run("2026-11-23");
    for file in FILES {
        let linked = inode_in(&server, two, file) == inode_in(&server, three, file);
        let is_new = file == CONFIG || file.starts_with("dkim");
        assert_eq!(linked, !is_new, "{file}");
        let artifacts = outcome.data("artifact");
        let artifact = artifacts.iter().find(|artifact| artifact["path"] == file);
        assert_eq!(artifact.unwrap()["reused"], linked, "{file}");
    }
    assert_sums(&server.set(three));
    // A weekly set stands for itself.
    server.run(&["--weekly"]).assert_code(0);
    let weekly = server.latest().unwrap();
    for file in FILES {
        let linked = inode_in(&server, three, file) == inode_in(&server, &weekly, file);
        assert!(!linked, "{file}");
    }
}

/// Changes a byte, and leaves the file's size.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[30] ^= 4;
    fs::remove_file(path).unwrap();
    support::put(path, &bytes);
}
