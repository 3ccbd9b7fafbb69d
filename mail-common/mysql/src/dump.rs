//! One database as SQL that the stock client loads.
//!
//! Order: sequences (defaults use them), tables with rows, routines, views (which use all of these
//! and each other), triggers (they must not fire while rows load), events. An object that the
//! account may not see, or that is damaged, is named in [`DumpReport::missing`]; the rest is still
//! saved.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use mail_common::text::printable;

use crate::definition;
use crate::dump_failure::{Failure, StepFailure};
use crate::error::{Cause, Error, Meaning};
use crate::privilege::Privileges;
use crate::schema::{self, CodeKind, CodeName, Objects, Table};
use crate::script::{Script, name};
use crate::session::Session;
use crate::table::{Past, RowPlan, Rows, Watch, count_rows, plan_rows, write_rows};
use crate::view::{View, in_order_of_use};

/// The first, and three more when tables change under it.
const ATTEMPTS: u32 = 4;

/// Engines whose rows live elsewhere: loading them back would write them twice.
pub(crate) const ELSEWHERE: [&str; 8] = [
    "MRG_MyISAM",
    "MRG_ISAM",
    "CONNECT",
    "OQGRAPH",
    "SPIDER",
    "VP",
    "FEDERATED",
    "SPHINX",
];

/// What a server and its client accept by default in one statement.
const DEFAULT_PACKET_BYTES: usize = 16 << 20;

/// What a dump holds, and what it does not.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct DumpReport {
    /// Tables saved.
    pub tables: u64,
    /// Rows saved, history included; of accounts: users and roles.
    pub rows: u64,
    /// The same of each table.
    pub rows_of: BTreeMap<String, u64>,
    /// Bytes of SQL written.
    pub source_bytes: u64,
    /// What could not be saved, and why: each makes the run's answer bad.
    pub missing: Vec<String>,
    /// Those of [`DumpReport::missing`] that are events whose time is over: nobody waits for them.
    pub over: Vec<String>,
    /// What an administrator should know and the dump does not lack.
    pub warnings: Vec<String>,
}

/// One attempt.
struct Dump<'a, W> {
    session: &'a mut Session,
    database: &'a str,
    script: Script<W>,
    watch: Watch<'a>,
    attempt: u32,
    /// Those whose tables the snapshot covers.
    engines: Vec<String>,
    report: DumpReport,
}

/// Writes the database `database` into what `open` gives, and returns that with the report.
///
/// The caller finishes and names the file. When tables are altered meanwhile, the dump is taken
/// again in a new snapshot: then `open` is called again, and must discard what was written.
/// `progress` is told the rows written so far, about once a megabyte. After [`Error::Stopped`] the
/// session cannot be used any more.
///
/// # Errors
/// When the connection is lost, the output fails, `stop` is set, or tables changed during every
/// attempt.
pub fn dump_database<W: Write>(
    session: &mut Session,
    database: &str,
    mut open: impl FnMut() -> io::Result<W>,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64),
) -> Result<(W, DumpReport), Error> {
    let mut warnings = Vec::new();
    let mut attempt = 1;
    loop {
        let out = open().map_err(|source| Error::Open {
            database: database.to_owned(),
            source,
        })?;
        let watch = Watch {
            stop,
            progress: &mut *progress,
        };
        match attempt_dump(session, database, out, watch, attempt) {
            Ok((out, mut report)) => {
                report.warnings.append(&mut warnings);
                return Ok((out, report));
            }
            Err(Failure::Fatal(error)) => return Err(error),
            Err(Failure::Changed { object, source }) if attempt == ATTEMPTS => {
                return Err(Error::Changing {
                    database: database.to_owned(),
                    object,
                    attempts: ATTEMPTS,
                    source,
                });
            }
            Err(Failure::Changed { object, source }) => {
                warnings.push(format!(
                    "{object} changed during the dump ({source}): taken again in a later snapshot"
                ));
                session.renew_snapshot()?;
                attempt += 1;
            }
        }
    }
}

