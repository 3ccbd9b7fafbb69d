//! Sets that are damaged, not whole, or made to do harm: said, and nothing is touched.
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{SET, checked, flip, live, names, put, restore, seal, shell};
use mail_tests::server::Server;
use mail_tests::tree::snapshot;

/// Every file below `dir`, relative to it, sorted.
fn files(dir: &Path) -> Vec<PathBuf> {
    let found = shell(dir, "find . -type f | sed 's,^./,,' | sort");
    found.lines().map(PathBuf::from).collect()
}

/// A restore and a dry run of what `spoil` made of a set, with their codes and a part of what is
/// said; neither touches anything.
fn check(spoil: impl Fn(&Path), codes: (i32, i32), kind: &str) {
    let (server, set) = Server::saved(20);
    spoil(&set);
    let before = live(&server);
    let _ = restore(&server, &["--dry-run"])
        .assert_code(codes.0)
        .assert_failure(kind);
    let _ = restore(&server, &[])
        .assert_code(codes.1)
        .assert_failure(kind);
    before.assert_same(&live(&server));
}

#[test]
fn a_flipped_byte_in_any_file_is_found_and_nothing_is_touched() {
    let (server, set) = Server::saved(20);
    let before = live(&server);
    // The log for people is not used by a restore.
    for name in files(&set)
        .into_iter()
        .filter(|name| name != Path::new("backup.log"))
    {
        let path = set.join(&name);
        let whole = fs::read(&path).unwrap();
        let last = i64::try_from(whole.len()).unwrap() - 1;
        for at in [0, 1, last / 3, last / 2, last - 1, last] {
            flip(&path, at.max(0));
            let outcome = restore(&server, &[]);
            assert_eq!(
                outcome.code(),
                3,
                "{} at {at}: {}",
                name.display(),
                outcome.stderr
            );
            fs::write(&path, &whole).unwrap();
            before.assert_same(&live(&server));
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    check(
        |set| fs::remove_file(set.join("dkim/dkim.tar.zst")).unwrap(),
        (1, 3),
        "missing",
    );
    check(
        |set| fs::remove_file(set.join("checksums.sha256")).unwrap(),
        (3, 3),
        "missing",
    );
}

#[test]
fn an_extra_file_is_not_restored_and_is_reported() {
    let (server, set) = Server::saved(10);
    put(
        &set.join("mailboxes/example.com/alice/9999.tar.zst"),
        b"planted",
    );
    let outcome = restore(&server, &["--dry-run"]).assert_code(0);
    let _ = outcome.assert_stderr("9999.tar.zst is not in checksums.sha256 and is not restored");
    let _ = restore(&server, &[]).assert_code(0);
}

#[test]
fn a_truncated_segment_is_found() {
    let cut = |set: &Path| {
        shell(
            set,
            "truncate -s -1 mailboxes/example.com/alice/0001.tar.zst",
        )
    };
    check(|set| drop(cut(set)), (1, 3), "damaged");
    // Also when the checksums were made again over the damage, as the old scripts did.
    let cut_and_seal = |set: &Path| {
        cut(set);
        fs::remove_file(set.join("manifest.jsonl")).unwrap();
        seal(set);
    };
    check(cut_and_seal, (1, 3), "damaged");
}

#[test]
fn a_set_that_is_being_written_is_refused() {
    let (server, set) = Server::saved(10);
    let hidden = set.with_file_name(".2026-11-24.new");
    fs::rename(&set, &hidden).unwrap();
    let before = live(&server);
    let outcome = checked(server.restore().arg("--from").arg(&hidden));
    let _ = outcome.assert_code(3).assert_failure("missing");
    before.assert_same(&live(&server));
}

#[test]
fn a_manifest_of_a_newer_version_is_refused() {
    let newer = |set: &Path| {
        shell(set, "sed -i '1s/\"v\":1/\"v\":2/' manifest.jsonl");
        seal(set);
    };
    check(newer, (3, 3), "unsupported");
}

#[test]
fn a_manifest_that_contradicts_the_checksums_is_refused() {
    let forge = |set: &Path| {
        shell(set, "echo more >>config/env");
        seal(set);
    };
    check(forge, (3, 3), "damaged");
}

#[test]
fn what_was_never_a_set_is_refused() {
    let (server, _) = Server::saved(1);
    let _ = checked(server.restore().args(["--from", "daily/2020-01-01"]))
        .assert_code(2)
        .assert_failure("no_such");
    let _ = checked(server.restore().args(["--from", "/"]))
        .assert_code(2)
        .assert_failure("no_such");
    fs::remove_file(server.root().join("latest")).unwrap();
    let _ = checked(server.restore().args(["--from", "latest"])).assert_code(2);
}

/// A set of the old scripts whose one archive of keys is what `script` makes of the directory
/// `evil`.
fn hostile(server: &Server, script: &str) -> PathBuf {
    let set = server.root().join("daily/2026-01-01");
    fs::create_dir_all(set.join("dkim")).unwrap();
    let work = server.dir().join("evil");
    fs::create_dir_all(&work).unwrap();
    shell(&work, script);
    fs::rename(work.join("evil.tar.gz"), set.join("dkim/dkim.tar.gz")).unwrap();
    fs::remove_dir_all(&work).unwrap();
    seal(&set);
    set
}

/// A hostile archive is refused, live and into a directory, in a dry run too where that can be seen
/// without writing.
fn check_hostile(script: &str, member: &str, dry_run: i32) {
    let server = Server::new(&mail_tests::maildir::TreePlan::new(1, 1, 1));
    put(&server.dir().join("outside/secret"), b"secret\n");
    let script = script.replace("OUTSIDE", server.dir().join("outside").to_str().unwrap());
    let set = hostile(&server, &script);
    let before = live(&server);
    let run = |args: &[&str]| checked(server.restore().arg("--from").arg(&set).args(args));
    let _ = run(&["--dry-run"]).assert_code(dry_run);
    let _ = run(&[])
        .assert_code(3)
        .assert_failure("refused")
        .assert_stderr(member);
    before.assert_same(&live(&server));
    let to = server.dir().join("to");
    let _ = run(&["--to", to.to_str().unwrap()])
        .assert_code(3)
        .assert_failure("refused");
    assert_eq!(names(&to), [] as [&str; 0], "{script}");
    fs::remove_dir(&to).unwrap();
    before
        .without_dir_times()
        .assert_same(&live(&server).without_dir_times());
}

#[test]
fn a_hostile_archive_cannot_write_outside() {
    let out = "dkim/dkim.tar.gz";
    check_hostile(
        "echo x >f; tar -czPf evil.tar.gz --transform='s,f,../../outside/planted,' f",
        out,
        1,
    );
    check_hostile(
        "echo x >f; tar -czPf evil.tar.gz --transform='s,f,OUTSIDE/planted,' f",
        out,
        1,
    );
    check_hostile(
        "echo x >f; tar -czPf evil.tar.gz --transform='s,f,a/../../f,' f",
        out,
        1,
    );
    // A link, then a file through it.
    let through = "ln -s OUTSIDE link; tar -cf evil.tar link; rm link; mkdir link; echo x >link/planted; tar -rf evil.tar link/planted; gzip evil.tar";
    check_hostile(through, "link/planted", 0);
    // A link, then the file that has its name.
    let over = "ln -s OUTSIDE/secret f; tar -cf evil.tar f; rm f; echo x >f; tar -rf evil.tar f; gzip evil.tar";
    check_hostile(over, ": f", 0);
    // A hard link to what lies outside: by its name, and through a link.
    check_hostile(
        "echo x >f; ln f g; tar -czPf evil.tar.gz --transform='s,^f$,../../outside/secret,h' f g",
        out,
        1,
    );
    let linked = "ln -s OUTSIDE link; mkdir d; echo x >d/secret; ln d/secret got; tar -cf evil.tar link; \
                  tar -rPf evil.tar --transform='s,^d/secret$,link/secret,h' --exclude=nothing d/secret got; gzip evil.tar";
    check_hostile(linked, "link/secret", 0);
}

#[test]
fn devices_and_pipes_are_refused() {
    check_hostile("mkfifo pipe; tar -czf evil.tar.gz pipe", "pipe", 1);
    if crate::support::is_root() {
        check_hostile("mknod disk b 8 0; tar -czf evil.tar.gz disk", "disk", 1);
    }
}

#[test]
fn the_same_name_twice_is_refused_and_other_names_are_others() {
    check_hostile(
        "echo a >f; tar -cf evil.tar f; echo b >f; tar -rf evil.tar f; gzip evil.tar",
        ": f",
        0,
    );
    // Names that a case-insensitive disk takes for one are files of their own here, and so are
    // normal forms.
    let server = Server::new(&mail_tests::maildir::TreePlan::new(1, 1, 1));
    let set = hostile(
        &server,
        "echo a >key; echo b >KEY; echo c >$'\\u00e9'; echo d >$'e\\u0301'; tar -czf evil.tar.gz [kKé]* e*",
    );
    let to = server.dir().join("to");
    let _ = checked(server.restore().arg("--from").arg(set).arg("--to").arg(&to)).assert_code(0);
    let found: Vec<_> = names(&to.join("dkim"));
    assert_eq!(found, ["KEY", "e\u{301}", "key", "\u{e9}"]);
}

#[test]
fn a_bomb_stops_at_the_recorded_size() {
    let (server, set) = Server::saved(5);
    // The record says what the archive was; what is there now unpacks to a hundred megabytes.
    shell(
        &set,
        "mkdir w; truncate -s 100M w/zeros; tar -C w -cf - zeros | zstd -q -f -o dkim/dkim.tar.zst; rm -r w",
    );
    let (digest, bytes) = (
        shell(&set, "sha256sum dkim/dkim.tar.zst | cut -c1-64"),
        shell(&set, "stat -c %s dkim/dkim.tar.zst"),
    );
    let manifest = fs::read_to_string(set.join("manifest.jsonl")).unwrap();
    let forged: Vec<String> = manifest
        .lines()
        .map(|line| {
            let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
            if record["data"]["path"] == "dkim/dkim.tar.zst" {
                record["data"]["sha256"] = digest.trim().into();
                record["data"]["bytes"] = bytes.trim().parse::<u64>().unwrap().into();
            }
            record.to_string() + "\n"
        })
        .collect();
    fs::write(set.join("manifest.jsonl"), forged.concat()).unwrap();
    seal(&set);
    let before = live(&server);
    let _ = restore(&server, &["--dry-run"])
        .assert_code(1)
        .assert_failure("refused");
    let _ = restore(&server, &[])
        .assert_code(3)
        .assert_failure("refused");
    before.assert_same(&live(&server));
}

#[test]
fn an_index_that_does_not_fit_its_segments_is_found_by_the_dry_run() {
    let (server, set) = Server::saved(20);
    // One mailbox's index and segments belong to another day.
    shell(
        &set,
        "cd mailboxes/example.com/alice; zstd -dcq 0001.jsonl.zst | sed '$d' | zstd -q -o new; mv new 0001.jsonl.zst",
    );
    fs::remove_file(set.join("manifest.jsonl")).unwrap();
    seal(&set);
    let _ = restore(&server, &["--dry-run"])
        .assert_code(1)
        .assert_failure("damaged")
        .assert_stderr("mailboxes/example.com/alice");
}

#[test]
fn a_set_inside_its_target_is_refused() {
    let (server, set) = Server::saved(1);
    let before = snapshot(server.dir());
    let run = |name: &str, value: &Path| {
        checked(
            server
                .restore()
                .args(["--from", SET, "--component", "mail"])
                .env(name, value),
        )
        .assert_code(2)
        .assert_failure("usage")
    };
    let _ = run("MAIL_DATA_DIR", &server.root()).assert_stderr("holds the set");
    let _ = run("MAIL_DATA_DIR", &set.join("mail")).assert_stderr("lies in the set");
    let _ = run("MAIL_DATA_DIR", Path::new("/proc")).assert_stderr("mount point");
    let _ = run("MAIL_DATA_DIR", &server.dir().join("no/such/mail"))
        .assert_stderr("make the directory first");
    let _ = run("MAIL_DATA_DIR", &server.dir().join(".env")).assert_stderr("is not a directory");
    before.assert_same(&snapshot(server.dir()));
}
