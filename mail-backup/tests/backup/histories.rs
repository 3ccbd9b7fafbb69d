//! Random histories of mailboxes, day after day: stock tar gives each day back exactly, names,
//! modes, owners, times and contents, whatever happened to the messages since they were stored.
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{self, Server, assert_sums, capture, is_root, unpack_mail};
use mail_tests::maildir::Dice;
use mail_tests::tree::{Snapshot, snapshot};

/// Names that meet each other often, and names of every kind.
const NAMES: [&[u8]; 12] = [
    b"1",
    b"1:2,",
    b"1:2,S",
    b"2:2,RS",
    b"a\nb",
    b"a\\nb\"",
    b"\xff\xfe",
    b"stored-1",
    b"stored-2",
    b".renamed-1",
    b"-rf",
    "日本".as_bytes(),
];

const FOLDERS: [&str; 4] = ["", ".A", ".B", ".A.1"];

/// What happens to the mailboxes of a server.
struct Life<'a> {
    server: &'a Server,
    dice: Dice,
    /// Counts the contents.
    written: u32,
    /// Places where something was once.
    used: Vec<PathBuf>,
}

impl Life<'_> {
    fn mailbox(&mut self) -> PathBuf {
        let name = *self
            .dice
            .pick(&["example.com/alice", "example.com/alice", "example.com/bob"]);
        self.server.mail().join(name)
    }

    /// A place in some folder of a mailbox, whether or not anything is there; often one where
    /// something was.
    fn place(&mut self) -> PathBuf {
        if !self.used.is_empty() && self.dice.percent(50) {
            return self.dice.pick(&self.used).clone();
        }
        let folder = self.folder();
        let directory = *self.dice.pick(&["cur", "cur", "new", ""]);
        let name = *self.dice.pick(&NAMES);
        folder.join(directory).join(OsStr::from_bytes(name))
    }

    fn folder(&mut self) -> PathBuf {
        let folder = *self.dice.pick(&FOLDERS);
        self.mailbox().join(folder)
    }

    /// Something that is there.
    fn existing(&mut self) -> Option<PathBuf> {
        let mailbox = self.mailbox();
        let mut found = Vec::new();
        collect(&mailbox, &mut found);
        (!found.is_empty()).then(|| self.dice.pick(&found).clone())
    }

    /// A message, or a control file; often one that has not been written to for long.
    fn deliver(&mut self, path: &Path) -> io::Result<()> {
        self.written += 1;
        fs::create_dir_all(path.parent().unwrap())?;
        let size = usize::try_from(self.dice.below(4)).unwrap() * 700;
        let text = format!("Subject: {}\n\n{}", self.written, "x".repeat(size));
        fs::write(path, text)?;
        if self.dice.percent(60) {
            return Ok(());
        }
        let file = fs::OpenOptions::new().append(true).open(path)?;
        file.set_modified(std::time::UNIX_EPOCH + Duration::new(1_600_000_000, self.written))
    }

    /// One event. What is not possible now is left.
    fn happen(&mut self) -> io::Result<()> {
        let to = self.place();
        self.used.push(to.clone());
        let event = self.dice.below(20);
        if event < 6 {
            return self.deliver(&to);
        }
        if event == 6 {
            if self.dice.percent(80) {
                return Ok(());
            }
            let mailbox = self.mailbox();
            fs::remove_dir_all(&mailbox)?;
            return fs::create_dir_all(mailbox.join("new"));
        }
        let Some(from) = self.existing() else {
            return Ok(());
        };
        match event {
            7..=10 => {
                fs::create_dir_all(to.parent().unwrap())?;
                fs::rename(from, to)
            }
            11 => remove(&from),
            12 => {
                // A folder, and whatever has the name of one.
                let (from, to) = (self.folder(), self.folder());
                fs::rename(from, to)
            }
            13 => {
                remove(&from)?;
                self.deliver(&from.join("cur").join("1:2,"))
            }
            14 => {
                remove(&from)?;
                self.deliver(&from)
            }
            15 => self.swap(&from),
            16 => self.touch(&from),
            17 => overwrite_in_place(&from),
            18 => {
                fs::create_dir_all(to.parent().unwrap())?;
                fs::hard_link(from, to)
            }
            _ => {
                remove(&to)?;
                symlink("nowhere", to)
            }
        }
    }

    fn swap(&mut self, first: &Path) -> io::Result<()> {
        let Some(second) = self.existing() else {
            return Ok(());
        };
        let waiting = self.server.path("waiting");
        fs::rename(first, &waiting)?;
        if fs::rename(&second, first).is_ok() {
            fs::rename(&waiting, &second)
        } else {
            fs::rename(&waiting, first)
        }
    }

    /// Changes owner, mode or time, or nothing but the change time.
    fn touch(&mut self, path: &Path) -> io::Result<()> {
        let found = fs::symlink_metadata(path)?;
        match self.dice.below(4) {
            0 if is_root() => {
                std::os::unix::fs::lchown(path, Some(5000 + self.dice.below(2)), None)
            }
            1 if !found.is_symlink() => {
                let mode = 0o600 | (self.dice.below(8) << 3);
                let mode = if found.is_dir() { mode | 0o700 } else { mode };
                fs::set_permissions(path, fs::Permissions::from_mode(mode))
            }
            2 if found.is_file() => {
                let file = fs::OpenOptions::new().append(true).open(path)?;
                file.set_modified(std::time::UNIX_EPOCH + Duration::new(9, 5))
            }
            _ => std::os::unix::fs::lchown(path, None, None),
        }
    }
}

