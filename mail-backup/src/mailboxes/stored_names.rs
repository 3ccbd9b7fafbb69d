//! The names under which new messages are stored.
//!
//! A message is stored under its own name, unless that would spoil the tree that the segments make
//! of themselves before anything is renamed in it. The name of a living member that has another one
//! by now must not be taken: the later segment would overwrite it. And no stored name may lie in
//! another one, dead or alive: no tree could hold both. Such a message gets a name of no meaning,
//! and the state of the mailbox gives it its own.
//!
//! What is remembered grows with the folders and the renames, not with the mailbox.

use std::collections::HashSet;

use mail_common::archive::state::STORED_PREFIX;
use mail_common::relpath::RelPath;

use super::listing::Listing;

/// Gives new messages their stored names.
#[derive(Debug)]
pub(crate) struct StoredNames {
    mailbox: RelPath,
    /// Stored names that must not be taken.
    taken: HashSet<RelPath>,
    /// Folders that lead to stored members.
    folders: HashSet<RelPath>,
    /// Stored members that have the name of a folder of today.
    files_as_folders: HashSet<RelPath>,
    last_folder: Option<RelPath>,
    /// The highest number that follows the prefix in any name.
    last_number: u64,
    /// Names with a number after the prefix that nobody but a joker would count to.
    beyond: HashSet<RelPath>,
}

impl StoredNames {
    pub(crate) fn new(mailbox: &RelPath) -> Self {
        Self {
            mailbox: mailbox.clone(),
            taken: HashSet::new(),
            folders: HashSet::new(),
            files_as_folders: HashSet::new(),
            last_folder: None,
            last_number: 0,
            beyond: HashSet::new(),
        }
    }

    /// A member of the segments has this name, dead or alive.
    pub(crate) fn meet_stored(&mut self, stored: &RelPath, listing: &Listing) {
        self.meet_name(stored);
        if listing.lists(stored) {
            self.files_as_folders.insert(stored.clone());
        }
        let folder = stored.parent();
        if folder == self.last_folder {
            return;
        }
        for folder in above(stored) {
            self.meet_name(&folder);
            self.folders.insert(folder);
        }
        self.last_folder = folder;
    }

    /// A file or a folder has this name, stored or today.
    pub(crate) fn meet_name(&mut self, path: &RelPath) {
        let Some(digits) = path.name().strip_prefix(STORED_PREFIX) else {
            return;
        };
        let number = std::str::from_utf8(digits).ok();
        match number.and_then(|digits| digits.parse::<u32>().ok()) {
            Some(number) => self.last_number = self.last_number.max(number.into()),
            None => drop(self.beyond.insert(path.clone())),
        }
    }

    /// A living member has this name in its segment, and another one, or none, today.
    pub(crate) fn take(&mut self, stored: &RelPath) {
        self.taken.insert(stored.clone());
    }

    /// Whether what has been listed at `path` may be stored under this name.
    pub(crate) fn is_free(&self, path: &RelPath) -> bool {
        let is_taken = self.taken.contains(path) || self.folders.contains(path);
        !is_taken && !self.has_file_above(path)
    }

    /// The name under which the message at `path`, which has been listed, is stored.
    pub(crate) fn name_for(&mut self, path: &RelPath) -> RelPath {
        if self.has_file_above(path) {
            let mailbox = self.mailbox.clone();
            return self.meaningless_in(&mailbox);
        }
        if self.taken.contains(path) || self.folders.contains(path) {
            return self.name_beside(path);
        }
        path.clone()
    }

    /// The same for a message that was found later. What is stored was not compared with folders
    /// that were not listed.
    pub(crate) fn name_for_late(&mut self, path: &RelPath, listed: &Listing) -> RelPath {
        let is_listed = path.parent().is_some_and(|folder| listed.lists(&folder));
        if is_listed {
            return self.name_for(path);
        }
        let mailbox = self.mailbox.clone();
        self.meaningless_in(&mailbox)
    }

    /// A free name in the folder of `path`.
    pub(crate) fn name_beside(&mut self, path: &RelPath) -> RelPath {
        self.meaningless_in(&path.parent().unwrap_or_else(RelPath::root))
    }

    fn has_file_above(&self, path: &RelPath) -> bool {
        !self.files_as_folders.is_empty()
            && above(path).any(|folder| self.files_as_folders.contains(&folder))
    }

    /// No stored name is like it, and no message has it.
    fn meaningless_in(&mut self, folder: &RelPath) -> RelPath {
        loop {
            self.last_number += 1;
            let name = [STORED_PREFIX, self.last_number.to_string().as_bytes()].concat();
            let path = folder.child(&name);
            let path = path.expect("letters and digits are one safe component");
            if !self.beyond.contains(&path) {
                return path;
            }
        }
    }
}

/// The folders that `path` lies in, from the innermost.
fn above(path: &RelPath) -> impl Iterator<Item = RelPath> + use<> {
    std::iter::successors(path.parent(), RelPath::parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailboxes::units::Reach;
    use crate::source::tree::SourceTree;

    fn path(text: &str) -> RelPath {
        text.parse().unwrap()
    }

    /// A mailbox `m` with these folders today.
    fn listing(folders: &[&str]) -> Listing {
        let dir = tempfile::tempdir().unwrap();
        for folder in folders {
            std::fs::create_dir_all(dir.path().join("m").join(folder)).unwrap();
        }
        let tree = SourceTree::open(dir.path()).unwrap();
        Listing::of(&tree, &path("m"), Reach::Whole, dir.path()).unwrap()
    }

    #[track_caller]
    fn check(stored: &[&str], taken: &[&str], new: &str, expected: &str) {
        let listing = listing(&["cur", ".A/cur", "a"]);
        let mut names = StoredNames::new(&path("m"));
        for name in stored.iter().chain(taken) {
            names.meet_stored(&path(name), &listing);
        }
        for name in taken {
            names.take(&path(name));
        }
        names.meet_name(&path(new));
        assert_eq!(names.name_for(&path(new)), path(expected));
    }

    #[test]
    fn a_message_is_stored_under_its_own_name_where_that_harms_none() {
        check(&[], &[], "m/cur/1", "m/cur/1");
        check(&["m/cur/1", "m/cur/2"], &[], "m/cur/1", "m/cur/1");
        check(&[], &["m/cur/1"], "m/cur/2", "m/cur/2");
    }

    #[test]
    fn a_name_that_would_harm_another_is_not_taken() {
        check(&[], &["m/cur/1"], "m/cur/1", "m/cur/stored-1");
        check(&["m/cur/1/cur/2"], &[], "m/cur/1", "m/cur/stored-1");
        check(&["m/a"], &[], "m/a/cur/1", "m/stored-1");
        check(&["m/.A"], &[], "m/.A/cur/1", "m/stored-1");
        check(
            &["m/cur/stored-7"],
            &["m/cur/1"],
            "m/cur/1",
            "m/cur/stored-8",
        );
        check(
            &["m/stored-7/cur/1"],
            &["m/cur/1"],
            "m/cur/1",
            "m/cur/stored-8",
        );
    }

    #[test]
    fn no_name_of_a_joker_is_met_twice() {
        let last = format!("m/cur/stored-{}", u32::MAX);
        let after = format!("m/cur/stored-{}", u64::from(u32::MAX) + 1);
        let expected = format!("m/cur/stored-{}", u64::from(u32::MAX) + 2);
        check(&[&last, &after], &["m/cur/1"], "m/cur/1", &expected);
        let endless = "m/cur/stored-99999999999999999999999";
        check(&[endless], &["m/cur/1"], "m/cur/1", "m/cur/stored-1");
    }
}
