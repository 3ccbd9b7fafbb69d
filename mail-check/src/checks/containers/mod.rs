//! `containers`: every service of the compose project is there, running and healthy, and takes no
//! more than its share.

mod facts; // what Docker says of the project
mod health; // there, running, healthy, not started again and again
mod image; // how old the images are
mod memory; // what is kept from run to run
mod usage; // processors and memory

use std::sync::Arc;

use mail_common::config::Source;
use serde::Deserialize;

use crate::context::Context;
use crate::docker::{self, ComposeError, ComposeFile, DockerError};
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::probe::Probe;
use facts::Facts;
use memory::Memory;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[containers]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    services: Vec<String>,
    one_shot: Vec<String>,
    restarts: Ceiling,
    image_age: Ceiling,
    ageless: Vec<String>,
    cpu: Ceiling,
    memory: Ceiling,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            services: Vec::new(),
            one_shot: Vec::new(),
            restarts: Ceiling::new(1.0, 5.0),
            image_age: Ceiling::warning(90.0),
            ageless: Vec::new(),
            cpu: Ceiling::new(80.0, 95.0),
            memory: Ceiling::new(80.0, 95.0),
        }
    }
}

/// Why nothing is known of the containers.
#[derive(Debug, thiserror::Error)]
enum Unknown {
    #[error(transparent)]
    Docker(#[from] DockerError),
    #[error(transparent)]
    Compose(#[from] ComposeError),
}

/// One: they are asked for together. None where no compose file was named, none is in the usual
/// place, and no service is named.
pub(crate) fn probes(context: &Arc<Context>) -> Vec<Probe> {
    let compose_file_is_named = ["DOCKER_COMPOSE_FILE", "MAILSERVER_ROOT"]
        .into_iter()
        .filter_map(|name| context.config.get(name))
        .any(|setting| setting.source != Source::Default);
    let services = &context.settings.containers.services;
    if services.is_empty() && !compose_file_is_named && !context.server.docker_compose_file.exists()
    {
        return Vec::new();
    }
    let within = context.timeout;
    let context = Arc::clone(context);
    vec![Probe::new("docker", "daemon", within, move || {
        check(&context)
    })]
}

fn check(context: &Context) -> Vec<Finding> {
    match gather(context) {
        Ok(facts) => judge(&facts, context),
        Err(error) => vec![Finding::unknown(
            "docker",
            "daemon",
            format!("no container was checked: {error}"),
        )],
    }
}

fn gather(context: &Context) -> Result<Facts, Unknown> {
    let named = &context.settings.containers.services;
    let wanted = match named.is_empty() {
        true => ComposeFile::read(&context.server.docker_compose_file)?.wanted(),
        false => named.clone(),
    };
    let project = docker::project(context)?;
    Ok(Facts::gather(context, project, wanted)?)
}

fn judge(facts: &Facts, context: &Context) -> Vec<Finding> {
    let settings = &context.settings.containers;
    let memory = Memory::load(&context.state);
    let running = facts
        .containers
        .iter()
        .filter(|known| known.container.running)
        .count();
    let message = format!(
        "Docker answers; {running} containers of the project {} run",
        facts.project
    );
    let mut findings = vec![Finding::ok(
        "docker",
        "daemon",
        format!("{message}{}", memory.damage()),
    )];
    for service in facts.services() {
        findings.extend(health::judge(
            &service,
            &memory,
            settings,
            context.now.timestamp(),
        ));
        findings.extend(image::judge(&service, settings, context.now.timestamp()));
        findings.extend(usage::judge(&service, settings));
    }
    if let Err(error) = memory
        .renewed(facts, context.now.timestamp())
        .keep(&context.state)
    {
        let cause = std::error::Error::source(&error)
            .map(ToString::to_string)
            .unwrap_or_default();
        findings.push(Finding::unknown(
            "docker",
            "state",
            format!("{error}: {cause}"),
        ));
    }
    findings
}