/// Gives a file another content and leaves its size and time.
fn overwrite_in_place(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if !found.is_file() || found.len() == 0 {
        return Ok(());
    }
    let file = fs::OpenOptions::new().write(true).open(path)?;
    file.write_all_at(b"#", 0)?;
    file.set_modified(found.modified()?)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        found.push(path.clone());
        if !path.is_symlink() && path.is_dir() {
            collect(&path, found);
        }
    }
    found.sort();
}

/// The mail tree as a set can hold it.
fn source(server: &Server) -> Snapshot {
    snapshot(&server.mail()).without_hard_links()
}

#[track_caller]
fn assert_gives(set: &Path, expected: &Snapshot) {
    assert_sums(set);
    let restored = tempfile::tempdir().unwrap();
    unpack_mail(set, restored.path());
    expected.assert_same(&snapshot(restored.path()));
}

/// Lives through some days, each with a set; at the end every set gives its day.
#[track_caller]
fn check(seed: u64, options: &[&str], purge_days: &str) {
    let server = with_twenty();
    let mut life = Life {
        server: &server,
        dice: Dice::new(seed, 1),
        written: 0,
        used: Vec::new(),
    };
    let mut days = Vec::new();
    for day in 1..=7 {
        for _ in 0..life.dice.below(25) {
            // What cannot be done to this tree is not done.
            let _ = life.happen();
        }
        if life.dice.percent(70) {
            support::settle();
        }
        let expected = source(&server);
        let date = format!("2026-11-{day:02}");
        let arguments = ["--component", "mailboxes", "--date", &date];
        let tool = server.tool(&[&arguments[..], options].concat());
        support::checked(tool.env("BACKUP_PURGE_DAYS", purge_days).run()).assert_code(0);
        let set = server.set(&format!("daily/{date}"));
        assert_gives(&set, &expected);
        days.push((set, expected));
    }
    for (set, expected) in &days {
        assert_gives(set, expected);
    }
}

/// A server with messages enough that a few deaths do not have their segment written again.
fn with_twenty() -> Server {
    let server = Server::empty();
    for number in 0..20 {
        server.message(
            format!("example.com/alice/cur/{number}"),
            format!("Subject: {number}\n\n").as_bytes(),
        );
    }
    server
}

/// Each of `days` changes the mailbox of alice; the sets give each day.
#[track_caller]
fn check_days(days: &[&dyn Fn(&Path)]) {
    let server = with_twenty();
    let alice = server.mail().join("example.com/alice");
    support::settle();
    server.save_mail("2026-11-01", &[]);
    for (number, day) in days.iter().enumerate() {
        day(&alice);
        support::settle();
        let expected = source(&server);
        let (set, _) = server.save_mail(&format!("2026-11-{:02}", number + 2), &[]);
        assert_gives(&set, &expected);
        let first = set.join("mailboxes/example.com/alice/0001.tar.zst");
        assert!(
            first.exists(),
            "the first segment is linked on day {number}"
        );
    }
}

fn rename(from: PathBuf, to: PathBuf) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::rename(from, to).unwrap();
}

#[test]
fn a_new_message_has_the_old_name_of_one_that_was_renamed() {
    check_days(&[
        &|alice| {
            rename(alice.join("cur/1"), alice.join("cur/1:2,S"));
            support::put(&alice.join("cur/1"), b"Subject: another\n\n");
        },
        &|alice| {
            rename(alice.join("cur/1"), alice.join("new/1"));
            rename(alice.join("cur/1:2,S"), alice.join("cur/1"));
            support::put(&alice.join("cur/1:2,S"), b"Subject: a third\n\n");
        },
        &|alice| fs::remove_file(alice.join("cur/1")).unwrap(),
        &|alice| support::put(&alice.join("cur/1"), b"Subject: a fourth\n\n"),
    ]);
}

