//! Prunes beside pushes: whatever moment the one and the other are stopped at, a set that a push
//! has closed can be pulled whole.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use jiff::Timestamp;
use mail_common::exit::Exit;
use mail_common::failure::{Failure, FailureKind};
use mail_common::interrupt::Interrupt;
use mail_common::set::SetId;
use mail_common::tool::Totals;

use super::{Error, Mode, Prune};
use crate::layout::pool_key;
use crate::push;
use crate::remote::{Pool, RemoteSet};
use crate::server::{Server, assert_whole};
use crate::store::simulated::{Lack, SimulatedStore};
use crate::store::{
    Attributes, Billed, Body, Confirmed, Download, Expiry, Found, Listed, Lock, NotListed,
    ObjectStore, Protection, Removal, StoreError, TreeRemoval,
};

/// A store that stands still before a request, until it may go on.
#[derive(Debug)]
struct Gate<'a> {
    store: &'a SimulatedStore,
    at: u64,
    seen: AtomicU64,
    reached: Mutex<Sender<()>>,
    go_on: Mutex<Receiver<()>>,
}

/// The other side of a gate.
struct Keeper {
    reached: Receiver<()>,
    go_on: Sender<()>,
}

impl<'a> Gate<'a> {
    fn new(store: &'a SimulatedStore, at: u64) -> (Self, Keeper) {
        let (reached_in, reached) = channel();
        let (go_on, go_on_out) = channel();
        let gate = Self {
            store,
            at,
            seen: AtomicU64::new(0),
            reached: Mutex::new(reached_in),
            go_on: Mutex::new(go_on_out),
        };
        (gate, Keeper { reached, go_on })
    }

    /// The store, for a request whose turn has come.
    fn pass(&self) -> &'a SimulatedStore {
        if self.seen.fetch_add(1, Ordering::Relaxed) == self.at {
            let reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody waits any more at the end of a test.
            let _ = reached.send(());
            let go_on = self.go_on.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = go_on.recv();
        }
        self.store
    }
}

impl Keeper {
    /// Waits until the gate is reached, or what goes through it has ended.
    fn wait(&self) {
        let _ = self.reached.recv();
    }

    fn open(&self) {
        let _ = self.go_on.send(());
    }
}

impl ObjectStore for Gate<'_> {
    fn url(&self, key: &str) -> String {
        self.store.url(key)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.pass().list(prefix, each)
    }

    fn directories(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.pass().directories(prefix)
    }

    fn look(&self, key: &str) -> Result<Option<Found>, StoreError> {
        self.pass().look(key)
    }

    fn get(&self, key: &str, from: u64) -> Result<Option<Download>, StoreError> {
        self.pass().get(key, from)
    }

    fn put(&self, key: &str, body: Body, attributes: &Attributes) -> Result<Confirmed, StoreError> {
        self.pass().put(key, body, attributes)
    }

    fn copy(
        &self,
        source: &Listed,
        key: &str,
        attributes: &Attributes,
    ) -> Result<Option<Confirmed>, StoreError> {
        self.pass().copy(source, key, attributes)
    }

    fn extend_lock(&self, key: &str, lock: Lock) -> Result<(), StoreError> {
        self.pass().extend_lock(key, lock)
    }

    fn remove(&self, object: &Listed, now: Timestamp) -> Result<Removal, StoreError> {
        self.pass().remove(object, now)
    }

    fn remove_tree(&self, prefix: &str) -> Result<TreeRemoval, StoreError> {
        self.store.remove_tree(prefix)
    }

    fn keeps_marks(&self) -> bool {
        self.store.keeps_marks()
    }

    fn copies_share_storage(&self) -> bool {
        self.store.copies_share_storage()
    }

    fn protection(&self) -> Result<Option<Protection>, StoreError> {
        self.pass().protection()
    }

    fn expiry(&self, prefix: &str) -> Result<Expiry, StoreError> {
        self.pass().expiry(prefix)
    }

    fn billed(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(Billed),
    ) -> Result<Vec<NotListed>, StoreError> {
        self.pass().billed(prefix, each)
    }

    fn abort_stale(&self, prefix: &str, before: Timestamp) -> Result<usize, StoreError> {
        self.pass().abort_stale(prefix, before)
    }
}

/// Noon of a day of January.
fn noon(day: u32) -> Timestamp {
    format!("2026-01-{day:02}T12:00:00Z").parse().unwrap()
}

fn set(day: u32) -> SetId {
    format!("daily/2026-01-{day:02}").parse().unwrap()
}

/// A server that keeps sets for a day, and what is in its pool for eleven.
fn server() -> Server {
    let days = "S3_KEEP_DAILY=1\nS3_KEEP_WEEKLY=1\nS3_KEEP_HOURLY=1\nS3_POOL_DAYS=11\n";
    Server::new(days)
}

