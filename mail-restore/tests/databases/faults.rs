//! The server dies, its disk is full, a recovery is killed too: every database is as it was, or as
//! it shall be, and the restore never says that it is done when it is not.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::scene::{CAMPAIGN, all_facts, broken, fill, fill_again, restore, through};
use crate::statement_proxy::{Harm, StatementProxy};
use crate::support::{Set, chain, target};
use mail_restore::databases::{Error, Loaded};
use mail_tests::mariadb::MariaDb;
use tempfile::TempDir;

/// A server that may die, with the old state, and a set of the new one.
struct Stage {
    server: Arc<Mutex<Mortal>>,
    port: u16,
    set: Set,
    old: Vec<String>,
    new: Vec<String>,
    steps: Vec<String>,
}

/// A server, and whether it is dead.
struct Mortal {
    server: MariaDb,
    is_dead: bool,
}

impl Mortal {
    fn kill(&mut self) {
        self.server.kill();
        self.is_dead = true;
    }

    fn revive(&mut self) {
        if std::mem::take(&mut self.is_dead) {
            self.server.resume();
        }
    }
}

impl Stage {
    fn on(server: MariaDb) -> Self {
        let source = MariaDb::start();
        fill(&source, "new");
        let set = Set::of(&source, &crate::scene::DATABASES);
        fill(&server, "old");
        let old = all_facts(&server);
        let proxy = StatementProxy::start(server.port(), Harm::Refuse, usize::MAX);
        restore(&set, &through(&proxy)).unwrap().keep().unwrap();
        fill_again(&server);
        Self {
            port: server.port(),
            server: Arc::new(Mutex::new(Mortal {
                server,
                is_dead: false,
            })),
            set,
            old,
            new: all_facts(&source),
            steps: proxy.statements(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Mortal> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first step, and the last, that begins with `words`.
    fn ends(&self, words: &str) -> [usize; 2] {
        let is_meant = |step: &String| step.starts_with(words);
        let first = self.steps.iter().position(is_meant);
        let last = self.steps.iter().rposition(is_meant);
        [first, last].map(|at| at.unwrap_or_else(|| panic!("no {words}: {:#?}", self.steps)))
    }

    /// All steps in a campaign; else some that matter: the load, the counting, the exchange, and
    /// what follows it.
    fn chosen(&self) -> Vec<usize> {
        let in_place = self.ends("RENAME TABLE")[0];
        let is_code = |step: &String| step.starts_with("EXECUTE IMMEDIATE");
        let first_code = self.steps[in_place..].iter().position(is_code).unwrap();
        if std::env::var_os(CAMPAIGN).is_some() {
            return (0..self.steps.len()).collect();
        }
        vec![
            self.ends("INSERT INTO")[0],
            self.ends("SELECT COUNT(*)")[1],
            self.ends("DROP TRIGGER")[0],
            self.ends("DROP VIEW")[1],
            in_place,
            in_place + first_code,
            self.ends("REPLACE INTO")[1],
            self.ends("DROP DATABASE")[1],
        ]
    }

    /// The next run puts right what is left, then refuses its set. All is as it was, or as it shall
    /// be, as the run before has said.
    fn check(&self, said: &Result<(), Error>, place: &str) {
        let stage = self.lock();
        let next = restore(&broken(), &target(&stage.server)).unwrap_err();
        let text = chain(&next);
        assert!(text.contains("d9.sql line 2"), "{place}: {text}");
        let now = all_facts(&stage.server);
        assert!(now == self.old || now == self.new, "{place}: {now:#?}");
        match said {
            Ok(()) => assert_eq!(now, self.new, "{place}"),
            Err(Error::RolledBack { .. }) => assert_eq!(now, self.old, "{place}"),
            Err(_) => {}
        }
        if now == self.new {
            fill_again(&stage.server);
        }
        assert_eq!(all_facts(&stage.server), self.old, "{place}");
    }
}

/// InnoDB writes its log to the disk when it must, and not at each commit.
const LAZY: [&str; 2] = [
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-log-at-timeout=2700",
];

/// The server is killed at a step, and is there again at once, or only after the restore has ended.
#[test]
fn a_server_that_dies_at_any_step_is_put_right() {
    let stage = Stage::on(MariaDb::start_with(&LAZY));
    for (turn, at) in stage.chosen().into_iter().enumerate() {
        let harm = [Harm::DeedBefore, Harm::DeedAfter][turn % 2];
        let comes_back = turn / 2 % 2 == 0;
        let server = Arc::clone(&stage.server);
        let proxy = StatementProxy::with_deed(stage.port, harm, at, move || {
            let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
            server.kill();
            if comes_back {
                server.revive();
            }
        });
        let said = restore(&stage.set, &through(&proxy))
            .and_then(Loaded::keep)
            .map(drop);
        stage.lock().revive();
        let place = format!("{harm:?} {at}: {:?} {said:?}", stage.steps[at]);
        stage.check(&said, &place);
    }
}

/// A small disk of memory, for who may mount one.
struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    fn of(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size},mode=711"),
                "tmpfs",
            ])
            .arg(dir.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { dir });
        }
        eprintln!("skipped: mounting a small tmpfs needs root");
        None
    }
}

