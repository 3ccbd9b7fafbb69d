//! What is left out of a restore because a scanner did not find it clean: single members of
//! archives, where everything else in them was. A file that is refused as a whole is not left out:
//! a tree without it would take the place of one that has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mail_common::clearance::{Refusal, RefusedMember, refused_files};
use mail_common::failure::{Failure, FailureKind};
use mail_common::relpath::RelPath;
use mail_common::set::SetFile;
use mail_common::upstream::Upstream;

use crate::setup::LeaveOut;

/// Members that are not restored, by the files of the set that hold them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    members: BTreeMap<RelPath, BTreeSet<RelPath>>,
    nothing: BTreeSet<RelPath>,
}

/// What a scanner's verdicts mean for the files that are to be used.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) left_out: LeftOut,
    /// Of each member that is left out, why.
    pub(crate) reasons: Vec<Reason>,
    /// What may not be used at all.
    pub(crate) refused: Vec<Refusal>,
}

/// Why a member is left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("left out of the restore: {}, since {}", member.member, member.refusal)]
pub(crate) struct Reason {
    pub(crate) member: RefusedMember,
}

impl Failure for Reason {
    fn kind(&self) -> FailureKind {
        self.member.refusal.kind()
    }
}

/// Judges `files` of the set in the directory `set` by what `upstream` says.
pub(crate) fn judge<'a>(
    leave_out: LeaveOut,
    upstream: &Upstream,
    set: &Path,
    files: impl IntoIterator<Item = &'a SetFile>,
) -> Judged {
    let files: BTreeMap<&RelPath, &SetFile> =
        files.into_iter().map(|file| (&file.path, file)).collect();
    let mut judged = Judged::default();
    let may_go = |members: &Vec<RefusedMember>| {
        let mut members = members.iter();
        members.all(|member| leave_out.has(member.refusal.kind()))
    };
    for refused in refused_files(upstream, set, files.values().copied()) {
        let file = files.get(refused.refusal.path());
        // The old scripts put something before the names in their archives.
        let is_recorded = file.is_some_and(|file| file.recorded.is_some());
        match refused
            .members
            .filter(|members| is_recorded && may_go(members))
        {
            None => judged.refused.push(refused.refusal),
            Some(members) => judged.leave_out(refused.refusal.path(), members),
        }
    }
    judged
}

impl Judged {
    fn leave_out(&mut self, file: &RelPath, members: Vec<RefusedMember>) {
        for member in members {
            let of_file = self.left_out.members.entry(file.clone()).or_default();
            // Several scans may speak of it.
            if of_file.insert(member.member.clone()) {
                self.reasons.push(Reason { member });
            }
        }
    }
}

impl LeftOut {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members of the file `archive` of a set.
    pub(crate) fn of(&self, archive: &RelPath) -> &BTreeSet<RelPath> {
        self.members.get(archive).unwrap_or(&self.nothing)
    }

    /// Whether `path` of a tree is a member of any of them.
    pub(crate) fn has(&self, path: &RelPath) -> bool {
        self.members.values().any(|members| members.contains(path))
    }
}
