//! `prune` of a directory: sets that are past the days that were set for their kind.

use std::path::Path;
use std::process::Command;

use crate::support::{DAY_1, DAY_2, SampleRoot, tree};
use mail_tests::run::Tool;
use mail_tests::schema::Schema;

const FILES: [(&str, &[u8]); 2] = [
    ("mysql/mailserver.sql.zst", b"tables"),
    ("dkim/dkim.tar.zst", b"keys"),
];

/// Lets everything below a directory be that old.
fn age(directory: &Path, days: u32) {
    let old = format!("-{days} days");
    let mut find = Command::new("find");
    find.arg(directory)
        .args(["-exec", "touch", "-d", &old, "{}", "+"]);
    assert!(find.status().unwrap().success());
}

fn prune(root: &SampleRoot) -> Tool {
    root.tool().args(["prune", "--from", &root.file_url()])
}

#[test]
fn sets_of_a_directory_go_after_the_days_that_were_set_and_never_the_newest() {
    let root = SampleRoot::new();
    for date in [DAY_1, DAY_2, "2026-11-25"] {
        root.make_daily(date, &FILES);
        let _ = root.push_to_file(date).run().assert_code(0);
        age(&root.store().join("daily").join(date), 5);
    }
    let week = root.make("weekly/2026-week-47", &FILES);
    let push = root
        .tool()
        .args(["push", "--set", "weekly/2026-week-47", "--to"]);
    let _ = push.arg(root.file_url()).run().assert_code(0);
    age(&root.store().join("weekly"), 500);
    // What a push has begun stays, and is nothing of ours to judge.
    let begun = root.store().join("daily/2026-11-01/mysql");
    std::fs::create_dir_all(&begun).unwrap();
    std::fs::write(begun.join("mailserver.sql.zst"), "tables").unwrap();
    age(&root.store().join("daily/2026-11-01"), 90);

    let _ = prune(&root)
        .arg("--yes")
        .run()
        .assert_code(2)
        .assert_stderr("S3_KEEP_DAILY");
    let before = tree(&root.store());
    let days = |days: &str| prune(&root).env("S3_KEEP_DAILY", days);
    let young = days("5").arg("--yes").run().assert_code(0);
    assert_eq!(
        young.data("pruned").len(),
        0,
        "five days and the rest of the first"
    );
    let shown = days("2").run().assert_code(0);
    Schema::open().assert_valid(&shown.records());
    let pruned = shown.data("pruned");
    let outcomes: Vec<String> = pruned
        .iter()
        .map(|it| {
            format!(
                "{} {}",
                it["set"].as_str().unwrap(),
                it["outcome"].as_str().unwrap()
            )
        })
        .collect();
    let expected = [
        "daily/2026-11-23 due",
        "daily/2026-11-24 newest",
        "daily/2026-11-25 newest",
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(tree(&root.store()), before);
    let _ = days("2").arg("--yes").run().assert_code(0);
    let mut expected = before;
    expected.retain(|path, _| !path.starts_with("daily/2026-11-23/"));
    assert_eq!(tree(&root.store()), expected);
    assert!(!root.store().join("daily/2026-11-23").exists());
    assert_eq!(tree(&root.store().join("weekly/2026-week-47")), tree(&week));
}
