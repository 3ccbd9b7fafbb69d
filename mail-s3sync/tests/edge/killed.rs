//! Pushes that are killed at any moment, and several at once.

use crate::scene::Scene;
use std::time::Duration;

use crate::support::{DAY_1, tree};
use mail_tests::proxy::Fault;
use mail_tests::run::Outcome;
use rustix::process::Signal;

#[test]
fn a_killed_push_is_never_a_set_and_the_next_one_completes_it() {
    let scene = Scene::new("killed");
    let mut killed = 0;
    for round in 0..6 {
        let mut running = scene.push().args(["--limit-rate", "8M"]).spawn();
        std::thread::sleep(Duration::from_millis(120 + 350 * round));
        killed += usize::from(running.is_running());
        running.signal(Signal::KILL);
        let outcome = running.wait();
        if outcome.code() != 0 {
            assert_eq!(scene.complete_sets(), 0, "round {round}");
        }
    }
    assert!(killed >= 3, "{killed} pushes were killed at work");
    let _ = scene.push().run().assert_code(0);
    scene.check_whole();
    // A set that was made again replaces it: half of both is no set.
    let set = scene.set();
    let large: Vec<u8> = tree(&set)["mysql/large.sql.zst"]
        .iter()
        .map(|byte| byte ^ 1)
        .collect();
    scene.root.make_daily(
        DAY_1,
        &[
            ("mysql/large.sql.zst", &large),
            ("dkim/dkim.tar.zst", b"keys"),
        ],
    );
    let mut running = scene.push().args(["--limit-rate", "4M"]).spawn();
    std::thread::sleep(Duration::from_millis(2500));
    assert!(running.is_running());
    running.signal(Signal::KILL);
    let _ = running.wait();
    assert_eq!(scene.complete_sets(), 0);
    let _ = scene.push().run().assert_code(0);
    scene.check_whole();
}

/// Each round replaces the set by one that shares half of its files, and is killed anywhere on the
/// way. What is listed as complete then is all of the old one or all of the new one.
#[test]
fn a_push_that_is_killed_at_random_leaves_the_old_set_the_new_one_or_none() {
    let seed = fastrand::u64(..);
    println!("seed {seed}: put it into the line above to have the same moments again");
    let mut random = fastrand::Rng::with_seed(seed);
    let scene = Scene::new("random");
    let small: Vec<String> = (0..20)
        .map(|number| format!("mailboxes/a/b/{number:04}.tar.zst"))
        .collect();
    let mut large = vec![0; 17 << 20];
    let _ = scene.push().run().assert_code(0);
    let mut old = tree(&scene.set());
    let (mut killed, mut found) = (0, [0; 3]);
    for round in 0..12 {
        random.fill(&mut large[round << 20..][..1 << 20]);
        let contents: Vec<String> = (0..20)
            .map(|number| format!("{number} of {}", if number % 2 == 0 { 0 } else { round }))
            .collect();
        let mut files: Vec<(&str, &[u8])> = small
            .iter()
            .zip(&contents)
            .map(|(name, content)| (name.as_str(), content.as_bytes()))
            .collect();
        files.push(("mysql/large.sql.zst", &large));
        let new = tree(&scene.root.make_daily(DAY_1, &files));
        let mut running = scene.push().args(["--limit-rate", "24M"]).spawn();
        std::thread::sleep(Duration::from_millis(random.u64(..1100)));
        killed += usize::from(running.is_running());
        running.signal(Signal::KILL);
        let _ = running.wait();
        found[match scene.complete_tree() {
            None => 0,
            Some(there) if there == old => 1,
            Some(there) => {
                assert!(there == new, "round {round}: half of both is called a set");
                2
            }
        }] += 1;
        let _ = scene.push().run().assert_code(0);
        scene.check_whole();
        old = new;
    }
    println!(
        "{killed} of 12 killed at work; then there was no set, the old one, the new one: {found:?}"
    );
    assert!(killed >= 6 && found[0] >= 1, "{killed} {found:?}");
}

#[test]
fn pushes_at_once_and_pushes_that_are_asked_to_stop_do_no_harm() {
    let scene = Scene::new("at-once");
    let running: Vec<_> = (0..3).map(|_| scene.push().spawn()).collect();
    let outcomes: Vec<Outcome> = running
        .into_iter()
        .map(mail_tests::run::Running::wait)
        .collect();
    assert!(
        outcomes.iter().any(|outcome| outcome.code() == 0),
        "{outcomes:?}"
    );
    scene.check_whole();
    scene.clear();
    scene.proxy.set_rule(|_| Fault::None);
    let mut running = scene.push().args(["--limit-rate", "4M"]).spawn();
    std::thread::sleep(Duration::from_millis(1500));
    running.signal(Signal::TERM);
    let asked = std::time::Instant::now();
    let _ = running.wait().assert_code(3).assert_failure("interrupted");
    assert!(asked.elapsed() < Duration::from_secs(3));
    assert_eq!(scene.complete_sets(), 0);
    // The parts of the large file cost nothing from now on.
    let seen = scene.proxy.seen();
    assert!(
        seen.iter()
            .any(|request| request.method == "DELETE" && request.target.contains("uploadId"))
    );
    let left = scene.server.aws_ok(&[
        "s3api",
        "list-multipart-uploads",
        "--bucket",
        "at-once",
        "--output",
        "json",
    ]);
    assert!(!left.contains("UploadId"), "{left}");
    let _ = scene.push().run().assert_code(0);
    scene.check_whole();
}
