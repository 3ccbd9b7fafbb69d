//! 400 days of pushes into a store in memory, with rules and locks: every set that is to be kept
//! can be pulled whole on every day, and what no set uses goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, ZonedDateTime};
use mail_common::checksum::{ChecksumFile, Sha256};
use mail_common::config::{Config, Environment};
use mail_common::exit::Exit;
use mail_common::failure::FailureKind;
use mail_common::interrupt::Interrupt;
use mail_common::relpath::RelPath;
use mail_common::report::{Report, Verbosity};
use mail_common::set::{SetId, SetKind};
use mail_common::tool::{Format, Opening, Session, Subject, Tool, Totals};
use serde_json::json;

use crate::cost::{Prices, Terms};
use crate::encryption::{Recipient, Recipients};
use crate::keep::{Keep, days_after, end_of_day};
use crate::layout::{Choice, Layout, POOL};
use crate::location::Location;
use crate::push::{Intent, LocalSet, Push};
use crate::remote::{Contents, Pool, RemoteSet, SetName, names};
use crate::store::simulated::{Rule, SimulatedStore};
use crate::store::{Lock, LockMode, ObjectStore};

const BEGIN: &str = "2026-01-01";
/// Days without a push: an outage in the middle.
const OUTAGE: std::ops::Range<u32> = 210..235;
/// Some days the clock here is a day late, or early.
const CLOCK_IS_WRONG_EVERY: u32 = 23;

/// A life of a server and its copy.
struct Simulation {
    directory: tempfile::TempDir,
    store: SimulatedStore,
    session: Session,
    keep: Keep,
    locks: bool,
    recipients: Option<Recipients>,
    /// What is in the mail: names and contents.
    files: BTreeMap<String, String>,
    /// Sets that are to be kept, and until when.
    kept: BTreeMap<SetName, Timestamp>,
    /// When a kept set last used an object.
    used: BTreeMap<String, Timestamp>,
}

impl Simulation {
    fn new(locks: bool, recipients: Option<Recipients>) -> Self {
        let text = b"S3_KEEP_DAILY=20\nS3_KEEP_WEEKLY=50\nS3_POOL_DAYS=100\n";
        let config = Config::parse(text, Path::new("/x"), Environment::default()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("backup")).unwrap();
        let files = (0..5).map(|number| (name(number), format!("old {number}")));
        Self {
            directory,
            store: SimulatedStore::new(noon(0)),
            session: session(),
            keep: Keep::new(&config).unwrap(),
            locks,
            recipients,
            files: files.collect(),
            kept: BTreeMap::new(),
            used: BTreeMap::new(),
        }
    }

    fn rules(&self) -> [Rule; 3] {
        let rule = |prefix, days| Rule { prefix, days };
        [
            rule("daily/", self.keep.days(SetKind::Daily)),
            rule("weekly/", self.keep.days(SetKind::Weekly)),
            rule(POOL, self.keep.pool),
        ]
    }

    /// A file is new, now and then one is gone, and an old one comes back.
    fn change(&mut self, day: u32) {
        self.files.insert(name(100 + day), format!("new {day}"));
        if day > 5 {
            self.files.remove(&name(100 + day - 5));
        }
        if day.is_multiple_of(50) {
            self.files.remove(&name(day / 50));
        }
        if day.is_multiple_of(97) {
            self.files.insert(name(1), "old 1".to_owned());
        }
    }

    fn push(&mut self, day: u32, kind: SetKind) {
        let id = SetId::for_date(kind, date(day));
        let set = self.write_set(id);
        let late = if day.is_multiple_of(CLOCK_IS_WRONG_EVERY) {
            1
        } else {
            0
        };
        let early = u32::from(day % CLOCK_IS_WRONG_EVERY == 11);
        let now = noon((day + early).saturating_sub(late));
        let days = self.keep.days(kind);
        let lock = self.locks.then(|| Lock {
            mode: LockMode::Compliance,
            until: end_of_day(now, days),
        });
        let location: Location = "s3://simulated".parse().unwrap();
        let interrupt = Interrupt::default();
        let push = Push {
            store: &self.store,
            location: &location,
            endpoint: None,
            session: &self.session,
            interrupt: &interrupt,
            jobs: NonZeroUsize::new(2).unwrap(),
            now,
            lock,
            layout: Choice::Always(Layout::Pool),
            keep: self.keep,
            recipients: self.recipients.as_ref(),
            storage_class: "STANDARD",
            terms: &Terms::new(Prices::unknown(), self.keep),
            intent: Intent::Send,
        };
        let local = LocalSet::open(&set, &self.session.report).unwrap();
        let exit = push.push(&local, &mut Totals::default()).unwrap();
        assert_eq!(exit, Exit::Done);
        // The rule counts from when its files were written, by the clock of the store.
        self.kept.insert(id.into(), end_of_day(noon(day), days));
        fs::remove_dir_all(&set).unwrap();
    }

