//! What the tests of single messages share: a mail server with a set of it, questions to the set,
//! and forged sets.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(
    clippy::disallowed_methods,
    reason = "sample mail is not a stored file"
)]
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, UNIX_EPOCH};

use jiff::tz::TimeZone;
use mail_common::set::Inventory;
use mail_restore::messages::{
    self, Candidate, Disposition, Error, Found, Outcome, Query, Selection, Since, Work, find,
};
use mail_tests::maildir::TreePlan;
use mail_tests::run::Outcome as Ended;
use mail_tests::schema::checked;
use mail_tests::server::Server;
use serde_json::Value;

pub(crate) const DATE: &str = "2026-11-23";

/// When the sample messages were delivered: 2026-11-01T00:00:00Z.
pub(crate) const DELIVERED: i64 = 1_793_491_200;

/// A mail server and the set that was made of it.
pub(crate) struct Site {
    pub(crate) server: Server,
}

impl Site {
    /// With a generated tree, and nothing saved yet.
    pub(crate) fn new(messages: u64, mailboxes: u32) -> Self {
        Self {
            server: Server::new(&TreePlan::new(messages, mailboxes, 5)),
        }
    }

    /// With these messages, whose contents are made from their subjects, and a set of them.
    pub(crate) fn with(messages: &[(&str, &str)]) -> Self {
        let site = Self::new(1, 1);
        fs::remove_dir_all(site.mail()).unwrap();
        fs::create_dir(site.mail()).unwrap();
        for (path, id) in messages {
            site.put(path, &message(id));
        }
        site.back_up(&[]);
        site
    }

    pub(crate) fn mail(&self) -> PathBuf {
        self.server.mail()
    }

    pub(crate) fn set(&self) -> PathBuf {
        self.server.daily(DATE)
    }

    /// Writes a message and what is missing of its folder, delivered at [`DELIVERED`].
    pub(crate) fn put(&self, path: &str, content: &[u8]) {
        put(&self.mail(), path, content);
    }

    pub(crate) fn back_up(&self, arguments: &[&str]) {
        let tool = self
            .server
            .backup()
            .args(["--component", "mailboxes", "--date", DATE])
            .args(arguments);
        let _ = tool.run().assert_code(0);
    }

    pub(crate) fn inventory(&self) -> Inventory {
        Inventory::read(&self.set()).unwrap()
    }

    pub(crate) fn find(&self, query: &Query) -> Result<Found, Error> {
        find(&self.inventory(), query, &work())
    }

    /// What a query means, which must be clear.
    #[track_caller]
    pub(crate) fn choose(&self, query: &Query) -> Selection {
        match self.find(query) {
            Ok(Found::Chosen(selection)) => selection,
            other => panic!("{query}: {other:?}"),
        }
    }

    /// The paths of what a query means.
    #[track_caller]
    pub(crate) fn paths(&self, query: &Query) -> Vec<String> {
        paths(&self.choose(query).candidates)
    }

    #[track_caller]
    pub(crate) fn deliver(&self, query: &Query) -> Outcome {
        deliver(&self.choose(query), &self.mail()).unwrap()
    }

    pub(crate) fn live(&self, path: &str) -> PathBuf {
        self.mail().join(path)
    }

    /// Removes a message or a directory of the live tree.
    #[track_caller]
    pub(crate) fn remove(&self, path: &str) {
        let path = self.live(path);
        if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        }
        .unwrap();
    }
}

/// A message with this Message-ID.
pub(crate) fn message(id: &str) -> Vec<u8> {
    format!("From: a@mail.example\nSubject: about {id}\nMessage-ID: <{id}>\n\nThe text of {id}.\n")
        .into_bytes()
}

pub(crate) fn put(root: &Path, path: &str, content: &[u8]) {
    let path = root.join(path);
    let place = path.parent().unwrap();
    if let Some(folder) = place
        .parent()
        .filter(|_| place.ends_with("cur") || place.ends_with("new"))
    {
        ["cur", "new", "tmp"]
            .iter()
            .for_each(|name| fs::create_dir_all(folder.join(name)).unwrap());
    }
    fs::create_dir_all(place).unwrap();
    fs::File::create(&path).unwrap().write_all(content).unwrap();
    stamp(&path, DELIVERED);
}

pub(crate) fn paths(candidates: &[Candidate]) -> Vec<String> {
    candidates
        .iter()
        .map(|candidate| candidate.file.path.to_string())
        .collect()
}

static NEVER: AtomicBool = AtomicBool::new(false);

/// Work that nobody stops.
pub(crate) fn work() -> Work<'static> {
    Work {
        stop: &NEVER,
        progress: &|_| {},
    }
}

pub(crate) fn deliver(selection: &Selection, live: &Path) -> Result<Outcome, Error> {
    messages::deliver(selection, live, jiff::Timestamp::now(), &work())
}

pub(crate) fn by_id(id: &str) -> Query {
    Query {
        message_ids: vec![id.parse().unwrap()],
        ..Query::default()
    }
}

