//! The sets that are searched: named one by one, all of a kind, or all there are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mail_common::set::{BackupRoot, SetKind};
use mail_common::tool::Session;

use crate::error::Error;
use crate::find::{self, SearchedSet};
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

/// Opens the sets that `operands` mean, the newest first. One of many that cannot be opened is
/// reported, and the others are searched; one that was named must be there.
pub(crate) fn open_all(
    setup: &Setup,
    operands: &[PathBuf],
    session: &Session,
) -> Result<Vec<SearchedSet>, Error> {
    let mut known = BTreeSet::new();
    let mut sets = Vec::new();
    for operand in operands {
        match meant(operand) {
            Meant::One => {
                let path = setup.find(operand)?;
                if known.insert(path.clone()) {
                    sets.push(SearchedSet::open(&setup.root, &path)?);
                }
            }
            Meant::Every(kinds) => {
                for path in paths_of(setup, &kinds)? {
                    if known.insert(path.clone()) {
                        match SearchedSet::open(&setup.root, &path) {
                            Ok(set) => sets.push(set),
                            Err(error) => session.fail(None, None, &error),
                        }
                    }
                }
            }
        }
    }
    if sets.is_empty() {
        let root = setup.root.clone();
        return Err(find::Error::NoSets { root }.into());
    }
    sets.sort_by(|a, b| b.made.cmp(&a.made).then_with(|| b.name.cmp(&a.name)));
    Ok(sets)
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
