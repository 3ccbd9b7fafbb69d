//! Whole sets with their databases: all or nothing, trees and databases together.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::statement_proxy::{Harm, StatementProxy};
use crate::whole_sets::{checked, is_root, live, names, put, seal, shell};
use mail_tests::maildir::TreePlan;
use mail_tests::mariadb::MariaDb;
use mail_tests::run::Tool;
use mail_tests::server::Server;
use mail_tests::tree::snapshot;
use rustix::process::Signal;

const SCHEMA: &str = "
CREATE DATABASE mailserver CHARACTER SET utf8mb4;
USE mailserver;
CREATE TABLE users (id INT PRIMARY KEY AUTO_INCREMENT, address VARCHAR(190) UNIQUE, name TEXT);
INSERT INTO users (address, name) VALUES ('alice@example.com', 'Alice'), ('bob@example.com', 'ボブ');
CREATE VIEW names AS SELECT name FROM users;
CREATE PROCEDURE forget() DELETE FROM users;
";
const DAY: [&str; 2] = ["--date", "2026-11-23"];

/// A server with its own database, and a complete set of both.
fn saved() -> (Server, Arc<MariaDb>) {
    let database = Arc::new(MariaDb::start());
    database.sql(SCHEMA);
    let plan = TreePlan {
        mean_bytes: 2_000,
        ..TreePlan::new(40, 2, 17)
    };
    let server = Server::new(&plan).with_database(Arc::clone(&database));
    let _ = server.backup().args(DAY).run().assert_code(0);
    (server, database)
}

fn users(database: &MariaDb) -> String {
    database.sql("SELECT GROUP_CONCAT(address ORDER BY id) FROM mailserver.users")
}

