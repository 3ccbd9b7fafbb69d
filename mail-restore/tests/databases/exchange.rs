//! A restore that is killed, refused or cut off at any statement leaves every database as it was,
//! or as it shall be: never between.

use std::thread;
use std::time::{Duration, Instant};

use crate::scene::{CAMPAIGN, all_facts, broken, fill_again, process, restore, scene, through};
use crate::statement_proxy::{Harm, StatementProxy};
use crate::support::{Set, chain, target};
use mail_restore::databases::{Error, Loaded};
use mail_tests::mariadb::MariaDb;
use rustix::process::Signal;

/// How many statements a restore takes that change something.
fn statements(server: &MariaDb, set: &Set, old: &[String]) -> usize {
    let proxy = StatementProxy::start(server.port(), Harm::Refuse, usize::MAX);
    let loaded = restore(set, &through(&proxy));
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", chain(&error)));
    let count = proxy.statements().len();
    loaded.roll_back("only to count").unwrap();
    assert_eq!(all_facts(server), old);
    count
}

/// As many as a restore takes to drop what was there before.
const KEEPING: usize = 12;

/// Which of so many are tried.
fn chosen(count: usize) -> Vec<usize> {
    let step = if std::env::var_os(CAMPAIGN).is_some() {
        1
    } else {
        17
    };
    (0..count).step_by(step).collect()
}

#[test]
fn three_databases_that_use_each_other_change_places() {
    let (server, set, old, new) = scene();
    let loaded = restore(&set, &target(&server));
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(loaded.unmade(), []);
    loaded.roll_back("to see that it goes").unwrap();
    assert_eq!(all_facts(&server), old);
    restore(&set, &target(&server)).unwrap().keep().unwrap();
    assert_eq!(all_facts(&server), new);
    // Keys lead where they led, and the default takes from the sequence in place.
    let refused = server
        .client()
        .args(["-e", "INSERT INTO d2.far VALUES (8, 99)"])
        .output();
    assert!(!refused.unwrap().status.success());
    server.sql("INSERT INTO d2.counted (w) VALUES ('more')");
}

/// The n-th statement fails: everything is as it was.
#[test]
fn a_statement_that_is_refused_leaves_all_as_it_was() {
    let (server, set, old, _) = scene();
    let count = statements(&server, &set, &old);
    for at in chosen(count) {
        let proxy = StatementProxy::start(server.port(), Harm::Refuse, at);
        match restore(&set, &through(&proxy)) {
            // Without the account of its own, the restoring one loads.
            Ok(loaded) => loaded
                .roll_back("it was refused nothing that it needs")
                .unwrap(),
            Err(error) => assert!(
                !matches!(error, Error::NotRolledBack { .. }),
                "statement {at}: {}",
                chain(&error)
            ),
        }
        let seen = proxy.statements();
        assert_eq!(
            all_facts(&server),
            old,
            "statement {at}: {:?}",
            seen.get(at)
        );
    }
}

/// A journal that cannot be committed holds back no table that the way back drops.
#[test]
fn a_journal_that_is_not_committed_is_dropped_at_once() {
    let (server, set, old, _) = scene();
    let counting = StatementProxy::start(server.port(), Harm::Refuse, usize::MAX);
    let loaded = restore(&set, &through(&counting)).unwrap();
    loaded.roll_back("only to count").unwrap();
    let seen = counting.statements();
    let is_commit_of_journal =
        |at: &usize| seen[*at] == "COMMIT" && *at > 0 && seen[*at - 1].starts_with("REPLACE INTO");
    let commits: Vec<_> = (0..seen.len())
        .filter(is_commit_of_journal)
        .take(3)
        .collect();
    assert_eq!(commits.len(), 3, "{seen:#?}");
    for at in commits {
        let proxy = StatementProxy::start(server.port(), Harm::Refuse, at);
        let began = Instant::now();
        match restore(&set, &through(&proxy)) {
            Ok(loaded) => loaded.roll_back("it found another way").unwrap(),
            Err(error) => assert!(
                !matches!(error, Error::NotRolledBack { .. }),
                "{}",
                chain(&error)
            ),
        }
        assert_eq!(all_facts(&server), old, "statement {at}");
        assert!(began.elapsed() < Duration::from_secs(60), "statement {at}");
    }
}

/// A restore that is killed between two statements, or before it has an answer: the next run puts
/// right what it left, then restores.
#[test]
fn a_restore_that_is_killed_anywhere_is_put_right_by_the_next() {
    let (server, set, old, new) = scene();
    let count = statements(&server, &set, &old);
    for at in chosen(count + KEEPING) {
        for harm in [Harm::CutBefore, Harm::CutAfter] {
            let proxy = StatementProxy::start(server.port(), harm, at);
            let killed = restore(&set, &through(&proxy)).and_then(Loaded::keep);
            let seen = proxy.statements();
            let place = format!("{harm:?} {at}: {:?}", seen.get(at));
            drop(killed);
            let next = restore(&broken(), &target(&server));
            assert!(next.is_err(), "{place}");
            let now = all_facts(&server);
            assert!(now == old || now == new, "{place}: {now:#?}");
            if now == new {
                fill_again(&server);
                assert_eq!(all_facts(&server), old);
            }
        }
    }
}

/// The statements that the process sends, up to the one that it is killed at.
fn killed_at(server: &MariaDb, set: &Set, at: usize) -> Vec<String> {
    let proxy = StatementProxy::start(server.port(), Harm::Hold, at);
    let mut running = process(set, &set.root(), proxy.port()).spawn();
    while running.is_running() && !proxy.has_struck() {
        thread::sleep(Duration::from_millis(5));
    }
    running.signal(Signal::KILL);
    let _ = running.wait();
    proxy.statements()
}

/// The accounts of the server: the one that loads must not stay.
fn accounts(server: &MariaDb) -> String {
    server.sql("SELECT User, Host FROM mysql.global_priv ORDER BY 1, 2")
}

/// The process is killed between two statements: the next run, of the same set or of one that it
/// refuses, finishes the exchange or undoes it, and leaves nothing beside the databases.
#[test]
fn a_process_that_is_killed_anywhere_is_put_right_by_the_next() {
    let (server, set, old, new) = scene();
    let before = accounts(&server);
    let count = killed_at(&server, &set, usize::MAX).len();
    assert_eq!(all_facts(&server), new);
    fill_again(&server);
    let mut killed = 0;
    for at in chosen(count) {
        let seen = killed_at(&server, &set, at);
        killed += usize::from(seen.len() > at);
        let place = format!("killed at {at} of {count}: {:?}", seen.get(at));
        if at % 2 == 0 {
            let _ = process(&set, &set.root(), server.port())
                .run()
                .assert_code(0);
            assert_eq!(all_facts(&server), new, "{place}");
        } else {
            let _ = process(&broken(), &set.root(), server.port())
                .run()
                .assert_code(3);
        }
        let now = all_facts(&server);
        assert!(now == old || now == new, "{place}: {now:#?}");
        assert_eq!(accounts(&server), before, "{place}");
        if now == new {
            fill_again(&server);
            assert_eq!(all_facts(&server), old);
        }
    }
    eprintln!("killed at {killed} of {count} statements");
    assert!(killed > 0);
}
