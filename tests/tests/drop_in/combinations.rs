//! Each script is swapped in alone, while the other three are still the old ones: all sixteen
//! combinations bring the mail back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mail_tests::clamd::eicar;
use mail_tests::host::{Host, ended_with};
use mail_tests::s3::{S3Server, program};
use mail_tests::set::assert_checksums;
use mail_tests::tree::{Entry, Snapshot, snapshot};

const MESSAGES: u64 = 60;
const BUCKET: &str = "drop-in";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Old,
    New,
}

use Kind::{New, Old};

struct Site {
    host: Host,
    s3: S3Server,
    prefix: String,
}

impl Site {
    fn new(prefix: &str) -> Self {
        let s3 = S3Server::moto();
        s3.make_bucket(BUCKET);
        let site = Self {
            host: Host::new(MESSAGES),
            s3,
            prefix: prefix.to_owned(),
        };
        site.host.configure(&[
            ("S3_BUCKET", BUCKET),
            ("S3_PREFIX", prefix),
            // The old way down is `aws s3 sync`.
            ("S3_LAYOUT", "plain"),
            ("COMPOSE", "none"),
            ("CHECK_WAIT", "5"),
        ]);
        site
    }

    /// One of the four scripts, the old or the new one.
    fn script(&self, name: &str, kind: Kind) -> Command {
        let mut command = self.host.script(name);
        if kind == Old {
            let old = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/drop_in/old")
                .join(name);
            let mut bash = Command::new("/bin/bash");
            bash.arg(old).env_clear().stdin(std::process::Stdio::null());
            for (name, value) in command.get_envs() {
                bash.env(name, value.unwrap_or_default());
            }
            command = bash;
        }
        command
            .envs(self.s3.environment())
            .env("AWS", program("aws"))
            .env("CLAMD_CONFIG", self.host.clamd.config_file());
        command
    }

    /// What the old way down gives: `aws s3 sync`.
    fn down(&self, date: &str) -> PathBuf {
        let dir = self.host.server.dir().join("down");
        let from = format!("s3://{BUCKET}/{}/daily/{date}", self.prefix);
        let _ = self.s3.aws_ok(&[
            "s3",
            "sync",
            &from,
            dir.to_str().expect("a path of ours"),
            "--only-show-errors",
        ]);
        assert_checksums(&dir);
        dir
    }

    fn lose_everything(&self) {
        fs::remove_dir_all(self.host.server.mail()).expect("mail can be lost");
        self.host.database.sql("DROP DATABASE IF EXISTS mailserver");
    }
}

/// One of today's sets, by whichever script.
fn today(site: &Site) -> String {
    let names = site.host.server.daily_names();
    assert_eq!(names.len(), 1, "{names:?}");
    names.into_iter().next().expect("it was counted")
}

/// Scan and restore with either script, of a set that was made and copied by either.
#[track_caller]
fn check(backup: Kind, sync: Kind) {
    let site = Site::new(&format!("{backup:?}-{sync:?}").to_lowercase());
    let mail = snapshot(&site.host.server.mail()).without_temporary();
    ended_with(
        site.script("backup-mailserver.sh", backup).arg("--daily"),
        0,
    );
    let date = today(&site);
    ended_with(
        site.script("sync-to-s3.sh", sync).args(["--date", &date]),
        0,
    );
    let down = site.down(&date);
    for scan in [Old, New] {
        ended_with(site.script("scan-before-restore.sh", scan).arg(&down), 0);
        for restore in [Old, New] {
            site.lose_everything();
            let mut set = down.clone();
            if backup == New && restore == Old {
                // The old script knows the old kind alone.
                ended_with(
                    site.script("restore-mailserver.sh", Old)
                        .arg("--from")
                        .arg(&down),
                    1,
                );
                set = site.host.server.dir().join(format!("plain-{scan:?}"));
                ended_with(
                    site.host
                        .script("plain-set.sh")
                        .arg(&down)
                        .arg(&set)
                        .env("PATH", site.path()),
                    0,
                );
                assert_checksums(&set);
            }
            ended_with(
                site.script("restore-mailserver.sh", restore)
                    .arg("--from")
                    .arg(&set),
                0,
            );
            let now = snapshot(&site.host.server.mail()).without_temporary();
            assert!(
                files(&mail) == files(&now),
                "{backup:?} {sync:?} {scan:?} {restore:?}: {:?}",
                mail.diff(&now)
            );
            assert_eq!(
                site.host
                    .database
                    .sql("SELECT id FROM mailserver.users")
                    .trim(),
                "7"
            );
        }
    }
}

impl Site {
    fn path(&self) -> String {
        format!("{}:/usr/bin:/bin", self.host.bin().display())
    }
}

/// Every file and the digest of its content: a bucket keeps no owners, times and empty directories
/// of a plain tree, and `aws s3 sync` makes a file of a link.
fn files(tree: &Snapshot) -> Vec<String> {
    let file = |(path, entry): (&PathBuf, &Entry)| {
        Some(format!("{} {}", path.display(), entry.sha256.as_ref()?))
    };
    tree.entries()
        .iter()
        .filter(|(path, _)| !path.ends_with(".dovecot.sieve"))
        .filter_map(file)
        .collect()
}

#[test]
fn backup_old_sync_old() {
    check(Old, Old);
}

#[test]
fn backup_old_sync_new() {
    check(Old, New);
}

#[test]
fn backup_new_sync_old() {
    check(New, Old);
}

#[test]
fn backup_new_sync_new() {
    check(New, New);
}

/// An infected message is found by the new script in sets of both kinds; the old one says clean to
/// what clamd does not open.
#[test]
fn the_new_scan_finds_what_the_old_one_could_not_see() {
    for (backup, old_finds) in [(Old, 1), (New, 0)] {
        let site = Site::new("infected");
        fs::write(
            site.host
                .server
                .mail()
                .join("example.com/alice/cur/1763900000.M7P7.mx:2,S"),
            eicar(),
        )
        .expect("mail comes in");
        ended_with(&mut site.script("backup-mailserver.sh", backup), 0);
        let set = site.host.server.daily(&today(&site));
        ended_with(
            site.script("scan-before-restore.sh", Old).arg(&set),
            old_finds,
        );
        ended_with(site.script("scan-before-restore.sh", New).arg(&set), 1);
        assert!(
            site.host.log(".scan-cron.log").contains("[ERROR] [SCAN]"),
            "{}",
            site.host.log(".scan-cron.log")
        );
        let before = snapshot(&site.host.server.mail());
        let refused = ended_with(
            site.script("restore-mailserver.sh", New)
                .arg("--from")
                .arg(&set),
            1,
        );
        assert!(!refused.stderr.is_empty());
        before.assert_same(&snapshot(&site.host.server.mail()));
    }
}
