//! A bad network and a moody store: a real server behind a proxy that does harm.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::scene::{Scene, is_list, is_put};
use crate::support::{DAY_1, DAY_2, tree};
use mail_tests::proxy::{Fault, Request};
use mail_tests::run::Outcome;
use mail_tests::s3::ROLE;
use mail_tests::talker::{Manner, Talker};

#[test]
fn a_push_gets_through_whatever_the_network_does() {
    let scene = Scene::new("through");
    type Rule = fn(&Request) -> Fault;
    let rules: [(&str, Rule); 7] = [
        ("busy", |request| {
            Fault::Answer(503, "SlowDown").when(request.number % 5 == 2)
        }),
        ("cut", |request| {
            Fault::CutRequest.when(is_put(request) && request.number % 5 == 2)
        }),
        ("lost answers", |request| {
            Fault::LoseAnswer.when(request.number % 6 == 3)
        }),
        ("corrupted", |request| {
            Fault::CorruptRequest.when(is_put(request) && request.number % 4 == 1)
        }),
        ("stalled", |request| {
            Fault::StallRequest.when(request.number == 7 || request.number == 20)
        }),
        ("errors under 200", |request| {
            Fault::Body("<Error><Code>InternalError</Code></Error>").when(
                request.target.contains("uploadId")
                    && request.method == "POST"
                    && request.number % 2 == 0,
            )
        }),
        ("cut documents", |request| {
            Fault::Body("<ListBucketResult><IsTruncated>false</IsTruncated><Contents>")
                .when(is_list(request) && request.number < 2)
        }),
    ];
    for (name, rule) in rules {
        scene.clear();
        scene.proxy.set_rule(rule);
        let outcome = scene.push().run();
        assert_eq!(outcome.code(), 0, "{name}: {}", outcome.stderr);
        scene.check_whole();
    }
}

#[test]
fn a_pull_gets_through_and_takes_nothing_that_is_damaged() {
    let scene = Scene::new("back");
    let _ = scene.push().run().assert_code(0);
    type Rule = fn(&Request) -> Fault;
    let large = |request: &Request| request.target.contains("large.sql.zst");
    let rules: [(&str, Rule); 3] = [
        ("busy", |request| {
            Fault::Answer(503, "SlowDown").when(request.number % 5 == 2)
        }),
        ("cut", |request| {
            Fault::CutAnswer.when(request.number % 5 == 3)
        }),
        ("stalled", |request| {
            Fault::StallAnswer.when(request.number == 9)
        }),
    ];
    let pull = |to: &std::path::Path| {
        let tool = scene.root.s3_tool(&scene.server, &scene.proxy.endpoint());
        tool.args([
            "pull",
            "--date",
            DAY_1,
            "--from",
            &scene.bucket,
            "--timeout",
            "2",
            "--to",
        ])
        .arg(to)
        .run()
    };
    let set = scene.set();
    for (name, rule) in rules {
        scene.proxy.set_rule(rule);
        let to = tempfile::tempdir().unwrap();
        let outcome = pull(to.path());
        assert_eq!(outcome.code(), 0, "{name}: {}", outcome.stderr);
        assert!(tree(to.path()) == tree(&set), "{name}");
    }
    // Everything comes damaged once: the checksums too, which carry their own digest.
    let damage_once = || {
        let seen = Mutex::new(HashSet::new());
        scene.proxy.set_rule(move |request| {
            let is_object = request.method == "GET" && !request.target.contains("list-type");
            Fault::CorruptAnswer
                .when(is_object && seen.lock().unwrap().insert(request.target.clone()))
        });
    };
    damage_once();
    let to = tempfile::tempdir().unwrap();
    let _ = pull(to.path()).assert_code(0);
    assert!(tree(to.path()) == tree(&set), "corrupted");
    damage_once();
    let tool = scene.root.s3_tool(&scene.server, &scene.proxy.endpoint());
    let _ = tool
        .args(["verify", "--deep", "--date", DAY_1, "--from", &scene.bucket])
        .run()
        .assert_code(0);
    damage_once();
    let again = scene.push().run().assert_code(0);
    assert!(
        again
            .data("transfer")
            .iter()
            .all(|transfer| transfer["action"] == "skipped"),
        "{}",
        again.stderr
    );
    scene.proxy.set_rule(|request| {
        Fault::Answer(403, "InvalidObjectState").when(request.target.contains("0007"))
    });
    let to = tempfile::tempdir().unwrap();
    let _ = pull(to.path())
        .assert_code(1)
        .assert_failure("store")
        .assert_stderr("0007.tar.zst");
    // Nor is a set called good whose checksums never come as they were put.
    scene
        .proxy
        .set_rule(|request| Fault::CorruptAnswer.when(request.target.contains("checksums")));
    let to = tempfile::tempdir().unwrap();
    let _ = pull(to.path())
        .assert_code(1)
        .assert_failure("damaged")
        .assert_stderr("checksums.sha256");
    assert!(tree(to.path()).is_empty());
    // Always: what is damaged never gets its name, and the rest does.
    scene
        .proxy
        .set_rule(move |request| Fault::CorruptAnswer.when(large(request)));
    let to = tempfile::tempdir().unwrap();
    let _ = pull(to.path()).assert_code(1).assert_failure("damaged");
    assert!(
        !to.path().join("mysql/large.sql.zst").exists()
            && !to.path().join("checksums.sha256").exists()
    );
    assert!(to.path().join("mailboxes/a/b/0000.tar.zst").exists());
}

