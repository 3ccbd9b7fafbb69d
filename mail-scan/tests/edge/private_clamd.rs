//! A clamd that a scan starts for itself.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use mail_tests::clamd::eicar;
use rustix::process::Signal;

use crate::clamds::assert_refused;
use crate::support::{Bench, tool, verdicts};

#[test]
fn a_private_clamd_is_started_and_stopped() {
    let bench = Bench::new();
    bench.put("file/bad", eicar());
    let signatures = bench.clamd.signatures();
    let spawn = || {
        tool(&["spawn"])
            .arg("--no-cache")
            .arg("--signatures")
            .arg(&signatures)
            .arg(bench.path("file"))
    };
    let outcome = spawn().run().assert_code(1);
    assert_eq!(verdicts(&outcome, &bench.path("file")), ["bad infected"]);
    let check = &outcome.data("check")[0];
    let socket = check["target"]
        .as_str()
        .unwrap()
        .strip_prefix("unix:")
        .unwrap()
        .to_owned();
    assert!(
        fs::symlink_metadata(&socket).is_err(),
        "{socket} is still there"
    );
    let holders = Command::new("pgrep")
        .args(["-f", &socket.replace("clamd.sock", "clamd.conf")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&holders.stdout), "");
    let missing = tool(&["spawn"])
        .arg("--signatures")
        .arg(bench.path("file"))
        .arg(bench.path("file"))
        .run();
    assert_refused(missing, "there are no signatures in");
}

#[test]
fn a_private_clamd_ends_with_a_run_that_is_killed() {
    let bench = Bench::new();
    for number in 0..2000 {
        bench.put(
            &format!("{number}"),
            format!("Subject: {number}\r\n\r\nhello\r\n").repeat(50),
        );
    }
    let tool = tool(&["spawn"])
        .arg("--no-cache")
        .arg("--signatures")
        .arg(bench.clamd.signatures());
    let mut running = tool.arg(bench.dir()).spawn();
    let mut clamd = String::new();
    while clamd.is_empty() && running.is_running() {
        thread::sleep(Duration::from_millis(2));
        clamd = children(running.pid());
    }
    // It stands still while clamd comes up, so that it is not over before it is killed.
    running.signal(Signal::STOP);
    thread::sleep(Duration::from_millis(300));
    assert!(
        running.is_running() && is_alive(&clamd),
        "it was over before it could be killed"
    );
    let command_line = fs::read_to_string(format!("/proc/{clamd}/cmdline")).unwrap();
    let config = command_line
        .split('\0')
        .find(|word| word.ends_with("/clamd.conf"))
        .unwrap();
    let left = Path::new(config).parent().unwrap().to_owned();
    running.signal(Signal::KILL);
    let _ = running.wait();
    let start = Instant::now();
    while is_alive(&clamd) {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "clamd is left behind"
        );
        thread::sleep(Duration::from_millis(20));
    }
    // The small directory that a killed run leaves goes with the next.
    assert!(left.is_dir());
    bench.put("file/harmless", "hello");
    let next = self::tool(&["spawn"])
        .arg("--no-cache")
        .arg("--signatures")
        .arg(bench.clamd.signatures());
    let _ = next.arg(bench.path("file")).run().assert_code(0);
    assert!(!left.exists(), "{} is still there", left.display());
}

/// The numbers of the child processes of `pid`.
fn children(pid: rustix::process::Pid) -> String {
    let output = Command::new("pgrep")
        .args(["-P", &pid.as_raw_nonzero().to_string()])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Whether a process works; one that has ended and was not waited for does not.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().next())
        .is_some_and(|state| state != "Z")
}
