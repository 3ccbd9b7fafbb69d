//! `--report FILE`: one page with what was found, thirty days of backups, and the newest scan and
//! copy.
//!
//! It holds everything that it needs: no script, no font, no picture from elsewhere, so that it
//! opens without network.

mod history; // the sets of thirty days
mod markup; // text that is inert in HTML
mod page; // the page
mod plot; // bars
mod changes; // what became of the mail
mod streams; // the newest of the records of other tools

use std::path::{Path, PathBuf};

use mail_common::atomic;
use mail_common::failure::Failed;

use crate::notify::Occasion;

/// It holds names of users and subjects of infected mail: for the owner, and for the group that a
/// directory may give it (setgid).
const MODE: u32 = 0o640;

/// What the page shows besides findings.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// The directory that holds the sets.
    pub(crate) root: PathBuf,
    /// Records of mail-scan.
    pub(crate) scan: Option<PathBuf>,
    /// Records of mail-s3sync.
    pub(crate) copies: Vec<PathBuf>,
}

/// Replaces `path` in one step.
pub(crate) fn write(path: &Path, occasion: Occasion<'_>, sources: &Sources) -> Result<(), Failed> {
    let page = page::Page {
        occasion,
        history: history::read(&sources.root, occasion.now.date()),
        scan: streams::newest_scan(sources.scan.as_deref()),
        copy: streams::newest_copy(&sources.copies),
    };
    let written = atomic::write_file_for(path, page.render().as_bytes(), MODE);
    written
        .map(drop)
        .map_err(Failed::at("write the page", path))
}
