//! A mailbox of a set by its files: its archives, and what says which of their members are the
//! mailbox.
//!
//! Format 1 has an index beside the archives. Format 2 has an index for each segment, and the state
//! of the day; `0000` says the same to stock tar. What contradicts itself is refused as a whole.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use super::verify::{self, Damage};
use super::{Numbered, SetFile, mailbox};
use crate::archive::compression::Compression;
use crate::archive::dumpdir::{self, Dumpdirs, Scope};
use crate::archive::index;
use crate::archive::members::{self, Member};
use crate::archive::reader::TarReader;
use crate::archive::segment::{segment_name, segment_number};
use crate::archive::state::{CONTROL, State};
use crate::archive::view::View;
use crate::failure::{Failure, FailureKind};
use crate::relpath::RelPath;

/// What the names of archives end in.
const ARCHIVE: &[u8] = b".tar.zst";

/// The files of a mailbox in a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedMailbox {
    /// The directory in the set that they lie in.
    pub directory: RelPath,
    /// Its archives, by their numbers.
    pub archives: Numbered,
    /// Archives that lie there and have no number: these tools make none.
    pub foreign: Box<[SetFile]>,
    /// What says what is in them.
    pub listing: Listing,
    scope: Scope,
}

/// What says what is in the archives of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Nothing: it is lost.
    Lost,
    /// Format 1.
    Index(SetFile),
    /// Format 2.
    State {
        /// What became of the members.
        state: SetFile,
        /// The index of each segment, by its number.
        indexes: Numbered,
    },
}

/// Why a mailbox of a set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    /// It has the index of format 1 and the state of format 2.
    #[error("{directory} has an index and a state: one of them is not of this set")]
    BothFormats {
        /// Where.
        directory: RelPath,
    },
    /// A segment has an index, and the mailbox has no state.
    #[error("{index} is there and {} is not", mailbox::STATE)]
    NoState {
        /// The index.
        index: RelPath,
    },
    /// An archive or an index is missing, or the state does not speak of it.
    #[error("the state of {directory} does not fit its files: {file} {problem}")]
    Segments {
        /// Where.
        directory: RelPath,
        /// The file.
        file: RelPath,
        /// What is the matter with it.
        problem: &'static str,
    },
    /// A file cannot be opened.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// An archive cannot be decompressed.
    #[error("decompress {path}")]
    Decompress {
        /// The archive.
        path: RelPath,
        /// The cause.
        source: io::Error,
    },
    /// The state cannot be used.
    #[error("read {path}")]
    State {
        /// The state.
        path: RelPath,
        /// The cause.
        source: index::Error,
    },
    /// State and indexes do not fit.
    #[error("read the mailbox in {directory}")]
    View {
        /// Where.
        directory: RelPath,
        /// The cause.
        source: members::Error,
    },
    /// `0000` does not say what the state says.
    #[error("stock tar would not come to the mailbox in {directory}")]
    Dumpdirs {
        /// Where.
        directory: RelPath,
        /// The cause.
        source: dumpdir::Error,
    },
}

impl Failure for MailboxError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::BothFormats { .. } | Self::NoState { .. } | Self::Segments { .. } => {
                FailureKind::Damaged
            }
            Self::Decompress { source, .. } => FailureKind::of_stored(source),
            Self::Damage(damage) => damage.kind(),
            Self::State { source, .. } => source.kind(),
            Self::View { source, .. } => source.kind(),
            Self::Dumpdirs { source, .. } => source.kind(),
        }
    }
}

