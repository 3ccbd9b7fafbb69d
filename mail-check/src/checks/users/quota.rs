//! How much of their quota users have used: by `maildirsize` where the mailbox counts itself, else
//! by its messages.
//!
//! The format is that of Maildir++: a line of limits, then the size and the number of messages of
//! each change.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use mail_common::beneath::Beneath;
use mail_common::maildir::holds_messages;
use mail_common::relpath::RelPath;
use mail_common::tool::human_size;
use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;

use super::accounts::User;
use super::compare::names;
use super::mailboxes::Mailboxes;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::status::Status;

/// Dovecot's homes hold the Maildir one directory below.
const MAX_DEPTH: usize = 8;

/// Maildir++ makes `maildirsize` again beyond 5 KiB. Its owner can write any other.
const COUNTED_MAX_BYTES: u64 = 64 << 10;

/// What a user with a quota has used; why, where that is not known.
#[derive(Debug)]
pub(super) struct Used {
    email: String,
    quota_bytes: u64,
    used_bytes: Result<u64, String>,
}

/// Of every user that has a quota and a mailbox. What is not measured by the `deadline` is not
/// known.
pub(super) fn measure(users: &[User], mailboxes: &Mailboxes, deadline: Instant) -> Vec<Used> {
    let with_quota = users
        .iter()
        .filter_map(|user| Some((user, user.quota_bytes?, mailboxes.get(&user.email)?)));
    let used = with_quota.map(|(user, quota_bytes, mailbox)| {
        let counted = counted(&mailbox.path).map_or_else(|| sum(&mailbox.path, deadline), Ok);
        let used_bytes = counted.map_err(|error| error.to_string());
        Used {
            email: user.email.clone(),
            quota_bytes,
            used_bytes,
        }
    });
    used.collect()
}

pub(super) fn judge(database: &str, used: &[Used], limits: Ceiling) -> Finding {
    let mut known: Vec<Share<'_>> = used.iter().filter_map(Share::of).collect();
    known.sort_by(|a, b| b.percent.total_cmp(&a.percent));
    let mut status = Status::Ok;
    let mut message = summary(&known, limits);
    if let Some(doubt) = not_measured(used) {
        status = Status::Unknown;
        message = format!("{message}; {doubt}");
    }
    let finding = Finding::new(status, "user-quota", database, message);
    match known.first() {
        Some(fullest) => finding.under(fullest.percent, "percent", limits),
        None => finding,
    }
}

/// How much of a quota is used, where it was measured.
struct Share<'a> {
    email: &'a str,
    used_bytes: u64,
    quota_bytes: u64,
    percent: f64,
}

impl<'a> Share<'a> {
    fn of(used: &'a Used) -> Option<Self> {
        let used_bytes = *used.used_bytes.as_ref().ok()?;
        Some(Self {
            email: &used.email,
            used_bytes,
            quota_bytes: used.quota_bytes,
            percent: used_bytes as f64 * 100.0 / used.quota_bytes as f64,
        })
    }
}

