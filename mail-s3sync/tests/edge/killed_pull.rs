//! A pull that is killed leaves no set, and the next one leaves nothing of it; so does a push to a
//! directory.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use mail_tests::run::Tool;
use rustix::process::Signal;

use crate::support::{DAY_1, DAY_2, SampleRoot, tree};

const LARGE: &str = "mailboxes/example.com/alice/0001.tar.zst";

/// A store with two sets, of which a file of each takes seconds to be pulled.
fn stored() -> SampleRoot {
    let root = SampleRoot::new();
    for (day, byte) in [(DAY_1, b'1'), (DAY_2, b'2')] {
        let large = vec![byte; 4 << 20];
        root.make_daily(day, &[(LARGE, &large), ("dkim/dkim.tar.zst", b"keys")]);
        let _ = root.push_to_file(day).run().assert_code(0);
    }
    root
}

fn pull(root: &SampleRoot, day: &str, to: &Path) -> Tool {
    let pull = root.tool().args(["pull", "--date", day, "--from"]);
    pull.arg(root.file_url()).arg("--to").arg(to)
}

/// Hidden files below a directory.
fn hidden(dir: &Path) -> String {
    let mut find = Command::new("find");
    let output = find.arg(dir).args(["-name", ".tmp*"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_next_pull_completes_the_set_and_leaves_nothing_hidden() {
    let root = stored();
    let (mut killed, mut left) = (0, 0);
    for (round, next) in [DAY_1, DAY_2, DAY_1, DAY_2].into_iter().enumerate() {
        let to = root.path().join(format!("pulled-{round}"));
        let slow = pull(&root, DAY_1, &to).args(["--limit-rate", "512K"]);
        let mut running = slow.spawn();
        // Late enough for the large file to be begun, on a busy machine too.
        while running.is_running() && hidden(&to).is_empty() {
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_millis(100 * round as u64));
        killed += usize::from(running.is_running());
        running.signal(Signal::KILL);
        let _ = running.wait();
        left += usize::from(!hidden(&to).is_empty());
        assert!(!to.join("checksums.sha256").exists());

        let _ = pull(&root, next, &to).run().assert_code(0);
        assert_eq!(hidden(&to), "", "round {round}");
        assert!(tree(&to) == tree(&root.set(&format!("daily/{next}"))));
    }
    assert!(killed > 0 && left > 0, "{killed} killed, {left} left");
}

/// What another push may still be writing is left alone for a day.
#[test]
fn what_a_killed_push_left_in_a_directory_goes_with_a_push_of_the_next_day() {
    let root = SampleRoot::new();
    let large = vec![b'1'; 4 << 20];
    root.make_daily(DAY_1, &[(LARGE, &large)]);
    let push = || root.push_to_file(DAY_1);
    let mut running = push().args(["--limit-rate", "512K"]).spawn();
    while running.is_running() && hidden(&root.store()).is_empty() {
        thread::sleep(Duration::from_millis(10));
    }
    running.signal(Signal::KILL);
    let _ = running.wait();
    assert_ne!(hidden(&root.store()), "");
    let _ = push().run().assert_code(0);
    assert_ne!(hidden(&root.store()), "");
    let _ = push().clock("+50h").run().assert_code(0);
    assert_eq!(hidden(&root.store()), "");
    let set = root.set(&format!("daily/{DAY_1}"));
    assert!(tree(&root.store().join("daily").join(DAY_1)) == tree(&set));
}
