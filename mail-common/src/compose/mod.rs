//! The files of a Docker Compose project: which there are, and what their variables are.
//!
//! mail-check reads in them what should run, mail-backup what belongs to the server's
//! configuration, mail-restore what uses it.

mod error; // why a file cannot be used
mod env; // the .env file, and ${NAME:-default}
mod files; // which files belong to a project
mod document; // the YAML of a file

pub use document::document;
pub use env::{Filled, Variables};
pub use error::Error;
pub use files::{of_project, usual_files};
pub use serde_yaml_ng::Value;