fn save(server: &mut Server, files: &[&str]) {
    let named = |file: &&str| {
        (
            format!("mysql/{file}.sql.zst"),
            format!("content of {file}"),
        )
    };
    server.files = files.iter().map(named).collect();
}

/// A store on its thirteenth day. What the set of the first day alone uses is due, and so is `back`,
/// which the next set will have again; `young` is unused, and too young to go.
fn grown(server: &mut Server, lacks: &[Lack]) -> SimulatedStore {
    let store = SimulatedStore::lacking(noon(1), lacks);
    let days: [(u32, &[&str]); 3] = [
        (1, &["back", "again", "gone"]),
        (9, &["young"]),
        (11, &["stays"]),
    ];
    for (day, files) in days {
        store.pass_to(noon(day), &[]);
        save(server, files);
        let pushed = server.push(&store, set(day), noon(day), None).unwrap();
        assert_eq!(pushed, Exit::Done);
    }
    store.pass_to(noon(13), &[]);
    save(server, &["back", "again", "young", "stays", "new"]);
    store
}

fn prune(server: &Server, store: &dyn ObjectStore, mode: Mode) -> Result<Exit, Error> {
    let prune = Prune {
        store,
        session: &server.session,
        interrupt: &Interrupt::default(),
        jobs: std::num::NonZeroUsize::MIN,
        now: noon(13),
        keep: server.keep,
        hold: None,
        mode,
    };
    prune.prune(&mut Totals::default())
}

/// Which of the two goes on first after both were stopped.
#[derive(Clone, Copy, Debug)]
enum First {
    Push,
    Prune,
}

/// Stops a push and a prune before these requests of theirs, and lets them go on.
fn meet(
    server: &Server,
    store: &SimulatedStore,
    (push_at, prune_at): (u64, u64),
    first: First,
) -> (Result<Exit, push::Error>, Result<Exit, Error>, [bool; 2]) {
    let (push_gate, push_keeper) = Gate::new(store, push_at);
    let (prune_gate, prune_keeper) = Gate::new(store, prune_at);
    thread::scope(|scope| {
        let (push_gate, prune_gate) = (&push_gate, &prune_gate);
        let push = scope.spawn(move || {
            let pushed = server.push(push_gate, set(13), noon(13), None);
            let seen = push_gate.seen.load(Ordering::Relaxed);
            // It has ended, and was not stopped.
            let _ = push_gate.reached.lock().unwrap().send(());
            (pushed, seen > push_at)
        });
        push_keeper.wait();
        let prune = scope.spawn(move || {
            let pruned = prune(server, prune_gate, Mode::Remove);
            let seen = prune_gate.seen.load(Ordering::Relaxed);
            let _ = prune_gate.reached.lock().unwrap().send(());
            (pruned, seen > prune_at)
        });
        prune_keeper.wait();
        let ((pushed, push_stopped), (pruned, prune_stopped)) = match first {
            First::Push => {
                push_keeper.open();
                let pushed = push.join().unwrap();
                prune_keeper.open();
                (pushed, prune.join().unwrap())
            }
            First::Prune => {
                prune_keeper.open();
                let pruned = prune.join().unwrap();
                push_keeper.open();
                (push.join().unwrap(), pruned)
            }
        };
        (pushed, pruned, [push_stopped, prune_stopped])
    })
}

/// The store removes whatever is there by then, which is the worst that one can do.
#[test]
fn a_prune_at_any_moment_of_a_push_never_costs_a_set_anything() {
    let mut server = server();
    let grown = grown(&mut server, &[Lack::Versions]);
    let (mut closed, mut given_up) = (0, 0);
    for push_at in 0.. {
        let mut was_push_stopped = false;
        for prune_at in 0.. {
            let mut was_prune_stopped = false;
            for first in [First::Push, First::Prune] {
                let store = grown.twin();
                let moment = format!("{push_at} {prune_at} {first:?}");
                let (pushed, pruned, stopped) = meet(&server, &store, (push_at, prune_at), first);
                was_push_stopped |= stopped[0];
                was_prune_stopped |= stopped[1];
                assert_eq!(pruned.unwrap(), Exit::Done, "{moment}");
                match pushed {
                    Ok(exit) => {
                        assert_eq!(exit, Exit::Done, "{moment}");
                        closed += 1;
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), FailureKind::Changed, "{moment}: {error}");
                        given_up += 1;
                        let again = server.push(&store, set(13), noon(13), None);
                        assert_eq!(again.unwrap(), Exit::Done, "{moment}");
                    }
                }
                let pool = Pool::new(&store);
                let _ = assert_whole(&pool, set(13).into());
                // That of before stays until there is a newer one, and is never there in part.
                let before = RemoteSet::read(&pool, set(11).into()).unwrap();
                assert!(
                    before.contents.is_none() || before.is_complete(),
                    "{moment}"
                );
            }
            if !was_prune_stopped {
                break;
            }
        }
        if !was_push_stopped {
            break;
        }
    }
    assert!(closed > 100 && given_up > 0, "{closed} {given_up}");
}