pub(crate) fn by_mailbox(address: &str) -> Query {
    Query {
        mailboxes: vec![address.parse().unwrap()],
        ..Query::default()
    }
}

pub(crate) fn by_path(pattern: &str) -> Query {
    Query {
        paths: vec![glob::Pattern::new(pattern).unwrap()],
        ..Query::default()
    }
}

pub(crate) fn since(text: &str) -> Since {
    Since::parse(text, &TimeZone::UTC).unwrap()
}

/// What became of the messages: `added TARGET`, `present TARGET`.
pub(crate) fn dispositions(outcome: &Outcome) -> Vec<(Disposition, String)> {
    outcome
        .restored
        .iter()
        .map(|restored| (restored.disposition, restored.target.to_string()))
        .collect()
}

/// Asserts that all was done, and nothing is to be said.
#[track_caller]
pub(crate) fn assert_clean(outcome: &Outcome) {
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
    assert_eq!(outcome.left, 0);
}

/// Error and causes of every failure.
pub(crate) fn failures(outcome: &Outcome) -> Vec<String> {
    outcome
        .failures
        .iter()
        .map(|failure| mail_common::report::chain(&failure.error))
        .collect()
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Changes the lines of the index of the first segment by `change`, and makes manifest and
/// checksums agree with it: a set as a program of another version, or an attacker, would have
/// written it.
pub(crate) fn forge_index(set: &Path, unit: &str, change: impl Fn(&str) -> String) {
    let name = format!("mailboxes/{unit}/0001.jsonl.zst");
    let text = String::from_utf8(piped(
        Command::new("zstd").arg("-dc").arg(set.join(&name)),
        b"",
    ))
    .unwrap();
    let forged = text
        .lines()
        .map(|line| change(line) + "\n")
        .collect::<String>();
    let packed = piped(Command::new("zstd").arg("-c"), forged.as_bytes());
    replace(set, &name, &packed);
}

/// Replaces a file of a set, and its digest wherever it is written.
pub(crate) fn replace(set: &Path, name: &str, content: &[u8]) {
    let path = set.join(name);
    let old = digest(&path);
    fs::remove_file(&path).unwrap(); // It may have other names in other sets.
    fs::write(&path, content).unwrap();
    exchange(set, "manifest.jsonl", &old, &digest(&path));
    exchange(set, "checksums.sha256", &old, &digest(&path));
}

fn exchange(set: &Path, name: &str, old: &str, new: &str) {
    let path = set.join(name);
    let before = digest(&path);
    let text = fs::read_to_string(&path).unwrap().replace(old, new);
    fs::write(&path, text).unwrap();
    if name == "manifest.jsonl" {
        exchange(set, "checksums.sha256", &before, &digest(&path));
    }
}

pub(crate) fn digest(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

pub(crate) fn piped(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let output = command
        .stdin(Stdio::from(file))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

/// Sets the modification time of a file, in seconds since 1970.
pub(crate) fn stamp(path: &Path, seconds: i64) {
    let time = UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs());
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

impl Site {
    /// With no mail yet.
    pub(crate) fn empty() -> Self {
        let site = Self::new(1, 1);
        fs::remove_dir_all(site.mail()).unwrap();
        fs::create_dir(site.mail()).unwrap();
        site
    }

    /// Writes a message that was delivered at a time, in seconds since 1970.
    pub(crate) fn put_at(&self, path: &str, seconds: i64, content: impl AsRef<[u8]>) {
        self.put(path, content.as_ref());
        stamp(&self.live(path), seconds);
    }

    /// Makes the daily set of a day of November 2026, and gives its directory.
    pub(crate) fn save_day(&self, day: u32) -> PathBuf {
        let date = format!("2026-11-{day}");
        let tool = self.server.backup().args(["--component", "mailboxes"]);
        let _ = tool.args(["--date", &date]).run().assert_code(0);
        self.server.daily(&date)
    }

    /// `mail-restore` with these flags; its records fit the schema.
    #[track_caller]
    pub(crate) fn restore(&self, flags: &[&str]) -> Ended {
        checked(self.server.restore().args(flags))
    }

    /// What a search lists, as records.
    #[track_caller]
    pub(crate) fn list(&self, flags: &[&str]) -> Vec<Value> {
        let outcome = self.restore(&[&["--list"], flags].concat());
        outcome.assert_code(0).data("message")
    }

    /// The paths of what a search finds, in order; nothing where it says that there is nothing.
    #[track_caller]
    pub(crate) fn listed(&self, flags: &[&str]) -> Vec<String> {
        let outcome = self.restore(&[&["--list"], flags].concat());
        let found = outcome.data("message");
        if found.is_empty() {
            let _ = outcome.assert_failure("not_found").assert_code(1);
        }
        let paths = found.iter().map(|message| message["path"].as_str());
        paths.map(|path| path.unwrap().to_owned()).collect()
    }
}
