//! Decides what a run does, from flags and settings. It opens the store, and writes nothing.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::ZonedDateTime;
use mail_common::config::{self, Config, Environment, Settings};
use mail_common::exit::Exit;
use mail_common::interrupt::Interrupt;
use mail_common::set::{self, BackupRoot, SetId, SetKind};

use crate::args::{Args, Command, PushArgs, StoreArgs, WhichArgs};
use crate::encryption::{self, Identities, Recipients};
use crate::location::{Location, NotALocation};
use crate::pull::Wanted;
use crate::remote::SetName;
use crate::store::{FileStore, Limit, ObjectStore, StoreError};
use crate::usage::{NotPrices, Prices, S3_PRICES};
use crate::verify::Depth;

/// What a run does, where.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) location: Location,
    pub(crate) store: Box<dyn ObjectStore>,
    pub(crate) jobs: usize,
    pub(crate) interrupt: Interrupt,
    pub(crate) work: Work,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Work {
    Push { what: What, recipients: Option<Recipients> },
    Pull { which: Which, to: PathBuf, wanted: Wanted, identities: Option<Identities> },
    Verify { which: Which, depth: Depth },
    List,
    Usage(Prices),
}

/// What is pushed.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// The set in a directory.
    Set(PathBuf),
    /// The sets that records on standard input name.
    Records(Verdicts),
}

/// Whether a set has to be proven clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdicts {
    Ignored,
    Required,
}

/// Which set in the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    Named(SetName),
    Latest,
}

/// Why a run does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no command: push, pull, verify, list or usage; see mail-s3sync --help")]
    NoCommand,
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error("no place for the sets: give --to or --from, or set S3_BUCKET")]
    NoLocation,
    #[error("read S3_BUCKET and S3_PREFIX")]
    Location(#[from] NotALocation),
    #[error(transparent)]
    Prices(#[from] NotPrices),
    #[error(transparent)]
    Sets(#[from] set::Error),
    #[error(transparent)]
    Encryption(#[from] encryption::Error),
    #[error("the store cannot be used; make the directory once, or mount it")]
    Open(#[source] StoreError),
    #[error("watch for signals")]
    Signals(#[source] std::io::Error),
}

impl Error {
    /// Nothing has been touched.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Signals(_) => Exit::Unfinished,
            _ => Exit::Usage,
        }
    }
}

impl Plan {
    /// Reads the settings, and decides.
    pub(crate) fn new(args: &Args, now: &ZonedDateTime) -> Result<Self, Error> {
        let command = args.command.as_ref().ok_or(Error::NoCommand)?;
        let config = Config::load(args.common.config.as_deref(), Environment::of_process())?;
        let settings = Settings::new(&config)?;
        let (given, store_args) = command.place();
        let location = match given {
            Some(location) => location.clone(),
            None => default_location(&settings)?,
        };
        let work = Work::new(command, &config, &settings, now)?;
        let interrupt = Interrupt::on_signals().map_err(Error::Signals)?;
        let store = open(&location, store_args, &interrupt)?;
        Ok(Self { location, store, jobs: usize::from(store_args.jobs.get()), interrupt, work })
    }
}

impl Command {
    /// The place that is given, and how it is spoken to.
    fn place(&self) -> (Option<&Location>, &StoreArgs) {
        match self {
            Self::Push(args) => (args.to.as_ref(), &args.store),
            Self::Pull(args) => (args.from.from.as_ref(), &args.from.store),
            Self::Verify(args) => (args.from.from.as_ref(), &args.from.store),
            Self::List(args) => (args.from.from.as_ref(), &args.from.store),
            Self::Usage(args) => (args.from.from.as_ref(), &args.from.store),
        }
    }
}

impl Work {
    fn new(command: &Command, config: &Config, settings: &Settings, now: &ZonedDateTime) -> Result<Self, Error> {
        Ok(match command {
            Command::Push(args) => {
                Self::Push { what: What::new(args, settings, now)?, recipients: Recipients::new(&args.encrypt_to) }
            }
            Command::Pull(args) => Self::Pull {
                which: Which::new(&args.which),
                to: std::path::absolute(&args.to).unwrap_or_else(|_| args.to.clone()),
                wanted: Wanted { components: args.component.clone(), mailboxes: args.mailbox.clone() },
                identities: args.identity.as_deref().map(Identities::read).transpose()?,
            },
            Command::Verify(args) => {
                let depth = if args.deep { Depth::Deep } else { Depth::Recorded };
                Self::Verify { which: Which::new(&args.which), depth }
            }
            Command::List(_) => Self::List,
            Command::Usage(_) => Self::Usage(match config.get(S3_PRICES) {
                Some(prices) => prices.value.parse()?,
                None => Prices::default(),
            }),
        })
    }
}

impl What {
    fn new(args: &PushArgs, settings: &Settings, now: &ZonedDateTime) -> Result<Self, Error> {
        if args.records.is_some() {
            return Ok(Self::Records(if args.require_clean { Verdicts::Required } else { Verdicts::Ignored }));
        }
        // A set that is named by its directory needs no root.
        if let Some(set) = args.set.as_ref().filter(|set| set.is_dir()) {
            return Ok(Self::Set(set.clone()));
        }
        let root = BackupRoot::open(&settings.backup_root)?;
        let named = SetId::for_date(SetKind::Daily, args.date.unwrap_or_else(|| now.date())).to_string();
        let operand = args.set.clone().unwrap_or_else(|| PathBuf::from(named));
        Ok(Self::Set(root.resolve(&operand)?))
    }
}

impl Which {
    fn new(args: &WhichArgs) -> Self {
        let by_date = args.date.map(|date| SetId::for_date(SetKind::Daily, date).into());
        args.set.or(by_date).map_or(Self::Latest, Self::Named)
    }
}

fn default_location(settings: &Settings) -> Result<Location, Error> {
    let bucket = settings.s3_bucket.as_deref().ok_or(Error::NoLocation)?;
    Ok(Location::bucket(bucket, settings.s3_prefix.as_deref().unwrap_or_default())?)
}

fn open(location: &Location, args: &StoreArgs, interrupt: &Interrupt) -> Result<Box<dyn ObjectStore>, Error> {
    let limit = args.limit_rate.map(NonZeroU64::get).map(Limit::new).map(Arc::new);
    match location {
        Location::Directory(directory) => {
            Ok(Box::new(FileStore::open(directory, limit, interrupt.clone()).map_err(Error::Open)?))
        }
        Location::Bucket { .. } => Err(Error::NoLocation),
    }
}
