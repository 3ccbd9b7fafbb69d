//! Verdicts of earlier runs, so that what has not changed is not sent again.
//!
//! An embedded database: a table for each identity of a clamd (engine, signatures, what it
//! reports), and in it a verdict for each digest. Other signatures, other table: everything is
//! scanned again. It is a cache: lost, damaged or in use, nothing is wrong.

mod file; // the file itself: whole, damaged, or no cache at all

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use mail_common::atomic;
use mail_common::checksum::Sha256;
use redb::{Database, ReadOnlyTable, ReadableTable, TableDefinition, TableError, TableHandle};

use crate::inside::Role;

pub(crate) use file::{CacheError, Found};
use file::{OpenFailure, check_directory, clear_away, open_whole};

type StoredKey = &'static [u8];
type Value = &'static [u8];

/// When which table was last written: seconds since 1970 by its name.
const USED: TableDefinition<'static, &str, i64> = TableDefinition::new("used");

/// Tables of older signatures are dropped; this many stay, for sites that scan with clamds of
/// several kinds.
const TABLES_KEPT: usize = 4;

/// Verdicts are written this many at a time.
const BATCH: usize = 20_000;

/// A verdict that can be used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing was found; with what there is to say of how it was scanned.
    Clean(Option<String>),
    /// The name of what was found.
    Infected(String),
}

/// What a verdict is on. Whoever sends mail chooses contents, and so their digests: none of them
/// may be the key of a file that was unpacked, and vouch for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(String);

/// An open cache.
pub(crate) struct Cache {
    database: Database,
    tables: BTreeMap<String, Option<ReadOnlyTable<StoredKey, Value>>>,
    pending: Mutex<Vec<(String, Key, Known)>>,
    seconds: i64,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("identities", &self.tables.keys())
            .finish_non_exhaustive()
    }
}

impl Key {
    /// A content as it was found. A message is looked into in another way than a file of the same
    /// bytes, and neither vouches for the other.
    pub(crate) fn of_content(digest: Sha256, role: Role) -> Self {
        match role {
            Role::File => Self(digest.to_string()),
            Role::Message => Self(format!("{digest} message")),
        }
    }

    /// All that is in a file that was unpacked in this way.
    pub(crate) fn of_unpacked(how: &str, digest: Sha256) -> Self {
        Self(format!("{digest} {how}"))
    }
}

impl Cache {
    /// Opens or makes the cache at `path` for verdicts of these identities. A damaged one
    /// starts empty.
    pub(crate) fn open(
        path: &Path,
        identities: &[String],
        seconds: i64,
    ) -> Result<(Self, Found), CacheError> {
        let io_failed = |source| CacheError::Open {
            path: path.to_owned(),
            source,
        };
        if let Some(parent) = path.parent() {
            atomic::create_dir_all(parent).map_err(io_failed)?;
            check_directory(parent)?;
        }
        match open_whole(path) {
            Ok(database) => Ok((
                Self::prepare(database, path, identities, seconds)?,
                Found::Usable,
            )),
            Err(OpenFailure::InUse) => Err(CacheError::InUse {
                path: path.to_owned(),
            }),
            Err(OpenFailure::Io(source)) => Err(io_failed(source)),
            Err(OpenFailure::NotOurs(reason)) => {
                let found = match clear_away(path).map_err(io_failed)? {
                    Found::Rebuilt => Found::Distrusted(reason),
                    found => found,
                };
                Ok((Self::begin(path, identities, seconds)?, found))
            }
            Err(OpenFailure::Damaged) => {
                let found = clear_away(path).map_err(io_failed)?;
                Ok((Self::begin(path, identities, seconds)?, found))
            }
        }
    }

    /// Makes the cache where nothing is any more.
    fn begin(path: &Path, identities: &[String], seconds: i64) -> Result<Self, CacheError> {
        let database = open_whole(path).map_err(|_| CacheError::Open {
            path: path.to_owned(),
            source: io::Error::other("it cannot be made again"),
        })?;
        Self::prepare(database, path, identities, seconds)
    }

