use super::super::fixture::{Fixture, acquire, fill, names};
use super::super::{ReadLock, SetState};
use super::*;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

const NO_PATIENCE: Duration = Duration::ZERO;

fn content(set: &Path) -> String {
    fs::read_to_string(set.join("content")).unwrap()
}

#[test]
fn a_set_is_hidden_until_it_is_committed() {
    let fixture = Fixture::new();
    let staging = fixture.stage("daily/2026-11-23", "one");
    assert_eq!(
        staging.path(),
        fixture.root.path().join("daily/.2026-11-23.new")
    );
    assert_eq!(
        fs::metadata(staging.path()).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert!(fixture.root.sets(staging.id().kind()).unwrap().is_empty());
    let committed = staging.commit(CommitAs::Complete, NO_PATIENCE).unwrap();
    assert_eq!(committed.path, fixture.root.path().join("daily/2026-11-23"));
    assert_eq!(names(&fixture.root.path().join("daily")), ["2026-11-23"]);
    assert!(committed.not_removed.is_empty());
}

#[test]
fn a_dropped_staging_is_gone() {
    let fixture = Fixture::new();
    drop(fixture.stage("weekly/2026-week-47", "one"));
    assert!(names(&fixture.root.path().join("weekly")).is_empty());
}

#[test]
fn a_leftover_in_the_way_is_an_error() {
    let fixture = Fixture::new();
    let staging = fixture.stage("daily/2026-11-23", "one");
    let second = Staging::create(&fixture.lock, &fixture.root, staging.id());
    assert!(matches!(second, Err(Error::Failed(_))));
}

#[test]
fn a_set_without_manifest_or_checksums_is_not_complete() {
    for missing in [MANIFEST, CHECKSUMS] {
        let fixture = Fixture::new();
        let staging = fixture.stage("daily/2026-11-23", "one");
        fs::remove_file(staging.path().join(missing)).unwrap();
        let error = staging.commit(CommitAs::Complete, NO_PATIENCE).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("commit daily/2026-11-23: it has no {missing}")
        );
        assert!(names(&fixture.root.path().join("daily")).is_empty());
    }
}

#[test]
fn the_second_run_of_a_day_replaces_the_first() {
    let fixture = Fixture::new();
    fixture.commit("daily/2026-11-23", "one");
    let set = fixture.commit("daily/2026-11-23", "two");
    assert_eq!(content(&set), "two");
    assert_eq!(names(&fixture.root.path().join("daily")), ["2026-11-23"]);
}

#[test]
fn an_incomplete_set_leaves_the_complete_one_and_goes_with_the_next_success() {
    let fixture = Fixture::new();
    let daily = fixture.root.path().join("daily");
    fixture.commit("daily/2026-11-23", "one");
    for text in ["part", "other part"] {
        let staging = fixture.stage("daily/2026-11-23", text);
        let committed = staging.commit(CommitAs::Incomplete, NO_PATIENCE).unwrap();
        assert_eq!(committed.path, daily.join("2026-11-23.incomplete"));
        assert_eq!(content(&committed.path), text);
        assert_eq!(SetState::of(&committed.path), SetState::Incomplete);
    }
    assert_eq!(content(&daily.join("2026-11-23")), "one");
    assert_eq!(names(&daily), ["2026-11-23", "2026-11-23.incomplete"]);
    fixture.commit("daily/2026-11-23", "two");
    assert_eq!(names(&daily), ["2026-11-23"]);
}

#[test]
fn an_incomplete_set_that_is_being_read_stays_and_is_reported() {
    let fixture = Fixture::new();
    let staging = fixture.stage("daily/2026-11-23", "part");
    let incomplete = staging
        .commit(CommitAs::Incomplete, NO_PATIENCE)
        .unwrap()
        .path;
    let _reader = ReadLock::acquire(&incomplete).unwrap();
    let committed = fixture
        .stage("daily/2026-11-23", "one")
        .commit(CommitAs::Complete, NO_PATIENCE)
        .unwrap();
    assert_eq!(committed.not_removed[0].path, incomplete);
    assert_eq!(content(&incomplete), "part");
}

