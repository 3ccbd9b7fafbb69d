//! Decides what a run does, from flags and settings. It opens nothing, and writes nothing.

mod prune; // what is past its days

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{Timestamp, ZonedDateTime};
use mail_common::config::{Config, Environment, Settings};
use mail_common::set::{self, SetId, SetKind, find_set};
use mail_common::signature::AllowedSigners;
use mail_common::tool::Subject;

use crate::args::{Args, Command, PushArgs, StoreArgs, WhichArgs, parse_endpoint};
use crate::aws::{AddressingStyle, Proxies, Trust};
use crate::cost::{FILE, Prices, S3_PRICES, STANDARD, Terms};
use crate::credentials::{self, Source, StsEndpoint};
use crate::encryption::{Identities, Recipients};
use crate::error::Error;
use crate::keep::{self, Keep, end_of_day};
use crate::layout::Choice;
use crate::location::Location;
use crate::pull::Wanted;
use crate::push::Intent;
use crate::remote::SetName;
use crate::store::s3::{S3Config, Sizes, Writing};
use crate::store::{Lock, LockMode};
use crate::verify::Depth;

pub(crate) use prune::PruneWork;

/// Where AWS has its oldest buckets, and what other stores expect.
const DEFAULT_REGION: &str = "us-east-1";

/// What a run does, where.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) location: Location,
    pub(crate) store: StorePlan,
    pub(crate) jobs: NonZeroUsize,
    /// Whose sets are accepted; none: any set is.
    pub(crate) signers: Option<AllowedSigners>,
    pub(crate) work: Work,
}

/// The store, not open yet.
#[derive(Debug)]
pub(crate) struct StorePlan {
    pub(crate) place: Place,
    pub(crate) bytes_per_second: Option<u64>,
}

/// Where the store is, and how it is reached.
#[derive(Debug)]
pub(crate) enum Place {
    Directory(PathBuf),
    Bucket(Box<BucketPlan>),
}

/// A bucket, and where its keys come from.
#[derive(Debug)]
pub(crate) struct BucketPlan {
    pub(crate) s3: S3Config,
    pub(crate) source: Source,
    pub(crate) sts: StsEndpoint,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Work {
    Push(PushWork),
    Pull(PullWork),
    Verify { which: Which, depth: Depth },
    List,
    Usage(UsageWork),
    Prune(PruneWork),
}

/// What is stored, and what it costs.
#[derive(Debug)]
pub(crate) struct UsageWork {
    pub(crate) horizon: Horizon,
    pub(crate) prices: Prices,
    pub(crate) keep: Keep,
    pub(crate) lock: Option<LockMode>,
}

/// Of which time the bill is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Horizon {
    Now,
    /// Also of when as many sets are kept as are to be.
    Forecast,
}

/// A push.
#[derive(Debug)]
pub(crate) struct PushWork {
    pub(crate) what: What,
    pub(crate) recipients: Option<Recipients>,
    pub(crate) locking: Locking,
    pub(crate) layout: Choice,
    pub(crate) keep: Keep,
    pub(crate) terms: Terms,
    pub(crate) intent: Intent,
}

/// For how long objects are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locking {
    No,
    /// Every set for as long.
    Days(LockMode, u32),
    /// Each set for as long as it is kept.
    Kept(LockMode),
}

/// A pull.
#[derive(Debug)]
pub(crate) struct PullWork {
    pub(crate) which: Which,
    pub(crate) to: PathBuf,
    pub(crate) wanted: Wanted,
    pub(crate) identities: Option<Identities>,
}

/// What is pushed.
#[derive(Debug)]
pub(crate) enum What {
    /// The sets in these directories, and why others that were asked for cannot be looked for.
    Sets(Vec<PathBuf>, Vec<set::Error>),
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
        let store = StorePlan::new(&location, command, &config)?;
        let prices = prices(&store, &config)?;
        Ok(Self {
            work: Work::new(command, &location, &config, &settings, prices, now)?,
            store,
            location,
            jobs: store_args.jobs,
            signers: settings.allowed_signers,
        })
    }

    /// What the `begin` record says: the set that is pushed, where a directory names it.
    pub(crate) fn subject(&self) -> Subject {
        let pushed = match &self.work {
            Work::Push(PushWork {
                what: What::Sets(directories, _),
                ..
            }) => directories
                .first()
                .and_then(|directory| SetName::of_directory(directory).ok()),
            _ => None,
        };
        Subject {
            root: None,
            set: pushed.map(|name| name.to_string()),
        }
    }
}