/// Takes all that is free.
fn fill_disk(path: &Path) {
    let mut filler = File::create(path).unwrap();
    for piece in [1 << 16, 1 << 10, 1] {
        while filler.write_all(&vec![0; piece]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.dir.path())
            .status();
    }
}

/// The disk is full from a step on, also on the way back; somebody makes room, and the next run
/// puts it right.
#[test]
fn a_disk_that_is_full_from_any_step_on_is_put_right() {
    let Some(disk) = SmallDisk::of("200m") else {
        return;
    };
    let stage = Stage::on(MariaDb::start_below(disk.dir.path(), &[]));
    for at in stage.chosen() {
        let filler = disk.dir.path().join(format!("filler-{at}"));
        let path = filler.clone();
        let proxy = StatementProxy::with_deed(stage.port, Harm::DeedBefore, at, move || {
            fill_disk(&path);
            let path = path.clone();
            // For MyISAM and Aria the server waits until there is room.
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(5));
                fs::remove_file(path)
            });
        });
        let said = restore(&stage.set, &through(&proxy))
            .and_then(Loaded::keep)
            .map(drop);
        let _may_be_gone = fs::remove_file(filler);
        let place = format!("full at {at}: {:?} {said:?}", stage.steps[at]);
        stage.check(&said, &place);
    }
}

/// The new tables do not fit beside the old ones, and nobody could look how much room there is.
#[test]
fn a_load_that_does_not_fit_on_the_disk_leaves_all_as_it_was() {
    let Some(disk) = SmallDisk::of("120m") else {
        return;
    };
    let server = MariaDb::start_below(disk.dir.path(), &[]);
    fill(&server, "old");
    let old = all_facts(&server);
    let set = Set::new();
    let row = format!("('{}'),", "x".repeat(5_000)).repeat(200);
    let insert = format!("INSERT INTO t VALUES {};\n", row.trim_end_matches(','));
    let dump = format!("CREATE TABLE t (a TEXT);\n{}", insert.repeat(120));
    set.put("d3.sql", dump.as_bytes());
    let proxy = StatementProxy::start(server.port(), Harm::Refuse, usize::MAX);
    let error = restore(&set, &through(&proxy)).unwrap_err();
    let text = chain(&error);
    assert!(matches!(error, Error::RolledBack { .. }), "{text}");
    assert!(text.contains("is full"), "{text}");
    assert_eq!(all_facts(&server), old);
}

