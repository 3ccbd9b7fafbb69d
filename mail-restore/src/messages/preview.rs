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
use super::present::{Known, Wanted, look_through};
use super::work::Work;

/// Says for each message of `selection` whether it is in the live mailbox already, or to which
/// folder it would be added.
///
/// # Errors
/// When the live mail root cannot be opened. What fails later is in the outcome.
pub fn preview(selection: &Selection, live_root: &Path, work: &Work<'_>) -> Result<Outcome, Error> {
    preview_knowing(selection, live_root, &mut Known::default(), work)
}

/// The same for one of several lots, of whose mailboxes something is known.
pub(crate) fn preview_knowing(
    selection: &Selection,
    live_root: &Path,
    known: &mut Known,
    work: &Work<'_>,
) -> Result<Outcome, Error> {
    let root = Directory::open_root(live_root).map_err(Failed::at("open", live_root))?;
    let mut outcome = Outcome::default();
    for (path, candidates) in selection.by_mailbox() {
        outcome.left += candidates.len();
        if work.is_stopped() {
            continue;
        }
        let looked = Look {
            root: &root,
            path,
            control: &selection.control,
        };
        if let Err(error) = looked.run(&candidates, known, &mut outcome) {
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

/// What is looked up in one mailbox.
struct Look<'a> {
    root: &'a Directory,
    /// Of the mailbox, relative to the mail root.
    path: &'a RelPath,
    control: &'a Control,
}

impl Look<'_> {
    fn run(
        &self,
        candidates: &[&Candidate],
        known: &mut Known,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let path = self.path;
        let mailbox = existing(self.root.descend(path));
        let mailbox = mailbox.map_err(Failed::at("open", path.as_path()))?;
        let files = candidates.iter().map(|candidate| &candidate.file);
        let wanted = Wanted::of(files.map(|file| (file.size, file.sha256)));
        let present = mailbox
            .as_ref()
            .map(|mailbox| look_through(mailbox, &wanted, known))
            .transpose();
        let present = present.map_err(Failed::at("look through", path.as_path()))?;
        let mut folders = BTreeSet::new();
        for candidate in candidates {
            let place = present
                .as_ref()
                .and_then(|present| present.place_of(candidate.file.sha256));
            if let Some(place) = place {
                outcome.note(candidate, place.below(path), Disposition::Present);
            } else if let Some(owners) = self.control.other_owner(candidate) {
                let error = Error::other_owner(&candidate.file.path, owners);
                outcome.fail(candidate, error);
            } else {
                outcome.note(candidate, candidate.folder_directory(), Disposition::Added);
                folders.insert(candidate.folder_path());
            }
        }
        self.name_folders(mailbox.as_ref(), folders, outcome)
    }

    /// Names the folders that would be made.
    fn name_folders(
        &self,
        mailbox: Option<&Directory>,
        folders: BTreeSet<RelPath>,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        for folder in folders.into_iter().filter(|folder| !folder.is_root()) {
            let opened = mailbox
                .map(|mailbox| existing(mailbox.descend(&folder)))
                .transpose();
            let at = folder.below(self.path);
            let opened = opened.map_err(Failed::at("open", at.as_path()))?;
            if opened.flatten().is_none() {
                if self.control.acls.contains_key(&at) {
                    let restored = Warning::acl_restored(self.path, &folder);
                    outcome.warnings.push(restored);
                }
                let (mailbox, folder) = (address_of(self.path), folder_name(&folder));
                outcome
                    .warnings
                    .push(Warning::FolderMade { mailbox, folder });
            }
        }
        Ok(())
    }
}

/// A directory that is not there is not an error here: it would be made.
fn existing(opened: io::Result<Directory>) -> io::Result<Option<Directory>> {
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}
