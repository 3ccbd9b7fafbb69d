//! A pull that is killed leaves no set, and the next one leaves nothing of it.

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
