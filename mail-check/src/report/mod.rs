//! `--report FILE`: one page with what was found, thirty days of backups, and the newest scan and
//! copy.
//!
//! It holds everything that it needs: no script, no font, no picture from elsewhere, so that it
//! opens without network.

mod history; // the sets of thirty days
mod markup; // text that is inert in HTML
mod page; // the page
mod plot; // bars
mod streams; // the newest of the records of other tools

use std::io;
use std::path::{Path, PathBuf};

use mail_common::atomic;

use crate::context::Context;
use crate::notify::Occasion;

/// It holds names of users and subjects of infected mail: for the owner, and for the group that a
/// directory may give it (setgid).
const MODE: u32 = 0o640;

/// The page could not be replaced.
#[derive(Debug, thiserror::Error)]
#[error("write the page {}; what is there is of an earlier run", path.display())]
pub(crate) struct PageError {
    path: PathBuf,
    source: io::Error,
}

/// Replaces `path` in one step.
pub(crate) fn write(
    path: &Path,
    occasion: Occasion<'_>,
    context: &Context,
) -> Result<(), PageError> {
    let settings = &context.settings;
    let page = page::Page {
        occasion,
        history: history::read(&context.root, context.now.date()),
        scan: streams::newest_scan(settings.scans.records.as_deref()),
        copy: streams::newest_copy(&settings.s3.records),
    };
    let written = atomic::write_file_for(path, page.render().as_bytes(), MODE);
    written.map(drop).map_err(|source| PageError {
        path: path.to_owned(),
        source,
    })
}
