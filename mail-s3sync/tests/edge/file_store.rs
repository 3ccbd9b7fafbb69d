//! Push, pull, verify, list and usage with a directory as the store: the whole logic without a
//! network.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::support::{DAY_1, DAY_2, SampleRoot, assert_sums, tree};
use mail_tests::run::Outcome;
use mail_tests::schema::Schema;
use rustix::fs::FlockOperation;

pub(crate) const FILES: [(&str, &[u8]); 5] = [
    ("mailboxes/example.com/alice/0000.tar.zst", b"directories"),
    (
        "mailboxes/example.com/alice/0001.tar.zst",
        b"messages of alice",
    ),
    ("mailboxes/example.com/bob/0001.tar.zst", b"messages of bob"),
    ("mysql/mailserver.sql.zst", b"tables"),
    ("dkim/dkim.tar.zst", b"keys"),
];

/// How many transfers of each action: uploaded, copied, skipped, downloaded.
pub(crate) fn actions(outcome: &Outcome) -> [usize; 4] {
    Schema::open().assert_valid(&outcome.records());
    let transfers = outcome.data("transfer");
    ["uploaded", "copied", "skipped", "downloaded"].map(|action| {
        transfers
            .iter()
            .filter(|transfer| transfer["action"] == action)
            .count()
    })
}

