//! Whether the file systems have room for what is restored. All of it is there beside what it
//! replaces for a while, or for as long as that is kept.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mail_common::failure::Failed;
use mail_common::set::{SetFile, free_space};

use super::Plan;
use super::target::existing_ancestor;
use crate::error::Error;
use crate::jobs::TreeJob;

/// What a file takes on a disk beside its content, about.
const BYTES_A_FILE: u64 = 4096;

/// What is needed.
#[derive(Clone, Copy, Default)]
struct Need {
    bytes: u64,
    entries: u64,
}

impl Plan {
    pub(super) fn check_room(&self) -> Result<(), Error> {
        let mut needs: BTreeMap<u64, (PathBuf, Need)> = BTreeMap::new();
        for (target, need) in self.needs() {
            let place = existing_ancestor(target);
            let metadata = fs::metadata(&place).map_err(Failed::at("look at", &place))?;
            let (_, sum) = needs
                .entry(metadata.dev())
                .or_insert((place, Need::default()));
            *sum = sum.and(need);
        }
        needs
            .into_values()
            .try_for_each(|(place, need)| need.check(place))
    }

    fn needs(&self) -> Vec<(&Path, Need)> {
        let set = &self.inventory.set;
        let mut needs = Vec::new();
        for tree in &self.jobs.trees {
            needs.push((&*tree.target, Need::of_tree(set, tree)));
        }
        for job in &self.jobs.files {
            needs.push((&*job.target, Need::of_file(set, &job.file)));
        }
        if let Some(dumps) = &self.dumps
            && let Some(directory) = dumps.directory()
        {
            let all = dumps.files.iter().map(|file| Need::of_file(set, file));
            // The entries of a dump are tables; its files are too few to count.
            let need = Need {
                entries: 0,
                ..all.fold(Need::default(), Need::and)
            };
            needs.push((directory, need));
        }
        needs
    }
}

impl Need {
    fn of_tree(set: &Path, tree: &TreeJob) -> Self {
        let needs = tree.telling().map(|file| Self::of_file(set, file));
        needs.fold(Self::default(), Self::and)
    }

    /// Of a file without a record its own size, which is less than what it unpacks to.
    fn of_file(set: &Path, file: &SetFile) -> Self {
        if let Some(recorded) = file.recorded {
            return Self {
                bytes: recorded.source_bytes,
                entries: recorded.entries,
            };
        }
        let metadata = fs::metadata(set.join(file.path.as_path()));
        Self {
            bytes: metadata.map_or(0, |metadata| metadata.len()),
            entries: 1,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            entries: self.entries.saturating_add(other.entries),
        }
    }

    fn check(self, place: PathBuf) -> Result<(), Error> {
        let space = free_space(&place).map_err(Failed::at("look at", &place))?;
        let of_entries = self.entries.saturating_mul(BYTES_A_FILE);
        let needed_bytes = self.bytes.saturating_add(of_entries);
        if space.bytes_free < needed_bytes {
            return Err(Error::NoRoom {
                place,
                free_bytes: space.bytes_free,
                needed_bytes,
            });
        }
        match space.inodes_free {
            Some(free) if free < self.entries => Err(Error::NoInodes {
                place,
                free,
                needed: self.entries,
            }),
            _ => Ok(()),
        }
    }
}
