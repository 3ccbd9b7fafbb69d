//! Decides what a run does, from flags, settings, the set and what is on the disk. It reads, and
//! never writes.

mod target; // what changes places
mod room; // whether there is space for it
mod targets; // whether what is there can change places with something new

use std::num::NonZeroUsize;
use std::path::PathBuf;

use glob::Pattern;
use jiff::ZonedDateTime;
use jiff::tz::TimeZone;
use mail_common::failure::Failed;
use mail_common::manifest;
use mail_common::report::Report;
use mail_common::set::{Component, Inventory, ReadLock, SetFile, extra_dir};
use mail_common::signature;
use mail_common::text::printable;
use mail_common::upstream::Upstream;

use crate::args::Args;
use crate::dumps::DumpsJob;
use crate::error::Error;
use crate::find;
use crate::jobs::{Jobs, TreeJob};
use crate::messages::{self, Query, Since, Until};
use crate::places::{ExtraPlace, Places};
use crate::services;
use crate::setup::{Clearance, Destination, Setup, Work};
pub(crate) use target::{Target, existing_ancestor};

/// What a run does.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) inventory: Inventory,
    /// Keeps the set from being replaced or removed.
    _reader: ReadLock,
    pub(crate) root: PathBuf,
    pub(crate) work: Work,
    pub(crate) destination: Destination,
    pub(crate) components: Vec<Component>,
    pub(crate) places: Places,
    /// Services that use what is restored.
    pub(crate) services: Vec<String>,
    /// Single messages; then there are no jobs.
    pub(crate) query: Option<Query>,
    pub(crate) jobs: Jobs,
    pub(crate) dumps: Option<DumpsJob>,
    pub(crate) clearance: Clearance,
    pub(crate) threads: NonZeroUsize,
    /// Names what is kept of what was there.
    pub(crate) time: String,
}

impl Plan {
    /// Opens the set, looks at the disk and decides.
    pub(crate) fn new(
        setup: &Setup,
        args: &Args,
        upstream: &Upstream,
        now: &ZonedDateTime,
        report: &Report,
    ) -> Result<Self, Error> {
        let set = chosen_set(setup, args, upstream)?;
        let reader = ReadLock::acquire(&set)?;
        let inventory = Inventory::read(&set)?;
        check_signature(setup, &inventory, report)?;
        let destination = Destination::of(args);
        let places = places(args, setup, &destination);
        let query = query(args, now.time_zone())?;
        let components = match query {
            Some(_) => vec![Component::Mailboxes],
            None => components(args, setup, &inventory, &places, report)?,
        };
        let jobs = match query {
            Some(_) => Jobs::default(),
            None => Jobs::new(&inventory, &components, &places)?,
        };
        let dumps = components
            .contains(&Component::Mysql)
            .then(|| DumpsJob::plan(args, setup, &inventory, &destination, report))
            .transpose()?;
        let plan = Self {
            inventory,
            _reader: reader,
            root: setup.root.clone(),
            work: Work::of(args),
            destination,
            services: services(&components, &places),
            components,
            places,
            query,
            jobs,
            dumps,
            clearance: Clearance::of(args),
            threads: args.threads(),
            time: now.strftime("%Y%m%dT%H%M%S").to_string(),
        };
        plan.check_used()?;
        plan.name_lacking(args, report);
        plan.name_lacking_directories(report);
        if plan.work != Work::Verify {
            plan.check_targets()?;
            plan.check_room()?;
        }
        Ok(plan)
    }

    /// Whether something of each component is used: what restores nothing is not restored.
    fn check_used(&self) -> Result<(), Error> {
        if self.query.is_some() {
            return Ok(());
        }
        let used = self.used();
        let is_used =
            |component: &&Component| used.iter().any(|file| file.component == Some(**component));
        match self.components.iter().find(|component| !is_used(component)) {
            None => Ok(()),
            Some(component) => Err(Error::Nothing {
                set: self.inventory.set.clone(),
                component: *component,
            }),
        }
    }

    /// Says which components the set does not have and should have, where all were asked for.
    fn name_lacking(&self, args: &Args, report: &Report) {
        if self.query.is_some() || args.components().is_some() {
            return;
        }
        let held = self.inventory.components();
        let begin = self.inventory.begin.as_ref();
        let wanted = begin.map_or_else(|| Component::ALL.to_vec(), manifest::wanted);
        let lacking: Vec<_> = wanted
            .iter()
            .filter(|component| !held.contains(component))
            .map(|component| component.name())
            .collect();
        if !lacking.is_empty() {
            report.summary(format!("the set does not have: {}", lacking.join(", ")));
        }
    }

    /// Names further directories of this server of which the set has nothing.
    fn name_lacking_directories(&self, report: &Report) {
        let ExtraPlace::Live(named) = &self.places.extra else {
            return;
        };
        if !self.components.contains(&Component::Config) {
            return;
        }
        let held = self.inventory.of_component(Component::Config);
        let held: Vec<PathBuf> = held.filter_map(|file| extra_dir(&file.path)).collect();
        for directory in named.iter().filter(|directory| !held.contains(directory)) {
            report.summary(format!("the set does not have: {}", directory.display()));
        }
    }

    /// The files of the set that are used.
    pub(crate) fn used(&self) -> Vec<&SetFile> {
        let dumps = self.dumps.iter().flat_map(|dumps| &dumps.files);
        self.jobs.used().into_iter().chain(dumps).collect()
    }

    /// Bytes that come out of the archives, as far as that is recorded.
    pub(crate) fn unpacked_bytes(&self) -> u64 {
        let of_trees = self.jobs.trees.iter().flat_map(TreeJob::telling);
        let used = of_trees.chain(self.jobs.files.iter().map(|job| &job.file));
        let recorded = used.filter_map(|file| file.recorded);
        recorded.map(|recorded| recorded.source_bytes).sum()
    }

