//! A message of a set: what is known of it and where it is.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use mail_common::archive::index::Location;
use mail_common::archive::segment::segment_name;
use mail_common::checksum::Sha256;
use mail_common::relpath::RelPath;
use mail_common::set::address_of;

use super::error::Problem;
use super::unsearched::Unsearched;

/// Owner, group and permission bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, `07777`.
    pub mode: u32,
}

/// Where in a set the content of a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a frame of a segment.
    Frame {
        /// The directory of the segment, in the set.
        directory: Arc<RelPath>,
        /// The segment and the frame in it.
        location: Location,
    },
    /// In a file of its own, as the old scripts saved it.
    File(RelPath),
}

/// A file as a set has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedFile {
    /// Its name on the day of the set, relative to the mail root.
    pub path: RelPath,
    /// Its name in the archive, which may be older.
    pub stored: RelPath,
    /// Bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970: of a message, when it was delivered.
    pub mtime_ns: i64,
    /// Digest of the content.
    pub sha256: Sha256,
    /// Whose it was.
    pub owner: Owner,
    /// Where it is.
    pub place: Place,
}

/// A message that a query means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The directory of its mailbox, relative to the mail root.
    pub mailbox: Arc<RelPath>,
    /// The message itself.
    pub file: SavedFile,
    /// Its Message-ID, where it was looked at; empty when the message has none.
    pub message_id: Option<String>,
    /// Its subject, decoded, with control characters escaped; known once it was inspected.
    pub subject: Option<String>,
}

/// Messages of one set, sorted by path.
#[derive(Debug)]
pub struct Selection {
    pub(super) set: PathBuf,
    /// The messages.
    pub candidates: Vec<Candidate>,
    /// What could not be looked through. A message in it may be one that was asked for: the answer
    /// is not whole.
    pub unread: Vec<Problem>,
    /// What the search for a Message-ID left out.
    pub unsearched: Unsearched,
    pub(super) control: Control,
}

/// What a query means in a set.
#[derive(Debug)]
pub enum Found {
    /// These messages.
    Chosen(Selection),
    /// A Message-ID that more than one message has, or one in several mailboxes: nothing is to be
    /// done.
    Ambiguous(Ambiguous),
}

/// Messages of which one must be chosen, by a mailbox or a path.
#[derive(Debug)]
pub struct Ambiguous {
    /// The Message-IDs that do not say which message is meant.
    pub message_ids: Vec<String>,
    pub(super) selection: Selection,
}

/// What a set says of directories and keywords, for delivery.
#[derive(Clone, Debug, Default)]
pub(super) struct Control {
    /// Owners of directories.
    pub(super) owners: BTreeMap<RelPath, Owner>,
    /// The `dovecot-keywords` of folders, by folder.
    pub(super) keywords: BTreeMap<RelPath, SavedFile>,
    /// The `dovecot-acl` of folders that are meant as a whole: who else may do what there.
    pub(super) acls: BTreeMap<RelPath, SavedFile>,
}

impl Candidate {
    /// What people call its mailbox.
    #[must_use]
    pub fn address(&self) -> String {
        address_of(&self.mailbox)
    }

    /// The folder's directory, relative to the mailbox; the root for the inbox.
    #[must_use]
    pub fn folder_path(&self) -> RelPath {
        let folder = self.folder_directory();
        let below = if self.mailbox.is_root() {
            Some(folder.as_bytes())
        } else {
            let rest = folder.as_bytes().strip_prefix(self.mailbox.as_bytes());
            rest.and_then(|rest| rest.strip_prefix(b"/"))
        };
        below
            .and_then(|path| RelPath::new(path).ok())
            .unwrap_or_else(RelPath::root)
    }

    /// The folder's directory, relative to the mail root.
    pub(super) fn folder_directory(&self) -> RelPath {
        self.file
            .path
            .parent()
            .and_then(|place| place.parent())
            .unwrap_or_else(RelPath::root)
    }

    /// The folder's name as Dovecot has it on disk: `INBOX`, `Archive.2025`.
    #[must_use]
    pub fn folder(&self) -> String {
        folder_name(&self.folder_path())
    }
}

/// The name of the folder at `path` of a mailbox.
pub(super) fn folder_name(path: &RelPath) -> String {
    if path.is_root() {
        return "INBOX".to_owned();
    }
    path.to_string_lossy().trim_start_matches('.').to_owned()
}

impl Control {
    /// Owner and folder's owner of a message that did not belong to who owns the directory it lay
    /// in. A mail user can give a file of others a name in their own mailbox (link(2)): it is in
    /// the set like any message, and must not become theirs.
    pub(super) fn other_owner(&self, candidate: &Candidate) -> Option<(u32, u32)> {
        let above = std::iter::successors(candidate.file.path.parent(), RelPath::parent);
        let folder = above
            .take_while(|directory| directory.is_within(&candidate.mailbox))
            .find_map(|directory| self.owners.get(&directory))?;
        let owner = candidate.file.owner.uid;
        (owner != folder.uid).then_some((owner, folder.uid))
    }
}

impl Selection {
    /// The messages of each mailbox, by its path.
    pub(super) fn by_mailbox(&self) -> BTreeMap<&RelPath, Vec<&Candidate>> {
        let mut mailboxes: BTreeMap<&RelPath, Vec<&Candidate>> = BTreeMap::new();
        for candidate in &self.candidates {
            mailboxes
                .entry(&candidate.mailbox)
                .or_default()
                .push(candidate);
        }
        mailboxes
    }
}

impl Ambiguous {
    /// The messages to choose from.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.selection.candidates
    }

    /// The messages, to be inspected; they cannot be delivered.
    pub fn inspectable(&mut self) -> &mut Selection {
        &mut self.selection
    }
}

impl Place {
    /// The file of the set.
    #[must_use]
    pub fn path(&self) -> RelPath {
        match self {
            Self::Frame {
                directory,
                location,
            } => segment_name(location.segment).below(directory),
            Self::File(path) => path.clone(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame { location, .. } => {
                write!(f, "{} at {}", self.path(), location.frame_offset)
            }
            Self::File(path) => path.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mailbox: &str, path: &str, folder: &str) {
        let file = SavedFile {
            path: path.parse().unwrap(),
            stored: path.parse().unwrap(),
            size: 0,
            mtime_ns: 0,
            sha256: Sha256::of(b""),
            owner: Owner {
                uid: 0,
                gid: 0,
                mode: 0,
            },
            place: Place::File("mail/x".parse().unwrap()),
        };
        let mailbox = Arc::new(RelPath::new(mailbox).unwrap());
        assert_eq!(
            Candidate {
                mailbox,
                file,
                message_id: None,
                subject: None
            }
            .folder(),
            folder
        );
    }

    #[test]
    fn folders_have_their_names() {
        check("example.com/alice", "example.com/alice/cur/1", "INBOX");
        check(
            "example.com/alice",
            "example.com/alice/.Archive.2025/new/1",
            "Archive.2025",
        );
        check(
            "example.com/alice",
            "example.com/alice/Work/Old/cur/1",
            "Work/Old",
        );
        check(".", "cur/1", "INBOX");
        check(".", ".Sent/cur/1", "Sent");
    }
}
