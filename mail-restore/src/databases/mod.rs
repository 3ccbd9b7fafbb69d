//! Dumps back into a MariaDB server: the new databases are loaded beside the live ones, counted and
//! compared, and change places with them; any failure leaves, or brings back, what was there.
//!
//! A dump is read twice. The first time nothing is touched: what it concerns, whether it may be
//! loaded and whether it is whole are known before a connection loads anything.

mod modes; // how a dump's strings are to be read
mod token; // the words of one statement
mod sql_mode; // what the settings of a dump say of its own text
mod statement; // statements out of a stream
mod text; // a statement as it is sent
mod settings; // what a dump may set of the session
mod kind; // what statements do
mod words; // the words of a statement, for its grammar
mod ddl; // CREATE, ALTER and DROP
mod classify; // tells what a statement does
mod values; // the rows of an INSERT
mod reach; // what stored code does beyond its database
mod trust; // how far a dump is trusted
mod definition; // what a definition says of other places
mod found; // what a dump turned out to hold
mod action; // who runs a statement, and when
mod route; // who runs a statement, if anybody
mod relocate; // a statement for another database than it names
mod error; // what can go wrong
mod source; // the content of a dump, unpacked on a thread of its own
mod dump; // the dumps of a set
mod share; // which connection loads which table
mod server; // a connection, set up for loading
mod send; // a statement on its way to it
mod script; // the stored code of a dump
mod survey; // a dump read to its end before anything is touched
mod concern; // which databases dumps concern
mod gate; // connections that wait for each other
mod load; // the tables of one dump, over several connections
mod accounts; // users and roles
mod before; // what was there, saved as a set
mod journal; // how far a restore is, written down in the server
mod live; // a database as the server has it
mod stored_code; // its views, triggers, routines and events
mod moves; // tables on their way, many in one RENAME
mod exchange; // the new in the place of the old
mod meanwhile; // what other clients wrote while the restore ran
mod recover; // the way back
mod loader_account; // an account that may touch the new databases alone
mod obstacles; // what stands in the way of an exchange
mod restore; // all dumps or none
mod inspect; // what would be done
mod sql_files; // dumps as plain files

use std::path::Path;
use std::sync::atomic::AtomicBool;

use jiff::ZonedDateTime;
use mail_common::relpath::RelPath;
use mail_common::set::Inventory;

pub use accounts::Accounts;
pub use error::Error;
pub use inspect::{InspectedDump, Inspection, Replaced};
pub use load::Watch;
pub use restore::{Loaded, Restored, Target};
pub use sql_files::WrittenSql;
pub use statement::ReadError;
pub use trust::Trust;

use dump::{Dump, Dumps};
use restore::Surveyed;
use survey::Survey;

/// The dumps of a set that are to be restored.
#[derive(Clone, Debug)]
pub struct Databases {
    dumps: Dumps,
}

impl Databases {
    /// Finds the dumps of a set; nothing of their content is read.
    ///
    /// # Errors
    /// When accounts are asked for and the set has none, or there is no dump at all.
    pub fn plan(inventory: &Inventory, accounts: Accounts) -> Result<Self, Error> {
        let mut dumps = Dumps::of(inventory);
        match (accounts, &dumps.accounts) {
            (Accounts::Load, None) => return Err(Error::NoAccounts),
            (Accounts::Leave, _) => dumps.accounts = None,
            _ => {}
        }
        if dumps.databases.is_empty() && dumps.accounts.is_none() {
            return Err(Error::NoDumps {
                ignored: dumps.ignored,
            });
        }
        Ok(Self { dumps })
    }

    /// The files that will be used.
    pub fn paths(&self) -> impl Iterator<Item = &RelPath> {
        self.all().map(|dump| &dump.path)
    }

    /// Files beside the dumps that are none.
    #[must_use]
    pub fn ignored(&self) -> &[RelPath] {
        &self.dumps.ignored
    }

    /// Finds out what a restore would do: reads every dump to its end, asks the server, writes
    /// nothing.
    ///
    /// # Errors
    /// When a dump may not be loaded or is not whole, or the server does not answer.
    pub fn inspect(&self, target: &Target, stop: &AtomicBool) -> Result<Inspection, Error> {
        inspect::inspect(target, &self.survey(target.trust, stop)?)
    }

    /// Loads every dump, and puts it in place. What the databases held before is saved in
    /// `<root>/pre-restore/<now>`, which is a set.
    ///
    /// # Errors
    /// [`Error::RolledBack`] and [`Error::NotRolledBack`] say what became of the databases; after
    /// any other error, nothing was touched.
    pub fn restore(
        &self,
        target: &Target,
        root: &Path,
        now: &ZonedDateTime,
        watch: Watch<'_>,
    ) -> Result<Loaded, Error> {
        let surveyed = self.survey(target.trust, watch.stop)?;
        restore::restore(target, &surveyed, (root, now), watch)
    }

    /// Writes every dump as `dir/<name>.sql`. `watch` is told of bytes written.
    ///
    /// # Errors
    /// When a dump cannot be read, or its file is there or cannot be written.
    pub fn write_sql(&self, dir: &Path, watch: Watch<'_>) -> Result<Vec<WrittenSql>, Error> {
        self.all()
            .map(|dump| sql_files::write(dump, dir, watch))
            .collect()
    }

    fn all(&self) -> impl Iterator<Item = &Dump> {
        self.dumps.databases.iter().chain(&self.dumps.accounts)
    }

    fn survey(&self, trust: Trust, stop: &AtomicBool) -> Result<Surveyed, Error> {
        if let Some((file, rows)) = self.dumps.rows_apart() {
            return Err(Error::Tab { file, rows });
        }
        let dumps = restore::survey_all(&self.dumps.databases, trust, stop)?;
        let accounts = match &self.dumps.accounts {
            Some(dump) => Some((dump.clone(), Survey::of_accounts(dump, stop)?)),
            None => None,
        };
        let holds_something = |(_, survey): &(Dump, Survey)| !survey.found.databases.is_empty();
        if accounts.is_none() && !dumps.iter().any(holds_something) {
            return Err(Error::OfTheServer);
        }
        Ok(Surveyed { dumps, accounts })
    }
}
