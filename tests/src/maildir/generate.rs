//! A mail tree from a seed: the same bytes, names and times on every machine.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;

use super::dice::Dice;
use super::error::{Error, Result};
use super::folder::{Place, message_path, write_control_files, write_file};
use super::message::{self, DEFAULT_MEAN_BYTES};
use super::moment::{DAY_SECONDS, Moment, stamp};
use super::{Message, MessageName};

/// 2026-01-01T00:00:00Z: the sample's mail was delivered before it.
pub const DEFAULT_BASE_SECONDS: i64 = 1_767_225_600;

/// What to make.
#[derive(Clone, Debug)]
pub struct TreePlan {
    /// How many messages in all.
    pub messages: u64,
    /// How many mailboxes; the first holds most, the last least.
    pub mailboxes: u32,
    /// Equal seeds give equal trees.
    pub seed: u64,
    /// The mean size of a message.
    pub mean_bytes: u32,
    /// The end of the last day of mail, in seconds since 1970.
    pub base_seconds: i64,
}

impl TreePlan {
    /// A plan with the default mean size and time.
    #[must_use]
    pub fn new(messages: u64, mailboxes: u32, seed: u64) -> Self {
        Self {
            messages,
            mailboxes,
            seed,
            mean_bytes: DEFAULT_MEAN_BYTES,
            base_seconds: DEFAULT_BASE_SECONDS,
        }
    }
}

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeTotals {
    /// Messages.
    pub messages: u64,
    /// Bytes of all messages.
    pub message_bytes: u64,
    /// Folders, inboxes included.
    pub folders: u64,
}

const DOMAINS: [&str; 3] = ["example.com", "example.net", "example.org"];
const USERS: [&str; 8] = [
    "alice", "bob", "carol", "dave", "erin", "frank.o", "grace-h", "heidi",
];

/// Folder names as they are on disk, with the share of mail in each: the inbox, names of ASCII
/// letters, a Japanese one in modified UTF-7 (RFC 3501, 5.1.3), and two in UTF-8.
const FOLDERS: [(&str, f64); 8] = [
    ("", 55.0),
    (".Sent", 20.0),
    (".Archive.2025", 10.0),
    (".&kAFP4W4IMH8-", 4.0),
    (".Müller & Söhne", 4.0),
    (".アーカイブ", 3.0),
    (".Trash", 3.0),
    (".Drafts", 1.0),
];
const TRASH: usize = 6;
const DRAFTS: usize = 7;

const SIEVE: &str =
    "require [\"fileinto\"];\nif header :contains \"X-Spam\" \"Yes\" { fileinto \"Junk\"; }\n";

/// Makes the tree in `dir`, which may exist but holds none of the mailboxes yet.
///
/// # Errors
/// When the plan has no mailbox, or when the file system refuses.
pub fn generate(dir: &Path, plan: &TreePlan) -> Result<TreeTotals> {
    if plan.mailboxes == 0 {
        return Err(Error::NoMailbox);
    }
    let oldest = Moment {
        seconds: plan.base_seconds - 2_000 * DAY_SECONDS,
        nanoseconds: 0,
    };
    let paths: Vec<PathBuf> = (0..plan.mailboxes)
        .flat_map(|mailbox| folder_paths(dir, mailbox))
        .collect();
    for path in &paths {
        create_folder(path)?;
    }
    let mut delivered = deliver_all(&paths, plan)?;
    delivered
        .sort_by(|a, b| (a.folder, a.moment, &a.message).cmp(&(b.folder, b.moment, &b.message)));
    let totals = TreeTotals {
        messages: delivered.len() as u64,
        message_bytes: delivered.iter().map(|d| d.bytes).sum(),
        folders: paths.len() as u64,
    };
    for (folder, path) in paths.iter().enumerate() {
        let start = delivered.partition_point(|d| d.folder < folder);
        let end = delivered.partition_point(|d| d.folder <= folder);
        finish_folder(
            path,
            &delivered[start..end],
            oldest,
            &mut Dice::new(plan.seed, FOLDER_STREAMS + folder as u64),
        )?;
    }
    for mailbox in 0..plan.mailboxes {
        finish_mailbox(&mailbox_path(dir, mailbox), oldest)?;
    }
    for mailbox in 0..plan.mailboxes {
        stamp(mailbox_path(dir, mailbox).parent().unwrap_or(dir), oldest)?;
    }
    stamp(dir, oldest)?;
    Ok(totals)
}

/// Streams of dice: messages count from 1, folders from here, days of change from 2^41.
const FOLDER_STREAMS: u64 = 1 << 40;

fn mailbox_path(dir: &Path, mailbox: u32) -> PathBuf {
    let domain = mailbox as usize / USERS.len();
    let domain = DOMAINS
        .get(domain)
        .map_or_else(|| format!("d{domain}.example"), ToString::to_string);
    dir.join(domain).join(USERS[mailbox as usize % USERS.len()])
}

fn folder_paths(dir: &Path, mailbox: u32) -> Vec<PathBuf> {
    let mailbox = mailbox_path(dir, mailbox);
    FOLDERS
        .iter()
        .map(|(name, _)| {
            if name.is_empty() {
                mailbox.clone()
            } else {
                mailbox.join(name)
            }
        })
        .collect()
}

