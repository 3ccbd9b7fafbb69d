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