/// Names those over the limit, else the fullest. `known` has the fullest first.
fn summary(known: &[Share<'_>], limits: Ceiling) -> String {
    let Some(fullest) = known.first() else {
        return "no user has a quota and a mailbox".to_owned();
    };
    let is_over = |share: &&Share<'_>| limits.judge(share.percent) != Status::Ok;
    let over: Vec<&str> = known
        .iter()
        .filter(is_over)
        .map(|share| share.email)
        .collect();
    if over.is_empty() {
        return format!(
            "the fullest mailbox is that of {}: {:.0} % ({} of {})",
            fullest.email,
            fullest.percent,
            human_size(fullest.used_bytes),
            human_size(fullest.quota_bytes)
        );
    }
    format!(
        "{} users are at the limit of their quota, and mail to them bounces soon: {}",
        over.len(),
        names(&over)
    )
}

/// How many were not measured, and why the first one was not.
fn not_measured(used: &[Used]) -> Option<String> {
    let failed = |used: &Used| Some((used.email.clone(), used.used_bytes.clone().err()?));
    let unknown: Vec<_> = used.iter().filter_map(failed).collect();
    let (email, why) = unknown.first()?;
    Some(format!(
        "{} are not measured, {email}: {why}",
        unknown.len()
    ))
}

/// What `maildirsize` says; `None` where it is not there or not to be understood.
fn counted(mailbox: &Path) -> Option<u64> {
    let mailbox = Beneath::open(mailbox).ok()?;
    let open = |name: &&str| mailbox.regular_file(&RelPath::new(name).ok()?).ok();
    let file = ["maildirsize", "Maildir/maildirsize"]
        .iter()
        .find_map(open)?;
    let mut text = Vec::new();
    let read = file.take(COUNTED_MAX_BYTES + 1).read_to_end(&mut text);
    let is_whole = read.ok()? as u64 <= COUNTED_MAX_BYTES;
    parse_maildirsize(&String::from_utf8_lossy(&text)).filter(|_| is_whole)
}

fn parse_maildirsize(text: &str) -> Option<u64> {
    let changes = text.lines().skip(1).filter(|line| !line.trim().is_empty());
    let sizes = changes.map(|line| line.split_whitespace().next()?.parse::<i64>().ok());
    let total = sizes.sum::<Option<i64>>()?;
    text.lines()
        .next()
        .filter(|line| line.split(',').all(is_limit))?;
    u64::try_from(total).ok()
}

/// `1000S` or `50C`.
fn is_limit(text: &str) -> bool {
    text.trim()
        .strip_suffix(['S', 'C'])
        .is_some_and(|number| number.parse::<u64>().is_ok())
}

/// The bytes of all messages. Whoever owns the mailbox can exchange a directory for a link while it
/// is read: each is opened from the mailbox, and one that is no longer there has none.
fn sum(mailbox: &Path, deadline: Instant) -> io::Result<u64> {
    sum_below(&Beneath::open(mailbox)?, &RelPath::root(), deadline)
}

fn sum_below(mailbox: &Beneath, path: &RelPath, deadline: Instant) -> io::Result<u64> {
    let directory = match mailbox.directory(path) {
        Ok(directory) => directory,
        Err(error) => {
            let is_gone = [Some(Errno::NOENT), Some(Errno::NOTDIR), Some(Errno::LOOP)];
            let is_gone = is_gone.contains(&Errno::from_io_error(&error)) && !path.is_root();
            return if is_gone { Ok(0) } else { Err(error) };
        }
    };
    let is_mail = holds_messages(path.name());
    let mut total = 0;
    for entry in Dir::read_from(&directory)? {
        if Instant::now() > deadline {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "it has too many messages to be counted in time",
            ));
        }
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let is_below = name != b"." && name != b"..";
        let may_be_directory = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
        if is_mail {
            total += size_of(&directory, name)?;
        } else if is_below && may_be_directory && path.depth() < MAX_DEPTH {
            let child = path.child(name).map_err(io::Error::other)?;
            total += sum_below(mailbox, &child, deadline)?;
        }
    }
    Ok(total)
}

