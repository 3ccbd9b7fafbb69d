//! Files where nobody but the administrator can put one: settings, keys, records of other tools,
//! what the kernel tells. They may be reached through links and may be pipes, as in `--config
//! <(...)`.
//!
//! What others may have written is opened by [`crate::beneath`].
#![expect(
    clippy::disallowed_methods,
    reason = "the caller says that nobody else can write there"
)]

use std::fs::{self, File, Metadata, ReadDir};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Set-user-ID, set-group-ID and sticky bit aside: who else may write.
const OTHERS_WRITE: u32 = 0o022;

/// In a directory with this bit everybody removes only what is theirs.
const STICKY: u32 = 0o1000;

/// Why a file or a directory of a tool's own is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// Somebody else may have written it.
    #[error("it belongs to user {uid}")]
    Owner {
        /// Who.
        uid: u32,
    },
    /// Somebody else may write to it.
    #[error("others may write to it (mode {mode:04o}); run: chmod go-w")]
    Writable {
        /// Its permission bits.
        mode: u32,
    },
}

/// Whether nobody but root and the user who runs this could have written what `metadata` is of: a
/// file that a tool keeps from run to run, or its directory.
///
/// # Errors
/// When others could.
pub fn check_ours(metadata: &Metadata) -> Result<(), NotOurs> {
    let (uid, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return Err(NotOurs::Owner { uid });
    }
    let is_sticky = metadata.is_dir() && mode & STICKY != 0;
    if mode & OTHERS_WRITE != 0 && !is_sticky {
        return Err(NotOurs::Writable { mode });
    }
    Ok(())
}

/// Opens a file, or a directory.
///
/// # Errors
/// As open(2).
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    File::open(path)
}

/// Reads a file whole.
///
/// # Errors
/// As open(2) and read(2).
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    fs::read(path)
}

/// Reads a text whole.
///
/// # Errors
/// As [`read`]; `InvalidData` when it is not UTF-8.
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    fs::read_to_string(path)
}

/// Lists a directory.
///
/// # Errors
/// As opendir(3).
pub fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    fs::read_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_others_could_have_written_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kept");
        fs::write(&file, "x").unwrap();
        let check = |path: &Path, mode, expected: Result<(), NotOurs>| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(
                check_ours(&fs::metadata(path).unwrap()),
                expected,
                "{mode:o}"
            );
        };
        let writable = |mode| Err(NotOurs::Writable { mode });
        check(&file, 0o600, Ok(()));
        check(&file, 0o644, Ok(()));
        check(&file, 0o664, writable(0o664));
        check(&file, 0o602, writable(0o602));
        check(&file, 0o1666, writable(0o1666));
        check(dir.path(), 0o1777, Ok(()));
        check(dir.path(), 0o777, writable(0o777));
        check(dir.path(), 0o750, Ok(()));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&file, Some(4321), None).unwrap();
            check(&file, 0o600, Err(NotOurs::Owner { uid: 4321 }));
        }
    }
}
