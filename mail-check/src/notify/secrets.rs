//! Passwords and URLs that are as good as passwords: from a file, or from the environment.

use std::path::Path;

use mail_common::config::Environment;
use mail_common::failure::Failed;
use mail_common::secret::Secret;
use mail_common::trusted;

use super::error::ConfigError;

/// The secret that one of the two names; blanks around it are not part of it.
pub(crate) fn secret(
    section: &str,
    what: &'static str,
    file: Option<&Path>,
    variable: Option<&str>,
    environment: &Environment,
) -> Result<Secret, ConfigError> {
    let section = section.to_owned();
    let (text, place) = match (file, variable) {
        (Some(path), None) => match trusted::read_to_string(path) {
            Ok(text) => (text, path.display().to_string()),
            Err(error) => {
                let source = Failed::at("read", path)(error);
                return Err(ConfigError::SecretFile { section, source });
            }
        },
        (None, Some(name)) => {
            let value = environment.get(name).unwrap_or_default();
            (value.to_owned(), name.to_owned())
        }
        _ => return Err(ConfigError::SecretSource { section, what }),
    };
    match text.trim() {
        "" => Err(ConfigError::EmptySecret { section, place }),
        text => Ok(Secret::new(text)),
    }
}
