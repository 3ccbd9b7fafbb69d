//! Why a run ends without having done what was asked.
//!
//! Whatever is built is thrown away and whatever was exchanged is put back before one of these is
//! returned: what was there is there. Where that could not be done, the message says what is where.

use std::io;
use std::path::PathBuf;

use mail_common::config;
use mail_common::exit::Exit;
use mail_common::failure::{Failed, Failure, FailureKind};
use mail_common::interrupt::Interrupted;
use mail_common::jsonl;
use mail_common::set::{self, Component, InventoryError, MailboxError};
use mail_common::signature;

use crate::{databases, find, messages, unpack};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Records(#[from] jsonl::Error),
    #[error(transparent)]
    Set(#[from] set::Error),
    #[error("the records name no set; name it by --from")]
    NoSetNamed,
    #[error(
        "the records name {} sets, such as {} and {}; name one by --from",
        sets.len(), sets[0], sets[1]
    )]
    SeveralSets { sets: Vec<String> },
    #[error("this set cannot be restored")]
    Inventory(#[from] InventoryError),
    #[error("this set is not restored")]
    Signature(#[from] signature::Error),
    #[error("this set cannot be restored")]
    Mailbox(#[from] MailboxError),
    #[error("{} holds no {component}; it holds {held}", set.display())]
    NoComponent {
        set: PathBuf,
        component: Component,
        held: String,
    },
    #[error(
        "the settings say that this server has no {component}; name its directory with \
         --{component}-dir, or restore with --to"
    )]
    NoPlace { component: Component },
    #[error(
        "{} holds nothing that the settings say this server has; see BACKUP_COMPONENTS, or name \
         it with --component",
        set.display()
    )]
    NotHere { set: PathBuf },
    #[error("{} holds nothing that can be restored", set.display())]
    Empty { set: PathBuf },
    #[error(
        "no file of {component} in {} can be used; nothing was touched: name the other components \
         by --component",
        set.display()
    )]
    Nothing { set: PathBuf, component: Component },
    #[error("single messages are verified as they are read; leave out --verify, or use --dry-run")]
    VerifyMessages,
    #[error("messages are in mailboxes; leave out --component, or name mailboxes alone")]
    OtherComponents,
    #[error("read the settings of the database connection")]
    Connection(#[source] mail_mysql::Error),
    #[error(
        "the backup root {} is not there: the current databases would be saved in it; make the \
         directory, or name another by --root",
        root.display()
    )]
    NoRoot { root: PathBuf },

    #[error(
        "{} is a mount point and cannot change places with another directory; use --to \
         {}/restored, then move what is in it",
        target.display(), target.display()
    )]
    MountPoint { target: PathBuf },
    #[error(
        "{} is not a {wanted}, and would be replaced by one; move it away or name another target",
        target.display()
    )]
    OtherKind {
        target: PathBuf,
        wanted: &'static str,
    },
    #[error("{} holds the set; it cannot be replaced by what is in it", target.display())]
    SetInTarget { target: PathBuf },
    #[error("{} holds the backup root; it cannot be replaced", target.display())]
    RootInTarget { target: PathBuf },
    #[error(
        "{} holds the mail root, {}, of which this run restores nothing; restore both \
         (--component {component} --component mailboxes), or with --to DIR",
        target.display(), mail.display()
    )]
    MailInTarget {
        target: PathBuf,
        mail: PathBuf,
        component: Component,
    },
    #[error("{} lies in the set; restore to another place", target.display())]
    TargetInSet { target: PathBuf },
    #[error(
        "{} is not there, and {} is to be restored into it; make the directory first",
        parent.display(), target.display()
    )]
    NoParent { target: PathBuf, parent: PathBuf },
    #[error(
        "{} cannot be written, and {} is to be restored into it",
        parent.display(), target.display()
    )]
    NotWritable {
        target: PathBuf,
        parent: PathBuf,
        source: io::Error,
    },
    #[error(
        "{} is there already and is not empty; restore into another directory",
        target.display()
    )]
    NotEmpty { target: PathBuf },
    #[error(
        "{} has {free_bytes} bytes free, and what is restored beside the present state takes \
         {needed_bytes}; make room or use --to on another disk",
        place.display()
    )]
    NoRoom {
        place: PathBuf,
        free_bytes: u64,
        needed_bytes: u64,
    },
    #[error("{} has {free} inodes free, and {needed} files are to be restored", place.display())]
    NoInodes {
        place: PathBuf,
        free: u64,
        needed: u64,
    },

    #[error("another restore is at work in {}; wait for it to end", directory.display())]
    TargetLocked { directory: PathBuf },
    #[error(
        "{damaged} files of the set are damaged; nothing was touched: use another set, or \
         --component for what is whole"
    )]
    Damaged { damaged: u64 },
    #[error(
        "{refused} files are not known to be clean; nothing was restored: scan the set, or leave \
         out --require-scan"
    )]
    NotClean { refused: u64 },
    #[error(
        "{refused} files of {set} are not known to be clean; the messages that were found in them, \
         and beside these, were not restored: scan the set, or leave out --require-scan"
    )]
    NotCleanOfSearch { refused: u64, set: String },
    #[error("restore {}: everything is as it was", target.display())]
    Build {
        target: PathBuf,
        source: unpack::Error,
    },
    #[error("put the new {} in place: everything is as it was", target.display())]
    Swap { target: PathBuf, source: io::Error },
    #[error("{}", sentences(left))]
    RollBack {
        left: Vec<NotPutBack>,
        source: io::Error,
    },
    #[error(transparent)]
    Databases(#[from] databases::Error),

    #[error(transparent)]
    Messages(#[from] messages::Error),
    #[error(transparent)]
    Find(#[from] find::Error),
    #[error(
        "{} does not say which message is meant; choose one of those listed, by --mailbox or \
         --path; nothing was restored",
        message_ids.join(", ")
    )]
    Ambiguous { message_ids: Vec<String> },
    #[error(
        "interrupted by a signal: {left} messages were not reached; run again, and those that are \
         there are left alone"
    )]
    MessagesInterrupted { left: usize },
    #[error(
        "nothing more can be written, and not every message was restored; make room and run the \
         same command again: those that are there are left alone"
    )]
    Full,
    #[error(
        "{left} messages were not restored, for the reasons above; run again when these are \
         mended, and those that are there are left alone"
    )]
    MessagesLeft { left: usize },

    #[error(transparent)]
    Failed(#[from] Failed),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// How a run exits that a failure of this kind ends. Damage, and files that are not known to be
/// clean, are an answer only where a question was asked (`--dry-run`, `--verify`); a restore that
/// they end was not done.
pub(crate) const fn exit_of(kind: FailureKind) -> Exit {
    match kind {
        FailureKind::Damaged
        | FailureKind::Missing
        | FailureKind::Infected
        | FailureKind::Unscanned => Exit::Unfinished,
        kind => kind.exit(),
    }
}

/// What is new, though the restore failed.
#[derive(Debug)]
pub(crate) struct NotPutBack {
    pub(crate) target: PathBuf,
    /// Where the old one is, if there was one.
    pub(crate) kept: Option<PathBuf>,
}

fn sentences(left: &[NotPutBack]) -> String {
    let sentence = |NotPutBack { target, kept }: &NotPutBack| match kept {
        Some(kept) => format!(
            "{} could not be put back: what was there is {}, move it back by hand",
            target.display(),
            kept.display()
        ),
        None => format!(
            "the new {} could not be taken away: nothing was there before, remove it by hand",
            target.display()
        ),
    };
    left.iter().map(sentence).collect::<Vec<_>>().join("; ")
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Config(error) => error.kind(),
            Self::Records(error) => error.kind(),
            Self::Set(error) => error.kind(),
            Self::Inventory(error) => error.kind(),
            Self::Signature(error) => error.kind(),
            Self::Mailbox(error) => error.kind(),
            Self::Connection(_) => FailureKind::Configuration,
            Self::NoRoot { .. } => FailureKind::NotMounted,
            Self::NoComponent { .. }
            | Self::NotHere { .. }
            | Self::Empty { .. }
            | Self::Nothing { .. } => FailureKind::NoSuch,
            Self::NoSetNamed
            | Self::NoPlace { .. }
            | Self::SeveralSets { .. }
            | Self::VerifyMessages
            | Self::OtherComponents
            | Self::MountPoint { .. }
            | Self::OtherKind { .. }
            | Self::SetInTarget { .. }
            | Self::RootInTarget { .. }
            | Self::MailInTarget { .. }
            | Self::TargetInSet { .. }
            | Self::NoParent { .. }
            | Self::NotWritable { .. }
            | Self::NotEmpty { .. } => FailureKind::Usage,
            Self::NoRoom { .. } | Self::NoInodes { .. } | Self::Full => FailureKind::NoSpace,
            Self::TargetLocked { .. } => FailureKind::Locked,
            Self::Damaged { .. } => FailureKind::Damaged,
            Self::NotClean { .. } | Self::NotCleanOfSearch { .. } => FailureKind::Unscanned,
            Self::Build { source, .. } => source.kind(),
            Self::Swap { source, .. } | Self::RollBack { source, .. } => FailureKind::of_io(source),
            Self::Databases(error) => error.kind(),
            Self::Messages(error) => error.kind(),
            Self::Find(error) => error.kind(),
            Self::Ambiguous { .. } => FailureKind::Ambiguous,
            Self::MessagesInterrupted { .. } => FailureKind::Interrupted,
            Self::MessagesLeft { .. } => FailureKind::Io,
            Self::Failed(failed) => failed.kind(),
            Self::Interrupted(interrupted) => interrupted.kind(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_taken_back_is_said_with_where_the_old_one_is() {
        let left = |target: &str, kept: Option<&str>| NotPutBack {
            target: target.into(),
            kept: kept.map(PathBuf::from),
        };
        assert_eq!(
            sentences(&[left("/mail", Some("/mail.bak.T")), left("/ssl", None)]),
            "/mail could not be put back: what was there is /mail.bak.T, move it back by hand; \
             the new /ssl could not be taken away: nothing was there before, remove it by hand"
        );
    }
}
