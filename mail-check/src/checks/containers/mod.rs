//! `containers`: every service of the compose project is there, running and healthy, and takes no
//! more than its share.

mod settings; // which services, and the limits
mod memory; // what is kept from run to run
mod facts; // what Docker says of the project
mod health; // there, running, healthy, not started again and again
mod image; // how old the images are
mod usage; // processors and memory

use std::sync::Arc;

use jiff::Timestamp;
use mail_common::config::Source;
use mail_common::report::chain;

use crate::context::Context;
use crate::docker::DockerError;
use crate::finding::Finding;
use crate::probe::Probe;
use facts::Facts;
use memory::Memory;

pub(crate) use settings::{EXAMPLE, Settings};

/// One: they are asked for together. None where no compose file was named, none is in the usual
/// place, and no service is named.
pub(crate) fn probes(settings: &Settings, context: &Arc<Context>) -> Vec<Probe> {
    if settings.services.is_empty() && !has_compose_file(context) {
        return Vec::new();
    }
    let (settings, context) = (settings.clone(), Arc::clone(context));
    vec![Probe::new("docker", "daemon", context.timeout, move || {
        check(&settings, &context)
    })]
}

/// Whether a compose file is named, or in its usual place.
fn has_compose_file(context: &Context) -> bool {
    let Some(usual) = &context.server.docker_compose_file else {
        return false;
    };
    let is_named = |name| {
        let setting = context.config.get(name);
        setting.is_some_and(|setting| setting.source != Source::Default)
    };
    ["DOCKER_COMPOSE_FILE", "MAILSERVER_ROOT"]
        .into_iter()
        .any(is_named)
        || usual.exists()
}

fn check(settings: &Settings, context: &Context) -> Vec<Finding> {
    let memory = Memory::load(&context.state);
    let facts = match gather(settings, &memory, context) {
        Ok(facts) => facts,
        Err(error) => {
            let message = format!("no container was checked: {error}");
            return vec![Finding::unknown("docker", "daemon", message)];
        }
    };
    let now = context.now.timestamp();
    let mut findings = judge(&facts, &memory, settings, now);
    if let Err(error) = memory.renewed(facts.counters(), now).keep(&context.state) {
        findings.push(Finding::unknown("docker", "state", chain(&error)));
    }
    findings
}

fn gather(settings: &Settings, memory: &Memory, context: &Context) -> Result<Facts, DockerError> {
    let wanted = if settings.services.is_empty() {
        context.project.wanted_services()?
    } else {
        settings.services.clone()
    };
    let now = context.now.timestamp();
    Facts::gather(&context.project, wanted, memory, now, context.timeout)
}

fn judge(facts: &Facts, memory: &Memory, settings: &Settings, now: Timestamp) -> Vec<Finding> {
    let mut findings = vec![daemon(facts, memory)];
    for service in facts.services() {
        findings.extend(health::judge(&service, memory, settings, now));
        findings.extend(image::judge(&service, settings, now));
        findings.extend(usage::judge(&service, settings));
    }
    findings
}

fn daemon(facts: &Facts, memory: &Memory) -> Finding {
    let running = facts
        .containers
        .iter()
        .filter(|known| known.container.running);
    let message = format!(
        "Docker answers; {} containers of the project {} run{}",
        running.count(),
        facts.project,
        memory.damage()
    );
    Finding::ok("docker", "daemon", message)
}
