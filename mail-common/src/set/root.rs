//! The backup root: which sets it holds, and `latest`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::backup_root::BackupRoot;
use super::layout::{CHECKSUMS, Hidden, LATEST, MANIFEST, incomplete_path, parse_visible};
use super::remove::retire;
use super::{Error, RootLock, SetId, SetKind};
use crate::atomic;
use crate::failure::Failed;
use crate::trusted;

/// A directory with the name of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSet {
    /// The day or week.
    pub id: SetId,
    /// What it is worth.
    pub state: SetState,
    /// The directory.
    pub path: PathBuf,
}

/// What a directory with the name of a set is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetState {
    /// Manifest and checksums are there. Whether it holds every component, its manifest tells.
    Complete,
    /// Made by the scripts that these tools replace: checksums, and no manifest.
    Legacy,
    /// Without checksums: an old script that was interrupted, a copy that is not done, or damage.
    Damaged,
    /// `2026-11-23.incomplete`: what was saved when a component failed.
    Incomplete,
}

impl SetState {
    /// What the directory `set` is worth, by its name and by the files that make a set whole.
    #[must_use]
    pub fn of(set: &Path) -> Self {
        let claims_incomplete = set
            .extension()
            .is_some_and(|extension| extension == "incomplete");
        let has_checksums = fs::metadata(set.join(CHECKSUMS)).is_ok_and(|found| found.is_file());
        // Whatever stands in its place: a set of the old scripts has nothing there, and who reads a
        // manifest says what is wrong with it.
        let has_manifest = fs::symlink_metadata(set.join(MANIFEST)).is_ok();
        match (claims_incomplete, has_checksums, has_manifest) {
            (true, _, _) => Self::Incomplete,
            (false, true, true) => Self::Complete,
            (false, true, false) => Self::Legacy,
            (false, false, _) => Self::Damaged,
        }
    }
}

impl BackupRoot {
    /// The root at `path`, which must be a directory. What is in it is not looked at yet.
    ///
    /// # Errors
    /// [`Error::OpenRoot`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::OpenRoot {
            path: path.to_owned(),
            source,
        };
        if !fs::metadata(path).map_err(failed)?.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Where the set `id` is, or would be.
    #[must_use]
    pub fn set_path(&self, id: SetId) -> PathBuf {
        id.path_below(&self.path)
    }

    /// Where what was saved of the set `id` is kept when a part of it failed.
    #[must_use]
    pub fn incomplete_path(&self, id: SetId) -> PathBuf {
        incomplete_path(&self.path, id)
    }

    /// The sets of a kind, the oldest first. Directories with other names, hidden ones and symlinks
    /// are not sets; none are there before the first backup.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn sets(&self, kind: SetKind) -> Result<Vec<FoundSet>, Error> {
        let mut sets: Vec<FoundSet> = self
            .directories(kind)?
            .into_iter()
            .filter_map(|(name, path)| {
                let id = parse_visible(kind, &name)?;
                Some(FoundSet {
                    id,
                    state: SetState::of(&path),
                    path,
                })
            })
            .collect();
        sets.sort_by_key(|set| (set.id, set.state));
        Ok(sets)
    }

    /// The set that `latest` leads to; `None` when there is no such symlink or it leads to no set
    /// of this root.
    ///
    /// The old scripts wrote an absolute path, which is understood.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn latest(&self) -> Result<Option<SetId>, Error> {
        let path = self.path.join(LATEST);
        let target = match fs::read_link(&path) {
            Ok(target) => target,
            // EINVAL (readlink(2)): something that is not a symlink.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
                ) =>
            {
                return Ok(None);
            }
            Err(source) => return Err(Failed::at("read", &path)(source).into()),
        };
        let id = self
            .relative(&target)
            .to_str()
            .and_then(|text| text.trim_end_matches('/').parse().ok());
        Ok(id.filter(|id| self.set_path(*id).is_dir()))
    }

    /// Lets `latest` lead to the set `id`, atomically.
    ///
    /// # Errors
    /// [`Error::SetLatest`].
    pub fn set_latest(&self, _: &RootLock, id: SetId) -> Result<(), Error> {
        let path = self.path.join(LATEST);
        atomic::replace_symlink(&path, Path::new(&id.to_string()))
            .map_err(|source| Error::SetLatest { path, id, source })
    }

    /// Clears what dead runs left: hidden directories under `daily/` and `weekly/`, temporary
    /// symlinks and files in the root. A set that was moved aside and has no successor gets its name back
    /// first.
    ///
    /// Gives the paths of what was cleared or put back, in the order of their names.
    ///
    /// # Errors
    /// [`Error::Failed`], [`Error::ClearLeftover`].
    pub fn clear_leftovers(&self, _: &RootLock) -> Result<Vec<PathBuf>, Error> {
        let mut cleared = Vec::new();
        for kind in SetKind::ALL {
            for (name, path) in self.directories(kind)? {
                let Some((role, visible)) = Hidden::parse(kind, &name) else {
                    continue;
                };
                clear_leftover(role, &path, &path.with_file_name(visible)).map_err(|source| {
                    Error::ClearLeftover {
                        path: path.clone(),
                        source,
                    }
                })?;
                cleared.push(path);
            }
        }
        for path in self.temporary_names()? {
            atomic::remove_tree(&path).map_err(|source| Error::ClearLeftover {
                path: path.clone(),
                source,
            })?;
            cleared.push(path);
        }
        Ok(cleared)
    }

    /// `target` of a symlink in this root, relative to the root where it is absolute and leads into
    /// it.
    fn relative(&self, target: &Path) -> PathBuf {
        let canonical = || {
            Some((
                fs::canonicalize(target).ok()?,
                fs::canonicalize(&self.path).ok()?,
            ))
        };
        if let Ok(relative) = target.strip_prefix(&self.path) {
            return relative.to_owned();
        }
        match canonical().filter(|_| target.is_absolute()) {
            Some((target, root)) => target.strip_prefix(root).unwrap_or(&target).to_owned(),
            None => target.to_owned(),
        }
    }

    /// Names and paths of the real directories under `daily/` or `weekly/`, sorted; names that are
    /// not UTF-8 are not ours.
    fn directories(&self, kind: SetKind) -> Result<Vec<(String, PathBuf)>, Error> {
        let path = self.path.join(kind.name());
        let entries = entries_of(&path, fs::FileType::is_dir);
        Ok(entries.map_err(Failed::at("list the sets in", &path))?)
    }

    /// Symlinks are the writer's, whose lock is held; a file may be a checker's, of its metrics.
    fn temporary_names(&self) -> Result<Vec<PathBuf>, Error> {
        let entries = entries_of(&self.path, |found| !found.is_dir())
            .map_err(Failed::at("list the sets in", &self.path))?;
        let now = SystemTime::now();
        let modified =
            |path: &PathBuf| fs::symlink_metadata(path).and_then(|found| found.modified());
        Ok(entries
            .into_iter()
            .filter(|(name, path)| {
                if path.is_symlink() {
                    atomic::is_temporary_name(name)
                } else {
                    modified(path)
                        .is_ok_and(|time| atomic::is_left_behind(name.as_bytes(), time, now))
                }
            })
            .map(|(_, path)| path)
            .collect())
    }
}

