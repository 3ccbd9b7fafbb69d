//! The members that are gone or renamed, and where the renames of a mailbox put them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;

use super::above;
use super::error::Error;
use super::record::Rename;
use crate::archive::state::{Change, State};
use crate::relpath::RelPath;

/// A member that is not where its segment puts it.
#[derive(Debug)]
struct Occupant {
    segment: u32,
    stored: RelPath,
    /// `None` for what is gone.
    path: Option<RelPath>,
}

/// The members that are gone or renamed, in the tree that the segments give.
#[derive(Debug, Default)]
pub(super) struct Changed {
    tree: BTreeMap<RelPath, Occupant>,
    /// The segment of what is gone, by its stored name; the last where there are several.
    gone: HashMap<RelPath, u32>,
    /// Names that were stored or are renamed, other than those of what is gone.
    used: HashSet<RelPath>,
    /// The folders that all of them lie in.
    folders: HashSet<RelPath>,
    /// The folders that are there at the moment, as far as these members need them.
    present: BTreeSet<RelPath>,
}

impl Changed {
    /// A later segment wins.
    pub(super) fn of(mailbox: &RelPath, state: &State) -> Result<Self, Error> {
        let mut changed = Self::default();
        for ((segment, stored), change) in &state.changes {
            let path = match change {
                Change::Gone { .. } => None,
                Change::Here { path, .. } if path == stored => continue,
                Change::Here { path, .. } => Some(path.clone()),
            };
            for name in [Some(stored), path.as_ref()].into_iter().flatten() {
                if !name.is_within(mailbox) || name == mailbox {
                    return Err(Error::Outside {
                        path: name.clone(),
                        mailbox: mailbox.clone(),
                    });
                }
            }
            let occupant = Occupant {
                segment: *segment,
                stored: stored.clone(),
                path,
            };
            changed.put(mailbox, occupant)?;
        }
        let stored: Vec<&RelPath> = changed.tree.keys().collect();
        // What lies in another one follows it.
        let inside = stored.windows(2).find(|pair| pair[1].is_within(pair[0]));
        if let Some(path) = inside.map(|pair| pair[1].clone()) {
            let occupant = changed.tree.remove(&path);
            return occupant.map_or(Ok(changed), |occupant| Err(lost(occupant)));
        }
        Ok(changed)
    }

    /// Segments come ascending.
    fn put(&mut self, mailbox: &RelPath, occupant: Occupant) -> Result<(), Error> {
        let stored = occupant.stored.clone();
        self.folders.extend(above(mailbox, &stored));
        self.present.extend(above(mailbox, &stored));
        if occupant.path.is_none() {
            self.gone.insert(stored.clone(), occupant.segment);
        } else {
            self.used.insert(stored.clone());
        }
        match self.tree.insert(stored, occupant) {
            Some(before) if before.path.is_some() => Err(lost(before)),
            _ => Ok(()),
        }
    }

    /// Carries out what tar does, and looks where everything came.
    pub(super) fn renamed(mut self, mailbox: &RelPath, renames: &[Rename]) -> Result<Self, Error> {
        for Rename { from, to } in renames {
            let fits = !to.is_within(from)
                && !self.present.contains(to)
                && !above(mailbox, to).any(|folder| self.tree.contains_key(&folder));
            if !(fits && (self.rename_file(from, to) || self.rename_folder(from, to))) {
                let (from, to) = (from.clone(), to.clone());
                return Err(Error::Rename { from, to });
            }
            self.present.extend(above(mailbox, to));
            for name in [from, to] {
                self.used.insert(name.clone());
                self.folders.extend(above(mailbox, name));
            }
        }
        let is_astray = |(path, occupant): &(&RelPath, &Occupant)| {
            let wanted = occupant.path.as_ref();
            wanted.is_some_and(|wanted| wanted != *path)
        };
        let astray = self
            .tree
            .iter()
            .find(is_astray)
            .map(|(path, _)| path.clone());
        match astray.and_then(|path| self.tree.remove(&path)) {
            Some(occupant) => Err(lost(occupant)),
            None => Ok(self),
        }
    }

    /// A file takes the place of one that is gone. False where there is no such file.
    fn rename_file(&mut self, from: &RelPath, to: &RelPath) -> bool {
        let is_taken = self.tree.get(to).is_some_and(|other| other.path.is_some());
        if is_taken {
            return false;
        }
        let Some(occupant) = self.tree.remove(from) else {
            return false;
        };
        self.tree.insert(to.clone(), occupant);
        true
    }

    /// A folder with all that is in it gets a name that nothing has.
    fn rename_folder(&mut self, from: &RelPath, to: &RelPath) -> bool {
        if !self.present.contains(from) || self.tree.contains_key(to) {
            return false;
        }
        let files: Vec<RelPath> = below(&self.tree, from).cloned().collect();
        for path in files {
            if let Some(occupant) = self.tree.remove(&path) {
                self.tree.insert(moved(&path, from, to), occupant);
            }
        }
        let is_inside = |folder: &RelPath| folder.is_within(from);
        let folders: Vec<RelPath> = self
            .present
            .iter()
            .filter(|f| is_inside(f))
            .cloned()
            .collect();
        for folder in folders {
            self.present.remove(&folder);
            self.present.insert(moved(&folder, from, to));
        }
        true
    }

    /// Whether a member that has its stored name is left alone by all renames, and not replaced by
    /// another one.
    pub(super) fn check_in_place(
        &self,
        mailbox: &RelPath,
        path: &RelPath,
        segment: u32,
    ) -> Result<(), Error> {
        let is_gone_later = self.gone.get(path).is_some_and(|gone| *gone > segment);
        let is_moved = above(mailbox, path)
            .chain([path.clone()])
            .any(|name| self.used.contains(&name));
        let in_the_way = above(mailbox, path).any(|name| self.gone.contains_key(&name));
        if is_gone_later || is_moved || in_the_way || self.folders.contains(path) {
            return Err(Error::Lost {
                segment,
                stored: path.clone(),
                path: path.clone(),
            });
        }
        Ok(())
    }
}

fn lost(occupant: Occupant) -> Error {
    let Occupant {
        segment,
        stored,
        path,
    } = occupant;
    let path = path.unwrap_or_else(|| stored.clone());
    Error::Lost {
        segment,
        stored,
        path,
    }
}

/// The names of `tree` that lie in the folder `folder`.
fn below<'a, T>(
    tree: &'a BTreeMap<RelPath, T>,
    folder: &'a RelPath,
) -> impl Iterator<Item = &'a RelPath> {
    let behind = (Bound::Excluded(folder.clone()), Bound::Unbounded);
    tree.range(behind)
        .map(|(path, _)| path)
        .take_while(move |path| path.is_within(folder))
}

/// The name of `path` after the folder `from` that it lies in, or is, became `to`.
fn moved(path: &RelPath, from: &RelPath, to: &RelPath) -> RelPath {
    let rest = path.as_bytes().get(from.as_bytes().len() + 1..);
    let rest = rest.and_then(|rest| RelPath::new(rest).ok());
    rest.unwrap_or_else(RelPath::root).below(to)
}
