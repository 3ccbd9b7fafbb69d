//! How much of their quota users have used: by `maildirsize` where the mailbox counts itself, else
//! by its messages.
//!
//! The format is that of Maildir++: a line of limits, then the size and the number of messages of
//! each change.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use mail_common::beneath;
use mail_common::maildir::holds_messages;
use mail_common::tool::human_size;

use super::accounts::User;
use super::compare::names;
use super::mailboxes::Mailboxes;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::status::Status;

/// Dovecot's homes hold the Maildir one directory below.
const MAX_DEPTH: usize = 8;

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
        let counted = counted(&mailbox.path).map_or_else(|| sum(&mailbox.path, deadline, 0), Ok);
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
    let text = ["maildirsize", "Maildir/maildirsize"]
        .iter()
        .find_map(|name| beneath::read(&mailbox.join(name)).ok())?;
    parse_maildirsize(&String::from_utf8_lossy(&text))
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

/// The bytes of all messages.
fn sum(directory: &Path, deadline: Instant, depth: usize) -> io::Result<u64> {
    let mut total = 0;
    let is_mail = directory
        .file_name()
        .is_some_and(|name| holds_messages(name.as_encoded_bytes()));
    for entry in fs::read_dir(directory)? {
        if Instant::now() > deadline {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "it has too many messages to be counted in time",
            ));
        }
        let entry = entry?;
        if is_mail {
            total += size_of(&entry)?;
        } else if depth < MAX_DEPTH && entry.file_type()?.is_dir() {
            total += sum(&entry.path(), deadline, depth + 1)?;
        }
    }
    Ok(total)
}

/// By `,S=` in the name, else by the file. One that is gone by now was moved or deleted.
fn size_of(entry: &fs::DirEntry) -> io::Result<u64> {
    if let Some(size) = entry.file_name().to_str().and_then(size_in_name) {
        return Ok(size);
    }
    match entry.metadata() {
        Ok(metadata) => Ok(if metadata.is_file() {
            metadata.len()
        } else {
            0
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn size_in_name(name: &str) -> Option<u64> {
    let (_, after) = name.split_once(",S=")?;
    after.split([',', ':']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            0,
        )
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
