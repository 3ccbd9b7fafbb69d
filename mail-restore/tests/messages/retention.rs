//! Retention removes sets while they are searched: what is being read stays, what went before it was
//! opened is named, and the others are searched.
#![expect(clippy::unwrap_used, reason = "a failing step ends the test")]

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use mail_tests::run::{Outcome, Running, Tool, shell};
use rustix::process::Signal;

use crate::support::{DELIVERED, Site};

const DAYS: [u32; 8] = [11, 12, 13, 14, 15, 16, 17, 18];

/// Eight days of some large messages, which take a while to look into.
fn sample(messages: u32, bytes: usize) -> Site {
    let site = Site::empty();
    for number in 0..messages {
        let path = format!("example.com/alice/cur/{number:02}.m:2,S");
        let line = format!("Line {number} of a long text to look into.\r\n");
        let body = line.repeat(bytes / line.len());
        let text = format!("Subject: number {number}\n\n{body}the end of {number}\n");
        site.put_at(&path, DELIVERED + i64::from(number), text);
    }
    DAYS.iter().for_each(|day| drop(site.save_day(*day)));
    site
}

/// A backup of weeks later, after which only the last sets stay.
fn retention(site: &Site, root: &Path) -> Tool {
    let tool = site.server.backup().args(["--component", "mailboxes"]);
    let tool = tool.args(["--date", "2026-12-20", "--root"]).arg(root);
    let tool = tool.env("BACKUP_COMPONENTS", "mailboxes");
    tool.env("DAILY_RETENTION_DAYS", "1")
}

fn search(site: &Site, root: &Path) -> Tool {
    let flags = ["--from", "all", "--list", "--text", "the end of", "--root"];
    site.server.restore().args(flags).arg(root)
}

/// Waits until a search holds the lock of a set.
fn wait_for_lock(search: &Running, set: &Path) {
    let fds = format!("/proc/{}/fd", search.pid().as_raw_nonzero());
    let manifest = set.join("manifest.jsonl").canonicalize().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let open = fs::read_dir(&fds).into_iter().flatten().flatten();
        let mut open = open.filter_map(|fd| fs::read_link(fd.path()).ok());
        if open.any(|path| path == manifest) {
            return;
        }
    }
    panic!("the search never opened {}", set.display());
}

#[test]
fn a_set_that_is_searched_outlives_retention() {
    let site = sample(20, 500_000);
    let oldest = site.server.daily("2026-11-11");
    let mut searching = search(&site, &site.server.root()).spawn();
    wait_for_lock(&searching, &oldest);
    searching.signal(Signal::STOP);
    let saved = retention(&site, &site.server.root()).run();
    assert!(searching.is_running(), "it was stopped while it searched");
    let saved = saved.assert_code(0);
    let _ = saved.assert_stderr("daily/2026-11-11 is being read; the next run removes it");
    assert!(oldest.exists());
    searching.signal(Signal::CONT);
    let found = searching.wait().assert_code(0);
    let found = found.data("message");
    assert_eq!(found.len(), 20);
    assert!(
        found
            .iter()
            .all(|one| one["first_set"] == "daily/2026-11-11")
    );
    let again = retention(&site, &site.server.root()).run().assert_code(0);
    assert!(!oldest.exists(), "{}", again.stderr);
}

/// Both begin at about the same time, sooner or later.
#[test]
fn sets_that_go_while_a_search_begins_are_named_and_the_others_are_searched() {
    let site = sample(3, 2_000);
    let mut gone_or_kept = (0, 0);
    for round in 0..20 {
        let root = site.server.dir().join(format!("root-{round}"));
        let copy = format!(
            "cp -al '{}' '{}'",
            site.server.root().display(),
            root.display()
        );
        let _ = shell(site.server.dir(), &copy);
        let saving = retention(&site, &root).spawn();
        thread::sleep(Duration::from_millis(round * 4));
        let found = search(&site, &root).spawn().wait();
        let saved = saving.wait().assert_code(0);
        assert_found(&found);
        gone_or_kept.0 += found.stderr.matches("cannot be searched").count();
        gone_or_kept.1 += saved.stderr.matches("is being read").count();
        fs::remove_dir_all(&root).unwrap();
    }
    println!("gone before they were opened, kept for the search: {gone_or_kept:?}");
}

/// Every message is found; an exit of 1 names the sets that went.
fn assert_found(found: &Outcome) {
    assert_eq!(found.data("message").len(), 3, "{}", found.stderr);
    let errors = found.data("error");
    let named = found.stderr.matches("cannot be searched").count();
    assert_eq!(errors.len(), named, "{}", found.stderr);
    assert_eq!(
        found.code(),
        i32::from(!errors.is_empty()),
        "{}",
        found.stderr
    );
}
