//! Small objects, read whole: checksums and manifests.

use std::io::{ErrorKind, Read};

use mail_common::checksum::Sha256;

use super::error::Error;
use crate::store::{Download, Found, ObjectStore};

/// A larger object is not a list of digests: those of 10 million files are smaller.
const MAX_BYTES: u64 = 1 << 30;
/// How often an object is read that comes with another digest.
const ATTEMPTS: u32 = 3;

/// A small object.
#[derive(Debug)]
pub(crate) struct Small {
    pub(crate) found: Found,
    pub(crate) content: Vec<u8>,
    pub(crate) sha256: Sha256,
}

/// Reads all of an object, which should have the digest `expected`, or else the one that was
/// recorded when it was put. What was damaged on the way is good the next time; what stays wrong is
/// damaged there. `None` when there is no such object.
pub(crate) fn read_small(
    store: &dyn ObjectStore,
    key: &str,
    expected: Option<Sha256>,
) -> Result<Option<Small>, Error> {
    let mut attempt = 0;
    loop {
        let Some(download) = store.get(key, 0)? else {
            return Ok(None);
        };
        let small = Small::read(download).map_err(|source| Error::Read {
            url: store.url(key),
            source,
        })?;
        attempt += 1;
        let expected = expected.or(small.found.marks.sha256);
        match expected.filter(|expected| *expected != small.sha256) {
            None => return Ok(Some(small)),
            Some(expected) if attempt == ATTEMPTS => {
                return Err(Error::Digest {
                    url: store.url(key),
                    expected,
                    found: small.sha256,
                });
            }
            Some(_) => {}
        }
    }
}

impl Small {
    fn read(download: Download) -> std::io::Result<Self> {
        let mut content = Vec::new();
        download.reader.take(MAX_BYTES).read_to_end(&mut content)?;
        if content.len() as u64 != download.found.bytes {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(Self {
            found: download.found,
            sha256: Sha256::of(&content),
            content,
        })
    }
}
