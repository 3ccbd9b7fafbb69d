//! `--report FILE`: one page with what was found, thirty days of backups, and the newest scan and copy.
//!
//! It holds everything that it needs: no script, no font, no picture from elsewhere, so that it opens without network.

mod history; // the sets of thirty days
mod markup; // text that is inert in HTML
mod page; // the page
mod plot; // bars
mod streams; // the newest of the records of other tools

use std::io;
use std::path::{Path, PathBuf};

use mail_common::atomic;
use serde::Deserialize;

use crate::context::Context;
use crate::notify::Occasion;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// It holds names of users and subjects of infected mail: for the owner, and for the group that a directory may give it (setgid).
const MODE: u32 = 0o640;

/// `[report]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    scans: PathBuf,
    s3: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self { scans: "/var/log/mailserver/scan.jsonl".into(), s3: "/var/log/mailserver/s3.jsonl".into() }
    }
}

/// The page could not be replaced.
#[derive(Debug, thiserror::Error)]
#[error("write the page {}; what is there is of an earlier run", path.display())]
pub(crate) struct PageError {
    path: PathBuf,
    source: io::Error,
}

/// Replaces `path` in one step.
pub(crate) fn write(path: &Path, occasion: Occasion<'_>, context: &Context) -> Result<(), PageError> {
    let settings = &context.settings.report;
    let page = page::Page {
        occasion,
        history: history::read(&context.root, context.now.date()),
        scan: streams::newest_scan(&settings.scans),
        copy: streams::newest_copy(&settings.s3),
    };
    let written = atomic::write_file_for(path, page.render().as_bytes(), MODE);
    written.map(drop).map_err(|source| PageError { path: path.to_owned(), source })
}