#[test]
fn a_set_that_is_being_read_is_not_replaced() {
    let fixture = Fixture::new();
    let set = fixture.commit("daily/2026-11-23", "one");
    let reader = ReadLock::acquire(&set).unwrap();
    let busy = fixture
        .stage("daily/2026-11-23", "two")
        .commit(CommitAs::Complete, Duration::from_millis(120));
    assert!(matches!(busy, Err(Error::Busy { .. })));
    assert_eq!(content(&set), "one");
    assert_eq!(names(&fixture.root.path().join("daily")), ["2026-11-23"]);

    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(200));
            drop(reader);
        });
        fixture
            .stage("daily/2026-11-23", "two")
            .commit(CommitAs::Complete, Duration::from_secs(10))
            .unwrap();
    });
    assert_eq!(content(&set), "two");
}

#[test]
fn at_no_moment_is_there_no_set() {
    let fixture = Fixture::new();
    let set = fixture.commit("daily/2026-11-23", "0");
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = 0_u64;
            while !is_done.load(Ordering::Relaxed) {
                assert!(
                    set.join(CHECKSUMS).exists(),
                    "the set was absent or in part after {seen} looks"
                );
                seen += 1;
            }
            seen
        });
        for number in 1..=200 {
            fixture.commit("daily/2026-11-23", &number.to_string());
        }
        is_done.store(true, Ordering::Relaxed);
        assert!(watcher.join().unwrap() > 200);
    });
    assert_eq!(content(&set), "200");
}

#[test]
fn a_reader_always_sees_one_set_from_start_to_end() {
    let fixture = Fixture::new();
    let set = fixture.commit("daily/2026-11-23", "0");
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let reader = ReadLock::acquire(&set).unwrap();
                let before = content(&set);
                thread::yield_now();
                assert_eq!(content(&set), before);
                drop(reader);
                thread::sleep(Duration::from_millis(2));
            }
        });
        for number in 1..=100 {
            let staging = fixture.stage("daily/2026-11-23", &number.to_string());
            staging
                .commit(CommitAs::Complete, Duration::from_secs(30))
                .unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
}

/// The child of the next test; by itself it does nothing.
#[test]
fn commits_until_it_is_killed() {
    let Ok(root) = std::env::var(KILLED_ROOT) else {
        return;
    };
    let root = BackupRoot::open(Path::new(&root)).unwrap();
    let lock = acquire(&root);
    for number in 0.. {
        let staging = Staging::create(&lock, &root, "daily/2026-11-23".parse().unwrap()).unwrap();
        for name in 0..20 {
            let path = format!("mailboxes/{number}-{name}").parse().unwrap();
            staging
                .create_file(&path)
                .unwrap()
                .finish_unsynced()
                .unwrap();
        }
        fill(&staging, MANIFEST);
        fill(&staging, CHECKSUMS);
        staging.commit(CommitAs::Complete, NO_PATIENCE).unwrap();
        if number == 0 {
            println!("\n{READY}");
        }
    }
}

#[test]
fn a_run_that_is_killed_at_any_moment_leaves_one_whole_set() {
    let dir = tempfile::tempdir().unwrap();
    let root = BackupRoot::open(dir.path()).unwrap();
    let set = dir.path().join("daily/2026-11-23");
    for round in 0..40 {
        let mut process = spawn_committer(dir.path());
        thread::sleep(Duration::from_micros(round * 1_777));
        process.kill().unwrap(); // SIGKILL
        process.wait().unwrap();

        assert!(names(&set).contains(&CHECKSUMS.to_owned()), "round {round}");
        let runs: Vec<String> = names(&set.join("mailboxes"))
            .iter()
            .map(|name| name.split_once('-').unwrap().0.to_owned())
            .collect();
        assert_eq!(runs, vec![runs[0].clone(); 20], "round {round}");
        let lock = acquire(&root);
        root.clear_leftovers(&lock).unwrap();
        assert_eq!(
            names(&dir.path().join("daily")),
            ["2026-11-23"],
            "round {round}"
        );
    }
}

