//! What a set holds: its files with their digests, from its checksums, and what its manifest says
//! of them.
//!
//! Reads sets of these tools, with or without their manifest, and sets of the old scripts: `mail/`
//! as plain files, `mysql/*.sql.gz`, `config/config.tar.gz`. Nothing of the content of the files is
//! read here.

use std::io::{self, BufReader};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Stat};

use super::layout::{CHECKSUMS, MANIFEST, SIGNATURE, is_about_set, is_hidden};
use super::{Component, SetState};
use crate::beneath::{self, Beneath};
use crate::checksum::{self, Sha256};
use crate::failure::{Failed, Failure, FailureKind};
use crate::manifest::{self, MAX_FILES};
use crate::record::{Artifact, Begin};
use crate::relpath::{RelPath, UnsafePath};

/// The checksums also list the manifest and the log.
const ABOUT_THE_SET: usize = 2;

/// The files of a set.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// The directory.
    pub set: PathBuf,
    /// What it is worth.
    pub state: SetState,
    /// How the run began that made it, by its manifest; `None` for the old scripts, and where that
    /// is lost.
    pub begin: Option<Begin>,
    /// What the checksums list and the set is made of, sorted by path; manifest and log are not
    /// among it.
    pub files: Vec<SetFile>,
    /// Files that are there and that the checksums do not list, sorted.
    pub unlisted: Vec<RelPath>,
    /// Files that the checksums list and that are not there, sorted.
    pub missing: Vec<RelPath>,
}

/// A file of a set. A clone is the same file and takes a word: a set may have hundreds of
/// thousands, and each is named in several plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetFile(Arc<FileFacts>);

/// What is known of a file of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// In the set.
    pub path: RelPath,
    /// Its digest, as the checksums (and the manifest) have it.
    pub sha256: Sha256,
    /// To which component its directory belongs; `None` for a foreign file.
    pub component: Option<Component>,
    /// What the manifest says of it, where there is one.
    pub recorded: Option<Recorded>,
}

/// What the manifest says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its size.
    pub bytes: u64,
    /// Members of an archive, lines of an index, tables of a dump.
    pub entries: u64,
    /// The size of what went into it.
    pub source_bytes: u64,
    /// How many entries of the source EXCLUDE named.
    pub excluded: u64,
}

/// Why a directory cannot be used as a set.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The hidden directory of a run that has not committed.
    #[error(
        "{} is still being written, or was left by a run that was killed; use a complete set",
        set.display()
    )]
    BeingWritten {
        /// The directory.
        set: PathBuf,
    },
    /// Nothing says what it should hold.
    #[error("{} has no {CHECKSUMS}: it was not completed, or is not a backup set", set.display())]
    NoChecksums {
        /// The directory.
        set: PathBuf,
    },
    /// A file that describes the set cannot be read.
    #[error(transparent)]
    Failed(#[from] Failed),
    /// The checksums are damaged.
    #[error("read {}", path.display())]
    Checksums {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: checksum::ParseError,
    },
    /// The checksums name a file twice.
    #[error("{} names {file} twice", path.display())]
    ListedTwice {
        /// The checksums.
        path: PathBuf,
        /// The file.
        file: RelPath,
    },
    /// They list more files than a manifest has room for.
    #[error(
        "{} lists more than {MAX_FILES} files, which no set of mail-backup has; use another set",
        path.display()
    )]
    TooMany {
        /// The checksums.
        path: PathBuf,
    },
    /// The manifest is not what the checksums say.
    #[error(
        "{} is not what {CHECKSUMS} says: one of the two is damaged; use another set",
        path.display()
    )]
    ManifestDigest {
        /// The manifest.
        path: PathBuf,
    },
    /// The manifest is damaged, or of a newer version.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// The manifest names a path that leads out of the set.
    #[error("read manifest {}", path.display())]
    Path {
        /// The manifest.
        path: PathBuf,
        /// The cause.
        source: UnsafePath,
    },
    /// The manifest and the checksums disagree on a file.
    #[error("{}: manifest and {CHECKSUMS} do not agree on {file}; use another set", set.display())]
    Disagree {
        /// The set.
        set: PathBuf,
        /// The file.
        file: RelPath,
    },
}

