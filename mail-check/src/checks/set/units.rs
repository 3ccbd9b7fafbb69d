//! Which files of a set are looked at together: the index of a mailbox with its segments, every
//! other file alone.

use std::path::Path;

use mail_common::archive::compression::Compression;
use mail_common::archive::reader::TarReader;
use mail_common::set::{
    Component, Inventory, MailboxError, SavedMailbox, SetFile, is_of_mailbox, mailbox,
    saved_mailboxes,
};

use super::content::{read_file, read_footer, read_members};
use super::mailbox::read_mailbox;
use super::problem::Problem;

/// Files that are looked at together.
pub(super) enum Unit<'a> {
    Mailbox(SavedMailbox),
    File(&'a SetFile),
}

/// The files of a set, in units; the largest work first, so that no thread has it alone at the end.
/// Where the files of a mailbox contradict each other, that is told, and each file is a unit.
pub(super) fn units_of(inventory: &Inventory) -> (Vec<Unit<'_>>, Option<MailboxError>) {
    let (mailboxes, contradiction) = match saved_mailboxes(&inventory.files) {
        Ok(mailboxes) => (mailboxes, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let is_alone = |file: &&SetFile| contradiction.is_some() || !is_of_mailbox(&file.path);
    let alone = inventory.files.iter().filter(is_alone).map(Unit::File);
    let mut units: Vec<Unit<'_>> = alone.collect();
    units.extend(mailboxes.into_iter().map(Unit::Mailbox));
    units.sort_by_key(|unit| std::cmp::Reverse(unit.recorded_bytes()));
    (units, contradiction)
}

impl Unit<'_> {
    /// Reads all of it, and gives its bytes and what is wrong with it.
    pub(super) fn read(&self, set: &Path) -> (u64, Vec<Problem>) {
        match self {
            Self::Mailbox(mailbox) => read_mailbox(set, mailbox),
            Self::File(file) => read_alone(set, file),
        }
    }

    fn recorded_bytes(&self) -> u64 {
        let bytes = |file: &SetFile| file.recorded.map_or(0, |recorded| recorded.bytes);
        match self {
            Self::Mailbox(mailbox) => mailbox.files().map(bytes).sum(),
            Self::File(file) => bytes(file),
        }
    }
}

fn read_alone(set: &Path, file: &SetFile) -> (u64, Vec<Problem>) {
    let path = &file.path;
    let name = path.as_bytes();
    let compression = Compression::of_name(name);
    let is = |endings: &[&[u8]]| endings.iter().any(|ending| name.ends_with(ending));
    let (bytes, result) =
        if file.component == Some(Component::Mysql) && is(&[b".sql.zst", b".sql.gz", b".sql"]) {
            read_file(set, file, |input| {
                read_footer(path, compression.reader(input).map_err(unreadable(file))?)
            })
        } else if is(&[b".tar.zst", b".tar.gz", b".tgz", b".tar"])
            && mailbox::plain_path(path).is_none()
        {
            read_file(set, file, |input| {
                let tar = TarReader::new(compression.reader(input).map_err(unreadable(file))?);
                read_members(file, tar)
            })
        } else {
            // What people sent one another may be any half archive: only its digest counts.
            read_file(set, file, |_| Ok(()))
        };
    (bytes, result.err().into_iter().collect())
}

fn unreadable(file: &SetFile) -> impl Fn(std::io::Error) -> Problem + '_ {
    |source| Problem::Unreadable {
        path: file.path.clone(),
        source,
    }
}
