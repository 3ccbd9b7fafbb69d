//! Which checks are made: reads settings, and begins none.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::ZonedDateTime;
use mail_common::config::{Config, Environment, Settings as ServerSettings};

use crate::args::Args;
use crate::catalog;
use crate::checks;
use crate::context::Context;
use crate::diagnose::Diagnosis;
use crate::docker::Project;
use crate::error::Error;
use crate::finding::NOT_CONFIGURED;
use crate::group::{Group, Operand, parse_operands};
use crate::language::Language;
use crate::net::Verifier;
use crate::notify::Notifier;
use crate::probe::Probe;
use crate::report::Sources;
use crate::settings::Settings;
use crate::state::StateDir;

/// What is to be done.
pub(crate) struct Plan {
    /// Whether records of other tools are read from stdin, and judged.
    pub(crate) reads_records: bool,
    pub(crate) probes: Vec<Probe>,
    /// The steps to the cause of a trouble.
    pub(crate) diagnosis: Option<Diagnosis>,
    /// Groups that were not asked for by name and have nothing to check.
    pub(crate) left_out: Vec<Group>,
    /// What is done with what was found.
    pub(crate) metrics: Option<Metrics>,
    pub(crate) report: Option<(PathBuf, Sources)>,
    pub(crate) notifier: Option<Notifier>,
    pub(crate) context: Arc<Context>,
}

/// Where metrics are written, and for which checks, as the command line has them.
pub(crate) struct Metrics {
    pub(crate) path: PathBuf,
    pub(crate) checks: String,
}

impl Plan {
    pub(crate) fn new(args: &Args, now: &ZonedDateTime) -> Result<Self, Error> {
        let operands = parse_operands(&args.operands)?;
        let settings = Settings::load(args.checks.as_deref())?;
        let context = Arc::new(new_context(args, &settings, now)?);
        let notifier = args.notify.then(|| {
            Notifier::new(
                &settings.notify,
                &context.server,
                &Environment::of_process(),
            )
        });
        let sources = |path| (path, sources(&settings, &context));
        let mut plan = Self {
            reads_records: false,
            probes: Vec::new(),
            diagnosis: None,
            left_out: Vec::new(),
            metrics: args.prometheus.clone().map(|path| Metrics {
                path,
                checks: checks_named(&args.operands),
            }),
            report: args.report.clone().map(sources),
            notifier: notifier.transpose()?,
            context: Arc::clone(&context),
        };
        if let Some(scenario) = args.diagnose {
            let checks_of = |group| catalog::probes(group, &settings, &context);
            plan.diagnosis = Some(Diagnosis::new(scenario, &context, checks_of));
            return Ok(plan);
        }
        for operand in &operands {
            plan.add(operand, &settings, &context);
        }
        Ok(plan)
    }

    fn add(&mut self, operand: &Operand, settings: &Settings, context: &Arc<Context>) {
        match operand {
            Operand::Records => self.reads_records = true,
            Operand::Set(set) => self.probes.push(checks::set::probe(set, context)),
            Operand::Group(group) => {
                let probes = catalog::probes(*group, settings, context);
                if probes.is_empty() {
                    self.probes.push(not_configured(*group));
                }
                self.probes.extend(probes);
            }
            Operand::All => {
                for group in Group::ALL {
                    let probes = catalog::probes(group, settings, context);
                    if probes.is_empty() {
                        self.left_out.push(group);
                    }
                    self.probes.extend(probes);
                }
            }
        }
    }
}

/// Who asks for a check by name learns that there is none.
fn not_configured(group: Group) -> Probe {
    let name = group.name();
    let why = format!("nothing to check; see [{name}] in mail-check --print-config");
    Probe::unknown(name, NOT_CONFIGURED, why)
}

/// The words of the command line; without any it is all.
fn checks_named(operands: &[OsString]) -> String {
    let words: Vec<_> = operands.iter().map(|word| word.to_string_lossy()).collect();
    if words.is_empty() {
        Group::EVERY.to_owned()
    } else {
        words.join(" ")
    }
}

fn sources(settings: &Settings, context: &Context) -> Sources {
    Sources {
        root: context.root.clone(),
        scan: settings.scans.records.clone(),
        copies: settings.s3.records.clone(),
    }
}

fn new_context(args: &Args, settings: &Settings, now: &ZonedDateTime) -> Result<Context, Error> {
    let environment = Environment::of_process();
    let state = state_dir(args, &environment)?;
    let language = Language::of(&environment);
    let config = Config::load(args.common.config.as_deref(), environment)?;
    let server = ServerSettings::new(&config)?;
    let root = args
        .root
        .clone()
        .unwrap_or_else(|| server.backup_root.clone());
    let verifier = Verifier::new(
        settings.services.name.clone(),
        settings.tls.allow_self_signed,
        settings.tls.ca_file.clone(),
        now.timestamp(),
    );
    Ok(Context {
        now: now.clone(),
        language,
        timeout: Duration::from_secs(args.timeout.get().into()),
        state,
        config_file: args.common.config.clone(),
        project: Project::new(&settings.docker, &server),
        verifier,
        config,
        server,
        root,
    })
}

fn state_dir(args: &Args, environment: &Environment) -> Result<StateDir, Error> {
    if args.diagnose.is_some() {
        // It looks at what there is, not at what is new, and takes nothing away from the next
        // check.
        return Ok(StateDir::forgetful());
    }
    if let Some(dir) = &args.state {
        return Ok(StateDir::new(dir));
    }
    if rustix::process::geteuid().is_root() {
        return Ok(StateDir::new("/var/lib/mail-check"));
    }
    let base = environment.get("XDG_STATE_HOME").map(PathBuf::from);
    let home = || {
        environment
            .get("HOME")
            .map(|home| PathBuf::from(home).join(".local/state"))
    };
    let base = base.or_else(home).ok_or(Error::NoState)?;
    Ok(StateDir::new(base.join("mail-check")))
}