/// The mailboxes among `files` of a set, sorted by their directories.
///
/// # Errors
/// When the files of a mailbox are those of both formats, or of neither.
pub fn saved_mailboxes<'a>(
    files: impl IntoIterator<Item = &'a SetFile>,
) -> Result<Vec<SavedMailbox>, MailboxError> {
    let files = files.into_iter().filter(|file| is_of_mailbox(&file.path));
    let with_directory = files.filter_map(|file| Some((file.path.parent()?, file)));
    let mut files: Vec<(RelPath, &SetFile)> = with_directory.collect();
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    let has_neighbours =
        files.first().map(|(first, _)| first) != files.last().map(|(last, _)| last);
    files
        .chunk_by(|(a, _), (b, _)| a == b)
        .filter_map(|files| {
            let directory = files.first()?.0.clone();
            let path = mailbox::mailbox_of(&directory)?;
            let scope = match (path.is_root(), has_neighbours) {
                (false, _) => Scope::Mailbox,
                (true, true) => Scope::Above,
                (true, false) => Scope::Alone,
            };
            Some(SavedMailbox::new(directory, scope, files))
        })
        .collect()
}

/// Whether `file` of a set is an archive of a mailbox, or says what is in one.
#[must_use]
pub fn is_of_mailbox(file: &RelPath) -> bool {
    let directory = file.parent();
    directory.is_some_and(|directory| mailbox::mailbox_of(&directory).is_some())
        && (file.name().ends_with(ARCHIVE)
            || mailbox::is_index(file)
            || mailbox::is_state(file)
            || mailbox::indexed_segment(file).is_some())
}

/// The files of a mailbox, by what they are.
#[derive(Default)]
struct Files {
    archives: Vec<(u32, SetFile)>,
    foreign: Vec<SetFile>,
    indexes: Vec<(u32, SetFile)>,
    index: Option<SetFile>,
    state: Option<SetFile>,
}

impl Files {
    fn add(&mut self, file: &SetFile) {
        let path = &file.path;
        if let Some(number) = segment_number(path.name()) {
            self.archives.push((number, file.clone()));
        } else if path.name().ends_with(ARCHIVE) {
            self.foreign.push(file.clone());
        } else if let Some(number) = mailbox::indexed_segment(path) {
            self.indexes.push((number, file.clone()));
        } else if mailbox::is_state(path) {
            self.state = Some(file.clone());
        } else {
            self.index = Some(file.clone());
        }
    }

    fn listing(
        index: Option<SetFile>,
        state: Option<SetFile>,
        indexes: Vec<(u32, SetFile)>,
        directory: &RelPath,
    ) -> Result<Listing, MailboxError> {
        match (index, state, indexes.first()) {
            (None, Some(state), _) => Ok(Listing::State {
                state,
                indexes: indexes.into_iter().collect(),
            }),
            (Some(index), None, None) => Ok(Listing::Index(index)),
            (None, None, None) => Ok(Listing::Lost),
            (None, None, Some((_, index))) => Err(MailboxError::NoState {
                index: index.path.clone(),
            }),
            (Some(_), _, _) => Err(MailboxError::BothFormats {
                directory: directory.clone(),
            }),
        }
    }
}

impl SavedMailbox {
    fn new(
        directory: RelPath,
        scope: Scope,
        files: &[(RelPath, &SetFile)],
    ) -> Result<Self, MailboxError> {
        let mut found = Files::default();
        files.iter().for_each(|(_, file)| found.add(file));
        Ok(Self {
            listing: Files::listing(found.index, found.state, found.indexes, &directory)?,
            archives: found.archives.into_iter().collect(),
            foreign: found.foreign.into(),
            directory,
            scope,
        })
    }

    /// The mailbox, relative to the mail root; the root for what lies above the mailboxes.
    #[must_use]
    pub fn path(&self) -> RelPath {
        mailbox::mailbox_of(&self.directory).unwrap_or_else(RelPath::root)
    }

    /// Every file of the mailbox.
    pub fn files(&self) -> impl Iterator<Item = &SetFile> {
        let archives = self.archives.files().chain(&self.foreign);
        archives.chain(self.listing.files())
    }

    /// The state of a mailbox of format 2.
    #[must_use]
    pub fn state(&self) -> Option<&SetFile> {
        match &self.listing {
            Listing::State { state, .. } => Some(state),
            Listing::Index(_) | Listing::Lost => None,
        }
    }

