//! What goes wrong around a backup: the disk, the clock, another run, the reader of the records,
//! the person at the keyboard. Each has its exit code and its message, and no set that was there is
//! touched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Kinds, Server, assert_sums, capture, checked, forge_manifest, list_files, members, put, succeed,
};
use mail_tests::held::{HeldLock, SmallDisk};
use mail_tests::run::Outcome;
use mail_tests::tree::{Snapshot, snapshot};

const MAIL: [&str; 2] = ["--component", "mailboxes"];
const DATE: [&str; 2] = ["--date", "2026-11-23"];
const SET: &str = "daily/2026-11-23";

/// The backup root but for the lock, whose content is of the last writer.
fn sets(server: &Server) -> Snapshot {
    snapshot(&server.root())
        .without(|path| path == Path::new(".lock"))
        .without_dir_times()
}

#[test]
fn the_disk_must_be_mounted_where_that_is_asked_for() {
    let server = Server::with_one_message();
    let run = |mountpoint: &Path| {
        checked(
            server
                .tool(&MAIL)
                .env("BACKUP_MOUNTPOINT", mountpoint)
                .run(),
        )
    };
    for mountpoint in [server.root(), server.path("nowhere")] {
        run(&mountpoint)
            .assert_code(2)
            .assert_kinds(&["not_mounted"])
            .assert_stderr("BACKUP_MOUNTPOINT");
    }
    assert_eq!(
        fs::read_dir(server.root()).unwrap().count(),
        0,
        "not even a lock"
    );
    let Some(_disk) = SmallDisk::mount(server.root(), "32m") else {
        return;
    };
    run(&server.root()).assert_code(0);
}

#[test]
fn the_root_must_be_there() {
    let server = Server::with_one_message();
    for name in ["nowhere", ".env"] {
        let root = server.path(name);
        let args = ["--root", root.to_str().unwrap(), MAIL[0], MAIL[1]];
        server
            .run(&args)
            .assert_code(2)
            .assert_kinds(&["not_mounted"])
            .assert_stderr(root.to_str().unwrap());
    }
    assert!(!server.path("nowhere").exists());
}

#[test]
fn the_root_must_not_lie_in_what_is_saved() {
    let server = Server::with_one_message();
    let check = |root: &str, component: &str, code: i32| {
        let root = server.path(root);
        fs::create_dir_all(&root).unwrap();
        let kinds: &[&str] = if code == 2 { &["configuration"] } else { &[] };
        server
            .run(&["--root", root.to_str().unwrap(), "--component", component])
            .assert_code(code)
            .assert_kinds(kinds);
        let made = fs::read_dir(&root).unwrap().count();
        assert_eq!(made == 0, code == 2, "{made}");
        fs::remove_dir_all(root).unwrap();
    };
    check("mail/backup", "mailboxes", 2);
    check("mail/example.com/alice/backup", "mailboxes", 2);
    check("config/deep/backup", "config", 2);
    check("certbot/backup", "ssl", 2);
    std::os::unix::fs::symlink("mail", server.path("by another name")).unwrap();
    check("by another name/backup", "mailboxes", 2);
    check("mail/backup", "config", 0);
    check("mail and more", "mailboxes", 0);
}

#[test]
fn a_relative_root_is_recorded_as_absolute() {
    let server = Server::with_one_message();
    let mut tool = server.tool(&[&["--root", "backup"][..], &MAIL, &DATE].concat());
    tool.command().current_dir(server.path(""));
    let outcome = checked(tool.run()).assert_code(0);
    let root = server.root().to_str().unwrap().to_owned();
    assert_eq!(outcome.data("begin")[0]["root"], root);
    assert!(
        outcome
            .data("artifact")
            .iter()
            .all(|artifact| artifact["root"] == root)
    );
    assert_sums(&server.set(SET));
}

#[test]
fn the_root_must_be_writable() {
    let server = Server::with_one_message();
    fs::set_permissions(server.root(), fs::Permissions::from_mode(0o555)).unwrap();
    server
        .run_unprivileged(&MAIL)
        .assert_code(2)
        .assert_kinds(&["configuration"])
        .assert_stderr(server.root().to_str().unwrap());
    assert_eq!(fs::read_dir(server.root()).unwrap().count(), 0);
}

#[test]
fn a_disk_that_is_full_before_the_run() {
    let server = Server::with_one_message();
    let Some(_disk) = SmallDisk::mount(server.root(), "40m") else {
        return;
    };
    server.run(&[&MAIL[..], &DATE].concat()).assert_code(0);
    let ballast = capture(Command::new("head").args(["-c", "30000000", "/dev/zero"]));
    put(&server.root().join("ballast"), &ballast);
    let before = sets(&server);
    server
        .run(&[&MAIL[..], &["--date", "2026-11-24"]].concat())
        .assert_code(3)
        .assert_kinds(&["no_space"]);
    before.assert_same(&sets(&server));
}