/// A restore is killed in the exchange, the next one while it goes back: the third puts it right.
#[test]
fn a_recovery_that_is_killed_too_is_put_right() {
    let stage = Stage::on(MariaDb::start());
    let firsts = [
        stage.ends("RENAME TABLE")[0],
        stage.ends("EXECUTE IMMEDIATE")[1],
        // It says done.
        stage.ends("CREATE OR REPLACE TABLE")[1],
    ];
    for first in firsts {
        let count = steps_of_recovery(&stage, first);
        for at in some(count) {
            let harm = [Harm::CutBefore, Harm::CutAfter][at % 2];
            let said = left_at(&stage, first);
            let proxy = StatementProxy::start(stage.port, harm, at);
            restore(&broken(), &through(&proxy)).unwrap_err();
            let second = proxy.statements().pop();
            let place = format!("killed at {first}, then {harm:?} {at} of {count}: {second:?}");
            stage.check(&said, &place);
        }
    }
}

/// A restore that is killed when the server has run a step of it.
fn left_at(stage: &Stage, step: usize) -> Result<(), Error> {
    let proxy = StatementProxy::start(stage.port, Harm::CutAfter, step);
    restore(&stage.set, &through(&proxy))
        .and_then(Loaded::keep)
        .map(drop)
}

/// How many steps it takes to put right what a restore leaves that is killed at `first`.
fn steps_of_recovery(stage: &Stage, first: usize) -> usize {
    let said = left_at(stage, first);
    let proxy = StatementProxy::start(stage.port, Harm::Refuse, usize::MAX);
    restore(&broken(), &through(&proxy)).unwrap_err();
    stage.check(&said, "counting");
    let steps = proxy.statements();
    // The journal of the next restore.
    let begins = |step: &String| step.starts_with("CREATE DATABASE `mail_restore");
    steps.iter().position(begins).unwrap()
}

/// All of so many in a campaign, else three.
fn some(count: usize) -> Vec<usize> {
    match std::env::var_os(CAMPAIGN) {
        Some(_) => (0..count).collect(),
        None => vec![0, count / 2, count - 1],
    }
}

/// A client that writes to the live tables all the time: what it wrote before the exchange is gone,
/// and said to be; what it writes afterwards stays.
#[test]
fn another_client_that_writes_meanwhile_is_named() {
    let source = MariaDb::start();
    let ids =
        "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY); CREATE TABLE d.quiet (id INT);";
    source.sql(&format!("{ids} INSERT INTO d.t VALUES (1), (2), (3)"));
    let set = Set::of(&source, &["d"]);
    let server = MariaDb::start();
    server.sql(&format!("{ids} INSERT INTO d.t VALUES (10)"));
    let is_over = AtomicBool::new(false);
    let (loaded, written) = thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(&server, &is_over));
        while server.sql("SELECT COUNT(*) FROM d.t").trim() == "1" {
            thread::sleep(Duration::from_millis(5));
        }
        let loaded = restore(&set, &target(&server));
        // Something comes after the exchange, too.
        let before = server.sql("SELECT COUNT(*) FROM d.t");
        while server.sql("SELECT COUNT(*) FROM d.t") == before {
            thread::sleep(Duration::from_millis(5));
        }
        is_over.store(true, Ordering::SeqCst);
        (loaded, writer.join().unwrap())
    });
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", chain(&error)));
    let warnings = loaded.warnings().join("\n");
    assert!(
        warnings.contains("other clients wrote to `d`.`t` since"),
        "{warnings}"
    );
    assert!(!warnings.contains("quiet"), "{warnings}");
    loaded.keep().unwrap();
    // No write failed. Those that are there are the last ones, without a gap.
    let there: Vec<i32> = server
        .sql("SELECT id FROM d.t ORDER BY id")
        .lines()
        .map(|id| id.parse().unwrap())
        .collect();
    let (restored, later) = there.split_at(3);
    assert_eq!(restored, [1, 2, 3]);
    assert_eq!(later, (later[0]..=written).collect::<Vec<_>>());
    assert!(later[0] > 101, "the first writes came before the exchange");
}

/// Writes 101, 102 and so on, each in a transaction of its own, and gives back the last.
fn write_until(server: &MariaDb, is_over: &AtomicBool) -> i32 {
    let mut last = 100;
    while !is_over.load(Ordering::SeqCst) {
        last += 1;
        server.sql(&format!("INSERT INTO d.t VALUES ({last})"));
    }
    last
}
