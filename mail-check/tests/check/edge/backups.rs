//! The sets below the backup root.

use std::fs;

use mail_tests::run::Outcome;
use mail_tests::server::Server;

use super::support::{Checker, assert_found, checked, shell};

const SETTINGS: &str = "[backups]\ncomponents = [\"mailboxes\", \"config\", \"ssl\", \"dkim\"]\n";

#[track_caller]
fn backups(server: &Server) -> Outcome {
    let checker = Checker::new(SETTINGS);
    checked(
        checker
            .tool()
            .arg("--root")
            .arg(server.root())
            .arg("backups"),
    )
}

#[test]
fn a_set_that_was_just_made_is_ok() {
    let (server, _) = Server::saved(10);
    let outcome = backups(&server).assert_code(0);
    assert_found(
        &outcome,
        "backup",
        "daily",
        "ok",
        "daily/2026-11-23 is complete",
    );
    assert_found(
        &outcome,
        "backup-components",
        "daily/2026-11-23",
        "ok",
        "every component is there",
    );
    assert_found(
        &outcome,
        "backup-space",
        server.root().to_str().unwrap(),
        "ok",
        "room for",
    );
}

#[test]
fn an_old_a_failed_a_damaged_and_a_missing_set_are_critical() {
    let (server, set) = Server::saved(10);
    shell(&set, "touch -d '27 hours ago' checksums.sha256");
    let outcome = backups(&server).assert_code(2);
    assert_found(&outcome, "backup", "daily", "critical", "1 d 3 h old");
    shell(&set, "touch checksums.sha256");

    fs::rename(server.dir().join("opendkim"), server.dir().join("gone")).unwrap();
    let _ = server
        .backup()
        .args(super::support::TREES)
        .args(["--date", "2026-11-24"])
        .run()
        .assert_code(1);
    let outcome = backups(&server).assert_code(2);
    assert_found(
        &outcome,
        "backup",
        "daily",
        "ok",
        "daily/2026-11-23 is complete",
    );
    assert_found(
        &outcome,
        "backup",
        "daily/2026-11-24",
        "critical",
        "opendkim",
    );
    fs::remove_dir_all(server.root().join("daily/2026-11-24.incomplete")).unwrap();

    shell(&set, "truncate -s -9 manifest.jsonl");
    let outcome = backups(&server).assert_code(2);
    assert_found(
        &outcome,
        "backup",
        "daily/2026-11-23",
        "critical",
        "manifest",
    );

    fs::remove_dir_all(server.root()).unwrap();
    let outcome = backups(&server).assert_code(2);
    assert_found(
        &outcome,
        "backup",
        server.root().to_str().unwrap(),
        "critical",
        "No such file",
    );
}

#[test]
fn a_set_whose_files_are_gone_or_cut_is_critical() {
    for damage in ["rm -r mailboxes", "truncate -s -1 dkim/dkim.tar.zst"] {
        let (server, set) = Server::saved(10);
        shell(&set, damage);
        let outcome = backups(&server).assert_code(2);
        assert_found(
            &outcome,
            "backup",
            "daily/2026-11-23",
            "critical",
            "is missing or has another size",
        );
    }
}

#[test]
fn an_older_set_that_cannot_be_restored_is_named() {
    let ruin = [
        "rm manifest.jsonl; mkfifo manifest.jsonl",
        "truncate -s -9 manifest.jsonl",
        "rm manifest.jsonl",
        "rm dkim/dkim.tar.zst",
    ];
    for damage in ruin {
        let (server, older) = Server::saved(10);
        let next = server.backup().args(super::support::TREES);
        let _ = next.args(["--date", "2026-11-24"]).run().assert_code(0);
        shell(&older, damage);
        let outcome = backups(&server).assert_code(1);
        let words = "cannot be restored as it was made";
        assert_found(&outcome, "backup", "daily/2026-11-23", "warning", words);
        assert_found(&outcome, "backup", "daily", "ok", "daily/2026-11-24");
    }
}

#[test]
fn a_disk_that_is_not_mounted_is_critical() {
    let (server, _) = Server::saved(10);
    let checker = Checker::new(SETTINGS);
    let tool = checker
        .tool()
        .env("BACKUP_ROOT", server.root())
        .env("BACKUP_MOUNTPOINT", server.dir());
    let outcome = checked(tool.arg("backups")).assert_code(2);
    assert_found(
        &outcome,
        "backup",
        server.dir().to_str().unwrap(),
        "critical",
        "not mounted",
    );
}

#[test]
fn what_restores_have_kept_is_counted() {
    let (server, _) = Server::saved(10);
    let root = server.root();
    let check = |part: &str| {
        let checker = Checker::new("[backups]\nweekly = false\n");
        let tool = checker.tool().arg("--root").arg(&root).arg("backups");
        let outcome = checked(tool.env("MAIL_DATA_DIR", server.dir().join("mail")));
        assert_found(&outcome, "leftovers", root.to_str().unwrap(), "ok", part);
    };
    check("no restore has left anything");
    shell(
        server.dir(),
        "mkdir -p mail.bak.20261123T030000 mail/example.com/ann.bak.20261123T030000-2
         head -c 1000000 /dev/zero >mail.bak.20261123T030000/x; touch mail/example.com/main.cf.bak",
    );
    shell(&root, "mkdir -p pre-restore/2026-11-23T030000");
    check("3 files and directories from before a restore are kept and take ");
}
