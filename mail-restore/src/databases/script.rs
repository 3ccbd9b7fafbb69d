//! The stored code of a dump: views, triggers, routines and events, with the settings under which
//! the dump makes them.
//!
//! It is run after all tables of all databases, twice: first in scratch databases, where nothing
//! depends on it, to see that the server takes each of them; then in place. What names something
//! that is not there (yet) is tried again when all others are made, and is named alone in the end;
//! what the server refuses for any other reason ends the run while nothing is touched.

use mail_common::relpath::RelPath;
use mail_mysql::{Cause, ConnectionSettings};

use super::action::StoredStep;
use super::error::Error;
use super::found::StoredKey;
use super::kind::{DatabaseVerb, StoredKind};
use super::modes::Modes;
use super::relocate::{self, Places};
use super::send;
use super::server::{Server, literal, name};
use super::statement::Statement;

/// One statement of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Sets something of the session.
    Session(Statement),
    /// Selects a database.
    Use(String),
    /// Makes or alters a database.
    Database(DatabaseVerb, String, Statement),
    /// Makes or drops stored code.
    Stored(StoredStep, Statement),
}

/// The stored code of a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    steps: Vec<Step>,
    implied: Option<String>,
}

/// What of a script is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it, events switched off, to see whether the server takes it.
    Rehearsal,
    /// All but events.
    Code,
    /// Events, which begin to run by themselves: they come last.
    Events,
}

/// Stored code that could not be made, since what it names is not there.
#[derive(Clone, Debug)]
pub(super) struct Unmade {
    pub(super) key: StoredKey,
    pub(super) file: RelPath,
    pub(super) line: u64,
    pub(super) cause: Cause,
    retry: Vec<String>,
}

impl Unmade {
    /// An event that the server dropped as soon as it was made.
    pub(super) fn over(key: StoredKey, file: RelPath) -> Self {
        let cause = Cause::Server {
            code: 1544,
            message: "the time of the event is over".to_owned(),
        };
        Self {
            key,
            file,
            line: 0,
            cause,
            retry: Vec::new(),
        }
    }
}

impl Unmade {
    /// For messages, with its file.
    pub(super) fn describe(&self) -> (RelPath, String) {
        let (database, kind, object) = &self.key;
        let text = format!(
            "{} {}.{} is not restored (line {}): {}; all else is in place",
            kind.word(),
            name(database),
            name(object),
            self.line,
            self.cause
        );
        (self.file.clone(), text)
    }
}

impl Script {
    pub(super) fn new(steps: Vec<Step>, implied: Option<String>, has_code: bool) -> Self {
        if has_code {
            Self { steps, implied }
        } else {
            Self::default()
        }
    }

    /// Runs a part in the databases' places, and gives back what is to be tried again.
    pub(super) fn run(
        &self,
        connection: &ConnectionSettings,
        file: &RelPath,
        places: &Places,
        part: Part,
    ) -> Result<Vec<Unmade>, Error> {
        if self.steps.is_empty() {
            return Ok(Vec::new());
        }
        let mut runner = Runner {
            server: Server::connect(connection)?,
            file,
            places,
            part,
            kept: None,
            unmade: Vec::new(),
        };
        if let Some(database) = &self.implied {
            runner.select(database)?;
        }
        for step in &self.steps {
            runner.step(step)?;
        }
        Ok(runner.unmade)
    }
}

/// Tries again what could not be made, as long as that helps, and gives back the rest.
pub(super) fn retry(
    connection: &ConnectionSettings,
    mut unmade: Vec<Unmade>,
) -> Result<Vec<Unmade>, Error> {
    loop {
        let before = unmade.len();
        let mut rest = Vec::new();
        for mut attempt in unmade {
            // A session of its own: what one leaves set is nothing to the next.
            let mut server = Server::connect(connection)?;
            let done = attempt
                .retry
                .iter()
                .try_for_each(|statement| server.run(statement));
            if let Err(cause) = done {
                attempt.cause = cause;
                rest.push(attempt);
            }
        }
        if rest.is_empty() || rest.len() == before {
            return Ok(rest);
        }
        unmade = rest;
    }
}

/// Code that waits to be run.
struct Kept {
    key: StoredKey,
    /// The statement that keeps it.
    keep: String,
}

struct Runner<'a> {
    server: Server,
    file: &'a RelPath,
    places: &'a Places,
    part: Part,
    kept: Option<Kept>,
    unmade: Vec<Unmade>,
}

