//! `credentials`, on files: each mode, owner and age is seen.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::support::{Bench, Found};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn age(path: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400 + 60);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(then)
        .unwrap();
}

/// A server whose secrets are as they should be, with certbot's two trees.
fn bench() -> Bench {
    let bench = Bench::new();
    let files = [
        "mail-server/.env",
        "mail-server/config/opendkim/keys/example.com/mail.private",
        "mail-server/data/certbot/archive/mx/privkey1.pem",
        "secret",
        "aws/credentials",
    ];
    for file in files {
        chmod(&bench.put(file, "x"), 0o600);
    }
    chmod(
        &bench.put("mail-server/config/opendkim/keys/example.com/mail.txt", "x"),
        0o644,
    );
    chmod(
        &bench.put("mail-server/data/certbot/archive/mx/fullchain1.pem", "x"),
        0o644,
    );
    fs::create_dir_all(bench.path("mail-server/data/certbot/live/mx")).unwrap();
    let live = bench.path("mail-server/data/certbot/live/mx/privkey.pem");
    symlink("../../archive/mx/privkey1.pem", live).unwrap();
    fs::create_dir(bench.path("backup")).unwrap();
    chmod(&bench.path("backup"), 0o700);
    bench
}

fn check(bench: &Bench, more: &str) -> Found {
    let settings = format!(
        "[credentials]\nfiles = [{:?}]\n{more}\n",
        bench.path("secret")
    );
    let aws = bench.path("aws/credentials");
    Found::of(
        bench
            .tool("credentials", &settings)
            .env("AWS_SHARED_CREDENTIALS_FILE", aws),
    )
}

fn target(bench: &Bench, name: &str) -> String {
    bench.path(name).display().to_string()
}

#[test]
fn secrets_that_are_young_and_private_are_ok() {
    let bench = bench();
    let found = check(&bench, "");
    assert_eq!(found.troubles(), [""; 0]);
    found
        .assert(
            "file-mode",
            &target(&bench, "mail-server/data/certbot"),
            "ok",
            "1 private keys",
        )
        .assert(
            "file-mode",
            &target(&bench, "mail-server/config/opendkim"),
            "ok",
            "1 private keys",
        )
        .assert("file-mode", &target(&bench, "backup"), "ok", "mode 0700")
        .assert("secret-age", "AWS keys", "ok", "0 days ago");
}

#[test]
fn each_fault_is_reported_alone() {
    let check = |spoil: &dyn Fn(&Bench),
                 settings: &str,
                 trouble: (&str, &str),
                 status: &str,
                 words: &str| {
        let bench = bench();
        spoil(&bench);
        let found = check(&bench, settings);
        let target = if trouble.1 == "AWS keys" {
            trouble.1.to_owned()
        } else {
            target(&bench, trouble.1)
        };
        assert_eq!(found.troubles(), [format!("{} {target}", trouble.0)]);
        found.assert(trouble.0, &target, status, words);
    };
    let env = "mail-server/.env";
    let certbot = "mail-server/data/certbot";
    let dkim = "mail-server/config/opendkim";
    let key = "mail-server/config/opendkim/keys/example.com/mail.private";
    check(
        &|b| age(&b.path(env), 90),
        "",
        ("secret-age", env),
        "warning",
        "90 days ago",
    );
    check(
        &|b| age(&b.path("secret"), 91),
        "",
        ("secret-age", "secret"),
        "warning",
        "91 days",
    );
    check(
        &|b| age(&b.path("aws/credentials"), 100),
        "",
        ("secret-age", "AWS keys"),
        "warning",
        "100 days",
    );
    check(
        &|_| (),
        "aws_created = \"2020-01-01\"",
        ("secret-age", "AWS keys"),
        "warning",
        "days ago",
    );
    check(
        &|b| chmod(&b.path(env), 0o644),
        "",
        ("file-mode", env),
        "critical",
        "run chmod go= ",
    );
    check(
        &|b| chmod(&b.path("secret"), 0o640),
        "",
        ("file-mode", "secret"),
        "warning",
        "by its group",
    );
    check(
        &|b| chmod(&b.path("backup"), 0o755),
        "",
        ("file-mode", "backup"),
        "critical",
        "(mode 0755)",
    );
    check(
        &|b| fs::remove_dir(b.path("backup")).unwrap(),
        "",
        ("file-mode", "backup"),
        "unknown",
        "cannot be looked at",
    );
    // Through certbot's symlink, and once.
    let archived = "mail-server/data/certbot/archive/mx/privkey1.pem";
    check(
        &|b| chmod(&b.path(archived), 0o644),
        "",
        ("file-mode", certbot),
        "critical",
        "privkey1.pem can be read by everyone",
    );
    let dangle = |b: &Bench| fs::rename(b.path(archived), b.path("elsewhere")).unwrap();
    check(
        &dangle,
        "",
        ("file-mode", certbot),
        "unknown",
        "live/mx/privkey.pem cannot be looked at",
    );
    check(
        &|b| fs::remove_file(b.path(key)).unwrap(),
        "",
        ("file-mode", dkim),
        "unknown",
        "no private key",
    );
    if rustix::process::geteuid().is_root() {
        let give = |b: &Bench| chown(b.path(key), Some(4242), None).unwrap();
        check(&give, "", ("file-mode", dkim), "warning", "belongs to 4242");
        let bench = bench();
        give(&bench);
        chmod(&bench.path(key), 0o640);
        let settings = "owners = [\"4242\"]\ngroup_may_read = true";
        assert_eq!(
            super::credentials::check(&bench, settings).troubles(),
            [""; 0]
        );
    }
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let bench = bench();
    let found = check(&bench, "");
    assert_eq!(found.troubles(), [""; 0]);
    fs::remove_file(bench.path("secret")).unwrap();
    let secret = target(&bench, "secret");
    check(&bench, "")
        .assert("secret-age", &secret, "unknown", "cannot be looked at")
        .assert("file-mode", &secret, "unknown", "cannot be looked at");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Another user sees the directory of the keys, and nothing in it.
    for (path, mode) in [
        ("", 0o755),
        ("state", 0o777),
        ("mail-server/config/opendkim/keys", 0o700),
    ] {
        fs::create_dir_all(bench.path(path)).unwrap();
        chmod(&bench.path(path), mode);
    }
    let tool = bench.tool("credentials", "[credentials]\n").as_nobody();
    let dkim = target(&bench, "mail-server/config/opendkim");
    Found::of(tool).assert(
        "file-mode",
        &dkim,
        "unknown",
        "opendkim/keys cannot be looked at: Permission denied",
    );
}
