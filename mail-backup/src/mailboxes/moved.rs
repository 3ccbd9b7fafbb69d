//! Finds messages that were listed and then moved: by their unique names, or by their inodes.
//!
//! Between its listing and its reading a message may be flagged (renamed), moved from `new/` to
//! `cur/`, filed into another folder, or expunged. Only the last is a reason not to save it. Three
//! faults are to be avoided:
//!
//! - *A message is lost.* So it is looked for in every `cur` and `new` of the mailbox, under any
//!   flags, until it is found or is known to be gone. A client that moves by copying and deleting
//!   gives it another unique name; where the copy is a hard link, the inode finds it.
//! - *A message is saved twice.* The place where it is found may have been listed from the
//!   beginning, and saved from there. So a place is taken only if the message, by name and inode,
//!   is saved from no other place: neither from one that was listed and read, nor from one that was
//!   found by an earlier look.
//! - *A copy is taken for its original.* A folder that was copied by hand has every unique name a
//!   second time, with other inodes: those are other messages, and both are saved. A hard link
//!   under another unique name is taken only if nothing with that inode is saved, and only after
//!   every place with a wanted name has had its turn.
//!
//! When is a message gone? A look at a mailbox that held still has seen all of it, so one such look
//! is enough. In a mailbox that does not hold still, [`LOOKS`] looks must have missed it. A message
//! that is found and has moved on before it is read is looked for again.
//!
//! Names are those of <https://cr.yp.to/proto/maildir.html>: what stands before `:2,` is unique and
//! stays, what follows are flags.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;

use mail_common::maildir::unique_name;
use mail_common::relpath::RelPath;

use super::listing::{Identity, Listing, Missing};
use super::names::Name;

/// A message that this many looks at a busy mailbox do not find has been expunged.
const LOOKS: u8 = 3;

/// The messages that are looked for.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// What is looked for, and how many looks have missed it.
    wanted: BTreeMap<Missing, u8>,
    /// Listed paths that were not read. What is listed elsewhere is saved.
    unread: BTreeSet<RelPath>,
    /// The messages that were found: they are saved since.
    taken: HashSet<Identity>,
    /// Not found: expunged while the backup ran.
    pub(crate) expunged: u64,
}

/// Messages by what stays when they move: the unique name, or, where they are moved by copying, the
/// inode.
#[derive(Default)]
struct Marks {
    names: HashSet<Vec<u8>>,
    inodes: HashSet<u64>,
}

impl Search {
    /// Looks for these too.
    pub(crate) fn add(&mut self, missing: impl IntoIterator<Item = Missing>) {
        for message in missing {
            self.unread.insert(message.path.clone());
            self.taken.remove(&message.identity());
            self.wanted.entry(message).or_insert(0);
        }
    }

    /// Listed paths that were passed over, since their message was met under another name.
    pub(crate) fn add_unread(&mut self, paths: impl IntoIterator<Item = RelPath>) {
        self.unread.extend(paths);
    }

    /// Whether `path` was listed and its message not read there.
    pub(crate) fn is_unread(&self, path: &RelPath) -> bool {
        self.unread.contains(path)
    }