    fn prepare(
        database: Database,
        path: &Path,
        identities: &[String],
        seconds: i64,
    ) -> Result<Self, CacheError> {
        let used = |source: redb::Error| CacheError::Use {
            path: path.to_owned(),
            source: Box::new(source),
        };
        drop_old_tables(&database, identities).map_err(used)?;
        let mut tables = BTreeMap::new();
        let read = database.begin_read().map_err(|error| used(error.into()))?;
        for identity in identities {
            let table = match read.open_table(TableDefinition::<StoredKey, Value>::new(identity)) {
                Ok(table) => Some(table),
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(used(error.into())),
            };
            tables.insert(identity.clone(), table);
        }
        Ok(Self {
            database,
            tables,
            pending: Mutex::default(),
            seconds,
        })
    }

    /// What was found under this key when the run began. A cache that cannot be read knows nothing.
    pub(crate) fn lookup(&self, key: &Key) -> Option<Known> {
        self.tables
            .values()
            .flatten()
            .find_map(|table| parse(table.get(key.0.as_bytes()).ok()??.value()))
    }

    /// Remembers a verdict of a clamd of this identity.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn remember(
        &self,
        identity: &str,
        key: Key,
        known: Known,
    ) -> Result<(), Box<redb::Error>> {
        if !self.tables.contains_key(identity) {
            return Ok(());
        }
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.push((identity.to_owned(), key, known));
        if pending.len() < BATCH {
            return Ok(());
        }
        let batch = std::mem::take(&mut *pending);
        drop(pending);
        self.write(batch).map_err(Box::new)
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn finish(self) -> Result<(), Box<redb::Error>> {
        let batch =
            std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if batch.is_empty() {
            return Ok(());
        }
        self.write(batch).map_err(Box::new)
    }

    /// Forgets all that is known of the clamds of this run.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn forget(self) -> Result<(), Box<redb::Error>> {
        let Self {
            database, tables, ..
        } = self;
        let names: Vec<String> = tables.into_keys().collect();
        drop_tables(&database, &names).map_err(Box::new)
    }

    #[expect(
        clippy::result_large_err,
        reason = "the error of redb as it is, once a batch"
    )]
    fn write(&self, mut batch: Vec<(String, Key, Known)>) -> Result<(), redb::Error> {
        // In the order of their keys: pages are written once.
        batch.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let write = self.database.begin_write()?;
        {
            let mut used = write.open_table(USED)?;
            for identity in self.tables.keys() {
                used.insert(identity.as_str(), self.seconds)?;
                let mut table =
                    write.open_table(TableDefinition::<StoredKey, Value>::new(identity))?;
                for (_, key, known) in batch.iter().filter(|(of, ..)| of == identity) {
                    table.insert(key.0.as_bytes(), format(known).as_slice())?;
                }
            }
        }
        Ok(write.commit()?)
    }
}

/// Drops the tables that were not used for longest, where there are more than are kept. A database
/// that needs no change is not written: that would wait for the disk.
#[expect(
    clippy::result_large_err,
    reason = "the error of redb as it is, once a run"
)]
fn drop_old_tables(database: &Database, current: &[String]) -> Result<(), redb::Error> {
    let surplus = surplus_tables(database, current)?;
    if surplus.is_empty() {
        return Ok(());
    }
    drop_tables(database, &surplus)
}

#[expect(
    clippy::result_large_err,
    reason = "the error of redb as it is, once a run"
)]
fn drop_tables(database: &Database, names: &[String]) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    {
        let mut used = write.open_table(USED)?;
        for name in names {
            used.remove(name.as_str())?;
            if let Some(table) = write.list_tables()?.find(|table| table.name() == name) {
                write.delete_table(table)?;
            }
        }
    }
    Ok(write.commit()?)
}

#[expect(
    clippy::result_large_err,
    reason = "the error of redb as it is, once a run"
)]
fn surplus_tables(database: &Database, current: &[String]) -> Result<Vec<String>, redb::Error> {
    let used = match database.begin_read()?.open_table(USED) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        used => used?,
    };
    let mut others: Vec<(i64, String)> = Vec::new();
    for entry in used.iter()? {
        let (name, seconds) = entry?;
        others.push((seconds.value(), name.value().to_owned()));
    }
    others.retain(|(_, name)| !current.contains(name));
    others.sort();
    others.truncate((others.len() + current.len()).saturating_sub(TABLES_KEPT));
    Ok(others.into_iter().map(|(_, name)| name).collect())
}

