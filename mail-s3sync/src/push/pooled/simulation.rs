//! 400 days of pushes into a store in memory, with rules and locks: every set that is to be kept
//! can be pulled whole on every day, and what no set uses goes.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use mail_common::exit::Exit;
use mail_common::set::{SetId, SetKind};

use crate::encryption::{Recipient, Recipients};
use crate::keep::{days_after, end_of_day};
use crate::layout::POOL;
use crate::remote::{Pool, RemoteSet, SetName, names};
use crate::server::{Server, assert_whole};
use crate::store::simulated::{Lack, Rule, SimulatedStore};
use crate::store::{Lock, LockMode};

const BEGIN: &str = "2026-01-01";
/// Days without a push: an outage in the middle.
const OUTAGE: std::ops::Range<u32> = 210..235;
/// Some days the clock here is a day late, or early.
const CLOCK_IS_WRONG_EVERY: u32 = 23;

/// A life of a server and its copy.
struct Simulation {
    server: Server,
    store: SimulatedStore,
    locks: bool,
    /// Sets that are to be kept, and until when.
    kept: BTreeMap<SetName, Timestamp>,
    /// When a kept set last used an object.
    used: BTreeMap<String, Timestamp>,
}

impl Simulation {
    fn new(locks: bool, recipients: Option<Recipients>, lacks: &[Lack]) -> Self {
        let mut server = Server::new("S3_KEEP_DAILY=20\nS3_KEEP_WEEKLY=50\nS3_POOL_DAYS=100\n");
        let files = (0..5).map(|number| (name(number), format!("old {number}")));
        server.files = files.collect();
        server.recipients = recipients;
        Self {
            server,
            store: SimulatedStore::lacking(noon(0), lacks),
            locks,
            kept: BTreeMap::new(),
            used: BTreeMap::new(),
        }
    }

    fn rules(&self) -> [Rule; 3] {
        let rule = |prefix, days| Rule { prefix, days };
        [
            rule("daily/", self.server.keep.days(SetKind::Daily)),
            rule("weekly/", self.server.keep.days(SetKind::Weekly)),
            rule(POOL, self.server.keep.pool),
        ]
    }

    /// A file is new, now and then one is gone, and an old one comes back.
    fn change(&mut self, day: u32) {
        self.server
            .files
            .insert(name(100 + day), format!("new {day}"));
        if day > 5 {
            self.server.files.remove(&name(100 + day - 5));
        }
        if day.is_multiple_of(50) {
            self.server.files.remove(&name(day / 50));
        }
        if day.is_multiple_of(97) {
            self.server.files.insert(name(1), "old 1".to_owned());
        }
    }

    fn push(&mut self, day: u32, kind: SetKind) {
        let id = SetId::for_date(kind, date(day));
        let late = if day.is_multiple_of(CLOCK_IS_WRONG_EVERY) {
            1
        } else {
            0
        };
        let early = u32::from(day % CLOCK_IS_WRONG_EVERY == 11);
        let now = noon((day + early).saturating_sub(late));
        let days = self.server.keep.days(kind);
        let lock = self.locks.then(|| Lock {
            mode: LockMode::Compliance,
            until: end_of_day(now, days),
        });
        let exit = self.server.push(&self.store, id, now, lock).unwrap();
        assert_eq!(exit, Exit::Done);
        // The rule counts from when its files were written, by the clock of the store.
        self.kept.insert(id.into(), end_of_day(noon(day), days));
    }

    /// Every set that is to be kept is there, whole, and locked; those that are not have gone.
    fn check_sets(&mut self, day: u32) {
        let now = noon(day);
        let everything = self.store.everything();
        let pool = Pool::new(&self.store);
        for (name, until) in &self.kept {
            let set = RemoteSet::read(&pool, *name).unwrap();
            if now >= *until {
                assert!(set.contents.is_none(), "day {day}: {name} is still there");
                continue;
            }
            let contents = set.contents.as_ref().unwrap();
            for key in assert_whole(&pool, *name) {
                let locked = everything[&key];
                let is_locked = locked >= contents.locked_until;
                assert!(
                    is_locked,
                    "day {day}: {key} of {name} is locked until {locked:?}"
                );
                self.used.insert(key, now);
            }
        }
        self.kept.retain(|_, until| now < *until);
    }

    /// Nothing stays for longer than the rules have it: an object of the pool for its days after it
    /// was last used, and a week and a day as a version that was replaced.
    fn check_what_is_gone(&self, day: u32) {
        for key in self.store.everything().into_keys() {
            let used = self.used.get(&key).copied().unwrap_or(noon(day));
            let gone = days_after(used, self.server.keep.pool + 9);
            assert!(
                noon(day) <= gone || key.ends_with(".jsonl"),
                "day {day}: {key}, {used}"
            );
        }
    }

    fn run(mut self, days: u32) -> BTreeMap<&'static str, u64> {
        for day in 0..days {
            let rules = self.rules();
            self.store.pass_to(noon(day), &rules);
            self.change(day);
            if !OUTAGE.contains(&day) {
                self.push(day, SetKind::Daily);
                if date(day).weekday() == jiff::civil::Weekday::Sunday {
                    self.push(day, SetKind::Weekly);
                }
            }
            let requests = self.store.take_requests();
            self.check_sets(day);
            self.check_what_is_gone(day);
            let _ = self.store.take_requests();
            for (kind, count) in requests {
                self.store.add_requests(kind, count);
            }
        }
        assert!(names(&self.store).unwrap().len() > 20);
        self.store.take_requests()
    }
}

fn name(number: u32) -> String {
    format!("mysql/{number:04}.sql.zst")
}

fn date(day: u32) -> Date {
    let begin: Date = BEGIN.parse().unwrap();
    begin.checked_add(i64::from(day).days()).unwrap()
}

/// When the push of a day is done.
fn noon(day: u32) -> Timestamp {
    let noon = date(day).at(12, 0, 0, 0);
    TimeZone::UTC.to_timestamp(noon).unwrap()
}

#[test]
fn four_hundred_days_of_pushes_keep_every_set_and_nothing_else() {
    let requests = Simulation::new(true, None, &[]).run(400);
    println!("{requests:?}");
}

#[test]
fn what_is_encrypted_is_kept_and_goes_alike_also_without_locks() {
    let key = age::x25519::Identity::generate().to_public().to_string();
    let recipient: Recipient = key.parse().unwrap();
    let requests = Simulation::new(false, Recipients::new(&[recipient]), &[]).run(260);
    println!("{requests:?}");
}

/// What would be copied onto itself is sent again.
#[test]
fn no_kept_set_expires_in_a_store_that_cannot_copy_and_lists_in_no_order() {
    for locks in [true, false] {
        let simulation = Simulation::new(locks, None, &[Lack::Copy, Lack::Order]);
        let requests = simulation.run(260);
        assert!(requests["copy"] > 0, "{requests:?}");
    }
}

#[test]
fn a_store_that_cannot_lock_keeps_every_set_for_its_days() {
    let _ = Simulation::new(false, None, &[Lack::Locks]).run(260);
}
