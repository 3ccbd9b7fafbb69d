//! Compares a set in the store with what it says of itself: sizes and digests as the store has
//! them, or, deep, by reading everything. That nobody complained proves nothing.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;

use mail_common::checksum::Sha256;
use mail_common::exit::Exit;
use mail_common::interrupt::Interrupt;
use mail_common::manifest::Manifest;
use mail_common::record::Artifact;
use mail_common::relpath::RelPath;
use mail_common::report::Unit;
use mail_common::set::MANIFEST;
use mail_common::signature::{AllowedSigners, has_own_name};
use mail_common::tool::{Session, Totals};

use crate::parallel::each_until_fatal;
use crate::remote::{Contents, Entry, Error, Pool, RemoteSet, SetName, read_small};
use crate::signature;
use crate::store::ObjectStore;

/// What is verified, and how.
pub(crate) struct Verify<'a> {
    pub(crate) store: &'a dyn ObjectStore,
    pub(crate) session: &'a Session,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) jobs: NonZeroUsize,
    pub(crate) depth: Depth,
    /// Whose sets are accepted; none: any set is.
    pub(crate) signers: Option<&'a AllowedSigners>,
}

/// How a file is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// By what the store says of it.
    Recorded,
    /// By reading it.
    Deep,
}

/// Sizes by path, as the manifest has them.
type Sizes = HashMap<RelPath, u64>;

impl Verify<'_> {
    /// Verifies the set `name`: `Bad` when a file is not what it should be.
    pub(crate) fn verify(&self, name: SetName, totals: &mut Totals) -> Result<Exit, Error> {
        let set = RemoteSet::read(&Pool::new(self.store), name)?;
        if let Some(damage) = set.damage {
            return Err(damage);
        }
        let no_set = || Error::NoSet {
            url: self.store.url(&name.to_string()),
        };
        let contents = set.contents.as_ref().ok_or_else(no_set)?;
        self.check_signature(name, contents)?;
        let sizes = self.sizes(name, contents)?;
        let (unit, total) = match self.depth {
            Depth::Deep => {
                let objects = contents
                    .entries
                    .iter()
                    .filter_map(|entry| set.object(entry));
                (Unit::Bytes, objects.map(|object| object.bytes).sum())
            }
            Depth::Recorded => (Unit::Files, contents.entries.len() as u64),
        };
        let progress = self.session.report.progress("verify", unit, Some(total));
        let is_fatal = |error: &Error| !error.is_damage();
        let results = each_until_fatal(self.jobs, &contents.entries, is_fatal, |entry| {
            self.interrupt.check()?;
            progress.message(&entry.path.to_string_lossy());
            let bytes = self.check(&set, contents, entry, &sizes)?;
            progress.advance(if unit == Unit::Bytes { bytes } else { 1 });
            Ok(bytes)
        });
        let mut exit = Exit::Done;
        for (entry, result) in contents.entries.iter().zip(results) {
            match result {
                None => {}
                Some(Ok(bytes)) => {
                    totals.add("verified", 1);
                    totals.add("verified_bytes", bytes);
                }
                Some(Err(error)) if is_fatal(&error) => return Err(error),
                Some(Err(error)) => {
                    totals.add("failed", 1);
                    self.session.fail(None, Some(&entry.path), &error);
                    exit = Exit::Bad;
                }
            }
        }
        Ok(exit)
    }

    /// Of an encrypted set the signed checksums cannot be read here.
    fn check_signature(&self, name: SetName, contents: &Contents) -> Result<(), Error> {
        let Some(signers) = self.signers else {
            return Ok(());
        };
        let url = self.store.url(&name.to_string());
        if contents.encrypted.is_some() {
            return Err(Error::SignedInside { url });
        }
        let signature = signature::of_stored(self.store, name)?;
        let _signer = signers.verify(&url, &contents.checksums, signature.as_deref())?;
        Ok(())
    }

    /// The sizes in the manifest, which is compared with its digest first. Sets of the old scripts
    /// have none.
    fn sizes(&self, name: SetName, contents: &Contents) -> Result<Sizes, Error> {
        let Some(entry) = contents.entry(MANIFEST) else {
            return Ok(Sizes::new());
        };
        let key = format!("{name}/{MANIFEST}");
        let Some(manifest) = read_small(self.store, &key, Some(entry.stored))? else {
            return Ok(Sizes::new());
        };
        let url = self.store.url(&key);
        let manifest =
            Manifest::read_from(&manifest.content[..], Path::new(&url)).map_err(|source| {
                Error::Manifest {
                    url: url.clone(),
                    source,
                }
            })?;
        if let (Some(_), Some(signed)) = (self.signers, &manifest.begin.set) {
            has_own_name(Path::new(&name.to_string()), signed)?;
        }
        let size =
            |artifact: &Artifact| Some((RelPath::try_from(&artifact.path).ok()?, artifact.bytes));
        Ok(manifest.artifacts.iter().filter_map(size).collect())
    }

    /// Verifies a file and gives its size.
    fn check(
        &self,
        set: &RemoteSet,
        contents: &Contents,
        entry: &Entry,
        sizes: &Sizes,
    ) -> Result<u64, Error> {
        let key = contents.key(set.name, entry);
        let url = || self.store.url(&key);
        let missing = || Error::Missing { url: url() };
        let listed = set.object(entry).ok_or_else(missing)?;
        let expected = sizes.get(&entry.path).copied().unwrap_or(listed.bytes);
        if expected != listed.bytes {
            return Err(Error::Size {
                url: url(),
                expected,
                found: listed.bytes,
            });
        }
        let (found, bytes) = match self.depth {
            Depth::Recorded => self.recorded(&key)?.ok_or_else(missing)?,
            Depth::Deep => self.read(&key, entry.stored)?.ok_or_else(missing)?,
        };
        if found != entry.stored {
            return Err(Error::Digest {
                url: url(),
                expected: entry.stored,
                found,
            });
        }
        Ok(bytes)
    }

    fn recorded(&self, key: &str) -> Result<Option<(Sha256, u64)>, Error> {
        let Some(found) = self.store.look(key)? else {
            return Ok(None);
        };
        let sha256 = found.marks.sha256.ok_or_else(|| Error::NoDigest {
            url: self.store.url(key),
        })?;
        Ok(Some((sha256, found.bytes)))
    }

    /// Reads a file; again when it came otherwise than expected, as it does when it was damaged on
    /// the way.
    fn read(&self, key: &str, expected: Sha256) -> Result<Option<(Sha256, u64)>, Error> {
        match self.read_once(key)? {
            Some((found, _)) if found != expected => self.read_once(key),
            read => Ok(read),
        }
    }

    fn read_once(&self, key: &str) -> Result<Option<(Sha256, u64)>, Error> {
        let Some(download) = self.store.get(key, 0)? else {
            return Ok(None);
        };
        let failed = |source| Error::Read {
            url: self.store.url(key),
            source,
        };
        Ok(Some(Sha256::of_reader(download.reader).map_err(failed)?))
    }
}
