//! What is kept from run to run: small JSON files in one directory, each replaced in one step.
//!
//! A file that is damaged counts as absent, and says so: a check then starts again as on its first
//! run.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use mail_common::atomic;
use mail_common::beneath;
use mail_common::failure::{Failed, Failure, FailureKind};
use mail_common::trusted::{NotOurs, check_ours};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

const LOCK_POLL: Duration = Duration::from_millis(20);

/// The directory of state files; made when something is first kept. Without one, each run is the
/// first and the last.
#[derive(Clone, Debug)]
pub(crate) struct StateDir(Option<PathBuf>);

/// What was kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kept<T> {
    /// It is there.
    There(T),
    /// Nothing was kept yet.
    Nothing,
    /// There is something, but it cannot be read; why.
    Damaged(String),
}

/// Something could not be kept or locked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error("keep {}; the next run will not know of this one", path.display())]
    Keep { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Lock(#[from] Failed),
    #[error("another run has held {} for over {} s", path.display(), patience.as_secs_f64())]
    Held { path: PathBuf, patience: Duration },
}

impl Failure for StateError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Keep { .. } | Self::Lock(_) => FailureKind::State,
            Self::Held { .. } => FailureKind::Locked,
        }
    }
}

/// No other run has what this one locked.
#[derive(Debug)]
pub(crate) struct StateLock(Option<File>);

impl Drop for StateLock {
    /// Closing is not enough while a child process that is just starting still has a copy of the
    /// descriptor (flock(2)).
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            let _ = rustix::fs::flock(file, FlockOperation::Unlock);
        }
    }
}

fn distrusted(reason: NotOurs) -> io::Error {
    io::Error::other(reason)
}

impl StateDir {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(Some(path.into()))
    }

    /// Knows of no earlier run, and keeps nothing.
    pub(crate) const fn forgetful() -> Self {
        Self(None)
    }

    /// What was kept under `name`.
    pub(crate) fn load<T: DeserializeOwned>(&self, name: &str) -> Kept<T> {
        let Some(path) = self.path(name) else {
            return Kept::Nothing;
        };
        let bytes = match self.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Kept::Nothing,
            Err(error) => return Kept::Damaged(format!("{}: {error}", path.display())),
        };
        match serde_json::from_slice(&bytes) {
            Ok(value) => Kept::There(value),
            Err(error) => Kept::Damaged(format!("{}: {error}", path.display())),
        }
    }

    /// Keeps `value` under `name`, in the place of what was there.
    pub(crate) fn keep(&self, name: &str, value: &impl Serialize) -> Result<(), StateError> {
        let (Some(dir), Some(path)) = (&self.0, self.path(name)) else {
            return Ok(());
        };
        let failed = |source| StateError::Keep {
            path: path.clone(),
            source,
        };
        let bytes = serde_json::to_vec(value).map_err(|error| failed(error.into()))?;
        atomic::create_dir_all(dir).map_err(failed)?;
        self.check_directory().map_err(failed)?;
        atomic::write_file(&path, &bytes).map_err(failed)?;
        Ok(())
    }

    /// Keeps other runs out until the guard is dropped; waits no longer than `patience`. Where
    /// nothing is kept, nobody is kept out.
    pub(crate) fn lock(&self, name: &str, patience: Duration) -> Result<StateLock, StateError> {
        let Some(dir) = &self.0 else {
            return Ok(StateLock(None));
        };
        let path = dir.join(name).with_extension("lock");
        atomic::create_dir_all(dir).map_err(Failed::at("create", dir))?;
        let file = beneath::own_file(&path).map_err(Failed::at("open", &path))?;
        let deadline = Instant::now() + patience;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(StateLock(Some(file))),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(LOCK_POLL),
                Err(Errno::WOULDBLOCK) => return Err(StateError::Held { path, patience }),
                Err(errno) => return Err(Failed::at("lock", &path)(errno.into()).into()),
            }
        }
    }

    /// What somebody else could have written is not what was kept.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut file = beneath::regular_file(path)?;
        self.check_directory()?;
        check_ours(&file.metadata()?).map_err(distrusted)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn check_directory(&self) -> io::Result<()> {
        let Some(dir) = &self.0 else { return Ok(()) };
        check_ours(&dir.metadata()?)
            .map_err(|reason| io::Error::other(format!("{}: {reason}", dir.display())))
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(
            self.0
                .as_ref()?
                .join(Path::new(name).with_extension("json")),
        )
    }
}

impl<T> Kept<T> {
    /// What was kept, where it can be used.
    pub(crate) fn usable(self) -> Option<T> {
        match self {
            Self::There(value) => Some(value),
            Self::Nothing | Self::Damaged(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path().join("new"));
        assert_eq!(state.load::<Vec<u32>>("a"), Kept::Nothing);
        state.keep("a", &vec![1, 2]).unwrap();
        state.keep("a", &vec![3]).unwrap();
        assert_eq!(state.load("a"), Kept::There(vec![3]));
        let Kept::Damaged(why) = state.load::<String>("a") else {
            panic!("it is not a string")
        };
        assert!(why.contains("a.json"), "{why}");
        StateDir::forgetful().keep("a", &vec![1]).unwrap();
        assert_eq!(StateDir::forgetful().load::<Vec<u32>>("a"), Kept::Nothing);
    }

    #[test]
    fn a_lock_is_waited_for_within_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        let held = state.lock("notify", Duration::ZERO).unwrap();
        let refused = state.lock("notify", Duration::from_millis(60)).unwrap_err();
        assert!(matches!(refused, StateError::Held { .. }), "{refused}");
        drop(held);
        state.lock("notify", Duration::ZERO).unwrap();
    }

    #[test]
    fn what_others_could_have_written_is_not_what_was_kept() {
        use std::os::unix::fs::{PermissionsExt, chown};
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("state");
        let state = StateDir::new(&own);
        let kept = || state.load::<Vec<u32>>("a");
        let set_mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let file = own.join("a.json");
        state.keep("a", &vec![1]).unwrap();
        set_mode(&file, 0o666);
        assert!(matches!(kept(), Kept::Damaged(why) if why.contains("others may write to it")));
        state.keep("a", &vec![1]).unwrap();
        assert_eq!(kept(), Kept::There(vec![1]), "it is made again");
        if rustix::process::geteuid().is_root() {
            chown(&file, Some(4321), None).unwrap();
            assert!(matches!(kept(), Kept::Damaged(why) if why.contains("belongs to user 4321")));
            state.keep("a", &vec![1]).unwrap();
        }
        set_mode(&own, 0o777);
        assert!(matches!(kept(), Kept::Damaged(why) if why.contains("others may write to it")));
        assert!(state.keep("a", &vec![2]).is_err());
    }
}
