//! What the newest earlier set holds of a mailbox: its index and its segments, checked before they
//! are trusted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;

use mail_common::archive::index::{self, IndexReader};
use mail_common::archive::segment::segment_number;
use mail_common::beneath;
use mail_common::checksum::Sha256;
use mail_common::record::Artifact;
use mail_common::relpath::RelPath;
use mail_common::set::mailbox::index_in;

use super::error::Error;
use crate::previous::{PreviousSet, PreviousSets};

/// The segment of directories and control files.
pub(crate) const CONTROL: u32 = 0;

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

/// The size of the mailbox in `directory` when it was saved last, in bytes of the source; 0 for a
/// new one.
pub(crate) fn last_source_bytes(sets: &PreviousSets, directory: &RelPath) -> u64 {
    let mut bytes = 0;
    if let Some(set) = sets.newest_with(&index_in(directory)) {
        for (path, artifact) in set.files_in(directory) {
            if segment_number(path.name()).is_some() {
                bytes += artifact.source_bytes;
            }
        }
    }
    bytes
}

impl<'a> History<'a> {
    /// What the newest set with the mailbox in `directory` (of the set) has of it; `None` for a new
    /// mailbox, and when everything is read.
    pub(crate) fn find(sets: &'a PreviousSets, directory: &RelPath) -> Result<Option<Self>, Error> {
        let index_path = index_in(directory);
        let Some(set) = sets.linkable_with(&index_path) else {
            return Ok(None);
        };
        let mut history = Self {
            set,
            index_path,
            segments: BTreeMap::new(),
            lost: Vec::new(),
        };
        for (path, artifact) in set.files_in(directory) {
            if let Some(number) = segment_number(path.name()) {
                history.add_segment(number, path, artifact);
            }
        }
        history.verify_index()?;
        Ok(Some(history))
    }

    fn add_segment(&mut self, number: u32, path: &RelPath, artifact: &'a Artifact) {
        let file = self.set.locate(path);
        if !self.set.is_there(artifact, &file) {
            self.lost.push(file);
            return;
        }
        let segment = OldSegment {
            path: path.clone(),
            file,
            artifact,
        };
        self.segments.insert(number, segment);
    }

    fn verify_index(&self) -> Result<(), Error> {
        let path = self.index_file();
        let digest = beneath::regular_file(&path).and_then(Sha256::of_reader);
        let (digest, _) = digest.map_err(Error::last_backup(&path))?;
        let recorded = self.index_artifact().map(|artifact| artifact.sha256);
        if recorded != Some(digest) {
            let damaged = "it is damaged: its digest is not the one in the manifest";
            return Err(Error::last_backup(&path)(damaged));
        }
        Ok(())
    }

    fn index_file(&self) -> PathBuf {
        self.set.locate(&self.index_path)
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
    pub(crate) fn read_index(&self) -> Result<Index, Error> {
        let path = self.index_file();
        beneath::regular_file(&path)
            .and_then(Index::open)
            .map_err(Error::last_backup(&path))
    }

    /// For `map_err`: a line of the index cannot be read.
    pub(crate) fn index_error(&self, source: index::Error) -> Error {
        Error::last_backup(&self.index_file())(source)
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
        let (digest, _) = Sha256::of_reader(beneath::regular_file(&self.file)?)?;
        Ok(digest == self.artifact.sha256)
    }
}
