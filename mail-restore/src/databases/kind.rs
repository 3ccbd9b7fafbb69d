//! What a statement does, as far as loading must know: whom it concerns, and whether a dump may say
//! it at all.

/// What a statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sets something of the session.
    Session,
    /// As [`Kind::Session`]: a variable that will be run by EXECUTE IMMEDIATE.
    Code(Vec<u8>),
    /// Selects a database.
    Use(String),
    /// Makes, changes or drops a database.
    Database(DatabaseVerb, String),
    /// Concerns one table and no other.
    Table(TableVerb, Named),
    /// Concerns a sequence, or a table as others may depend on it.
    Object(Named),
    /// Makes or drops a view, a trigger, a routine or an event.
    Stored(StoredVerb, StoredKind, Named),
    /// Runs the variable of [`Kind::Code`].
    RunCode,
    /// Locks and transactions, which are the loader's own business.
    Superfluous,
    /// Has no effect but an answer that nobody reads, or is for another server, by these words.
    Idle(String),
    /// Concerns accounts or the server, by these words.
    Server(String),
    /// No dump says this.
    Foreign(String),
}

/// What becomes of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DatabaseVerb {
    Create,
    Alter,
    Drop,
}

/// What becomes of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableVerb {
    Create,
    Drop,
    Insert,
    /// DELETE of all rows.
    Empty,
    /// DISABLE KEYS, ENABLE KEYS.
    Keys,
}

/// What becomes of a stored object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoredVerb {
    Create,
    Drop,
}

/// What the database keeps beside tables and sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StoredKind {
    View,
    Trigger,
    /// A procedure, a function or a package.
    Routine,
    Event,
}

/// A name, perhaps with the database before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) database: Option<String>,
    pub(super) name: String,
}

impl StoredKind {
    /// For messages.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Trigger => "trigger",
            Self::Routine => "routine",
            Self::Event => "event",
        }
    }
}
