//! What Docker says of the project, gathered in a bounded time.

use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use super::memory::{Counters, Memory};
use crate::docker::{Container, CpuTime, Details, Docker, DockerError, Image, Project, Usage};

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
    /// Six steps: the time of each is such that all of them end `within`, before the probe does,
    /// whichever of them hangs.
    pub(super) fn gather(
        project: &Project,
        wanted: Vec<String>,
        memory: &Memory,
        now: Timestamp,
        within: Duration,
    ) -> Result<Self, DockerError> {
        let step = within / 6;
        let name = project.name()?;
        let docker = project.connect(step)?;
        let listed = docker.list(&name)?;
        let ids: Vec<&str> = listed.iter().map(|container| &*container.id).collect();
        let inspected = docker.inspect_all(&ids);
        let running = listed.iter().filter(|container| container.running);
        let running: Vec<&str> = running.map(|container| &*container.id).collect();
        let mut measured = measure(&docker, &running, memory, now, step).into_iter();
        let mut containers = Vec::new();
        for (container, inspected) in listed.iter().zip(inspected) {
            containers.push(Known {
                container: container.clone(),
                inspected,
                usage: if container.running {
                    measured.next()
                } else {
                    None
                },
            });
        }
        Ok(Self {
            project: name,
            wanted,
            containers,
        })
    }

    /// What the next run compares with, by the container's id; `None` for a container that could
    /// not be asked.
    pub(super) fn counters(&self) -> impl Iterator<Item = (&str, Option<Counters>)> {
        self.containers.iter().map(|known| {
            let counters = known.inspected.as_ref().ok().map(|(details, _)| Counters {
                restarts: details.restarts,
                cpu: known
                    .usage
                    .as_ref()
                    .and_then(|usage| usage.as_ref().ok()?.now.cpu),
            });
            (&*known.container.id, counters)
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

/// Where the last run knows all containers, one measurement is enough.
fn measure(
    docker: &Docker,
    ids: &[&str],
    memory: &Memory,
    now: Timestamp,
    within: Duration,
) -> Vec<Result<Measured, DockerError>> {
    let first = docker.usage(ids, within);
    let known: Option<Vec<CpuTime>> = ids.iter().map(|id| memory.cpu(id, now)).collect();
    let (usages, earlier): (_, Vec<Option<CpuTime>>) = match known {
        Some(known) => (first, known.into_iter().map(Some).collect()),
        None => {
            thread::sleep(BETWEEN.min(within));
            let later = docker.usage(ids, within);
            let first = first.into_iter();
            (
                later,
                first
                    .map(|usage| usage.ok().and_then(|usage| usage.cpu))
                    .collect(),
            )
        }
    };
    let pairs = usages.into_iter().zip(earlier);
    pairs
        .map(|(usage, earlier)| usage.map(|usage| Measured::new(usage, earlier)))
        .collect()
}

impl Measured {
    fn new(now: Usage, earlier: Option<CpuTime>) -> Self {
        let cpu_percent = now
            .cpu
            .zip(earlier)
            .and_then(|(now, earlier)| now.percent_since(earlier));
        Self { now, cpu_percent }
    }
}
