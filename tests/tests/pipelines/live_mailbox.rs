//! A mailbox that is delivered to, flagged, moved and expunged while it is backed up: every message
//! that was there the whole time is in the set, once.
#![allow(clippy::disallowed_methods, reason = "sample files")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;
use std::time::Duration;

use mail_tests::maildir::{Ledger, TreePlan, WriterPlan, Writers};
use mail_tests::run::Tool;
use mail_tests::server::Server;
use mail_tests::set::{
    SavedMessage, assert_checksums, mail_index, messages, repeated, unpack_mail,
};
use mail_tests::tree::{Kind, snapshot};

/// The writers delete more in a minute than the users of a server in a day, which is an alarm.
fn backup(server: &Server, date: &str) -> Tool {
    server
        .backup()
        .env("BACKUP_ALARM_LOSS_PERCENT", "100")
        .args(["--component", "mailboxes", "--no-prune", "--date", date])
}

/// Lets writers work from before a run until after its end.
fn backup_while_written(
    server: &Server,
    date: &str,
    flags: &[&str],
    writers: WriterPlan,
) -> Ledger {
    let writers = Writers::start(&server.mail(), writers);
    let outcome = backup(server, date).args(flags).run();
    let ledger = writers.stop();
    let outcome = outcome.assert_code(0);
    assert_eq!(outcome.data("end")[0]["status"], "ok");
    ledger
}

/// Everything that is promised of a set that was made while the mailbox was at work.
fn check(set: &Path, ledger: &Ledger) {
    assert_checksums(set);
    let listed = mail_index(set);
    assert_eq!(
        repeated(&listed),
        BTreeMap::new(),
        "paths that are listed twice"
    );
    let unpacked = unpack_mail(set);
    let tree = snapshot(unpacked.path());
    // A folder that was renamed meanwhile may be there for its messages alone.
    for path in &listed {
        assert!(
            tree.entries().contains_key(Path::new(path)),
            "{path} is listed alone"
        );
    }
    for (path, entry) in tree.entries() {
        let is_listed = listed.binary_search(&path.display().to_string()).is_ok();
        assert!(
            is_listed || entry.kind == Kind::Dir,
            "{} is in no list",
            path.display()
        );
    }
    let saved = messages(unpacked.path());
    assert_eq!(
        repeated(saved.iter().map(|message| &message.unique)),
        BTreeMap::new(),
        "messages saved twice"
    );
    let by_name: BTreeMap<&str, &SavedMessage> =
        saved.iter().map(|m| (m.unique.as_str(), m)).collect();
    for (unique, sha256) in &ledger.throughout {
        let message = by_name
            .get(unique.as_str())
            .unwrap_or_else(|| panic!("{unique} is lost"));
        assert_eq!(message.sha256, *sha256, "{unique}");
    }
    let mut by_digest: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
    for message in &saved {
        by_digest
            .entry(&message.sha256)
            .or_default()
            .insert(&message.unique);
    }
    for (sha256, names) in &ledger.renamed {
        let found = by_digest
            .get(sha256.as_str())
            .unwrap_or_else(|| panic!("the message called {names:?} is lost"));
        assert!(
            found.len() == 1 && found.iter().all(|name| names.contains(*name)),
            "{found:?} of {names:?}"
        );
    }
}

fn busy(seed: u64, changes_per_second: u32) -> WriterPlan {
    WriterPlan {
        seed,
        threads: 2,
        changes_per_second,
        mean_bytes: 2_000,
    }
}

#[test]
fn every_message_that_was_there_throughout_is_saved_once() {
    let server = Server::new(&TreePlan {
        mean_bytes: 2_000,
        ..TreePlan::new(2_000, 1, 21)
    });
    for run in 0..16 {
        // A first full run, then days of changes; in between a day again, and all read again.
        let (day, flags): (u64, &[&str]) = match run % 4 {
            3 => (run - 1, &[]),
            2 => (run, &["--full"]),
            _ => (run, &[]),
        };
        let date = format!("2026-11-{:02}", day + 1);
        let ledger = backup_while_written(&server, &date, flags, busy(run, 1_500));
        assert!(
            ledger.changes > 20,
            "the writers hardly came to work: {} changes",
            ledger.changes
        );
        check(&server.daily(&date), &ledger);
    }
}

/// A weekly run reads what it does not store again: what moves meanwhile must not be lost on that
/// way, and no change may pass for damage.
#[test]
fn every_message_is_saved_once_by_a_run_that_reads_everything() {
    let server = Server::new(&TreePlan {
        mean_bytes: 2_000,
        ..TreePlan::new(400, 1, 23)
    });
    for run in 0..3 {
        let date = format!("2026-11-{:02}", 1 + 7 * run);
        let ledger = backup_while_written(&server, &date, &["--weekly"], busy(run, 1_500));
        let set = format!("weekly/2026-week-{}", 44 + run);
        check(&server.root().join(set), &ledger);
    }
}

#[test]
fn a_tree_that_holds_still_again_is_saved_as_it_is() {
    let server = Server::new(&TreePlan {
        mean_bytes: 2_000,
        ..TreePlan::new(500, 2, 22)
    });
    for run in 0..3 {
        let date = format!("2026-11-{:02}", run * 2 + 1);
        backup_while_written(&server, &date, &[], busy(run, 1_500));
        // So that no time stamp is as fresh as the run that reads it.
        thread::sleep(Duration::from_millis(30));
        let source = snapshot(&server.mail()).without_temporary();
        let date = format!("2026-11-{:02}", run * 2 + 2);
        backup(&server, &date).run().assert_code(0);
        let unpacked = unpack_mail(&server.daily(&date));
        source.assert_same(&snapshot(unpacked.path()));
    }
}
