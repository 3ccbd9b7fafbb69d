//! The set that is pushed, as it is on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_common::beneath;
use mail_common::checksum::{ChecksumFile, Sha256};
use mail_common::relpath::RelPath;
use mail_common::report::Report;
use mail_common::set::{
    CHECKSUMS, Component, Inventory, InventoryError, MANIFEST, ReadLock, SIGNATURE, SetFile,
};
use mail_common::signature::of_directory;

use super::error::Error;
use crate::remote::SetName;
use crate::store::{Body, LocalError};

/// A set that nobody replaces or removes while this lives.
#[derive(Debug)]
pub(crate) struct LocalSet {
    pub(crate) name: SetName,
    /// What its checksums list: everything but they themselves.
    pub(crate) files: Vec<LocalFile>,
    /// Of these, what was saved: all but the manifest and the log.
    pub(crate) contents: Vec<SetFile>,
    /// Its checksums, as they are.
    pub(crate) checksums: Vec<u8>,
    /// Their signature, where it is signed.
    pub(crate) signature: Option<Vec<u8>>,
    pub(crate) directory: PathBuf,
    _lock: ReadLock,
}

/// A file of the set.
#[derive(Clone, Debug)]
pub(crate) struct LocalFile {
    pub(crate) path: RelPath,
    /// The directory that `path` is in.
    pub(crate) set: Arc<Path>,
    pub(crate) sha256: Sha256,
    pub(crate) bytes: u64,
    pub(crate) component: Option<Component>,
}

impl LocalSet {
    /// Locks and reads the set in `directory`. Nothing of the content of its files is read.
    pub(crate) fn open(directory: &Path, report: &Report) -> Result<Self, Error> {
        let lock = ReadLock::acquire(directory)?;
        let inventory = Inventory::read(directory)?;
        if let Some(example) = inventory.missing.first() {
            let count = inventory.missing.len();
            return Err(Error::Missing {
                set: directory.to_owned(),
                count,
                example: example.clone(),
            });
        }
        for path in &inventory.unlisted {
            report.warning(format!(
                "{path} in {} is in no checksums and is not pushed",
                directory.display()
            ));
        }
        let path = directory.join(CHECKSUMS);
        let checksums = beneath::read(&path).map_err(|source| LocalError::Read {
            path: path.clone(),
            source,
        })?;
        let parsed = ChecksumFile::parse(&checksums)
            .map_err(|source| InventoryError::Checksums { path, source })?;
        let listed: BTreeMap<RelPath, Sha256> = parsed
            .entries()
            .iter()
            .map(|(sha256, path)| (path.clone(), *sha256))
            .collect();
        let set: Arc<Path> = inventory.set.as_path().into();
        let files = listed
            .into_iter()
            .map(|(path, sha256)| file(&inventory, &set, path, sha256))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            name: name(directory, &inventory)?,
            files,
            checksums,
            signature: of_directory(directory).map_err(|source| LocalError::Read {
                path: directory.join(SIGNATURE),
                source,
            })?,
            directory: directory.to_owned(),
            contents: inventory.files,
            _lock: lock,
        })
    }

    /// The file called `name`.
    pub(crate) fn file(&self, name: &str) -> Option<&LocalFile> {
        self.files
            .iter()
            .find(|file| file.path.as_bytes() == name.as_bytes())
    }

    /// The manifest; sets of the old scripts have none.
    pub(crate) fn manifest(&self) -> Option<&LocalFile> {
        self.file(MANIFEST)
    }
}

impl LocalFile {
    /// Where it is.
    pub(crate) fn location(&self) -> PathBuf {
        self.set.join(self.path.as_path())
    }

    /// Opens it, to be put into the store.
    pub(crate) fn open(&self) -> Result<Body, LocalError> {
        Body::open(&self.set, &self.path, self.sha256, self.bytes)
    }
}

fn file(
    inventory: &Inventory,
    set: &Arc<Path>,
    path: RelPath,
    sha256: Sha256,
) -> Result<LocalFile, Error> {
    let location = set.join(path.as_path());
    let metadata = fs::symlink_metadata(&location);
    let bytes = metadata
        .map_err(|source| LocalError::Read {
            path: location.clone(),
            source,
        })?
        .len();
    let listed = inventory.file(&path);
    let recorded = listed.and_then(|file| file.recorded);
    if let Some(recorded) = recorded.filter(|recorded| recorded.bytes != bytes) {
        return Err(Error::File(LocalError::Size {
            path: location,
            expected: recorded.bytes,
            found: bytes,
        }));
    }
    Ok(LocalFile {
        component: listed.and_then(|file| file.component),
        path,
        set: Arc::clone(set),
        sha256,
        bytes,
    })
}

/// By its directory, and where that was renamed by its manifest.
fn name(directory: &Path, inventory: &Inventory) -> Result<SetName, Error> {
    let absolute = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let recorded = inventory
        .begin
        .as_ref()
        .and_then(|begin| begin.set.as_deref()?.parse().ok());
    match (SetName::of_directory(&absolute), recorded) {
        (Ok(name), _) | (Err(_), Some(name)) => Ok(name),
        (Err(source), None) => Err(Error::Name {
            directory: directory.to_owned(),
            source,
        }),
    }
}
