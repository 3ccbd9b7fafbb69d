//! Settings by name: the environment over the configuration file over defaults.
//!
//! The file is the one that the scripts sourced, and is read as a shell would read it, but nothing
//! is executed. Values may be secrets: they are in no `Debug` here, and only settings that cannot
//! be secrets are quoted in errors.

mod environment; // variables of the environment
mod defaults; // the names of all settings, and their defaults
mod settings; // the settings that the tools share, checked
mod shell; // assignments as a shell reads them

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use environment::Environment;
pub use settings::{MysqlSettings, Settings, WeeklySets};
use shell::Assignment;

use crate::failure::{Failed, Failure, FailureKind};
use crate::set::UnknownComponent;
use crate::trusted;

/// The file that is read when no other is named, where it is present.
pub const DEFAULT_PATH: &str = "/etc/mailserver-backup/config";

/// Why settings cannot be used. Every tool exits 2 on it, with nothing touched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] Failed),
    /// A line of the file is not an assignment, or would have to be executed.
    #[error("read configuration {} line {line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A variable of the environment is not UTF-8.
    #[error("environment variable {name} is not UTF-8")]
    NotText {
        /// The variable.
        name: String,
    },
    /// BACKUP_COMPONENTS names something that is not a component.
    #[error("BACKUP_COMPONENTS={value:?} ({origin})")]
    Components {
        /// Its value.
        value: String,
        /// Where it was set.
        origin: Source,
        /// Which word it is.
        source: UnknownComponent,
    },
    /// A setting has a value that it cannot have.
    #[error("{name}={value:?} ({origin}): not {expected}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// Where it was set.
        origin: Source,
        /// What it should be.
        expected: &'static str,
    },
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Read(_)
            | Self::Syntax { .. }
            | Self::NotText { .. }
            | Self::Components { .. }
            | Self::Invalid { .. } => FailureKind::Configuration,
        }
    }
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A variable of the environment.
    Environment,
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// It was not set.
    Default,
}

/// A value and where it comes from. Its `Debug` does not show the value, which may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub value: String,
    /// Where it comes from.
    pub source: Source,
}

/// What the environment and the configuration file say.
#[derive(Clone)]
pub struct Config {
    environment: Environment,
    path: PathBuf,
    assigned: BTreeMap<String, Assignment>,
}

impl Config {
    /// Reads the file `explicit`, or else [`DEFAULT_PATH`] where present.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Syntax`], or [`Error::NotText`] for a variable that is a setting.
    pub fn load(explicit: Option<&Path>, environment: Environment) -> Result<Self, Error> {
        let path = explicit.unwrap_or(Path::new(DEFAULT_PATH));
        match trusted::read(path) {
            Ok(text) => Self::parse(&text, path, environment),
            Err(error) if explicit.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Self::parse(b"", path, environment)
            }
            Err(error) => Err(Failed::at("read configuration", path)(error).into()),
        }
    }

    /// Reads `text`, the content of `path`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &[u8], path: &Path, environment: Environment) -> Result<Self, Error> {
        if let Some(name) = defaults::NAMES
            .into_iter()
            .find(|&name| !environment.is_text(name))
        {
            return Err(Error::NotText {
                name: name.to_owned(),
            });
        }
        let assigned = shell::parse(text, &environment).map_err(|error| Error::Syntax {
            path: path.to_owned(),
            line: error.line,
            reason: error.reason,
        })?;
        Ok(Self {
            environment,
            path: path.to_owned(),
            assigned,
        })
    }

    /// What `name` is set to. A setting that has a default counts as unset while it is empty;
    /// another may be set to nothing, as `BACKUP_MOUNTPOINT=` in the environment turns off what the
    /// file says, and `DKIM_DIR=` says that the server has no DKIM keys.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Setting> {
        let server_root = || self.get("MAILSERVER_ROOT").map(|root| root.value);
        let default = defaults::default_of(name, self.environment.get("HOME"), server_root);
        let may_be_empty = default.is_none() || defaults::OPTIONAL_PARTS.contains(&name);
        let counts = |value: &str| may_be_empty || !value.is_empty();
        if let Some(value) = self.environment.get(name).filter(|value| counts(value)) {
            return Some(Setting {
                value: value.to_owned(),
                source: Source::Environment,
            });
        }
        if let Some(assignment) = self
            .assigned
            .get(name)
            .filter(|assignment| counts(&assignment.value))
        {
            let source = Source::File {
                path: self.path.clone(),
                line: assignment.line,
            };
            return Some(Setting {
                value: assignment.value.clone(),
                source,
            });
        }
        default.map(|value| Setting {
            value,
            source: Source::Default,
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("environment"),
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str, environment: Environment) -> Config {
        Config::parse(text.as_bytes(), Path::new("/c"), environment).unwrap()
    }

    #[test]
    fn environment_over_file_over_default() {
        let config = config(
            "BACKUP_ROOT=/f\n\nMYSQL_HOST=db",
            Environment::from([("BACKUP_ROOT", ""), ("MYSQL_HOST", "e")]),
        );
        let check = |name, value: &str, source| {
            assert_eq!(
                config.get(name),
                Some(Setting {
                    value: value.to_owned(),
                    source
                }),
                "{name}"
            );
        };
        check(
            "BACKUP_ROOT",
            "/f",
            Source::File {
                path: "/c".into(),
                line: 1,
            },
        );
        check("MYSQL_HOST", "e", Source::Environment);
        check("DAILY_RETENTION_DAYS", "30", Source::Default);
        assert_eq!(config.get("MYSQL_USER"), None);
    }

    #[test]
    fn what_has_no_default_may_be_set_to_nothing() {
        let config = config(
            "BACKUP_MOUNTPOINT=/mnt",
            Environment::from([("BACKUP_MOUNTPOINT", "")]),
        );
        assert_eq!(config.get("BACKUP_MOUNTPOINT").unwrap().value, "");
    }

    #[test]
    fn no_value_is_in_debug() {
        let config = config(
            "MYSQL_PASSWORD=hunter2",
            Environment::from([("MYSQL_PWD", "hunter2")]),
        );
        let text = format!(
            "{config:?} {:?} {:?}",
            config.get("MYSQL_PASSWORD"),
            config.environment
        );
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        assert!(matches!(
            Config::load(Some(Path::new("/nonexistent")), Environment::default()),
            Err(Error::Read(_))
        ));
    }
}
