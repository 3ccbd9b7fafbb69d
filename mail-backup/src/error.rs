//! What can go wrong with a run, and what kind of failure that is. The kind chooses the exit code
//! of a run that it ends (ARCHITECTURE, "Exit codes").

use std::io;
use std::path::PathBuf;

use mail_common::config;
use mail_common::failure::{Failed, Failure, FailureKind};
use mail_common::interrupt::Interrupted;
use mail_common::set::{self, Component, SetId};
use mail_common::signature;
use mail_common::suspicion::HoldError;
use mail_mysql::Cause;

use crate::mailboxes;
use crate::retention::Refusal;
use crate::trust::Untrusted;

/// Why a run ends, or a part of it is missing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    // Found while planning: nothing was touched.
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error("read the settings of the database connection")]
    ConnectionSettings(#[source] mail_mysql::Error),
    #[error(
        "{} is not mounted (BACKUP_MOUNTPOINT); mount the backup disk: nothing was written",
        mountpoint.display()
    )]
    NotMounted { mountpoint: PathBuf },
    #[error(transparent)]
    MountPoint(Failed),
    #[error(
        "the backup root cannot be used; create the directory, or name another with --root or \
         BACKUP_ROOT"
    )]
    Root(#[source] set::Error),
    #[error(transparent)]
    RootNotWritable(Failed),
    #[error("the path of the backup root {root:?} is not UTF-8, as records are; use another name")]
    RootName { root: PathBuf },
    #[error(
        "the backup root {} lies in {}, which is to be saved: each set would contain the ones \
         before it",
        root.display(), source_directory.display()
    )]
    RootInSource {
        root: PathBuf,
        source_directory: PathBuf,
    },
    #[error(
        "{} has {free} {unit} free, and a backup needs at least {needed}; make room or use another \
         disk",
        root.display()
    )]
    NoRoom {
        root: PathBuf,
        free: u64,
        needed: u64,
        /// `bytes` or `inodes`.
        unit: &'static str,
    },

    #[error(
        "there is no {component} to save: {setting} says that the server has none; name the \
         directory with --{component}-dir"
    )]
    NoSource {
        component: Component,
        setting: &'static str,
    },
    #[error(
        "there is nothing to save: SSL_DIR and DKIM_DIR say that the server does not have what \
         BACKUP_COMPONENTS names; name mailboxes, mysql or config, too"
    )]
    NothingWanted,

    #[error("EXCLUDE: {pattern:?} is not a pattern")]
    Exclude {
        pattern: String,
        source: glob::PatternError,
    },

    // Found before anything is saved.
    #[error(
        "the clock says {now}, but {} was begun later, at {begun}; set the clock, or pass --date \
         to replace that set",
        set.display()
    )]
    ClockBehind {
        now: String,
        set: PathBuf,
        begun: String,
    },
    #[error(
        "parts cannot be added to {}: the old scripts made it, or it is damaged; run mail-backup \
         without --component, or move it away",
        set.display()
    )]
    NotExtendable { set: PathBuf },
    #[error("go on with the set of the day; run mail-backup without --component to make a new one")]
    DaysSet(#[source] Untrusted),

    // A part is missing, or the run cannot go on.
    #[error(transparent)]
    Failed(#[from] Failed),
    #[error("the set is whole and was kept, but it is not signed")]
    NotSigned(#[source] signature::Error),
    #[error(transparent)]
    Set(#[from] set::Error),
    #[error("read {}; if the server has none, say so: {say}", path.display())]
    NotThere {
        path: PathBuf,
        /// A setting and its value.
        say: String,
        source: io::Error,
    },
    #[error("{connect}; if there is no database server, say so: {say}")]
    NoServer {
        /// What was done.
        connect: String,
        /// A setting and its value.
        say: String,
        source: Cause,
    },
    #[error(
        "{set} still lacks what failed before: {components}; run mail-backup --component {first} \
         when that is mended, or mail-backup"
    )]
    StillLacking {
        set: String,
        /// Names, with commas.
        components: String,
        first: Component,
    },
    #[error("look after the canary in {}{advice}", place.display())]
    Canary {
        place: PathBuf,
        /// What to do about it, after a semicolon; empty where only the cause says that.
        advice: String,
        source: io::Error,
    },
    #[error(transparent)]
    Mailboxes(#[from] mailboxes::Error),
    #[error("the message was moved too often to be read; run mail-backup again")]
    StillMoving,
    #[error(transparent)]
    Database(#[from] mail_mysql::Error),
    /// Something that a dump lacks, in words.
    #[error("{0}")]
    Lacking(String),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    #[error("nothing could be saved; the sets that were there are untouched")]
    NothingSaved,

    #[error(
        "{set} is from before the alarm and stays; what was saved now is in {set}.incomplete: look \
         at it, then run mail-backup --accept, and mail-backup again"
    )]
    FromBeforeAlarm { set: SetId },
    #[error(transparent)]
    Hold(#[from] HoldError),
    // Found by a run that reads everything: the set that it made is good.
    #[error(
        "{} is damaged or missing; what it held is saved again. Check the backup disk, and the \
         other sets with mail-check set",
        file.display()
    )]
    StoredDamage { file: PathBuf },
    #[error(
        "{} holds other bytes than when it was saved, and nothing has written to it since: its \
         disk may be failing. The new set has it as it is now, and {} as it was",
        file.display(), set.display()
    )]
    LiveDamage { file: PathBuf, set: PathBuf },

    // Found by retention.
    #[error("old sets were not removed: {}", refusal_text(.0))]
    RetentionRefused(Refusal),
}

