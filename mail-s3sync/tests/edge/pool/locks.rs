//! What is in the pool is locked as long as its longest set, and extended when it has to be.

use std::fs;

use super::scene::{DAY_3, FILES, Scene, actions, pooled};
use crate::support::{self, DAY_1, DAY_2};
use mail_tests::proxy::Request;
use mail_tests::run::Outcome;
use mail_tests::s3::S3Server;
use serde_json::Value;

#[test]
fn what_is_in_the_pool_is_locked_as_long_as_its_longest_set_and_extended_only_when_it_has_to_be() {
    let server = S3Server::seaweedfs();
    server.make_locked_bucket("mail");
    let scene = Scene::with_bucket(server);
    let locked_until = |key: &str| support::locked_until(&scene.server, &format!("host 1/{key}"));
    let kept = |date: &str, days: &str| {
        let push = scene.push(date).env("S3_LOCK_MODE", "governance");
        push.env("S3_KEEP_DAILY", days).run().assert_code(0)
    };
    let until = |outcome: &Outcome| {
        let transfer = &outcome.data("transfer")[0];
        transfer["locked_until"].as_str().unwrap().to_owned()
    };
    let extended = || {
        let seen = scene.proxy.seen();
        let is_lock =
            |request: &&Request| request.method == "PUT" && request.target.contains("retention");
        seen.iter().filter(is_lock).count()
    };
    let first = until(&kept(DAY_1, "8"));
    let own = format!("daily/{DAY_1}/checksums.sha256");
    assert_eq!(locked_until(&own), first);
    // A quarter of the days longer, so that it is not extended tomorrow.
    assert!(locked_until(&pooled(b"keys")) > first);
    scene.root.make_daily(DAY_2, &FILES);
    scene.watch();
    let _ = kept(DAY_2, "8");
    assert_eq!(extended(), 0);
    // A set that is kept for longer uses the same four objects.
    scene.root.make_daily(DAY_3, &FILES);
    scene.watch();
    let longer = until(&kept(DAY_3, "30"));
    assert_eq!(extended(), 4);
    for content in [&b"keys"[..], b"tables", b"more", b"messages"] {
        assert!(locked_until(&pooled(content)) >= longer);
    }
    assert_eq!(locked_until(&own), first);
    // What is recorded is the lock there is: longer by less than a tenth is not done, and what
    // replaces a locked set without a lock is not locked.
    assert_eq!(until(&kept(DAY_3, "32")), longer);
    let last = "2026-11-26";
    scene.root.make_daily(last, &FILES);
    let _ = kept(last, "8");
    scene.root.make_daily(last, &FILES[..3]);
    let unlocked = scene.push(last).run().assert_code(0);
    assert_eq!(unlocked.data("transfer")[0]["locked_until"], Value::Null);

    // While an alarm is open, a push extends the locks of the last set from before it.
    let alarm = format!(
        r#"{{"type":"alarm","data":{{"level":"alarm","rule":"spoiled","set":"daily/{DAY_2}","time":"{DAY_2}T03:00:00+00:00","message":"20 messages"}}}}"#
    );
    fs::write(scene.root.set("HOLD"), alarm).unwrap();
    let held = kept(DAY_3, "60").assert_stderr("its locks are extended");
    assert_eq!(locked_until(&own), until(&held));
    assert!(locked_until(&pooled(b"keys")) >= until(&held));
    fs::remove_file(scene.root.set("HOLD")).unwrap();
    // A bucket that cannot lock is refused before anything is written.
    scene.server.make_bucket("open");
    let push = scene
        .root
        .push_as_is(&scene.server, &scene.proxy.endpoint(), DAY_1, "s3://open");
    let _ = push
        .env("S3_LOCK_MODE", "compliance")
        .run()
        .assert_code(2)
        .assert_stderr("Object Lock");
    assert_eq!(scene.server.aws_ok(&["s3", "ls", "s3://open"]), "");
}

/// A copy onto itself is a new version, which has no lock of its own.
#[test]
fn what_is_written_again_keeps_its_lock_also_when_the_push_locks_nothing() {
    let server = S3Server::moto();
    server.make_locked_bucket("mail");
    let scene = Scene::with_bucket(server);
    let key = format!("host 1/{}", pooled(b"keys"));
    let locked = scene.push(DAY_1).args(["--lock-days", "300"]);
    let _ = locked
        .args(["--lock-mode", "compliance"])
        .run()
        .assert_code(0);
    let before = support::locked_until(&scene.server, &key);
    assert!(!before.is_empty());
    scene.root.make_daily(DAY_2, &FILES);
    let late = scene.push(DAY_2).clock("+165d").run().assert_code(0);
    assert_eq!(actions(&late), [4, 4, 1], "{}", late.stderr);
    assert_eq!(support::locked_until(&scene.server, &key), before);
    let head = support::head(&scene.server, &key);
    assert_eq!(head["ObjectLockMode"], "COMPLIANCE");
    // A lock that has ended is none.
    scene.root.make_daily(DAY_3, &FILES);
    let later = scene.push(DAY_3).clock("+330d").run().assert_code(0);
    assert_eq!(actions(&later), [4, 4, 1], "{}", later.stderr);
}
