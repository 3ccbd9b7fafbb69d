//! Decides what a run does, from flags and settings. It opens the store, and writes nothing.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::ZonedDateTime;
use mail_common::config::{self, Config, Environment, Settings};
use mail_common::failure::{Failure, FailureKind};
use mail_common::interrupt::Interrupt;
use mail_common::set::{self, SetId, SetKind, find_set};
use mail_common::tool::{Subject, absolute};

use crate::args::{Args, Command, PushArgs, StoreArgs, WhichArgs, parse_endpoint};
use crate::credentials::{self, Keys, StsEndpoint};
use crate::encryption::{self, Identities, Recipients};
use crate::location::{Location, NotALocation};
use crate::pull::Wanted;
use crate::push::lock_end;
use crate::remote::SetName;
use crate::store::s3::{BundleError, S3Config, Sizes, Trust, Writing};
use crate::store::{FileStore, Limit, Lock, ObjectStore, S3Store, StoreError};
use crate::usage::{NotPrices, Prices, S3_PRICES};
use crate::verify::Depth;

/// Where AWS has its oldest buckets, and what other stores expect.
const DEFAULT_REGION: &str = "us-east-1";

/// What a run does, where.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) location: Location,
    pub(crate) store: Box<dyn ObjectStore>,
    pub(crate) jobs: NonZeroUsize,
    pub(crate) interrupt: Interrupt,
    pub(crate) work: Work,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Work {
    Push {
        what: What,
        recipients: Option<Recipients>,
        lock: Option<Lock>,
    },
    Pull {
        which: Which,
        to: PathBuf,
        wanted: Wanted,
        identities: Option<Identities>,
    },
    Verify {
        which: Which,
        depth: Depth,
    },
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
    #[error("{flag} is for buckets, and a directory cannot do it")]
    NotForDirectories { flag: &'static str },
    #[error("find credentials")]
    Credentials(#[from] credentials::Error),
    #[error(transparent)]
    Trust(#[from] BundleError),
    #[error("{url:?} is {reason}")]
    Endpoint { url: String, reason: &'static str },
    #[error("start the threads of the S3 store")]
    Runtime(#[source] std::io::Error),
}

/// Nothing has been touched.
impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NoCommand | Self::NotForDirectories { .. } => FailureKind::Usage,
            Self::Config(error) => error.kind(),
            Self::NoLocation
            | Self::Location(_)
            | Self::Prices(_)
            | Self::Encryption(_)
            | Self::Credentials(_)
            | Self::Trust(_)
            | Self::Endpoint { .. } => FailureKind::Configuration,
            Self::Sets(_) => FailureKind::NoSuch,
            Self::Open(_) => FailureKind::NotMounted,
            Self::Runtime(error) => FailureKind::of_io(error),
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
        let interrupt = Interrupt::on_signals();
        let store = open(&location, command, &config, &interrupt)?;
        Ok(Self {
            location,
            store,
            jobs: store_args.jobs,
            interrupt,
            work,
        })
    }

    /// What the `begin` record says: the set that is pushed, where a directory names it.
    pub(crate) fn subject(&self) -> Subject {
        let pushed = match &self.work {
            Work::Push {
                what: What::Set(directory),
                ..
            } => SetName::of_directory(directory).ok(),
            _ => None,
        };
        Subject {
            root: None,
            set: pushed.map(|name| name.to_string()),
        }
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
    fn new(
        command: &Command,
        config: &Config,
        settings: &Settings,
        now: &ZonedDateTime,
    ) -> Result<Self, Error> {
        Ok(match command {
            Command::Push(args) => {
                let until = |days: NonZeroU32| lock_end(now.timestamp(), days.get());
                let lock = args.lock_days.map(|days| Lock {
                    mode: args.lock_mode,
                    until: until(days),
                });
                let recipients = Recipients::new(&args.encrypt_to);
                Self::Push {
                    what: What::new(args, settings, now)?,
                    recipients,
                    lock,
                }
            }
            Command::Pull(args) => Self::Pull {
                which: Which::new(&args.which),
                to: absolute(&args.to),
                wanted: Wanted::new(&args.component, &args.mailbox),
                identities: args.identity.as_deref().map(Identities::read).transpose()?,
            },
            Command::Verify(args) => {
                let depth = if args.deep {
                    Depth::Deep
                } else {
                    Depth::Recorded
                };
                Self::Verify {
                    which: Which::new(&args.which),
                    depth,
                }
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
            return Ok(Self::Records(if args.require_clean {
                Verdicts::Required
            } else {
                Verdicts::Ignored
            }));
        }
        let named =
            SetId::for_date(SetKind::Daily, args.date.unwrap_or_else(|| now.date())).to_string();
        let operand = args.set.clone().unwrap_or_else(|| PathBuf::from(named));
        Ok(Self::Set(find_set(&operand, &settings.backup_root)?))
    }
}

impl Which {
    fn new(args: &WhichArgs) -> Self {
        let by_date = args
            .date
            .map(|date| SetId::for_date(SetKind::Daily, date).into());
        args.set.or(by_date).map_or(Self::Latest, Self::Named)
    }
}

fn default_location(settings: &Settings) -> Result<Location, Error> {
    let bucket = settings.s3_bucket.as_deref().ok_or(Error::NoLocation)?;
    Ok(Location::bucket(
        bucket,
        settings.s3_prefix.as_deref().unwrap_or_default(),
    )?)
}

/// Opens the store. Nothing is asked of it yet.
fn open(
    location: &Location,
    command: &Command,
    config: &Config,
    interrupt: &Interrupt,
) -> Result<Box<dyn ObjectStore>, Error> {
    let (_, args) = command.place();
    let limit = args
        .limit_rate
        .map(NonZeroU64::get)
        .map(Limit::new)
        .map(Arc::new);
    match location {
        Location::Directory(directory) => {
            refuse_bucket_flags(command)?;
            Ok(Box::new(
                FileStore::open(directory, limit, interrupt.clone()).map_err(Error::Open)?,
            ))
        }
        Location::Bucket { bucket, prefix } => {
            let connection = Connection::new(args, config)?;
            let s3 = S3Config {
                bucket: bucket.clone(),
                prefix: prefix.clone(),
                region: connection.region,
                endpoint: connection.endpoint,
                endpoint_is_given: connection.endpoint_is_given,
                addressing: args.addressing,
                trust: connection.trust,
                timeout: timeout(args),
                attempts: u32::from(args.attempts.get()),
                jobs: args.jobs.get(),
                limit,
                writing: writing(command),
                sizes: Sizes::default(),
            };
            Ok(Box::new(
                S3Store::open(s3, connection.keys, interrupt.clone()).map_err(Error::Runtime)?,
            ))
        }
    }
}

/// What of the flags a directory cannot do is refused, not left out.
fn refuse_bucket_flags(command: &Command) -> Result<(), Error> {
    let Command::Push(args) = command else {
        return Ok(());
    };
    let given = [
        ("--lock-days", args.lock_days.is_some()),
        ("--storage-class", args.storage_class.is_some()),
        ("--sse", args.sse.is_some()),
        ("--tag", !args.tag.is_empty()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(Error::NotForDirectories { flag }),
        None => Ok(()),
    }
}

fn writing(command: &Command) -> Writing {
    let Command::Push(args) = command else {
        return Writing::default();
    };
    Writing {
        storage_class: args.storage_class.clone(),
        encryption: args.sse.clone(),
        kms_key: args.sse_kms_key_id.clone(),
        tags: (!args.tag.is_empty()).then(|| args.tag.join("&")),
    }
}

fn timeout(args: &StoreArgs) -> Duration {
    Duration::from_secs(u64::from(args.timeout.get()))
}

/// How a bucket is reached, and with which keys.
struct Connection {
    keys: Keys,
    region: String,
    endpoint: String,
    endpoint_is_given: bool,
    trust: Trust,
}

impl Connection {
    fn new(args: &StoreArgs, config: &Config) -> Result<Self, Error> {
        let setting = |name: &str| {
            config
                .get(name)
                .map(|setting| setting.value)
                .filter(|value| !value.is_empty())
        };
        let (source, profile) = credentials::choose(args.profile.as_deref(), &setting)?;
        let region = args
            .region
            .clone()
            .or_else(|| setting("AWS_REGION"))
            .or_else(|| setting("AWS_DEFAULT_REGION"));
        let region = region
            .or(profile.region)
            .unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let for_all = setting("AWS_ENDPOINT_URL").or(profile.endpoint_url);
        let checked =
            |url: String| parse_endpoint(&url).map_err(|reason| Error::Endpoint { url, reason });
        let given = args
            .endpoint_url
            .clone()
            .or_else(|| setting("AWS_ENDPOINT_URL_S3"))
            .or_else(|| for_all.clone());
        let given = given.map(checked).transpose()?;
        let sts = setting("AWS_ENDPOINT_URL_STS")
            .or(for_all)
            .map(checked)
            .transpose()?;
        let bundle = setting("AWS_CA_BUNDLE").or(profile.ca_bundle);
        let trust = bundle
            .map(|path| Trust::read(Path::new(&path)))
            .transpose()?
            .unwrap_or_default();
        let sts_endpoint = StsEndpoint {
            endpoint: sts.unwrap_or_else(|| format!("https://sts.{region}.amazonaws.com")),
            region: region.clone(),
            timeout: timeout(args),
            trust: trust.clone(),
        };
        Ok(Self {
            keys: Keys::new(source, sts_endpoint),
            endpoint_is_given: given.is_some(),
            endpoint: given.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com")),
            region,
            trust,
        })
    }
}