    /// Whether nothing is left to look for.
    pub(crate) fn is_over(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Where the messages were seen last that are still looked for.
    pub(crate) fn left(&self) -> Vec<RelPath> {
        self.wanted
            .keys()
            .map(|missing| missing.path.clone())
            .collect()
    }

    /// Looks once through the whole mailbox as it is `now`. Returns where messages are that are not
    /// saved, under whatever name; `listed` is the listing that was saved from.
    pub(crate) fn look(&mut self, now: &Listing, listed: &Listing) -> io::Result<Vec<Missing>> {
        let wanted = Marks::of(self.wanted.keys());
        let mut places = places(now, &wanted)?;
        let found = Marks::of(&places);
        let saved = self.saved(listed, &found)?;
        self.strike_off(&found, now.is_settled);
        // A message under its own name comes before one that shares its inode, which may be a copy
        // of it.
        places.sort_by_key(|place| !wanted.names.contains(place.unique_name()));
        places.retain(|place| self.take(place, &wanted, &saved));
        places.sort();
        Ok(places)
    }

    /// Which of `found` are listed where they were read and saved, or were found before.
    fn saved(&self, listed: &Listing, found: &Marks) -> io::Result<HashSet<Identity>> {
        let mut saved = self.taken.clone();
        for message in listed.messages() {
            let (directory, name) = message?;
            if !found.match_name(&name) {
                continue;
            }
            let missing = Missing::new(directory, &name)?;
            if !self.unread.contains(&missing.path) {
                saved.insert(missing.identity());
            }
        }
        Ok(saved)
    }

    /// Takes what was found off the list, and what is known to be gone.
    fn strike_off(&mut self, found: &Marks, is_settled: bool) {
        let mut expunged = 0;
        self.wanted.retain(|missing, looks| {
            if found.match_missing(missing) {
                return false;
            }
            *looks += 1;
            let is_gone = is_settled || *looks >= LOOKS;
            expunged += u64::from(is_gone);
            !is_gone
        });
        self.expunged += expunged;
    }

    /// Whether the message at `place` is to be saved from there; if so, it is from no other place.
    fn take(&mut self, place: &Missing, wanted: &Marks, saved: &HashSet<Identity>) -> bool {
        let identity = place.identity();
        if saved.contains(&identity) || self.taken.contains(&identity) {
            return false;
        }
        let has_wanted_name = wanted.names.contains(&identity.0);
        let mut all_saved = saved.iter().chain(&self.taken);
        if !has_wanted_name && all_saved.any(|(_, inode)| *inode == place.inode) {
            return false;
        }
        self.taken.insert(identity)
    }
}

/// Where the wanted messages are in `now`.
fn places(now: &Listing, wanted: &Marks) -> io::Result<Vec<Missing>> {
    let mut places = Vec::new();
    for message in now.messages() {
        let (directory, name) = message?;
        if wanted.match_name(&name) {
            places.push(Missing::new(directory, &name)?);
        }
    }
    Ok(places)
}

impl Marks {
    fn of<'a>(messages: impl IntoIterator<Item = &'a Missing>) -> Self {
        let mut marks = Self::default();
        for message in messages {
            marks.names.insert(message.unique_name().to_vec());
            marks.inodes.insert(message.inode);
        }
        marks
    }

    fn match_missing(&self, missing: &Missing) -> bool {
        self.names.contains(missing.unique_name()) || self.inodes.contains(&missing.inode)
    }

    fn match_name(&self, name: &Name) -> bool {
        self.inodes.contains(&name.inode) || self.names.contains(unique_name(&name.bytes))
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests make the mailbox that is looked through"
)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use tempfile::TempDir;

    use super::*;
    use crate::mailboxes::units::Reach;
    use crate::source::tree::SourceTree;

    struct Mailbox(TempDir);

    impl Mailbox {
        fn new() -> Self {
            let mailbox = Self(tempfile::tempdir().unwrap());
            for directory in ["cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp"] {
                fs::create_dir_all(mailbox.path(directory)).unwrap();
            }
            mailbox
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.0.path().join("m").join(name)
        }

        fn with(self, name: &str) -> Self {
            fs::write(self.path(name), name).unwrap();
            self
        }

        fn rename(&self, from: &str, to: &str) {
            fs::rename(self.path(from), self.path(to)).unwrap();
        }

        fn listing(&self) -> Listing {
            let tree = SourceTree::open(self.0.path()).unwrap();
            Listing::of(&tree, &path(""), Reach::Whole, self.0.path()).unwrap()
        }

        fn missing(&self, name: &str) -> Missing {
            Missing {
                path: path(name),
                inode: fs::metadata(self.path(name)).unwrap().ino(),
            }
        }
    }

    fn path(name: &str) -> RelPath {
        RelPath::new(if name.is_empty() {
            "m".to_owned()
        } else {
            format!("m/{name}")
        })
        .unwrap()
    }