impl From<FileFacts> for SetFile {
    fn from(facts: FileFacts) -> Self {
        Self(Arc::new(facts))
    }
}

impl Deref for SetFile {
    type Target = FileFacts;

    fn deref(&self) -> &FileFacts {
        &self.0
    }
}

impl Failure for InventoryError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Failed(failed) => failed.kind(),
            Self::Manifest(error) => error.kind(),
            Self::BeingWritten { .. } | Self::NoChecksums { .. } => FailureKind::Missing,
            Self::Checksums { .. }
            | Self::ListedTwice { .. }
            | Self::TooMany { .. }
            | Self::ManifestDigest { .. }
            | Self::Path { .. }
            | Self::Disagree { .. } => FailureKind::Damaged,
        }
    }
}

impl Inventory {
    /// Reads what the directory `set` says of itself, and looks at which files are there.
    ///
    /// # Errors
    /// When it is not a set, is still being written, or what it says of itself is damaged or
    /// contradicts itself.
    pub fn read(set: &Path) -> Result<Self, InventoryError> {
        if is_hidden(set) {
            return Err(InventoryError::BeingWritten {
                set: set.to_owned(),
            });
        }
        let mut listed = Listed::read(set)?;
        let begin = listed.add_manifest(set)?;
        let unlisted = listed.find_files(set)?;
        let missing = listed.missing();
        let is_of_the_set = |file: &SetFile| !is_about_set(&file.path);
        let mut files = listed.files;
        files.retain(is_of_the_set);
        Ok(Self {
            set: set.to_owned(),
            state: SetState::of(set),
            begin,
            files,
            unlisted,
            missing,
        })
    }

    /// The files of a component, in order.
    pub fn of_component(&self, component: Component) -> impl Iterator<Item = &SetFile> {
        self.files
            .iter()
            .filter(move |file| file.component == Some(component))
    }

    /// The components that have a file, in the order of [`Component::ALL`].
    #[must_use]
    pub fn components(&self) -> Vec<Component> {
        let is_present = |component: &Component| self.of_component(*component).next().is_some();
        Component::ALL.into_iter().filter(is_present).collect()
    }

    /// The file at `path`.
    #[must_use]
    pub fn file(&self, path: &RelPath) -> Option<&SetFile> {
        self.files
            .binary_search_by(|file| file.path.cmp(path))
            .ok()
            .map(|at| &self.files[at])
    }
}

/// To which component a file of a set belongs, by its directory; the old scripts called the
/// mailboxes `mail`.
fn component_of(path: &RelPath) -> Option<Component> {
    let directory = path.components().next().filter(|_| path.depth() > 1)?;
    std::str::from_utf8(directory).ok()?.parse().ok()
}

/// What the checksums list, sorted by path: a file is kept once, however much is known of it. Sets
/// of the old scripts list each message.
struct Listed {
    files: Vec<SetFile>,
    /// Which of them were found in the set.
    is_there: Vec<bool>,
}

