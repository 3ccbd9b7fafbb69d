//! `mail-backup` as cron, a shell pipe and an ordinary user run it.
#![expect(
    clippy::disallowed_methods,
    reason = "a configuration is not a stored file of a set"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use mail_tests::clamd::Clamd;
use mail_tests::maildir::TreePlan;
use mail_tests::mariadb::MariaDb;
use mail_tests::run::{Tool, binary};
use mail_tests::schema::Schema;
use mail_tests::server::Server;
use mail_tests::set::{assert_checksums, unpack_mail};
use mail_tests::tree::snapshot;
use serde_json::Value;

const DAY: &str = "2026-11-23";

fn server(messages: u64) -> Server {
    let plan = TreePlan {
        mean_bytes: 4_000,
        ..TreePlan::new(messages, 3, 41)
    };
    Server::new(&plan).with_database(MariaDb::shared())
}

/// The tool with the server's settings in the environment and nothing else.
fn backup(server: &Server) -> Command {
    let mut command = Command::new(binary("mail-backup"));
    command
        .env_clear()
        .envs(server.settings())
        .args(["--date", DAY])
        .stdin(Stdio::null());
    command
}

/// The settings in a file, as the old scripts have them.
fn write_config(server: &Server) -> std::path::PathBuf {
    let path = server.dir().join("backup.conf");
    let line = |(name, value): (&str, std::path::PathBuf)| {
        format!("export {name}=\"{}\"\n", value.display())
    };
    let lines: String = server.settings().into_iter().map(line).collect();
    fs::write(&path, lines).expect("a configuration can be written");
    path
}