#[test]
fn what_no_set_uses_goes_and_nothing_else() {
    for lacks in [&[][..], &[Lack::Order], &[Lack::Versions, Lack::Order]] {
        let mut server = server();
        let store = grown(&mut server, lacks);
        let key = |file: &str| {
            pool_key(mail_common::checksum::Sha256::of(
                format!("content of {file}").as_bytes(),
            ))
        };
        let keys = || store.everything();
        let before = keys();
        assert_eq!(prune(&server, &store, Mode::List).unwrap(), Exit::Done);
        assert_eq!(keys(), before, "only shown");
        assert_eq!(prune(&server, &store, Mode::Remove).unwrap(), Exit::Done);
        let after = keys();
        let gone: Vec<&String> = before
            .keys()
            .filter(|key| !after.contains_key(*key))
            .collect();
        let is_of_old_set = |gone: &&&String| {
            gone.starts_with("daily/2026-01-01/") || gone.starts_with("daily/2026-01-09/")
        };
        assert_eq!(gone.iter().filter(is_of_old_set).count(), 8, "{gone:?}");
        for file in ["back", "again", "gone"] {
            assert!(gone.contains(&&key(file)), "{file}");
        }
        assert_eq!(gone.len(), 11, "{gone:?}");
        assert_eq!(
            after.len() + 11,
            before.len(),
            "nothing is left of the prune"
        );
        let _ = assert_whole(&Pool::new(&store), set(11).into());
    }
}

#[test]
fn a_set_that_cannot_be_read_keeps_all_of_the_pool() {
    let mut server = server();
    let store = grown(&mut server, &[]);
    let damaged = Body::of_bytes("x", "not checksums");
    let key = format!("{}/checksums.sha256", set(11));
    store.put(&key, damaged, &Attributes::default()).unwrap();
    let pooled = |store: &SimulatedStore| {
        let keys = store.everything().into_keys();
        keys.filter(|key| key.starts_with("pool/")).count()
    };
    let before = pooled(&store);
    for mode in [Mode::List, Mode::Remove] {
        assert_eq!(prune(&server, &store, mode).unwrap(), Exit::Bad);
        assert_eq!(pooled(&store), before);
    }
    // Once it is whole again, the rest goes.
    save(&mut server, &["stays"]);
    let _ = server.push(&store, set(11), noon(11), None).unwrap();
    assert_eq!(prune(&server, &store, Mode::Remove).unwrap(), Exit::Done);
    assert_eq!(pooled(&store), before - 3);
}

#[test]
fn what_is_locked_stays_and_so_does_what_it_needs() {
    let mut server = server();
    let store = SimulatedStore::new(noon(1));
    save(&mut server, &["old"]);
    let lock = Lock {
        mode: crate::store::LockMode::Compliance,
        until: noon(20),
    };
    let _ = server.push(&store, set(1), noon(1), Some(lock)).unwrap();
    save(&mut server, &["new"]);
    store.pass_to(noon(13), &[]);
    let _ = server.push(&store, set(13), noon(13), None).unwrap();
    let before = store.everything();
    assert_eq!(prune(&server, &store, Mode::Remove).unwrap(), Exit::Done);
    assert_eq!(store.everything(), before);
    let set = RemoteSet::read(&Pool::new(&store), set(1).into()).unwrap();
    assert!(set.is_complete());
}

#[test]
fn one_prune_at_a_time_and_never_with_a_wrong_clock() {
    let mut server = server();
    let store = grown(&mut server, &[]);
    let before = store.everything();
    let mark = |content| Body::of_bytes("x", content);
    let put = |content| {
        let attributes = Attributes::default();
        store
            .put("pool/prune-under-way", mark(content), &attributes)
            .unwrap();
    };
    put("another");
    let refused = prune(&server, &store, Mode::Remove).unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Locked, "{refused}");
    // An empty one says that it has ended.
    put("");
    store.pass_to(noon(15), &[]);
    let refused = prune(&server, &store, Mode::Remove).unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Clock, "{refused}");
    assert_eq!(store.everything(), before);
    store.pass_to(noon(13), &[]);
    assert_eq!(prune(&server, &store, Mode::Remove).unwrap(), Exit::Done);
    assert!(store.everything().len() < before.len());
}