impl Runner<'_> {
    fn step(&mut self, step: &Step) -> Result<(), Error> {
        match step {
            Step::Session(statement) => self.send(statement),
            Step::Use(database) => self.select(database),
            Step::Database(DatabaseVerb::Alter, _, statement) => {
                let text = relocate::database(&statement.text, statement.modes, self.places);
                self.send(&Statement {
                    text,
                    ..statement.clone()
                })
            }
            Step::Database(..) => Ok(()),
            Step::Stored(StoredStep::Drop(kind), statement) if self.wants(*kind) => {
                let text = relocate::names(&statement.text, statement.modes, self.places);
                self.send(&Statement {
                    text,
                    ..statement.clone()
                })
            }
            Step::Stored(StoredStep::Create(key), statement) if self.wants(key.1) => {
                self.create(key, statement)
            }
            Step::Stored(StoredStep::Keep(key, code, modes), statement) => {
                self.keep(key, code, *modes, statement)
            }
            Step::Stored(StoredStep::Run, statement) => self.run_kept(statement),
            Step::Stored(..) => Ok(()),
        }
    }

    fn wants(&self, kind: StoredKind) -> bool {
        match self.part {
            Part::Rehearsal => true,
            Part::Code => kind != StoredKind::Event,
            Part::Events => kind == StoredKind::Event,
        }
    }

    fn select(&mut self, database: &str) -> Result<(), Error> {
        let place = self.places.get(database).map_or(database, String::as_str);
        let selected = self.server.run(&format!("USE {}", name(place)));
        selected.map_err(|source| Error::Prepare {
            database: database.to_owned(),
            source,
        })
    }

    fn send(&mut self, statement: &Statement) -> Result<(), Error> {
        send::send(&mut self.server, statement).map_err(|failure| failure.at(self.file, statement))
    }

    /// The code as it is where it is made now.
    fn placed(&self, kind: StoredKind, text: &[u8], modes: Modes) -> Vec<u8> {
        let text = relocate::head(text, modes, self.places);
        if self.part == Part::Rehearsal && kind == StoredKind::Event {
            relocate::switched_off(&text, modes)
        } else {
            text
        }
    }

    fn create(&mut self, key: &StoredKey, statement: &Statement) -> Result<(), Error> {
        let statement = Statement {
            text: self.placed(key.1, &statement.text, statement.modes),
            ..statement.clone()
        };
        match send::send(&mut self.server, &statement) {
            Err(send::Failure::Server(cause)) if is_absence(&cause) => {
                let text = send::text_of(&statement)
                    .map_err(|failure| failure.at(self.file, &statement))?;
                self.put_off(key.clone(), statement.line, cause, None, text)
            }
            sent => sent.map_err(|failure| failure.at(self.file, &statement)),
        }
    }

    /// Text is kept as text, whatever the session's character set will be when it runs; bytes are
    /// kept as bytes, which are run as they are.
    fn keep(
        &mut self,
        key: &StoredKey,
        code: &[u8],
        modes: Modes,
        statement: &Statement,
    ) -> Result<(), Error> {
        self.kept = None;
        if !self.wants(key.1) {
            return Ok(());
        }
        let code = self.placed(key.1, code, modes);
        let digits: String = code.iter().map(|byte| format!("{byte:02X}")).collect();
        let keep = if std::str::from_utf8(&code).is_ok() {
            format!("SET @mail_backup_code = CONVERT(X'{digits}' USING utf8mb4)")
        } else {
            format!("SET @mail_backup_code = X'{digits}'")
        };
        let kept = self.server.run(&keep);
        kept.map_err(|cause| send::Failure::Server(cause).at(self.file, statement))?;
        self.kept = Some(Kept {
            key: key.clone(),
            keep,
        });
        Ok(())
    }

    fn run_kept(&mut self, statement: &Statement) -> Result<(), Error> {
        const RUN: &str = "EXECUTE IMMEDIATE @mail_backup_code";
        let Some(Kept { key, keep }) = self.kept.take() else {
            return Ok(());
        };
        match self.server.run(RUN) {
            Ok(()) => Ok(()),
            Err(cause) if is_absence(&cause) => {
                self.put_off(key, statement.line, cause, Some(keep), RUN.to_owned())
            }
            Err(source) => Err(Error::Statement {
                file: self.file.clone(),
                line: statement.line,
                statement: format!("CREATE {} {}", key.1.word(), key.2),
                source,
            }),
        }
    }

    /// Notes what it takes to try again: the database, the settings of the session, the code.
    fn put_off(
        &mut self,
        key: StoredKey,
        line: u64,
        cause: Cause,
        keep: Option<String>,
        run: String,
    ) -> Result<(), Error> {
        let asked = self
            .server
            .rows("SELECT @@sql_mode, @@time_zone, @@character_set_client, @@collation_connection");
        let row = asked
            .map_err(|source| Error::Ask {
                what: "the settings of the session",
                source,
            })?
            .into_iter()
            .next()
            .unwrap_or_default();
        let setting = |at: usize| literal(row.get(at).map_or("", String::as_str));
        let place = self.places.get(&key.0).unwrap_or(&key.0);
        let mut retry = vec![format!("USE {}", name(place))];
        retry.extend(keep);
        retry.push(format!(
            "SET sql_mode = {}, time_zone = {}, character_set_client = {}, collation_connection = \
             {}",
            setting(0),
            setting(1),
            setting(2),
            setting(3)
        ));
        retry.push(run);
        self.unmade.push(Unmade {
            key,
            file: self.file.clone(),
            line,
            cause,
            retry,
        });
        Ok(())
    }
}

/// Whether something that is named is not there: a database, a table, a column, a routine, the
/// table under a view, a definer.
fn is_absence(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::Server {
            code: 1049 | 1054 | 1146 | 1305 | 1356 | 1449,
            ..
        }
    )
}
