//! Whether a set is as it was made.

use std::fs;
use std::path::Path;

use mail_tests::server::Server;

use super::support::{Checker, assert_found, checked, found, shell};

/// Checks the set after `spoil`, and expects a status and a part of the message.
#[track_caller]
fn check(spoil: impl Fn(&Path), status: &str, part: &str) {
    let (server, set) = Server::saved(40);
    spoil(&set);
    check_set(&server, "daily/2026-11-23", status, part);
}

#[track_caller]
fn check_set(server: &Server, operand: &str, status: &str, part: &str) {
    let checker = Checker::new("");
    let outcome = checked(
        checker
            .tool()
            .arg("--root")
            .arg(server.root())
            .args(["set", operand]),
    );
    assert_found(&outcome, "set", operand, status, part);
    let code = ["ok", "warning", "critical"]
        .iter()
        .position(|name| *name == status)
        .unwrap();
    let _ = outcome.assert_code(i32::try_from(code).unwrap());
}

/// Makes the checksums again over whatever is there, as the old scripts did; without a manifest
/// nobody objects.
fn seal(set: &Path) {
    shell(
        set,
        "rm -f manifest.jsonl\n\
         find . -type f ! -name 'checksums.*' -print0 | sort -z | xargs -0 sha256sum | sed 's,  ./,  ,' >checksums.new\n\
         mv checksums.new checksums.sha256",
    );
}

#[test]
fn a_whole_set_is_ok() {
    check(
        |_| {},
        "ok",
        "digests, archives, indexes and dumps are whole",
    );
}

#[test]
fn a_damaged_byte_anywhere_is_found() {
    let (server, set) = Server::saved(20);
    let checker = Checker::new("");
    let files = shell(&set, "find . -name '*.zst' -o -name env | sort");
    for file in files.lines() {
        let path = set.join(file);
        let whole = fs::read(&path).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, damaged).unwrap();
            let outcome = checked(
                checker
                    .tool()
                    .arg("--root")
                    .arg(server.root())
                    .args(["set", "daily/2026-11-23"]),
            );
            let (status, message) = found(&outcome, "set", "daily/2026-11-23");
            assert_eq!(status, "critical", "{file} at {at}");
            assert!(
                message.contains(&file[2..]) && message.contains("sha256"),
                "{file} at {at}: {message}"
            );
        }
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_missing_file_is_named() {
    check(
        |set| fs::remove_file(set.join("dkim/dkim.tar.zst")).unwrap(),
        "critical",
        "dkim.tar.zst is missing",
    );
    check(
        |set| fs::remove_file(set.join("checksums.sha256")).unwrap(),
        "critical",
        "has no checksums.sha256",
    );
}

#[test]
fn what_is_not_of_the_set_is_named() {
    check(
        |set| fs::write(set.join("notes.txt"), "x").unwrap(),
        "warning",
        "such as notes.txt",
    );
}

#[test]
fn links_of_a_set_of_the_old_scripts_are_of_the_set() {
    let old = |set: &Path| {
        shell(
            set,
            "mkdir -p mail/example.com/alice; ln -s sieve/main.sieve mail/example.com/alice/.dovecot.sieve",
        );
        seal(set);
    };
    check(old, "ok", "whole");
    let link = |set: &Path| drop(shell(set, "ln -s backup.log link"));
    check(link, "warning", "such as link");
}

#[test]
fn checksums_that_were_made_over_damage_do_not_hide_it() {
    let after = |script: &'static str| {
        move |set: &Path| {
            shell(set, script);
            seal(set);
        }
    };
    check(after("true"), "ok", "whole");
    check(
        after("truncate -s -1 mailboxes/example.com/alice/0001.tar.zst"),
        "critical",
        "though its digest is right",
    );
    check(
        after("truncate -s -20 config/config.tar.zst"),
        "critical",
        "though its digest is right",
    );
    check(
        after("truncate -s -5 mailboxes/example.com/alice/0001.jsonl.zst"),
        "critical",
        "is not a whole index",
    );
    check(
        after("rm mailboxes/example.com/alice/0001.tar.zst"),
        "critical",
        "0001.tar.zst is missing",
    );
    check(
        after("rm mailboxes/example.com/alice/0001.jsonl.zst"),
        "critical",
        "0001.jsonl.zst is missing",
    );
    check(
        after("rm mailboxes/example.com/alice/state.jsonl.zst"),
        "critical",
        "state.jsonl.zst is not",
    );
}

#[test]
fn an_index_that_does_not_fit_its_segments_is_found() {
    let edit = |script: &'static str| {
        move |set: &Path| {
            let rewrite = format!(
                "cd mailboxes/example.com/alice; zstd -dq --rm 0001.jsonl.zst -o plain; {script} plain | zstd -q -o 0001.jsonl.zst; rm plain"
            );
            shell(set, &rewrite);
            seal(set);
        }
    };
    check(edit("cat"), "ok", "whole");
    let wrong_digest = r#"sed -E '0,/"sha256":"[0-9a-f]{8}/s//"sha256":"00000000/'"#;
    check(
        edit(wrong_digest),
        "critical",
        "is not what the index says of it",
    );
    check(
        edit(r#"sed -E '0,/"frame_offset":[0-9]+/s//"frame_offset":7/'"#),
        "critical",
        "does not place there",
    );
    check(
        edit(r#"sed -E 's/"frame_bytes":[0-9]+/"frame_bytes":7/'"#),
        "critical",
        "in a frame that is not there",
    );
    check(
        edit("sed '$d'"),
        "critical",
        "does not list what the state has there",
    );
}

#[test]
fn a_dump_that_was_cut_is_found() {
    let add = |text: &'static str| {
        move |set: &Path| {
            shell(
                set,
                &format!("mkdir mysql; printf '{text}' | gzip >mysql/mailserver.sql.gz"),
            );
            seal(set);
        }
    };
    check(
        add("CREATE TABLE t (a INT);\\n-- Dump completed on 2026-11-23  3:00:00\\n"),
        "ok",
        "whole",
    );
    check(
        add("CREATE TABLE t (a INT);\\nINSERT INTO t VALUES (1"),
        "critical",
        "has no line that ends a dump",
    );
}

#[test]
fn a_set_of_a_backup_that_failed_in_part_is_no_good_one() {
    let (server, _) = Server::saved(10);
    fs::rename(server.dir().join("opendkim"), server.dir().join("gone")).unwrap();
    let _ = server
        .backup()
        .args(super::support::TREES)
        .args(["--date", "2026-11-24"])
        .run()
        .assert_code(1);
    check_set(
        &server,
        "daily/2026-11-24.incomplete",
        "warning",
        "a part of the backup had failed",
    );
    check_set(
        &server,
        "daily/2026-11-25",
        "critical",
        "no set \"daily/2026-11-25\"",
    );
}
