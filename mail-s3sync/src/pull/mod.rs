//! Brings a set back: each file verified before it has its name, the checksums last.

mod fetch; // one file
mod wanted; // which files

pub(crate) use wanted::{Mailbox, Wanted};

use std::path::{Path, PathBuf};

use mail_common::atomic;
use mail_common::checksum::Sha256;
use mail_common::exit::Exit;
use mail_common::interrupt::{Interrupt, Interrupted};
use mail_common::record::{Record, Transfer, TransferAction};
use mail_common::relpath::PathField;
use mail_common::set::{CHECKSUMS, MANIFEST};
use mail_common::tool::Session;

use crate::encryption::{self, Identities};
use crate::location::Location;
use crate::parallel::each_in_parallel;
use crate::push::Totals;
use crate::remote::{self, Contents, Entry, SetName, plain_path};
use crate::store::{ObjectStore, StoreError};

/// Where to pull from, and how.
pub(crate) struct Pull<'a> {
    pub(crate) store: &'a dyn ObjectStore,
    pub(crate) location: &'a Location,
    pub(crate) session: &'a Session,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) jobs: usize,
    pub(crate) identities: Option<&'a Identities>,
}

/// A set, or a file of it, did not come back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Remote(#[from] remote::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{url} is no set, or one that is not complete; see `mail-s3sync list`")]
    NoSet { url: String },
    #[error("{url} is encrypted to {recipients}; give the file of the private key by --identity")]
    NoIdentity { url: String, recipients: String },
    #[error("{url} holds nothing of {what}")]
    NothingWanted { url: String, what: String },
    #[error(transparent)]
    Decrypt(#[from] encryption::Error),
    #[error("{url} is missing; `mail-s3sync verify` tells what else is")]
    Missing { url: String },
    #[error("{url} came damaged {times} times: its sha256 is {found}, and the set says {expected}; use another set")]
    Damaged { url: String, times: u32, expected: Sha256, found: Sha256 },
    #[error("{} is being written by another pull; wait for it", path.display())]
    Busy { path: PathBuf },
    #[error("write {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("read {url}")]
    Read { url: String, source: std::io::Error },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Error {
    fn is_fatal(&self) -> bool {
        match self {
            Self::Store(error) => error.is_fatal(),
            Self::Interrupted(_) => true,
            Self::Write { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            _ => false,
        }
    }

    /// What a run that ended so came to.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::NoSet { .. } | Self::NoIdentity { .. } | Self::NothingWanted { .. } => Exit::Usage,
            Self::Remote(remote::Error::Store(error)) if error.is_configuration() => Exit::Usage,
            Self::Remote(remote::Error::Store(_)) | Self::Store(_) => Exit::Unfinished,
            Self::Remote(_) | Self::Damaged { .. } | Self::Missing { .. } => Exit::Bad,
            Self::Decrypt(_) | Self::Busy { .. } | Self::Write { .. } | Self::Read { .. } | Self::Interrupted(_) => {
                Exit::Unfinished
            }
        }
    }
}

impl Pull<'_> {
    /// Brings what is wanted of the set `name` into the directory `to`. `Partial` when a file did not come.
    pub(crate) fn pull(&self, name: SetName, to: &Path, wanted: &Wanted, totals: &mut Totals) -> Result<Exit, Error> {
        let url = self.location.url_of(&name.to_string());
        let contents = Contents::read(self.store, name)?.ok_or_else(|| Error::NoSet { url: url.clone() })?;
        if let (Some(encrypted), None) = (&contents.encrypted, self.identities) {
            return Err(Error::NoIdentity { url, recipients: encrypted.recipients.clone() });
        }
        let (files, closing) = split(&contents, wanted);
        if files.is_empty() && !wanted.is_everything() {
            return Err(Error::NothingWanted { url, what: wanted.to_string() });
        }
        atomic::create_dir_all(to).map_err(|source| Error::Write { path: to.to_owned(), source })?;
        // Until all is there, the directory is not to look like a set.
        if !self.fetch_all(name, to, &files, totals)? {
            return Ok(Exit::Partial);
        }
        for entry in closing {
            let progress = self.session.report.progress("pull", 0);
            let action = self.fetch(name, to, entry, &progress)?;
            self.tell(name, entry, action, totals);
        }
        if contents.encrypted.is_none() {
            let path = to.join(CHECKSUMS);
            atomic::write_file(&path, &contents.checksums).map_err(|source| Error::Write { path, source })?;
        }
        Ok(Exit::Done)
    }

    fn fetch_all(&self, name: SetName, to: &Path, files: &[&Entry], totals: &mut Totals) -> Result<bool, Error> {
        let progress = self.session.report.progress("pull", 0);
        let results = each_in_parallel(self.jobs, files, |entry| {
            let result =
                self.interrupt.check().map_err(Error::from).and_then(|()| self.fetch(name, to, entry, &progress));
            if let Ok((action, bytes)) = result {
                self.session.emit(&self.record(name, entry, action, bytes));
            }
            result
        });
        let mut all = true;
        for (entry, result) in files.iter().zip(results) {
            match result {
                Ok((action, bytes)) => count(action, bytes, totals),
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => {
                    self.session.fail(None, Some(&plain_path(&entry.path)), &error);
                    all = false;
                }
            }
        }
        Ok(all)
    }

    fn tell(&self, name: SetName, entry: &Entry, (action, bytes): (TransferAction, u64), totals: &mut Totals) {
        self.session.emit(&self.record(name, entry, action, bytes));
        count(action, bytes, totals);
    }

    /// The record of a file that is here now, as it is here.
    fn record(&self, name: SetName, entry: &Entry, action: TransferAction, bytes: u64) -> Record {
        Record::Transfer(Transfer {
            set: name.to_string(),
            path: PathField::from(&plain_path(&entry.path)),
            bytes,
            sha256: entry.plain,
            url: self.location.url_of(&format!("{name}/{}", entry.path)),
            action,
            locked_until: None,
        })
    }
}

/// The files that are wanted, and those that make a set of them, in their order. What stands beside an encrypted set
/// is not part of it.
fn split<'a>(contents: &'a Contents, wanted: &Wanted) -> (Vec<&'a Entry>, Vec<&'a Entry>) {
    let is_beside = |entry: &&Entry| contents.encrypted.is_some() && !entry.is_encrypted();
    let entries = || contents.entries.iter().filter(move |entry| !is_beside(entry));
    let closing =
        |name: &'static str| entries().find(move |entry| plain_path(&entry.path).as_bytes() == name.as_bytes());
    let is_closing =
        |entry: &Entry| [MANIFEST, CHECKSUMS].iter().any(|name| plain_path(&entry.path).as_bytes() == name.as_bytes());
    let files = entries().filter(|entry| !is_closing(entry) && wanted.holds(&plain_path(&entry.path))).collect();
    (files, [MANIFEST, CHECKSUMS].into_iter().filter_map(closing).collect())
}

fn count(action: TransferAction, bytes: u64, totals: &mut Totals) {
    let name = if action == TransferAction::Skipped { "skipped" } else { "downloaded" };
    *totals.entry(name.to_owned()).or_default() += 1;
    *totals.entry(format!("{name}_bytes")).or_default() += bytes;
}
