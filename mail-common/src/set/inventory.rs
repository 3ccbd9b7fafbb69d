//! What a set holds: its files with their digests, from its checksums, and what its manifest says
//! of them.
//!
//! Reads sets of these tools, with or without their manifest, and sets of the old scripts: `mail/`
//! as plain files, `mysql/*.sql.gz`, `config/config.tar.gz`. Nothing of the content of the files is
//! read here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::layout::{CHECKSUMS, MANIFEST, is_about_set, is_hidden};
use super::{Component, SetState};
use crate::beneath;
use crate::checksum::{self, ChecksumFile, Sha256};
use crate::failure::{Failed, Failure, FailureKind};
use crate::manifest::{self, Manifest};
use crate::record::Artifact;
use crate::relpath::{RelPath, UnsafePath};

/// The files of a set.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// The directory.
    pub set: PathBuf,
    /// What it is worth.
    pub state: SetState,
    /// The records of the run that made it; `None` for the old scripts, and where it is lost.
    pub manifest: Option<Manifest>,
    /// What the checksums list and the set is made of, sorted by path; manifest and log are not
    /// among it.
    pub files: Vec<SetFile>,
    /// Files that are there and that the checksums do not list, sorted.
    pub unlisted: Vec<RelPath>,
    /// Files that the checksums list and that are not there, sorted.
    pub missing: Vec<RelPath>,
}

/// A file of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetFile {
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

impl Failure for InventoryError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Failed(failed) => failed.kind(),
            Self::Manifest(error) => error.kind(),
            Self::BeingWritten { .. } | Self::NoChecksums { .. } => FailureKind::Missing,
            Self::Checksums { .. }
            | Self::ListedTwice { .. }
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
        let listed = read_checksums(set)?;
        let (manifest, recorded) = read_manifest(set, &listed)?;
        let found = found_files(set)?;
        let file = |(path, sha256): (&RelPath, &Sha256)| SetFile {
            path: path.clone(),
            sha256: *sha256,
            component: component_of(path),
            recorded: recorded.get(path).copied(),
        };
        Ok(Self {
            set: set.to_owned(),
            state: SetState::of(set),
            manifest,
            files: listed
                .iter()
                .filter(|(path, _)| !is_about_set(path))
                .map(file)
                .collect(),
            unlisted: found
                .iter()
                .filter(|path| !listed.contains_key(*path))
                .cloned()
                .collect(),
            missing: listed
                .keys()
                .filter(|path| !found.contains(*path))
                .cloned()
                .collect(),
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

fn read_checksums(set: &Path) -> Result<BTreeMap<RelPath, Sha256>, InventoryError> {
    let path = set.join(CHECKSUMS);
    let text = match beneath::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(InventoryError::NoChecksums {
                set: set.to_owned(),
            });
        }
        text => text.map_err(Failed::at("read", &path))?,
    };
    let parsed = ChecksumFile::parse(&text);
    let parsed = parsed.map_err(|source| InventoryError::Checksums {
        path: path.clone(),
        source,
    })?;
    let mut listed = BTreeMap::new();
    for (sha256, file) in parsed.entries() {
        if listed
            .insert(file.clone(), *sha256)
            .is_some_and(|before| before != *sha256)
        {
            return Err(InventoryError::ListedTwice {
                path,
                file: file.clone(),
            });
        }
    }
    Ok(listed)
}

/// The manifest, where it is there and is what the checksums say, and what it says of each file.
/// Manifest and checksums must name the same files with the same digests.
fn read_manifest(
    set: &Path,
    listed: &BTreeMap<RelPath, Sha256>,
) -> Result<(Option<Manifest>, BTreeMap<RelPath, Recorded>), InventoryError> {
    let mut recorded = BTreeMap::new();
    let path = set.join(MANIFEST);
    let file = match beneath::regular_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, recorded)),
        file => file.map_err(Failed::at("read", &path))?,
    };
    let (digest, _) = Sha256::of_reader(file).map_err(Failed::at("read", &path))?;
    let name = RelPath::new(MANIFEST).ok();
    if name.and_then(|name| listed.get(&name)) != Some(&digest) {
        return Err(InventoryError::ManifestDigest { path });
    }
    let manifest = Manifest::read_checked(&path, |artifact| {
        let (file, says) = recorded_of(set, artifact, listed)?;
        recorded.insert(file, says);
        Ok::<(), InventoryError>(())
    })?;
    let unknown = |path: &&RelPath| !recorded.contains_key(*path) && !is_about_set(path);
    match listed.keys().find(unknown) {
        Some(file) => Err(disagree(set, file)),
        None => Ok((Some(manifest), recorded)),
    }
}

/// What an artifact says of its file, which must be in the checksums with the same digest.
fn recorded_of(
    set: &Path,
    artifact: &Artifact,
    listed: &BTreeMap<RelPath, Sha256>,
) -> Result<(RelPath, Recorded), InventoryError> {
    let path = RelPath::try_from(&artifact.path).map_err(|source| InventoryError::Path {
        path: set.join(MANIFEST),
        source,
    })?;
    if listed.get(&path) != Some(&artifact.sha256) {
        return Err(disagree(set, &path));
    }
    let says = Recorded {
        bytes: artifact.bytes,
        entries: artifact.entries,
        source_bytes: artifact.source_bytes,
    };
    Ok((path, says))
}

fn disagree(set: &Path, file: &RelPath) -> InventoryError {
    InventoryError::Disagree {
        set: set.to_owned(),
        file: file.clone(),
    }
}

/// Every file in the set but the checksums. Links and other things that are no files are among
/// them: they are in no list, and are never followed.
fn found_files(set: &Path) -> Result<BTreeSet<RelPath>, InventoryError> {
    let mut found = BTreeSet::new();
    let mut directories = vec![RelPath::root()];
    while let Some(directory) = directories.pop() {
        let path = set.join(directory.as_path());
        let entries = entries_of(&path, &directory).map_err(Failed::at("read", &path))?;
        for (child, is_directory) in entries {
            if is_directory {
                directories.push(child);
            } else if child.as_bytes() != CHECKSUMS.as_bytes() {
                found.insert(child);
            }
        }
    }
    Ok(found)
}

/// The entries of the directory at `path`, which the set knows as `directory`, and whether each is
/// a directory.
fn entries_of(path: &Path, directory: &RelPath) -> io::Result<Vec<(RelPath, bool)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let child = directory.child(entry.file_name().as_bytes());
        let is_directory = entry.file_type()?.is_dir();
        entries.push((child.map_err(io::Error::other)?, is_directory));
    }
    Ok(entries)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "sets as others left them")]
mod tests {
    use super::*;
    use crate::record::{Begin, End, EndStatus};
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
            (inventory.state, inventory.manifest.is_none()),
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
                source_bytes: 9
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
