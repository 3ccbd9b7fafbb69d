//! Which files of a set are looked at together: the index of a mailbox with its segments, every
//! other file alone.

use std::collections::BTreeMap;
use std::path::Path;

use mail_common::archive::compression::Compression;
use mail_common::archive::reader::TarReader;
use mail_common::relpath::RelPath;
use mail_common::set::{Component, Inventory, SetFile, mailbox};

use super::content::{read_file, read_footer, read_members};
use super::mailbox::read_mailbox;
use super::problem::Problem;

/// Files that are looked at together.
pub(super) enum Unit<'a> {
    /// The directory, and its files, the index among them.
    Mailbox(String, Vec<&'a SetFile>),
    File(&'a SetFile),
}

/// The files of a set, in units; the largest work first, so that no thread has it alone at the end.
pub(super) fn units_of(inventory: &Inventory) -> Vec<Unit<'_>> {
    let mut mailboxes: BTreeMap<String, Vec<&SetFile>> = BTreeMap::new();
    let mut units = Vec::new();
    for file in &inventory.files {
        let path = file.path.as_path();
        match path.parent() {
            Some(directory)
                if file.component == Some(Component::Mailboxes) && is_of_mailbox(&file.path) =>
            {
                mailboxes
                    .entry(directory.display().to_string())
                    .or_default()
                    .push(file);
            }
            _ => units.push(Unit::File(file)),
        }
    }
    units.extend(
        mailboxes
            .into_iter()
            .map(|(directory, files)| Unit::Mailbox(directory, files)),
    );
    units.sort_by_key(|unit| std::cmp::Reverse(unit.recorded_bytes()));
    units
}

/// `mailboxes/<domain>/<user>/0001.tar.zst` or its index; the old scripts' `mail/` holds plain
/// files.
fn is_of_mailbox(path: &RelPath) -> bool {
    let in_mailbox = |directory| mailbox::mailbox_of(&directory).is_some();
    path.parent().is_some_and(in_mailbox)
        && (mailbox::is_index(path) || path.name().ends_with(b".tar.zst"))
}

impl Unit<'_> {
    /// Reads all of it, and gives its bytes and what is wrong with it.
    pub(super) fn read(&self, set: &Path) -> (u64, Vec<Problem>) {
        match self {
            Self::Mailbox(directory, files) => {
                let index = files.iter().find(|file| mailbox::is_index(&file.path));
                let segments: Vec<&SetFile> = files
                    .iter()
                    .filter(|file| !mailbox::is_index(&file.path))
                    .copied()
                    .collect();
                read_mailbox(set, directory, index.copied(), &segments)
            }
            Self::File(file) => read_alone(set, file),
        }
    }

    fn recorded_bytes(&self) -> u64 {
        let bytes = |file: &&SetFile| file.recorded.map_or(0, |recorded| recorded.bytes);
        match self {
            Self::Mailbox(_, files) => files.iter().map(bytes).sum(),
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
