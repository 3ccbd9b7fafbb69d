//! Hidden siblings of a target: `.NAME.restoring`, and `.NAME.restoring.TIME.INODE` once its inode
//! number is known.
//!
//! The number is that of the new thing. Whatever else bears the name is the old one, after their
//! exchange.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Between the name of the target and what follows.
const INFIX: &[u8] = b".restoring";

/// A hidden sibling of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hidden {
    /// Made a moment ago: new, and empty.
    Fresh,
    /// Begun at `time`; the new thing has inode number `inode`.
    Named { time: String, inode: u64 },
}

impl Hidden {
    /// Its path beside `target`.
    pub(super) fn beside(&self, target: &Path) -> PathBuf {
        let mut name = [b".", name_of(target), INFIX].concat();
        if let Self::Named { time, inode } = self {
            name.extend_from_slice(format!(".{time}.{inode}").as_bytes());
        }
        target.with_file_name(OsString::from_vec(name))
    }

    /// What `name` beside `target` is; `None` when it is not ours.
    pub(super) fn parse(target: &Path, name: &[u8]) -> Option<Self> {
        let rest = name
            .strip_prefix(b".")?
            .strip_prefix(name_of(target))?
            .strip_prefix(INFIX)?;
        if rest.is_empty() {
            return Some(Self::Fresh);
        }
        let (time, inode) = std::str::from_utf8(rest)
            .ok()?
            .strip_prefix('.')?
            .split_once('.')?;
        let is_time = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_alphanumeric());
        Some(Self::Named {
            time: time.to_owned(),
            inode: inode.parse().ok()?,
        })
        .filter(|_| is_time)
    }
}

/// Where the old thing is kept: `TARGET.bak.TIME`, or the first free `TARGET.bak.TIME-2`, `-3` and
/// so on.
pub(super) fn kept_path(target: &Path, time: &str) -> PathBuf {
    let numbered = |number: u32| {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let name = [
            name_of(target),
            b".bak.",
            time.as_bytes(),
            suffix.as_bytes(),
        ]
        .concat();
        target.with_file_name(OsString::from_vec(name))
    };
    let is_free = |path: &PathBuf| path.symlink_metadata().is_err();
    (1..=u32::MAX)
        .map(numbered)
        .find(is_free)
        .unwrap_or_else(|| numbered(1))
}

fn name_of(target: &Path) -> &[u8] {
    target.file_name().unwrap_or_default().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let target = Path::new("/srv/mail.d");
        for hidden in [
            Hidden::Fresh,
            Hidden::Named {
                time: "20261123T030000".into(),
                inode: 77,
            },
        ] {
            let path = hidden.beside(target);
            assert_eq!(
                Hidden::parse(target, path.file_name().unwrap().as_bytes()),
                Some(hidden)
            );
        }
        assert_eq!(
            Hidden::Named {
                time: "20261123T030000".into(),
                inode: 77
            }
            .beside(target),
            Path::new("/srv/.mail.d.restoring.20261123T030000.77")
        );
        let foreign = [
            "mail.d",
            ".mail.d",
            ".mail.d.restoring.x",
            ".mail.d.restoring.a/b.1",
            ".mail.restoring",
            ".mail.d.restoring.1.x",
        ];
        for name in foreign {
            assert_eq!(Hidden::parse(target, name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn what_was_kept_before_stays() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("mail");
        assert_eq!(kept_path(&target, "T"), dir.path().join("mail.bak.T"));
        std::fs::create_dir(dir.path().join("mail.bak.T")).unwrap();
        assert_eq!(kept_path(&target, "T"), dir.path().join("mail.bak.T-2"));
    }
}
