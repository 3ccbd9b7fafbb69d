//! A pull: the files that are wanted, then those that make a set of them.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use mail_common::atomic;
use mail_common::checksum::Sha256;
use mail_common::exit::Exit;
use mail_common::failure::Failed;
use mail_common::manifest::ManifestHead;
use mail_common::record::{Record, Transfer, TransferAction};
use mail_common::relpath::PathField;
use mail_common::report::{self, Unit};
use mail_common::set::{CHECKSUMS, MANIFEST, SIGNATURE};
use mail_common::signature::{self as signatures, has_own_name, must_list};
use mail_common::text::printable;
use mail_common::tool::Totals;

use super::context::Pull;
use super::error::Error;
use super::fetch::{bytes_if_there, clear_unfinished};
use super::wanted::Wanted;
use crate::parallel::each_until_fatal;
use crate::remote::{self, Contents, Entry, SetName, read_small};
use crate::signature;
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
        let signature = self.signature(name)?;
        self.check_signature(name, &contents, signature.as_deref())?;
        let files = wanted_files(&contents, wanted);
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
        if let Some(manifest) = closing(&contents, MANIFEST) {
            self.fetch_closing(name, to, &contents, manifest, totals)?;
            self.check_name(name, to)?;
        }
        put_signature(to, signature.as_deref())?;
        if contents.encrypted.is_none() {
            let path = to.join(CHECKSUMS);
            atomic::write_file(&path, &contents.checksums).map_err(Failed::at("write", &path))?;
        } else if let Some(checksums) = closing(&contents, CHECKSUMS) {
            self.fetch_closing(name, to, &contents, checksums, totals)?;
        }
        clear_all_unfinished(to, &contents)?;
        Ok(Exit::Done)
    }

    /// The signature of the set. Where none is asked for, one that cannot be had stops nothing.
    fn signature(&self, name: SetName) -> Result<Option<Vec<u8>>, Error> {
        match signature::of_stored(self.store, name) {
            Err(error) if self.signers.is_none() => {
                let reason = report::chain(&error);
                let report = &self.session.report;
                report.warning(format!("the signature of {name} is not pulled: {reason}"));
                Ok(None)
            }
            stored => Ok(stored?),
        }
    }

    /// Before anything is fetched: whether the set is signed by one who is accepted. Of an
    /// encrypted set the list that can be read is not signed: it must name the very files of the
    /// one that is.
    fn check_signature(
        &self,
        name: SetName,
        contents: &Contents,
        signature: Option<&[u8]>,
    ) -> Result<(), Error> {
        let Some(signers) = self.signers else {
            return Ok(());
        };
        let url = self.store.url(&name.to_string());
        let signer = if contents.encrypted.is_some() {
            let checksums = self.decrypted_checksums(name, contents)?;
            let signer = signers.verify(&url, &checksums, signature)?;
            let is_own = |entry: &&Entry| entry.is_encrypted() && !is_called(entry, CHECKSUMS);
            let files = contents.entries.iter().filter(is_own);
            let files = files.map(|entry| (entry.plain_path(), entry.plain));
            if let Some(file) = must_list(&url, &checksums, files)?.into_iter().next() {
                return Err(signatures::Error::Differs { set: url, file }.into());
            }
            signer
        } else {
            signers.verify(&url, &contents.checksums, signature)?
        };
        let report = &self.session.report;
        report.info(format!("{name} is signed by {}", printable(&signer)));
        Ok(())
    }

    /// The checksums of an encrypted set itself.
    fn decrypted_checksums(&self, name: SetName, contents: &Contents) -> Result<Vec<u8>, Error> {
        let url = || self.store.url(&format!("{name}/{CHECKSUMS}.age"));
        let missing = || remote::Error::Missing { url: url() };
        let entry = own_checksums(contents).ok_or_else(missing)?;
        let identities = self.identities.ok_or_else(missing)?;
        let key = contents.key(name, entry);
        let stored = read_small(self.store, &key, Some(entry.stored))?.ok_or_else(missing)?;
        let mut checksums = Vec::new();
        identities
            .decrypt(&stored.content[..])?
            .read_to_end(&mut checksums)
            .map_err(|source| remote::Error::Read { url: url(), source })?;
        if Sha256::of(&checksums) != entry.plain {
            let file = entry.plain_path();
            return Err(signatures::Error::Differs { set: url(), file }.into());
        }
        Ok(checksums)
    }

    /// A set that was signed by right and lies in the place of another is not taken for that one.
    fn check_name(&self, name: SetName, to: &Path) -> Result<(), Error> {
        if self.signers.is_none() {
            return Ok(());
        }
        let head = ManifestHead::read(&to.join(MANIFEST));
        let signed = head.ok().and_then(|head| head.begin.set);
        let set = name.to_string();
        let signed = signed.ok_or_else(|| signatures::Error::NoName { set: set.clone() })?;
        Ok(has_own_name(Path::new(&set), &signed)?)
    }

    fn fetch_closing(
        &self,
        name: SetName,
        to: &Path,
        contents: &Contents,
        entry: &Entry,
        totals: &mut Totals,
    ) -> Result<(), Error> {
        let progress = self.session.report.progress("pull", Unit::Bytes, None);
        let key = contents.key(name, entry);
        let (action, bytes) = self.fetch(&key, to, entry, &progress)?;
        self.session
            .emit(&self.record(name, entry, &key, (action, bytes)));
        add_transfer(totals, action, bytes);
        Ok(())
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

/// Puts the signature beside the checksums, or takes that of an earlier pull away.
fn put_signature(to: &Path, signature: Option<&[u8]>) -> Result<(), Error> {
    let path = to.join(SIGNATURE);
    let put = match signature {
        Some(signature) => atomic::write_file(&path, signature).map(drop),
        None => atomic::remove_tree(&path),
    };
    Ok(put.map_err(Failed::at("write", &path))?)
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

/// The files that are wanted, without those that make a set of them.
fn wanted_files<'a>(contents: &'a Contents, wanted: &Wanted) -> Vec<&'a Entry> {
    let is_closing = |entry: &Entry| is_called(entry, MANIFEST) || is_called(entry, CHECKSUMS);
    of_the_set(contents)
        .filter(|entry| !is_closing(entry) && wanted.holds(&entry.plain_path()))
        .collect()
}

/// The manifest or the checksums, where they are files like others.
fn closing<'a>(contents: &'a Contents, name: &str) -> Option<&'a Entry> {
    of_the_set(contents).find(|entry| is_called(entry, name))
}

/// What stands beside an encrypted set is not part of it.
fn of_the_set(contents: &Contents) -> impl Iterator<Item = &Entry> {
    let is_beside = |entry: &Entry| contents.encrypted.is_some() && !entry.is_encrypted();
    contents
        .entries
        .iter()
        .filter(move |entry| !is_beside(entry))
}

fn is_called(entry: &Entry, name: &str) -> bool {
    entry.plain_path().as_bytes() == name.as_bytes()
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
