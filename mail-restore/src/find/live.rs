//! Which of the found messages are in the live mail now, in whatever folder of their mailbox.
//!
//! A file that is as it was when the newest set was made (inode, size, modification and change
//! time) has the content that the set has on record; what has a size that is wanted and is not
//! known is read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use mail_common::checksum::Sha256;
use mail_common::failure::Failed;
use mail_common::relpath::RelPath;

use super::found::Message;
use super::share::Key;
use crate::messages::{Directory, Error, Identity, Known, Wanted, contents_of, look_through};

/// The live mail.
pub(crate) struct Live {
    root: Directory,
}

impl Live {
    /// Opens the mail root.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        Directory::open_root(root).map(|root| Self { root })
    }

    /// Notes of each of `messages` whether it is in its mailbox. What fails is said for each
    /// mailbox, and leaves its messages unknown.
    pub(crate) fn mark(&self, messages: &mut [Message]) -> Vec<(Arc<RelPath>, Error)> {
        self.mark_each(messages.iter_mut().collect())
    }

    /// The same.
    pub(crate) fn mark_each(&self, messages: Vec<&mut Message>) -> Vec<(Arc<RelPath>, Error)> {
        let mut mailboxes: BTreeMap<Arc<RelPath>, Vec<&mut Message>> = BTreeMap::new();
        for message in messages {
            let mailbox = Arc::clone(&message.mailbox);
            mailboxes.entry(mailbox).or_default().push(message);
        }
        let mut problems = Vec::new();
        for (mailbox, messages) in mailboxes {
            if let Err(error) = self.mark_of(&mailbox, messages) {
                problems.push((mailbox, error));
            }
        }
        problems
    }

    /// The contents of all messages of a mailbox, where those of some files are known.
    pub(crate) fn contents(
        &self,
        mailbox: &RelPath,
        digests: HashMap<Identity, Sha256>,
    ) -> Result<HashSet<Key>, Error> {
        let directory = match self.root.descend(mailbox) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
            opened => opened.map_err(Failed::at("open", mailbox.as_path()))?,
        };
        let mut known = Known::of(digests);
        let contents = contents_of(&directory, &mut known, Key::of_content);
        Ok(contents.map_err(Failed::at("look through", mailbox.as_path()))?)
    }

    fn mark_of(&self, mailbox: &RelPath, messages: Vec<&mut Message>) -> Result<(), Error> {
        let directory = match self.root.descend(mailbox) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                messages
                    .into_iter()
                    .for_each(|message| message.live = Some(false));
                return Ok(());
            }
            opened => opened.map_err(Failed::at("open", mailbox.as_path()))?,
        };
        let files = messages
            .iter()
            .filter_map(|message| message.newest.as_ref());
        let wanted = Wanted::of(files.map(|newest| (newest.file.size, newest.file.sha256)));
        let mut known = Known::of(messages.iter().filter_map(known).collect());
        let present = look_through(&directory, &wanted, &mut known);
        let present = present.map_err(Failed::at("look through", mailbox.as_path()))?;
        for message in messages {
            message.live = Some(present.place_of(message.sha256).is_some());
        }
        Ok(())
    }
}

/// What the file of a message was like when it was saved. A change time of 0 is not known.
fn known(message: &&mut Message) -> Option<(Identity, Sha256)> {
    let newest = message
        .newest
        .as_ref()
        .filter(|newest| newest.ctime_ns != 0)?;
    let file = &newest.file;
    let identity = (newest.inode, file.size, file.mtime_ns, newest.ctime_ns);
    Some((identity, message.sha256))
}
