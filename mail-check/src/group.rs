//! What can be checked, by the names of the command line.

use std::ffi::OsStr;
use std::path::PathBuf;

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

/// Why operands cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OperandError {
    /// No check has that name.
    #[error("no check is called {name:?}; known are {}, set DIR, all and -", Group::names().join(", "))]
    Unknown {
        /// The name.
        name: String,
    },
    /// `set` is the last word.
    #[error("`set` wants the directory of a set after it, such as `set latest`")]
    NoDirectory,
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

    fn names() -> [&'static str; 11] {
        Self::ALL.map(Self::name)
    }
}

/// What the operands ask for, each once, in order; [`Operand::All`] when there are none.
pub(crate) fn parse_operands(words: &[impl AsRef<OsStr>]) -> Result<Vec<Operand>, OperandError> {
    let mut operands = Vec::new();
    let mut words = words.iter().map(AsRef::as_ref);
    while let Some(word) = words.next() {
        let operand = match word.to_str() {
            Some(Group::EVERY) => Operand::All,
            Some("-") => Operand::Records,
            Some("set") => Operand::Set(words.next().ok_or(OperandError::NoDirectory)?.into()),
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

fn parse_group(word: &OsStr) -> Result<Group, OperandError> {
    let group = Group::ALL.into_iter().find(|group| word == group.name());
    group.ok_or_else(|| OperandError::Unknown {
        name: word.to_string_lossy().into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, expected: &Result<Vec<Operand>, OperandError>) {
        let words: Vec<&str> = words.split_whitespace().collect();
        assert_eq!(&parse_operands(&words), expected, "{words:?}");
    }

    #[test]
    fn operands_are_groups_sets_and_stdin() {
        check("", &Ok(vec![Operand::All]));
        check(
            "s3 tls s3",
            &Ok(vec![Operand::Group(Group::S3), Operand::Group(Group::Tls)]),
        );
        check(
            "set latest -",
            &Ok(vec![Operand::Set("latest".into()), Operand::Records]),
        );
        check(
            "set set set tls",
            &Ok(vec![Operand::Set("set".into()), Operand::Set("tls".into())]),
        );
        check("backups set", &Err(OperandError::NoDirectory));
        check(
            "disks",
            &Err(OperandError::Unknown {
                name: "disks".to_owned(),
            }),
        );
    }
}
