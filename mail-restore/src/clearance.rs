//! Whether a scanner has found every file clean that is to be used. What it did not see is not
//! clean.

use std::collections::HashMap;
use std::path::Path;

use mail_common::record::{Verdict, VerdictStatus};
use mail_common::relpath::RelPath;
use mail_common::set::SetFile;

use crate::upstream::set_of;

/// Why a file may not be restored.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    #[error("{path} is infected with {signature}")]
    Infected { path: RelPath, signature: String },
    #[error("{path} was not scanned: {reason}")]
    Unscanned { path: RelPath, reason: String },
    #[error("{path} has no verdict")]
    NoVerdict { path: RelPath },
    #[error("{path} is not what was scanned: its verdict is for another content")]
    OtherContent { path: RelPath },
}

impl Refusal {
    /// The file, relative to the set.
    pub(crate) fn path(&self) -> &RelPath {
        match self {
            Self::Infected { path, .. }
            | Self::Unscanned { path, .. }
            | Self::NoVerdict { path }
            | Self::OtherContent { path } => path,
        }
    }
}

/// Which of `files` of the set in directory `set` are not clean by `verdicts`. The worst verdict on
/// a file or a member of it counts; only one on the file itself, with its digest, makes it clean.
pub(crate) fn refusals(set: &Path, files: &[&SetFile], verdicts: &[Verdict]) -> Vec<Refusal> {
    let mut of_file: HashMap<RelPath, Vec<&Verdict>> = HashMap::new();
    for verdict in verdicts.iter().filter(|verdict| is_of(set, verdict)) {
        if let Ok(path) = RelPath::try_from(&verdict.path) {
            of_file.entry(path).or_default().push(verdict);
        }
    }
    let none = Vec::new();
    files
        .iter()
        .filter_map(|file| refusal(file, of_file.get(&file.path).unwrap_or(&none)))
        .collect()
}

fn refusal(file: &SetFile, verdicts: &[&Verdict]) -> Option<Refusal> {
    let path = file.path.clone();
    let with = |status| verdicts.iter().find(|verdict| verdict.status == status);
    if let Some(verdict) = with(VerdictStatus::Infected) {
        return Some(Refusal::Infected {
            path,
            signature: verdict.signature.clone().unwrap_or_default(),
        });
    }
    if let Some(verdict) = with(VerdictStatus::Unscanned) {
        return Some(Refusal::Unscanned {
            path,
            reason: verdict.reason.clone().unwrap_or_default(),
        });
    }
    match verdicts.iter().find(|verdict| verdict.member.is_none()) {
        None => Some(Refusal::NoVerdict { path }),
        Some(verdict) if verdict.sha256 != Some(file.sha256) => {
            Some(Refusal::OtherContent { path })
        }
        Some(_) => None,
    }
}

/// Whether a verdict is on the set in directory `set`.
fn is_of(set: &Path, verdict: &Verdict) -> bool {
    let Some(name) = set_of(verdict) else {
        return false;
    };
    let named = Path::new(name.root).join(name.set);
    let resolved = |path: &Path| path.canonicalize().ok();
    named == set || resolved(&named).is_some_and(|named| Some(named) == resolved(set))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_common::checksum::Sha256;
    use mail_common::relpath::PathField;

    const SET: &str = "/b/daily/2026-11-23";

    fn file() -> SetFile {
        let path = RelPath::new("dkim/dkim.tar.zst").unwrap();
        SetFile {
            path,
            sha256: Sha256::of(b"dkim"),
            component: None,
            recorded: None,
        }
    }

    fn verdict(status: VerdictStatus) -> Verdict {
        Verdict {
            root: Some("/b".into()),
            set: Some("daily/2026-11-23".into()),
            path: PathField {
                path: "dkim/dkim.tar.zst".into(),
                path_b64: None,
            },
            member: None,
            member_b64: None,
            sha256: Some(Sha256::of(b"dkim")),
            status,
            signature: Some("Eicar".into()),
            reason: Some("too large".into()),
            message_id: None,
            subject: None,
            engine: "ClamAV".into(),
        }
    }

    fn check(verdicts: &[Verdict], expected: Option<Refusal>) {
        let found = refusals(Path::new(SET), &[&file()], verdicts);
        assert_eq!(
            found,
            expected.into_iter().collect::<Vec<_>>(),
            "{verdicts:?}"
        );
    }

    #[test]
    fn only_a_clean_verdict_on_the_file_itself_is_clean() {
        let path = file().path;
        let clean = verdict(VerdictStatus::Clean);
        let none = Some(Refusal::NoVerdict { path: path.clone() });
        check(std::slice::from_ref(&clean), None);
        check(&[], none.clone());
        check(
            &[Verdict {
                member: Some("a".into()),
                ..clean.clone()
            }],
            none.clone(),
        );
        check(
            &[Verdict {
                set: Some("daily/2026-11-22".into()),
                ..clean.clone()
            }],
            none.clone(),
        );
        check(
            &[Verdict {
                root: None,
                ..clean.clone()
            }],
            none.clone(),
        );
        check(
            &[Verdict {
                path: PathField {
                    path: "other".into(),
                    path_b64: None,
                },
                ..clean.clone()
            }],
            none,
        );
        let other = Some(Refusal::OtherContent { path: path.clone() });
        check(
            &[Verdict {
                sha256: Some(Sha256::of(b"x")),
                ..clean.clone()
            }],
            other.clone(),
        );
        check(
            &[Verdict {
                sha256: None,
                ..clean.clone()
            }],
            other,
        );
        let infected = Verdict {
            member: Some("cur/1".into()),
            ..verdict(VerdictStatus::Infected)
        };
        let refusal = Refusal::Infected {
            path: path.clone(),
            signature: "Eicar".into(),
        };
        check(&[clean.clone(), infected.clone()], Some(refusal.clone()));
        check(&[infected, clean.clone()], Some(refusal));
        let unscanned = Refusal::Unscanned {
            path,
            reason: "too large".into(),
        };
        check(&[clean, verdict(VerdictStatus::Unscanned)], Some(unscanned));
    }
}
