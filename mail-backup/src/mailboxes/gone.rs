//! Mailboxes that the last backup has and the mail tree has not any more: a user was deleted, or
//! should not have been, or has another name now.

use std::collections::BTreeSet;

use mail_common::archive::members::Member;
use mail_common::checksum::Sha256;
use mail_common::relpath::RelPath;
use mail_common::set::mailbox::{directory_of, index_in, is_index, is_state, mailbox_of, state_in};

use super::attempt::name_of;
use super::changes::Compared;
use super::history::History;
use super::saved::{Comparing, SavedMailbox};
use super::units::Units;
use crate::previous::{PreviousSet, PreviousSets};

/// The newest set with mailboxes; none when everything is read and nothing compared.
pub(crate) fn last_set(sets: &PreviousSets) -> Option<&PreviousSet> {
    let above = directory_of(&RelPath::root());
    sets.linkable_with_any(&[state_in(&above), index_in(&above)])
}

/// Nothing of them is saved: what is told is what they had.
pub(crate) fn gone_mailboxes(sets: &PreviousSets, units: &Units) -> Vec<SavedMailbox> {
    let Some(last) = last_set(sets) else {
        return Vec::new();
    };
    let there: BTreeSet<&RelPath> = units.found.iter().map(|unit| &unit.directory).collect();
    let described = last.paths().filter(|path| is_state(path) || is_index(path));
    let directories: BTreeSet<RelPath> = described.filter_map(RelPath::parent).collect();
    let gone = directories
        .into_iter()
        .filter(|directory| !there.contains(directory))
        .filter_map(|directory| Some((mailbox_of(&directory)?, directory)))
        .filter(|(mailbox, _)| !is_unread(mailbox, units));
    gone.map(|(mailbox, directory)| SavedMailbox {
        comparison: look_back(sets, &mailbox, &directory),
        ..SavedMailbox::default()
    })
    .collect()
}

/// Whether it may be there, in a directory that cannot be read.
fn is_unread(mailbox: &RelPath, units: &Units) -> bool {
    let mut failed = units.failed.iter();
    failed.any(|(path, _)| mailbox.is_within(path))
}

fn look_back(sets: &PreviousSets, mailbox: &RelPath, directory: &RelPath) -> Comparing {
    match messages(sets, directory) {
        Some(messages) => Comparing::Done(Compared::gone(name_of(mailbox), messages.into_iter())),
        None => Comparing::Impossible,
    }
}

/// The digests of the messages that it had; `None` when they cannot be read.
fn messages(sets: &PreviousSets, directory: &RelPath) -> Option<Vec<Sha256>> {
    let history = History::find(sets, directory).ok()??;
    let mut messages = Vec::new();
    for member in history.view().ok()? {
        if let Member::Here(old) = member.ok()?
            && super::maildir::is_message_entry(&old.entry.live)
        {
            messages.extend(old.entry.sha256);
        }
    }
    Some(messages)
}
