//! How many mailboxes and messages there are, and whether mailboxes lie as deep as it is said: for
//! the dry run.

use std::io;

use mail_common::archive::index::Kind;
use mail_common::failure::Failed;
use mail_common::maildir::holds_messages;
use mail_common::relpath::RelPath;
use mail_common::suspicion::CANARY_DOMAIN;
use rustix::fs::{Dir, FileType};

use super::component::MailboxesPlan;
use super::error::Error;
use super::fit::{Fit, depth_of};
use super::units::{Reach, Unit, units};
use crate::source::tree::{Look, SourceTree, look_at, vanished};

/// What there is below a mail root.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// Units with a Maildir.
    pub(crate) mailboxes: u64,
    /// Other directories where a mailbox could be.
    pub(crate) others: u64,
    /// In `cur` and `new` of all mailboxes.
    pub(crate) messages: u64,
    /// The same above the mailboxes.
    pub(crate) messages_above: u64,
    /// Where mailboxes lie in truth.
    pub(crate) fit: Option<Fit>,
    /// Directories that cannot be read.
    pub(crate) failed: Vec<(RelPath, io::Error)>,
}

/// Counts what a backup of the mailboxes would find.
///
/// # Errors
/// When the mail root cannot be read.
pub(crate) fn count(plan: &MailboxesPlan) -> Result<Census, Error> {
    let tree = SourceTree::open(&plan.mail_dir)
        .map_err(Failed::at("read the mail root", &plan.mail_dir))
        .map_err(Error::MailRoot)?;
    let units = units(&tree, plan.depth);
    let mut census = Census {
        fit: Fit::of_too_deep(&units.found),
        failed: units.failed,
        ..Census::default()
    };
    for unit in units.found.iter().filter(|unit| !is_canary(unit)) {
        census.add(&tree, unit);
    }
    Ok(census)
}

/// Nobody's mail.
fn is_canary(unit: &Unit) -> bool {
    let first = unit.path.components().next();
    first == Some(CANARY_DOMAIN.as_bytes())
}

/// What one unit holds.
#[derive(Default)]
struct Found {
    messages: u64,
    /// Maildirs that lie in no other.
    maildirs: Vec<RelPath>,
}

impl Census {
    fn add(&mut self, tree: &SourceTree, unit: &Unit) {
        let mut found = Found::default();
        self.walk(tree, unit, &unit.path, &mut found);
        if unit.reach != Reach::Whole {
            self.messages_above = found.messages;
            return;
        }
        self.messages += found.messages;
        if found.maildirs.is_empty() {
            self.others += 1;
        } else {
            self.mailboxes += 1;
        }
        if self.fit.is_none() && !unit.path.is_root() && found.maildirs.len() > 1 {
            self.fit = Some(Fit::of_too_shallow(
                &unit.path,
                depth_of(&found.maildirs[0]),
            ));
        }
    }

    /// Everything at and below `directory` that belongs to `unit`.
    fn walk(&mut self, tree: &SourceTree, unit: &Unit, directory: &RelPath, found: &mut Found) {
        let children = match children(tree, directory) {
            Ok(children) => children,
            // Removed since its parent was read.
            Err(error) if vanished(&error) => return,
            Err(error) => return self.failed.push((directory.clone(), error)),
        };
        let is_maildir = ["cur", "new"].iter().all(|name| {
            let mut directories = children.directories.iter();
            directories.any(|child| child.name() == name.as_bytes())
        });
        let is_inner = found
            .maildirs
            .iter()
            .any(|outer| directory.is_within(outer));
        if is_maildir && !is_inner {
            found.maildirs.push(directory.clone());
        }
        if holds_messages(directory.name()) {
            found.messages += children.files;
        }
        for child in &children.directories {
            if !unit.reach.ends_at(child) {
                self.walk(tree, unit, child, found);
            }
        }
    }
}

/// What a directory holds.
#[derive(Default)]
struct Children {
    directories: Vec<RelPath>,
    files: u64,
}

fn children(tree: &SourceTree, path: &RelPath) -> io::Result<Children> {
    let directory = tree.open_directory(path)?;
    let mut children = Children::default();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Directory => true,
            // The file system does not say.
            FileType::Unknown => matches!(
                look_at(&directory, name),
                Ok(Look::Savable(Kind::Directory, _))
            ),
            _ => false,
        };
        if is_directory {
            let child = path.child(name).map_err(io::Error::other)?;
            children.directories.push(child);
        } else {
            children.files += 1;
        }
    }
    children.directories.sort();
    Ok(children)
}