    /// Reads what says what is in the archives of the mailbox in `set`, and lets `visit` see every
    /// member. In format 2 all of it must fit, `0000` too: then the state is the answer.
    ///
    /// # Errors
    /// At the first thing that does not fit.
    pub fn examine(
        &self,
        set: &Path,
        mut visit: impl FnMut(Member),
    ) -> Result<Option<State>, MailboxError> {
        let mut comparison = None;
        let state = match self.read_state(set)? {
            None => None,
            Some(state) => {
                let dumpdirs = self.read_dumpdirs(set)?;
                let begun = dumpdirs.compare(&state);
                comparison = Some(begun.map_err(|source| self.dumpdirs_error(source))?);
                Some(state)
            }
        };
        for member in self.view(set, state.as_ref())? {
            let member = member.map_err(|source| self.unreadable(source))?;
            if let Some(comparison) = &mut comparison {
                let added = comparison.add(&member);
                added.map_err(|source| self.dumpdirs_error(source))?;
            }
            visit(member);
        }
        if let Some(comparison) = comparison {
            let finished = comparison.finish();
            finished.map_err(|source| self.dumpdirs_error(source))?;
        }
        Ok(state)
    }

    /// The state of a mailbox of format 2, which speaks of the files that are there.
    ///
    /// # Errors
    /// When it cannot be read, or does not.
    pub fn read_state(&self, set: &Path) -> Result<Option<State>, MailboxError> {
        let Listing::State { state, .. } = &self.listing else {
            return Ok(None);
        };
        let read = State::read(verify::open(set, &state.path)?);
        let read = read.map_err(|source| MailboxError::State {
            path: state.path.clone(),
            source,
        })?;
        self.check_segments(&read.segments)?;
        Ok(Some(read))
    }

    /// Whether the files are those of `segments`, of which a state speaks.
    ///
    /// # Errors
    /// When one is missing, or is there and should not be.
    pub fn check_segments(&self, segments: &[u32]) -> Result<(), MailboxError> {
        let Listing::State { indexes, .. } = &self.listing else {
            return Ok(());
        };
        let numbers = || segments.iter();
        let missing = |number: &&u32| indexes.get(**number).is_none();
        if let Some(number) = numbers().find(missing) {
            let name = mailbox::segment_index_in(&self.directory, *number);
            return Err(self.segments(name, "is missing"));
        }
        let mut wanted = numbers().copied().chain([CONTROL]);
        if let Some(number) = wanted.find(|number| self.archives.get(*number).is_none()) {
            let name = segment_name(number).below(&self.directory);
            return Err(self.segments(name, "is missing"));
        }
        let is_strange = |(number, _): &(u32, &SetFile)| !segments.contains(number);
        let archives = self
            .archives
            .iter()
            .filter(|(number, _)| *number != CONTROL);
        let archives = archives.filter(is_strange);
        let strange = archives.chain(indexes.iter().filter(is_strange));
        let strange = strange.map(|(_, file)| file).chain(&self.foreign).next();
        match strange {
            Some(file) => Err(self.segments(file.path.clone(), "is not of it")),
            None => Ok(()),
        }
    }

