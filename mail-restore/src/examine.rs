//! Reads every archive of a tree to its end, as a restore would, and writes nothing: members,
//! sizes, and each index against its segments.

use std::collections::BTreeMap;

use mail_common::pool;
use mail_common::relpath::RelPath;
use mail_common::set::SetFile;

use crate::build::{Builder, Built};
use crate::jobs::TreeJob;
use crate::unpack::{self, Archive, Error, Sums, Unpacked};

/// Sums of segments, by index and number.
type Indexed = BTreeMap<RelPath, BTreeMap<u32, Sums>>;

/// What the tree of `job` would be built of.
///
/// # Errors
/// At the first archive that could not be unpacked, or is not what its index says.
pub(crate) fn examine(builder: &Builder<'_>, job: &TreeJob) -> Result<Vec<Built>, Error> {
    let mut indexed = Indexed::new();
    for index in &job.indices {
        indexed.insert(
            index.path.clone(),
            unpack::sums_of_index(builder.set, &index.path)?,
        );
    }
    let mut parts = pool::for_each(
        builder.threads,
        &job.archives,
        || (),
        |(), file| {
            let prefix = builder.prefix(job, file)?;
            let archive = Archive {
                set: builder.set,
                file,
                prefix: &prefix,
            };
            let (unpacked, sums) = unpack::examine(archive, builder.interrupt, builder.progress)?;
            check_against_index(job, &indexed, file, &sums)?;
            Ok::<_, Error>(Built {
                component: job.component,
                path: file.path.clone(),
                unpacked,
            })
        },
    )?;
    all_segments_are_there(job, &indexed)?;
    for (file, _) in &job.files {
        let bytes = builder
            .set
            .join(file.path.as_path())
            .metadata()
            .map_or(0, |metadata| metadata.len());
        let unpacked = Unpacked { entries: 1, bytes };
        parts.push(Built {
            component: job.component,
            path: file.path.clone(),
            unpacked,
        });
    }
    for (_, inner) in &job.inner {
        parts.extend(examine(builder, inner)?);
    }
    Ok(parts)
}

/// Whether the file holds what the index says, where it is a segment that has one.
fn check_against_index(
    job: &TreeJob,
    indexed: &Indexed,
    file: &SetFile,
    sums: &Sums,
) -> Result<(), Error> {
    let Some((index, segment)) = job.index_of(file) else {
        return Ok(());
    };
    let of_index = indexed.get(&index.path);
    if of_index.and_then(|of_index| of_index.get(&segment)) == Some(sums) {
        return Ok(());
    }
    Err(Error::Index {
        archive: file.path.clone(),
        index: index.path.clone(),
    })
}

/// An index may name no segment that the set does not have.
fn all_segments_are_there(job: &TreeJob, indexed: &Indexed) -> Result<(), Error> {
    for (index, segments) in indexed {
        for number in segments.keys() {
            let of_segment =
                |index_path: &RelPath, found: u32| index_path == index && found == *number;
            let is_there = job
                .archives
                .iter()
                .filter_map(|file| job.index_of(file))
                .any(|(of, found)| of_segment(&of.path, found));
            if !is_there {
                let name = mail_common::archive::segment::segment_name(*number);
                let archive = name.below(&index.parent().unwrap_or_else(RelPath::root));
                return Err(Error::Index {
                    archive,
                    index: index.clone(),
                });
            }
        }
    }
    Ok(())
}
