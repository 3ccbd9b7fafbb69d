//! Passwords and URLs that are as good as passwords: from a file, or from the environment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mail_common::config::Environment;
use mail_common::secret::Secret;

/// A secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("give either {what}_file or {what}_env in {section} of the file of checks")]
    NotOne { section: String, what: &'static str },
    #[error("read {}, which {section} names", path.display())]
    Read {
        section: String,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{place}, which {section} names, is empty or not set")]
    Empty { section: String, place: String },
}

/// The secret that one of the two names; blanks around it are not part of it.
pub(crate) fn secret(
    section: &str,
    what: &'static str,
    file: Option<&Path>,
    variable: Option<&str>,
    environment: &Environment,
) -> Result<Secret, SecretError> {
    let section = section.to_owned();
    let (text, place) = match (file, variable) {
        (Some(path), None) => {
            let failed = |source| SecretError::Read {
                section: section.clone(),
                path: path.to_owned(),
                source,
            };
            (
                fs::read_to_string(path).map_err(failed)?,
                path.display().to_string(),
            )
        }
        (None, Some(name)) => (
            environment.get(name).unwrap_or_default().to_owned(),
            name.to_owned(),
        ),
        _ => return Err(SecretError::NotOne { section, what }),
    };
    match text.trim() {
        "" => Err(SecretError::Empty { section, place }),
        text => Ok(Secret::new(text)),
    }
}
