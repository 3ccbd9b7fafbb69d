//! Writes the indexes of segments that are linked from a set of format 1, from its one index:
//! nothing else is read.

use std::collections::BTreeMap;

use mail_common::failure::Failed;
use mail_common::relpath::RelPath;
use mail_common::set::mailbox::segment_index_in;

use super::context::Context;
use super::error::Error;
use super::history::History;
use super::output::{SegmentIndexWriter, create_index, finish_index};
use crate::saved::SavedFile;

/// How many files are open at once. With more segments the old index is read more than once.
const OPEN_FILES: usize = 32;

/// Writes the index of each of the segments `numbers` of the mailbox in `directory`.
pub(crate) fn write_indexes(
    context: &Context<'_>,
    history: &History<'_>,
    directory: &RelPath,
    numbers: &[u32],
) -> Result<Vec<SavedFile>, Error> {
    let mut saved = Vec::new();
    for some in numbers.chunks(OPEN_FILES) {
        let mut writers = BTreeMap::new();
        for number in some {
            let path = segment_index_in(directory, *number);
            let created = create_index(context, &path);
            let writer = created.map_err(Failed::at("create", &context.in_set(&path)))?;
            writers.insert(*number, (path, writer));
        }
        write_lines(context, history, &mut writers)?;
        for (path, writer) in writers.into_values() {
            saved.push(finish_index(context, path, writer)?);
        }
    }
    Ok(saved)
}

fn write_lines(
    context: &Context<'_>,
    history: &History<'_>,
    writers: &mut BTreeMap<u32, (RelPath, SegmentIndexWriter)>,
) -> Result<(), Error> {
    for line in history.all_members()? {
        let line = line?;
        if let Some((path, writer)) = writers.get_mut(&line.location.segment) {
            let written = writer.write(&line);
            written.map_err(Failed::at("write", &context.in_set(path)))?;
        }
    }
    Ok(())
}
