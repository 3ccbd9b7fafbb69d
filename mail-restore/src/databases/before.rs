//! What the server holds before anything is loaded, saved as a set of its own: `mail-restore
//! --from` loads it again.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use jiff::ZonedDateTime;
use mail_common::atomic::{self, StoredFile};
use mail_common::checksum::ChecksumFile;
use mail_common::interrupt::Interrupted;
use mail_common::relpath::RelPath;
use mail_common::set::{CHECKSUMS, Inventory};
use mail_common::trusted;
use mail_mysql::{ConnectionSettings, DumpReport, Session, file_name};
use zstd::zstd_safe::CParameter;

use super::accounts::Accounts;
use super::dump::{Dump, Dumps};
use super::error::Error;
use super::survey::{Survey, SurveyedDump};
use super::trust::Trust;

const DIRECTORY: &str = "pre-restore";

const LEVEL: i32 = 3;

/// What was there.
#[derive(Debug)]
pub(super) struct Before {
    /// The set.
    pub(super) dir: PathBuf,
    /// What an administrator should know.
    pub(super) warnings: Vec<String>,
}

/// Saves those of `databases` that are there, and the accounts, into `<root>/pre-restore/<now>`.
///
/// When anything would be missing, nothing is left behind. What a killed run left under
/// construction goes: the caller holds the lock of the root.
pub(super) fn save(
    connection: &ConnectionSettings,
    databases: &BTreeSet<String>,
    accounts: Accounts,
    (root, now): (&Path, &ZonedDateTime),
    stop: &AtomicBool,
) -> Result<Before, Error> {
    let parent = root.join(DIRECTORY);
    let time = now.strftime("%Y-%m-%dT%H%M%S").to_string();
    let (hidden, dir) = (
        parent.join(format!(".{time}.new")),
        first_free(&parent, &time),
    );
    let mut session = Session::connect(connection)?;
    let all = mail_mysql::databases(&mut session, &[])?.names;
    let existing: BTreeSet<_> = all
        .into_iter()
        .filter(|name| databases.contains(name))
        .collect();
    write_at(&parent, || clear_unfinished(&parent))?;
    write_at(&hidden, || atomic::create_dir_all(&hidden.join("mysql")))?;
    let saver = Saver {
        session,
        hidden: hidden.clone(),
        stop,
        sums: Vec::new(),
        warnings: Vec::new(),
    };
    let saved = saver.run(&existing, accounts).and_then(|warnings| {
        write_at(&dir, || {
            atomic::rename_into_place(&hidden, &dir).and_then(|()| atomic::sync_parent(&dir))
        })?;
        Ok(warnings)
    });
    let warnings = saved.inspect_err(|_| {
        // The failure is reported; what is left is hidden and harms nobody.
        let _ = atomic::remove_tree(&hidden);
    })?;
    Ok(Before { dir, warnings })
}

/// The dumps of what was there before, read to their ends.
pub(super) fn survey_saved(dir: &Path) -> Result<Vec<SurveyedDump>, Error> {
    let failed = |error| Error::Write {
        path: dir.to_owned(),
        source: io::Error::other(error),
    };
    let inventory = Inventory::read(dir).map_err(failed)?;
    let never = AtomicBool::new(false);
    let survey = |dump: Dump| {
        let survey = Survey::of_database(&dump, Trust::Full, &never)?;
        Ok((dump, survey))
    };
    Dumps::of(&inventory)
        .databases
        .into_iter()
        .map(survey)
        .collect()
}

/// `parent/time`, or with `-2`, `-3` and so on behind it where a restore of the same second has
/// that name.
fn first_free(parent: &Path, time: &str) -> PathBuf {
    let numbered = |number: u32| parent.join(format!("{time}-{number}"));
    let is_free = |path: &PathBuf| path.symlink_metadata().is_err();
    std::iter::once(parent.join(time))
        .chain((2..).map(numbered))
        .find(is_free)
        .unwrap_or_else(|| parent.join(time))
}

