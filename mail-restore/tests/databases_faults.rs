//! The server dies, its disk is full, a recovery is killed too: every database is as it was, or as
//! it shall be, and the restore never says that it is done when it is not.
#![expect(
    clippy::disallowed_methods,
    reason = "sample sets are not stored files"
)]
#![expect(clippy::unwrap_used, reason = "a helper that fails ends the test")]

#[path = "support/scene.rs"]
mod scene;
#[path = "support/statement_proxy.rs"]
mod statement_proxy;
#[path = "support/databases.rs"]
mod support;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail_restore::databases::{Error, Loaded};
use mail_tests::mariadb::MariaDb;
use scene::{CAMPAIGN, all_facts, broken, fill, fill_again, restore, through};
use statement_proxy::{Harm, StatementProxy};
use support::{Set, chain, target};

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
        let set = Set::of(&source, &scene::DATABASES);
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
        if std::env::var_os(CAMPAIGN).is_some() {
            return (0..self.steps.len()).collect();
        }
        vec![
            self.ends("INSERT INTO")[0],
            self.ends("SELECT COUNT(*)")[1],
            self.ends("DROP TRIGGER")[0],
            self.ends("DROP VIEW")[1],
            self.ends("RENAME TABLE")[0],
            self.ends("EXECUTE IMMEDIATE")[1],
            self.ends("REPLACE INTO")[1],
            self.ends("DROP DATABASE")[1],
        ]
    }

    /// The next run puts right what is left, then refuses its set. All is as it was, or as it shall
    /// be, as the run before has said.
    fn check(&self, said: Result<(), Error>, place: &str) {
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
        stage.check(said, &place);
    }
}
