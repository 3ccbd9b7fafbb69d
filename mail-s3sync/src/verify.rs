//! Compares a set in the store with what it says of itself: sizes and digests as the store has them, or, deep, by
//! reading everything. Nothing is taken for good because nobody complained.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use mail_common::checksum::Sha256;
use mail_common::exit::Exit;
use mail_common::interrupt::Interrupt;
use mail_common::manifest::{self, Manifest};
use mail_common::relpath::RelPath;
use mail_common::set::MANIFEST;
use mail_common::tool::Session;

use crate::location::Location;
use crate::parallel::each_in_parallel;
use crate::push::Totals;
use crate::remote::{self, AsText, Entry, RemoteSet, SetName, read_whole};
use crate::store::{ObjectStore, StoreError};

/// What is verified, and how.
pub(crate) struct Verify<'a> {
    pub(crate) store: &'a dyn ObjectStore,
    pub(crate) location: &'a Location,
    pub(crate) session: &'a Session,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) jobs: usize,
    pub(crate) depth: Depth,
}

/// How a file is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// By what the store says of it.
    Recorded,
    /// By reading it.
    Deep,
}

/// A set could not be verified, or a file of it is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Remote(#[from] remote::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{url} is no set, or a push of it has not ended")]
    NoSet { url: String },
    #[error("read {url}")]
    Manifest { url: String, source: manifest::Error },
    #[error("{url} is missing")]
    Missing { url: String },
    #[error("{url} has {found} bytes, and the manifest says {expected}")]
    Size { url: String, expected: u64, found: u64 },
    #[error("{url}: its sha256 is {found}, and the set says {expected}")]
    Digest { url: String, expected: Sha256, found: Sha256 },
    #[error("{url} was put there by another program, which recorded no sha256: not proven; `verify --deep` reads it")]
    NoDigest { url: String },
    #[error("read {url}")]
    Read { url: String, source: std::io::Error },
    #[error(transparent)]
    Interrupted(#[from] mail_common::interrupt::Interrupted),
}

impl Error {
    /// What a run that ended so came to.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Remote(remote::Error::Store(error)) | Self::Store(error) if error.is_configuration() => Exit::Usage,
            Self::Remote(remote::Error::Store(_)) | Self::Store(_) | Self::Read { .. } | Self::Interrupted(_) => {
                Exit::Unfinished
            }
            _ => Exit::Bad,
        }
    }
}

impl Verify<'_> {
    /// Verifies the set `name`: `Bad` when a file is not what it should be.
    pub(crate) fn verify(&self, name: SetName, totals: &mut Totals) -> Result<Exit, Error> {
        let set = RemoteSet::read(self.store, name)?;
        let url = self.location.url_of(&name.to_string());
        let Some(contents) = &set.contents else { return Err(Error::NoSet { url }) };
        let sizes = self.sizes(&set)?;
        let total = set.listed.values().map(|listed| listed.bytes).sum();
        let progress = self.session.report.progress("verify", if self.depth == Depth::Deep { total } else { 0 });
        let results: Vec<Result<u64, Error>> = each_in_parallel(self.jobs, &contents.entries, |entry| {
            self.interrupt.check()?;
            progress.say(&entry.path.to_string_lossy());
            let bytes = self.check(&set, entry, &sizes)?;
            progress.advance(bytes);
            Ok(bytes)
        });
        let mut exit = Exit::Done;
        for (entry, result) in contents.entries.iter().zip(results) {
            match result {
                Ok(bytes) => {
                    *totals.entry("verified".to_owned()).or_default() += 1;
                    *totals.entry("verified_bytes".to_owned()).or_default() += bytes;
                }
                Err(error) if error.exit() != Exit::Bad => return Err(error),
                Err(error) => {
                    *totals.entry("failed".to_owned()).or_default() += 1;
                    self.session.fail(None, Some(&entry.path), &error);
                    exit = Exit::Bad;
                }
            }
        }
        Ok(exit)
    }

    /// The sizes in the manifest, which is compared with its digest first. Sets of the old scripts have none.
    fn sizes(&self, set: &RemoteSet) -> Result<HashMap<RelPath, u64>, Error> {
        let key = format!("{}/{MANIFEST}", set.name);
        let Some(download) = self.store.get(&key, 0)? else { return Ok(HashMap::new()) };
        let manifest = read_whole(&key, download)?;
        let url = self.location.url_of(&key);
        let entries = set.contents.iter().flat_map(|contents| &contents.entries);
        if let Some(entry) = entries.into_iter().find(|entry| entry.path.as_bytes() == MANIFEST.as_bytes()) {
            let found = Sha256::of(&manifest);
            if found != entry.stored {
                return Err(Error::Digest { url, expected: entry.stored, found });
            }
        }
        let manifest = Manifest::read_from(&manifest[..], Path::new(&url))
            .map_err(|source| Error::Manifest { url: url.clone(), source })?;
        let size =
            |artifact: &mail_common::record::Artifact| Some((RelPath::try_from(&artifact.path).ok()?, artifact.bytes));
        Ok(manifest.artifacts.iter().filter_map(size).collect())
    }

    /// Verifies a file and gives its size.
    fn check(&self, set: &RemoteSet, entry: &Entry, sizes: &HashMap<RelPath, u64>) -> Result<u64, Error> {
        let key = format!("{}/{}", set.name, entry.path);
        let url = || self.location.url_of(&key);
        let listed = entry.path.as_text().and_then(|path| set.listed.get(path));
        let listed = listed.ok_or_else(|| Error::Missing { url: url() })?;
        if let Some(expected) = sizes.get(&entry.path).copied().filter(|expected| *expected != listed.bytes) {
            return Err(Error::Size { url: url(), expected, found: listed.bytes });
        }
        let (found, bytes) = match self.depth {
            Depth::Recorded => self.recorded(&key)?,
            Depth::Deep => self.read(&key)?,
        };
        match found == entry.stored {
            true => Ok(bytes),
            false => Err(Error::Digest { url: url(), expected: entry.stored, found }),
        }
    }

    fn recorded(&self, key: &str) -> Result<(Sha256, u64), Error> {
        let url = || self.location.url_of(key);
        let found = self.store.look(key)?.ok_or_else(|| Error::Missing { url: url() })?;
        let sha256 = found.marks.sha256.ok_or_else(|| Error::NoDigest { url: url() })?;
        Ok((sha256, found.bytes))
    }

    fn read(&self, key: &str) -> Result<(Sha256, u64), Error> {
        let url = || self.location.url_of(key);
        let download = self.store.get(key, 0)?.ok_or_else(|| Error::Missing { url: url() })?;
        let reader = Checked { inner: download.reader, interrupt: self.interrupt };
        Sha256::of_reader(reader).map_err(|source| Error::Read { url: url(), source })
    }
}

/// A reader that stops when the run is asked to.
struct Checked<'a> {
    inner: Box<dyn Read + Send>,
    interrupt: &'a Interrupt,
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.interrupt.check().map_err(std::io::Error::other)?;
        self.inner.read(buffer)
    }
}