pub(crate) fn complete_sets(root: &SampleRoot) -> Vec<String> {
    let outcome = root
        .tool()
        .args(["list", "--from", &root.file_url()])
        .run()
        .assert_code(0);
    let sets = outcome.data("set");
    sets.iter()
        .filter(|set| set["complete"] == true)
        .map(|set| set["set"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_set_is_pushed_listed_verified_and_pulled_as_it_is() {
    let root = SampleRoot::new();
    let set = root.make_daily(DAY_1, &FILES);
    let pushed = root.push_to_file(DAY_1).run().assert_code(0);
    assert_eq!(actions(&pushed), [8, 0, 0, 0]);
    // Manifest and checksums come last.
    let paths: Vec<String> = pushed
        .data("transfer")
        .iter()
        .map(|transfer| transfer["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(paths[6..], ["manifest.jsonl", "checksums.sha256"]);
    let stored = root.store().join("daily").join(DAY_1);
    assert_eq!(tree(&stored), tree(&set));
    assert_sums(&stored);
    assert_eq!(complete_sets(&root), [format!("daily/{DAY_1}")]);
    for deep in [&[][..], &["--deep"]] {
        let verified = root
            .tool()
            .args(["verify", "--from", &root.file_url()])
            .args(deep)
            .run()
            .assert_code(0);
        assert_eq!(verified.data("end")[0]["totals"]["verified"], 7);
    }
    let to = root.path().join("pulled");
    let pulled = root
        .tool()
        .args(["pull", "--latest", "--from", &root.file_url(), "--to"])
        .arg(&to)
        .run()
        .assert_code(0);
    assert_eq!(actions(&pulled), [0, 0, 0, 7]);
    assert_eq!(tree(&to), tree(&set));
    assert_eq!(
        fs::metadata(to.join("manifest.jsonl")).unwrap().mode() & 0o777,
        0o600
    );
}

#[test]
fn what_is_there_is_skipped_and_what_an_earlier_set_has_is_copied() {
    let root = SampleRoot::new();
    root.make_daily(DAY_1, &FILES);
    let _ = root.push_to_file(DAY_1).run().assert_code(0);
    assert_eq!(
        actions(&root.push_to_file(DAY_1).run().assert_code(0)),
        [0, 0, 8, 0]
    );
    let mut files = FILES;
    files[3].1 = b"tables, one row more";
    // A segment that got another number is the same segment.
    files[1].0 = "mailboxes/example.com/alice/0007.tar.zst";
    let set = root.make_daily(DAY_2, &files);
    let next = root.push_to_file(DAY_2).run().assert_code(0);
    // The log is the same too; the table, the manifest and the checksums are new.
    assert_eq!(actions(&next), [3, 5, 0, 0]);
    assert_eq!(tree(&root.store().join("daily").join(DAY_2)), tree(&set));
    let inode = |date: &str, file: &str| {
        fs::metadata(root.store().join("daily").join(date).join(file))
            .unwrap()
            .ino()
    };
    assert_eq!(inode(DAY_1, FILES[1].0), inode(DAY_2, files[1].0));
}

#[test]
fn a_weekly_set_shares_nothing_with_others_on_the_same_disk() {
    let root = SampleRoot::new();
    root.make_daily(DAY_1, &FILES);
    let _ = root.push_to_file(DAY_1).run().assert_code(0);
    root.make("weekly/2026-week-47", &FILES);
    let weekly = root
        .tool()
        .args([
            "push",
            "--set",
            "weekly/2026-week-47",
            "--to",
            &root.file_url(),
        ])
        .run();
    assert_eq!(actions(&weekly.assert_code(0)), [8, 0, 0, 0]);
    let stored = root.store().join("weekly/2026-week-47");
    let links = tree(&stored)
        .keys()
        .map(|name| fs::metadata(stored.join(name)).unwrap().nlink())
        .max();
    assert_eq!(links, Some(1));
}

#[test]
fn an_hourly_set_is_copied_where_it_is_named_and_then_only() {
    let root = SampleRoot::new();
    root.make_daily(DAY_1, &FILES);
    let hourly = "hourly/2026-11-23T1510";
    root.make(hourly, &FILES);
    let _ = root.push_to_file(DAY_1).run().assert_code(0);
    assert!(!root.store().join("hourly").exists());
    let push = ["push", "--set", hourly, "--to", &root.file_url()];
    let named = root.tool().args(push).run().assert_code(0);
    // Its files are those of the daily set, which is there.
    assert_eq!(actions(&named)[1], 6);
    let from = root.file_url();
    let listed = root
        .tool()
        .args(["list", "--from", &from])
        .run()
        .assert_code(0);
    let sets: Vec<String> = listed
        .data("set")
        .iter()
        .map(|set| set["set"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(sets.len(), 2, "{sets:?}");
    assert!(sets.contains(&hourly.to_owned()), "{sets:?}");
    let to = root.path().join("pulled");
    let pull = ["pull", "--set", hourly, "--from", &from, "--to"];
    let _ = root.tool().args(pull).arg(&to).run().assert_code(0);
}

#[test]
fn a_set_that_was_made_again_replaces_the_one_in_the_store() {
    let root = SampleRoot::new();
    root.make_daily(DAY_1, &FILES);
    let _ = root.push_to_file(DAY_1).run().assert_code(0);
    let mut files = FILES.to_vec();
    // The same size, as `aws s3 sync` would not see.
    files[1].1 = b"MESSAGES OF ALICE";
    files.remove(2);
    let set = root.make_daily(DAY_1, &files);
    let pushed = root
        .push_to_file(DAY_1)
        .run()
        .assert_code(0)
        .assert_stderr("not part of the set");
    assert_eq!(actions(&pushed), [3, 0, 4, 0]);
    let to = root.path().join("pulled");
    let _ = root
        .tool()
        .args(["pull", "--date", DAY_1, "--from", &root.file_url(), "--to"])
        .arg(&to)
        .run()
        .assert_code(0);
    assert_eq!(tree(&to), tree(&set));
}

#[test]
fn damage_on_this_side_is_refused_and_the_set_is_not_there() {
    let damage: [fn(&Path); 4] = [
        |set| fs::write(set.join(FILES[3].0), b"TABLES").unwrap(),
        |set| fs::write(set.join(FILES[3].0), b"tables and more").unwrap(),
        |set| fs::remove_file(set.join(FILES[3].0)).unwrap(),
        |set| fs::write(set.join("manifest.jsonl"), b"{}\n").unwrap(),
    ];
    for (number, damage) in damage.iter().enumerate() {
        let root = SampleRoot::new();
        damage(&root.make_daily(DAY_1, &FILES));
        let kind = if number == 2 { "missing" } else { "damaged" };
        let pushed = root.push_to_file(DAY_1).run();
        let _ = pushed.assert_code(1).assert_failure(kind);
        assert!(
            !root
                .store()
                .join("daily")
                .join(DAY_1)
                .join(FILES[3].0)
                .exists(),
            "{number}"
        );
        assert_eq!(complete_sets(&root), [""; 0], "{number}");
    }
}

/// As every night, where the newest weekly set has been damaged since it was made.
#[test]
fn a_damaged_weekly_set_keeps_no_daily_one_from_the_store() {
    let root = SampleRoot::new();
    let week = root.make("weekly/2026-week-47", &FILES);
    root.make_daily(DAY_1, &FILES);
    let _ = root.push_to_file(DAY_1).run().assert_code(0);
    let alarm = format!(
        r#"{{"type":"alarm","data":{{"level":"alarm","rule":"spoiled","set":"daily/{DAY_2}","time":"{DAY_2}T03:00:00+00:00","message":"20 messages"}}}}"#
    );
    fs::write(root.set("HOLD"), alarm).unwrap();
    let table = week.join("mysql/mailserver.sql.zst");
    let harm: [(&str, &dyn Fn()); 2] = [
        (DAY_2, &|| fs::write(&table, b"cut").unwrap()),
        ("2026-11-25", &|| fs::remove_file(&table).unwrap()),
    ];
    for (date, harm) in harm {
        harm();
        root.make_daily(date, &FILES);
        let push = root.push_to_file(date).args(["--also", "weekly"]).run();
        assert_ne!(push.code(), 0, "a false ok");
        assert!(
            push.stderr.contains("weekly/2026-week-47"),
            "{}",
            push.stderr
        );
        // What is done for the last good set is done as well.
        assert!(push.stderr.contains("an alarm is open"), "{}", push.stderr);
        assert!(complete_sets(&root).contains(&format!("daily/{date}")));
    }
    // The other way round: the daily one that was asked for is damaged.
    root.make("weekly/2026-week-47", &FILES);
    fs::remove_file(root.set(&format!("daily/{DAY_1}/dkim/dkim.tar.zst"))).unwrap();
    let push = root.push_to_file(DAY_1).args(["--also", "weekly"]).run();
    assert_ne!(push.code(), 0, "a false ok");
    assert!(complete_sets(&root).contains(&"weekly/2026-week-47".to_owned()));
}

#[test]
fn damage_in_the_store_is_found_and_the_next_push_heals_it() {
    let root = SampleRoot::new();
    let set = root.make_daily(DAY_1, &FILES);
    let _ = root.push_to_file(DAY_1).run().assert_code(0);
    let stored = root.store().join("daily").join(DAY_1);
    let verify = || {
        root.tool()
            .args(["verify", "--date", DAY_1, "--from", &root.file_url()])
            .run()
    };
    let check = |change: &dyn Fn(), kind: &str| {
        // The time of a file moves in steps of some milliseconds: what comes in the same step is
        // not seen.
        std::thread::sleep(std::time::Duration::from_millis(50));
        change();
        let outcome = verify().assert_code(1).assert_failure(kind);
        assert_eq!(outcome.data("end")[0]["status"], "bad");
        let to = tempfile::tempdir().unwrap();
        let pull = root
            .tool()
            .args(["pull", "--date", DAY_1, "--from", &root.file_url(), "--to"])
            .arg(to.path())
            .run();
        assert_eq!(pull.code(), 1, "{}", pull.stderr);
        assert!(
            !to.path().join("checksums.sha256").exists() && !to.path().join(FILES[3].0).exists()
        );
        let _ = root.push_to_file(DAY_1).run().assert_code(0);
        assert_eq!(tree(&stored), tree(&set));
        let _ = verify().assert_code(0);
    };
    check(
        &|| fs::remove_file(stored.join(FILES[3].0)).unwrap(),
        "missing",
    );
    check(
        &|| fs::write(stored.join(FILES[3].0), b"tab").unwrap(),
        "damaged",
    );
    check(
        &|| fs::write(stored.join(FILES[3].0), b"TABLES").unwrap(),
        "damaged",
    );
}

#[test]
fn a_manifest_that_another_program_has_replaced_is_put_again() {
    let root = SampleRoot::new();
    let set = root.make_daily(DAY_1, &FILES);
    let _ = root.push_to_file(DAY_1).run().assert_code(0);
    let stored = root.store().join("daily").join(DAY_1);
    let size = fs::metadata(stored.join("manifest.jsonl")).unwrap().len();
    // As above.
    std::thread::sleep(std::time::Duration::from_millis(50));
    fs::write(
        stored.join("manifest.jsonl"),
        vec![b' '; usize::try_from(size).unwrap()],
    )
    .unwrap();
    assert_eq!(
        actions(&root.push_to_file(DAY_1).run().assert_code(0)),
        [2, 0, 6, 0]
    );
    assert_eq!(tree(&stored), tree(&set));
}

#[test]
fn damaged_checksums_in_the_store_are_healed_too() {
    let root = SampleRoot::new();
    let set = root.make_daily(DAY_1, &FILES);
    let stored = root.store().join("daily").join(DAY_1);
    for content in [&b"not a digest\n"[..], b"\xff\x00", b""] {
        let _ = root.push_to_file(DAY_1).run().assert_code(0);
        fs::write(stored.join("checksums.sha256"), content).unwrap();
        let listed = root.tool().args(["list", "--from", &root.file_url()]).run();
        assert_eq!(
            listed.data("set")[0]["complete"],
            false,
            "{}",
            listed.stderr
        );
        let _ = root.push_to_file(DAY_1).run().assert_code(0);
        assert_eq!(tree(&stored), tree(&set));
        assert_eq!(complete_sets(&root).len(), 1);
    }
}

#[test]
fn a_part_of_a_set_is_pulled() {
    let root = SampleRoot::new();
    root.make_daily(DAY_1, &FILES);
    let _ = root.push_to_file(DAY_1).run().assert_code(0);
    let check = |flags: &[&str], expected: &[&str]| {
        let to = tempfile::tempdir().unwrap();
        let pull = root
            .tool()
            .args(["pull", "--from", &root.file_url(), "--to"])
            .arg(to.path())
            .args(flags)
            .run();
        let _ = pull.assert_code(0);
        let found: Vec<String> = tree(to.path()).into_keys().collect();
        let mut expected = [&["checksums.sha256", "manifest.jsonl"], expected].concat();
        expected.sort_unstable();
        assert_eq!(found, expected);
        let mut command = Command::new("sha256sum");
        command.args(["-c", "--quiet", "--ignore-missing", "checksums.sha256"]);
        assert!(command.current_dir(to.path()).status().unwrap().success());
    };
    check(&["--component", "mysql"], &[FILES[3].0]);
    check(
        &["--mailbox", "alice@example.com"],
        &[FILES[0].0, FILES[1].0],
    );
    check(
        &["--mailbox", "bob@example.com", "--component", "dkim"],
        &[FILES[2].0, FILES[4].0],
    );
    let to = root.path().join("nothing");
    let none = root
        .tool()
        .args([
            "pull",
            "--from",
            &root.file_url(),
            "--mailbox",
            "eve@example.com",
            "--to",
        ])
        .arg(&to);
    let _ = none.run().assert_code(2).assert_failure("no_such");
    assert!(!to.exists());
}

#[test]
fn a_pull_goes_on_where_it_stopped() {
    let root = SampleRoot::new();
    let set = root.make_daily(DAY_1, &FILES);
    let _ = root.push_to_file(DAY_1).run().assert_code(0);
    let to = root.path().join("pulled");
    let pull = || {
        root.tool()
            .args(["pull", "--from", &root.file_url(), "--to"])
            .arg(&to)
            .run()
    };
    let _ = pull().assert_code(0);
    fs::remove_file(to.join(FILES[2].0)).unwrap();
    fs::write(to.join(FILES[3].0), b"another file").unwrap();
    assert_eq!(actions(&pull().assert_code(0)), [0, 0, 5, 2]);
    assert_eq!(tree(&to), tree(&set));
}

#[test]
fn a_pull_over_another_set_is_neither_until_it_is_whole() {
    let root = SampleRoot::new();
    let mut files = FILES;
    for date in [DAY_1, DAY_2] {
        root.make_daily(date, &files);
        let _ = root.push_to_file(date).run().assert_code(0);
        files[3].1 = b"tables of the next day";
    }
    let to = root.path().join("pulled");
    let pull = |date: &str| {
        root.tool()
            .args(["pull", "--date", date, "--from", &root.file_url(), "--to"])
            .arg(&to)
            .run()
    };
    let _ = pull(DAY_1).assert_code(0);
    assert_sums(&to);
    let stored = root.store().join("daily").join(DAY_2).join(FILES[3].0);
    let good = fs::read(&stored).unwrap();
    fs::write(&stored, b"TABLES OF THE NEXT DAY").unwrap();
    let _ = pull(DAY_2).assert_code(1).assert_failure("damaged");
    assert!(
        !to.join("checksums.sha256").exists(),
        "it is not the first set any more, nor the second"
    );
    fs::write(&stored, good).unwrap();
    let _ = pull(DAY_2).assert_code(0);
    assert_sums(&to);
    assert_eq!(tree(&to), tree(&root.set(&format!("daily/{DAY_2}"))));
}

#[test]
fn names_of_every_kind_survive() {
    let root = SampleRoot::new();
    let names = [
        "mailboxes/例え.jp/太郎/0001.tar.zst",
        "mailboxes/a b/c+d%20e/0001.tar.zst",
        "mailboxes/x/new\nline/0001.tar.zst",
        "mailboxes/x/back\\slash&=?#;:@$,'\"<>/0001.tar.zst",
        "config/secrets.age",
    ];
    let files = names.map(|name| (name, name.as_bytes()));
    let set = root.make_daily(DAY_1, &files);
    let _ = root.push_to_file(DAY_1).run().assert_code(0);
    let to = root.path().join("pulled");
    let _ = root
        .tool()
        .args(["pull", "--from", &root.file_url(), "--to"])
        .arg(&to)
        .run()
        .assert_code(0);
    assert_eq!(tree(&to), tree(&set));
    assert_sums(&to);
}

#[test]
fn a_set_is_not_replaced_while_it_is_pushed() {
    let root = SampleRoot::new();
    let big = vec![7; 3 << 20];
    let set = root.make_daily(DAY_1, &[("mysql/big.sql.zst", &big)]);
    let mut running = root
        .push_to_file(DAY_1)
        .args(["--limit-rate", "1M"])
        .spawn();
    std::thread::sleep(std::time::Duration::from_millis(700));
    let manifest = fs::File::options()
        .read(true)
        .write(true)
        .open(set.join("manifest.jsonl"))
        .unwrap();
    assert!(rustix::fs::flock(&manifest, FlockOperation::NonBlockingLockExclusive).is_err());
    assert!(running.is_running());
    let _ = running.wait().assert_code(0);
    assert!(rustix::fs::flock(&manifest, FlockOperation::NonBlockingLockExclusive).is_ok());
}

#[test]
fn an_interrupted_push_leaves_no_set_and_the_next_one_completes_it() {
    let root = SampleRoot::new();
    let big = vec![7; 3 << 20];
    let set = root.make_daily(DAY_1, &[("mysql/big.sql.zst", &big), FILES[4]]);
    let mut running = root
        .push_to_file(DAY_1)
        .args(["--limit-rate", "1M"])
        .spawn();
    std::thread::sleep(std::time::Duration::from_millis(700));
    running.signal(rustix::process::Signal::TERM);
    let _ = running.wait().assert_code(3).assert_failure("interrupted");
    assert_eq!(complete_sets(&root), [""; 0]);
    let hidden = tree(&root.store())
        .into_keys()
        .filter(|name| name.contains(".tmp-"))
        .count();
    assert_eq!(hidden, 0);
    let outcome = root.push_to_file(DAY_1).run().assert_code(0);
    assert_eq!(
        actions(&outcome),
        [3, 0, 2, 0],
        "what had arrived is not sent again"
    );
    assert_eq!(tree(&root.store().join("daily").join(DAY_1)), tree(&set));
}

#[test]
fn two_pushes_at_once_end_in_a_whole_set() {
    let root = SampleRoot::new();
    let set = root.make_daily(DAY_1, &FILES);
    let running: Vec<_> = (0..4).map(|_| root.push_to_file(DAY_1).spawn()).collect();
    for one in running {
        let _ = one.wait().assert_code(0);
    }
    assert_eq!(tree(&root.store().join("daily").join(DAY_1)), tree(&set));
}

#[test]
fn wrong_usage_touches_nothing() {
    let root = SampleRoot::new();
    root.make_daily(DAY_1, &FILES);
    let run = |args: &[&str]| {
        let outcome = root.tool().args(args).run().assert_code(2);
        assert_eq!(tree(&root.store()).len(), 0);
        outcome
    };
    let check = |args: &[&str], kind: &str| drop(run(args).assert_failure(kind));
    let url = root.file_url();
    check(&[], "usage");
    check(&["push", "--date", DAY_1], "usage");
    check(&["push", "--date", DAY_2, "--to", &url], "no_such");
    check(&["push", "--set", "/etc", "--to", &url], "no_such");
    let unmounted = ["push", "--date", DAY_1, "--to", "file:///not/there"];
    check(&unmounted, "not_mounted");
    let pull = ["pull", "--date", DAY_1, "--from", &url, "--to", "/tmp/x"];
    check(&pull, "no_such");
    // What the parser of the command line refuses has no records.
    let push = ["push", "--date", DAY_1, "--to", &url];
    let _ = run(&[&push[..], &["--encrypt-to", "age1wrong"]].concat()).assert_stderr("public key");
    let _ = run(&[&push[..], &["--require-clean"]].concat()).assert_stderr("cannot be used");
}

#[test]
fn usage_counts_and_prices() {
    let root = SampleRoot::new();
    let set = root.make_daily(DAY_1, &FILES);
    let _ = root.push_to_file(DAY_1).run().assert_code(0);
    let outcome = root
        .tool()
        .env("S3_PRICES", "FILE=1000000")
        .args(["usage", "--from", &root.file_url()])
        .run();
    let usage = &outcome.assert_code(0).data("usage")[0];
    let bytes: usize = tree(&set).values().map(Vec::len).sum();
    assert_eq!(
        (usage["objects"].as_u64(), usage["bytes"].as_u64()),
        (Some(8), Some(bytes as u64))
    );
    let expected = bytes as f64 / 1_073_741_824.0 * 1e6;
    assert!(
        (usage["monthly_usd"].as_f64().unwrap() - expected).abs() < 0.001,
        "{usage} {expected}"
    );
}
