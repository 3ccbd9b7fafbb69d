//! Damage in the pool, listings that fail, pushes that end at any request, and two at once.

use super::scene::{DAY_3, FILES, Scene, URL, actions, pooled};
use crate::support::{DAY_1, DAY_2, SampleRoot, tree};
use mail_tests::proxy::{Fault, Request};
use mail_tests::s3::S3Server;

#[test]
fn what_is_damaged_missing_or_foreign_in_the_pool_is_found_and_sent_again() {
    let scene = Scene::new(S3Server::seaweedfs());
    let _ = scene.push(DAY_1).run().assert_code(0);
    let harm: [(&str, &dyn Fn()); 3] = [
        ("damaged", &|| scene.overwrite(&pooled(b"keys"), b"KEYS")),
        ("missing", &|| scene.rm(&pooled(b"keys"))),
        ("damaged", &|| {
            scene.overwrite(&pooled(b"keys"), b"something else");
        }),
    ];
    for (kind, harm) in harm {
        harm();
        scene.overwrite("pool/README", b"foreign");
        for depth in [&[][..], &["--deep"]] {
            let verify = scene.read("verify").args(depth).run();
            let _ = verify.assert_code(1).assert_failure(kind);
        }
        let again = scene.push(DAY_1).run().assert_code(0);
        assert_eq!(actions(&again)[0], 5, "{kind}: {}", again.stderr);
        let _ = scene.read("verify").args(["--deep"]).run().assert_code(0);
    }
    scene.rm(&pooled(b"more"));
    let listed = scene.read("list").run().assert_code(0).data("set");
    assert_eq!(
        (&listed[0]["complete"], &listed[0]["missing"]),
        (&false.into(), &1.into())
    );
    scene.root.make_daily(DAY_2, &FILES);
    assert_eq!(actions(&scene.push(DAY_2).run().assert_code(0)), [5, 0, 4]);
    assert_eq!(scene.pull(DAY_1), scene.set(DAY_1));
    // The ledger may be damaged or lost: then the store is asked.
    scene.overwrite("pool/ledger.jsonl", b"\xff not a ledger");
    assert_eq!(actions(&scene.push(DAY_2).run().assert_code(0)), [0, 0, 8]);
    scene.rm("pool/ledger.jsonl");
    scene.root.make_daily(DAY_3, &FILES);
    assert_eq!(actions(&scene.push(DAY_3).run().assert_code(0)), [4, 0, 5]);
    assert!(scene.keys().contains("host 1/pool/ledger.jsonl"));
}

#[test]
fn a_listing_of_the_pool_that_fails_or_is_cut_is_never_an_empty_one() {
    let scene = Scene::new(S3Server::seaweedfs());
    let _ = scene.push(DAY_1).run().assert_code(0);
    let before = scene.keys();
    scene.root.make_daily(DAY_2, &FILES);
    fn is_pool(request: &Request) -> bool {
        request.target.contains("list-type") && request.target.contains("pool")
    }
    type Rule = fn(&Request) -> Fault;
    let rules: [(Rule, i32); 3] = [
        (
            |request| Fault::Answer(403, "AccessDenied").when(is_pool(request)),
            2,
        ),
        (
            |request| Fault::Answer(500, "InternalError").when(is_pool(request)),
            3,
        ),
        (
            |request| {
                Fault::Body("<ListBucketResult><IsTruncated>false</IsTruncated><Contents>")
                    .when(is_pool(request))
            },
            3,
        ),
    ];
    for (rule, code) in rules {
        scene.proxy.set_rule(rule);
        let push = scene
            .push(DAY_2)
            .args(["--attempts", "2", "--timeout", "2"]);
        let _ = push.run().assert_code(code);
        assert_eq!(scene.keys(), before, "nothing was written");
        let tool = scene.root.s3_tool(&scene.server, &scene.proxy.endpoint());
        let list = tool.args(["list", "--from", URL, "--attempts", "2", "--timeout", "2"]);
        let _ = list.run().assert_code(code);
    }
}

/// Each round replaces the set by one with a new content, and the network goes for good at a later
/// request. What is there then is all of the old set, all of the new one, or none.
#[test]
fn a_push_that_ends_at_any_request_leaves_the_old_set_the_new_one_or_none() {
    let scene = Scene::new(S3Server::seaweedfs());
    let _ = scene.push(DAY_1).run().assert_code(0);
    let mut old = scene.set(DAY_1);
    let mut found = [0; 3];
    for end in 0..18 {
        let tables = format!("the tables of round {end}");
        let mut files = FILES;
        files[3].1 = tables.as_bytes();
        scene.root.make_daily(DAY_1, &files);
        let new = scene.set(DAY_1);
        scene
            .proxy
            .set_rule(move |request| Fault::CutRequest.when(request.number >= end));
        let push = scene.push(DAY_1).args(["--attempts", "1", "--jobs", "1"]);
        let code = push.run().code();
        let listed = scene.read("list").run().assert_code(0).data("set");
        let is_complete = listed.iter().any(|set| set["complete"] == true);
        let there = is_complete.then(|| scene.pull(DAY_1));
        found[match there {
            None => 0,
            Some(tree) if tree == old => 1,
            Some(tree) => {
                assert!(tree == new, "request {end}: half of both is called a set");
                2
            }
        }] += 1;
        assert!(code != 0 || found[2] > 0, "request {end}: a false ok");
        scene.watch();
        let _ = scene.push(DAY_1).run().assert_code(0);
        assert_eq!(scene.pull(DAY_1), new, "request {end}");
        old = new;
    }
    assert!(found.iter().all(|rounds| *rounds > 0), "{found:?}");
}

