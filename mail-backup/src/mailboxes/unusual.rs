//! Files that a mailbox should not have: of another owner, with the right to act as somebody else,
//! or with names outside the mailbox. Who can write a mailbox can put them there (a hard link to a
//! file of somebody else, where the system lets them). They are saved as they are, and named.

use std::collections::HashMap;

use mail_common::archive::index::{Kind, LiveEntry};
use mail_common::relpath::RelPath;

use crate::source::tree::SourceTree;

/// The bits that let a program act as its owner or group.
const SET_ID_BITS: u32 = 0o6000;

/// What was met so far in one mailbox.
#[derive(Debug, Default)]
pub(crate) struct Unusual {
    owners: HashMap<RelPath, u32>,
    foreign: Named,
    set_id: Named,
    /// Files with several names, by inode.
    linked: HashMap<u64, Linked>,
}

/// Files of one kind: how many, and the first.
#[derive(Debug, Default)]
struct Named {
    count: u64,
    first: Option<RelPath>,
}

#[derive(Debug)]
struct Linked {
    path: RelPath,
    /// How many of its names were met.
    met: u64,
}

impl Named {
    fn add(&mut self, path: &RelPath) {
        self.count += 1;
        self.first.get_or_insert_with(|| path.clone());
    }

    /// `what` goes on behind "3 files".
    fn notice(&self, mailbox: &RelPath, what: &str) -> Option<String> {
        let first = self.first.as_ref()?;
        let files = if self.count == 1 { "file" } else { "files" };
        Some(format!(
            "mailbox {mailbox}: {} {files} {what}: {first}{}; saved as found, look at how it came \
             there",
            self.count,
            if self.count == 1 { "" } else { " and others" }
        ))
    }
}

impl Unusual {
    /// Looks at an entry with this number of names. A directory comes before what is in it.
    pub(crate) fn look(&mut self, entry: &LiveEntry, links: u64) {
        let LiveEntry { path, kind, stat } = entry;
        match kind {
            Kind::Symlink => {}
            Kind::Directory => {
                self.owners.insert(path.clone(), stat.uid);
            }
            Kind::File => {
                let owner = path.parent().and_then(|parent| self.owners.get(&parent));
                if owner.is_some_and(|owner| *owner != stat.uid) {
                    self.foreign.add(path);
                }
                if stat.mode & SET_ID_BITS != 0 {
                    self.set_id.add(path);
                }
                if links > 1 {
                    let linked = self.linked.entry(stat.inode).or_insert_with(|| Linked {
                        path: path.clone(),
                        met: 0,
                    });
                    linked.met += 1;
                }
            }
        }
    }

    /// A notice for each kind of file that was met.
    pub(crate) fn notices(&self, tree: &SourceTree, mailbox: &RelPath) -> Vec<String> {
        let outside = self.with_names_outside(tree);
        let notices = [
            self.foreign
                .notice(mailbox, "with another owner than the folder"),
            self.set_id.notice(mailbox, "with the setuid or setgid bit"),
            outside.notice(mailbox, "with further names outside the mailbox"),
        ];
        notices.into_iter().flatten().collect()
    }

    /// A message has a second name while Dovecot delivers it by a link from `tmp`, which is not
    /// listed: so the names are counted again now.
    fn with_names_outside(&self, tree: &SourceTree) -> Named {
        let mut linked: Vec<&Linked> = self.linked.values().collect();
        linked.sort_by(|a, b| a.path.cmp(&b.path));
        let mut outside = Named::default();
        for Linked { path, met } in linked {
            if tree.links(path).is_ok_and(|links| links > *met) {
                outside.add(path);
            }
        }
        outside
    }
}
