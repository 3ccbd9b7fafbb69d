//! What a SET on a command line means. Every tool that takes one asks here.
//!
//! A name such as `daily/2026-11-23` is looked for in the backup root and nowhere else. If the
//! working directory came first, whoever may write there would choose which set is restored or
//! copied off site, and a directory left over from an experiment would pass for the night's backup.

use std::path::{Path, PathBuf};

use super::layout::{LATEST, MANIFEST, parse_visible};
use super::{BackupRoot, Error, FoundSet, SetKind, SetState};
use crate::manifest::Manifest;

/// What an operand says by its form alone, before anything is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetReference<'a> {
    /// `latest`: the newest complete set of the root.
    Latest,
    /// `daily`, `weekly` or `hourly`: the newest complete set of that kind.
    Newest(SetKind),
    /// The name of a set of the root, such as `daily/2026-11-23` or
    /// `weekly/2026-week-47.incomplete`.
    Name(&'a str),
    /// A directory: the operand begins with `/`, `./` or `../`.
    Path(&'a Path),
    /// None of these.
    Other(&'a Path),
}

impl<'a> SetReference<'a> {
    /// Reads an operand. A slash at its end, as shells complete names, changes nothing.
    #[must_use]
    pub fn of(operand: &'a Path) -> Self {
        if is_path(operand) {
            return Self::Path(operand);
        }
        let Some(text) = operand.to_str().map(|text| text.trim_end_matches('/')) else {
            return Self::Other(operand);
        };
        if text == LATEST {
            Self::Latest
        } else if let Some(kind) = kind_named(text) {
            Self::Newest(kind)
        } else if is_name(text) {
            Self::Name(text)
        } else {
            Self::Other(operand)
        }
    }
}

/// The directory of the set that `operand` means. `latest` is resolved now, so that it does not
/// move while the set is in use. The root at `root` is opened only when the operand is not a path:
/// a set on another disk needs no root.
///
/// # Errors
/// [`Error::OpenRoot`], [`Error::Failed`], [`Error::NoSuchSet`].
pub fn find_set(operand: &Path, root: &Path) -> Result<PathBuf, Error> {
    let found = match SetReference::of(operand) {
        SetReference::Latest => {
            let root = BackupRoot::open(root)?;
            root.latest()?.map(|id| root.set_path(id))
        }
        SetReference::Newest(kind) => newest(&BackupRoot::open(root)?, kind)?,
        SetReference::Name(name) => Some(BackupRoot::open(root)?.path().join(name)),
        SetReference::Path(path) => Some(path.to_owned()),
        SetReference::Other(_) => None,
    };
    found
        .filter(|path| path.is_dir())
        .ok_or_else(|| Error::NoSuchSet {
            operand: operand.to_owned(),
            root: root.to_owned(),
        })
}

fn kind_named(text: &str) -> Option<SetKind> {
    SetKind::ALL.into_iter().find(|kind| kind.name() == text)
}

/// The newest set of a kind that holds all that was wanted when it was made; where there is none,
/// the newest with some components.
fn newest(root: &BackupRoot, kind: SetKind) -> Result<Option<PathBuf>, Error> {
    let mut sets = root.sets(kind)?;
    sets.retain(|set| matches!(set.state, SetState::Complete | SetState::Legacy));
    let full = sets.iter().rev().find(|set| is_full(set));
    Ok(full.or(sets.last()).map(|set| set.path.clone()))
}

fn is_full(set: &FoundSet) -> bool {
    let manifest = || Manifest::read(&set.path.join(MANIFEST));
    set.state == SetState::Legacy || manifest().is_ok_and(|manifest| manifest.is_full())
}

fn is_path(operand: &Path) -> bool {
    let bytes = operand.as_os_str().as_encoded_bytes();
    bytes == b"."
        || bytes == b".."
        || [&b"/"[..], b"./", b"../"]
            .iter()
            .any(|start| bytes.starts_with(start))
}

fn is_name(text: &str) -> bool {
    let Some((directory, name)) = text.split_once('/') else {
        return false;
    };
    kind_named(directory).is_some_and(|kind| parse_visible(kind, name).is_some())
}

#[cfg(test)]
mod tests {
    use super::super::CommitAs;
    use super::super::fixture::Fixture;
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_form_of_an_operand_says_where_to_look() {
        use SetReference::{Latest, Name, Newest, Other, Path as At};
        let check = |operand: &str, expected: SetReference<'_>| {
            assert_eq!(
                SetReference::of(Path::new(operand)),
                expected,
                "{operand:?}"
            );
        };
        let at = |operand: &'static str| check(operand, At(Path::new(operand)));
        let other = |operand: &'static str| check(operand, Other(Path::new(operand)));
        check("latest", Latest);
        check("latest/", Latest);
        check("daily", Newest(SetKind::Daily));
        check("hourly/", Newest(SetKind::Hourly));
        check("daily/2026-11-23", Name("daily/2026-11-23"));
        check("hourly/2026-11-23T1510", Name("hourly/2026-11-23T1510"));
        check("daily/2026-11-23/", Name("daily/2026-11-23"));
        check("weekly/2026-week-47", Name("weekly/2026-week-47"));
        check(
            "daily/2026-11-23.incomplete",
            Name("daily/2026-11-23.incomplete"),
        );
        for operand in ["/", "/b/daily/2026-11-23", "/latest"] {
            at(operand);
        }
        for operand in [
            ".",
            "..",
            "./latest",
            "./daily/2026-11-23",
            "../daily/2026-11-23",
        ] {
            at(operand);
        }
        for operand in [
            "",
            "Daily",
            "2026-11-23",
            "b/daily/2026-11-23",
            "daily/2026-02-30",
            "daily/../daily/2026-11-23",
            "daily//2026-11-23",
            "daily/.2026-11-23.new",
            "weekly/2026-11-23",
            ".daily/2026-11-23",
            "latest/mailboxes",
        ] {
            other(operand);
        }
    }

    #[test]
    fn a_set_is_found_in_the_root_or_by_its_path() {
        let fixture = Fixture::new();
        let (root, set) = (&fixture.root, fixture.commit("daily/2026-11-23", "one"));
        fixture
            .stage("daily/2026-11-24", "part")
            .commit(CommitAs::Incomplete, Duration::ZERO)
            .unwrap();
        let find = |operand: &str| find_set(Path::new(operand), root.path()).ok();
        assert_eq!(find("latest"), None);
        root.set_latest(&fixture.lock, "daily/2026-11-23".parse().unwrap())
            .unwrap();
        assert_eq!(find("latest"), Some(set.clone()));
        assert_eq!(find("daily/2026-11-23"), Some(set.clone()));
        assert_eq!(find("daily/2026-11-23/"), Some(set.clone()));
        assert_eq!(find(set.to_str().unwrap()), Some(set.clone()));
        let incomplete = set.with_file_name("2026-11-24.incomplete");
        assert_eq!(find("daily/2026-11-24.incomplete"), Some(incomplete));
        for operand in ["", "daily/2026-11-22", "2026-11-23", "/nonexistent", "./x"] {
            assert_eq!(find(operand), None, "{operand:?}");
        }
    }

    #[test]
    fn a_kind_means_its_newest_complete_set() {
        let fixture = Fixture::new();
        let find = |operand: &str| find_set(Path::new(operand), fixture.root.path()).ok();
        assert_eq!(find("hourly"), None);
        fixture.commit("daily/2026-11-24", "other kind");
        fixture.commit("hourly/2026-11-23T1500", "older");
        let newest = fixture.commit("hourly/2026-11-23T1510", "newer");
        fixture
            .stage("hourly/2026-11-23T1520", "part")
            .commit(CommitAs::Incomplete, Duration::ZERO)
            .unwrap();
        assert_eq!(find("hourly"), Some(newest));
    }

    /// The tests run in the directory of the package, which has `src`.
    #[test]
    fn the_working_directory_is_looked_into_only_when_the_operand_says_so() {
        let fixture = Fixture::new();
        assert!(Path::new("src").is_dir());
        let find = |operand: &str| find_set(Path::new(operand), fixture.root.path());
        assert!(matches!(find("src"), Err(Error::NoSuchSet { .. })));
        assert_eq!(find("./src").unwrap(), Path::new("./src"));
    }

    #[test]
    fn a_path_needs_no_root() {
        let fixture = Fixture::new();
        let set = fixture.commit("daily/2026-11-23", "one");
        let absent = Path::new("/nonexistent");
        assert_eq!(find_set(&set, absent).unwrap(), set);
        for operand in ["latest", "daily/2026-11-23"] {
            let found = find_set(Path::new(operand), absent);
            assert!(matches!(found, Err(Error::OpenRoot { .. })), "{operand}");
        }
    }
}