fn attempt_dump<'a, W: Write>(
    session: &'a mut Session,
    database: &'a str,
    out: W,
    watch: Watch<'a>,
    attempt: u32,
) -> Result<(W, DumpReport), Failure> {
    // Its readers know the dump by this line, so a name with line breaks may not cut it in two.
    let title = format!(
        "Database {}, saved by mail-backup. Load it with: mariadb < FILE",
        printable(&name(database))
    );
    let script = Script::begin(out, &title).map_err(|error| Failure::write(database, error))?;
    let report = DumpReport::default();
    let dump = Dump {
        session,
        database,
        script,
        watch,
        attempt,
        engines: Vec::new(),
        report,
    };
    dump.run()
}

impl<W: Write> Dump<'_, W> {
    fn run(mut self) -> Result<(W, DumpReport), Failure> {
        let objects = self.begin()?;
        self.name_unseen(&objects)?;
        for sequence in &objects.sequences {
            self.step(&format!("sequence {}", name(sequence)), |dump| {
                dump.sequence(sequence)
            })?;
        }
        self.tables(&objects.tables)?;
        self.all_code(&objects.routines)?;
        self.views(&objects.views)?;
        self.all_code(&objects.triggers)?;
        self.all_code(&objects.events)?;
        self.finish()
    }

    /// Creates the database and lists what is in it.
    fn begin(&mut self) -> Result<Objects, Failure> {
        self.check_stop()?;
        let prologue = self.prologue();
        let statements = self.must("the database", prologue)?;
        let written = statements
            .iter()
            .try_for_each(|statement| self.script.statement(statement));
        written.map_err(|error| Failure::write(self.database, error))?;
        let objects = schema::objects(self.session, self.database);
        self.must("the list of objects", objects)
    }

    fn prologue(&mut self) -> Result<Vec<String>, Cause> {
        let quoted = name(self.database);
        let select = format!("USE {quoted}");
        self.session.run(&select)?;
        let create = schema::create_database(self.session, self.database)?;
        let (character_set, collation) = schema::database_collation(self.session, self.database)?;
        let alter =
            format!("ALTER DATABASE {quoted} CHARACTER SET {character_set} COLLATE {collation}");
        Ok(vec![create, alter, select])
    }

    /// Names what the server hides from the account in silence.
    fn name_unseen(&mut self, objects: &Objects) -> Result<(), Failure> {
        let privileges = Privileges::read(self.session);
        let privileges = self.must("the account's privileges", privileges)?;
        let (database, on) = (self.database, name(self.database));
        if !privileges.on_database("SELECT", database) {
            self.miss(format!(
                "tables of {on} that the account may not see, if any: grant SELECT on {on}.*"
            ));
        }
        if objects
            .tables
            .iter()
            .any(|table| !privileges.on_table("TRIGGER", database, &table.name))
        {
            self.miss(format!("triggers of {on}, if any: grant TRIGGER on {on}.*"));
        }
        if !privileges.on_database("EVENT", database) {
            self.miss(format!("events of {on}, if any: grant EVENT on {on}.*"));
        }
        if !privileges.sees_routines(database) {
            self.miss(format!(
                "procedures and functions of {on}, if any: grant SELECT on mysql.proc"
            ));
        }
        Ok(())
    }

    fn sequence(&mut self, sequence: &str) -> Result<(), StepFailure> {
        let create = schema::create_sequence(self.session, sequence)?;
        let (next, rounds) = schema::sequence_state(self.session, sequence)?;
        let quoted = name(sequence);
        self.script
            .statement(&format!("\nDROP SEQUENCE IF EXISTS {quoted}"))?;
        self.script.statement(&create)?;
        Ok(self
            .script
            .statement(&format!("DO SETVAL({quoted}, {next}, 0, {rounds})"))?)
    }

    fn tables(&mut self, tables: &[Table]) -> Result<(), Failure> {
        let engines = schema::transactional_engines(self.session);
        self.engines = self.must("the list of engines", engines)?;
        for table in tables {
            self.check_stop()?;
            if !self.engines.contains(&table.engine) && !table.engine.is_empty() {
                let (object, engine) = (self.full_name(&table.name), &table.engine);
                self.warn(format!(
                    "{object} is {engine}, which no snapshot covers: \
                     its rows are those of the moment"
                ));
            }
            self.step(&format!("table {}", self.full_name(&table.name)), |dump| {
                dump.table(table)
            })?;
        }
        Ok(())
    }

    /// The savepoint lets go of the table's metadata lock, so that DDL waits for one table and not
    /// for the run.
    fn table(&mut self, table: &Table) -> Result<(), StepFailure> {
        self.session.run("SAVEPOINT mail_backup")?;
        let saved = self.locked_table(table);
        if !matches!(saved, Err(StepFailure::Write(_) | StepFailure::Stopped)) {
            self.session.run("ROLLBACK TO SAVEPOINT mail_backup")?;
        }
        saved
    }

    fn locked_table(&mut self, table: &Table) -> Result<(), StepFailure> {
        let quoted = name(&table.name);
        // Takes the metadata lock: from here to the savepoint, definition and rows belong together.
        self.session
            .run(&format!("SELECT 1 FROM {quoted} LIMIT 0"))?;
        let create = definition::text(schema::create_table(self.session, &table.name)?)?;
        self.script
            .statement(&format!("\nDROP TABLE IF EXISTS {quoted}"))?;
        self.script.statement(&create)?;
        self.report.tables += 1;
        self.report.rows_of.insert(table.name.clone(), 0);
        if ELSEWHERE.contains(&table.engine.as_str()) {
            self.warn(format!(
                "{} is {}: its rows live elsewhere",
                self.full_name(&table.name),
                table.engine
            ));
            return Ok(());
        }
        self.rows(table)
    }

    fn rows(&mut self, table: &Table) -> Result<(), StepFailure> {
        let columns = schema::columns(self.session, self.database, &table.name)?;
        for column in columns.iter().filter(|column| column.has_lost_members()) {
            self.miss(format!(
                "members of column {} of table {}: the server shows bytes in them \
                 as question marks",
                name(&column.name),
                self.full_name(&table.name)
            ));
        }
        let history = self.session.history();
        let plan = plan_rows(&table.name, &columns, table.versioning, history);
        let Rows {
            rows,
            longest_bytes,
        } = self.rows_with_history(table, &plan)?;
        self.report.rows += rows;
        self.report.rows_of.insert(table.name.clone(), rows);
        self.check_count(table, &plan, rows)?;
        if longest_bytes > DEFAULT_PACKET_BYTES {
            self.warn(format!(
                "{} has a row of {longest_bytes} bytes of SQL: \
                 load it with max_allowed_packet=1G at server and client",
                self.full_name(&table.name)
            ));
        }
        Ok(())
    }

    /// Writes the rows, and those of the past as such where SQL can load them.
    fn rows_with_history(&mut self, table: &Table, plan: &RowPlan) -> Result<Rows, StepFailure> {
        match plan.past {
            Past::None => {}
            Past::Saved => self
                .script
                .statement("SET @@SYSTEM_VERSIONING_INSERT_HISTORY = 1")?,
            Past::Lost => self.miss(format!(
                "history of table {}: SQL of this server cannot load it; \
                 its current rows are saved",
                self.full_name(&table.name)
            )),
        }
        let written = write_rows(
            self.session,
            plan,
            &mut self.script,
            &mut self.watch,
            self.report.rows,
        );
        if plan.past == Past::Saved {
            self.script
                .statement("SET @@SYSTEM_VERSIONING_INSERT_HISTORY = 0")?;
        }
        Ok(written?)
    }

    /// Whatever bends a SELECT on the server, the rows that were written are those that are there.
    /// Tables outside of the snapshot go on changing: of them only too few rows can be told.
    fn check_count(&mut self, table: &Table, plan: &RowPlan, read: u64) -> Result<(), StepFailure> {
        let counted = count_rows(self.session, &table.name, plan.past)?;
        if counted == read {
            return Ok(());
        }
        let cause = Cause::Count { read, counted };
        let what = self.full_name(&table.name);
        if self.engines.contains(&table.engine) {
            self.miss(format!("rows of table {what}: {cause}"));
        } else {
            self.warn(format!(
                "{what} changed while it was read, or is read in part: {cause}"
            ));
        }
        Ok(())
    }

    fn views(&mut self, names: &[String]) -> Result<(), Failure> {
        let databases = schema::visible_databases(self.session);
        let databases = self.must("the list of databases", databases)?;
        let mut views = Vec::new();
        for view in names {
            self.step(&format!("view {}", self.full_name(view)), |dump| {
                views.push(dump.read_view(view)?);
                Ok(())
            })?;
        }
        let written = self.write_views(&in_order_of_use(views), &databases);
        written.map_err(|error| Failure::write(self.database, error))
    }

    /// A view over tables that are gone cannot be loaded: it stays as a comment, and is named.
    fn read_view(&mut self, view: &str) -> Result<View, StepFailure> {
        const INVALID_VIEW: u16 = 1356;
        let code = schema::view(self.session, view)?;
        let usable = self
            .session
            .run(&format!("SHOW COLUMNS FROM {}", name(view)));
        if let Err(
            cause @ Cause::Server {
                code: INVALID_VIEW, ..
            },
        ) = usable
        {
            self.script.comment(&format!(
                "Broken on the server: {}",
                code.create.escape_ascii()
            ))?;
            return Err(cause.into());
        }
        let columns = schema::columns(self.session, self.database, view)?;
        let columns = columns.into_iter().map(|column| column.name).collect();
        Ok(View {
            name: view.to_owned(),
            columns,
            code,
        })
    }

    fn write_views(&mut self, views: &[View], databases: &[String]) -> io::Result<()> {
        for view in views {
            self.placeholder(view)?;
        }
        for view in views {
            self.warn_of_foreign_tables(view, databases);
            self.script.stored_code(
                &format!("DROP VIEW IF EXISTS {}", name(&view.name)),
                &view.code,
            )?;
        }
        Ok(())
    }

    /// A view with the right columns, for other views to be made over until the real one is there.
    fn placeholder(&mut self, view: &View) -> io::Result<()> {
        let list: Vec<_> = view
            .columns
            .iter()
            .map(|column| format!("1 AS {}", name(column)))
            .collect();
        if list.is_empty() {
            return Ok(());
        }
        self.script
            .statement(&format!("\nDROP VIEW IF EXISTS {}", name(&view.name)))?;
        self.script.statement(&format!(
            "CREATE VIEW {} AS SELECT {}",
            name(&view.name),
            list.join(", ")
        ))
    }

    fn warn_of_foreign_tables(&mut self, view: &View, databases: &[String]) {
        let used =
            |other: &&String| *other != self.database && view.names(&format!("{}.", name(other)));
        let others: Vec<_> = databases
            .iter()
            .filter(used)
            .map(|other| name(other))
            .collect();
        if !others.is_empty() {
            self.warn(format!(
                "view {} uses {}: load that first",
                self.full_name(&view.name),
                others.join(", ")
            ));
        }
    }

    fn all_code(&mut self, names: &[CodeName]) -> Result<(), Failure> {
        for code in names {
            let object = format!(
                "{} {}",
                code.kind.sql().to_ascii_lowercase(),
                self.full_name(&code.name)
            );
            self.step(&object, |dump| dump.code(code))?;
        }
        Ok(())
    }

    fn code(&mut self, code: &CodeName) -> Result<(), StepFailure> {
        let definition = schema::code(self.session, code)?;
        if definition.create.is_empty() {
            return Err(StepFailure::Hidden);
        }
        if !schema::survives(self.session, code, &definition)? {
            return Err(Cause::NotText.into());
        }
        if code.kind == CodeKind::Event && schema::is_over(self.session, self.database, &code.name)?
        {
            let what = format!(
                "event {}: its time is over, so that a server drops it \
                 or switches it off when it is made",
                self.full_name(&code.name)
            );
            self.report.over.push(what.clone());
            self.miss(what);
        }
        let drop = format!("DROP {} IF EXISTS {}", code.kind.sql(), name(&code.name));
        let (_, current) = schema::database_collation(self.session, self.database)?;
        let Some(own) = definition
            .database_collation
            .as_ref()
            .filter(|own| **own != current)
        else {
            return Ok(self.script.stored_code(&drop, &definition)?);
        };
        // Stored code keeps the default collation that its database had then.
        let alter =
            |collation: &str| format!("ALTER DATABASE {} COLLATE {collation}", name(self.database));
        self.script.statement(&alter(own))?;
        self.script.stored_code(&drop, &definition)?;
        Ok(self.script.statement(&alter(&current))?)
    }

    fn finish(self) -> Result<(W, DumpReport), Failure> {
        let Self {
            script,
            mut report,
            database,
            ..
        } = self;
        let summary = format!("{} tables, {} rows", report.tables, report.rows);
        let (out, written_bytes) = script
            .finish(&summary)
            .map_err(|error| Failure::write(database, error))?;
        report.source_bytes = written_bytes;
        Ok((out, report))
    }

    /// Saves one object. What the account may not see, or the server cannot read, is named and
    /// passed over.
    fn step(
        &mut self,
        object: &str,
        save: impl FnOnce(&mut Self) -> Result<(), StepFailure>,
    ) -> Result<(), Failure> {
        match save(self) {
            Ok(()) => Ok(()),
            Err(StepFailure::Read(cause)) if self.is_passed_over(&cause) => {
                self.miss(format!("{object}: {cause}"));
                Ok(())
            }
            Err(StepFailure::Hidden) => {
                self.miss(format!(
                    "{object}: the account may not see its body; grant SELECT on mysql.proc"
                ));
                Ok(())
            }
            Err(StepFailure::Read(cause)) => Err(self.failure(object, cause)),
            Err(StepFailure::Write(error)) => Err(Failure::write(self.database, error)),
            Err(StepFailure::Stopped) => Err(self.stopped()),
        }
    }

    /// Something that stays gone in the last attempt is damaged rather than being changed.
    fn is_passed_over(&self, cause: &Cause) -> bool {
        match cause.meaning() {
            Meaning::Withheld => true,
            Meaning::Gone => self.attempt == ATTEMPTS,
            Meaning::Changed | Meaning::Lost => false,
        }
    }

    /// For what a dump cannot do without.
    fn must<T>(&self, object: &str, answer: Result<T, Cause>) -> Result<T, Failure> {
        answer.map_err(|cause| self.failure(object, cause))
    }

    fn failure(&self, object: &str, source: Cause) -> Failure {
        let (database, object) = (self.database.to_owned(), object.to_owned());
        match source.meaning() {
            Meaning::Changed | Meaning::Gone => Failure::Changed { object, source },
            Meaning::Lost => Failure::Fatal(Error::Lost {
                database,
                object,
                source,
            }),
            Meaning::Withheld => Failure::Fatal(Error::List {
                what: format!("{object} of {database}"),
                source,
            }),
        }
    }

    fn check_stop(&self) -> Result<(), Failure> {
        if self.watch.stop.load(Ordering::Relaxed) {
            Err(self.stopped())
        } else {
            Ok(())
        }
    }

    fn stopped(&self) -> Failure {
        Failure::Fatal(Error::Stopped {
            database: self.database.to_owned(),
        })
    }

    fn full_name(&self, object: &str) -> String {
        format!("{}.{}", name(self.database), name(object))
    }

    fn miss(&mut self, what: String) {
        self.report.missing.push(what);
    }

    fn warn(&mut self, what: String) {
        self.report.warnings.push(what);
    }
}