fn entries_of(dir: &Path, wanted: fn(&fs::FileType) -> bool) -> io::Result<Vec<(String, PathBuf)>> {
    let listing = match trusted::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing?,
    };
    let mut entries = Vec::new();
    for entry in listing {
        let entry = entry?;
        if let (true, Ok(name)) = (wanted(&entry.file_type()?), entry.file_name().into_string()) {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

fn clear_leftover(role: Hidden, hidden: &Path, visible: &Path) -> io::Result<()> {
    match role {
        Hidden::Old if fs::symlink_metadata(visible).is_ok() => retire(hidden, visible),
        Hidden::Old => {
            atomic::rename_into_place(hidden, visible).and_then(|()| atomic::sync_parent(visible))
        }
        Hidden::New | Hidden::Removed => atomic::remove_tree(hidden),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, names};
    use super::super::{CommitAs, layout::LOCK};
    use super::*;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    fn found(fixture: &Fixture, kind: SetKind) -> Vec<(String, SetState)> {
        fixture
            .root
            .sets(kind)
            .unwrap()
            .into_iter()
            .map(|set| (set.id.name(), set.state))
            .collect()
    }

    #[test]
    fn a_root_is_a_directory() {
        let fixture = Fixture::new();
        for name in ["absent", LOCK] {
            assert!(matches!(
                BackupRoot::open(&fixture.root.path().join(name)),
                Err(Error::OpenRoot { .. })
            ));
        }
    }

    #[test]
    fn sets_are_listed_by_date_and_told_by_their_files() {
        let fixture = Fixture::new();
        assert!(found(&fixture, SetKind::Daily).is_empty());
        fixture.commit("daily/2026-11-23", "new");
        let legacy = fixture.commit("daily/2026-10-01", "old script");
        fs::remove_file(legacy.join(MANIFEST)).unwrap();
        let damaged = fixture.commit("daily/2026-11-02", "damaged");
        fs::remove_file(damaged.join(CHECKSUMS)).unwrap();
        fixture
            .stage("daily/2026-11-23", "part")
            .commit(CommitAs::Incomplete, Duration::ZERO)
            .unwrap();
        for foreign in [
            ".2026-11-20.new",
            "2026-11-20x",
            "lost+found",
            "2026-week-01",
            "2026-11-31",
            "a.incomplete",
        ] {
            fixture.make(&format!("daily/{foreign}"));
        }
        symlink("2026-11-23", fixture.root.path().join("daily/2026-11-24")).unwrap();
        fixture.make("weekly/2026-week-47");
        let expected = [
            ("2026-10-01".to_owned(), SetState::Legacy),
            ("2026-11-02".to_owned(), SetState::Damaged),
            ("2026-11-23".to_owned(), SetState::Complete),
            ("2026-11-23".to_owned(), SetState::Incomplete),
        ];
        assert_eq!(found(&fixture, SetKind::Daily), expected);
        assert_eq!(
            found(&fixture, SetKind::Weekly),
            [("2026-week-47".to_owned(), SetState::Damaged)]
        );
    }

    #[test]
    fn latest_leads_to_a_set_of_this_root_or_nowhere() {
        let fixture = Fixture::new();
        let set = fixture.commit("daily/2026-11-23", "one");
        let id: SetId = "daily/2026-11-23".parse().unwrap();
        let latest = fixture.root.path().join(LATEST);
        assert_eq!(fixture.root.latest().unwrap(), None);
        fixture.root.set_latest(&fixture.lock, id).unwrap();
        assert_eq!(
            fs::read_link(&latest).unwrap(),
            Path::new("daily/2026-11-23")
        );
        let canonical = fs::canonicalize(&set).unwrap();
        let check = |target: &Path, expected: Option<SetId>| {
            fs::remove_file(&latest).unwrap();
            symlink(target, &latest).unwrap();
            assert_eq!(
                fixture.root.latest().unwrap(),
                expected,
                "{}",
                target.display()
            );
        };
        check(Path::new("daily/2026-11-23"), Some(id));
        check(Path::new("daily/2026-11-23/"), Some(id));
        check(&set, Some(id));
        check(&canonical, Some(id));
        check(Path::new("daily/2026-11-22"), None);
        check(Path::new("../daily/2026-11-23"), None);
        check(Path::new("/etc"), None);
        fs::remove_file(&latest).unwrap();
        fs::create_dir(&latest).unwrap();
        assert_eq!(fixture.root.latest().unwrap(), None);
        assert!(matches!(
            fixture.root.set_latest(&fixture.lock, id),
            Err(Error::SetLatest { .. })
        ));
        assert_eq!(names(fixture.root.path()), [".lock", "daily", "latest"]);
    }

    #[test]
    fn leftovers_are_cleared_and_nothing_else() {
        let fixture = Fixture::new();
        fixture.commit("daily/2026-11-23", "one");
        let ours = [
            "daily/.2026-11-22.removed",
            "daily/.2026-11-23.incomplete.old",
            "daily/.2026-11-23.new",
        ];
        for path in ours.iter().chain(&[
            "weekly/.2026-week-47.new",
            "daily/.foreign.new",
            "daily/.2026-11-23.other",
        ]) {
            fixture.make(&format!("{path}/deep"));
        }
        symlink("daily/2026-11-23", fixture.root.path().join(".tmp-1-0")).unwrap();
        // Of `HOLD`, say; the others are being written by a process that lives, the last one maybe
        // in a container.
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        let recent = format!(".tmp-{}-8", dead.id());
        fs::write(fixture.root.path().join(&recent), "half").unwrap();
        for pid in [dead.id(), 1] {
            let half = fixture.root.path().join(format!(".tmp-{pid}-7"));
            fs::write(&half, "half").unwrap();
            let two_hours_ago = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
            let half = fs::File::open(&half).unwrap();
            half.set_modified(two_hours_ago).unwrap();
        }
        // Moved aside, and its successor has the name: what is left of the old one goes.
        fixture.make("daily/.2026-11-23.old");
        let cleared = fixture.root.clear_leftovers(&fixture.lock).unwrap();
        assert_eq!(cleared.len(), 7);
        let expected = [
            ".2026-11-23.other",
            ".foreign.new",
            "2026-11-23",
            "2026-11-23.incomplete",
        ];
        assert_eq!(names(&fixture.root.path().join("daily")), expected);
        assert!(names(&fixture.root.path().join("weekly")).is_empty());
        let left = [".lock", ".tmp-1-7", &recent, "daily", "weekly"];
        assert_eq!(names(fixture.root.path()), left);
        assert!(
            fixture
                .root
                .clear_leftovers(&fixture.lock)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_set_that_was_moved_aside_gets_its_name_back() {
        let fixture = Fixture::new();
        let set = fixture.commit("daily/2026-11-23", "one");
        atomic::rename_into_place(&set, &Hidden::Old.sibling(&set)).unwrap();
        fixture.make("daily/.2026-11-23.new");
        fixture.root.clear_leftovers(&fixture.lock).unwrap();
        assert_eq!(fs::read_to_string(set.join("content")).unwrap(), "one");
        assert_eq!(names(&fixture.root.path().join("daily")), ["2026-11-23"]);
    }

    #[test]
    fn clearing_does_not_follow_symlinks() {
        let fixture = Fixture::new();
        let kept = fixture.make("kept");
        fs::create_dir(kept.join("file")).unwrap();
        symlink(&kept, fixture.make("daily/.2026-11-23.new").join("out")).unwrap();
        symlink(&kept, fixture.root.path().join("daily/.2026-11-24.new")).unwrap();
        fixture.root.clear_leftovers(&fixture.lock).unwrap();
        assert_eq!(names(&kept), ["file"]);
    }
}
