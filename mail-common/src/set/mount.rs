//! Whether a disk is mounted, and how much room it has.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};

/// Room on a file system, as an unprivileged writer may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that can still be written.
    pub bytes_free: u64,
    /// Size of the file system in bytes.
    pub bytes_total: u64,
    /// Files that can still be made; `None` where the file system does not count them (btrfs, for
    /// one, says 0 of 0).
    pub inodes_free: Option<u64>,
}

/// Whether something is mounted at `path`, a bind mount included; a symlink is followed, as
/// mountpoint(1) does.
///
/// # Errors
/// As statx(2), for example when `path` does not exist.
pub fn is_mount_point(path: &Path) -> io::Result<bool> {
    match mount_root_attribute(path)? {
        Some(is_root) => Ok(is_root),
        None => differs_from_parent(path),
    }
}

/// The room on the file system of `path`.
///
/// # Errors
/// As statvfs(3).
pub fn free_space(path: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Space {
        bytes_free: stat.f_bavail.saturating_mul(stat.f_frsize),
        bytes_total: stat.f_blocks.saturating_mul(stat.f_frsize),
        inodes_free: (stat.f_files > 0).then_some(stat.f_favail),
    })
}

/// `None` where the kernel does not tell (before Linux 5.8).
fn mount_root_attribute(path: &Path) -> io::Result<Option<bool>> {
    match rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS) {
        Ok(stat) => {
            let is_known = stat
                .stx_attributes_mask
                .contains(StatxAttributes::MOUNT_ROOT);
            Ok(is_known.then(|| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)))
        }
        Err(rustix::io::Errno::NOSYS) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// The rule before statx(2): another device than the parent, or the parent of itself (`/`). Misses
/// bind mounts within one file system.
fn differs_from_parent(path: &Path) -> io::Result<bool> {
    let (this, parent) = (fs::metadata(path)?, fs::metadata(path.join(".."))?);
    Ok(this.dev() != parent.dev() || this.ino() == parent.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &Path, expected: bool) {
        assert_eq!(
            is_mount_point(path).unwrap(),
            expected,
            "{}",
            path.display()
        );
        assert_eq!(
            differs_from_parent(path).unwrap(),
            expected,
            "{} by device",
            path.display()
        );
    }

    #[test]
    fn mount_points_are_told_from_directories() {
        let dir = tempfile::tempdir().unwrap();
        check(Path::new("/proc"), true);
        check(dir.path(), false);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/proc", &link).unwrap();
        assert!(is_mount_point(&link).unwrap());
        assert_eq!(
            is_mount_point(&dir.path().join("absent"))
                .unwrap_err()
                .kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn space_is_as_df_says() {
        let dir = tempfile::tempdir().unwrap();
        let output = std::process::Command::new("df")
            .args(["-B1", "--output=size"])
            .arg(dir.path())
            .output()
            .unwrap();
        let size: u64 = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .last()
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let space = free_space(dir.path()).unwrap();
        assert_eq!(space.bytes_total, size);
        assert!(space.bytes_free <= space.bytes_total);
    }
}
