//! Finds messages that were listed and then moved: by their unique names, or by their inodes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;

use mail_common::maildir::unique_name;
use mail_common::relpath::RelPath;

use super::listing::{Listing, Missing};

/// A message that so many looks at a busy mailbox do not find has been expunged. Where the mailbox
/// held still while it was looked through, one look tells.
const LOOKS: u8 = 3;

/// The messages that are looked for.
#[derive(Debug, Default)]
pub(crate) struct Search {
    looked: BTreeMap<Missing, u8>,
    /// Listed paths that nobody has saved. What is listed elsewhere is saved.
    unclaimed: BTreeSet<RelPath>,
    /// The messages that were found: they are saved since.
    claimed: HashSet<Identity>,
    /// Not found: expunged while the backup ran.
    pub(crate) expunged: u64,
}

/// A message under whatever flags and in whatever folder: its unique name and its inode. The name
/// alone is not enough: a folder that was copied by hand has every name a second time.
type Identity = (Vec<u8>, u64);

fn identity(missing: &Missing) -> Identity {
    (unique_name(missing.path.name()).to_vec(), missing.inode)
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
            self.unclaimed.insert(message.path.clone());
            self.claimed.remove(&identity(&message));
            self.looked.entry(message).or_insert(0);
        }
    }

    /// Listed paths that were passed over, since their message was met under another name.
    pub(crate) fn add_unclaimed(&mut self, paths: impl IntoIterator<Item = RelPath>) {
        self.unclaimed.extend(paths);
    }

    /// Whether nothing is left to look for.
    pub(crate) fn is_over(&self) -> bool {
        self.looked.is_empty()
    }

    /// How many are still looked for.
    pub(crate) fn left(&self) -> usize {
        self.looked.len()
    }

    /// Looks once through the whole mailbox. Returns where messages are now that are not saved,
    /// under whatever name.
    pub(crate) fn look(&mut self, now: &Listing, listed: &Listing) -> io::Result<Vec<Missing>> {
        let wanted = self.wanted();
        let mut places = places(now, &wanted)?;
        let found = Marks::of(&places);
        let saved = self.saved(listed, &found)?;
        self.settle(&found, now.is_settled);
        // A message under its own name comes before one that shares its inode, which may be a copy
        // of it.
        places.sort_by_key(|place| !wanted.names.contains(unique_name(place.path.name())));
        places.retain(|place| self.claim(place, &wanted, &saved));
        places.sort();
        Ok(places)
    }

    fn wanted(&self) -> Marks {
        Marks::of(self.looked.keys())
    }

    /// Which of `found` are listed where somebody has saved them, or were found before.
    fn saved(&self, listed: &Listing, found: &Marks) -> io::Result<HashSet<Identity>> {
        let mut saved = self.claimed.clone();
        listed.each_message(|directory, name| {
            let unique = unique_name(&name.bytes);
            let is_found = found.names.contains(unique) || found.inodes.contains(&name.inode);
            if is_found
                && directory
                    .child(&name.bytes)
                    .is_ok_and(|path| !self.unclaimed.contains(&path))
            {
                saved.insert((unique.to_vec(), name.inode));
            }
        })?;
        Ok(saved)
    }

    /// Whether the message at `place` is to be saved; if so, no other place of it is.
    fn claim(&mut self, place: &Missing, wanted: &Marks, saved: &HashSet<Identity>) -> bool {
        let identity = identity(place);
        let is_copy = || {
            saved
                .iter()
                .chain(&self.claimed)
                .any(|(_, inode)| *inode == place.inode)
        };
        if saved.contains(&identity)
            || self.claimed.contains(&identity)
            || (!wanted.names.contains(&identity.0) && is_copy())
        {
            return false;
        }
        self.claimed.insert(identity)
    }

    fn settle(&mut self, found: &Marks, is_settled: bool) {
        let mut expunged = 0;
        self.looked.retain(|missing, looks| {
            let is_found = found.names.contains(unique_name(missing.path.name()))
                || found.inodes.contains(&missing.inode);
            *looks += 1;
            let is_gone = !is_found && (is_settled || *looks >= LOOKS);
            expunged += u64::from(is_gone);
            !is_found && !is_gone
        });
        self.expunged += expunged;
    }
}

/// Where the wanted messages are in `now`.
fn places(now: &Listing, wanted: &Marks) -> io::Result<Vec<Missing>> {
    let mut places = Vec::new();
    now.each_message(|directory, name| {
        if (wanted.names.contains(unique_name(&name.bytes)) || wanted.inodes.contains(&name.inode))
            && let Ok(path) = directory.child(&name.bytes)
        {
            places.push(Missing {
                path,
                inode: name.inode,
            });
        }
    })?;
    Ok(places)
}

impl Marks {
    fn of<'a>(messages: impl IntoIterator<Item = &'a Missing>) -> Self {
        let mut marks = Self::default();
        for message in messages {
            marks
                .names
                .insert(unique_name(message.path.name()).to_vec());
            marks.inodes.insert(message.inode);
        }
        marks
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
    use crate::mailboxes::listing::Reach;
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