pub(super) fn create_folder(path: &Path) -> Result<()> {
    for sub in ["cur", "new", "tmp"] {
        let sub = path.join(sub);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&sub)
            .map_err(Error::io("create directory", &sub))?;
    }
    Ok(())
}

struct Delivered {
    folder: usize,
    moment: Moment,
    message: Message,
    bytes: u64,
}

/// Delivers on all processors; what a message is depends on its number alone.
fn deliver_all(paths: &[PathBuf], plan: &TreePlan) -> Result<Vec<Delivered>> {
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let weights: Vec<f64> = (0..plan.mailboxes)
        .map(|rank| 1.0 / f64::from(rank + 4))
        .collect();
    let cumulated = cumulate(&weights);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let numbers = (1 + thread..=plan.messages).step_by(threads as usize);
                let cumulated = &cumulated;
                scope.spawn(move || {
                    numbers
                        .map(|number| deliver(paths, cumulated, plan, number))
                        .collect()
                })
            })
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            let part: Result<Vec<Delivered>> =
                worker.join().expect("a delivering thread does not panic");
            all.extend(part?);
        }
        Ok(all)
    })
}

fn cumulate(weights: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    weights
        .iter()
        .map(|weight| {
            sum += weight;
            sum
        })
        .collect()
}

fn deliver(
    paths: &[PathBuf],
    cumulated: &[f64],
    plan: &TreePlan,
    number: u64,
) -> Result<Delivered> {
    let mut dice = Dice::new(plan.seed, number);
    let point = dice.unit() * cumulated[cumulated.len() - 1];
    let mailbox = cumulated
        .partition_point(|&sum| sum <= point)
        .min(cumulated.len() - 1);
    let kind = dice.weighted(&FOLDERS.map(|(_, weight)| weight));
    let folder = mailbox * FOLDERS.len() + kind;
    let age_days = age_in_days(&mut dice);
    let moment = Moment {
        seconds: plan.base_seconds - (age_days + 1) * DAY_SECONDS
            + i64::from(dice.below(DAY_SECONDS as u32)),
        nanoseconds: dice.below(1_000_000_000),
    };
    let is_new = kind == 0 && age_days < 2 && dice.percent(50);
    let flags = (!is_new).then(|| flags(kind, &mut dice));
    let address = address_of(&paths[mailbox * FOLDERS.len()]);
    let mail = message::compose(&mut dice, plan.mean_bytes, &address, moment);
    let name = MessageName {
        unique: unique_name(moment, number, &mail),
        flags,
    };
    let message = Message {
        place: if is_new { Place::New } else { Place::Cur },
        name,
    };
    write_message(&message_path(&paths[folder], &message), &mail, moment)?;
    Ok(Delivered {
        folder,
        moment,
        message,
        bytes: mail.len() as u64,
    })
}

/// One message in a hundred is of the last day, one of the hundredth part of the rest of the day
/// before, and so on.
fn age_in_days(dice: &mut Dice) -> i64 {
    let point = dice.unit();
    let mut younger = 0.0;
    let mut rest = 1.0;
    for days in 0..1_500 {
        younger += rest * 0.01;
        rest *= 0.99;
        if point < younger {
            return days;
        }
    }
    1_500
}

fn flags(kind: usize, dice: &mut Dice) -> String {
    // In the order in which a name has them: capitals as in FLAGS, then keywords.
    let chances = [
        ('D', if kind == DRAFTS { 100 } else { 0 }),
        ('F', 5),
        ('P', 2),
        ('R', 20),
        ('S', 92),
        ('T', if kind == TRASH { 60 } else { 0 }),
        ('a', 3),
    ];
    chances
        .into_iter()
        .filter_map(|(flag, percent)| dice.percent(percent).then_some(flag))
        .collect()
}

/// `user@domain` of the mailbox at `.../domain/user`.
pub(super) fn address_of(mailbox: &Path) -> String {
    let user = mailbox.file_name().unwrap_or_default().to_string_lossy();
    let domain = mailbox
        .parent()
        .and_then(Path::file_name)
        .unwrap_or_default()
        .to_string_lossy();
    format!("{user}@{domain}")
}

pub(super) fn unique_name(moment: Moment, number: u64, mail: &[u8]) -> String {
    let micros = moment.nanoseconds / 1_000;
    let (size, wire) = (mail.len(), message::wire_bytes(mail));
    format!(
        "{}.M{micros:06}P{number}.mx,S={size},W={wire}",
        moment.seconds
    )
}

pub(super) fn write_message(path: &Path, mail: &[u8], moment: Moment) -> Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::io("create message", path))?;
    file.write_all(mail)
        .map_err(Error::io("write message", path))?;
    stamp(path, moment)
}

