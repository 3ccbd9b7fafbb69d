//! Deliveries that are interrupted, killed, or at work twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::faults::sample;
use crate::support::{Site, assert_clean, by_id, by_mailbox, deliver, work};
use mail_common::set::Inventory;
use mail_restore::messages::{self, Found, Query, Work, find, write_to};
use mail_tests::tree::{Kind, snapshot};

#[test]
fn a_signal_ends_it_between_two_messages() {
    let site = Site::new(60, 1);
    site.back_up(&[]);
    site.remove("example.com/alice");
    let selection = site.choose(&by_mailbox("alice@example.com"));
    let stop = AtomicBool::new(false);
    let progress = |_: u64| stop.store(true, Ordering::Relaxed);
    let outcome = messages::deliver(
        &selection,
        &site.mail(),
        jiff::Timestamp::now(),
        &Work {
            stop: &stop,
            progress: &progress,
        },
    );
    let outcome = outcome.unwrap();
    assert!(
        outcome.left > 0 && outcome.failures.is_empty(),
        "{outcome:?}"
    );
    assert_eq!(
        outcome.left + outcome.restored.len(),
        selection.candidates.len()
    );
    // A search is ended too.
    let error = find(
        &site.inventory(),
        &by_id("one@mx"),
        &Work {
            stop: &stop,
            progress: &progress,
        },
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "interrupted by a signal");
}

#[test]
fn another_run_in_the_mailbox_is_waited_for() {
    let site = sample();
    let selection = site.choose(&by_id("one@mx"));
    let mailbox = fs::File::open(site.live("example.com/alice")).unwrap();
    rustix::fs::flock(&mailbox, rustix::fs::FlockOperation::LockExclusive).unwrap();
    thread::scope(|scope| {
        let run = scope.spawn(|| deliver(&selection, &site.mail()).unwrap());
        thread::sleep(Duration::from_millis(150));
        assert!(!run.is_finished());
        rustix::fs::flock(&mailbox, rustix::fs::FlockOperation::Unlock).unwrap();
        assert_clean(&run.join().unwrap());
    });
}

/// Not a test by itself: what the tests below start as a process of its own, to be killed or to run
/// as another user.
#[test]
fn child() {
    let Ok(task) = std::env::var("MAIL_RESTORE_CHILD") else {
        return;
    };
    let [what, set, target] = &task.split('\n').map(PathBuf::from).collect::<Vec<_>>()[..] else {
        panic!("{task}")
    };
    let Found::Chosen(selection) =
        find(&Inventory::read(set).unwrap(), &Query::default(), &work()).unwrap()
    else {
        panic!("ambiguous")
    };
    let outcome = match what.to_str().unwrap() {
        "deliver" => deliver(&selection, target),
        _ => write_to(&selection, target, &work()),
    };
    assert_clean_but_folders(&outcome.unwrap());
}

fn assert_clean_but_folders(outcome: &messages::Outcome) {
    assert!(
        outcome.failures.is_empty() && outcome.left == 0,
        "{outcome:?}"
    );
}

pub(crate) fn child_command(program: &Path, what: &str, set: &Path, target: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--exact", "killed::child"]);
    command.env(
        "MAIL_RESTORE_CHILD",
        format!("{what}\n{}\n{}", set.display(), target.display()),
    );
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    command
}

#[test]
fn killed_at_any_moment_a_run_leaves_whole_messages_and_the_next_one_adds_the_rest() {
    let site = Site::new(150, 2);
    site.back_up(&[]);
    let all = site.choose(&Query::default()).candidates.len();
    let this = std::env::current_exe().unwrap();
    for kill_after_ms in [0, 5, 15, 30, 60, 90] {
        let live = tempfile::tempdir().unwrap();
        let mut child = child_command(&this, "deliver", &site.set(), live.path())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(kill_after_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        let saved = snapshot(&site.mail());
        let digests: std::collections::BTreeSet<_> = saved
            .entries()
            .values()
            .filter_map(|entry| entry.sha256.clone())
            .collect();
        for (path, entry) in snapshot(live.path()).entries() {
            let is_message = ["cur", "new"]
                .iter()
                .any(|place| path.parent().is_some_and(|parent| parent.ends_with(place)));
            if is_message && entry.kind == Kind::File {
                assert!(
                    digests.contains(entry.sha256.as_ref().unwrap()),
                    "{} after {kill_after_ms} ms",
                    path.display()
                );
            }
        }
        let outcome = deliver(&site.choose(&Query::default()), live.path()).unwrap();
        assert_clean_but_folders(&outcome);
        assert_eq!(outcome.restored.len(), all);
        let live_messages = snapshot(live.path());
        let count = live_messages.entries().iter().filter(|(path, entry)| {
            entry.kind == Kind::File
                && ["cur", "new"]
                    .iter()
                    .any(|place| path.parent().unwrap().ends_with(place))
        });
        assert_eq!(
            count.count(),
            all,
            "each message once, killed after {kill_after_ms} ms"
        );
    }
}

#[test]
fn killed_while_it_writes_to_a_directory_it_leaves_nothing_that_the_next_run_does_not_clear() {
    let site = Site::new(150, 2);
    site.back_up(&[]);
    let files = |dir: &Path| {
        let tree = snapshot(dir);
        let files = tree.entries().iter();
        let files = files.filter(|(_, entry)| entry.kind == Kind::File);
        files.map(|(path, _)| path.clone()).collect::<Vec<_>>()
    };
    let to = |dir: &Path| {
        let restore = site.server.restore().arg("--from").arg(site.set());
        restore.args(["--path", "**", "--to"]).arg(dir)
    };
    let whole = tempfile::tempdir().unwrap();
    let _ = to(whole.path()).run().assert_code(0);
    let expected = files(whole.path());
    for kill_after_ms in [10, 30, 60, 100, 160, 240] {
        let dir = tempfile::tempdir().unwrap();
        let mut running = to(dir.path()).spawn();
        thread::sleep(Duration::from_millis(kill_after_ms));
        running.signal(rustix::process::Signal::KILL);
        let _ = running.wait();
        let two_hours_ago = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
        for half in files(dir.path()) {
            let half = fs::File::open(dir.path().join(half)).unwrap();
            half.set_modified(two_hours_ago).unwrap();
        }
        let _ = to(dir.path()).run();
        assert_eq!(
            files(dir.path()),
            expected,
            "killed after {kill_after_ms} ms"
        );
    }
}