impl Listed {
    fn read(set: &Path) -> Result<Self, InventoryError> {
        let path = set.join(CHECKSUMS);
        let file = match beneath::regular_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(InventoryError::NoChecksums {
                    set: set.to_owned(),
                });
            }
            file => file.map_err(Failed::at("read", &path))?,
        };
        let has_manifest = set.join(MANIFEST).symlink_metadata().is_ok();
        let mut files = Vec::new();
        for entry in checksum::read_checksums(BufReader::new(file)) {
            let entry = entry.map_err(Failed::at("read", &path))?;
            let (sha256, file) = entry.map_err(|source| InventoryError::Checksums {
                path: path.clone(),
                source,
            })?;
            files.push(SetFile::from(FileFacts {
                component: component_of(&file),
                path: file,
                sha256,
                recorded: None,
            }));
            if has_manifest && files.len() > MAX_FILES + ABOUT_THE_SET {
                return Err(InventoryError::TooMany { path });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup();
        if let Some(pair) = files.windows(2).find(|pair| pair[0].path == pair[1].path) {
            let file = pair[0].path.clone();
            return Err(InventoryError::ListedTwice { path, file });
        }
        let is_there = vec![false; files.len()];
        Ok(Self { files, is_there })
    }

    fn position(&self, path: &RelPath) -> Option<usize> {
        let found = self.files.binary_search_by(|file| file.path.cmp(path));
        found.ok()
    }

    /// Takes what the manifest says of each file, where it is there and is what the checksums say.
    /// Manifest and checksums must name the same files with the same digests.
    fn add_manifest(&mut self, set: &Path) -> Result<Option<Begin>, InventoryError> {
        let path = set.join(MANIFEST);
        let file = match beneath::regular_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Failed::at("read", &path))?,
        };
        manifest::must_be_short(&file, &path)?;
        let (digest, _) = Sha256::of_reader(file).map_err(Failed::at("read", &path))?;
        let name = RelPath::new(MANIFEST).ok();
        let listed = name.and_then(|name| self.position(&name));
        if listed.map(|at| self.files[at].sha256) != Some(digest) {
            return Err(InventoryError::ManifestDigest { path });
        }
        let begin = manifest::each_artifact(&path, |artifact| self.add(set, &artifact))?;
        let is_unknown = |file: &&SetFile| file.recorded.is_none() && !is_about_set(&file.path);
        match self.files.iter().find(is_unknown) {
            Some(file) => Err(disagree(set, &file.path)),
            None => Ok(Some(begin)),
        }
    }

    /// What an artifact says of its file, which must be in the checksums with the same digest.
    fn add(&mut self, set: &Path, artifact: &Artifact) -> Result<(), InventoryError> {
        let path = RelPath::try_from(&artifact.path).map_err(|source| InventoryError::Path {
            path: set.join(MANIFEST),
            source,
        })?;
        let listed = self.position(&path).map(|at| &mut self.files[at]);
        let Some(file) = listed.filter(|file| file.sha256 == artifact.sha256) else {
            return Err(disagree(set, &path));
        };
        Arc::make_mut(&mut file.0).recorded = Some(Recorded {
            bytes: artifact.bytes,
            entries: artifact.entries,
            source_bytes: artifact.source_bytes,
            excluded: artifact.excluded,
        });
        Ok(())
    }

    /// Marks what is there, and gives every other file in the set, sorted: all but the checksums
    /// and their signature.
    /// Links and other things that are no files are among them: they are in no list, and are never
    /// followed.
    fn find_files(&mut self, set: &Path) -> Result<Vec<RelPath>, InventoryError> {
        let mut unlisted = Vec::new();
        let mut directories = vec![RelPath::root()];
        let root = Beneath::open(set).map_err(Failed::at("read", set))?;
        while let Some(directory) = directories.pop() {
            let path = set.join(directory.as_path());
            let entries = root
                .entries(&directory)
                .map_err(Failed::at("read", &path))?;
            for (child, found) in entries {
                match self.position(&child) {
                    _ if is_directory(&found) => directories.push(child),
                    Some(at) => self.is_there[at] = true,
                    None if !is_beside_the_list(&child) => unlisted.push(child),
                    None => {}
                }
            }
        }
        unlisted.sort();
        Ok(unlisted)
    }

    fn missing(&self) -> Vec<RelPath> {
        let with_mark = self.files.iter().zip(&self.is_there);
        let missing = with_mark.filter(|(_, is_there)| !**is_there);
        missing.map(|(file, _)| file.path.clone()).collect()
    }
}

/// What no checksums can list: they themselves, and their signature.
fn is_beside_the_list(path: &RelPath) -> bool {
    [CHECKSUMS, SIGNATURE]
        .iter()
        .any(|name| path.as_bytes() == name.as_bytes())
}

fn disagree(set: &Path, file: &RelPath) -> InventoryError {
    InventoryError::Disagree {
        set: set.to_owned(),
        file: file.clone(),
    }
}