    /// The members of the mailbox; nothing where no file says what they are.
    ///
    /// # Errors
    /// When an index cannot be opened.
    pub fn view<'s>(
        &self,
        set: &Path,
        state: Option<&'s State>,
    ) -> Result<View<'s, File>, MailboxError> {
        let opened = match (&self.listing, state) {
            (Listing::Index(index), _) => View::of_index(verify::open(set, &index.path)?),
            (Listing::State { indexes, .. }, Some(state)) => View::of_state(state, |segment| {
                let index = indexes.get(segment).ok_or(io::ErrorKind::NotFound)?;
                verify::open(set, &index.path).map_err(io::Error::other)
            }),
            _ => Ok(View::empty()),
        };
        opened.map_err(|source| self.unreadable(source))
    }

    fn read_dumpdirs(&self, set: &Path) -> Result<Dumpdirs, MailboxError> {
        let path = segment_name(CONTROL).below(&self.directory);
        let decompressed = Compression::Zstd.reader(verify::open(set, &path)?);
        let decompressed =
            decompressed.map_err(|source| MailboxError::Decompress { path, source })?;
        let tar = TarReader::new(BufReader::with_capacity(128 * 1024, decompressed));
        let read = Dumpdirs::read(&self.path(), self.scope, tar);
        read.map_err(|source| self.dumpdirs_error(source))
    }

    fn segments(&self, file: RelPath, problem: &'static str) -> MailboxError {
        MailboxError::Segments {
            directory: self.directory.clone(),
            file,
            problem,
        }
    }

    /// For what the view gives.
    #[must_use]
    pub fn unreadable(&self, source: members::Error) -> MailboxError {
        MailboxError::View {
            directory: self.directory.clone(),
            source,
        }
    }

    fn dumpdirs_error(&self, source: dumpdir::Error) -> MailboxError {
        MailboxError::Dumpdirs {
            directory: self.directory.clone(),
            source,
        }
    }
}

