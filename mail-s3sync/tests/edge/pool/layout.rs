//! Each content once, whichever sets use it, beside plain sets that stay as they are.

use std::collections::BTreeSet;

use super::scene::{DAY_3, FILES, Scene, URL, actions, kinds, pooled};
use crate::support::{DAY_1, DAY_2, tree};
use mail_tests::s3::S3Server;

#[test]
fn each_content_is_stored_once_and_a_day_without_news_costs_two_listings_and_the_sets_own_files() {
    let scene = Scene::new(S3Server::seaweedfs());
    let first = scene.push(DAY_1).run().assert_code(0);
    // Four contents of five files, and what describes the set.
    assert_eq!(actions(&first), [8, 0, 1]);
    let own = [
        "RESTORE.txt",
        "backup.log",
        "checksums.sha256",
        "manifest.jsonl",
    ];
    let own = |date: &str| own.map(|name| format!("host 1/daily/{date}/{name}"));
    let contents: [&[u8]; 4] = [b"messages", b"more", b"tables", b"keys"];
    let mut expected: BTreeSet<String> = contents
        .iter()
        .map(|content| format!("host 1/{}", pooled(content)))
        .collect();
    expected.insert("host 1/pool/ledger.jsonl".to_owned());
    expected.extend(own(DAY_1));
    assert_eq!(scene.keys(), expected);
    assert_eq!(scene.pull(DAY_1), scene.set(DAY_1));
    assert_eq!(scene.follow_the_guide(DAY_1, None), scene.set(DAY_1));

    // The same set again.
    scene.watch();
    assert_eq!(actions(&scene.push(DAY_1).run().assert_code(0)), [0, 0, 8]);
    let asked = [
        "GET 2026-11-23",
        "GET checksums.sha256",
        "GET pool",
        "GET ledger.jsonl",
    ];
    assert_eq!(kinds(&scene.proxy.seen()), asked);

    // The next day has nothing new but itself.
    scene.root.make_daily(DAY_2, &FILES);
    scene.watch();
    let next = scene.push(DAY_2).run().assert_code(0);
    assert_eq!(actions(&next), [4, 0, 5]);
    assert_eq!(
        kinds(&scene.proxy.seen()),
        [
            "GET 2026-11-24",
            "GET pool",
            "GET ledger.jsonl",
            "PUT RESTORE.txt",
            "PUT backup.log",
            "PUT manifest.jsonl",
            "PUT checksums.sha256",
        ]
    );
    expected.extend(own(DAY_2));
    assert_eq!(scene.keys(), expected);

    // One file is new.
    let mut files = FILES;
    files[3].1 = b"the tables of the third day";
    scene.root.make_daily(DAY_3, &files);
    assert_eq!(actions(&scene.push(DAY_3).run().assert_code(0)), [5, 0, 4]);
    for date in [DAY_1, DAY_2, DAY_3] {
        assert_eq!(scene.pull(date), scene.set(date), "{date}");
        let verify = scene.read("verify").args(["--date", date, "--deep"]);
        let _ = verify.run().assert_code(0);
    }
    let listed = scene.read("list").run().assert_code(0).data("set");
    assert!(listed.len() == 3 && listed.iter().all(|set| set["complete"] == true));
    assert_eq!(listed[0]["objects"], 8, "{listed:?}");
    let usage = &scene.read("usage").run().assert_code(0).data("usage")[0];
    assert_eq!(usage["objects"], 5 + 3 * 4 + 1, "{usage}");
}

#[test]
fn a_prefix_stays_as_it_is_and_a_pool_can_be_begun_beside() {
    let scene = Scene::new(S3Server::seaweedfs());
    let layout = |date: &str, layout: &str| scene.push(date).env("S3_LAYOUT", layout).run();
    let _ = layout(DAY_1, "heap")
        .assert_code(2)
        .assert_stderr("auto, pool or plain");
    let _ = layout(DAY_1, "plain").assert_code(0);
    scene.root.make_daily(DAY_2, &FILES);
    let _ = layout(DAY_2, "auto").assert_code(0);
    assert!(
        scene.keys().iter().all(|key| !key.contains("/pool/")),
        "it stays plain"
    );
    scene.root.make_daily(DAY_3, &FILES);
    let _ = layout(DAY_3, "pool").assert_code(0);
    // From now on the pool is what the prefix has, and the sets that are there stay as they are.
    scene.root.make_daily("2026-11-26", &FILES);
    assert_eq!(
        actions(&layout("2026-11-26", "auto").assert_code(0)),
        [4, 0, 5]
    );
    assert_eq!(actions(&layout(DAY_2, "auto").assert_code(0)), [0, 0, 8]);
    for date in [DAY_1, DAY_2, DAY_3, "2026-11-26"] {
        assert_eq!(scene.pull(date), scene.set(date), "{date}");
        let _ = scene
            .read("verify")
            .args(["--date", date])
            .run()
            .assert_code(0);
    }
    let listed = scene.read("list").run().assert_code(0).data("set");
    assert!(listed.len() == 4 && listed.iter().all(|set| set["complete"] == true));
    // A plain set whose place one of the pool takes leaves its files there; they are no part of it.
    scene.root.make_daily(DAY_2, &FILES[..3]);
    let _ = layout(DAY_2, "pool").assert_code(0);
    assert_eq!(scene.follow_the_guide(DAY_2, None), scene.set(DAY_2));
    // A copy of the bucket on a disk has no metadata, and is read all the same.
    let copy = scene.root.path().join("copy");
    let sync = ["s3", "sync", "--quiet", URL, copy.to_str().unwrap()];
    let _ = scene.server.aws_ok(&sync);
    let to = scene.root.path().join("pulled");
    let url = format!("file://{}", copy.display());
    let pull = ["pull", "--date", DAY_3, "--from", &url, "--to"];
    let _ = scene.root.tool().args(pull).arg(&to).run().assert_code(0);
    assert_eq!(tree(&to), scene.set(DAY_3));
    let verify = ["verify", "--deep", "--date", DAY_3, "--from", &url];
    let _ = scene.root.tool().args(verify).run().assert_code(0);
}

#[test]
fn a_push_can_take_the_newest_weekly_set_along() {
    let scene = Scene::new(S3Server::moto());
    let also = || scene.push(DAY_1).args(["--also", "weekly"]).run();
    let _ = also().assert_code(0);
    let mut files = FILES;
    files[4].1 = b"the keys of the week";
    scene.root.make("weekly/2026-week-46", &files);
    let week = tree(&scene.root.make("weekly/2026-week-47", &files));
    // That of the day is there, and the week brings one content and its own files.
    assert_eq!(actions(&also().assert_code(0)), [5, 0, 12]);
    let listed = scene.read("list").run().assert_code(0).data("set");
    let names: Vec<&str> = listed
        .iter()
        .map(|set| set["set"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["daily/2026-11-23", "weekly/2026-week-47"]);
    let to = scene.root.path().join("pulled");
    let pull = scene
        .read("pull")
        .args(["--set", "weekly/2026-week-47", "--to"]);
    let _ = pull.arg(&to).run().assert_code(0);
    assert_eq!(tree(&to), week);
    let _ = scene
        .push(DAY_1)
        .args(["--also", "daily"])
        .run()
        .assert_code(2);
}
