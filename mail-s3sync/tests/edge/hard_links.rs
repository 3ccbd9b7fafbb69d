//! Sets on one disk share their files, and damage in none of them is handed on unseen.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::file_store::complete_sets;
use crate::support::{DAY_1, DAY_2, SampleRoot, tree};
use mail_tests::run::{Outcome, Tool};
use rustix::process::Signal;

const WEEKS: [&str; 2] = ["weekly/2026-week-46", "weekly/2026-week-47"];
const TABLES: &str = "mysql/mailserver.sql.zst";
const FILES: [(&str, &[u8]); 3] = [
    ("mailboxes/example.com/alice/0001.tar.zst", b"messages"),
    (TABLES, b"tables"),
    ("dkim/dkim.tar.zst", b"keys"),
];

fn push(root: &SampleRoot, set: &str) -> Tool {
    let tool = root.tool().args(["push", "--set", set, "--to"]);
    tool.arg(root.file_url())
}

fn daily(date: &str) -> String {
    format!("daily/{date}")
}

/// How many names a file of the store has.
fn names(root: &SampleRoot, set: &str, path: &str) -> u64 {
    let path = root.store().join(set).join(path);
    fs::metadata(path).unwrap().nlink()
}

/// Changes a byte, and nothing that a listing shows.
fn damage(path: &Path) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut content = fs::read(path).unwrap();
    content[0] ^= 1;
    // In place: other names of the file lead to the same.
    let file = File::options().write(true).open(path).unwrap();
    std::io::Write::write_all(&mut &file, &content).unwrap();
    file.set_times(FileTimes::new().set_modified(modified))
        .unwrap();
}

fn copied(outcome: &Outcome) -> u64 {
    let totals = &outcome.data("end")[0]["totals"];
    totals["copied"].as_u64().unwrap_or_default()
}

#[test]
fn sets_share_the_files_that_they_have_in_common() {
    let root = SampleRoot::new();
    for set in [daily(DAY_1), daily(DAY_2), WEEKS[0].into(), WEEKS[1].into()] {
        root.make(&set, &FILES);
        let _ = push(&root, &set).run().assert_code(0);
    }
    // The days with each other, and the weeks with each other, which are the second copy.
    for set in [daily(DAY_1), daily(DAY_2), WEEKS[0].into(), WEEKS[1].into()] {
        for (path, _) in FILES {
            assert_eq!(names(&root, &set, path), 2, "{set}/{path}");
        }
        assert_eq!(tree(&root.store().join(&set)), tree(&root.set(&set)));
    }
    // What is new belongs to its set alone, and leaves the older one as it is.
    let mut files = FILES;
    files[1].1 = b"other tables";
    let third = daily("2026-11-25");
    root.make(&third, &files);
    let _ = push(&root, &third).run().assert_code(0);
    assert_eq!(names(&root, &third, TABLES), 1);
    assert_eq!(names(&root, &third, FILES[0].0), 3);
    let tables = root.store().join(daily(DAY_2)).join(TABLES);
    assert_eq!(fs::read(tables).unwrap(), b"tables");
    // Each file is counted once, as `du` does: theirs and the log of both, one that is new, and of each
    // set the manifest and the checksums.
    let used = root.tool().args(["usage", "--from", &root.file_url()]);
    let usage = &used.run().assert_code(0).data("usage")[0];
    let files = 2 * (FILES.len() + 1) + 1 + 5 * 2;
    assert_eq!(usage["objects"], files, "{usage}");
}

#[test]
fn a_set_that_replaces_another_changes_no_file_that_others_share() {
    let root = SampleRoot::new();
    for date in [DAY_1, DAY_2] {
        root.make_daily(date, &FILES);
        let _ = push(&root, &daily(date)).run().assert_code(0);
    }
    let before = tree(&root.set(&daily(DAY_1)));
    let mut files = FILES;
    files[1].1 = b"TABLES";
    root.make_daily(DAY_2, &files);
    let _ = push(&root, &daily(DAY_2)).run().assert_code(0);
    assert_eq!(tree(&root.store().join(daily(DAY_1))), before);
    assert_eq!(names(&root, &daily(DAY_1), TABLES), 1);
}