    fn check(search: &mut Search, now: &Listing, listed: &Listing, expected: &[&str]) {
        let found: Vec<RelPath> = search
            .look(now, listed)
            .unwrap()
            .into_iter()
            .map(|missing| missing.path)
            .collect();
        assert_eq!(
            found,
            expected.iter().map(|name| path(name)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_message_that_moved_is_found_once() {
        let mailbox = Mailbox::new().with("new/1.a").with("cur/2.b:2,S");
        let listed = mailbox.listing();
        let mut search = Search::default();
        search.add([mailbox.missing("new/1.a")]);
        mailbox.rename("new/1.a", ".Sent/cur/1.a:2,S");
        let now = mailbox.listing();
        check(&mut search, &now, &listed, &[".Sent/cur/1.a:2,S"]);
        assert!(search.is_over());
        check(&mut search, &now, &listed, &[]);
        assert_eq!(search.expunged, 0);
    }

    #[test]
    fn a_message_that_moves_on_by_copying_while_it_is_looked_for_is_found() {
        let mailbox = Mailbox::new().with("new/1.a");
        let listed = mailbox.listing();
        let mut search = Search::default();
        search.add([mailbox.missing("new/1.a")]);
        mailbox.rename("new/1.a", ".Sent/cur/2.b:2,S");
        let found = search.look(&mailbox.listing(), &listed).unwrap();
        mailbox.rename(".Sent/cur/2.b:2,S", "cur/3.c:2,S");
        search.add(found);
        check(&mut search, &mailbox.listing(), &listed, &["cur/3.c:2,S"]);
    }

    #[test]
    fn a_message_that_was_listed_twice_and_saved_is_not_saved_again() {
        // As a listing of a busy mailbox has a message that was moved meanwhile.
        let mailbox = Mailbox::new().with("cur/1.a:2,").with(".Sent/cur/1.a:2,");
        let listed = mailbox.listing();
        let mut search = Search::default();
        search.add([mailbox.missing("cur/1.a:2,")]);
        fs::remove_file(mailbox.path("cur/1.a:2,")).unwrap();
        mailbox.rename(".Sent/cur/1.a:2,", ".Sent/cur/1.a:2,S");
        check(&mut search, &mailbox.listing(), &listed, &[]);
        assert!(search.is_over());
        assert_eq!(search.expunged, 0);
    }

    /// As after a folder was copied by hand: the copy has the same unique name, and is another
    /// message.
    #[test]
    fn a_message_is_found_though_another_folder_has_its_unique_name() {
        let mailbox = Mailbox::new().with("cur/1.a:2,").with(".Sent/cur/1.a:2,");
        let listed = mailbox.listing();
        let mut search = Search::default();
        search.add([mailbox.missing("cur/1.a:2,")]);
        mailbox.rename("cur/1.a:2,", "cur/1.a:2,S");
        check(&mut search, &mailbox.listing(), &listed, &["cur/1.a:2,S"]);
        assert!(search.is_over());
    }

    #[test]
    fn a_copy_that_is_saved_is_not_saved_again_when_its_original_goes() {
        let mailbox = Mailbox::new().with("cur/1.a:2,");
        fs::hard_link(mailbox.path("cur/1.a:2,"), mailbox.path(".Sent/cur/2.b:2,")).unwrap();
        let listed = mailbox.listing();
        let mut search = Search::default();
        search.add([mailbox.missing("cur/1.a:2,")]);
        fs::remove_file(mailbox.path("cur/1.a:2,")).unwrap();
        mailbox.rename(".Sent/cur/2.b:2,", ".Sent/cur/2.b:2,S");
        check(&mut search, &mailbox.listing(), &listed, &[]);
    }

    #[test]
    fn one_look_at_a_mailbox_that_held_still_tells_that_a_message_is_expunged() {
        let mailbox = Mailbox::new().with("cur/1.a:2,");
        let listed = mailbox.listing();
        let mut search = Search::default();
        search.add([mailbox.missing("cur/1.a:2,")]);
        fs::remove_file(mailbox.path("cur/1.a:2,")).unwrap();
        check(&mut search, &mailbox.listing(), &listed, &[]);
        assert!(search.is_over());
        assert_eq!(search.expunged, 1);
    }
}