#[test]
fn two_pushes_at_once_share_a_pool() {
    let scene = Scene::new(S3Server::seaweedfs());
    let mut files = FILES;
    files[4].1 = b"other keys";
    scene.root.make_daily(DAY_2, &files);
    let running = [DAY_1, DAY_2].map(|date| scene.push(date).spawn());
    for push in running {
        let _ = push.wait().assert_code(0);
    }
    for date in [DAY_1, DAY_2] {
        assert_eq!(scene.pull(date), scene.set(date), "{date}");
    }
    // What the ledger of the one does not have of the other is asked for, and nothing is sent.
    files[3].0 = "mysql/other.sql.zst";
    scene.root.make_daily(DAY_3, &files);
    assert_eq!(actions(&scene.push(DAY_3).run().assert_code(0)), [4, 0, 5]);
}

/// In a bucket with versions what is deleted is only hidden, and nobody finds it all the same.
#[test]
fn a_version_that_is_hidden_by_a_delete_marker_is_missing_and_sent_again() {
    let server = S3Server::seaweedfs();
    server.make_locked_bucket("mail");
    let scene = Scene::with_bucket(server);
    let locked = |date: &str| scene.push(date).args(["--lock-days", "2"]).run();
    let _ = locked(DAY_1).assert_code(0);
    scene.rm(&pooled(b"keys"));
    scene.rm(&format!("daily/{DAY_1}/manifest.jsonl"));
    let _ = scene
        .read("verify")
        .args(["--date", DAY_1])
        .run()
        .assert_code(1);
    let again = locked(DAY_1).assert_code(0);
    assert_eq!(actions(&again)[0], 5, "{}", again.stderr);
    assert_eq!(scene.pull(DAY_1), scene.set(DAY_1));
}

/// What was done is not known where the answer was cut or lost: it is asked for, or done again.
#[test]
fn an_answer_that_is_cut_or_lost_at_any_request_costs_a_push_nothing() {
    let scene = Scene::new(S3Server::seaweedfs());
    for (round, fault) in [Fault::CutAnswer, Fault::LoseAnswer]
        .into_iter()
        .enumerate()
    {
        for at in 0..18 {
            let tables = format!("the tables of round {round} {at}");
            let mut files = FILES;
            files[3].1 = tables.as_bytes();
            scene.root.make_daily(DAY_1, &files);
            let fault = fault.clone();
            scene
                .proxy
                .set_rule(move |request| fault.clone().when(request.number == at));
            let push = scene
                .push(DAY_1)
                .args(["--attempts", "4", "--timeout", "2"]);
            let _ = push.run().assert_code(0);
        }
        assert_eq!(scene.pull(DAY_1), scene.set(DAY_1));
        let _ = scene.read("verify").args(["--deep"]).run().assert_code(0);
    }
}

/// Two servers that were given one prefix by mistake: sets of one name, of other content.
#[test]
fn two_servers_with_sets_of_one_name_never_make_one_set_of_both() {
    let scene = Scene::new(S3Server::seaweedfs());
    let other = SampleRoot::new();
    let mut files = FILES;
    files[3].1 = b"the tables of another server";
    other.make_daily(DAY_1, &files);
    for _ in 0..4 {
        let there = other.push_as_is(&scene.server, &scene.server.endpoint(), DAY_1, URL);
        let running = [scene.push(DAY_1).spawn(), there.spawn()];
        for push in running {
            let _ = push.wait();
        }
        let to = tempfile::tempdir().unwrap();
        let pull = scene.read("pull").args(["--date", DAY_1, "--to"]);
        let pulled = pull.arg(to.path()).run();
        let is_one_of_them = [&scene.root, &other]
            .into_iter()
            .any(|root| tree(to.path()) == tree(&root.set(&format!("daily/{DAY_1}"))));
        assert!(pulled.code() != 0 || is_one_of_them, "{}", pulled.stderr);
        // Whoever pushes last has the name.
        let _ = scene.push(DAY_1).run().assert_code(0);
        assert_eq!(scene.pull(DAY_1), scene.set(DAY_1));
    }
}