fn format(known: &Known) -> Vec<u8> {
    let (letter, text) = match known {
        Known::Clean(text) => (b'C', text.as_deref().unwrap_or("")),
        Known::Infected(name) => (b'I', name.as_str()),
    };
    [&[letter], text.as_bytes()].concat()
}

fn parse(value: &[u8]) -> Option<Known> {
    let (letter, text) = value.split_first()?;
    let text = std::str::from_utf8(text).ok()?.to_owned();
    match letter {
        b'C' => Some(Known::Clean(Some(text).filter(|text| !text.is_empty()))),
        b'I' => Some(Known::Infected(text)),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a damaged cache is made here")]
mod tests {
    use super::*;
    use mail_common::trusted::NotOurs;
    use std::os::unix::fs::PermissionsExt;

    const ENGINES: [&str; 2] = ["ClamAV 1/1", "ClamAV 1/2"];

    fn open(path: &Path, identities: &[&str]) -> (Cache, Found) {
        let identities: Vec<String> = identities.iter().map(ToString::to_string).collect();
        Cache::open(path, &identities, 7).unwrap()
    }

    fn key(number: u32) -> Key {
        Key::of_content(Sha256::of(&number.to_le_bytes()), Role::File)
    }

    fn filled(path: &Path, entries: u32) {
        let (cache, _) = open(path, &ENGINES[..1]);
        for number in 0..entries {
            cache
                .remember(ENGINES[0], key(number), Known::Clean(None))
                .unwrap();
        }
        cache.finish().unwrap();
    }

    #[test]
    fn verdicts_are_kept_for_their_engine_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/verdicts");
        let (cache, found) = open(&path, &ENGINES[..1]);
        assert_eq!((found, cache.lookup(&key(1))), (Found::Usable, None));
        let windows = Known::Clean(Some("in 3 windows".into()));
        cache
            .remember(ENGINES[0], key(1), Known::Infected("Eicar".into()))
            .unwrap();
        cache.remember(ENGINES[0], key(2), windows.clone()).unwrap();
        cache
            .remember(ENGINES[1], key(3), Known::Clean(None))
            .unwrap();
        cache.finish().unwrap();
        let (cache, _) = open(&path, &ENGINES[..1]);
        assert_eq!(cache.lookup(&key(1)), Some(Known::Infected("Eicar".into())));
        assert_eq!(
            (cache.lookup(&key(2)), cache.lookup(&key(3))),
            (Some(windows), None)
        );
        drop(cache);
        assert_eq!(open(&path, &ENGINES[1..]).0.lookup(&key(1)), None);
        assert_eq!(
            open(&path, &ENGINES).0.lookup(&key(1)),
            Some(Known::Infected("Eicar".into()))
        );
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_forgotten_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("verdicts");
        filled(&path, 10);
        let (cache, _) = open(&path, &ENGINES[..1]);
        assert_eq!(cache.lookup(&key(1)), Some(Known::Clean(None)));
        cache
            .remember(ENGINES[0], key(20), Known::Clean(None))
            .unwrap();
        cache.forget().unwrap();
        let (cache, found) = open(&path, &ENGINES[..1]);
        assert_eq!(
            (found, cache.lookup(&key(1)), cache.lookup(&key(20))),
            (Found::Usable, None, None)
        );
    }

    #[test]
    fn a_file_that_never_was_a_cache_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dump.sql");
        std::fs::write(&path, "INSERT INTO mail").unwrap();
        let aside = dir.path().join("dump.sql.damaged");
        assert_eq!(open(&path, &ENGINES).1, Found::SetAside(aside.clone()));
        assert_eq!(std::fs::read(&aside).unwrap(), b"INSERT INTO mail");
        // Nor does a cache that is damaged later take its place, twice in a row.
        for _ in 0..2 {
            filled(&path, 2000);
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
            assert_eq!(open(&path, &ENGINES).1, Found::Rebuilt);
            assert_eq!(std::fs::read(&aside).unwrap(), b"INSERT INTO mail");
        }
        // Another one gets a name of its own.
        std::fs::write(&path, "UPDATE mail").unwrap();
        let second = dir.path().join("dump.sql.damaged.2");
        assert_eq!(open(&path, &ENGINES).1, Found::SetAside(second.clone()));
        assert_eq!(std::fs::read(&aside).unwrap(), b"INSERT INTO mail");
        assert_eq!(std::fs::read(&second).unwrap(), b"UPDATE mail");
    }

    #[test]
    fn a_file_of_others_that_never_was_a_cache_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dump.sql");
        std::fs::write(&path, "INSERT INTO mail").unwrap();
        let others = std::fs::Permissions::from_mode(0o664);
        std::fs::set_permissions(&path, others).unwrap();
        let aside = dir.path().join("dump.sql.damaged");
        assert_eq!(open(&path, &ENGINES).1, Found::SetAside(aside.clone()));
        assert_eq!(std::fs::read(&aside).unwrap(), b"INSERT INTO mail");
    }

    #[test]
    fn tables_of_old_signatures_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("verdicts");
        for day in 0..10 {
            let identity = format!("day {day}");
            let (cache, _) = Cache::open(&path, std::slice::from_ref(&identity), day).unwrap();
            cache
                .remember(&identity, key(1), Known::Clean(None))
                .unwrap();
            cache.finish().unwrap();
        }
        let kept = |day| {
            open(&path, &[&format!("day {day}")])
                .0
                .lookup(&key(1))
                .is_some()
        };
        assert_eq!(
            (kept(9), kept(7), kept(5), kept(0)),
            (true, true, false, false)
        );
    }

    #[test]
    fn a_second_run_reports_that_the_cache_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("verdicts");
        let (_first, _) = open(&path, &ENGINES);
        assert!(matches!(
            Cache::open(&path, &[], 7),
            Err(CacheError::InUse { .. })
        ));
    }

    #[test]
    fn damage_anywhere_never_makes_a_verdict() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("verdicts");
        filled(&path, 2000);
        let whole = std::fs::read(&path).unwrap();
        let mut rebuilt = 0;
        for (round, at) in (0..whole.len()).step_by(whole.len() / 80).enumerate() {
            let mut damaged = whole.clone();
            match round % 3 {
                0 => damaged.truncate(at),
                1 => damaged[at..(at + 512).min(whole.len())].fill(0xa5),
                _ => damaged[at] ^= 1,
            }
            std::fs::write(&path, &damaged).unwrap();
            let (cache, found) = open(&path, &ENGINES[..1]);
            rebuilt += u32::from(found != Found::Usable);
            // What is still known is true; what never was is not.
            for number in (0..2000).step_by(97) {
                assert!(
                    matches!(cache.lookup(&key(number)), None | Some(Known::Clean(None))),
                    "damage at {at}"
                );
            }
            assert_eq!(cache.lookup(&key(5000)), None);
            cache
                .remember(ENGINES[0], key(5000), Known::Clean(None))
                .unwrap();
            cache.finish().unwrap();
        }
        assert!(rebuilt > 20, "{rebuilt}");
        std::fs::write(&path, b"no database").unwrap();
        let found = open(&path, &ENGINES).1;
        assert!(matches!(found, Found::SetAside(_)), "{found:?}");
    }

    /// Whoever could have written a verdict could have written that all is clean.
    #[test]
    fn a_cache_that_others_could_have_written_is_not_believed() {
        use std::os::unix::fs::{PermissionsExt, chown};
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        let path = own.join("cache.redb");
        let key = Key::of_content(Sha256::of(b"x"), Role::File);
        let set_mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let remember = || {
            let (cache, _) = open(&path, &ENGINES[..1]);
            let clean = Known::Clean(None);
            cache.remember(ENGINES[0], key.clone(), clean).unwrap();
            cache.finish().unwrap();
            let (cache, found) = open(&path, &ENGINES[..1]);
            assert!(found == Found::Usable && cache.lookup(&key).is_some());
        };
        remember();
        set_mode(&path, 0o666);
        let (cache, found) = open(&path, &ENGINES[..1]);
        assert!(matches!(found, Found::Distrusted(NotOurs::Writable { .. })));
        assert_eq!(cache.lookup(&key), None);
        drop(cache);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        if rustix::process::geteuid().is_root() {
            remember();
            chown(&path, Some(4321), None).unwrap();
            let (cache, found) = open(&path, &ENGINES[..1]);
            assert_eq!(found, Found::Distrusted(NotOurs::Owner { uid: 4321 }));
            assert_eq!(cache.lookup(&key), None);
        }
        set_mode(&own, 0o777);
        let refused = Cache::open(&path, &[ENGINES[0].to_owned()], 1);
        assert!(matches!(refused, Err(CacheError::Directory { .. })));
    }
}
