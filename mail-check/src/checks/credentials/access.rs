//! Who owns a file with secrets, and who may read it.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::accounts;
use crate::finding::Finding;
use crate::status::Status;

/// What is asked of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule {
    /// Who may own it beside root and the caller.
    pub(super) owners: Vec<u32>,
    pub(super) group_may_read: bool,
}

/// What counts of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub(super) mode: u32,
    pub(super) uid: u32,
}

impl From<&Metadata> for Access {
    fn from(metadata: &Metadata) -> Self {
        Self {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
        }
    }
}

impl Rule {
    /// What is wrong with a file, and how bad that is; `None` when nothing is.
    pub(super) fn breach(
        &self,
        path: &Path,
        access: Access,
        caller: u32,
    ) -> Option<(Status, String)> {
        let modes = self
            .mode_breach(access.mode)
            .map(|(status, words, wanted)| {
                let next = format!("run chmod {wanted} {}", path.display());
                (
                    status,
                    format!(
                        "{} {words} (mode {:04o}); {next}",
                        path.display(),
                        access.mode
                    ),
                )
            });
        let is_owner = access.uid == 0 || access.uid == caller || self.owners.contains(&access.uid);
        let owner = (!is_owner).then(|| {
            let name = accounts::name(access.uid);
            let next = "change it with chown, or name the owner with `owners` in [credentials]";
            (
                Status::Warning,
                format!("{} belongs to {name}; {next}", path.display()),
            )
        });
        match (modes, owner) {
            (Some((a, first)), Some((b, second))) => Some((a.max(b), format!("{first}; {second}"))),
            (a, b) => a.or(b),
        }
    }

    fn mode_breach(&self, mode: u32) -> Option<(Status, &'static str, &'static str)> {
        let wanted = if self.group_may_read { "o=,g-w" } else { "go=" };
        match mode {
            _ if mode & 0o002 != 0 => {
                Some((Status::Critical, "can be changed by everyone", wanted))
            }
            _ if mode & 0o005 != 0 => Some((Status::Critical, "can be read by everyone", wanted)),
            _ if mode & 0o020 != 0 => {
                Some((Status::Warning, "can be changed by its group", wanted))
            }
            _ if mode & 0o050 != 0 && !self.group_may_read => {
                Some((Status::Warning, "can be read by its group", wanted))
            }
            _ => None,
        }
    }
}

/// One file or directory.
pub(super) fn judge(path: &Path, looked: io::Result<Metadata>, rule: &Rule) -> Finding {
    let target = path.display().to_string();
    let access = match looked {
        Ok(metadata) => Access::from(&metadata),
        Err(error) => {
            return Finding::unknown(
                "file-mode",
                target,
                format!("it cannot be looked at: {error}"),
            );
        }
    };
    match rule.breach(path, access, rustix::process::geteuid().as_raw()) {
        Some((status, words)) => Finding::new(status, "file-mode", target, words),
        None => {
            let message = format!(
                "mode {:04o}, and belongs to {}",
                access.mode,
                accounts::name(access.uid)
            );
            Finding::ok("file-mode", target, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_owners_are_judged() {
        let strict = Rule {
            owners: vec![101],
            group_may_read: false,
        };
        let shared = Rule {
            owners: vec![],
            group_may_read: true,
        };
        let check = |rule: &Rule, mode, uid, expected: Option<Status>| {
            let breach = rule.breach(Path::new("/k"), Access { mode, uid }, 1000);
            assert_eq!(
                breach.as_ref().map(|(status, _)| *status),
                expected,
                "{mode:o} {uid} {breach:?}"
            );
        };
        for good in [0o600, 0o400, 0o700] {
            check(&strict, good, 1000, None);
        }
        check(&strict, 0o600, 0, None);
        check(&strict, 0o600, 101, None);
        check(&strict, 0o600, 102, Some(Status::Warning));
        check(&strict, 0o640, 0, Some(Status::Warning));
        check(&strict, 0o750, 0, Some(Status::Warning));
        check(&strict, 0o604, 0, Some(Status::Critical));
        check(&strict, 0o701, 0, Some(Status::Critical));
        check(&strict, 0o602, 102, Some(Status::Critical));
        check(&shared, 0o640, 0, None);
        check(&shared, 0o660, 0, Some(Status::Warning));
        check(&shared, 0o644, 0, Some(Status::Critical));
    }

    #[test]
    fn the_command_to_type_is_in_the_message() {
        let (_, words) = Rule::default()
            .breach(
                Path::new("/a/.env"),
                Access {
                    mode: 0o644,
                    uid: 0,
                },
                0,
            )
            .unwrap();
        assert_eq!(
            words,
            "/a/.env can be read by everyone (mode 0644); run chmod go= /a/.env"
        );
    }
}