impl Error {
    /// Why nobody could log in to the database server; `say` says that there is none.
    pub(crate) fn of_log_in(error: mail_mysql::Error, say: &str) -> Self {
        let connect = error.to_string();
        match error {
            mail_mysql::Error::Connect { source, .. } => Self::NoServer {
                connect,
                say: say.to_owned(),
                source,
            },
            error => Self::Database(error),
        }
    }
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Config(error) => error.kind(),
            // A root that cannot be written is a wrong setting or user: nothing was touched.
            Self::ConnectionSettings(_)
            | Self::NothingWanted
            | Self::Exclude { .. }
            | Self::RootNotWritable(_)
            | Self::RootName { .. }
            | Self::RootInSource { .. } => FailureKind::Configuration,
            Self::NotMounted { .. } | Self::MountPoint(_) | Self::Root(_) => {
                FailureKind::NotMounted
            }
            Self::NoRoom { .. } => FailureKind::NoSpace,
            Self::ClockBehind { .. } => FailureKind::Clock,
            Self::NoSource { .. } | Self::NotExtendable { .. } => FailureKind::Usage,
            Self::DaysSet(error) => error.kind(),
            Self::Failed(failed) => failed.kind(),
            // A set without its closing files is not made: the run could not finish.
            Self::Set(set::Error::NotComplete { .. }) => FailureKind::State,
            Self::Set(error) => error.kind(),
            Self::NotSigned(error) => error.kind(),
            Self::Mailboxes(error) => error.kind(),
            Self::NotThere { source, .. } | Self::Canary { source, .. } => {
                FailureKind::of_io(source)
            }
            Self::NoServer { .. } => FailureKind::Database,
            Self::StillLacking { .. } => FailureKind::Missing,
            Self::StoredDamage { .. } | Self::LiveDamage { .. } => FailureKind::Damaged,
            Self::StillMoving => FailureKind::Changed,
            Self::Database(error) => error.kind(),
            Self::Lacking(_) => FailureKind::Database,
            Self::Interrupted(interrupted) => interrupted.kind(),
            Self::NothingSaved => FailureKind::NothingDone,
            Self::FromBeforeAlarm { .. } => FailureKind::Refused,
            Self::Hold(error) => error.kind(),
            Self::RetentionRefused(Refusal::ClockSetBack { .. }) => FailureKind::Clock,
            Self::RetentionRefused(Refusal::SuspiciouslySmall { .. }) => FailureKind::Refused,
        }
    }
}

/// Why retention refuses, and what to do about it.
pub(crate) fn refusal_text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::ClockSetBack { latest, new } => format!(
            "there is a set of a later date ({latest}) than the new one ({new}): was the clock set \
             back? Set it right; retention goes on when the new sets are the youngest again"
        ),
        Refusal::SuspiciouslySmall {
            stored_bytes,
            median_bytes,
        } => format!(
            "the new set has {stored_bytes} bytes, under half of the usual {median_bytes}; look at \
             it, and if it is right run mail-backup --prune-only --force"
        ),
    }
}