    fn write_set(&self, id: SetId) -> PathBuf {
        let set = self.directory.path().join("backup").join(id.to_string());
        let mut entries = Vec::new();
        let mut put = |path: &str, content: &[u8]| {
            let file = set.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
            entries.push((Sha256::of(content), RelPath::new(path).unwrap()));
        };
        let mut manifest = json!({"type": "begin", "data": {"v": 1, "tool": "mail-backup",
            "version": "0", "host": "mx", "time": "2026-01-01T03:00:00+00:00", "args": [],
            "set": id}})
        .to_string();
        for (path, content) in &self.files {
            put(path, content.as_bytes());
            let artifact = json!({"type": "artifact", "data": {"root": "/b", "set": id,
                "component": "mysql", "path": path, "bytes": content.len(),
                "sha256": Sha256::of(content.as_bytes()), "entries": 1,
                "source_bytes": content.len(), "reused": false}});
            manifest += &format!("\n{artifact}");
        }
        let end = json!({"type": "end", "data": {"tool": "mail-backup", "status": "ok", "exit": 0,
            "seconds": 1.0, "totals": {}}});
        put("backup.log", id.to_string().as_bytes());
        put("manifest.jsonl", format!("{manifest}\n{end}\n").as_bytes());
        let mut checksums = Vec::new();
        ChecksumFile::new(entries).format(&mut checksums).unwrap();
        fs::write(set.join("checksums.sha256"), checksums).unwrap();
        set
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
            assert!(set.is_complete(), "day {day}: {name} is not whole");
            let contents = set.contents.as_ref().unwrap();
            for key in self.check_content(day, *name, contents) {
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

    /// What the keys of a set lead to is what the checksums say.
    fn check_content(&self, day: u32, name: SetName, contents: &Contents) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for entry in &contents.entries {
            let key = contents.key(name, entry);
            let download = self.store.get(&key, 0).unwrap().unwrap();
            let mut content = Vec::new();
            let _ = { download.reader }.read_to_end(&mut content).unwrap();
            let digest = Sha256::of(&content);
            assert!(digest == entry.stored, "day {day}: {key} of {name}");
            keys.insert(key);
        }
        keys
    }

    /// Nothing stays for longer than the rules have it: an object of the pool for its days after it
    /// was last used, and a week and a day as a version that was replaced.
    fn check_what_is_gone(&self, day: u32) {
        for key in self.store.everything().into_keys() {
            let used = self.used.get(&key).copied().unwrap_or(noon(day));
            let gone = days_after(used, self.keep.pool + 9);
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

fn session() -> Session {
    let tool = Tool {
        name: "mail-s3sync",
        version: "0",
        exit_codes: &[],
        exit_of: FailureKind::exit,
    };
    let opening = Opening {
        tool,
        args: Vec::new(),
        time: ZonedDateTime::new(noon(0), TimeZone::UTC),
        subject: Subject::default(),
    };
    let report = Report::to_writer("mail-s3sync", Verbosity::Quiet, io::sink());
    Session::start(opening, Format::Jsonl, report)
}

#[test]
fn four_hundred_days_of_pushes_keep_every_set_and_nothing_else() {
    let requests = Simulation::new(true, None).run(400);
    println!("{requests:?}");
}

#[test]
fn what_is_encrypted_is_kept_and_goes_alike_also_without_locks() {
    let key = age::x25519::Identity::generate().to_public().to_string();
    let recipient: Recipient = key.parse().unwrap();
    let requests = Simulation::new(false, Recipients::new(&[recipient])).run(260);
    println!("{requests:?}");
}