#[test]
fn a_disk_that_fills_during_the_run() {
    let server = Server::with_one_message();
    let Some(_disk) = SmallDisk::mount(server.root(), "24m") else {
        return;
    };
    let run = |date| server.run(&[&MAIL[..], &["--date", date]].concat());
    run("2026-11-23").assert_code(0);
    let noise = capture(Command::new("head").args(["-c", "30000000", "/dev/urandom"]));
    for (number, part) in noise.chunks(3_000_000).enumerate() {
        server.message(format!("example.com/alice/cur/{number}.M1P1.mx:2,S"), part);
    }
    let before = sets(&server);
    // A second run is no worse than the first: nothing of it is in the way.
    for date in ["2026-11-24", "2026-11-23"] {
        let outcome = run(date).assert_code(3).assert_kinds(&["no_space"]);
        assert_eq!(outcome.data("artifact").len(), 0);
        before.assert_same(&sets(&server));
    }
    let large = server.message("example.com/alice/cur/large.M1P1.mx:2,S", &noise);
    for number in 0..10 {
        fs::remove_file(
            server
                .mail()
                .join(format!("example.com/alice/cur/{number}.M1P1.mx:2,S")),
        )
        .unwrap();
    }
    run("2026-11-24").assert_code(3).assert_kinds(&["no_space"]);
    before.assert_same(&sets(&server));
    fs::remove_file(large).unwrap();
    run("2026-11-24").assert_code(0);
    assert_sums(&server.set("daily/2026-11-24"));
}

#[test]
fn a_second_run_at_the_same_time() {
    let server = Server::with_one_message();
    let args = [&MAIL[..], &DATE].concat();
    server.run(&args).assert_code(0);
    // The first run waits for the reader of the set that it replaces, with the lock in its hands.
    let reader = HeldLock::shared(&server.set(SET).join("manifest.jsonl"));
    let first = server.tool(&args).spawn();
    let pid = first.pid().as_raw_nonzero().to_string();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !fs::read_to_string(server.root().join(".lock"))
        .unwrap()
        .starts_with(&format!("{pid} "))
    {
        assert!(Instant::now() < deadline, "the first run takes the lock");
        thread::sleep(Duration::from_millis(5));
    }
    for more in [&["--date", "2026-11-24"][..], &["--prune-only"]] {
        let args = if more[0] == "--date" {
            [&MAIL[..], more].concat()
        } else {
            more.to_vec()
        };
        let second = server
            .run(&args)
            .assert_code(4)
            .assert_kinds(&["locked"])
            .assert_stderr(&format!("pid {pid} "));
        assert_eq!(second.data("end")[0]["exit"], 4);
    }
    drop(reader);
    checked(first.wait()).assert_code(0);
    assert_eq!(server.daily(), ["2026-11-23"]);
    assert_sums(&server.set(SET));
}

const PASSWORD: &str = "correct horse battery staple";

#[test]
fn a_wrong_database_password_is_reported_and_never_shown() {
    let server = Server::with_one_message().and_database();
    server.use_database(server.database.as_ref().unwrap(), "nobody", PASSWORD);
    let outcome = server
        .run(&["-vv", "--date", "2026-11-23"])
        .assert_code(1)
        .assert_stderr("Access denied");
    assert_eq!(outcome.data("error")[0]["component"], "mysql");
    assert_nowhere(&server, &outcome);
    let by_environment = server
        .tool(&["-vv", "--date", "2026-11-24"])
        .env("MYSQL_PWD", PASSWORD)
        .run();
    assert_nowhere(&server, &checked(by_environment).assert_code(1));
}

#[track_caller]
fn assert_nowhere(server: &Server, outcome: &Outcome) {
    assert!(
        !outcome.text().contains(PASSWORD) && !outcome.stderr.contains(PASSWORD),
        "{}",
        outcome.stderr
    );
    let found = Command::new("grep")
        .args(["-rlF", PASSWORD])
        .arg(server.root())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "");
}