fn clear_unfinished(parent: &Path) -> io::Result<()> {
    let entries = match trusted::read_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let is_unfinished = name
            .to_str()
            .is_some_and(|name| name.starts_with('.') && name.ends_with(".new"));
        if is_unfinished {
            atomic::remove_tree(&entry.path())?;
        }
    }
    Ok(())
}

fn write_at<T>(path: &Path, write: impl FnOnce() -> io::Result<T>) -> Result<T, Error> {
    write().map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

struct Saver<'a> {
    session: Session,
    hidden: PathBuf,
    stop: &'a AtomicBool,
    sums: Vec<(mail_common::checksum::Sha256, RelPath)>,
    warnings: Vec<String>,
}

type Compressed = zstd::Encoder<'static, StoredFile>;

impl Saver<'_> {
    fn run(
        mut self,
        databases: &BTreeSet<String>,
        accounts: Accounts,
    ) -> Result<Vec<String>, Error> {
        for database in databases {
            self.save_database(database)?;
        }
        self.save_accounts(accounts)?;
        self.seal()?;
        Ok(self.warnings)
    }

    fn save_database(&mut self, database: &str) -> Result<(), Error> {
        let path = file_name::of_database(database);
        let file = self.hidden.join(path.as_path());
        let dumped = mail_mysql::dump_database(
            &mut self.session,
            database,
            || open(&file),
            self.stop,
            &mut |_| {},
        );
        let (encoder, report) = dumped.map_err(|source| save_error(database, source))?;
        let DumpReport {
            mut missing,
            over,
            warnings,
            ..
        } = report;
        missing.retain(|what| !over.contains(what));
        if !missing.is_empty() {
            return Err(Error::NotSaved {
                database: database.to_owned(),
                missing,
            });
        }
        self.warnings.extend(warnings);
        self.warnings.extend(over);
        self.keep(path, encoder)
    }

    /// Where accounts are not loaded, they are saved as far as they may be seen.
    fn save_accounts(&mut self, accounts: Accounts) -> Result<(), Error> {
        let path = file_name::of_accounts();
        let file = self.hidden.join(path.as_path());
        let dumped = mail_mysql::dump_accounts(&mut self.session, || open(&file), self.stop);
        let (encoder, DumpReport { missing, .. }) =
            dumped.map_err(|source| save_error("accounts", source))?;
        match accounts {
            Accounts::Load
                if missing
                    .iter()
                    .any(|what| what.contains("grant SELECT on mysql")) =>
            {
                return Err(Error::NotSaved {
                    database: "accounts".to_owned(),
                    missing,
                });
            }
            _ => self.warnings.extend(
                missing
                    .into_iter()
                    .map(|what| format!("accounts before the restore: {what}")),
            ),
        }
        self.keep(path, encoder)
    }

    fn keep(&mut self, path: RelPath, encoder: Compressed) -> Result<(), Error> {
        let stored = write_at(&self.hidden.join(path.as_path()), || {
            encoder.finish().and_then(StoredFile::finish)
        })?;
        self.sums.push((stored.sha256, path));
        Ok(())
    }

    /// Writes the checksums last, and waits for the disk.
    fn seal(&mut self) -> Result<(), Error> {
        self.sums.sort_by(|left, right| left.1.cmp(&right.1));
        let mut text = Vec::new();
        write_at(&self.hidden, || {
            ChecksumFile::new(std::mem::take(&mut self.sums)).format(&mut text)?;
            atomic::write_file(&self.hidden.join(CHECKSUMS), &text)?;
            atomic::sync_tree(&self.hidden)
        })
    }
}

fn save_error(database: &str, source: mail_mysql::Error) -> Error {
    match source {
        mail_mysql::Error::Stopped { .. } => Interrupted.into(),
        source => Error::Save {
            database: database.to_owned(),
            source,
        },
    }
}

/// Opens the file of a dump, again when an attempt before it failed. One thread compresses while
/// the rows come in.
fn open(file: &Path) -> io::Result<Compressed> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut encoder = zstd::Encoder::new(StoredFile::create(file)?, LEVEL)?;
    encoder.set_parameter(CParameter::ChecksumFlag(true))?;
    encoder.multithread(1)?;
    Ok(encoder)
}
