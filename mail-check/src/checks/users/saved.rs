//! The mailboxes in the newest complete set.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use mail_common::manifest::Manifest;
use mail_common::relpath::RelPath;
use mail_common::report::chain;
use mail_common::set::{
    BackupRoot, Component, FoundSet, MANIFEST, MailboxDepth, SetKind, SetState, address_of,
    mailbox as set_mailbox,
};

use super::mailboxes;

/// The newest set that holds mail.
#[derive(Debug)]
pub(super) struct SavedSet {
    /// Such as `daily/2026-11-23`.
    pub(super) name: String,
    /// When it was begun; `None` for one of the old scripts.
    pub(super) begun: Option<Timestamp>,
    /// Addresses, in small letters.
    pub(super) mailboxes: BTreeSet<String>,
}

/// The newest complete set below `root` that holds mail, or why there is none.
pub(super) fn newest(root: &Path, depth: MailboxDepth) -> Result<SavedSet, String> {
    let opened = BackupRoot::open(root).map_err(|error| chain(&error))?;
    let mut sets = Vec::new();
    for kind in SetKind::ALL {
        sets.extend(opened.sets(kind).map_err(|error| chain(&error))?);
    }
    let mut whole: Vec<FoundSet> = sets
        .into_iter()
        .filter(|set| mail_in(set).is_some())
        .collect();
    whole.sort_by_key(|set| (set.id.date(), rank(set.id.kind()), set.id.start()));
    match whole.last().and_then(|set| Some((set, mail_in(set)?))) {
        Some((set, mail)) => read(set, mail, depth),
        None => Err(format!(
            "there is no complete set with mailboxes in {}; run mail-backup",
            root.display()
        )),
    }
}

/// Of the sets of a day, which kind is the newest: a daily set is made in the night, hourly ones go
/// on until the next.
fn rank(kind: SetKind) -> u8 {
    match kind {
        SetKind::Weekly => 0,
        SetKind::Daily => 1,
        SetKind::Hourly => 2,
    }
}

/// Where a set holds its mailboxes; `None` for one that is not whole or has none.
fn mail_in(set: &FoundSet) -> Option<&'static str> {
    let directory = match set.state {
        SetState::Complete => Component::Mailboxes.name(),
        SetState::Legacy => set_mailbox::PLAIN,
        SetState::Damaged | SetState::Incomplete => return None,
    };
    set.path.join(directory).is_dir().then_some(directory)
}

fn read(set: &FoundSet, mail: &str, depth: MailboxDepth) -> Result<SavedSet, String> {
    let begun = match set.state {
        SetState::Complete => {
            let manifest =
                Manifest::read(&set.path.join(MANIFEST)).map_err(|error| chain(&error))?;
            manifest.begin.time.parse().ok()
        }
        _ => None,
    };
    let directory = set.path.join(mail);
    let listed = match set.state {
        SetState::Complete => addresses(&set.path, &directory),
        _ => mailboxes::list(&directory, depth).map(|listed| listed.into_keys().collect()),
    };
    let listed =
        listed.map_err(|error| format!("{} cannot be listed: {error}", directory.display()))?;
    Ok(SavedSet {
        name: set.id.to_string(),
        begun,
        mailboxes: listed,
    })
}

/// The mailboxes of a set, at whatever depth they lay when it was made: where the state or the
/// index of one is. Below a mailbox there is none.
fn addresses(set: &Path, mail: &Path) -> io::Result<BTreeSet<String>> {
    let mut addresses = BTreeSet::new();
    let top = RelPath::try_from(mail.strip_prefix(set).unwrap_or(mail).to_owned());
    let mut left = vec![top.map_err(io::Error::other)?];
    while let Some(directory) = left.pop() {
        let path = set.join(directory.as_path());
        let files = [set_mailbox::STATE, set_mailbox::INDEX];
        if !files.iter().any(|file| path.join(file).exists()) {
            left.extend(mailboxes::directories(set, &directory)?);
        } else if let Some(mailbox) = set_mailbox::mailbox_of(&directory)
            && !mailbox.is_root()
        {
            addresses.insert(address_of(&mailbox).to_lowercase());
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_are_found_at_any_depth() {
        let set = tempfile::tempdir().unwrap();
        for file in [
            "_root/state.jsonl.zst",
            "example.com/alice/state.jsonl.zst",
            "example.com/alice/0001.tar.zst",
            "example.com/b/o/b/bob-2026.11.23.02.00.00/state.jsonl.zst",
            "example.net/Carol/index.jsonl.zst",
            "dave/state.jsonl.zst",
        ] {
            let path = set.path().join("mailboxes").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::File::create(path).unwrap();
        }
        let found = addresses(set.path(), &set.path().join("mailboxes")).unwrap();
        let expected = [
            "alice@example.com",
            "bob@example.com",
            "carol@example.net",
            "dave",
        ];
        assert!(found.iter().eq(expected), "{found:?}");
    }
}
