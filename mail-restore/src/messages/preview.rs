//! What a delivery would do, looked up and not done: nothing is written, made or locked.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use mail_common::failure::Failed;
use mail_common::relpath::RelPath;
use mail_common::set::address_of;

use super::candidate::{Candidate, Control, Selection, folder_name};
use super::directory::Directory;
use super::error::{Error, Problem};
use super::outcome::{Disposition, Outcome, Warning};
use super::present::look_through;
use super::work::Work;

/// Says for each message of `selection` whether it is in the live mailbox already, or to which
/// folder it would be added.
///
/// # Errors
/// When the live mail root cannot be opened. What fails later is in the outcome.
pub fn preview(selection: &Selection, live_root: &Path, work: &Work<'_>) -> Result<Outcome, Error> {
    let root = Directory::open_root(live_root).map_err(Failed::at("open", live_root))?;
    let mut outcome = Outcome::default();
    for (path, candidates) in selection.by_mailbox() {
        outcome.left += candidates.len();
        if work.is_stopped() {
            continue;
        }
        if let Err(error) = look(&root, path, &candidates, &selection.control, &mut outcome) {
            outcome.failures.push(Problem {
                mailbox: address_of(path),
                path: None,
                error,
            });
        }
    }
    outcome.restored.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(outcome)
}

fn look(
    root: &Directory,
    path: &RelPath,
    candidates: &[&Candidate],
    control: &Control,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let mailbox = existing(root.descend(path)).map_err(Failed::at("open", path.as_path()))?;
    let sizes: BTreeSet<u64> = candidates
        .iter()
        .map(|candidate| candidate.file.size)
        .collect();
    let present = mailbox
        .as_ref()
        .map(|mailbox| look_through(mailbox, &sizes))
        .transpose();
    let present = present.map_err(Failed::at("look through", path.as_path()))?;
    let mut folders = BTreeSet::new();
    for candidate in candidates {
        let place = present
            .as_ref()
            .and_then(|present| present.place_of(candidate.file.sha256));
        if let Some(place) = place {
            outcome.note(candidate, place.below(path), Disposition::Present);
        } else if let Some(owners) = control.other_owner(candidate) {
            let error = Error::other_owner(&candidate.file.path, owners);
            outcome.fail(candidate, error);
        } else {
            outcome.note(candidate, candidate.folder_directory(), Disposition::Added);
            folders.insert(candidate.folder_path());
        }
    }
    for folder in folders.into_iter().filter(|folder| !folder.is_root()) {
        let opened = mailbox
            .as_ref()
            .map(|mailbox| existing(mailbox.descend(&folder)))
            .transpose();
        let at = folder.below(path);
        let opened = opened.map_err(Failed::at("open", at.as_path()))?;
        if opened.flatten().is_none() {
            let (mailbox, folder) = (address_of(path), folder_name(&folder));
            outcome
                .warnings
                .push(Warning::FolderMade { mailbox, folder });
        }
    }
    Ok(())
}

/// A directory that is not there is not an error here: it would be made.
fn existing(opened: io::Result<Directory>) -> io::Result<Option<Directory>> {
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}