fn is_directory(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::Directory
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "sets as others left them")]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::record::{End, EndStatus};
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::Write;
    use tempfile::TempDir;

    fn write(set: &Path, name: &str, content: &[u8]) {
        let path = set.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes `checksums.sha256` over the files of `names`.
    fn seal(set: &Path, names: &[&str]) {
        let mut file = fs::File::create(set.join(CHECKSUMS)).unwrap();
        for name in names {
            writeln!(
                file,
                "{}  {name}",
                Sha256::of(&fs::read(set.join(name)).unwrap())
            )
            .unwrap();
        }
    }

    fn of_the_scripts() -> TempDir {
        let set = tempfile::tempdir().unwrap();
        write(set.path(), "mail/example.com/alice/cur/1.a:2,S", b"message");
        write(set.path(), "mysql/mailserver.sql.gz", b"dump");
        write(set.path(), "config/config.tar.gz", b"tar");
        seal(
            set.path(),
            &[
                "mail/example.com/alice/cur/1.a:2,S",
                "mysql/mailserver.sql.gz",
                "config/config.tar.gz",
            ],
        );
        set
    }

    fn artifact(path: &str, sha256: Sha256) -> Artifact {
        let path = (&RelPath::new(path).unwrap()).into();
        let (root, set) = ("/b".to_owned(), "daily/2026-11-23".to_owned());
        let component = Component::Dkim;
        Artifact {
            root,
            set,
            component,
            path,
            bytes: 3,
            sha256,
            entries: 2,
            source_bytes: 9,
            reused: false,
            excluded: 0,
        }
    }

    fn ours(artifacts: Vec<Artifact>) -> TempDir {
        let set = tempfile::tempdir().unwrap();
        write(set.path(), "dkim/dkim.tar.zst", b"tar");
        write(set.path(), "backup.log", b"log");
        let text = |text: &str| text.to_owned();
        let begin = Begin {
            v: 1,
            tool: text("mail-backup"),
            version: text("1"),
            host: text("mx"),
            time: text("2026-11-23T03:00:00+09:00"),
            args: Vec::new(),
            set: None,
            root: None,
            wanted: None,
            previous: None,
        };
        let end = End {
            tool: text("mail-backup"),
            status: EndStatus::Ok,
            exit: 0,
            seconds: 1.0,
            totals: BTreeMap::new(),
        };
        let manifest = Manifest {
            begin,
            day: crate::manifest::DayRecords::default(),
            artifacts,
            errors: Vec::new(),
            end,
        };
        manifest
            .write_to(&mut fs::File::create(set.path().join(MANIFEST)).unwrap())
            .unwrap();
        seal(set.path(), &["dkim/dkim.tar.zst", "backup.log", MANIFEST]);
        set
    }

    #[test]
    fn a_set_of_the_scripts_is_read() {
        let set = of_the_scripts();
        write(set.path(), "mail/example.com/alice/new/2.b", b"not listed");
        fs::remove_file(set.path().join("config/config.tar.gz")).unwrap();
        let inventory = Inventory::read(set.path()).unwrap();
        assert_eq!(
            (inventory.state, inventory.begin.is_none()),
            (SetState::Legacy, true)
        );
        let files: Vec<_> = inventory
            .files
            .iter()
            .map(|file| (file.path.to_string(), file.component))
            .collect();
        let expected = [
            ("config/config.tar.gz".to_owned(), Some(Component::Config)),
            (
                "mail/example.com/alice/cur/1.a:2,S".to_owned(),
                Some(Component::Mailboxes),
            ),
            ("mysql/mailserver.sql.gz".to_owned(), Some(Component::Mysql)),
        ];
        assert_eq!(files, expected);
        assert_eq!(
            inventory.missing,
            [RelPath::new("config/config.tar.gz").unwrap()]
        );
        assert_eq!(
            inventory.unlisted,
            [RelPath::new("mail/example.com/alice/new/2.b").unwrap()]
        );
        assert_eq!(
            inventory.components(),
            [Component::Mailboxes, Component::Mysql, Component::Config]
        );
    }

    #[test]
    fn the_manifest_says_more_of_the_files() {
        let set = ours(vec![artifact("dkim/dkim.tar.zst", Sha256::of(b"tar"))]);
        let inventory = Inventory::read(set.path()).unwrap();
        let file = inventory
            .file(&RelPath::new("dkim/dkim.tar.zst").unwrap())
            .unwrap();
        assert_eq!(
            file.recorded,
            Some(Recorded {
                bytes: 3,
                entries: 2,
                source_bytes: 9,
                excluded: 0
            })
        );
        assert_eq!(
            (
                inventory.files.len(),
                inventory.unlisted.len(),
                inventory.missing.len()
            ),
            (1, 0, 0)
        );
    }

    #[test]
    fn a_set_that_contradicts_itself_is_refused() {
        let other_digest = ours(vec![artifact("dkim/dkim.tar.zst", Sha256::of(b"other"))]);
        assert!(matches!(
            Inventory::read(other_digest.path()),
            Err(InventoryError::Disagree { .. })
        ));
        let not_recorded = ours(Vec::new());
        assert!(matches!(
            Inventory::read(not_recorded.path()),
            Err(InventoryError::Disagree { .. })
        ));
        let changed = ours(vec![artifact("dkim/dkim.tar.zst", Sha256::of(b"tar"))]);
        let manifest = fs::read(changed.path().join(MANIFEST)).unwrap();
        write(changed.path(), MANIFEST, &manifest.to_ascii_uppercase());
        assert!(matches!(
            Inventory::read(changed.path()),
            Err(InventoryError::ManifestDigest { .. })
        ));
        let twice = of_the_scripts();
        let mut checksums = fs::read_to_string(twice.path().join(CHECKSUMS)).unwrap();
        checksums += &format!("{}  config/config.tar.gz\n", Sha256::of(b"other"));
        write(twice.path(), CHECKSUMS, checksums.as_bytes());
        assert!(matches!(
            Inventory::read(twice.path()),
            Err(InventoryError::ListedTwice { .. })
        ));
    }

    #[test]
    fn what_is_not_a_set_is_recognised() {
        let root = tempfile::tempdir().unwrap();
        let hidden = root.path().join(".2026-11-23.new");
        write(&hidden, CHECKSUMS, b"");
        assert!(matches!(
            Inventory::read(&hidden),
            Err(InventoryError::BeingWritten { .. })
        ));
        assert!(matches!(
            Inventory::read(root.path()),
            Err(InventoryError::NoChecksums { .. })
        ));
        let damaged = of_the_scripts();
        write(damaged.path(), CHECKSUMS, b"0123  ../../etc/passwd\n");
        assert!(matches!(
            Inventory::read(damaged.path()),
            Err(InventoryError::Checksums { .. })
        ));
    }

    #[test]
    fn a_manifest_that_is_too_large_is_not_even_hashed() {
        let set = ours(vec![artifact("dkim/dkim.tar.zst", Sha256::of(b"tar"))]);
        let manifest = fs::OpenOptions::new()
            .write(true)
            .open(set.path().join(MANIFEST));
        manifest.unwrap().set_len(manifest::MAX_BYTES + 1).unwrap();
        let refused = Inventory::read(set.path());
        assert!(
            matches!(
                refused,
                Err(InventoryError::Manifest(manifest::Error::TooLarge { .. }))
            ),
            "{refused:?}"
        );
        let refused = Manifest::read(&set.path().join(MANIFEST));
        assert!(
            matches!(refused, Err(manifest::Error::TooLarge { .. })),
            "{refused:?}"
        );
    }

    /// Where a forged manifest goes on for millions of lines, nothing after the first of them
    /// counts.
    #[test]
    fn a_manifest_is_read_no_further_than_the_first_file_that_is_not_listed() {
        let digest = Sha256::of(b"tar");
        let foreign = artifact("dkim/foreign", digest);
        let set = ours(vec![artifact("dkim/dkim.tar.zst", digest), foreign]);
        let manifest = set.path().join(MANIFEST);
        let text = fs::read_to_string(&manifest).unwrap();
        let end = text.lines().last().unwrap();
        fs::write(&manifest, text.replace(end, "what follows is not read")).unwrap();
        seal(set.path(), &["dkim/dkim.tar.zst", "backup.log", MANIFEST]);
        let refused = Inventory::read(set.path());
        let foreign = RelPath::new("dkim/foreign").unwrap();
        assert!(
            matches!(&refused, Err(InventoryError::Disagree { file, .. }) if *file == foreign),
            "{refused:?}"
        );
    }
}
