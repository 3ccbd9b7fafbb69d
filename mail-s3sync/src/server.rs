//! A server whose sets are pushed into a store in memory, on whatever day; for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use mail_common::checksum::{ChecksumFile, Sha256};
use mail_common::config::{Config, Environment};
use mail_common::exit::Exit;
use mail_common::failure::FailureKind;
use mail_common::interrupt::Interrupt;
use mail_common::relpath::RelPath;
use mail_common::report::{Report, Verbosity};
use mail_common::set::SetId;
use mail_common::tool::{Format, Opening, Session, Subject, Tool, Totals};
use serde_json::json;

use crate::cost::{Prices, Terms};
use crate::encryption::Recipients;
use crate::keep::Keep;
use crate::layout::{Choice, Layout};
use crate::location::Location;
use crate::push::{self, Intent, LocalSet, Push};
use crate::remote::{Pool, RemoteSet, SetName};
use crate::store::{Lock, ObjectStore};

/// A server, and what is in its mail.
pub(crate) struct Server {
    directory: tempfile::TempDir,
    pub(crate) session: Session,
    pub(crate) keep: Keep,
    pub(crate) recipients: Option<Recipients>,
    /// Names and contents.
    pub(crate) files: BTreeMap<String, String>,
}

impl Server {
    /// A server with these settings.
    pub(crate) fn new(settings: &str) -> Self {
        let config = Config::parse(settings.as_bytes(), Path::new("/x"), Environment::default());
        // In memory, where there is such a place: the tests push very often.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let directory = directory.unwrap();
        fs::create_dir(directory.path().join("backup")).unwrap();
        Self {
            directory,
            session: session(),
            keep: Keep::new(&config.unwrap()).unwrap(),
            recipients: None,
            files: BTreeMap::new(),
        }
    }

    /// Pushes a set of the mail as it is now, with one file at a time.
    pub(crate) fn push(
        &self,
        store: &dyn ObjectStore,
        id: SetId,
        now: Timestamp,
        lock: Option<Lock>,
    ) -> Result<Exit, push::Error> {
        let set = self.write_set(id);
        let location: Location = "s3://simulated".parse().unwrap();
        let interrupt = Interrupt::default();
        let push = Push {
            store,
            location: &location,
            endpoint: None,
            session: &self.session,
            interrupt: &interrupt,
            jobs: NonZeroUsize::MIN,
            now,
            lock,
            layout: Choice::Always(Layout::Pool),
            keep: self.keep,
            recipients: self.recipients.as_ref(),
            storage_class: "STANDARD",
            terms: &Terms::new(Prices::unknown(), self.keep),
            intent: Intent::Send,
            not_copied: AtomicU64::new(0),
        };
        let local = LocalSet::open(&set, &self.session.report).unwrap();
        let pushed = push.push(&local, &mut Totals::default());
        fs::remove_dir_all(&set).unwrap();
        pushed
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
}

/// Reads all of a set, which is complete and what its checksums say. Gives the keys that it uses.
#[track_caller]
pub(crate) fn assert_whole(pool: &Pool<'_>, name: SetName) -> BTreeSet<String> {
    let set = RemoteSet::read(pool, name).unwrap();
    assert!(set.is_complete(), "{name} is not whole");
    let contents = set.contents.as_ref().unwrap();
    let mut keys = BTreeSet::new();
    for entry in &contents.entries {
        let key = contents.key(name, entry);
        let download = pool.store.get(&key, 0).unwrap().unwrap();
        let mut content = Vec::new();
        let _ = { download.reader }.read_to_end(&mut content).unwrap();
        assert!(Sha256::of(&content) == entry.stored, "{key} of {name}");
        keys.insert(key);
    }
    keys
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
        time: ZonedDateTime::new(Timestamp::UNIX_EPOCH, TimeZone::UTC),
        subject: Subject::default(),
    };
    let report = Report::to_writer("mail-s3sync", Verbosity::Quiet, io::sink());
    Session::start(opening, Format::Jsonl, report)
}
