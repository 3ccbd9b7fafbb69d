//! What must be known of a Maildir: where messages lie, and that their names change.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mail_common::maildir::{holds_messages, unique_name};
use rustix::fs::Dir;

use crate::inside::Role;
use crate::tree::Tree;

const PLACES: [&str; 2] = ["cur", "new"];

/// Whether `path` is a message: it lies in `cur/` or `new/` of a directory that has both, and
/// `tmp/` (maildir(5)).
pub(crate) fn is_message(tree: &Tree, path: &Path) -> bool {
    let is_directory = |path: PathBuf| tree.directory(&path).is_ok();
    lies_in_place(path)
        && folder_of(path).is_some_and(|folder| {
            let names = ["cur", "new", "tmp"];
            names.iter().all(|name| is_directory(folder.join(name)))
        })
}

/// Whether the name of its directory says that `path` is a message: what its own name ends in means
/// nothing then.
pub(crate) fn lies_in_place(path: &Path) -> bool {
    path.parent()
        .and_then(Path::file_name)
        .is_some_and(|directory| holds_messages(directory.as_bytes()))
}

/// What a file at `path`, or a member of this name, is taken for.
pub(crate) fn role_of(path: &Path) -> Role {
    if lies_in_place(path) {
        Role::Message
    } else {
        Role::File
    }
}

/// Where a message is now that was at `path` a moment ago: its flags, or `new` and `cur`, change
/// its path, and the part of its name before the colon stays.
pub(crate) fn find_again(tree: &Tree, path: &Path) -> Option<PathBuf> {
    if !lies_in_place(path) {
        return None;
    }
    let folder = folder_of(path)?;
    let unique = unique_name(path.file_name()?.as_bytes());
    PLACES.iter().find_map(|place| {
        let place = folder.join(place);
        let entries = Dir::new(tree.directory(&place).ok()?).ok()?;
        let found = entries
            .flatten()
            .find(|entry| unique_name(entry.file_name().to_bytes()) == unique)?;
        Some(place.join(OsStr::from_bytes(found.file_name().to_bytes())))
    })
}

fn folder_of(path: &Path) -> Option<&Path> {
    path.parent()?.parent()
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_flagged_message_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["cur", "new", "tmp", "other"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let tree = Tree::open(dir.path()).unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("cur/1.a:2,S"), "x").unwrap();
        fs::write(path("cur/12.b"), "x").unwrap();
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(find_again(&tree, &path(name)), expected.map(path));
        };
        check("new/1.a", Some("cur/1.a:2,S"));
        check("cur/1.a:2,", Some("cur/1.a:2,S"));
        check("cur/12.a", None);
        check("other/1.a", None);
        assert!(is_message(&tree, &path("cur/1.a:2,S")) && !is_message(&tree, &path("other/1.a")));
        fs::remove_dir(path("tmp")).unwrap();
        assert!(!is_message(&tree, &path("cur/1.a:2,S")));
    }

    #[test]
    fn what_lies_behind_a_link_is_no_message() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["box/new", "box/tmp", "other"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        fs::write(path("other/1.a"), "x").unwrap();
        std::os::unix::fs::symlink(path("other"), path("box/cur")).unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        assert!(!is_message(&tree, &path("box/cur/1.a")));
        assert_eq!(find_again(&tree, &path("box/cur/1.a")), None);
    }
}
