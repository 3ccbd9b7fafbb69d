//! Flags, settings, and what it runs on.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use mail_tests::run::Tool;
use mail_tests::user_api::{Lists, UserApi};

use crate::support::{lines, users};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/mail-users.sh");

fn script() -> Tool {
    Tool::script("mail-users.sh")
}

#[test]
fn wrong_usage_ends_with_2_and_touches_nothing() {
    let api = UserApi::start(Lists::Array);
    let check = |words: &[&str], message: &str| {
        let outcome = users(&api, words)
            .stdin("x")
            .run()
            .assert_code(2)
            .assert_stderr(message);
        assert_eq!(outcome.text(), "", "{words:?}");
        assert!(
            outcome.stderr.ends_with("see mail-users.sh --help\n"),
            "{}",
            outcome.stderr
        );
    };
    check(&[], "no command");
    check(&["--dry-run"], "no command");
    check(&["remove"], "no such command: remove");
    check(&["list", "a@b"], "list takes no operand");
    check(&["domains", "b"], "domains takes no operand");
    check(&["add", "a@b.c", "d@e.f"], "add takes one address");
    check(&["add", "--password", "x"], "no such option: --password");
    check(
        &["delete", "--force=no", "a@b.c"],
        "no such option: --force=no",
    );
    check(&["-x", "list"], "no such option: -x");
    check(&["list", "--url"], "--url needs a value");
    check(&["list", "--url", ""], "--url needs a value");
    check(
        &["list", "--timeout", "0"],
        "--timeout is not a number of seconds: 0",
    );
    check(
        &["list", "--timeout", "1;id"],
        "--timeout is not a number of seconds",
    );
    for url in [
        "ftp://x",
        "localhost:5000",
        "http://",
        "http:///x",
        "http://a b",
        "http://a?b",
        "http://a#b",
        "file:///etc/passwd",
        "http://a]",
    ] {
        check(&["list", "--url", url], "not an http or https URL");
    }
    check(
        &["list", "--url", "http://user:secret@localhost:5000"],
        "no user or password belongs in the URL",
    );
    let outcome = users(&api, &["list"])
        .env("USERMGMT_AUTH_HEADER", "X: y\r\nZ")
        .run()
        .assert_code(2);
    assert!(
        outcome
            .stderr
            .contains("USERMGMT_AUTH_HEADER is not the name of a header")
    );
    assert_eq!(api.seen().len(), 0);
}

#[test]
fn help_names_every_command_and_option() {
    let help = script().arg("--help").run().assert_code(0).text();
    let words = [
        "list",
        "add [EMAIL]",
        "password [EMAIL]",
        "delete [EMAIL]...",
        "domains",
        "add-domain",
        "delete-domain",
        "--url URL",
        "--token-file FILE",
        "--timeout SECONDS",
        "--dry-run",
        "--force",
        "USERMGMT_URL",
        "USERMGMT_TOKEN_FILE",
        "USERMGMT_AUTH_HEADER",
        "Exit:",
    ];
    for word in words {
        assert!(help.contains(word), "{word}");
    }
    assert!(!help.contains("set -"), "{help}");
    assert_eq!(
        script().args(["list", "-h"]).run().assert_code(0).text(),
        help
    );
}

#[test]
fn flags_may_come_anywhere_and_beat_the_environment() {
    let api = UserApi::start(Lists::Array);
    let url = format!("{}/", api.url());
    let _ = script()
        .args(["list", "--url", &url])
        .env("USERMGMT_URL", "http://127.0.0.1:1")
        .run()
        .assert_code(0);
    let _ = script()
        .args([&format!("--url={url}"), "list"])
        .run()
        .assert_code(0);
    assert_eq!(api.seen()[0].path, "/api/users");
    // Below a path, behind a proxy.
    let _ = script()
        .args(["list", "--url", &format!("{url}admin//")])
        .run()
        .assert_code(3);
    assert_eq!(api.seen()[0].path, "/admin/api/users");
}

#[test]
fn a_missing_program_is_named() {
    for missing in ["curl", "jq"] {
        let path = tempfile::tempdir().unwrap();
        for program in ["bash", "curl", "jq", "dirname", "readlink", "stat", "tr"] {
            if program != missing {
                symlink(format!("/usr/bin/{program}"), path.path().join(program)).unwrap();
            }
        }
        let tool = script().arg("list").env("PATH", path.path());
        let _ = tool.run().assert_code(2).assert_stderr(&format!(
            "{missing} is not installed or not in PATH; apt-get install {missing}"
        ));
    }
}

#[test]
fn a_script_without_its_parts_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("mail-users.sh");
    std::fs::copy(SCRIPT, &copy).unwrap();
    let output = Command::new(&copy)
        .args(["delete", "a@example.com"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("its programs for jq are not in"));
}

#[test]
fn it_works_through_a_link_and_in_a_bare_environment() {
    let api = UserApi::start(Lists::Array);
    api.put_user(7, "alice@example.com");
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("users");
    symlink(SCRIPT, &link).unwrap();
    let mut command = Command::new(&link);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .args(["list", "--url", &api.url()]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("alice@example.com")
    );
}

/// The script in a shell that closes or redirects its descriptors.
fn shell(api: &UserApi, words: &str) -> std::process::Output {
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!("'{SCRIPT}' {words}")])
        .env("USERMGMT_URL", api.url());
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn closed_descriptors_are_survived_or_named() {
    let api = UserApi::start(Lists::Array);
    let check = |words: &str, code: i32, message: &str| {
        let output = shell(&api, words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words}: {stderr}");
        assert!(stderr.contains(message), "{words}: {stderr}");
    };
    check("list <&-", 0, "");
    check("add <&-", 2, "standard input is empty");
    check("add-domain example.org <&-", 0, "");
    check("list >&-", 2, "standard output is closed");
    assert_eq!(api.domains(), ["example.com", "example.org"]);
}

#[test]
fn results_that_cannot_be_written_stop_it() {
    let api = UserApi::start(Lists::Array);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let input = tempfile::tempdir().unwrap();
    std::fs::write(input.path().join("lines"), lines(0..5)).unwrap();
    let output = Command::new(SCRIPT)
        .args(["add", "--url", &api.url()])
        .stdin(File::open(input.path().join("lines")).unwrap())
        .stdout(full)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(
        stderr.contains("a result cannot be written; not tried: 4 of 5"),
        "{stderr}"
    );
    assert_eq!(api.users().len(), 1);
}

#[test]
fn on_a_terminal_the_password_is_asked_for_and_not_shown() {
    let api = UserApi::start(Lists::Array);
    let command = format!("{SCRIPT} add a@example.com");
    let dir = tempfile::tempdir().unwrap();
    // A terminal of util-linux; the pause lets the script turn its echo off.
    let typing = format!(
        "(sleep 1; printf 'typed one\\n'; sleep 1) | script --quiet --return --command '{command}' /dev/null"
    );
    let output = Command::new("bash")
        .args(["-c", &typing])
        .env("USERMGMT_URL", api.url())
        .current_dir(dir.path())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(
        shown.contains("Password of a@example.com: ") && !shown.contains("typed one"),
        "{shown}"
    );
    assert_eq!(api.password("a@example.com").unwrap(), "typed one");
    let output = Command::new("script")
        .args([
            "--quiet",
            "--return",
            "--command",
            &command.replace(" a@example.com", ""),
            "/dev/null",
        ])
        .env("USERMGMT_URL", api.url())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("or give JSON lines on standard input")
    );
    assert_eq!(output.status.code(), Some(2));
}
