//! Sets of the old scripts: plain mail, gzip archives, no manifest.
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{checked, live, put, restored, seal, shell};
use mail_tests::maildir::TreePlan;
use mail_tests::run::{Outcome, Tool};
use mail_tests::server::Server;
use mail_tests::tree::{Entry, Snapshot, snapshot};

/// A server, and a set of it as the old scripts made it; `tar` is how they called tar for a
/// directory DIR.
fn saved_by_script(tar: &str) -> (Server, PathBuf) {
    let server = Server::new(&TreePlan {
        mean_bytes: 2_000,
        ..TreePlan::new(80, 3, 21)
    });
    let set = server.root().join("daily/2026-11-22");
    fs::create_dir_all(&set).unwrap();
    let tar = |dir: &str| tar.replace("DIR", server.dir().join(dir).to_str().unwrap());
    let dir = server.dir().display();
    shell(
        &set,
        &format!(
            "mkdir config ssl dkim; cp -a {dir}/mail mail; {}; {}; {}; cp {dir}/docker-compose.yml {dir}/.env config/",
            tar("config").replace("OUT", "config/config.tar.gz"),
            tar("certbot").replace("OUT", "ssl/certbot.tar.gz"),
            tar("opendkim").replace("OUT", "dkim/dkim.tar.gz"),
        ),
    );
    seal(&set);
    (server, set)
}

fn run(tool: Tool, set: &Path) -> Outcome {
    checked(tool.arg("--from").arg(set))
}

#[test]
fn everything_comes_back_however_tar_was_called() {
    let ways = [
        "tar -czf OUT -C DIR .",
        "tar -czf OUT -C $(dirname DIR) $(basename DIR)",
        "tar -czf OUT DIR 2>/dev/null",
        "tar --format=gnu -czf OUT -C DIR .",
    ];
    for tar in ways {
        let (server, set) = saved_by_script(tar);
        let before = restored(&server);
        let lose = "rm -r mail config certbot; echo lost >opendkim/keys/example.com/mail.private; echo lost >.env";
        shell(server.dir(), lose);
        let _ = run(server.restore(), &set).assert_code(0);
        let after = restored(&server);
        // tar keeps whole seconds.
        let whole_seconds = |tree: &Snapshot| -> Vec<_> {
            let seconds = |(path, entry): (&PathBuf, &Entry)| {
                (
                    path.clone(),
                    Entry {
                        mtime_ns: entry.mtime_ns / 1_000_000_000,
                        ..entry.clone()
                    },
                )
            };
            tree.entries().iter().map(seconds).collect()
        };
        assert!(
            whole_seconds(&before) == whole_seconds(&after),
            "{tar}: {:?}",
            before.diff(&after)
        );
        assert_eq!(
            fs::read_to_string(server.dir().join(".env")).unwrap(),
            "DOMAIN=example.com\n"
        );
    }
}

#[test]
fn mail_is_as_it_was_to_the_nanosecond() {
    let (server, set) = saved_by_script("tar -czf OUT -C DIR .");
    let before = snapshot(&server.mail());
    fs::remove_dir_all(server.mail()).unwrap();
    let _ = run(server.restore().args(["--component", "mail"]), &set).assert_code(0);
    before.assert_same(&snapshot(&server.mail()));
}

#[test]
fn mail_that_is_in_no_checksum_is_named_and_not_restored() {
    let (server, set) = saved_by_script("tar -czf OUT -C DIR .");
    put(
        &set.join("mail/example.com/alice/cur/1.late:2,"),
        b"after the checksums",
    );
    let to = server.dir().join("to");
    let outcome = run(
        server
            .restore()
            .args(["--component", "mail", "--to"])
            .arg(&to),
        &set,
    )
    .assert_code(0);
    let _ =
        outcome.assert_stderr("mail/example.com/alice/cur/1.late:2, is not in checksums.sha256");
    assert!(
        !to.join("mailboxes/example.com/alice/cur/1.late:2,")
            .exists()
    );
}

#[test]
fn damage_is_found() {
    let (server, set) = saved_by_script("tar -czf OUT -C DIR .");
    let message = shell(
        &set,
        "find mail -type f -path '*/cur/*' -size +1k | head -1",
    );
    crate::support::flip(&set.join(message.trim_end()), 100);
    let before = live(&server);
    let _ = run(server.restore(), &set)
        .assert_code(3)
        .assert_failure("damaged");
    before.assert_same(&live(&server));
}

#[test]
fn an_archive_that_was_cut_before_its_checksum_was_made_is_refused() {
    let (server, set) = saved_by_script("tar -czf OUT -C DIR .");
    shell(&set, "truncate -s -20 config/config.tar.gz");
    seal(&set);
    let before = live(&server);
    let _ = run(server.restore().arg("--dry-run"), &set)
        .assert_code(1)
        .assert_failure("damaged")
        .assert_stderr("config/config.tar.gz");
    let _ = run(server.restore(), &set)
        .assert_code(3)
        .assert_failure("damaged")
        .assert_stderr("config/config.tar.gz");
    before.assert_same(&live(&server));
}