#[test]
fn records_come_when_their_facts_are_true() {
    let server = server(1_500);
    let mut child = backup(&server)
        .args(["-q", "--level", "9"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    let mut next = || -> Option<Value> {
        let line = lines.next()?.expect("a pipe can be read");
        Some(serde_json::from_str(&line).expect("a record is JSON"))
    };

    let begin = next().expect("there is a first record");
    assert_eq!(begin["type"], "begin");
    assert_eq!(begin["data"]["set"], format!("daily/{DAY}"));
    assert!(
        !server.daily(DAY).exists(),
        "begin came after the work was done"
    );

    let mut records = vec![begin];
    while let Some(record) = next() {
        if record["type"] == "artifact" {
            let data = &record["data"];
            let text = |name: &str| data[name].as_str().expect("an artifact has this field");
            let path = Path::new(text("root")).join(text("set")).join(text("path"));
            let bytes = fs::metadata(&path)
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
                .len();
            assert_eq!(data["bytes"], bytes, "{}", path.display());
            assert!(
                server.daily(DAY).join("checksums.sha256").exists(),
                "an artifact came before its set"
            );
        }
        records.push(record);
    }
    assert!(child.wait().expect("it ends").success());
    Schema::open().assert_valid(&records);
    let types: Vec<&str> = records
        .iter()
        .filter_map(|record| record["type"].as_str())
        .collect();
    let [first, between @ .., last] = types.as_slice() else {
        panic!("{types:?}")
    };
    assert_eq!((*first, *last), ("begin", "end"));
    let artifacts = between.iter().skip_while(|kind| **kind == "watched");
    let artifacts: Vec<&&str> = artifacts.collect();
    assert!(
        artifacts.len() > 10 && artifacts.iter().all(|kind| **kind == "artifact"),
        "{types:?}"
    );
    assert_eq!(records[records.len() - 1]["data"]["status"], "ok");
}

#[test]
fn a_shell_consumer_finds_every_file() {
    let server = server(200);
    // Reads records line by line, as `jq -r 'select(.type == "artifact") | ...'` would.
    let script = r#"
        set -euo pipefail
        "$0" --date "$1" --format jsonl | while IFS= read -r line; do
            case $line in '{"type":"artifact",'*) ;; *) continue ;; esac
            path=${line#*'"path":"'}; path=${path%%'"'*}
            sha256=${line#*'"sha256":"'}; sha256=${sha256%%'"'*}
            echo "$sha256  $path"
        done | (cat > "$BACKUP_ROOT/list" && cd "$BACKUP_ROOT/daily/$1" && sha256sum --check --quiet ../../list)
        wc -l < "$BACKUP_ROOT/list"
    "#;
    let mut command = Command::new("bash");
    command
        .args(["-c", script])
        .arg(binary("mail-backup"))
        .arg(DAY)
        .envs(server.settings());
    let output = command.output().expect("bash runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let sums = fs::read_to_string(server.daily(DAY).join("checksums.sha256"))
        .expect("a set has checksums");
    // The manifest and the log are no artifacts.
    let expected = (sums.lines().count() - 2).to_string();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected);
}

#[test]
fn under_cron_a_success_is_silent() {
    let server = server(100);
    // The installer of MariaDB makes an account for the machine's name, which a server that
    // resolves no names ignores; the tool warns of it.
    let privileges =
        "DELETE FROM mysql.global_priv WHERE Host NOT IN ('localhost', '127.0.0.1', '::1')";
    MariaDb::shared().sql(&format!("{privileges}; FLUSH PRIVILEGES"));
    let config = write_config(&server);
    let mut command = Command::new("setsid");
    command
        .args(["--wait", "env", "-i", "PATH=/usr/bin:/bin"])
        .arg(binary("mail-backup"));
    command
        .args(["--daily", "-q", "--date", DAY, "--config"])
        .arg(config)
        .current_dir("/")
        .stdin(Stdio::null());
    let output = command.output().expect("setsid runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    assert_checksums(&server.daily(DAY));
    assert_eq!(server.latest(), Path::new("daily").join(DAY));
}

#[test]
fn an_ordinary_user_backs_up_a_tree_of_its_own() {
    let server = server(100);
    // A checkout may lie where others may not look.
    let tool = server.dir().join("mail-backup");
    fs::copy(binary("mail-backup"), &tool).expect("a program can be copied");
    let mut command = Command::new(&tool);
    command
        .env_clear()
        .envs(server.settings())
        .args(["--date", DAY])
        .stdin(Stdio::null())
        .current_dir("/");
    if rustix::process::geteuid().is_root() {
        let given = Command::new("chown")
            .args(["-R", "65534:65534"])
            .arg(server.dir())
            .status();
        assert!(given.expect("chown runs").success());
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().expect("it starts");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_checksums(&server.daily(DAY));
    let source = snapshot(&server.mail()).without_temporary();
    source.assert_same(&snapshot(unpack_mail(&server.daily(DAY)).path()));
}

/// Whoever may write into the working directory must not choose which set is restored or leaves
/// the house.
#[test]
fn a_name_means_the_set_of_the_root_wherever_a_tool_runs() {
    let server = Server::new(&TreePlan::new(5, 1, 41));
    let trees = ["--component", "mailboxes", "--component", "config"];
    let _ = server
        .backup()
        .args(trees)
        .args(["--date", DAY])
        .run()
        .assert_code(0);
    let elsewhere = server.dir().join("elsewhere");
    let other = elsewhere.join(format!("daily/{DAY}"));
    fs::create_dir_all(&other).expect("a directory can be made");
    let name = format!("daily/{DAY}");
    let set = server.daily(DAY);
    let clamd = Clamd::start();
    let run = |tool: Tool, code: i32| {
        let mut tool = tool.env("BACKUP_ROOT", server.root());
        tool.command().current_dir(&elsewhere);
        tool.run().assert_code(code)
    };

    let to = server.dir().join("restored");
    let restore = |from: &str| server.restore().args(["--from", from, "--to"]).arg(&to);
    let _ = run(restore(&name), 0);
    let user = Path::new("example.com/alice");
    snapshot(&server.mail().join(user))
        .without_temporary()
        .assert_same(&snapshot(&to.join("mailboxes").join(user)).without_temporary());
    let _ = run(restore(&format!("./{name}")), 2);

    let scan = |from: &str| {
        Tool::new("mail-scan")
            .args(["--clamd", &clamd.unix(), "--no-cache"])
            .arg(from)
    };
    let verdicts = run(scan(&name), 0).data("verdict");
    assert!(!verdicts.is_empty());

    let store = format!("file://{}", server.dir().join("store").display());
    fs::create_dir(server.dir().join("store")).expect("a directory can be made");
    let push = |from: &str| Tool::new("mail-s3sync").args(["push", "--to", &store, "--set", from]);
    let _ = run(push(&name), 0);
    let sums = |set: &Path| fs::read(set.join("checksums.sha256")).expect("it has checksums");
    assert_eq!(sums(&server.dir().join("store").join(&name)), sums(&set));

    let check = |from: &str| Tool::new("mail-check").args(["set", from]);
    let _ = run(check(&name), 0);
    let _ = run(check(&format!("./{name}")), 2);
}

/// A tool or a script of a server that has mail alone.
fn of_mail_alone(server: &Server, tool: Tool) -> Tool {
    let settings = server.settings().into_iter();
    let tool = settings.fold(tool, |tool, (name, value)| tool.env(name, value));
    tool.env("BACKUP_COMPONENTS", "mailboxes")
}

#[test]
fn every_tool_follows_latest_to_an_hourly_set() {
    let server = Server::new(&TreePlan::new(20, 1, 41));
    let run = |name: &str, args: &[&str]| {
        let tool = of_mail_alone(&server, Tool::new(name).args(args));
        tool.run().assert_code(0)
    };
    run("mail-backup", &["--daily"]);
    let new = server
        .mail()
        .join("example.com/alice/new/1796000000.M1P1.mx");
    fs::write(&new, "Subject: of the last hour\n\n").expect("a message can be delivered");
    run("mail-backup", &["--hourly"]);
    let hourly = server.latest();
    let hourly = hourly.to_str().expect("latest is text");
    assert!(hourly.starts_with("hourly/"), "{hourly}");

    let below = |name: &str| server.dir().join(name).to_str().expect("a path").to_owned();
    let dry = run("mail-restore", &["--from", "latest", "--dry-run"]);
    assert_eq!(dry.data("begin")[0]["set"], hourly);
    run("mail-check", &["set", "latest"]);
    fs::create_dir(below("away")).expect("a store can be made");
    let away = format!("file://{}", below("away"));
    run("mail-s3sync", &["push", "--set", "latest", "--to", &away]);
    assert_checksums(&server.dir().join("away").join(hourly));
    run(
        "mail-s3sync",
        &[
            "pull",
            "--latest",
            "--from",
            &away,
            "--to",
            &below("pulled"),
        ],
    );
    run(
        "mail-restore",
        &["--from", "latest", "--to", &below("restored")],
    );
    let tools = binary("mail-restore").with_file_name("");
    let plain = Tool::script("plain-set.sh").args(["latest", &below("plain")]);
    let plain = plain.env("PATH", format!("{}:/usr/bin:/bin", tools.display()));
    let _ = of_mail_alone(&server, plain).run().assert_code(0);
    let message = "example.com/alice/new/1796000000.M1P1.mx";
    for tree in ["restored/mailboxes", "plain/mail"] {
        let restored = server.dir().join(tree).join(message);
        assert!(restored.exists(), "{}", restored.display());
    }
    let set = server.dir().join("pulled");
    let pulled = fs::read(set.join("manifest.jsonl")).expect("the set was pulled");
    let made = fs::read(server.root().join(hourly).join("manifest.jsonl"));
    assert_eq!(pulled, made.expect("the set is there"));
}
