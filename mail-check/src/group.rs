//! What can be checked, by the names of the command line.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::error::Error;

/// A group of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Resources,
    Containers,
    Services,
    Mailflow,
    Logs,
    Backups,
    Scans,
    S3,
    Tls,
    Credentials,
    Users,
}

/// What an operand asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    /// A group, by its name.
    Group(Group),
    /// Every group that is configured.
    All,
    /// The set in that directory, or of that name.
    Set(PathBuf),
    /// The records of other tools on stdin.
    Records,
}

impl Group {
    pub(crate) const ALL: [Self; 11] = [
        Self::Resources,
        Self::Containers,
        Self::Services,
        Self::Mailflow,
        Self::Logs,
        Self::Backups,
        Self::Scans,
        Self::S3,
        Self::Tls,
        Self::Credentials,
        Self::Users,
    ];

    /// The word for every group that is configured.
    pub(crate) const EVERY: &'static str = "all";

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Resources => "resources",
            Self::Containers => "containers",
            Self::Services => "services",
            Self::Mailflow => "mailflow",
            Self::Logs => "logs",
            Self::Backups => "backups",
            Self::Scans => "scans",
            Self::S3 => "s3",
            Self::Tls => "tls",
            Self::Credentials => "credentials",
            Self::Users => "users",
        }
    }
}

/// What the operands ask for, each once, in order; [`Operand::All`] when there are none.
pub(crate) fn parse_operands(words: &[impl AsRef<OsStr>]) -> Result<Vec<Operand>, Error> {
    let mut operands = Vec::new();
    let mut words = words.iter().map(AsRef::as_ref);
    while let Some(word) = words.next() {
        let operand = match word.to_str() {
            Some(Group::EVERY) => Operand::All,
            Some("-") => Operand::Records,
            Some("set") => Operand::Set(words.next().ok_or(Error::NoDirectory)?.into()),
            _ => Operand::Group(parse_group(word)?),
        };
        if !operands.contains(&operand) {
            operands.push(operand);
        }
    }
    if operands.is_empty() {
        operands.push(Operand::All);
    }
    Ok(operands)
}

fn parse_group(word: &OsStr) -> Result<Group, Error> {
    let group = Group::ALL.into_iter().find(|group| word == group.name());
    group.ok_or_else(|| Error::UnknownCheck {
        name: word.to_string_lossy().into_owned(),
        known: Group::ALL.map(Group::name).join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Vec<Operand>, Error> {
        parse_operands(&words.split_whitespace().collect::<Vec<_>>())
    }

    #[track_caller]
    fn check(words: &str, expected: &[Operand]) {
        assert_eq!(parse(words).unwrap(), expected, "{words:?}");
    }

    #[test]
    fn operands_are_groups_sets_and_stdin() {
        check("", &[Operand::All]);
        let (s3, tls) = (Operand::Group(Group::S3), Operand::Group(Group::Tls));
        check("s3 tls s3", &[s3, tls]);
        let latest = Operand::Set("latest".into());
        check("set latest -", &[latest, Operand::Records]);
        let sets = [Operand::Set("set".into()), Operand::Set("tls".into())];
        check("set set set tls", &sets);
        assert!(matches!(parse("backups set"), Err(Error::NoDirectory)));
        let unknown = parse("disks").unwrap_err();
        assert!(matches!(&unknown, Error::UnknownCheck { name, .. } if name == "disks"));
        assert!(unknown.to_string().contains("resources, containers, "));
    }
}