/// A week reads everything that it shares; of the days each reads a part.
#[test]
fn a_damaged_file_is_found_before_it_is_in_every_set() {
    let root = SampleRoot::new();
    root.make(WEEKS[0], &FILES);
    let _ = push(&root, WEEKS[0]).run().assert_code(0);
    damage(&root.store().join(WEEKS[0]).join(TABLES));
    root.make(WEEKS[1], &FILES);
    let week = push(&root, WEEKS[1]).run().assert_code(0);
    let named = format!("{}/{TABLES} is damaged", WEEKS[0]);
    let _ = week.assert_stderr(&named);
    assert_eq!(
        tree(&root.store().join(WEEKS[1])),
        tree(&root.set(WEEKS[1]))
    );
    assert_eq!(names(&root, WEEKS[1], TABLES), 1);

    root.make_daily("2026-11-01", &FILES);
    let _ = push(&root, "daily/2026-11-01").run().assert_code(0);
    for (path, _) in FILES {
        damage(&root.store().join("daily/2026-11-01").join(path));
    }
    let mut found = 0;
    for day in 2..10 {
        let set = format!("daily/2026-11-{day:02}");
        root.make(&set, &FILES);
        let pushed = push(&root, &set).run().assert_code(0);
        found += pushed.stderr.matches(" is damaged").count();
    }
    assert_eq!(found, FILES.len());
    let last = "daily/2026-11-09";
    assert_eq!(tree(&root.store().join(last)), tree(&root.set(last)));
}

/// Where a file cannot get a second name it is written, which is said once a run.
#[test]
fn what_cannot_be_linked_is_written_and_that_is_said_once() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let root = SampleRoot::new();
    for set in [daily(DAY_1).as_str(), WEEKS[0]] {
        root.make(set, &FILES);
        let _ = push(&root, set).run().assert_code(0);
    }
    root.make_daily(DAY_2, &FILES);
    root.make(WEEKS[1], &FILES);
    open_to_all(root.path());
    // Whoever may not write a file may not give it another name (fs.protected_hardlinks).
    let to = ["push", "--date", DAY_2, "--also", "weekly", "--to"];
    let tool = root.tool().args(to).arg(root.file_url());
    let pushed = tool.as_nobody().run().assert_code(0);
    assert_eq!(copied(&pushed), 0);
    let said = "could not be linked";
    assert_eq!(pushed.stderr.matches(said).count(), 1, "{}", pushed.stderr);
    for set in [daily(DAY_2).as_str(), WEEKS[1]] {
        assert_eq!(tree(&root.store().join(set)), tree(&root.set(set)));
        assert_eq!(names(&root, set, TABLES), 1);
    }
}

/// Directories that all may write in, and files that all may read.
fn open_to_all(directory: &Path) {
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        fs::set_permissions(&next, fs::Permissions::from_mode(0o777)).unwrap();
        for entry in fs::read_dir(&next).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            }
        }
    }
}

#[test]
fn pushes_that_are_killed_and_two_at_once_leave_whole_sets() {
    let root = SampleRoot::new();
    let names: Vec<String> = (0..200)
        .map(|number| format!("mailboxes/example.com/alice/{number:04}.tar.zst"))
        .collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), name.as_bytes()))
        .collect();
    root.make_daily(DAY_1, &files);
    let _ = push(&root, &daily(DAY_1)).run().assert_code(0);
    let first = tree(&root.set(&daily(DAY_1)));
    for round in 0..8 {
        let set = daily(&format!("2026-12-{:02}", round + 1));
        root.make(&set, &files);
        let mut running = push(&root, &set).spawn();
        thread::sleep(Duration::from_millis(6 * round));
        running.signal(Signal::KILL);
        let code = running.wait().code();
        let is_there = complete_sets(&root).contains(&set);
        assert!(is_there || code != 0, "{round}: a false ok");
        let twins = [push(&root, &set).spawn(), push(&root, &set).spawn()];
        for twin in twins {
            let _ = twin.wait().assert_code(0);
        }
        assert_eq!(tree(&root.store().join(daily(DAY_1))), first, "{round}");
        let mut found = tree(&root.store().join(&set));
        // What a push that was killed has left has no name that anybody reads.
        found.retain(|path, _| !path.contains(".tmp-"));
        assert_eq!(found, tree(&root.set(&set)), "{round}");
    }
}
