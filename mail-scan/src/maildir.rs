//! What must be known of a Maildir: where messages lie, and that their names change.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mail_common::maildir::{holds_messages, unique_name};

const PLACES: [&str; 2] = ["cur", "new"];

/// Whether `path` is a message: it lies in `cur/` or `new/` of a directory that has both, and
/// `tmp/` (maildir(5)).
pub(crate) fn is_message(path: &Path) -> bool {
    lies_in_place(path)
        && folder_of(path).is_some_and(|folder| {
            ["cur", "new", "tmp"]
                .iter()
                .all(|name| folder.join(name).is_dir())
        })
}

/// Whether the name of its directory says that `path` is a message: what its own name ends in means
/// nothing then.
pub(crate) fn lies_in_place(path: &Path) -> bool {
    path.parent()
        .and_then(Path::file_name)
        .is_some_and(|directory| holds_messages(directory.as_bytes()))
}

/// Where a message is now that was at `path` a moment ago: its flags, or `new` and `cur`, change
/// its path, and the part of its name before the colon stays.
pub(crate) fn find_again(path: &Path) -> Option<PathBuf> {
    if !lies_in_place(path) {
        return None;
    }
    let unique = unique_name(path.file_name()?.as_bytes());
    PLACES.iter().find_map(|place| {
        let entries = fs::read_dir(folder_of(path)?.join(place)).ok()?;
        entries
            .flatten()
            .find(|entry| unique_name(entry.file_name().as_bytes()) == unique)
            .map(|entry| entry.path())
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
    use super::*;

    #[test]
    fn a_flagged_message_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["cur", "new", "tmp", "other"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let path = |name: &str| dir.path().join(name);
        fs::write(path("cur/1.a:2,S"), "x").unwrap();
        fs::write(path("cur/12.b"), "x").unwrap();
        assert_eq!(find_again(&path("new/1.a")), Some(path("cur/1.a:2,S")));
        assert_eq!(find_again(&path("cur/1.a:2,")), Some(path("cur/1.a:2,S")));
        assert_eq!(find_again(&path("cur/12.a")), None);
        assert_eq!(find_again(&path("other/1.a")), None);
        assert!(is_message(&path("cur/1.a:2,S")) && !is_message(&path("other/1.a")));
        fs::remove_dir(path("tmp")).unwrap();
        assert!(!is_message(&path("cur/1.a:2,S")));
    }
}
