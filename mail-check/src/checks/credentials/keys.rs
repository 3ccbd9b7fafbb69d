//! Private keys below a directory: found by name, and judged together.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use mail_common::trusted;

use super::access::{Access, Rule};
use crate::finding::Finding;
use crate::status::Status;

/// Deeper than any tree of keys: a symlink that leads back up ends here.
const MAX_DEPTH: usize = 8;

/// How many keys a message names.
const NAMED: usize = 5;

/// What lies below a directory.
#[derive(Debug, Default)]
struct Found {
    /// The keys by the file itself, so that certbot's `live/` and `archive/` are one; under the
    /// name that was found first.
    keys: BTreeMap<PathBuf, (PathBuf, Metadata)>,
    /// What could not be looked at, and why.
    hidden: Vec<String>,
}

/// Every private key below `directory`; symlinks are followed.
pub(super) fn check(directory: &Path, patterns: &[&str], rule: &Rule) -> Finding {
    let mut found = Found::default();
    found.walk(directory, patterns, 0);
    let caller = rustix::process::geteuid().as_raw();
    let breaches = found
        .keys
        .values()
        .filter_map(|(path, metadata)| rule.breach(path, Access::from(metadata), caller));
    judge(
        directory,
        found.keys.len(),
        &breaches.collect::<Vec<_>>(),
        &found.hidden,
    )
}

impl Found {
    fn walk(&mut self, directory: &Path, patterns: &[&str], depth: usize) {
        let entries =
            match trusted::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
                Ok(entries) => entries,
                Err(error) => return self.hide(directory, &error),
            };
        let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
        paths.sort();
        for path in paths {
            let is_key = is_key(&path, patterns);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() && depth < MAX_DEPTH => {
                    self.walk(&path, patterns, depth + 1);
                }
                Ok(metadata) if is_key && metadata.is_file() => self.keep(path, metadata),
                Err(error) if is_key => self.hide(&path, &error),
                _ => {}
            }
        }
    }

    fn keep(&mut self, path: PathBuf, metadata: Metadata) {
        let file = path.canonicalize().unwrap_or_else(|_| path.clone());
        self.keys.entry(file).or_insert((path, metadata));
    }

    fn hide(&mut self, path: &Path, error: &io::Error) {
        self.hidden
            .push(format!("{} cannot be looked at: {error}", path.display()));
    }
}

/// A pattern is the end of a name, or has a `*` between its start and its end.
fn is_key(path: &Path, patterns: &[&str]) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    patterns
        .iter()
        .any(|pattern| match pattern.split_once('*') {
            Some((start, end)) => {
                name.len() >= start.len() + end.len()
                    && name.starts_with(start)
                    && name.ends_with(end)
            }
            None => name.ends_with(pattern),
        })
}

fn judge(
    directory: &Path,
    keys: usize,
    breaches: &[(Status, String)],
    hidden: &[String],
) -> Finding {
    let target = directory.display().to_string();
    let words: Vec<&str> = breaches
        .iter()
        .map(|(_, words)| words)
        .chain(hidden)
        .map(String::as_str)
        .collect();
    let unseen = if hidden.is_empty() {
        Status::Ok
    } else {
        Status::Unknown
    };
    let status = breaches
        .iter()
        .map(|(status, _)| *status)
        .fold(unseen, Status::max);
    match (words.len(), keys) {
        (0, 0) => {
            let message =
                "there is no private key below it; name the directory with DKIM_DIR or SSL_DIR";
            Finding::unknown("file-mode", target, message)
        }
        (0, _) => Finding::ok(
            "file-mode",
            target,
            format!("{keys} private keys, which only their owners may read"),
        ),
        (count, _) => {
            let more = if count > NAMED {
                format!("; and {} more", count - NAMED)
            } else {
                String::new()
            };
            let named = words[..count.min(NAMED)].join("; ");
            Finding::new(status, "file-mode", target, format!("{named}{more}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_name() {
        let check = |name: &str, expected: bool| {
            assert_eq!(
                is_key(Path::new(name), &["privkey*.pem", ".key"]),
                expected,
                "{name}"
            );
        };
        for key in ["live/a/privkey.pem", "privkey12.pem", "x.key"] {
            check(key, true);
        }
        for other in [
            "fullchain.pem",
            "privkey.pem.old",
            "cert1.pem",
            "privke.pem",
        ] {
            check(other, false);
        }
    }

    #[test]
    fn all_keys_are_one_finding() {
        let breach = |number: usize| (Status::Warning, format!("k{number}"));
        let check =
            |keys, breaches: &[(Status, String)], hidden: &[String], expected, words: &str| {
                let finding = judge(Path::new("/d"), keys, breaches, hidden);
                assert_eq!(
                    (finding.status, finding.message.contains(words)),
                    (expected, true),
                    "{}",
                    finding.message
                );
            };
        check(2, &[], &[], Status::Ok, "2 private keys");
        check(0, &[], &[], Status::Unknown, "no private key");
        check(
            1,
            &[],
            &["/d/x denied".to_owned()],
            Status::Unknown,
            "/d/x denied",
        );
        check(
            2,
            &[breach(1), (Status::Critical, "k2".to_owned())],
            &[],
            Status::Critical,
            "k1; k2",
        );
        check(
            9,
            &(0..7).map(breach).collect::<Vec<_>>(),
            &[],
            Status::Warning,
            "k4; and 2 more",
        );
    }
}
