//! Decides what a run scans, and with what, from flags, settings and what is on the disk. It reads,
//! and never writes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mail_common::config::{Config, Environment, Settings};
use mail_common::set::{CHECKSUMS, SetKind, SetReference, find_set};
use mail_common::tool::{Subject, cores};

use crate::accepted::{self, AcceptedList};
use crate::args::{Args, EncryptedMail, Scanner};
use crate::clamd::{Address, usual_address};
use crate::error::Error;

/// clamd takes a connection at once, or a network is in the way.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// What a run does.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) operands: Vec<Operand>,
    pub(crate) scanners: Vec<Scanner>,
    /// Those of a clamd that is started, where not the system's.
    pub(crate) signatures: Option<PathBuf>,
    /// Contents at a time, where that is asked for.
    pub(crate) jobs: Option<usize>,
    pub(crate) cores: usize,
    pub(crate) connect_patience: Duration,
    pub(crate) reply_patience: Duration,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) quarantine: Option<PathBuf>,
    pub(crate) encrypted_mail: EncryptedMail,
    pub(crate) accepted: AcceptedList,
}

/// Something to be scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    /// A file, or a directory with all that is below it; absolute.
    Path(PathBuf),
    /// A backup set.
    Set(SetOperand),
    /// What the records on stdin name.
    Records,
}

/// A backup set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetOperand {
    pub(crate) dir: PathBuf,
    /// The directory that holds the sets, as records have it.
    pub(crate) root: String,
    /// The set, relative to the root.
    pub(crate) set: String,
}

impl Plan {
    /// Reads settings and looks at the operands.
    pub(crate) fn new(args: &Args) -> Result<Self, Error> {
        let environment = Environment::of_process();
        let cache = args
            .cache
            .clone()
            .or_else(|| default_cache(&environment))
            .filter(|_| !args.no_cache);
        let accepted = accepted::list_path(args, &environment);
        let accepted = accepted.map_or_else(
            || Ok(AcceptedList::default()),
            |path| AcceptedList::read(&path),
        )?;
        let settings = Settings::new(&Config::load(args.common.config.as_deref(), environment)?)?;
        let root = args
            .root
            .clone()
            .unwrap_or_else(|| settings.backup_root.clone());
        let operands = args
            .operands
            .iter()
            .map(|operand| resolve(operand, &root))
            .collect::<Result<Vec<_>, _>>()?;
        let records = operands
            .iter()
            .filter(|operand| **operand == Operand::Records);
        if records.count() > 1 {
            return Err(Error::RecordsTwice);
        }
        Ok(Self {
            operands,
            scanners: scanners(args, settings.clamd_address.as_deref())?,
            signatures: args.signatures.clone(),
            jobs: args.jobs.map(usize::from),
            cores: cores().get(),
            connect_patience: CONNECT_PATIENCE,
            reply_patience: Duration::from_secs(args.timeout.get().into()),
            max_bytes: args.max_size,
            cache,
            quarantine: args.quarantine.clone(),
            encrypted_mail: encrypted_mail(args, settings.scan_encrypted_mail.as_deref())?,
            accepted,
        })
    }

    /// What the `begin` record says: a run over one set names it.
    pub(crate) fn subject(&self) -> Subject {
        match self.operands.as_slice() {
            [Operand::Set(set)] => Subject {
                root: Some(set.root.clone()),
                set: Some(set.set.clone()),
            },
            _ => Subject::default(),
        }
    }
}

fn encrypted_mail(args: &Args, setting: Option<&str>) -> Result<EncryptedMail, Error> {
    match (args.encrypted_mail, setting) {
        (Some(asked), _) => Ok(asked),
        (None, Some(setting)) => setting.parse().map_err(Error::EncryptedMail),
        (None, None) => Ok(EncryptedMail::default()),
    }
}

fn scanners(args: &Args, setting: Option<&str>) -> Result<Vec<Scanner>, Error> {
    if !args.clamd.is_empty() {
        return Ok(args.clamd.clone());
    }
    let words = setting
        .unwrap_or_default()
        .split(|c: char| c.is_whitespace() || c == ',');
    let named = words
        .filter(|word| !word.is_empty())
        .map(str::parse)
        .collect::<Result<Vec<Scanner>, _>>();
    let named = named.map_err(Error::Address)?;
    Ok(if named.is_empty() {
        vec![Scanner::At(usual_address())]
    } else {
        named
    })
}

