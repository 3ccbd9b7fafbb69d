//! The files of a mailbox that have a number. Most mailboxes have few, and a set may have a hundred
//! thousand mailboxes: a sorted list takes what it holds, where a tree takes a kilobyte to begin.

use super::SetFile;

/// Files by the numbers of their segments, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbered(Box<[(u32, SetFile)]>);

impl Numbered {
    /// The file of a number.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&SetFile> {
        let found = self.0.binary_search_by_key(&number, |(number, _)| *number);
        found.ok().map(|at| &self.0[at].1)
    }

    /// The numbers, each with its file.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &SetFile)> {
        self.0.iter().map(|(number, file)| (*number, file))
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &SetFile> {
        self.0.iter().map(|(_, file)| file)
    }
}

impl FromIterator<(u32, SetFile)> for Numbered {
    /// Of several files of one number (`0001` and `00001`), the last counts.
    fn from_iter<T: IntoIterator<Item = (u32, SetFile)>>(files: T) -> Self {
        let mut files: Vec<(u32, SetFile)> = files.into_iter().collect();
        // The sort is stable, and `dedup` keeps the first.
        files.reverse();
        files.sort_by_key(|(number, _)| *number);
        files.dedup_by_key(|(number, _)| *number);
        Self(files.into())
    }
}
