//! What Docker says of the project, gathered in a bounded time.

use std::thread;
use std::time::Duration;

use super::memory::Memory;
use crate::context::Context;
use crate::docker::{Container, Details, Docker, DockerError, Image, Usage};

/// The time between two measurements where there is none of an earlier run.
const BETWEEN: Duration = Duration::from_millis(500);

/// What Docker says of the project.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) project: String,
    pub(super) wanted: Vec<String>,
    pub(super) containers: Vec<Known>,
}

/// A container, and what is known of it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) container: Container,
    pub(super) inspected: Result<(Details, Image), DockerError>,
    /// Of a running one.
    pub(super) usage: Option<Result<Measured, DockerError>>,
}

/// What a container uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) now: Usage,
    /// Of all processors.
    pub(super) cpu_percent: Option<f64>,
}

/// A service, and its containers.
#[derive(Debug)]
pub(super) struct Service<'a> {
    pub(super) name: &'a str,
    pub(super) containers: Vec<&'a Known>,
}

impl Facts {
    /// Six steps: the time of each is such that all of them end before the probe does, whichever of
    /// them hangs.
    pub(super) fn gather(
        context: &Context,
        project: String,
        wanted: Vec<String>,
    ) -> Result<Self, DockerError> {
        let within = context.timeout / 6;
        let docker = Docker::of(context, within)?;
        let listed = docker.list(&project)?;
        let ids: Vec<&str> = listed
            .iter()
            .map(|container| container.id.as_str())
            .collect();
        let inspected = docker.inspect_all(&ids);
        let running: Vec<&str> = listed
            .iter()
            .filter(|container| container.running)
            .map(|container| container.id.as_str())
            .collect();
        let mut usage = measure(&docker, &running, context, within).into_iter();
        let usage: Vec<_> = listed
            .iter()
            .map(|c| if c.running { usage.next() } else { None })
            .collect();
        let known = listed.into_iter().zip(inspected).zip(usage);
        let containers = known
            .map(|((container, inspected), usage)| Known {
                container,
                inspected,
                usage,
            })
            .collect();
        Ok(Self {
            project,
            wanted,
            containers,
        })
    }

    /// Those that are wanted, and those that run though nobody wants them, such as those of a
    /// profile.
    pub(super) fn services(&self) -> Vec<Service<'_>> {
        let mut names: Vec<&str> = self.wanted.iter().map(String::as_str).collect();
        let running = self
            .containers
            .iter()
            .filter(|known| known.container.running);
        names.extend(running.map(|known| known.container.service.as_str()));
        names.sort_unstable();
        names.dedup();
        let of = |name| {
            self.containers
                .iter()
                .filter(move |known| known.container.service == name)
                .collect()
        };
        names
            .into_iter()
            .map(|name| Service {
                name,
                containers: of(name),
            })
            .collect()
    }
}

/// Where the last run knows a container, one measurement is enough.
fn measure(
    docker: &Docker,
    ids: &[&str],
    context: &Context,
    within: Duration,
) -> Vec<Result<Measured, DockerError>> {
    let memory = Memory::load(&context.state);
    let now = docker.usage(ids, within);
    let earlier: Vec<_> = ids
        .iter()
        .map(|id| memory.cpu(id, context.now.timestamp()))
        .collect();
    if earlier.iter().all(Option::is_some) {
        let measured = now.into_iter().zip(earlier);
        return measured
            .map(|(now, earlier)| now.map(|now| Measured::new(now, earlier)))
            .collect();
    }
    thread::sleep(BETWEEN.min(within));
    let later = docker.usage(ids, within);
    let pairs = later.into_iter().zip(now);
    pairs
        .map(|(later, now)| {
            later.map(|later| Measured::new(later, now.ok().and_then(|now| now.cpu)))
        })
        .collect()
}

impl Measured {
    fn new(now: Usage, earlier: Option<crate::docker::CpuTime>) -> Self {
        let cpu_percent = now
            .cpu
            .zip(earlier)
            .and_then(|(now, earlier)| now.percent_since(earlier));
        Self { now, cpu_percent }
    }
}