fn finish_folder(
    path: &Path,
    delivered: &[Delivered],
    oldest: Moment,
    dice: &mut Dice,
) -> Result<()> {
    let newest = delivered.last().map_or(oldest, |d| d.moment);
    // Dovecot numbers a message when a client first sees it.
    let seen: Vec<MessageName> = delivered
        .iter()
        .filter(|d| d.message.place == Place::Cur)
        .map(|d| d.message.name.clone())
        .collect();
    write_control_files(path, &seen, newest, dice)?;
    if path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    {
        let marker = path.join("maildirfolder");
        write_file(&marker, b"")?;
        stamp(&marker, oldest)?;
    }
    for name in ["cur", "new", "tmp", ""] {
        stamp(&path.join(name), newest)?;
    }
    Ok(())
}

fn finish_mailbox(path: &Path, oldest: Moment) -> Result<()> {
    let sieve = path.join("sieve");
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&sieve)
        .map_err(Error::io("create directory", &sieve))?;
    let subscribed: Vec<&str> = FOLDERS
        .iter()
        .filter_map(|(name, _)| name.strip_prefix('.'))
        .collect();
    let files = [
        ("sieve/main.sieve", SIEVE.to_owned()),
        (
            "subscriptions",
            format!("V\t2\n\n{}\n", subscribed.join("\n")),
        ),
        ("dovecot-uidvalidity", "6554b8e1".to_owned()),
    ];
    for (name, text) in files {
        let file = path.join(name);
        write_file(&file, text.as_bytes())?;
        stamp(&file, oldest)?;
    }
    let link = path.join(".dovecot.sieve");
    symlink("sieve/main.sieve", &link).map_err(Error::io("link", &link))?;
    for name in [".dovecot.sieve", "sieve", ""] {
        stamp(&path.join(name), oldest)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maildir::folders;
    use crate::tree::{Kind, snapshot};

    fn small() -> TreePlan {
        TreePlan {
            mean_bytes: 3_000,
            ..TreePlan::new(400, 3, 11)
        }
    }

    #[test]
    fn two_runs_are_equal() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        generate(one.path(), &small()).unwrap();
        generate(two.path(), &small()).unwrap();
        // The temporary directory itself is the test's, with its mode.
        snapshot(one.path()).assert_same(&snapshot(two.path()));
    }

    #[test]
    fn the_tree_is_the_same_on_every_machine() {
        let dir = tempfile::tempdir().unwrap();
        generate(dir.path(), &small()).unwrap();
        let mut listing = String::new();
        for (path, entry) in snapshot(dir.path())
            .entries()
            .iter()
            .filter(|(path, _)| *path != Path::new("."))
        {
            let digest = entry.sha256.as_deref().unwrap_or("-");
            listing += &format!(
                "{} {:o} {} {digest}\n",
                path.display(),
                entry.mode,
                entry.mtime_ns
            );
        }
        let file = dir.path().join("listing");
        write_file(&file, listing.as_bytes()).unwrap();
        let digest = crate::tree::file_digests(&[file]);
        assert_eq!(
            digest,
            ["23f1eeddbdd8fe007354faff0dc5d2179d43df12fcce33a2ce0954cfeda2c3be"]
        );
    }

    #[test]
    fn ages_fall_by_a_hundredth_a_day() {
        let mut dice = Dice::new(3, 1);
        let ages: Vec<i64> = (0..100_000).map(|_| age_in_days(&mut dice)).collect();
        let of_day = |day| ages.iter().filter(|&&age| age == day).count();
        for day in [0, 1, 6] {
            assert!(
                (850..1_150).contains(&of_day(day)),
                "{} of day {day}",
                of_day(day)
            );
        }
        let month = ages.iter().filter(|&&age| age < 30).count();
        // 1 - 0.99^30 = 0.2603
        assert!(
            (25_500..26_600).contains(&month),
            "{month} of the last 30 days"
        );
    }

    #[test]
    fn a_tree_has_what_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let totals = generate(dir.path(), &small()).unwrap();
        let found = folders(dir.path()).unwrap();
        assert_eq!((totals.messages, totals.folders), (400, 24));
        assert_eq!(found.len(), 24);
        assert_eq!(
            found
                .iter()
                .map(|folder| folder.messages.len())
                .sum::<usize>(),
            400
        );
        let tree = snapshot(dir.path());
        let link = &tree.entries()[Path::new("example.com/alice/.dovecot.sieve")];
        assert_eq!(link.kind, Kind::Symlink);
        let uidlist =
            fs::read_to_string(dir.path().join("example.com/bob/.Sent/dovecot-uidlist")).unwrap();
        let sent = found
            .iter()
            .find(|folder| folder.path.ends_with("example.com/bob/.Sent"))
            .unwrap();
        assert_eq!(uidlist.lines().count(), 1 + sent.messages.len());
    }

    #[test]
    fn names_tell_sizes() {
        let name = unique_name(
            Moment {
                seconds: 17,
                nanoseconds: 1_234_567,
            },
            9,
            b"a\nb\n",
        );
        assert_eq!(name, "17.M001234P9.mx,S=4,W=6");
    }

    #[test]
    fn a_second_tree_in_the_same_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        generate(dir.path(), &small()).unwrap();
        assert!(matches!(
            generate(dir.path(), &small()),
            Err(Error::Io {
                doing: "create message",
                ..
            })
        ));
    }
}
