//! What the newest earlier set holds of a mailbox: its index and its segments, checked before they
//! are trusted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;

use mail_common::archive::index::{self, IndexReader};
use mail_common::archive::segment::segment_number;
use mail_common::checksum::Sha256;
use mail_common::record::Artifact;
use mail_common::relpath::RelPath;

use crate::previous::{PreviousSet, PreviousSets};

/// Reads a compressed index line by line.
pub(crate) type Index = IndexReader<BufReader<zstd::Decoder<'static, BufReader<File>>>>;

/// A mailbox as an earlier set holds it.
#[derive(Debug)]
pub(crate) struct History<'a> {
    set: &'a PreviousSet,
    index_path: RelPath,
    segments: BTreeMap<u32, OldSegment<'a>>,
    /// Segments that the records name and that are not there as they were.
    lost: Vec<PathBuf>,
}

/// A segment of the earlier set.
#[derive(Debug)]
pub(crate) struct OldSegment<'a> {
    pub(crate) path: RelPath,
    pub(crate) file: PathBuf,
    pub(crate) artifact: &'a Artifact,
}

/// Why an earlier index is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Distrust {
    #[error("read the index of the last backup {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("the index of the last backup {path} is not what its record says: damaged")]
    Changed { path: PathBuf },
    #[error("read the index of the last backup {path}")]
    Parse { path: PathBuf, source: index::Error },
}

/// The name of the index in the directory of a mailbox.
pub(crate) const INDEX_NAME: &[u8] = b"index.jsonl.zst";

impl<'a> History<'a> {
    /// What the newest set with the mailbox at `directory` (in the set) has of it; `None` for a new
    /// mailbox.
    pub(crate) fn find(
        sets: &'a PreviousSets,
        directory: &RelPath,
    ) -> Result<Option<Self>, Distrust> {
        let Ok(index_path) = directory.child(INDEX_NAME) else {
            return Ok(None);
        };
        let Some(set) = sets.newest_with(&index_path) else {
            return Ok(None);
        };
        let mut segments = BTreeMap::new();
        let mut lost = Vec::new();
        for (path, artifact) in set.files_in(directory) {
            let Some(number) = segment_number(path.name()) else {
                continue;
            };
            let file = set.locate(path);
            if set.is_there(artifact, &file) {
                segments.insert(
                    number,
                    OldSegment {
                        path: path.clone(),
                        file,
                        artifact,
                    },
                );
            } else {
                lost.push(file);
            }
        }
        let history = Self {
            set,
            index_path,
            segments,
            lost,
        };
        history.verify_index()?;
        Ok(Some(history))
    }

    fn verify_index(&self) -> Result<(), Distrust> {
        let path = self.set.locate(&self.index_path);
        let digest = File::open(&path).and_then(Sha256::of_reader);
        let (digest, _) = digest.map_err(|source| Distrust::Read {
            path: path.clone(),
            source,
        })?;
        match self.set.file(&self.index_path) {
            Some(artifact) if artifact.sha256 == digest => Ok(()),
            _ => Err(Distrust::Changed { path }),
        }
    }

    /// The record of the index.
    pub(crate) fn index_artifact(&self) -> Option<&Artifact> {
        self.set.file(&self.index_path)
    }

    /// The directory of the earlier set.
    pub(crate) fn set_directory(&self) -> &std::path::Path {
        &self.set.directory
    }

    /// Reads the index from its start.
    pub(crate) fn read_index(&self) -> Result<Index, Distrust> {
        let path = self.set.locate(&self.index_path);
        File::open(&path)
            .and_then(Index::open)
            .map_err(|source| Distrust::Read { path, source })
    }

    /// Names the index in an error of reading it.
    pub(crate) fn index_error(&self, source: index::Error) -> Distrust {
        Distrust::Parse {
            path: self.set.locate(&self.index_path),
            source,
        }
    }

    /// The segments that are there, by number.
    pub(crate) fn segments(&self) -> &BTreeMap<u32, OldSegment<'a>> {
        &self.segments
    }

    /// The segments that are missing, or cut short.
    pub(crate) fn lost(&self) -> &[PathBuf] {
        &self.lost
    }

    /// No longer counts on a segment.
    pub(crate) fn drop_segment(&mut self, number: u32) {
        self.segments.remove(&number);
    }
}

impl OldSegment<'_> {
    /// Whether the bytes are still those that were recorded. Frames are copied out of a verified
    /// segment only: a new checksum must not bless old damage.
    pub(crate) fn verify(&self) -> io::Result<bool> {
        let (digest, _) = Sha256::of_reader(File::open(&self.file)?)?;
        Ok(digest == self.artifact.sha256)
    }
}
