//! The manifest of an earlier set, when a new one may be built on it.

use std::path::{Path, PathBuf};

use mail_common::beneath;
use mail_common::checksum::{ParseError, Sha256, read_checksums};
use mail_common::failure::{Failed, Failure, FailureKind};
use mail_common::manifest::{self, Manifest};
use mail_common::set::{CHECKSUMS, MANIFEST};
use mail_common::signature::{self, AllowedSigners, has_own_name};

/// Why a set is not built on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Untrusted {
    #[error(transparent)]
    Failed(#[from] Failed),
    #[error("read {}", path.display())]
    Checksums { path: PathBuf, source: ParseError },
    #[error("{MANIFEST} is not what {CHECKSUMS} says")]
    Digest,
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    #[error(transparent)]
    Signature(#[from] signature::Error),
}

impl Failure for Untrusted {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Failed(_) | Self::Checksums { .. } | Self::Digest | Self::Manifest(_) => {
                FailureKind::State
            }
            Self::Signature(error) => error.kind(),
        }
    }
}

/// The manifest of a set, when it is what the set's checksums say. Where only signed sets are
/// accepted, what somebody forged in one is not to be linked into the next and signed there.
pub(crate) fn trusted_manifest(
    set: &Path,
    signers: Option<&AllowedSigners>,
) -> Result<Manifest, Untrusted> {
    let path = set.join(CHECKSUMS);
    let checksums = beneath::read(&path).map_err(Failed::at("read", &path))?;
    if let Some(signers) = signers {
        let _signer = signers.check_beside(set, &checksums)?;
    }
    let recorded = recorded_digest(&path, &checksums)?;
    let path = set.join(MANIFEST);
    let found = beneath::regular_file(&path).and_then(Sha256::of_reader);
    let (found, _) = found.map_err(Failed::at("read", &path))?;
    if recorded != Some(found) {
        return Err(Untrusted::Digest);
    }
    let manifest = Manifest::read(&path)?;
    if signers.is_some() {
        has_own_name(set, manifest.begin.set.as_deref().unwrap_or_default())?;
    }
    Ok(manifest)
}

/// The digest of the manifest, by the checksums in the file `path`.
fn recorded_digest(path: &Path, checksums: &[u8]) -> Result<Option<Sha256>, Untrusted> {
    let mut recorded = None;
    for entry in read_checksums(checksums) {
        let entry = entry.map_err(Failed::at("read", path))?;
        let (digest, file) = entry.map_err(|source| Untrusted::Checksums {
            path: path.to_owned(),
            source,
        })?;
        if file.as_bytes() == MANIFEST.as_bytes() {
            recorded.get_or_insert(digest);
        }
    }
    Ok(recorded)
}
