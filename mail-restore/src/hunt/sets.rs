//! The sets that are searched: named one by one, all of a kind, or all there are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mail_common::set::{BackupRoot, SetKind};
use mail_common::tool::Session;

use crate::error::Error;
use crate::find::{self, SearchedSet};
use crate::messages::for_each;
use crate::setup::Setup;

/// What means every set of the root.
const ALL: &str = "all";

/// What an operand of `--from` means where messages are looked for.
enum Meant {
    /// Every set of these kinds.
    Every(Vec<SetKind>),
    /// One set.
    One,
}

/// Whether `operand` means any number of sets.
pub(crate) fn is_of_many(operand: &Path) -> bool {
    matches!(meant(operand), Meant::Every(_))
}

fn meant(operand: &Path) -> Meant {
    let text = operand.to_string_lossy();
    let text = text.trim_end_matches('/');
    if text == ALL {
        return Meant::Every(SetKind::ALL.to_vec());
    }
    let kind = SetKind::ALL.into_iter().find(|kind| kind.name() == text);
    kind.map_or(Meant::One, |kind| Meant::Every(vec![kind]))
}

/// Opens the set at `path`, where it is accepted.
pub(crate) fn open(setup: &Setup, path: &Path) -> Result<SearchedSet, find::Error> {
    let signers = setup.settings.allowed_signers.as_ref();
    SearchedSet::open(&setup.root, path, signers)
}

/// Opens the sets that `operands` mean, the newest first. One of many that cannot be opened, or is
/// gone since it was listed, is reported, and the others are searched; one that was named must be
/// there.
pub(crate) fn open_all(
    setup: &Setup,
    operands: &[PathBuf],
    session: &Session,
) -> Result<Vec<SearchedSet>, Error> {
    let paths = all_paths(setup, operands)?;
    let opened = for_each(&paths, |(path, _)| open(setup, path));
    let mut sets = Vec::new();
    for ((_, asked), opened) in paths.iter().zip(opened) {
        match (opened, asked) {
            (Ok(set), _) => sets.push(set),
            (Err(error), Asked::ByName) => return Err(error.into()),
            (Err(error), Asked::WithOthers) => session.fail(None, None, &error),
        }
    }
    if sets.is_empty() {
        let root = setup.root.clone();
        return Err(find::Error::NoSets { root }.into());
    }
    sets.sort_by(|a, b| b.age_order().cmp(&a.age_order()));
    Ok(sets)
}

/// How a set was asked for.
#[derive(Clone, Copy)]
enum Asked {
    ByName,
    WithOthers,
}

/// The directory of each set that `operands` mean, once.
fn all_paths(setup: &Setup, operands: &[PathBuf]) -> Result<Vec<(PathBuf, Asked)>, Error> {
    let (mut known, mut paths) = (BTreeSet::new(), Vec::new());
    for operand in operands {
        let (meant, asked) = match meant(operand) {
            Meant::One => (vec![setup.find(operand)?], Asked::ByName),
            Meant::Every(kinds) => (paths_of(setup, &kinds)?, Asked::WithOthers),
        };
        let new = meant.into_iter().filter(|path| known.insert(path.clone()));
        paths.extend(new.map(|path| (path, asked)));
    }
    Ok(paths)
}

fn paths_of(setup: &Setup, kinds: &[SetKind]) -> Result<Vec<PathBuf>, Error> {
    let root = setup
        .root
        .canonicalize()
        .unwrap_or_else(|_| setup.root.clone());
    let root = BackupRoot::open(&root)?;
    let mut paths = Vec::new();
    for kind in kinds {
        paths.extend(root.sets(*kind)?.into_iter().map(|set| set.path));
    }
    Ok(paths)
}
