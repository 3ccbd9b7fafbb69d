//! Mailboxes of few names, and the dumpdirs that lead to them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Dumpdir, Error, Listed, Rename, Still, plan_renames};
use crate::relpath::RelPath;

/// A stored name and the present one; none for what is dead.
pub(super) type Member = (RelPath, Option<RelPath>);

pub(super) fn path(text: &str) -> RelPath {
    text.parse().unwrap()
}

/// The renames of the mailbox `m` that has these members.
pub(super) fn plan(members: &[Member]) -> Result<Vec<Rename>, Error> {
    let mut moves = Vec::new();
    let mut others = Vec::new();
    for (from, to) in members {
        match to {
            Some(to) if to != from => moves.push(Rename {
                from: from.clone(),
                to: to.clone(),
            }),
            Some(_) => others.push((from, Still::InPlace)),
            None => others.push((from, Still::Dead)),
        }
    }
    plan_renames(&path("m"), &moves, others)
}

/// Lists `present` in its folder, and that in its own, up to the mailbox `m`.
pub(super) fn list(dumpdirs: &mut BTreeMap<RelPath, Dumpdir>, present: &RelPath) {
    let mut listed = Listed::Elsewhere;
    let mut child = present.clone();
    while child != path("m") {
        let parent = child.parent().unwrap();
        let dumpdir = dumpdirs.entry(parent.clone()).or_default();
        dumpdir.list(child.name(), listed).unwrap();
        (child, listed) = (parent, Listed::Directory);
    }
}

/// Members at some of few names, so that they often meet.
pub(super) fn some_members() -> impl Strategy<Value = Vec<Member>> {
    let names = [
        "m/a", "m/b", "m/c", "m/a/a", "m/a/b", "m/b/a", "m/b/b", "m/c/a", "m/a/a/a", "m/b/a/b",
    ];
    let names: Vec<RelPath> = names.iter().map(|name| path(name)).collect();
    let order = || Just(names.clone()).prop_shuffle();
    let lives = proptest::collection::vec(any::<bool>(), names.len());
    (order(), order(), lives).prop_map(|(stored, present, lives)| {
        let mut present = consistent(present).into_iter();
        let stored = consistent(stored).into_iter().zip(lives);
        stored
            .map(|(stored, lives)| (stored, if lives { present.next() } else { None }))
            .collect()
    })
}

/// Those of `paths` that do not lie in one another, the first first.
fn consistent(paths: Vec<RelPath>) -> Vec<RelPath> {
    let mut kept: Vec<RelPath> = Vec::new();
    for path in paths {
        let excludes = |other: &RelPath| other.is_within(&path) || path.is_within(other);
        if !kept.iter().any(excludes) {
            kept.push(path);
        }
    }
    kept
}
