//! What a set is on the disk: layout, modes, digests, records, and that the stock programs open all
//! of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{
    self, Server, assert_sums, capture, inode, list_files, sha256, succeed, unpack_archive,
    unpack_mail,
};
use mail_tests::mariadb::MariaDb;
use mail_tests::tree::snapshot;
use serde_json::Value;

/// A set of five components, of a server with one message.
const LAYOUT: &str = "\
backup.log
checksums.sha256
config/config.tar.zst
config/docker-compose.yml
config/env
dkim/dkim.tar.zst
mailboxes/_root/0000.tar.zst
mailboxes/_root/state.jsonl.zst
mailboxes/example.com/alice/0000.tar.zst
mailboxes/example.com/alice/0001.jsonl.zst
mailboxes/example.com/alice/0001.tar.zst
mailboxes/example.com/alice/state.jsonl.zst
manifest.jsonl
mysql/_accounts.sql.zst
mysql/mailserver.sql.zst
ssl/certbot.tar.zst
";

#[test]
fn a_set_has_the_documented_layout() {
    let server = Server::with_one_message().and_database();
    server
        .run(&["--daily", "--date", "2026-11-23"])
        .assert_code(0);
    let set = server.set("daily/2026-11-23");
    let files = capture(
        Command::new("sh")
            .args(["-c", "find . -type f -printf '%P\\n' | LC_ALL=C sort"])
            .current_dir(&set),
    );
    assert_eq!(String::from_utf8(files).unwrap(), LAYOUT);
    let odd_modes = capture(
        Command::new("find")
            .arg(&set)
            .args(["(", "-type", "d", "!", "-perm", "700", ")", "-o"])
            .args([
                "(", "-type", "f", "!", "-perm", "600", ")", "-o", "!", "-type", "d", "!", "-type",
                "f",
            ]),
    );
    assert_eq!(String::from_utf8(odd_modes).unwrap(), "");
    assert_eq!(server.latest().as_deref(), Some("daily/2026-11-23"));
    assert_eq!(server.daily(), ["2026-11-23"]);
    assert_sums(&set);
}

#[test]
fn records_are_true() {
    let server = Server::with_one_message().and_database();
    let outcome = server.run(&["--date", "2026-11-23"]).assert_code(0);
    let set = server.set("daily/2026-11-23");
    let manifest = fs::read_to_string(set.join("manifest.jsonl")).unwrap();
    let records: Vec<Value> = manifest
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    mail_tests::schema::Schema::open().assert_valid(&records);
    let kinds: Vec<&str> = records
        .iter()
        .map(|record| record["type"].as_str().unwrap())
        .collect();
    // What the next runs compare with stands before the files.
    let mut expected = vec!["begin", "database", "watched", "watched"];
    expected.extend(["artifact"; 13]);
    expected.push("end");
    assert_eq!(kinds, expected);
    let begin = &records[0]["data"];
    assert_eq!(begin["set"], "daily/2026-11-23");
    assert_eq!(begin["args"], serde_json::json!(["--date", "2026-11-23"]));
    assert_eq!(begin["root"], server.root().to_str().unwrap());
    assert_eq!(records[17]["data"]["status"], "ok");
    let of_stdout: Vec<Value> = outcome.data("artifact");
    let of_manifest: Vec<&Value> = records[4..17]
        .iter()
        .map(|record| &record["data"])
        .collect();
    assert_eq!(of_stdout.iter().collect::<Vec<_>>(), of_manifest);
    for artifact in &of_stdout {
        let path = set.join(artifact["path"].as_str().unwrap());
        assert_eq!(
            artifact["bytes"],
            fs::metadata(&path).unwrap().len(),
            "{}",
            path.display()
        );
        assert_eq!(artifact["sha256"], sha256(&path), "{}", path.display());
    }
    let log = fs::read_to_string(set.join("backup.log")).unwrap();
    for part in [
        "daily/2026-11-23",
        "status ok",
        "mailboxes",
        "mysql",
        "sha256sum -c",
    ] {
        assert!(log.contains(part), "no {part:?} in the log:\n{log}");
    }
}

#[test]
fn tar_gives_the_mail_tree_back() {
    let server = Server::with_mail(300, 3);
    let (set, _) = server.save_mail("2026-11-23", &[]);
    let restored = tempfile::tempdir().unwrap();
    unpack_mail(&set, restored.path());
    snapshot(&server.mail()).assert_same(&snapshot(restored.path()));
    assert_sums(&set);
}

