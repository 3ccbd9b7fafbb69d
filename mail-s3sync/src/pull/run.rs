//! A pull: the files that are wanted, then those that make a set of them.

use std::collections::BTreeSet;
use std::path::Path;

use mail_common::atomic;
use mail_common::exit::Exit;
use mail_common::failure::Failed;
use mail_common::record::{Record, Transfer, TransferAction};
use mail_common::relpath::PathField;
use mail_common::report::Unit;
use mail_common::set::{CHECKSUMS, MANIFEST};
use mail_common::tool::Totals;

use super::context::Pull;
use super::error::Error;
use super::fetch::{bytes_if_there, clear_unfinished};
use super::wanted::Wanted;
use crate::parallel::each_until_fatal;
use crate::remote::{Contents, Entry, SetName, read_small};
use crate::totals::add_transfer;

impl Pull<'_> {
    /// Brings what is wanted of the set `name` into the directory `to`. `Partial` when a file did
    /// not come.
    pub(crate) fn pull(
        &self,
        name: SetName,
        to: &Path,
        wanted: &Wanted,
        totals: &mut Totals,
    ) -> Result<Exit, Error> {
        let url = || self.store.url(&name.to_string());
        let contents =
            Contents::read(self.store, name)?.ok_or_else(|| Error::NoSet { url: url() })?;
        self.check_identities(name, &contents)?;
        let (files, closing) = split(&contents, wanted);
        if files.is_empty() && !wanted.is_everything() {
            return Err(Error::NothingWanted {
                url: url(),
                what: wanted.to_string(),
            });
        }
        atomic::create_dir_all(to).map_err(Failed::at("write", to))?;
        open_up(to, &contents)?;
        // Until all is there, the directory is not to look like a set.
        if self.fetch_all(name, to, &contents, &files, totals)? == Exit::Partial {
            return Ok(Exit::Partial);
        }
        for entry in closing {
            let progress = self.session.report.progress("pull", Unit::Bytes, None);
            let key = contents.key(name, entry);
            let (action, bytes) = self.fetch(&key, to, entry, &progress)?;
            self.session
                .emit(&self.record(name, entry, &key, (action, bytes)));
            add_transfer(totals, action, bytes);
        }
        if contents.encrypted.is_none() {
            let path = to.join(CHECKSUMS);
            atomic::write_file(&path, &contents.checksums).map_err(Failed::at("write", &path))?;
        }
        clear_all_unfinished(to, &contents)?;
        Ok(Exit::Done)
    }

    /// Whether an encrypted set can be decrypted, found out on the smallest file before the others
    /// are fetched.
    fn check_identities(&self, name: SetName, contents: &Contents) -> Result<(), Error> {
        let Some(encrypted) = &contents.encrypted else {
            return Ok(());
        };
        let Some(identities) = self.identities else {
            let url = self.store.url(&name.to_string());
            return Err(Error::NoIdentity {
                url,
                recipients: encrypted.recipients.clone(),
            });
        };
        let Some(entry) = own_checksums(contents) else {
            return Ok(());
        };
        let sample = read_small(self.store, &contents.key(name, entry), Some(entry.stored))?;
        if let Some(sample) = sample {
            drop(identities.decrypt(&sample.content[..])?);
        }
        Ok(())
    }

    fn fetch_all(
        &self,
        name: SetName,
        to: &Path,
        contents: &Contents,
        files: &[&Entry],
        totals: &mut Totals,
    ) -> Result<Exit, Error> {
        let progress = self.session.report.progress("pull", Unit::Bytes, None);
        let results = each_until_fatal(self.jobs, files, Error::is_fatal, |entry| {
            self.interrupt.check()?;
            let key = contents.key(name, entry);
            let fetched = self.fetch(&key, to, entry, &progress)?;
            self.session.emit(&self.record(name, entry, &key, fetched));
            Ok(fetched)
        });
        let (mut exit, mut fatal) = (Exit::Done, None);
        for (entry, result) in files.iter().zip(results) {
            match result {
                None => {}
                Some(Ok((action, bytes))) => add_transfer(totals, action, bytes),
                Some(Err(error)) if error.is_fatal() => fatal = Some(error),
                Some(Err(error)) => {
                    self.session.fail(None, Some(&entry.plain_path()), &error);
                    exit = Exit::Partial;
                }
            }
        }
        fatal.map_or(Ok(exit), Err)
    }

    /// The record of a file that is here now, as it is here.
    fn record(
        &self,
        name: SetName,
        entry: &Entry,
        key: &str,
        (action, bytes): (TransferAction, u64),
    ) -> Record {
        Record::Transfer(Transfer {
            set: name.to_string(),
            path: PathField::from(&entry.plain_path()),
            bytes,
            sha256: entry.plain,
            url: self.store.url(key),
            action,
            locked_until: None,
        })
    }
}

/// In each directory that a file of the set is in.
fn clear_all_unfinished(to: &Path, contents: &Contents) -> Result<(), Error> {
    let mut directories = BTreeSet::from([to.to_owned()]);
    for entry in &contents.entries {
        let path = to.join(entry.plain_path().as_path());
        directories.extend(path.parent().map(Path::to_owned));
    }
    for directory in directories.iter().filter(|directory| directory.is_dir()) {
        clear_unfinished(directory).map_err(Failed::at("clear", directory))?;
    }
    Ok(())
}

/// The files that are wanted, and those that make a set of them, in their order. What stands beside
/// an encrypted set is not part of it.
fn split<'a>(contents: &'a Contents, wanted: &Wanted) -> (Vec<&'a Entry>, Vec<&'a Entry>) {
    let is_beside = |entry: &&Entry| contents.encrypted.is_some() && !entry.is_encrypted();
    let entries = || {
        contents
            .entries
            .iter()
            .filter(move |entry| !is_beside(entry))
    };
    let is_called = |entry: &Entry, name: &str| entry.plain_path().as_bytes() == name.as_bytes();
    let closing = |name: &'static str| entries().find(move |entry| is_called(entry, name));
    let is_closing = |entry: &Entry| {
        [MANIFEST, CHECKSUMS]
            .iter()
            .any(|name| is_called(entry, name))
    };
    let files = entries()
        .filter(|entry| !is_closing(entry) && wanted.holds(&entry.plain_path()))
        .collect();
    (
        files,
        [MANIFEST, CHECKSUMS]
            .into_iter()
            .filter_map(closing)
            .collect(),
    )
}

/// The checksums of the set itself, where it is encrypted and they are among its files.
fn own_checksums(contents: &Contents) -> Option<&Entry> {
    let is_own = |entry: &&Entry| {
        entry.is_encrypted() && entry.plain_path().as_bytes() == CHECKSUMS.as_bytes()
    };
    contents.entries.iter().find(is_own)
}

/// Takes the checksums of another set away: while this one is put over it, the directory is
/// neither.
fn open_up(to: &Path, contents: &Contents) -> Result<(), Error> {
    let path = to.join(CHECKSUMS);
    let sha256 = own_checksums(contents).map_or(contents.sha256, |entry| entry.plain);
    match bytes_if_there(&path, sha256) {
        Some(_) => Ok(()),
        None => Ok(atomic::remove_tree(&path).map_err(Failed::at("write", &path))?),
    }
}
