//! Contents that cannot be scanned and that somebody has looked at: a list by digest, with who let
//! them pass, when and why. What is infected is never let pass.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use mail_common::checksum::Sha256;
use mail_common::config::Environment;
use mail_common::exit::Exit;
use mail_common::failure::Failed;
use mail_common::record::timestamp;
use mail_common::text::inert_json;
use mail_common::tool::{Session, Totals, user};
use mail_common::{atomic, trusted};
use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::error::Error;

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    sha256: Sha256,
    time: String,
    user: String,
    reason: String,
}

/// The list, by digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AcceptedList {
    entries: BTreeMap<Sha256, Entry>,
}

/// The list that a run uses: that of `--accepted`, else of the system for root, else of the user;
/// `None` for who has no home.
pub(crate) fn list_path(args: &Args, environment: &Environment) -> Option<PathBuf> {
    if args.accepted.is_some() {
        return args.accepted.clone();
    }
    let base = if rustix::process::geteuid().is_root() {
        PathBuf::from("/var/lib")
    } else if let Some(state) = environment.get("XDG_STATE_HOME") {
        PathBuf::from(state)
    } else {
        Path::new(environment.get("HOME")?).join(".local/state")
    };
    Some(base.join("mail-scan/accepted.jsonl"))
}

/// `--accept`: adds a digest to the list.
pub(crate) fn accept(
    args: &Args,
    session: &Session,
    now: &ZonedDateTime,
) -> Result<(Exit, Totals), Error> {
    let [digest, reason] = &args.accept[..] else {
        return Err(Error::AcceptOnce);
    };
    if reason.trim().is_empty() {
        return Err(Error::NoReason);
    }
    let entry = Entry {
        sha256: digest.parse().map_err(Error::Accept)?,
        time: timestamp(now),
        user: user(),
        reason: reason.clone(),
    };
    let path = list_path(args, &Environment::of_process()).ok_or(Error::NoListPlace)?;
    add(&path, &entry)?;
    session.sum_up(format!(
        "{} will pass where it cannot be scanned; recorded in {}",
        entry.sha256,
        path.display()
    ));
    Ok((Exit::Done, Totals::from([("accepted", 1)])))
}

fn add(path: &Path, entry: &Entry) -> Result<(), Failed> {
    let mut text = match trusted::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Failed::at("read", path)(error)),
    };
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    let line = serde_json::to_string(entry).map_err(io::Error::other);
    let line = line.map_err(Failed::at("write", path))?;
    text.extend(inert_json(&line).bytes());
    text.push(b'\n');
    let parent = path.parent().unwrap_or(path);
    atomic::create_dir_all(parent).map_err(Failed::at("make", parent))?;
    atomic::write_file(path, &text).map_err(Failed::at("write", path))?;
    Ok(())
}

impl AcceptedList {
    /// Reads the list at `path`, which need not be there.
    ///
    /// # Errors
    /// When it cannot be read, or a line is not one of a list: nobody knows then what was meant.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = match trusted::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failed::at("read", path)(error).into()),
        };
        let mut list = Self::default();
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let entry: Entry = serde_json::from_slice(line).map_err(|source| Error::List {
                path: path.to_owned(),
                line: number + 1,
                source,
            })?;
            list.entries.insert(entry.sha256, entry);
        }
        Ok(list)
    }

    /// What is said of a content that was not scanned for `reason`, where it is on the list.
    pub(crate) fn note(&self, sha256: Sha256, reason: &str) -> Option<String> {
        let entry = self.entries.get(&sha256)?;
        let day = entry.time.get(..10).unwrap_or(&entry.time);
        Some(format!(
            "not scanned: {reason}; accepted {day} by {}: {}",
            entry.user, entry.reason
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_is_written_and_the_last_word_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/accepted.jsonl");
        let digest = Sha256::of(b"archive");
        let entry = |reason: &str| Entry {
            sha256: digest,
            time: "2026-11-28T09:00:00+09:00".to_owned(),
            user: "root (ken by sudo)".to_owned(),
            reason: reason.to_owned(),
        };
        assert_eq!(AcceptedList::read(&path).unwrap(), AcceptedList::default());
        add(&path, &entry("first")).unwrap();
        add(&path, &entry("from\u{1b} \"Ito\"")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains('\u{1b}') && text.lines().count() == 2,
            "{text}"
        );
        let list = AcceptedList::read(&path).unwrap();
        let note = list.note(digest, "encrypted: zip").unwrap();
        let expected = "not scanned: encrypted: zip; accepted 2026-11-28 by root (ken by sudo): \
                        from\u{1b} \"Ito\"";
        assert_eq!(note, expected);
        assert_eq!(list.note(Sha256::of(b"other"), "x"), None);
        std::fs::write(&path, format!("{text}{{\"sha256\":\"abc\"}}\n")).unwrap();
        let error = AcceptedList::read(&path).unwrap_err();
        assert!(error.to_string().contains("line 3"), "{error}");
    }
}
