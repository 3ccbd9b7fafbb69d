//! A file that came out as it was in the last set becomes a link to that one: a dump, or an archive
//! of configuration.

use std::io;
use std::path::PathBuf;

use mail_common::beneath;
use mail_common::checksum::Sha256;
use mail_common::set::Staging;

use crate::previous::PreviousSets;
use crate::saved::{Origin, SavedFile};

/// A file of the new set.
pub(crate) struct Linked {
    pub(crate) file: SavedFile,
    /// The earlier file that should be the same by its record, and is not.
    pub(crate) damaged: Option<PathBuf>,
}

/// Puts a link in the place of `file` where an earlier set has the same bytes. They are read: what
/// was written now is given up only for what is known to be as good.
///
/// # Errors
/// When the set cannot be written.
pub(crate) fn link_equal(
    file: SavedFile,
    previous: &PreviousSets,
    staging: &Staging<'_>,
) -> io::Result<Linked> {
    let written = |file| Linked {
        file,
        damaged: None,
    };
    let Some(set) = previous.linkable_with_any(std::slice::from_ref(&file.path)) else {
        return Ok(written(file));
    };
    let recorded = set.file(&file.path).map(|artifact| artifact.sha256);
    if recorded != Some(file.sha256) || previous.is_tied(set, &file.path) {
        return Ok(written(file));
    }
    let place = set.locate(&file.path);
    let old = beneath::regular_file(&place).and_then(Sha256::of_reader);
    if !old.is_ok_and(|(digest, _)| digest == file.sha256) {
        return Ok(Linked {
            file,
            damaged: Some(place),
        });
    }
    staging.clear(&file.path)?;
    staging.link_from(&set.directory, &file.path)?;
    Ok(written(SavedFile {
        origin: Origin::Reused,
        ..file
    }))
}
