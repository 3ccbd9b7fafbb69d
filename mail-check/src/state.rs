//! What is kept from run to run: small JSON files in one directory, each replaced in one step.
//!
//! A file that is damaged counts as absent, and says so: a check then begins anew, as on its first run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mail_common::atomic;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The directory of state files; made when something is first kept. Without one, each run is the first and the last.
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

/// Something could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("keep {}; the next run will not know of this one", path.display())]
pub(crate) struct StateError {
    path: PathBuf,
    source: io::Error,
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
        let Some(path) = self.path(name) else { return Kept::Nothing };
        let bytes = match fs::read(&path) {
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
        let (Some(dir), Some(path)) = (&self.0, self.path(name)) else { return Ok(()) };
        let failed = |source| StateError { path: path.clone(), source };
        let bytes = serde_json::to_vec(value).map_err(|error| failed(error.into()))?;
        atomic::create_dir_all(dir).map_err(failed)?;
        atomic::write_file(&path, &bytes).map_err(failed)?;
        Ok(())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.0.as_ref()?.join(Path::new(name).with_extension("json")))
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
        let Kept::Damaged(why) = state.load::<String>("a") else { panic!("it is no string") };
        assert!(why.contains("a.json"), "{why}");
        StateDir::forgetful().keep("a", &vec![1]).unwrap();
        assert_eq!(StateDir::forgetful().load::<Vec<u32>>("a"), Kept::Nothing);
    }
}
