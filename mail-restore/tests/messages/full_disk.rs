//! A disk that is full half-way: what was added is said and kept, and a second run adds the rest.
#![expect(clippy::unwrap_used, reason = "a failing step ends the test")]

use std::collections::BTreeMap;
use std::path::Path;

use mail_tests::held::SmallDisk;
use mail_tests::run::{Outcome, shell};
use mail_tests::schema::checked;
use mail_tests::tree::snapshot;

use crate::support::Site;

fn onto(site: &Site, disk: &Path, flags: &[&str]) -> Outcome {
    let tool = site.server.restore().args(flags);
    checked(tool.arg("--mail-dir").arg(disk))
}

fn total(outcome: &Outcome, name: &str) -> u64 {
    outcome.data("end")[0]["totals"][name].as_u64().unwrap()
}

/// How often each content lies below a directory, in messages that are whole.
fn contents(root: &Path) -> BTreeMap<String, usize> {
    let mut contents = BTreeMap::new();
    for (path, entry) in snapshot(root).entries() {
        let folder = path.parent().unwrap();
        if folder.ends_with("cur") || folder.ends_with("new") {
            *contents.entry(entry.sha256.clone().unwrap()).or_default() += 1;
        }
    }
    contents
}

#[test]
fn a_full_disk_is_no_run_that_did_nothing_and_the_next_one_adds_the_rest_once() {
    let site = Site::new(300, 2);
    site.save_day(21);
    site.save_day(23);
    let all = contents(&site.mail());
    let messages: usize = all.values().sum();
    let one_set = ["--from", "daily/2026-11-23", "--path", "**"];
    let searched = ["--from", "all", "--missing"];
    for (number, flags) in [&one_set[..], &searched].into_iter().enumerate() {
        let at = site.server.dir().join(format!("small-{number}"));
        let Some(disk) = SmallDisk::mount(at, "2m") else {
            return;
        };
        let first = onto(&site, disk.path(), flags).assert_code(1);
        let added = total(&first, "messages");
        assert!(added > 0 && added < messages as u64, "{}", first.stderr);
        assert_eq!(first.data("restored").len() as u64, added);
        assert_eq!(first.data("end")[0]["status"], "incomplete");
        let first = first.assert_failure("no_space");
        let first = first.assert_stderr(&format!("{added} messages added below"));
        let _ = first.assert_stderr("those that are there are left alone");
        let before: usize = contents(disk.path()).values().sum();
        assert_eq!(before as u64, added);
        let grow = format!("mount -o remount,size=64m '{}'", disk.path().display());
        let _ = shell(site.server.dir(), &grow);
        let second = onto(&site, disk.path(), flags).assert_code(0);
        assert_eq!(total(&second, "messages"), messages as u64 - added);
        assert_eq!(contents(disk.path()), all, "{flags:?}");
    }
}

#[test]
fn a_disk_that_has_no_room_at_all_is_a_run_that_did_nothing() {
    let site = Site::new(20, 1);
    site.save_day(23);
    for flags in [
        &["--from", "daily/2026-11-23", "--path", "**"][..],
        &["--from", "all", "--missing"],
    ] {
        let at = site.server.dir().join(format!("full-{}", flags.len()));
        let Some(disk) = SmallDisk::mount(at, "256k") else {
            return;
        };
        let fill = "mkdir -p example.com/alice/{cur,new,tmp} && \
                    { head -c 1m /dev/zero >filled || true; }";
        let _ = shell(disk.path(), fill);
        let outcome = onto(&site, disk.path(), flags).assert_code(3);
        assert!(outcome.data("restored").is_empty(), "{}", outcome.stderr);
        let _ = outcome.assert_failure("no_space");
        assert!(contents(disk.path()).is_empty());
    }
}