#[test]
fn the_log_says_how_to_unpack_everything() {
    let server = Server::with_one_message();
    server.message("README", b"a file of the mail root\n");
    let (set, _) = server.save_mail("2026-11-23", &[]);
    let log = fs::read_to_string(set.join("backup.log")).unwrap();
    let (_, command) = log
        .split_once("Unpack mail:")
        .expect("the log names a command");
    let (command, _) = command.split_once("Load databases:").unwrap();
    let restored = tempfile::tempdir().unwrap();
    let command = command.replace("NEW_DIR", restored.path().to_str().unwrap());
    succeed(Command::new("sh").args(["-c", &command]).current_dir(&set));
    snapshot(&server.mail()).assert_same(&snapshot(restored.path()));
}

#[test]
fn tar_gives_configuration_certificates_and_keys_back() {
    let server = Server::empty();
    std::os::unix::fs::symlink(
        "privkey1.pem",
        server.path("certbot/conf/live/mx/privkey.pem"),
    )
    .unwrap();
    fs::set_permissions(
        server.path("certbot/conf/live"),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    let args = [
        "--component",
        "config",
        "--component",
        "ssl",
        "--component",
        "dkim",
        "--date",
        "2026-11-23",
    ];
    server.run(&args).assert_code(0);
    let set = server.set("daily/2026-11-23");
    let check = |archive: &str, source: &str| {
        let restored = tempfile::tempdir().unwrap();
        unpack_archive(&set.join(archive), restored.path(), &[]);
        snapshot(&server.path(source)).assert_same(&snapshot(restored.path()));
    };
    check("config/config.tar.zst", "config");
    check("ssl/certbot.tar.zst", "certbot");
    check("dkim/dkim.tar.zst", "config/opendkim");
    for (copy, source) in [
        ("config/docker-compose.yml", "docker-compose.yml"),
        ("config/env", ".env"),
    ] {
        assert_eq!(
            fs::read(set.join(copy)).unwrap(),
            fs::read(server.path(source)).unwrap()
        );
    }
    assert_sums(&set);
}

#[test]
fn mariadb_loads_the_dump() {
    // Its own server: a database that comes and goes would be in the sets of the other tests.
    let (server, database) = (Server::empty(), MariaDb::start());
    server.use_database(&database, "root", "");
    database.sql(
        "CREATE DATABASE `web-mail`; CREATE TABLE `web-mail`.t (a INT PRIMARY KEY, b BLOB);
                  INSERT INTO `web-mail`.t VALUES (1, x'00270a0d5c'), (2, NULL)",
    );
    let facts = || {
        database.sql(
            "USE `web-mail`; CHECKSUM TABLE t; SHOW CREATE TABLE t;
             SELECT a, HEX(b) FROM t ORDER BY a",
        )
    };
    let before = facts();
    let run = server
        .tool(&["--component", "mysql", "--date", "2026-11-23"])
        .env("MYSQL_DATABASES", "web-mail")
        .run();
    assert_eq!(run.assert_code(0).data("artifact").len(), 2);
    let set = server.set("daily/2026-11-23");
    assert_sums(&set);
    database.sql("DROP DATABASE `web-mail`");
    let sql = capture(
        Command::new("zstd")
            .args(["-dcq", "mysql/web-mail.sql.zst"])
            .current_dir(&set),
    );
    database.load("", &sql);
    assert_eq!(facts(), before);
    database.sql("DROP DATABASE `web-mail`");
    succeed(
        Command::new("zstd")
            .args(["-tq", "mysql/_accounts.sql.zst"])
            .current_dir(&set),
    );
}

#[test]
fn weeks_have_the_names_that_date_gives_them() {
    let server = Server::with_one_message();
    // The first days of a year before its Sunday, a year that begins on Sunday, an ordinary day,
    // the last of a year.
    for date in ["2026-01-01", "2023-01-01", "2026-11-23", "2028-12-31"] {
        server
            .run(&["--weekly", "--component", "mailboxes", "--date", date])
            .assert_code(0);
        let name = capture(Command::new("date").args(["-d", date, "+%Y-week-%U"]));
        let set = server
            .set("weekly")
            .join(String::from_utf8(name).unwrap().trim_end());
        assert_sums(&set);
    }
    assert_eq!(fs::read_dir(server.set("weekly")).unwrap().count(), 4);
}

#[test]
fn a_set_is_of_today_unless_a_date_is_given() {
    let server = Server::with_one_message();
    let today =
        || String::from_utf8(capture(Command::new("date").args(["-u", "+%Y-%m-%d"]))).unwrap();
    let before = today();
    server.run(&["--component", "mailboxes"]).assert_code(0);
    let made = server.daily();
    assert!(
        [before, today()].iter().any(|day| made == [day.trim_end()]),
        "{made:?}"
    );
}

#[test]
fn a_second_run_of_the_day_replaces_the_set() {
    let server = Server::with_one_message().and_database();
    let set = server.set("daily/2026-11-23");
    server.run(&["--date", "2026-11-23"]).assert_code(0);
    let (first, directory) = (sha256(&set.join("manifest.jsonl")), inode(&set));
    server.message(
        "example.com/alice/new/1767225700.M1P2.mx",
        b"Subject: two\n\n",
    );
    server.run(&["--date", "2026-11-23"]).assert_code(0);
    assert_ne!(sha256(&set.join("manifest.jsonl")), first);
    assert_ne!(inode(&set), directory);
    assert_eq!(server.daily(), ["2026-11-23"]);
    assert_eq!(server.latest().as_deref(), Some("daily/2026-11-23"));
    assert_sums(&set);
    assert_restores(&server, &set);
}

#[track_caller]
fn assert_restores(server: &Server, set: &Path) {
    let restored = tempfile::tempdir().unwrap();
    unpack_mail(set, restored.path());
    snapshot(&server.mail()).assert_same(&snapshot(restored.path()));
}

#[test]
fn unchanged_segments_are_linked_unless_everything_is_read() {
    let server = Server::with_mail(200, 2);
    support::settle();
    let (first, _) = server.save_mail("2026-11-23", &[]);
    let (linked, _) = server.save_mail("2026-11-24", &[]);
    let (full, _) = server.save_mail("2026-11-25", &["--full"]);
    server
        .run(&[
            "--weekly",
            "--component",
            "mailboxes",
            "--date",
            "2026-11-25",
        ])
        .assert_code(0);
    let weekly = server.set("weekly/2026-week-47");
    let mail: Vec<_> = list_files(&first)
        .into_iter()
        .filter(|path| path.starts_with("mailboxes"))
        .collect();
    assert!(mail.len() > 6, "{mail:?}");
    for path in &mail {
        let of = |set: &Path| inode(&set.join(path));
        assert_eq!(of(&first), of(&linked), "{}", path.display());
        assert_ne!(of(&first), of(&full), "{}", path.display());
        assert_ne!(of(&first), of(&weekly), "{}", path.display());
        assert_ne!(of(&full), of(&weekly), "{}", path.display());
    }
    for set in [&linked, &full, &weekly] {
        assert_sums(set);
        assert_restores(&server, set);
    }
}

#[test]
fn a_set_stands_by_itself() {
    let server = Server::with_mail(200, 2);
    let (first, _) = server.save_mail("2026-11-23", &[]);
    server.message(
        "example.com/alice/new/1767225700.M1P2.mx",
        b"Subject: two\n\n",
    );
    let (second, _) = server.save_mail("2026-11-24", &[]);
    fs::remove_dir_all(&first).unwrap();
    assert_sums(&second);
    assert_restores(&server, &second);
    let elsewhere = server.path("copied by an administrator");
    succeed(Command::new("cp").arg("-a").arg(&second).arg(&elsewhere));
    assert_sums(&elsewhere);
    assert_restores(&server, &elsewhere);
}

#[test]
fn a_terminal_gets_a_table() {
    let server = Server::with_one_message();
    let outcome = server
        .tool(&[
            "--component",
            "mailboxes",
            "--format",
            "text",
            "--date",
            "2026-11-23",
        ])
        .run();
    let text = outcome.assert_code(0).text();
    assert!(
        text.contains("mailboxes/example.com/alice/0001.tar.zst") && !text.contains('{'),
        "{text}"
    );
    let quiet = server
        .tool(&["--component", "mailboxes", "-q", "--date", "2026-11-24"])
        .run()
        .assert_code(0);
    assert_eq!(quiet.stderr, "");
}
