//! What a container uses.

use bollard::models::{ContainerCpuStats, ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures::future::join_all;
use futures::{StreamExt, pin_mut};
use tokio::time::timeout;

use super::{Docker, DockerError};

/// What a container uses. `None` where the daemon does not say, as for one that has just ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// Of one processor, over a second or two: 200 is two processors.
    pub(crate) cpu_percent: Option<f64>,
    /// Without the file cache that can be given up, as `docker stats` has it.
    pub(crate) memory_bytes: Option<u64>,
    /// What it may use: the machine's memory where it has no limit.
    pub(crate) memory_limit_bytes: Option<u64>,
}

impl Docker {
    /// What each of the containers uses. They are asked at the same time, since each answer takes the daemon two seconds.
    pub(crate) fn stats(&self, containers: &[&str]) -> Vec<Result<Usage, DockerError>> {
        let asked = containers.iter().map(|container| self.usage(container));
        self.runtime.block_on(join_all(asked))
    }

    async fn usage(&self, container: &str) -> Result<Usage, DockerError> {
        let what = format!("measure {container}");
        let options = StatsOptionsBuilder::new().stream(false).one_shot(false).build();
        let answers = self.client.stats(container, Some(options));
        pin_mut!(answers);
        match timeout(self.within, answers.next()).await {
            Ok(Some(Ok(answer))) => Ok(Usage::read(&answer)),
            Ok(Some(Err(source))) => Err(DockerError::of(&self.socket, &what, source)),
            Ok(None) => Ok(Usage { cpu_percent: None, memory_bytes: None, memory_limit_bytes: None }),
            Err(_) => Err(DockerError::silent(&self.socket, &what, self.within)),
        }
    }
}

impl Usage {
    fn read(answer: &ContainerStatsResponse) -> Self {
        let memory = answer.memory_stats.as_ref();
        Self {
            cpu_percent: answer.cpu_stats.as_ref().zip(answer.precpu_stats.as_ref()).and_then(cpu_percent),
            memory_bytes: memory.and_then(memory_bytes),
            memory_limit_bytes: memory.and_then(|memory| memory.limit).filter(|limit| *limit > 0),
        }
    }
}

fn cpu_percent((now, earlier): (&ContainerCpuStats, &ContainerCpuStats)) -> Option<f64> {
    let used = |stats: &ContainerCpuStats| stats.cpu_usage.as_ref()?.total_usage;
    let used_nanoseconds = used(now)?.checked_sub(used(earlier)?)?;
    let passed_nanoseconds = now.system_cpu_usage?.checked_sub(earlier.system_cpu_usage?).filter(|time| *time > 0)?;
    let processors = f64::from(now.online_cpus.filter(|count| *count > 0)?);
    Some(used_nanoseconds as f64 / passed_nanoseconds as f64 * processors * 100.0)
}

/// `inactive_file` is of cgroup v2, `total_inactive_file` of v1.
fn memory_bytes(memory: &ContainerMemoryStats) -> Option<u64> {
    let cache = memory.stats.as_ref().and_then(|stats| {
        ["total_inactive_file", "inactive_file"].into_iter().find_map(|name| stats.get(name).copied())
    });
    Some(memory.usage?.saturating_sub(cache.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerCpuUsage;

    use super::*;

    fn cpu(total: u64, system: u64) -> ContainerCpuStats {
        let cpu_usage = Some(ContainerCpuUsage { total_usage: Some(total), ..Default::default() });
        ContainerCpuStats { cpu_usage, system_cpu_usage: Some(system), online_cpus: Some(4), ..Default::default() }
    }

    #[test]
    fn percent_is_of_one_processor() {
        assert_eq!(cpu_percent((&cpu(1_500, 8_000), &cpu(1_000, 4_000))), Some(50.0));
        assert_eq!(cpu_percent((&cpu(1_000, 8_000), &cpu(1_500, 4_000))), None);
        assert_eq!(cpu_percent((&cpu(1, 1), &ContainerCpuStats::default())), None);
    }

    #[test]
    fn the_file_cache_is_not_counted() {
        let stats = [("inactive_file".to_owned(), 300)].into();
        let memory = ContainerMemoryStats { usage: Some(1000), stats: Some(stats), ..Default::default() };
        assert_eq!(memory_bytes(&memory), Some(700));
        assert_eq!(memory_bytes(&ContainerMemoryStats::default()), None);
    }
}
