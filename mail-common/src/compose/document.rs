//! The YAML of a compose file.

use std::path::Path;

use serde_yaml_ng::Value;

use super::error::Error;
use crate::trusted;

/// The YAML of `path`, in which merge keys are merged.
///
/// # Errors
/// [`Error::File`] and [`Error::Content`].
pub fn document(path: &Path) -> Result<Value, Error> {
    let text = trusted::read_to_string(path).map_err(|cause| Error::File {
        path: path.to_owned(),
        cause,
    })?;
    let parsed = serde_yaml_ng::from_str(&text).and_then(|mut document: Value| {
        document.apply_merge()?;
        Ok(document)
    });
    parsed.map_err(|error| Error::Content {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
