//! What the rules of a bucket would take is written again.

use super::scene::{DAY_3, FILES, Scene, URL, actions};
use crate::support::{DAY_1, DAY_2};
use mail_tests::proxy::Fault;
use mail_tests::s3::S3Server;

#[test]
fn what_a_rule_would_take_is_written_again_and_a_rule_that_is_too_quick_is_refused() {
    let scene = Scene::new(S3Server::moto());
    let rule = |days: u32| {
        let rule = format!(
            r#"{{"Rules":[{{"ID":"r","Status":"Enabled","Filter":{{"Prefix":"host 1/"}},"Expiration":{{"Days":{days}}}}}]}}"#
        );
        let put = [
            "s3api",
            "put-bucket-lifecycle-configuration",
            "--bucket",
            "mail",
        ];
        let _ = scene
            .server
            .aws_ok(&[&put[..], &["--lifecycle-configuration", &rule]].concat());
    };
    rule(40);
    let _ = scene
        .push(DAY_1)
        .run()
        .assert_code(2)
        .assert_failure("configuration")
        .assert_stderr("after 40 days, and S3_POOL_DAYS is 200");
    assert_eq!(scene.server.aws_ok(&["s3", "ls", "s3://mail"]), "");
    rule(200);
    let first = scene.push(DAY_1).run().assert_code(0);
    // The same rule is for the sets, which use what is in the pool for forty days.
    let _ = first.assert_stderr("after 200 days, and S3_KEEP_DAILY is 40");
    // The week is asked for as well, whose contents are all there.
    let week = |number: u32| {
        let name = format!("weekly/2026-week-{number}");
        scene.root.make(&name, &FILES);
        let url = ["push", "--set", &name, "--to", URL, "--attempts", "1"];
        let tool = scene.root.s3_tool(&scene.server, &scene.proxy.endpoint());
        tool.args(url).run().assert_code(0)
    };
    let _ = week(44).assert_stderr("after 200 days, and S3_KEEP_WEEKLY is 100");
    for (number, status, code, said) in [
        (45, 503, "SlowDown", "answered 503 SlowDown"),
        (46, 501, "NotImplemented", "no rule of the bucket removes"),
        (47, 403, "AccessDenied", "these keys may not read the rules"),
    ] {
        scene.proxy.set_rule(move |request| {
            Fault::Answer(status, code).when(request.target.contains("lifecycle"))
        });
        let _ = week(number).assert_stderr(said);
    }
    scene.watch();
    scene.root.make_daily(DAY_2, &FILES);
    let soon = scene.push(DAY_2).clock("+150d").run().assert_code(0);
    assert_eq!(actions(&soon), [4, 0, 5]);
    scene.root.make_daily(DAY_3, &FILES);
    let late = scene.push(DAY_3).clock("+165d").run().assert_code(0);
    assert_eq!(actions(&late), [4, 4, 1], "{}", late.stderr);
    for date in [DAY_1, DAY_2, DAY_3] {
        assert_eq!(scene.pull(date), scene.set(date), "{date}");
        let verify = scene.read("verify").args(["--date", date]);
        let _ = verify.run().assert_code(0);
    }
}

#[test]
fn a_store_that_cannot_copy_is_sent_again_what_a_rule_would_take() {
    let scene = Scene::new(S3Server::moto_with_clock());
    let _ = scene.push(DAY_1).run().assert_code(0);
    scene.root.make_daily(DAY_2, &FILES);
    scene.proxy.set_rule(|request| {
        let is_copy = request.head.to_lowercase().contains("x-amz-copy-source");
        Fault::Answer(501, "NotImplemented").when(is_copy)
    });
    scene.server.set_clock("+165d");
    let late = scene.push(DAY_2).clock("+165d").run().assert_code(0);
    let late = late.assert_stderr("cannot copy objects: 4 files");
    assert_eq!(actions(&late), [8, 0, 1]);
    assert_eq!(scene.pull(DAY_2), scene.set(DAY_2));
    // They have their days from now on; the ledger is the same.
    let prefix = "host 1/pool/";
    let list = [
        "s3api",
        "list-objects-v2",
        "--bucket",
        "mail",
        "--prefix",
        prefix,
    ];
    let times = ["--query", "Contents[].[LastModified]", "--output", "text"];
    let listed = scene.server.aws_ok(&[&list[..], &times].concat());
    let mut days: Vec<&str> = listed.lines().map(|time| &time[..10]).collect();
    days.sort_unstable();
    let new = days.iter().filter(|day| **day == days[4]).count();
    assert_eq!((days.len(), new), (5, 4), "{days:?}");
}