impl Listing {
    /// The files that say what is in the archives.
    pub fn files(&self) -> impl Iterator<Item = &SetFile> {
        let (first, indexes) = match self {
            Self::Lost => (None, None),
            Self::Index(index) => (Some(index), None),
            Self::State { state, indexes } => (Some(state), Some(indexes)),
        };
        first
            .into_iter()
            .chain(indexes.into_iter().flat_map(Numbered::files))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a set as a test makes it")]
mod tests {
    use super::*;
    use std::fs;

    use proptest::prelude::*;

    use crate::archive::dumpdir::{Dumpdir, Listed};
    use crate::archive::fixture::{self, STAT};
    use crate::archive::frame::FrameCompressor;
    use crate::archive::index::{IndexEntry, IndexWriter, Kind};
    use crate::archive::member::MemberHead;
    use crate::archive::state::Change;
    use crate::checksum::Sha256;
    use crate::set::FileFacts;

    fn path(text: &str) -> RelPath {
        text.parse().unwrap()
    }

    fn files(paths: &[&str]) -> Vec<SetFile> {
        let file = |text: &&str| {
            SetFile::from(FileFacts {
                path: path(text),
                sha256: Sha256::of(b""),
                component: None,
                recorded: None,
            })
        };
        paths.iter().map(file).collect()
    }

    #[test]
    fn files_are_told_by_their_names() {
        let files = files(&[
            "config/config.tar.zst",
            "mail/a/0001.tar.zst",
            "mailboxes/_root/0000.tar.zst",
            "mailboxes/_root/state.jsonl.zst",
            "mailboxes/a/b/0000.tar.zst",
            "mailboxes/a/b/0012.jsonl.zst",
            "mailboxes/a/b/0012.tar.zst",
            "mailboxes/a/b/notes",
            "mailboxes/a/b/other.tar.zst",
            "mailboxes/a/b/state.jsonl.zst",
            "mailboxes/c/0000.tar.zst",
            "mailboxes/c/index.jsonl.zst",
            "mailboxes/d/0001.tar.zst",
        ]);
        let found = saved_mailboxes(&files).unwrap();
        let [above, two, one, lost] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!((above.scope, two.scope), (Scope::Above, Scope::Mailbox));
        assert_eq!(above.path(), RelPath::root());
        assert_eq!(
            two.archives
                .iter()
                .map(|(number, _)| number)
                .collect::<Vec<_>>(),
            [0, 12]
        );
        assert_eq!((two.foreign.len(), two.files().count()), (1, 5));
        assert!(two.state().is_some() && one.state().is_none());
        assert_eq!(one.files().count(), 2);
        assert_eq!((&lost.listing, lost.files().count()), (&Listing::Lost, 1));
        let alone = saved_mailboxes(&files[2..4]).unwrap();
        assert_eq!(alone[0].scope, Scope::Alone);
    }

    #[test]
    fn files_of_both_formats_or_of_neither_are_refused() {
        let refused = |names: &[&str]| {
            let error = saved_mailboxes(&files(names)).unwrap_err();
            assert_eq!(error.kind(), FailureKind::Damaged, "{names:?}");
        };
        let (index, state) = ("mailboxes/a/index.jsonl.zst", "mailboxes/a/state.jsonl.zst");
        refused(&[index, state]);
        refused(&[index, "mailboxes/a/0001.jsonl.zst"]);
        refused(&["mailboxes/a/0001.jsonl.zst"]);
    }

    fn entry(name: &str, kind: Kind, segment: u32) -> IndexEntry {
        IndexEntry {
            sha256: (kind == Kind::File).then(|| Sha256::of(b"")),
            ..fixture::entry(path(name), kind, segment)
        }
    }

    /// The plain content of state, index and `0000` of a mailbox `m` with a message, one that is
    /// gone, and one that was renamed.
    fn plain() -> [Vec<u8>; 3] {
        let here = Change::Here {
            path: path("m/4"),
            inode: 1,
            ctime_ns: 1,
        };
        let gone = Change::Gone { since_seconds: 1 };
        let state = State {
            segments: vec![1],
            control: vec![entry("m", Kind::Directory, CONTROL)],
            changes: [((1, path("m/2")), gone), ((1, path("m/3")), here)].into(),
        };
        let state = state.write(Vec::new(), 1).unwrap();
        let mut index = IndexWriter::new(Vec::new());
        for name in ["m/1", "m/2", "m/3"] {
            index.write(&entry(name, Kind::File, 1)).unwrap();
        }
        let mut dumpdir = Dumpdir::default();
        dumpdir.list(b"1", Listed::Elsewhere).unwrap();
        dumpdir.list(b"4", Listed::Elsewhere).unwrap();
        let last = dumpdir.to_bytes();
        let first = [&b"Rm/3\0Tm/4\0"[..], &last].concat();
        let mut control = Vec::new();
        for record in [&first, &last] {
            let head = MemberHead {
                path: &path("m"),
                kind: Kind::Directory,
                stat: &STAT,
                link_target: b"",
                xattrs: &[],
                dumpdir: Some(record),
            };
            head.append_to(&mut control);
        }
        control.extend([0; 1024]);
        let state = zstd::decode_all(&state[..]).unwrap();
        [state, index.into_parts().0, control]
    }

    fn examine(plain: &[Vec<u8>; 3]) -> Result<Vec<RelPath>, MailboxError> {
        let set = tempfile::tempdir().unwrap();
        fs::create_dir_all(set.path().join("mailboxes/m")).unwrap();
        let names = ["state.jsonl.zst", "0001.jsonl.zst", "0000.tar.zst"];
        let mut compressor = FrameCompressor::new(1).unwrap();
        for (name, plain) in names.iter().zip(plain) {
            let packed = compressor.compress(plain).unwrap();
            fs::write(set.path().join("mailboxes/m").join(name), packed).unwrap();
        }
        let listed = names.iter().chain(&["0001.tar.zst"]);
        let listed: Vec<String> = listed.map(|name| format!("mailboxes/m/{name}")).collect();
        let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
        let mut present = Vec::new();
        saved_mailboxes(&files(&listed)).unwrap()[0].examine(set.path(), |member| {
            if let Member::Here(stored) = member {
                present.push(stored.entry.live.path);
            }
        })?;
        Ok(present)
    }

    #[test]
    fn a_mailbox_is_what_state_indexes_and_dumpdirs_say() {
        assert_eq!(examine(&plain()).unwrap(), ["m", "m/1", "m/4"].map(path));
    }

    proptest! {
        /// Whoever made the digests anew over it: no name is lost, and none comes from nowhere.
        #[test]
        fn what_is_changed_anywhere_is_found_or_does_not_matter(
            file in 0..3_usize,
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut changed = plain();
            let at = at.index(changed[file].len());
            changed[file][at] = byte;
            if let Ok(present) = examine(&changed) {
                prop_assert_eq!(present, ["m", "m/1", "m/4"].map(path));
            }
        }
    }
}