impl Command {
    /// The place that is given, and how it is reached.
    fn place(&self) -> (Option<&Location>, &StoreArgs) {
        match self {
            Self::Push(args) => (args.to.as_ref(), &args.store),
            Self::Pull(args) => (args.from.from.as_ref(), &args.from.store),
            Self::Verify(args) => (args.from.from.as_ref(), &args.from.store),
            Self::List(args) => (args.from.from.as_ref(), &args.from.store),
            Self::Usage(args) => (args.from.from.as_ref(), &args.from.store),
            Self::Prune(args) => (args.from.from.as_ref(), &args.from.store),
        }
    }
}

impl Work {
    fn new(
        command: &Command,
        location: &Location,
        config: &Config,
        settings: &Settings,
        prices: Prices,
        now: &ZonedDateTime,
    ) -> Result<Self, Error> {
        Ok(match command {
            Command::Push(args) => Self::Push(PushWork::new(args, config, settings, prices, now)?),
            Command::Pull(args) => Self::Pull(PullWork {
                which: Which::new(&args.which),
                to: std::path::absolute(&args.to).unwrap_or_else(|_| args.to.clone()),
                wanted: Wanted::new(&args.component, &args.mailbox),
                identities: args.identity.as_deref().map(Identities::read).transpose()?,
            }),
            Command::Verify(args) => Self::Verify {
                which: Which::new(&args.which),
                depth: if args.deep {
                    Depth::Deep
                } else {
                    Depth::Recorded
                },
            },
            Command::List(_) => Self::List,
            Command::Usage(args) => Self::Usage(UsageWork {
                horizon: if args.forecast {
                    Horizon::Forecast
                } else {
                    Horizon::Now
                },
                prices,
                keep: Keep::new(config)?,
                lock: keep::lock_mode(config)?,
            }),
            Command::Prune(args) => Self::Prune(PruneWork::new(args, location, config, settings)?),
        })
    }
}

impl PushWork {
    fn new(
        args: &PushArgs,
        config: &Config,
        settings: &Settings,
        prices: Prices,
        now: &ZonedDateTime,
    ) -> Result<Self, Error> {
        let locking = match args.lock_days {
            Some(days) => Locking::Days(args.lock_mode, days.get()),
            None => keep::lock_mode(config)?.map_or(Locking::No, Locking::Kept),
        };
        let keep = Keep::new(config)?;
        Ok(Self {
            what: What::new(args, settings, now)?,
            recipients: Recipients::new(&args.encrypt_to),
            locking,
            layout: keep::layout(config)?,
            keep,
            terms: Terms::new(prices, keep),
            intent: if args.dry_run {
                Intent::Rehearse
            } else {
                Intent::Send
            },
        })
    }
}

impl PushWork {
    /// The lock of a set of that kind that is pushed now. A setting that is for buckets does not
    /// matter to a directory.
    pub(crate) fn lock(&self, kind: SetKind, place: &Place, now: Timestamp) -> Option<Lock> {
        let (mode, days) = match (self.locking, place) {
            (Locking::No, _) | (Locking::Kept(_), Place::Directory(_)) => return None,
            (Locking::Days(mode, days), _) => (mode, days),
            (Locking::Kept(mode), Place::Bucket(_)) => (mode, self.keep.days(kind)),
        };
        Some(Lock {
            mode,
            until: end_of_day(now, days),
        })
    }
}

impl StorePlan {
    /// The storage class of what is put, as bills name it.
    pub(crate) fn storage_class(&self) -> &str {
        match &self.place {
            Place::Bucket(bucket) => bucket.s3.writing.storage_class.as_deref(),
            Place::Directory(_) => Some(FILE),
        }
        .unwrap_or(STANDARD)
    }