#[test]
fn a_folder_takes_the_name_of_a_message_and_gives_it_back() {
    check_days(&[
        &|alice| {
            fs::remove_file(alice.join("cur/1")).unwrap();
            support::put(&alice.join("cur/1/cur/new"), b"Subject: in a folder\n\n");
            rename(alice.join("cur/2"), alice.join("cur/1/cur/2"));
        },
        &|alice| {
            rename(alice.join("cur/1/cur/2"), alice.join("cur/2"));
            fs::remove_dir_all(alice.join("cur/1")).unwrap();
            support::put(&alice.join("cur/1"), b"Subject: a message again\n\n");
        },
        &|alice| {
            rename(alice.join("cur/1"), alice.join("new/1"));
            rename(alice.join("cur/3"), alice.join("cur/1/cur/new"));
        },
    ]);
}

#[test]
fn names_change_places() {
    check_days(&[
        &|alice| {
            rename(alice.join("cur/1"), alice.join("waiting"));
            rename(alice.join("cur/2"), alice.join("cur/1"));
            rename(alice.join("cur/3"), alice.join("cur/2"));
            rename(alice.join("waiting"), alice.join("cur/3"));
        },
        &|alice| {
            fs::remove_file(alice.join("cur/2")).unwrap();
            rename(alice.join("cur/1"), alice.join("cur/2"));
        },
        &|alice| rename(alice.join("cur"), alice.join(".A/cur")),
        &|alice| rename(alice.join(".A"), alice.join(".B")),
        &|alice| rename(alice.join(".B/cur"), alice.join("cur")),
    ]);
}

/// What the state of alice says of members that are not as their indexes say.
fn changes(set: &Path) -> Vec<serde_json::Value> {
    let state = set.join("mailboxes/example.com/alice/state.jsonl.zst");
    let lines = capture(Command::new("zstd").arg("-dc").arg(state));
    let lines = String::from_utf8(lines).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &serde_json::Value| line.get("stored").is_some())
        .collect()
}

#[test]
fn a_segment_that_is_written_again_has_the_names_of_the_day() {
    let server = with_twenty();
    let alice = server.mail().join("example.com/alice");
    support::settle();
    server.save_mail("2026-11-01", &[]);
    // Two change places, of which neither can have its name; one is renamed, one only touched.
    rename(alice.join("cur/1"), alice.join("waiting"));
    rename(alice.join("cur/2"), alice.join("cur/1"));
    rename(alice.join("waiting"), alice.join("cur/2"));
    let long = format!("new/{}", "日本".repeat(30));
    rename(alice.join("cur/3"), alice.join(&long));
    std::os::unix::fs::lchown(alice.join("cur/4"), None, None).unwrap();
    support::settle();
    let (second, _) = server.save_mail("2026-11-02", &[]);
    assert_eq!(changes(&second).len(), 4);
    assert_gives(&second, &source(&server));

    for number in 10..20 {
        fs::remove_file(alice.join(format!("cur/{number}"))).unwrap();
    }
    let (third, _) = server.save_mail("2026-11-03", &[]);
    assert_gives(&third, &source(&server));
    let segment = third.join("mailboxes/example.com/alice/0002.tar.zst");
    let names = capture(
        Command::new("tar")
            .args(["--quoting-style=literal", "-tf"])
            .arg(segment),
    );
    let names = String::from_utf8(names).unwrap();
    assert!(
        names.contains(&long) && !names.contains("cur/3\n"),
        "{names}"
    );
    let left: Vec<_> = changes(&third)
        .iter()
        .map(|line| line["path"].clone())
        .collect();
    assert_eq!(left, ["example.com/alice/cur/2", "example.com/alice/cur/1"]);
}

#[test]
fn each_day_comes_back_whatever_happened() {
    for seed in 0..6 {
        check(seed, &[], "90");
    }
}

#[test]
fn each_day_comes_back_where_what_is_gone_is_purged_at_once() {
    for seed in 10..13 {
        check(seed, &[], "0");
    }
}

#[test]
fn each_day_comes_back_where_the_tree_is_not_divided() {
    for seed in 20..22 {
        check(seed, &["--mailbox-depth", "0"], "90");
    }
}

#[test]
fn each_day_comes_back_where_messages_lie_above_the_mailboxes() {
    for seed in 30..32 {
        check(seed, &["--mailbox-depth", "4"], "90");
    }
}