#[test]
fn a_secret_on_the_command_line_is_in_no_record() {
    let server = Server::with_one_message();
    // There is no such flag, and who tries it finds nothing of it in the records.
    let outcome = server.run(&["--password", PASSWORD]).assert_code(2);
    assert!(!outcome.text().contains(PASSWORD));
    let root = format!("mysql://root:{}@db/", PASSWORD.replace(' ', "-"));
    let outcome = server
        .run(&[MAIL[0], MAIL[1], "--dkim-dir", &root])
        .assert_code(0);
    let args = outcome.data("begin")[0]["args"].to_string();
    assert!(!args.contains("horse"), "{args}");
    let manifest = list_files(&server.root())
        .into_iter()
        .find(|path| path.ends_with("manifest.jsonl"))
        .unwrap();
    assert!(
        !fs::read_to_string(server.root().join(manifest))
            .unwrap()
            .contains("horse")
    );
}

#[test]
fn a_closed_stdout_is_an_error_and_the_set_is_made() {
    let server = Server::with_one_message();
    let check = |date: &str, script: &str| {
        let tool = server.tool(&[&MAIL[..], &["--date", date]].concat());
        let outcome = tool.in_shell(script).run();
        outcome.assert_code(3).assert_stderr("error:");
        let set = server.set(&format!("daily/{date}"));
        assert_sums(&set);
        assert_eq!(members(&set).len(), 1);
    };
    // Closed before the first record, after the first, and full.
    check("2026-11-23", r#"{ sleep 0.3; "$@"; } | :"#);
    check(
        "2026-11-24",
        r#"{ "$@" || exit; } | { read -r; exec <&-; sleep 0.5; }"#,
    );
    check("2026-11-25", r#""$@" > /dev/full"#);
}

#[test]
fn a_clock_that_was_set_back_replaces_nothing() {
    let server = Server::with_one_message();
    server.run(&MAIL).assert_code(0);
    let today = server.daily().remove(0);
    forge_manifest(
        &server.set("daily").join(&today),
        r#"1s/"time":"[^"]*"/"time":"2099-01-01T00:00:00+00:00"/"#,
    );
    let before = sets(&server);
    server
        .run(&MAIL)
        .assert_code(2)
        .assert_kinds(&["clock"])
        .assert_stderr("2099-01-01T00:00:00+00:00");
    before.assert_same(&sets(&server));
    // Another day is made, with a warning; the date of the set itself can be insisted on.
    server
        .run(&[&MAIL[..], &["--date", "2026-01-01"]].concat())
        .assert_code(0)
        .assert_stderr("2099-01-01T00:00:00+00:00");
    server
        .run(&[&MAIL[..], &["--date", &today]].concat())
        .assert_code(0);
}

#[test]
fn wrong_command_lines_touch_nothing() {
    let server = Server::with_one_message();
    let check = |args: &[&str], message: &str| {
        let outcome = server.run(args).assert_code(2).assert_stderr(message);
        assert_eq!(outcome.data("artifact").len(), 0);
        assert_eq!(fs::read_dir(server.root()).unwrap().count(), 0, "{args:?}");
    };
    check(&["--no-such-flag"], "--no-such-flag");
    check(&["--daily", "--weekly"], "cannot be used with");
    check(&["--date", "2026-02-30"], "2026-02-30");
    check(&["--date", "yesterday"], "yesterday");
    check(&["--date", "../../etc"], "../../etc");
    check(&["--level", "0"], "--level");
    check(&["--level", "23"], "--level");
    check(&["--threads", "0"], "--threads");
    check(&["--threads", "-1"], "-1");
    check(&["--mailbox-depth", "-1"], "-1");
    check(&["--mailbox-depth", "99"], "--mailbox-depth");
    check(&["--mailbox-depth", "{domain}"], "{domain}/{user}/Maildir");
    check(
        &["--prune-only", "--component", "mail"],
        "cannot be used with",
    );
    check(&["--prune-only", "--no-prune"], "cannot be used with");
    check(&["operand"], "operand");
    check(&["--format", "xml"], "xml");
    check(&["--config", "/nowhere/config"], "/nowhere/config");
}

#[test]
fn a_configuration_with_errors_is_named_by_line() {
    let check = |text: &str, expected: &str| {
        let server = Server::with_one_message();
        let file = server.path("backup.conf");
        put(&file, text.as_bytes());
        let args = ["--config", file.to_str().unwrap(), MAIL[0], MAIL[1]];
        server
            .run(&args)
            .assert_code(2)
            .assert_kinds(&["configuration"])
            .assert_stderr(expected);
        assert_eq!(fs::read_dir(server.root()).unwrap().count(), 0, "{text:?}");
    };
    check("# comment\nMYSQL_USER=root\nBACKUP_ROOT='/mnt\n", "line 3");
    check("\n\nBACKUP_ROOT=$(touch /tmp/x)\n", "line 3");
    check("rm -rf /\n", "line 1");
    check("export MYSQL_USER=a\nDAILY_RETENTION_DAYS=many\n", "line 2");
    check("DAILY_RETENTION_DAYS=0\n", "line 1");
    check("MYSQL_PORT=70000\n", "line 1");
}

#[test]
fn flags_go_over_the_environment_over_the_file() {
    let server = Server::with_one_message();
    let config = server.path("backup.conf");
    for name in ["by flag", "by environment", "by file"] {
        fs::create_dir(server.path(name)).unwrap();
    }
    put(
        &config,
        format!(
            "export BACKUP_ROOT='{}' # the disk\n",
            server.path("by file").display()
        )
        .as_bytes(),
    );
    let run = |name: &str, flags: &[&str], environment: Option<&str>| {
        let mut tool = server.tool(
            &[
                &["--config", config.to_str().unwrap()][..],
                &MAIL,
                &DATE,
                flags,
            ]
            .concat(),
        );
        match environment {
            Some(root) => tool.command().env("BACKUP_ROOT", server.path(root)),
            None => tool.command().env_remove("BACKUP_ROOT"),
        };
        checked(tool.run()).assert_code(0);
        let made = server.path(name).join(SET);
        assert_sums(&made);
        fs::remove_dir_all(made).unwrap();
    };
    let flag = server.path("by flag");
    run("by file", &[], None);
    run("by environment", &[], Some("by environment"));
    run(
        "by flag",
        &["--root", flag.to_str().unwrap()],
        Some("by environment"),
    );
}

#[test]
fn a_dry_run_writes_nothing() {
    let server = Server::with_one_message().and_database();
    let check = |args: &[&str], code: i32, message: &str| {
        let before = (snapshot(&server.root()), snapshot(&server.path("home")));
        let outcome = server.run(args).assert_code(code).assert_stderr(message);
        assert_eq!(outcome.data("artifact").len(), 0);
        before.0.assert_same(&snapshot(&server.root()));
        before.1.assert_same(&snapshot(&server.path("home")));
    };
    check(
        &["--dry-run", "--date", "2026-11-23"],
        0,
        "daily/2026-11-23",
    );
    check(
        &["--dry-run", "--date", "2026-11-23"],
        0,
        "mysql: mailserver",
    );
    server.run(&DATE).assert_code(0);
    check(
        &["-n", "--weekly", "--date", "2026-11-23"],
        0,
        "weekly/2026-week-47",
    );
    check(&["-n", "--prune-only"], 0, "dry run");
    fs::remove_dir_all(server.path("certbot")).unwrap();
    check(&["-n", "--date", "2026-11-24"], 1, "certbot");
}

#[test]
fn a_dry_run_reports_that_the_root_cannot_be_written() {
    let server = Server::with_one_message();
    fs::set_permissions(server.root(), fs::Permissions::from_mode(0o555)).unwrap();
    server
        .run_unprivileged(&[&["-n"][..], &MAIL].concat())
        .assert_code(2)
        .assert_kinds(&["configuration"])
        .assert_stderr(server.root().to_str().unwrap());
}

#[test]
fn what_a_killed_run_left_is_cleared() {
    let server = Server::with_one_message();
    for name in [
        "daily/.2026-11-22.new",
        "daily/.2026-11-21.removed",
        "weekly/.2026-week-47.new",
    ] {
        put(&server.root().join(name).join("mailboxes/half"), b"half");
    }
    server.run(&[&MAIL[..], &DATE].concat()).assert_code(0);
    assert_eq!(server.daily(), ["2026-11-23"]);
    assert_eq!(fs::read_dir(server.set("weekly")).unwrap().count(), 0);
}

#[test]
fn manual_page_and_completions() {
    let server = Server::empty();
    let check = |what: &str, expected: &str| {
        let outcome = server.tool(&["--generate", what]).run().assert_code(0);
        assert!(
            outcome.text().contains(expected) && outcome.stderr.is_empty(),
            "{}",
            outcome.stderr
        );
        outcome
    };
    let bash = server.path("completions");
    put(&bash, &check("bash", "--component").stdout);
    succeed(Command::new("bash").arg("-n").arg(bash));
    check("zsh", "#compdef mail-backup");
    check("fish", "mail-backup");
    check("man", ".TH mail-backup 1");
    server.tool(&["--generate", "tcsh"]).run().assert_code(2);
    let help = server.tool(&["--help"]).run().assert_code(0).text();
    for part in ["--component", "Exit codes:", "BACKUP_ROOT", "MYSQL_PWD"] {
        assert!(help.contains(part), "no {part:?} in the help");
    }
    assert!(
        server
            .tool(&["--version"])
            .run()
            .assert_code(0)
            .text()
            .starts_with("mail-backup ")
    );
}
