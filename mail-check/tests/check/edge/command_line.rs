//! Operands, settings, help.

use std::fs;

use mail_tests::run::Tool;

use super::support::{Checker, assert_found};

#[test]
fn wrong_usage_is_unknown_to_nagios() {
    let checker = Checker::new("");
    let _ = checker
        .run(&["disks"])
        .assert_code(3)
        .assert_stderr("no check is called \"disks\"; known are resources,");
    let _ = checker
        .run(&["set"])
        .assert_code(3)
        .assert_stderr("`set` wants the directory of a set");
    let _ = Tool::new("mail-check")
        .arg("--no-such-flag")
        .run()
        .assert_code(3);
    let _ = Tool::new("mail-check").arg("--help").run().assert_code(0);
}

#[test]
fn a_mistake_in_the_file_of_checks_is_named_with_its_line() {
    let checker = Checker::new("[resources]\n\nmemory = { warning = 95, critical = 80 }\n");
    let _ = checker
        .run(&["resources"])
        .assert_code(3)
        .assert_stderr("line 3");
    fs::remove_file(checker.path("check.toml")).unwrap();
    let _ = checker
        .run(&["resources"])
        .assert_code(3)
        .assert_stderr("read the file of checks");
}

#[test]
fn what_is_asked_for_and_not_configured_is_not_ok() {
    let checker = Checker::new("");
    let outcome = checker.run(&["tls"]).assert_code(3);
    assert_found(&outcome, "tls", "configuration", "unknown", "see [tls]");
}

#[test]
fn the_printed_configuration_is_one() {
    let printed = Tool::new("mail-check")
        .arg("--print-config")
        .run()
        .assert_code(0)
        .text();
    assert!(printed.contains("[resources]"), "{printed}");
    let checker = Checker::new(&printed);
    let outcome = checker
        .run(&["--root", "/", "set", "/nonexistent"])
        .assert_code(2);
    assert_found(&outcome, "set", "/nonexistent", "critical", "no set");
}

#[test]
fn a_disk_at_its_limit_is_seen() {
    let checker = Checker::new("");
    // A limit of 0 % is reached by any disk.
    let limits = "[resources]\nmounts = [\"/\", \"/nonexistent\"]\ndisk = { warning = 0 }\ninodes = { critical = 0 }\n";
    fs::write(checker.path("check.toml"), limits).unwrap();
    let outcome = checker.run(&["resources"]).assert_code(2);
    assert_found(&outcome, "disk", "/", "warning", "of the space is used");
    assert_found(
        &outcome,
        "disk",
        "/nonexistent",
        "unknown",
        "cannot be looked at",
    );
}

/// As systemd runs a service, with a file in the journal's place; what goes elsewhere is plain.
#[test]
fn lines_in_the_journal_have_their_priority() {
    let checker = Checker::new(FULL);
    fs::write(checker.path("broken.toml"), "[resources]\nmemry = 1\n").unwrap();
    let run = |checks: &str| {
        let script = "exec 2>\"$0/$1.log\"; export JOURNAL_STREAM=$(stat -Lc %d:%i /dev/stderr)
            \"$2\" resources --state \"$0/state\" --checks \"$0/$1.toml\" >/dev/null
            \"$2\" resources --state \"$0/state\" --checks \"$0/$1.toml\" >/dev/null 2>\"$0/plain.log\"";
        let ran = std::process::Command::new("bash")
            .args(["-c", script])
            .arg(checker.path(""))
            .arg(checks)
            .arg(mail_tests::run::binary("mail-check"))
            .status();
        let _ended_as_its_checks_did = ran.unwrap();
        let read = |name: &str| fs::read_to_string(checker.path(name)).unwrap();
        (read(&format!("{checks}.log")), read("plain.log"))
    };
    let (journal, plain) = run("broken");
    assert!(journal.starts_with("<3>mail-check: error: "), "{journal}");
    assert!(plain.starts_with("mail-check: error: "), "{plain}");
    let (journal, plain) = run("check");
    assert!(journal.starts_with("<5>mail-check: CRITICAL"), "{journal}");
    assert!(plain.starts_with("mail-check: CRITICAL"), "{plain}");
}

/// A disk that is full by its limits, and a file of checks that is wrong.
const FULL: &str = "[resources]\nmounts = [\"/\"]\ndisk = { critical = 0 }\ninodes = { warning = 101 }\ntime_sync = false\n\
                    cpu = { warning = 101 }\nmemory = { warning = 101 }\nswap = { warning = 101 }\nload_per_core = { warning = 100000 }\n";

#[test]
fn nagios_is_spoken_where_it_is_asked_for() {
    let checker = Checker::new(FULL);
    let nagios = || {
        checker
            .tool()
            .args(["resources", "--format", "nagios"])
            .run()
    };
    let first_line = |outcome: &mail_tests::run::Outcome| {
        outcome.text().lines().next().unwrap_or_default().to_owned()
    };
    let flag = nagios().assert_code(2);
    let line = first_line(&flag);
    assert!(
        line.starts_with("MAIL CRITICAL - ") && line.contains(", 1 critical: disk | 'disk /'="),
        "{line}"
    );
    assert!(line.contains("%;;0 "), "{line}");
    let details: Vec<String> = flag.text().lines().skip(1).map(str::to_owned).collect();
    assert!(
        details[0].starts_with("CRITICAL disk /: ") && details.len() > 4,
        "{details:?}"
    );
    assert!(
        details
            .iter()
            .all(|line| !line.contains('|') && !line.starts_with('{')),
        "{details:?}"
    );

    let by_variable = checker
        .tool()
        .arg("resources")
        .env("MAIL_CHECK_FORMAT", "nagios")
        .run();
    assert!(first_line(&by_variable.assert_code(2)).starts_with("MAIL CRITICAL - "));
    let wrong = checker
        .tool()
        .arg("resources")
        .env("MAIL_CHECK_FORMAT", "xml")
        .run();
    let _ = wrong.assert_code(3);
    // Records are what everybody else gets.
    assert!(first_line(&checker.run(&["resources"])).starts_with('{'));

    fs::write(checker.path("check.toml"), "[resources]\nmemry = 1\n").unwrap();
    let broken = nagios().assert_code(3);
    let line = first_line(&broken);
    assert!(
        line.starts_with("MAIL UNKNOWN - read the file of checks"),
        "{line}"
    );
}
