use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use super::super::reading;
use super::*;

/// A log that is written to, rotated and followed.
struct Log {
    dir: tempfile::TempDir,
    position: Option<Position>,
    bounds: Bounds,
}

impl Log {
    fn new() -> Self {
        let bounds = Bounds {
            max_bytes: 1 << 30,
            first_look: 1 << 20,
        };
        Self {
            dir: tempfile::tempdir().unwrap(),
            position: None,
            bounds,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &[u8]) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        let moved = std::process::Command::new("mv")
            .arg(self.path(from))
            .arg(self.path(to))
            .status()
            .unwrap();
        assert!(moved.success());
    }

    /// As `cp` and `: > log` do, which is what logrotate's copytruncate does.
    fn copy_and_truncate(&self, to: &str) {
        fs::copy(self.path("log"), self.path(to)).unwrap();
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(self.path("log"))
            .unwrap();
    }

    fn read(&mut self) -> (String, Vec<Note>) {
        let course = follow(
            open(&self.path("log")).unwrap(),
            self.position.as_ref(),
            self.bounds,
        )
        .unwrap();
        let mut text = Vec::new();
        let read = reading::read(course, Instant::now() + Duration::from_secs(60), |block| {
            text.extend_from_slice(block);
        })
        .unwrap();
        self.position = read.position.or(self.position.take());
        (String::from_utf8_lossy(&text).into_owned(), read.notes)
    }

    #[track_caller]
    fn check(&mut self, text: &str, notes: &[Note]) {
        assert_eq!(self.read(), (text.to_owned(), notes.to_vec()));
    }
}

fn begun() -> Log {
    let mut log = Log::new();
    log.write("log", b"1\n2\n");
    log.check("1\n2\n", &[Note::FirstLook { bytes: 4 }]);
    log
}

#[test]
fn growth_is_read_once_and_a_line_without_its_end_waits() {
    let mut log = begun();
    log.check("", &[]);
    log.write("log", b"3\nhal");
    log.check("3\n", &[]);
    log.check("", &[]);
    log.write("log", b"f\n");
    log.check("half\n", &[]);
}

#[test]
fn a_rotated_file_is_read_to_its_end_first() {
    let mut log = begun();
    log.write("log", b"3\n");
    log.rename("log", "log.1");
    log.write("log", b"4\n");
    log.check(
        "3\n4\n",
        &[Note::Rotated {
            old: log.path("log.1"),
        }],
    );
    log.write("log", b"5\n");
    log.check("5\n", &[]);
}

#[test]
fn what_a_writer_still_writes_to_the_old_file_is_not_lost() {
    let mut log = begun();
    log.rename("log", "log.1");
    log.write("log", b"");
    log.check(
        "",
        &[Note::Rotated {
            old: log.path("log.1"),
        }],
    );
    log.write("log.1", b"late\n");
    log.write("log", b"new\n");
    log.check(
        "late\nnew\n",
        &[Note::Rotated {
            old: log.path("log.1"),
        }],
    );
}

#[test]
fn two_rotations_between_two_runs_are_read_in_order() {
    let mut log = begun();
    log.write("log", b"3\n");
    log.rename("log", "log-20261124");
    std::thread::sleep(Duration::from_millis(20));
    log.write("log", b"4\n");
    log.rename("log", "log-20261125");
    std::thread::sleep(Duration::from_millis(20));
    log.write("log", b"5\n");
    log.write("log.bak", b"not of it\n");
    log.check(
        "3\n4\n5\n",
        &[Note::Rotated {
            old: log.path("log-20261124"),
        }],
    );
}

#[test]
fn copytruncate_is_no_growth_and_its_copy_is_read() {
    let mut log = begun();
    log.write("log", b"3\n");
    log.copy_and_truncate("log.1");
    log.write("log", b"longer than before\n");
    log.check(
        "3\nlonger than before\n",
        &[Note::Rotated {
            old: log.path("log.1"),
        }],
    );
    log.check("", &[]);
}

#[test]
fn what_was_compressed_or_emptied_in_between_is_named() {
    let mut log = begun();
    log.copy_and_truncate("log.1.gz");
    log.write("log", b"4\n");
    log.check(
        "4\n",
        &[Note::Compressed {
            old: log.path("log.1.gz"),
        }],
    );
    let mut log = begun();
    log.copy_and_truncate("elsewhere");
    log.check("", &[Note::Lost]);
    log.write("log", b"9\n8\n7\n");
    log.check("9\n8\n7\n", &[]);
    // Replaced by a shorter one.
    fs::remove_file(log.path("log")).unwrap();
    log.write("log", b"x\n");
    log.check("x\n", &[Note::Lost]);
}

#[test]
fn the_first_look_and_a_run_are_bounded_and_the_newest_is_read() {
    let mut log = Log::new();
    log.bounds = Bounds {
        max_bytes: 7,
        first_look: 5,
    };
    log.write("log", b"aaa\nbbb\nccc\n");
    log.check("ccc\n", &[Note::FirstLook { bytes: 5 }]);
    log.write("log", b"ddd\neee\n");
    log.rename("log", "log.1");
    log.write("log", b"fff\n");
    log.check(
        "fff\n",
        &[
            Note::Rotated {
                old: log.path("log.1"),
            },
            Note::TooMuch { skipped_bytes: 5 },
        ],
    );
    log.check("", &[]);
}

#[test]
fn long_lines_and_rubbish_do_no_harm() {
    let mut log = begun();
    let rubbish: Vec<u8> = (0..5_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .map(|b| if b == b'\n' { 0 } else { b })
        .collect();
    log.write("log", &rubbish);
    log.write("log", b"\nafter\n");
    let (text, notes) = log.read();
    assert!(text.ends_with("after\n") && notes.is_empty(), "{notes:?}");
    // The rest of a line that is longer than the block is no line of its own.
    assert!(text.len() < 5_000_000);
}

#[test]
fn without_time_the_rest_is_left_to_the_next_run() {
    let mut log = begun();
    log.write("log", b"3\n");
    let course = follow(
        open(&log.path("log")).unwrap(),
        log.position.as_ref(),
        log.bounds,
    )
    .unwrap();
    let read = reading::read(course, Instant::now(), |_| panic!("nothing is read")).unwrap();
    assert_eq!(read.notes, [Note::Unfinished { left_bytes: 2 }]);
    log.position = read.position;
    log.check("3\n", &[]);
}

#[test]
fn what_is_no_log_is_refused_without_waiting() {
    let log = Log::new();
    assert!(matches!(open(&log.path("log")), Err(FollowError::Absent)));
    assert!(matches!(open(log.dir.path()), Err(FollowError::NotAFile)));
    assert!(matches!(
        open(Path::new("/dev/null")),
        Err(FollowError::NotAFile)
    ));
    let made = std::process::Command::new("mkfifo")
        .arg(log.path("fifo"))
        .status()
        .unwrap();
    assert!(made.success());
    assert!(matches!(
        open(&log.path("fifo")),
        Err(FollowError::NotAFile)
    ));
}

#[test]
fn only_names_of_rotation_are_siblings() {
    let check = |suffix: &str, expected: Suffix| {
        assert_eq!(kind_of(suffix.as_bytes()), expected, "{suffix}");
    };
    check(".1", Suffix::Plain);
    check("-20261125", Suffix::Plain);
    check("-2026-11-25", Suffix::Plain);
    check(".12.gz", Suffix::Compressed);
    check("-20261125.zst", Suffix::Compressed);
    check("", Suffix::Other);
    check(".gz", Suffix::Other);
    check(".bak", Suffix::Other);
    check(".1.old", Suffix::Other);
}