/// `$XDG_CACHE_HOME/mail-scan/verdicts.redb`, by default below `~/.cache`; none for who has no
/// home.
fn default_cache(environment: &Environment) -> Option<PathBuf> {
    let absolute = |name| {
        environment
            .get(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("mail-scan").join("verdicts.redb"))
}

/// What an operand means: `-`, a set of the root by its name, or a file or directory.
fn resolve(operand: &Path, root: &Path) -> Result<Operand, Error> {
    if operand == Path::new("-") {
        return Ok(Operand::Records);
    }
    let no_such = |source| Error::NoSuchOperand {
        operand: operand.to_owned(),
        root: root.to_owned(),
        source,
    };
    match SetReference::of(operand) {
        SetReference::Path(path) | SetReference::Other(path) if path.symlink_metadata().is_ok() => {
            of_path(path)
        }
        _ => {
            let dir = find_set(operand, root).map_err(no_such)?;
            set_operand(&absolute(&dir)?).map(Operand::Set)
        }
    }
}

fn of_path(operand: &Path) -> Result<Operand, Error> {
    let path = absolute(operand)?;
    if path.join(CHECKSUMS).is_file() {
        return set_operand(&path).map(Operand::Set);
    }
    Ok(Operand::Path(path))
}

/// Absolute, with the directory that a link leads to in place of the link.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::Look {
        operand: path.to_owned(),
        source,
    };
    let leads_up = |part| part == std::path::Component::ParentDir;
    if path.is_symlink() || path.components().any(leads_up) {
        return path.canonicalize().map_err(failed);
    }
    std::path::absolute(path).map_err(failed)
}

/// `ROOT/daily/2026-11-23` is the set `daily/2026-11-23` of ROOT; any other directory is the set of
/// its name in its parent.
fn set_operand(dir: &Path) -> Result<SetOperand, Error> {
    let unnamed = || Error::SetName {
        dir: dir.to_owned(),
    };
    let name = dir.file_name().ok_or_else(unnamed)?;
    let parent = dir.parent().ok_or_else(unnamed)?;
    let kind = SetKind::ALL
        .into_iter()
        .find(|kind| parent.file_name().is_some_and(|name| name == kind.name()));
    let (root, set) = match (kind, parent.parent()) {
        (Some(kind), Some(root)) => (root, Path::new(kind.name()).join(name)),
        _ => (parent, PathBuf::from(name)),
    };
    let text = |path: &Path| path.to_str().map(str::to_owned).ok_or_else(unnamed);
    Ok(SetOperand {
        dir: dir.to_owned(),
        root: text(root)?,
        set: text(&set)?,
    })
}

/// The addresses among `scanners`.
pub(crate) fn addresses(scanners: &[Scanner]) -> Vec<Address> {
    let address = |scanner: &Scanner| match scanner {
        Scanner::At(address) => Some(address.clone()),
        Scanner::Spawn => None,
    };
    scanners.iter().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_common::set::LATEST;

    #[test]
    fn a_set_is_named_as_its_artifacts_are() {
        let check = |dir: &str, root: &str, set: &str| {
            let operand = set_operand(Path::new(dir)).unwrap();
            assert_eq!((operand.root.as_str(), operand.set.as_str()), (root, set));
        };
        check("/b/daily/2026-11-23", "/b", "daily/2026-11-23");
        check("/b/weekly/2026-week-47", "/b", "weekly/2026-week-47");
        check(
            "/b/daily/2026-11-23.incomplete",
            "/b",
            "daily/2026-11-23.incomplete",
        );
        check("/srv/restore/one", "/srv/restore", "one");
        check("/one", "/", "one");
        assert!(matches!(
            set_operand(Path::new("/")),
            Err(Error::SetName { .. })
        ));
    }

    #[test]
    fn operands_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let set = root.path().join("daily/2026-11-23");
        std::fs::create_dir_all(&set).unwrap();
        std::os::unix::fs::symlink("daily/2026-11-23", root.path().join(LATEST)).unwrap();
        let check = |operand: &Path, expected: &Operand| {
            assert_eq!(&resolve(operand, root.path()).unwrap(), expected);
        };
        check(Path::new("-"), &Operand::Records);
        // Without checksums it is a directory like any other.
        check(&set, &Operand::Path(set.clone()));
        std::fs::File::options()
            .create(true)
            .append(true)
            .open(set.join(CHECKSUMS))
            .unwrap();
        let named = root.path().to_str().unwrap().to_owned();
        let expected = Operand::Set(SetOperand {
            dir: set.clone(),
            root: named,
            set: "daily/2026-11-23".into(),
        });
        check(&set, &expected);
        check(Path::new("latest"), &expected);
        check(Path::new("daily/2026-11-23"), &expected);
        check(root.path(), &Operand::Path(root.path().to_owned()));
        assert!(matches!(
            resolve(Path::new("daily/2026-11-24"), root.path()),
            Err(Error::NoSuchOperand { .. })
        ));
    }
}