#[test]
fn a_pull_keeps_to_its_rate() {
    let scene = Scene::new("rate");
    let _ = scene.push().run().assert_code(0);
    let to = tempfile::tempdir().unwrap();
    let tool = scene.root.s3_tool(&scene.server, &scene.server.endpoint());
    let pull = tool
        .args([
            "pull",
            "--latest",
            "--from",
            &scene.bucket,
            "--limit-rate",
            "8M",
            "--to",
        ])
        .arg(to.path());
    let start = std::time::Instant::now();
    let _ = pull.run().assert_code(0);
    // 18 MiB; a machine that is busy can only be slower.
    assert!(
        start.elapsed() > Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn what_cannot_be_helped_is_reported_and_nothing_is_claimed() {
    let scene = Scene::new("helpless");
    let check = |rule: fn(&Request) -> Fault, code: i32, kind: &str| {
        scene.proxy.set_rule(rule);
        let _ = scene
            .push()
            .args(["--attempts", "3"])
            .run()
            .assert_code(code)
            .assert_failure(kind);
        assert_eq!(scene.complete_sets(), 0, "{kind}");
    };
    check(
        |_| Fault::Body("<html><body>Please log in</body></html>"),
        3,
        "store",
    );
    check(
        |_| Fault::Body("<ListBucketResult><IsTruncated>"),
        3,
        "store",
    );
    check(|_| Fault::Answer(403, "RequestTimeTooSkewed"), 3, "store");
    check(|_| Fault::Answer(503, "SlowDown"), 3, "store");
    check(
        |request| Fault::CorruptRequest.when(is_put(request)),
        1,
        "store",
    );
    check(
        |request| Fault::StallRequest.when(is_put(request)),
        1,
        "store",
    );
    check(
        |request| Fault::Answer(403, "AccessDenied").when(is_put(request)),
        3,
        "denied",
    );
    check(
        |request| Fault::Answer(400, "ExpiredToken").when(is_put(request)),
        3,
        "denied",
    );
    scene.proxy.set_rule(|request| {
        Fault::Answer(500, "InternalError").when(
            request.target.contains("daily")
                && request.method == "PUT"
                && request.target.contains("checksums"),
        )
    });
    let _ = scene.push().args(["--attempts", "2"]).run().assert_code(3);
    assert_eq!(
        scene.complete_sets(),
        0,
        "everything is there but the checksums"
    );
}

#[test]
fn a_listing_that_fails_is_never_an_empty_one() {
    let scene = Scene::new("listing");
    let _ = scene.push().run().assert_code(0);
    const HALF: &str = "<ListBucketResult><IsTruncated>true</IsTruncated>\
                        <NextContinuationToken>next</NextContinuationToken></ListBucketResult>";
    fn is_of_objects(request: &Request) -> bool {
        is_list(request) && !request.target.contains("delimiter")
    }
    let rules: [fn(&Request) -> Fault; 3] = [
        |request| Fault::Answer(403, "AccessDenied").when(is_list(request)),
        |request| Fault::Answer(403, "AccessDenied").when(is_of_objects(request)),
        |request| {
            if request.target.contains("continuation-token") {
                return Fault::Answer(500, "InternalError").when(is_of_objects(request));
            }
            Fault::Body(HALF).when(is_of_objects(request))
        },
    ];
    for rule in rules {
        scene.proxy.set_rule(rule);
        let pushed = scene.push().args(["--attempts", "2"]).run();
        assert!([2, 3].contains(&pushed.code()), "{}", pushed.stderr);
        assert!(
            !scene
                .proxy
                .seen()
                .iter()
                .any(|request| request.method == "PUT"),
            "{}",
            pushed.stderr
        );
        for command in ["list", "verify", "pull"] {
            let tool = scene
                .root
                .s3_tool(&scene.server, &scene.proxy.endpoint())
                .arg(command);
            let tool = tool.args(["--attempts", "2", "--from", &scene.bucket]);
            let to = tempfile::tempdir().unwrap();
            let outcome = if command == "pull" {
                tool.arg("--to").arg(to.path()).run()
            } else {
                tool.run()
            };
            assert!(
                [2, 3].contains(&outcome.code()),
                "{command}: {}",
                outcome.stderr
            );
            assert_eq!(outcome.data("set").len(), 0, "{command}");
        }
    }
    scene.check_whole();
}

#[test]
fn what_changes_between_its_confirmation_and_the_closing_is_found() {
    let scene = Scene::new("changed");
    let meddle = |args: &'static [&'static str]| {
        let (server, lists) = (Arc::clone(&scene.server), AtomicUsize::new(0));
        scene.proxy.set_rule(move |request| {
            // The first listing is of what is there, the last one of what has come.
            if is_list(request)
                && request.target.contains("2026-11-23")
                && lists.fetch_add(1, Ordering::Relaxed) == 1
            {
                let _ = server.aws_ok(args);
            }
            Fault::None
        });
        let _ = scene
            .push_within("60")
            .run()
            .assert_code(3)
            .assert_failure("changed")
            .assert_stderr("0007.tar.zst");
        assert_eq!(scene.complete_sets(), 0);
    };
    // Another file of the same size, and none at all.
    meddle(&[
        "s3",
        "cp",
        "--quiet",
        "s3://changed/daily/2026-11-23/mailboxes/a/b/0008.tar.zst",
        "s3://changed/daily/2026-11-23/mailboxes/a/b/0007.tar.zst",
    ]);
    meddle(&[
        "s3",
        "rm",
        "--quiet",
        "s3://changed/daily/2026-11-23/mailboxes/a/b/0007.tar.zst",
    ]);
    scene.proxy.set_rule(|_| Fault::None);
    let _ = scene.push().run().assert_code(0);
    scene.check_whole();
}

#[test]
fn what_is_written_while_the_set_is_closed_is_neither_kept_nor_copied() {
    let scene = Scene::new("window");
    let server = Arc::clone(&scene.server);
    // After the last look at the objects, and before the closing: no time tells, and the size is
    // the same.
    scene.proxy.set_rule(move |request| {
        if request.method == "PUT" && request.target.ends_with("checksums.sha256") {
            let [from, to] = ["0008", "0007"]
                .map(|n| format!("s3://window/daily/{DAY_1}/mailboxes/a/b/{n}.tar.zst"));
            let _ = server.aws_ok(&["s3", "cp", "--quiet", &from, &to]);
        }
        Fault::None
    });
    let _ = scene.push_within("60").run().assert_code(0);
    scene.proxy.set_rule(|_| Fault::None);
    let actions = |outcome: &Outcome| {
        let transfers = outcome.data("transfer");
        ["uploaded", "copied", "skipped"]
            .map(|action| transfers.iter().filter(|t| t["action"] == action).count())
    };
    // The next day has the same files: that one is sent, and the others are copied, after a
    // question for each.
    let today = tree(&scene.set());
    let files = today.iter().filter(|(path, _)| path.contains('/'));
    let files: Vec<(&str, &[u8])> = files
        .map(|(path, content)| (path.as_str(), content.as_slice()))
        .collect();
    let tomorrow = scene.root.make_daily(DAY_2, &files);
    let push = scene
        .root
        .push_to_s3(&scene.server, &scene.proxy.endpoint(), DAY_2, &scene.bucket);
    assert_eq!(actions(&push.run().assert_code(0)), [3, 21, 0]);
    assert!(
        scene.complete_tree() == Some(tree(&tomorrow)),
        "the newest is that of the next day"
    );
    // And the first day is healed.
    assert_eq!(actions(&scene.push().run().assert_code(0)), [3, 0, 21]);
    assert_eq!(actions(&scene.push().run().assert_code(0)), [0, 0, 24]);
    let deep = scene.root.s3_tool(&scene.server, &scene.server.endpoint());
    let _ = deep
        .args(["verify", "--deep", "--date", DAY_1, "--from", &scene.bucket])
        .run()
        .assert_code(0);
}

#[test]
fn a_role_that_may_not_delete_and_a_token_that_expires_are_no_obstacle() {
    let scene = Scene::new("role");
    let keys = scene.server.environment();
    let config = scene.root.path().join("config");
    let text = format!(
        "[profile keys]\naws_access_key_id={}\naws_secret_access_key={}\n[profile role]\nrole_arn={ROLE}\nsource_profile=keys\n",
        keys[0].1, keys[1].1
    );
    mail_common::atomic::write_file(&config, text.as_bytes()).unwrap();
    scene
        .proxy
        .set_rule(|request| match request.method.as_str() {
            "DELETE" => Fault::Answer(403, "AccessDenied"),
            "PUT" if request.number == 12 => Fault::Answer(400, "ExpiredToken"),
            _ => Fault::None,
        });
    let push = || {
        let tool = scene
            .root
            .tool()
            .env("AWS_CONFIG_FILE", &config)
            .env("AWS_ENDPOINT_URL", scene.proxy.endpoint());
        tool.args([
            "push",
            "--profile",
            "role",
            "--date",
            DAY_1,
            "--to",
            &scene.bucket,
        ])
        .run()
    };
    let _ = push().assert_code(0);
    let asked = scene
        .proxy
        .seen()
        .iter()
        .filter(|request| request.method == "POST" && request.target == "/")
        .count();
    assert_eq!(asked, 2, "STS was asked again");
    scene.check_whole();
}

/// Each request has an end, however little comes of its answer at a time.
#[test]
fn a_store_that_drips_is_given_up() {
    let scene = Scene::new("drips");
    let drip = |begin: &str| {
        let bytes = [begin.as_bytes(), &[b' '; 10_000]].concat();
        Talker::start(Manner::Drips(bytes, Duration::from_millis(100)))
    };
    let document = "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n<?xml version=\"1.0\"?>";
    for begin in ["", "HTTP/1.1 200 OK\r\nX-Long: ", document] {
        let talker = drip(begin);
        let endpoint = format!("http://127.0.0.1:{}", talker.port());
        let push = scene
            .root
            .push_to_s3(&scene.server, &endpoint, DAY_1, &scene.bucket);
        let begun = Instant::now();
        let outcome = push.args(["--timeout", "1", "--attempts", "2"]).run();
        assert!(begun.elapsed() < Duration::from_secs(90), "{begin:?}");
        let _ = outcome.assert_failure("store");
    }
}
