//! A file that came out as it was in the last set becomes a link to that one: a dump, or an archive
//! of configuration.

use std::io;

use mail_common::beneath;
use mail_common::checksum::Sha256;
use mail_common::set::Staging;

use crate::previous::PreviousSets;
use crate::saved::{Origin, SavedFile};

/// Puts a link in the place of `file` where an earlier set has the same bytes. They are read: what
/// was written now is given up only for what is known to be as good.
///
/// # Errors
/// When the set cannot be written.
pub(crate) fn link_equal(
    file: SavedFile,
    previous: &PreviousSets,
    staging: &Staging<'_>,
) -> io::Result<SavedFile> {
    let Some(set) = previous.linkable_with_any(std::slice::from_ref(&file.path)) else {
        return Ok(file);
    };
    let recorded = set.file(&file.path).map(|artifact| artifact.sha256);
    if recorded != Some(file.sha256) {
        return Ok(file);
    }
    let old = beneath::regular_file(&set.locate(&file.path)).and_then(Sha256::of_reader);
    if old.is_ok_and(|(digest, _)| digest == file.sha256) {
        staging.clear(&file.path)?;
        staging.link_from(&set.directory, &file.path)?;
        return Ok(SavedFile {
            origin: Origin::Reused,
            ..file
        });
    }
    Ok(file)
}