    /// Everything that changes places.
    pub(crate) fn targets(&self) -> Vec<Target<'_>> {
        let mut targets = Vec::new();
        for tree in &self.jobs.trees {
            targets.push(Target::new(&tree.target, "directory"));
        }
        for job in &self.jobs.files {
            targets.push(Target {
                base: &job.base,
                ..Target::new(&job.target, "file")
            });
        }
        if let Some(sql) = self.dumps.as_ref().and_then(DumpsJob::directory) {
            targets.push(Target::new(sql, "directory"));
        }
        targets
    }
}

fn chosen_set(setup: &Setup, args: &Args, upstream: &Upstream) -> Result<PathBuf, Error> {
    match &args.from[..] {
        [] => set_of_records(upstream),
        [operand] => setup.find(operand),
        several => Err(find::Error::SeveralSets {
            operands: several.len(),
        }
        .into()),
    }
}

/// Where only signed sets are accepted: before anything else of the set is believed.
fn check_signature(
    setup: &Setup,
    inventory: &Inventory,
    report: &Report,
) -> Result<(), signature::Error> {
    let Some(signers) = &setup.settings.allowed_signers else {
        return Ok(());
    };
    let signer = signers.check(inventory)?;
    report.info(format!("the set is signed by {}", printable(&signer)));
    Ok(())
}

/// Where each part goes.
pub(crate) fn places(args: &Args, setup: &Setup, destination: &Destination) -> Places {
    match destination {
        Destination::Directory(directory) => Places::below(directory),
        Destination::Live => Places::live(args, &setup.settings),
    }
}

fn services(components: &[Component], places: &Places) -> Vec<String> {
    let targets: Vec<_> = components
        .iter()
        .map(|component| places.tree(*component))
        .collect();
    services::users_of(places.compose.path(), &targets)
}

fn set_of_records(upstream: &Upstream) -> Result<PathBuf, Error> {
    match &upstream.named_sets()[..] {
        [] => Err(Error::NoSetNamed),
        [one] => {
            let path = one.directory();
            Ok(path.canonicalize().map_err(Failed::at("open", &path))?)
        }
        several => Err(Error::SeveralSets {
            sets: several
                .iter()
                .map(|name| format!("{}/{}", name.root, name.set))
                .collect(),
        }),
    }
}

fn components(
    args: &Args,
    setup: &Setup,
    inventory: &Inventory,
    places: &Places,
    report: &Report,
) -> Result<Vec<Component>, Error> {
    let held = inventory.components();
    let set = inventory.set.clone();
    let Some(asked) = args.components() else {
        if held.is_empty() {
            return Err(Error::Empty { set });
        }
        let here = match Destination::of(args) {
            Destination::Directory(_) => held,
            Destination::Live => of_the_server(held, setup, places, report),
        };
        return if here.is_empty() {
            Err(Error::NotHere { set })
        } else {
            Ok(here)
        };
    };
    let is_placeless = |component: &&Component| has_no_place(**component, places);
    if let Some(component) = asked.iter().find(is_placeless) {
        return Err(Error::NoPlace {
            component: *component,
        });
    }
    let Some(component) = asked.iter().find(|component| !held.contains(component)) else {
        return Ok(asked);
    };
    let held: Vec<&str> = held.iter().map(|component| component.name()).collect();
    Err(Error::NoComponent {
        set,
        component: *component,
        held: held.join(", "),
    })
}

/// What the server has of what a set holds; the rest is named.
fn of_the_server(
    held: Vec<Component>,
    setup: &Setup,
    places: &Places,
    report: &Report,
) -> Vec<Component> {
    let named = &setup.settings.backup_components;
    let is_there =
        |component: &Component| named.contains(component) && !has_no_place(*component, places);
    let (here, absent): (Vec<Component>, Vec<Component>) = held.into_iter().partition(is_there);
    for component in absent {
        report.warning(format!(
            "{component} is in the set and is not restored: the settings say that this server has \
             none; --component {component} restores it"
        ));
    }
    here
}

/// Whether the settings say that there is nothing like it.
fn has_no_place(component: Component, places: &Places) -> bool {
    component != Component::Mysql && places.tree(component).is_none()
}

/// The query of the command line; `None` where no single messages are asked for.
pub(crate) fn query(args: &Args, zone: &TimeZone) -> Result<Option<Query>, Error> {
    if !args.asks_for_messages() {
        return Ok(None);
    }
    if args.verify {
        return Err(Error::VerifyMessages);
    }
    let mailboxes_alone = [Component::Mailboxes];
    if args
        .components()
        .is_some_and(|asked| asked != mailboxes_alone)
    {
        return Err(Error::OtherComponents);
    }
    let mut query = Query::default();
    for text in &args.mailbox {
        query
            .mailboxes
            .push(text.parse().map_err(messages::Error::Address)?);
    }
    for text in &args.message_id {
        query.message_ids.push(text.parse()?);
    }
    if let Some(text) = &args.since {
        query.since = Some(Since::parse(text, zone)?);
    }
    if let Some(text) = &args.search.until {
        query.until = Some(Until::parse(text, zone)?);
    }
    for text in &args.path {
        let pattern = Pattern::new(text).map_err(|source| messages::Error::Pattern {
            text: text.clone(),
            source,
        })?;
        query.paths.push(pattern);
    }
    let is_of_messages =
        !query.message_ids.is_empty() || query.since.is_some() || query.until.is_some();
    query.whole_folders = (!is_of_messages).then(|| query.paths.clone());
    Ok(Some(query))
}
