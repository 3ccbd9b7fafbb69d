//! Reads every archive of a tree to its end, as a restore would, and writes nothing: members,
//! sizes, and each index against its segments.

use std::collections::BTreeMap;

use mail_common::archive::segment::segment_name;
use mail_common::pool;
use mail_common::relpath::RelPath;
use mail_common::set::SetFile;

use crate::build::{Builder, Built};
use crate::jobs::TreeJob;
use crate::unpack::{self, Archive, Error, Sums, Unpacked};

/// What is said of the archives of each mailbox, by their numbers: their sums, and what says it.
type Listed = Vec<BTreeMap<u32, (Sums, RelPath)>>;

/// What the tree of `job` would be built of.
///
/// # Errors
/// At the first archive that could not be unpacked, or is not what is said of it.
pub(crate) fn examine(builder: &Builder<'_>, job: &TreeJob) -> Result<Vec<Built>, Error> {
    let mailboxes = builder.mailboxes(job)?;
    let mut listed = Listed::new();
    for number in 0..job.mailboxes.len() {
        let (mailbox, state) = mailboxes.get(number);
        listed.push(unpack::sums_of(builder.set, mailbox, state)?);
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
                segment: job.mailbox_of(file).and_then(|at| mailboxes.segment(at)),
                left_out: builder.left_out.of(&file.path),
            };
            let (unpacked, sums) = unpack::examine(archive, builder.interrupt, builder.progress)?;
            check_against_index(job, &listed, file, &sums)?;
            Ok::<_, Error>(Built {
                component: job.component,
                path: file.path.clone(),
                unpacked,
            })
        },
    )?;
    all_segments_are_there(job, &listed)?;
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

/// Whether the file holds what is said of it, where it is an archive of a mailbox.
fn check_against_index(
    job: &TreeJob,
    listed: &Listed,
    file: &SetFile,
    sums: &Sums,
) -> Result<(), Error> {
    let Some((mailbox, number)) = job.mailbox_of(file) else {
        return Ok(());
    };
    let Some(listing) = job.mailboxes[mailbox].listing.files().next() else {
        return Ok(());
    };
    let index = match listed[mailbox].get(&number) {
        Some((said, _)) if said == sums => return Ok(()),
        Some((_, index)) => index,
        None => &listing.path,
    };
    Err(Error::Index {
        archive: file.path.clone(),
        index: index.clone(),
    })
}

/// An index may name no segment that the set does not have.
fn all_segments_are_there(job: &TreeJob, listed: &Listed) -> Result<(), Error> {
    for (mailbox, said) in job.mailboxes.iter().zip(listed) {
        let is_missing = |number: &&u32| mailbox.archives.get(**number).is_none();
        let missing = said.keys().find(is_missing);
        if let Some((number, (_, index))) = missing.and_then(|number| said.get_key_value(number)) {
            return Err(Error::Index {
                archive: segment_name(*number).below(&mailbox.directory),
                index: index.clone(),
            });
        }
    }
    Ok(())
}
