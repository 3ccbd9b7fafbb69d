//! Where the canary lies: as deep below the mail root as the mailboxes.

use std::io;
use std::path::PathBuf;

use mail_common::beneath::Beneath;
use mail_common::relpath::RelPath;
use mail_common::suspicion::CANARY_DOMAIN;
use rustix::fs::Dir;
use rustix::io::Errno;

/// As domain and user.
pub(super) const DIRECTORIES: [&str; 2] = [CANARY_DOMAIN, "canary"];

/// Further levels, where mailboxes lie deeper.
const DEEPER: &str = "Maildir";

/// Where the canary lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CanaryPlan {
    pub(crate) mail_dir: PathBuf,
    pub(crate) depth: usize,
}

impl CanaryPlan {
    /// The mailbox of the canary, in the mail tree: as deep as the others.
    pub(crate) fn directory(&self) -> RelPath {
        let names = DIRECTORIES.into_iter().chain(std::iter::repeat(DEEPER));
        let names: Vec<&str> = names.take(self.depth.max(1)).collect();
        RelPath::new(names.join("/")).expect("these are names of directories")
    }
}

/// The names in a directory; none where it is not there.
pub(super) fn names_in(root: &Beneath, directory: &RelPath) -> io::Result<Vec<Vec<u8>>> {
    let directory = match root.directory(directory) {
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut names = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let name = entry?.file_name().to_bytes().to_owned();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

/// It is not there, or something else stands in its place: a link is not followed.
pub(super) fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidInput)
        || Errno::from_io_error(error) == Some(Errno::LOOP)
}

pub(super) fn child(directory: &RelPath, name: &[u8]) -> io::Result<RelPath> {
    directory.child(name).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_as_deep_as_the_mailboxes() {
        let check = |depth, expected: &str| {
            let plan = CanaryPlan {
                mail_dir: "/m".into(),
                depth,
            };
            assert_eq!(plan.directory().to_string(), expected);
        };
        check(0, "backup-canary.invalid");
        check(1, "backup-canary.invalid");
        check(2, "backup-canary.invalid/canary");
        check(3, "backup-canary.invalid/canary/Maildir");
    }
}