const KILLED_ROOT: &str = "MAIL_TEST_COMMITS_UNTIL_KILLED";
const READY: &str = "ready";

/// This test program again, running only the child test.
fn spawn_committer(root: &Path) -> Child {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "set::staging::tests::commits_until_it_is_killed",
            "--nocapture",
        ])
        .env(KILLED_ROOT, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap() == READY),
        "the child did not start"
    );
    process
}

#[test]
fn without_exchange_the_old_set_is_moved_aside() {
    let fixture = Fixture::new();
    let set = fixture.commit("daily/2026-11-23", "one");
    let staging = fixture.stage("daily/2026-11-23", "two");
    let aside = swap_by_moving_aside(staging.path(), &set).unwrap();
    assert_eq!(aside, fixture.root.path().join("daily/.2026-11-23.old"));
    assert_eq!(
        (content(&set).as_str(), content(&aside).as_str()),
        ("two", "one")
    );

    // The new set is not there: the old one gets its name back.
    assert!(swap_by_moving_aside(&fixture.root.path().join("absent"), &set).is_err());
    assert_eq!(content(&set), "two");
}

#[test]
fn what_has_the_name_of_a_set_is_replaced_and_not_followed() {
    let fixture = Fixture::new();
    let elsewhere = fixture.root.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("kept")).unwrap();
    fs::create_dir(fixture.root.path().join("daily")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, fixture.root.path().join("daily/2026-11-23")).unwrap();
    let set = fixture.commit("daily/2026-11-23", "one");
    assert!(fs::symlink_metadata(&set).unwrap().is_dir());
    assert_eq!(names(&elsewhere), ["kept"]);
}

#[test]
fn files_are_created_and_linked_at_any_depth_and_with_any_name() {
    let fixture = Fixture::new();
    let odd = RelPath::new(b"mailboxes/a b/\xff\n'\\/0001.tar.zst").unwrap();
    let staging = fixture.stage("daily/2026-11-22", "one");
    let mut file = staging.create_file(&odd).unwrap();
    file.write_all(b"segment").unwrap();
    file.finish().unwrap();
    let old = staging
        .commit(CommitAs::Complete, NO_PATIENCE)
        .unwrap()
        .path;

    let staging = fixture.stage("daily/2026-11-23", "two");
    assert_eq!(staging.link_from(&old, &odd).unwrap(), Linked::HardLink);
    let new = staging
        .commit(CommitAs::Complete, NO_PATIENCE)
        .unwrap()
        .path;
    let inode = |set: &Path| fs::metadata(set.join(odd.as_path())).unwrap().ino();
    assert_eq!(inode(&old), inode(&new));
    fs::remove_dir_all(&old).unwrap();
    assert_eq!(fs::read(new.join(odd.as_path())).unwrap(), b"segment");
    assert_eq!(
        fs::metadata(new.join("mailboxes/a b"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o700
    );
}

#[test]
fn a_full_disk_costs_the_new_set_and_not_the_old_one() {
    let Some(fixture) = Fixture::on_small_tmpfs() else {
        return;
    };
    let set = fixture.commit("daily/2026-11-23", "one");
    let staging = fixture.stage("daily/2026-11-23", "two");
    let mut file = staging.create_file(&"big".parse().unwrap()).unwrap();
    let error = file
        .write_all(&vec![7; 4 << 20])
        .and_then(|()| file.finish().map(|_| ()))
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    drop(staging);
    assert_eq!(content(&set), "one");
    fill(&fixture.stage("daily/2026-11-24", "room again"), "more");
}