/// By `,S=` in the name, else by the file. One that is gone by now was moved or deleted.
fn size_of(directory: &OwnedFd, name: &[u8]) -> io::Result<u64> {
    if let Some(size) = std::str::from_utf8(name).ok().and_then(size_in_name) {
        return Ok(size);
    }
    match statat(
        directory,
        OsStr::from_bytes(name),
        AtFlags::SYMLINK_NOFOLLOW,
    ) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile => {
            Ok(found.st_size.unsigned_abs())
        }
        Ok(_) | Err(Errno::NOENT) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

fn size_in_name(name: &str) -> Option<u64> {
    let (_, after) = name.split_once(",S=")?;
    after.split([',', ':']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    use mail_tests::swapper::{Swapper, give_to_another, rounds};

    #[test]
    fn maildirsize_is_a_sum() {
        assert_eq!(
            parse_maildirsize("1000S,5C\n300 2\n-100 -1\n 50 1\n"),
            Some(250)
        );
        assert_eq!(parse_maildirsize("1000S\n"), Some(0));
        for broken in ["", "damaged", "\n300 2\n", "1000S\nx 1\n", "1000S\n-5 1\n"] {
            assert_eq!(parse_maildirsize(broken), None, "{broken:?}");
        }
    }

    /// Whoever owns the mailbox can put anything there.
    #[test]
    fn a_pipe_or_a_link_in_the_place_of_maildirsize_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("maildirsize");
        let made = std::process::Command::new("mkfifo").arg(&file).status();
        assert!(made.unwrap().success());
        assert_eq!(counted(dir.path()), None);
        fs::remove_file(&file).unwrap();
        fs::write(dir.path().join("elsewhere"), "1000S\n300 2\n").unwrap();
        std::os::unix::fs::symlink("elsewhere", &file).unwrap();
        assert_eq!(counted(dir.path()), None);
    }

    #[test]
    fn a_maildirsize_without_end_is_not_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let write = |lines: usize| {
            let text = format!("1000S\n{}", "1 1\n".repeat(lines));
            fs::write(dir.path().join("maildirsize"), text).unwrap();
            counted(dir.path())
        };
        assert_eq!(write(1000), Some(1000));
        assert_eq!(write(1_000_000), None);
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        fs::rename(
            dir.path().join("maildirsize"),
            dir.path().join("elsewhere/maildirsize"),
        )
        .unwrap();
        fs::write(dir.path().join("elsewhere/maildirsize"), "1000S\n300 2\n").unwrap();
        std::os::unix::fs::symlink("elsewhere", dir.path().join("Maildir")).unwrap();
        assert_eq!(counted(dir.path()), None);
    }

    #[test]
    fn a_mailbox_that_becomes_a_link_counts_nothing_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let (cur, link) = (dir.path().join("box/cur"), dir.path().join("box/link"));
        fs::create_dir_all(&cur).unwrap();
        fs::create_dir_all(dir.path().join("others")).unwrap();
        for n in 0..20 {
            fs::write(cur.join(format!("{n}.a.mx")), "12345").unwrap();
            fs::write(dir.path().join(format!("others/{n}.b.mx")), [0; 1000]).unwrap();
        }
        give_to_another(&dir.path().join("others"));
        std::os::unix::fs::symlink("../others", &link).unwrap();
        let swapper = Swapper::start(&cur, &link);
        let mut counted = 0;
        for _ in rounds(2000) {
            let deadline = Instant::now() + Duration::from_secs(60);
            let bytes = sum(&dir.path().join("box"), deadline).unwrap();
            assert!(bytes <= 100, "{bytes} bytes of 100");
            counted += usize::from(bytes > 0);
        }
        let exchanges = swapper.stop();
        println!("{exchanges} exchanges, {counted} times something was counted");
        assert!(exchanges > 100 && counted > 0, "{exchanges}, {counted}");
    }

    #[test]
    fn a_size_is_in_the_name() {
        assert_eq!(size_in_name("1.M2P3.mx,S=400,W=410:2,S"), Some(400));
        assert_eq!(size_in_name("1.M2P3.mx,S=400"), Some(400));
        assert_eq!(size_in_name("1.M2P3.mx:2,S"), None);
    }

    #[test]
    fn the_fullest_is_judged_and_what_is_not_known_is_unknown() {
        let used = |email: &str, used_bytes: Result<u64, &str>| Used {
            email: email.to_owned(),
            quota_bytes: 1000,
            used_bytes: used_bytes.map_err(str::to_owned),
        };
        let check = |all: &[Used], expected, words: &str| {
            let finding = judge("db", all, Ceiling::new(90.0, 100.0));
            assert_eq!(finding.status, expected, "{}", finding.message);
            assert!(finding.message.contains(words), "{}", finding.message);
        };
        check(&[], Status::Ok, "no user has a quota");
        check(
            &[used("a", Ok(100)), used("b", Ok(899))],
            Status::Ok,
            "that of b: 90 %",
        );
        check(
            &[used("a", Ok(900)), used("b", Ok(10))],
            Status::Warning,
            "1 users are at the limit",
        );
        check(
            &[used("a", Ok(900)), used("b", Ok(1000))],
            Status::Critical,
            ": b, a",
        );
        check(
            &[used("a", Ok(1)), used("b", Err("slow"))],
            Status::Unknown,
            "1 are not measured, b: slow",
        );
        check(
            &[used("a", Ok(1000)), used("b", Err("slow"))],
            Status::Critical,
            "a; 1 are not measured",
        );
    }

    #[test]
    fn counting_ends_at_the_deadline() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("cur/x")).unwrap();
        let error = sum(
            dir.path(),
            Instant::now() - std::time::Duration::from_secs(1),
        )
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