#[test]
fn everything_comes_back_with_its_databases() {
    let (server, database) = saved();
    let mail = server.mail().join("example.com/alice/cur");
    let before = names(&mail);
    database.sql("DELETE FROM mailserver.users; CREATE TABLE mailserver.later (a INT); CREATE DATABASE other");
    put(&mail.join("1.later"), b"later");
    let dry = checked(server.restore().args(["--from", "latest", "--dry-run"])).assert_code(0);
    let dry = dry.assert_stderr("database mailserver would be replaced");
    assert_eq!(users(&database).trim(), "NULL");
    let outcome = checked(server.restore().args(["--from", "latest"])).assert_code(0);
    let of_mysql = |outcome: &mail_tests::run::Outcome| -> Vec<String> {
        let records = outcome
            .data("restored")
            .into_iter()
            .filter(|record| record["component"] == "mysql");
        records
            .map(|record| {
                format!(
                    "{} {} {}",
                    record["path"], record["target"], record["entries"]
                )
            })
            .collect()
    };
    assert_eq!(
        of_mysql(&outcome),
        [r#""mysql/mailserver.sql.zst" "mailserver" 1"#]
    );
    assert_eq!(of_mysql(&dry), of_mysql(&outcome));
    assert_eq!(users(&database).trim(), "alice@example.com,bob@example.com");
    assert_eq!(
        database.sql("SHOW TABLES FROM mailserver").trim(),
        "names\nusers"
    );
    assert_eq!(database.sql("SHOW DATABASES LIKE 'other'").trim(), "other");
    assert_eq!(names(&mail), before);
    // What was there is a set, and comes back by the same tool.
    let kept = server.root().join("pre-restore");
    let kept = kept.join(&names(&kept)[0]);
    let _ = checked(
        server
            .restore()
            .arg("--from")
            .arg(&kept)
            .args(["--component", "mysql"]),
    )
    .assert_code(0);
    assert_eq!(
        database.sql("SHOW TABLES FROM mailserver").trim(),
        "later\nnames\nusers"
    );
}

#[test]
fn a_database_that_cannot_be_loaded_leaves_the_trees_alone() {
    let (server, database) = saved();
    let set = server.root().join("daily/2026-11-23");
    // Its last lines are missing, and its checksums were made again over that.
    shell(
        &set,
        "zstd -dcq mysql/mailserver.sql.zst | head -n -3 | zstd -q -o new; mv new mysql/mailserver.sql.zst; rm manifest.jsonl",
    );
    seal(&set);
    database.sql("DELETE FROM mailserver.users WHERE id = 1");
    let before = live(&server);
    let _ = checked(server.restore().arg("--from").arg(&set))
        .assert_code(3)
        .assert_failure("damaged")
        .assert_stderr("mysql/mailserver.sql.zst");
    before.assert_same(&live(&server));
    assert_eq!(users(&database).trim(), "bob@example.com");
}

#[test]
fn a_tree_that_cannot_be_put_in_place_takes_the_databases_back() {
    if !is_root() {
        eprintln!("SKIPPED: only root can mount a directory");
        return;
    }
    let (server, database) = saved();
    database.sql("DELETE FROM mailserver.users WHERE id = 2");
    // The target becomes a mount point after the plan was made, while the databases are loaded.
    let target = server.mail();
    let mut running = server.restore().args(["--from", "latest"]).spawn();
    let start = Instant::now();
    while !names(server.dir())
        .iter()
        .any(|name| name.starts_with(".mail.restoring"))
    {
        assert!(
            running.is_running() && start.elapsed() < Duration::from_secs(20),
            "it never began"
        );
    }
    assert!(
        Command::new("mount")
            .args(["--bind"])
            .arg(&target)
            .arg(&target)
            .status()
            .unwrap()
            .success()
    );
    let outcome = running.wait();
    assert!(
        Command::new("umount")
            .arg(&target)
            .status()
            .unwrap()
            .success()
    );
    let _ = outcome
        .assert_code(3)
        .assert_stderr("everything is as it was");
    assert_eq!(users(&database).trim(), "alice@example.com");
    assert!(
        names(server.dir())
            .iter()
            .all(|name| !name.contains(".bak.") && !name.contains(".restoring"))
    );
}

/// The run is killed when the databases are in place and the trees are not, when both are and
/// nobody has written so, and when that is written: the same command again restores all.
#[test]
fn a_run_that_is_killed_between_databases_and_trees_is_put_right() {
    let (server, database) = saved();
    let mail = server.mail().join("example.com/alice/cur");
    let before = names(&mail);
    let steps = killed_at(&server, &database, usize::MAX);
    let last = |words: &str| {
        let is_meant = |step: &String| step.starts_with(words);
        steps.iter().rposition(is_meant).unwrap()
    };
    for at in [
        last("ALTER DATABASE"),
        last("REPLACE INTO"),
        last("DROP DATABASE"),
    ] {
        database.sql("DELETE FROM mailserver.users WHERE id = 1");
        put(&mail.join("1.later"), b"later");
        let _ = killed_at(&server, &database, at);
        let seen = users(&database);
        assert!(
            seen.ends_with("bob@example.com\n"),
            "killed at {at}: {seen}"
        );
        let _ = checked(server.restore().args(["--from", "latest"])).assert_code(0);
        assert_eq!(users(&database).trim(), "alice@example.com,bob@example.com");
        assert_eq!(names(&mail), before, "killed at {at}");
        assert_eq!(database.sql("SHOW DATABASES LIKE 'mail\\_restore%'"), "");
        let is_hidden = |name: &String| name.contains(".restoring");
        assert!(!names(server.dir()).iter().any(is_hidden), "killed at {at}");
    }
}

/// Restores through a proxy, is killed at a step, and gives back the steps up to there.
fn killed_at(server: &Server, database: &MariaDb, step: usize) -> Vec<String> {
    let proxy = StatementProxy::start(database.port(), Harm::Hold, step);
    let mut running = through(&proxy, server.restore())
        .args(["--from", "latest"])
        .spawn();
    while running.is_running() && !proxy.has_struck() {
        thread::sleep(Duration::from_millis(5));
    }
    running.signal(Signal::KILL);
    let _ = running.wait();
    proxy.statements()
}

fn through(proxy: &StatementProxy, mut tool: Tool) -> Tool {
    tool.command().env_remove("MYSQL_SOCKET");
    tool.env("MYSQL_HOST", "127.0.0.1")
        .env("MYSQL_PORT", proxy.port().to_string())
}

#[test]
fn into_a_directory_databases_are_plain_sql() {
    let (server, database) = saved();
    let to = server.dir().join("to");
    let _ = checked(
        server
            .restore()
            .args(["--from", "latest", "--component", "mysql", "--to"])
            .arg(&to),
    )
    .assert_code(0);
    assert_eq!(
        names(&to.join("mysql")),
        ["_accounts.sql", "mailserver.sql"]
    );
    let expected = shell(&server.root(), "zstd -dcq latest/mysql/mailserver.sql.zst");
    assert_eq!(
        fs::read_to_string(to.join("mysql/mailserver.sql")).unwrap(),
        expected
    );
    assert_eq!(users(&database).trim(), "alice@example.com,bob@example.com");
}

#[test]
fn without_a_server_or_a_place_to_save_it_nothing_is_touched() {
    let (server, _database) = saved();
    let before =
        snapshot(server.dir()).without(|path| path == std::path::Path::new("backup/.lock"));
    let set = server.root().join("daily/2026-11-23");
    let tool = || server.restore().arg("--from").arg(&set);
    let _ = checked(tool().env("MYSQL_SOCKET", "/nonexistent/s.sock"))
        .assert_code(3)
        .assert_failure("database")
        .assert_stderr("is it running");
    let _ = checked(
        tool()
            .arg("--dry-run")
            .env("MYSQL_SOCKET", "/nonexistent/s.sock"),
    )
    .assert_code(1);
    let _ = checked(tool().args(["--root", "/nonexistent"]))
        .assert_code(2)
        .assert_failure("not_mounted")
        .assert_stderr("make the directory");
    let after = snapshot(server.dir()).without(|path| path == std::path::Path::new("backup/.lock"));
    before
        .without_dir_times()
        .assert_same(&after.without_dir_times());
}
