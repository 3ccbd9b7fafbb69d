//! What another program holds while a tool is at work: a lock, a small disk. Given up when dropped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A flock(2) of another process.
#[derive(Debug)]
pub struct HeldLock(Child);

/// A small file system in memory, mounted at a directory.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl HeldLock {
    /// Shared, as a reader of a set holds it.
    ///
    /// # Panics
    /// When `flock` does not run or somebody else holds the lock.
    #[must_use]
    pub fn shared(path: &Path) -> Self {
        Self::hold("--shared", path)
    }

    /// For its holder alone.
    ///
    /// # Panics
    /// As [`HeldLock::shared`].
    #[must_use]
    pub fn exclusive(path: &Path) -> Self {
        Self::hold("--exclusive", path)
    }

    fn hold(how: &str, path: &Path) -> Self {
        let mut command = Command::new("flock");
        command
            .args([how, "--no-fork"])
            .arg(path)
            .args(["sh", "-c", "echo held; exec sleep 120"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("flock runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("flock says that it has the lock");
        assert_eq!(line, "held\n", "{} is locked", path.display());
        Self(child)
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl SmallDisk {
    /// Mounts one of `size`, such as `4m`, at a directory, which is made. `None`, printed visibly,
    /// without root.
    ///
    /// # Panics
    /// When the directory cannot be made.
    #[must_use]
    pub fn mount(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&at).expect("a directory can be made");
        let mut mount = Command::new("mount");
        mount
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size},mode=700"),
                "tmpfs",
            ])
            .arg(&at);
        let is_mounted = rustix::process::geteuid().is_root()
            && mount.status().is_ok_and(|status| status.success());
        if !is_mounted {
            eprintln!("SKIPPED: only root may mount a small file system");
        }
        is_mounted.then_some(Self(at))
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