    /// From which sizes on a bucket does things in parts.
    pub(crate) fn sizes(&self) -> Option<Sizes> {
        match &self.place {
            Place::Bucket(bucket) => Some(bucket.s3.sizes),
            Place::Directory(_) => None,
        }
    }

    /// Where the store is, unless that is AWS.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        match &self.place {
            Place::Bucket(bucket) if bucket.s3.endpoint_is_given => Some(&bucket.s3.endpoint),
            Place::Bucket(_) | Place::Directory(_) => None,
        }
    }
}

impl What {
    fn new(args: &PushArgs, settings: &Settings, now: &ZonedDateTime) -> Result<Self, Error> {
        if args.records.is_some() {
            let verdicts = if args.require_clean {
                Verdicts::Required
            } else {
                Verdicts::Ignored
            };
            return Ok(Self::Records(verdicts));
        }
        let date = args.date.unwrap_or_else(|| now.date());
        let named = SetId::for_date(SetKind::Daily, date).to_string();
        let operand = args.set.clone().unwrap_or_else(|| PathBuf::from(named));
        let mut sets = vec![find_set(&operand, &settings.backup_root)?];
        let mut not_found = Vec::new();
        for kind in &args.also {
            match find_set(Path::new(kind.name()), &settings.backup_root) {
                Ok(set) if sets.contains(&set) => {}
                Ok(set) => sets.push(set),
                Err(set::Error::NoSuchSet { .. }) => {}
                Err(error) => not_found.push(error),
            }
        }
        Ok(Self::Sets(sets, not_found))
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

/// The list of AWS is for its own endpoints alone.
fn prices(store: &StorePlan, config: &Config) -> Result<Prices, Error> {
    let is_of_aws = |endpoint: &str| {
        let host = endpoint
            .split_once("://")
            .map_or(endpoint, |(_, rest)| rest);
        let host = host.split(['/', ':']).next().unwrap_or_default();
        host.ends_with(".amazonaws.com")
    };
    let listed = match store.endpoint() {
        Some(endpoint) if !is_of_aws(endpoint) => Prices::unknown(),
        Some(_) | None => Prices::of_aws(),
    };
    Ok(match config.get(S3_PRICES) {
        Some(prices) => listed.with(&prices.value)?,
        None => listed,
    })
}

fn default_location(settings: &Settings) -> Result<Location, Error> {
    let bucket = settings.s3_bucket.as_deref().ok_or(Error::NoLocation)?;
    let prefix = settings.s3_prefix.as_deref().unwrap_or_default();
    Ok(Location::bucket(bucket, prefix)?)
}

impl StorePlan {
    fn new(location: &Location, command: &Command, config: &Config) -> Result<Self, Error> {
        let (_, args) = command.place();
        let place = match location {
            Location::Directory(directory) => {
                refuse_bucket_flags(command)?;
                Place::Directory(directory.clone())
            }
            Location::Bucket { bucket, prefix } => {
                let connection = Connection::new(args, config)?;
                Place::Bucket(Box::new(connection.bucket(bucket, prefix, command)))
            }
        };
        Ok(Self {
            place,
            bytes_per_second: args.limit_rate.map(NonZeroU64::get),
        })
    }
}

/// A flag that a directory cannot honour is refused, not ignored.
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

/// How a bucket is reached, and where the keys come from.
struct Connection {
    source: Source,
    region: String,
    /// Given by a flag or a setting; else that of AWS in the region.
    endpoint: Option<String>,
    sts_endpoint: Option<String>,
    addressing: AddressingStyle,
    trust: Trust,
    proxies: Proxies,
}

impl Connection {
    fn new(args: &StoreArgs, config: &Config) -> Result<Self, Error> {
        let setting = |name: &str| {
            let setting = config.get(name).map(|setting| setting.value);
            setting.filter(|value| !value.is_empty())
        };
        let (source, profile) = credentials::choose(args.profile.as_deref(), &setting)?;
        let flag = args.region.clone();
        let region = flag
            .or_else(|| setting("AWS_REGION"))
            .or_else(|| setting("AWS_DEFAULT_REGION"))
            .or(profile.region);
        let ignored = setting("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
            .map_or(profile.ignores_endpoints, |value| {
                value.eq_ignore_ascii_case("true")
            });
        // The environment comes before the files, and in each a service before all of them.
        let configured = |variable: &str, of_service: Option<String>| {
            let endpoint = setting(variable)
                .or_else(|| setting("AWS_ENDPOINT_URL"))
                .or(of_service)
                .or_else(|| profile.endpoint_url.clone());
            endpoint.filter(|_| !ignored)
        };
        let of_s3 = configured("AWS_ENDPOINT_URL_S3", profile.s3_endpoint_url.clone());
        let endpoint = args.endpoint_url.clone().or(of_s3);
        let sts_endpoint = configured("AWS_ENDPOINT_URL_STS", profile.sts_endpoint_url.clone());
        let bundle = setting("AWS_CA_BUNDLE").or(profile.ca_bundle);
        Ok(Self {
            source,
            region: region.unwrap_or_else(|| DEFAULT_REGION.to_owned()),
            endpoint: endpoint.map(checked_endpoint).transpose()?,
            sts_endpoint: sts_endpoint.map(checked_endpoint).transpose()?,
            addressing: match (args.addressing, profile.addressing_style.as_deref()) {
                (AddressingStyle::Auto, Some("path")) => AddressingStyle::Path,
                (AddressingStyle::Auto, Some("virtual")) => AddressingStyle::Virtual,
                (given, _) => given,
            },
            trust: match bundle {
                Some(path) => Trust::read(Path::new(&path)).map_err(Error::Trust)?,
                None => Trust::default(),
            },
            proxies: Proxies::new(&|name| std::env::var(name).ok()),
        })
    }

    fn bucket(self, bucket: &str, prefix: &str, command: &Command) -> BucketPlan {
        let (_, args) = command.place();
        let of_aws = |service: &str| {
            let region = &self.region;
            format!("https://{service}.{region}.{}", domain_of(region))
        };
        let sts = StsEndpoint {
            endpoint: self.sts_endpoint.unwrap_or_else(|| of_aws("sts")),
            region: self.region.clone(),
            timeout: timeout(args),
            trust: self.trust.clone(),
            proxies: self.proxies.clone(),
        };
        let s3 = S3Config {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint_is_given: self.endpoint.is_some(),
            endpoint: self.endpoint.unwrap_or_else(|| of_aws("s3")),
            region: self.region,
            addressing: self.addressing,
            trust: self.trust,
            proxies: self.proxies,
            timeout: timeout(args),
            attempts: u32::from(args.attempts.get()),
            jobs: args.jobs.get(),
            writing: writing(command),
            sizes: Sizes::default(),
        };
        BucketPlan {
            s3,
            source: self.source,
            sts,
        }
    }
}

/// The domain of the partition that a region is in, as botocore's partitions.json has it.
fn domain_of(region: &str) -> &'static str {
    let domains = [
        ("cn-", "amazonaws.com.cn"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("us-isof-", "csp.hci.ic.gov"),
        ("eusc-", "amazonaws.eu"),
    ];
    let mut domains = domains.into_iter();
    let found = domains.find(|(start, _)| region.starts_with(start));
    found.map_or("amazonaws.com", |(_, domain)| domain)
}

fn checked_endpoint(url: String) -> Result<String, Error> {
    parse_endpoint(&url).map_err(|reason| Error::Endpoint { url, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_reached_in_its_partition() {
        assert_eq!(domain_of("eu-west-3"), "amazonaws.com");
        assert_eq!(domain_of("us-gov-west-1"), "amazonaws.com");
        assert_eq!(domain_of("cn-north-1"), "amazonaws.com.cn");
        assert_eq!(domain_of("us-isob-east-1"), "sc2s.sgov.gov");
        assert_eq!(domain_of("eusc-de-east-1"), "amazonaws.eu");
    }
}
