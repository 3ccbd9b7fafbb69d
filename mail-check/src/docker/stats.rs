//! What a container uses.

use std::time::Duration;

use bollard::models::{ContainerCpuStats, ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures::future::join_all;
use futures::{StreamExt, pin_mut};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::client::Docker;
use super::error::DockerError;

/// What a container uses. `None` where the daemon does not say, as for one that has just ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    pub(crate) cpu: Option<CpuTime>,
    /// Without the file cache that can be given up, as `docker stats` has it.
    pub(crate) memory_bytes: Option<u64>,
    /// What it may use: the machine's memory where it has no limit.
    pub(crate) memory_limit_bytes: Option<u64>,
}

/// Counters that only grow: how busy a container was is the difference of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CpuTime {
    /// Of the container.
    pub(crate) used_nanoseconds: u64,
    /// Of all processors of the machine together, busy or not.
    pub(crate) passed_nanoseconds: u64,
}

impl Docker {
    /// What each of the containers uses, all asked at once; together they may take `within`.
    pub(crate) fn usage(
        &self,
        containers: &[&str],
        within: Duration,
    ) -> Vec<Result<Usage, DockerError>> {
        let asked = containers
            .iter()
            .map(|container| self.usage_of(container, within));
        self.runtime.block_on(join_all(asked))
    }

    async fn usage_of(&self, container: &str, within: Duration) -> Result<Usage, DockerError> {
        let what = format!("measure {container}");
        let options = StatsOptionsBuilder::new()
            .stream(false)
            .one_shot(true)
            .build();
        let answers = self.client.stats(container, Some(options));
        pin_mut!(answers);
        match timeout(within, answers.next()).await {
            Ok(Some(Ok(answer))) => Ok(Usage::read(&answer)),
            Ok(Some(Err(source))) => Err(DockerError::of(&self.socket, &what, source)),
            Ok(None) => Ok(Usage {
                cpu: None,
                memory_bytes: None,
                memory_limit_bytes: None,
            }),
            Err(_) => Err(DockerError::silent(&self.socket, &what, within)),
        }
    }
}

impl Usage {
    fn read(answer: &ContainerStatsResponse) -> Self {
        let memory = answer.memory_stats.as_ref();
        Self {
            cpu: answer.cpu_stats.as_ref().and_then(CpuTime::read),
            memory_bytes: memory.and_then(memory_bytes),
            memory_limit_bytes: memory
                .and_then(|memory| memory.limit)
                .filter(|limit| *limit > 0),
        }
    }
}

impl CpuTime {
    fn read(stats: &ContainerCpuStats) -> Option<Self> {
        let used_nanoseconds = stats.cpu_usage.as_ref()?.total_usage?;
        // A container that has ended has a figure of zero here.
        let passed_nanoseconds = stats.system_cpu_usage.filter(|time| *time > 0)?;
        Some(Self {
            used_nanoseconds,
            passed_nanoseconds,
        })
    }

    /// Percent of all processors since `earlier`; `None` when those are counters of another boot or
    /// of no time ago.
    pub(crate) fn percent_since(self, earlier: Self) -> Option<f64> {
        let used = self
            .used_nanoseconds
            .checked_sub(earlier.used_nanoseconds)?;
        let passed = self
            .passed_nanoseconds
            .checked_sub(earlier.passed_nanoseconds)
            .filter(|time| *time > 0)?;
        Some(used as f64 * 100.0 / passed as f64)
    }
}

/// `inactive_file` is of cgroup v2, `total_inactive_file` of v1.
fn memory_bytes(memory: &ContainerMemoryStats) -> Option<u64> {
    let cache = memory.stats.as_ref().and_then(|stats| {
        ["total_inactive_file", "inactive_file"]
            .into_iter()
            .find_map(|name| stats.get(name).copied())
    });
    Some(memory.usage?.saturating_sub(cache.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerCpuUsage;

    use super::*;

    #[test]
    fn percent_is_of_all_processors_between_two_moments() {
        let time = |used_nanoseconds, passed_nanoseconds| CpuTime {
            used_nanoseconds,
            passed_nanoseconds,
        };
        assert_eq!(
            time(1_500, 8_000).percent_since(time(1_000, 4_000)),
            Some(12.5)
        );
        assert_eq!(time(1_000, 8_000).percent_since(time(1_500, 4_000)), None);
        assert_eq!(time(1_000, 4_000).percent_since(time(1_000, 4_000)), None);
        assert_eq!(CpuTime::read(&ContainerCpuStats::default()), None);
        let ended = ContainerCpuUsage {
            total_usage: Some(0),
            ..Default::default()
        };
        assert_eq!(
            CpuTime::read(&ContainerCpuStats {
                cpu_usage: Some(ended),
                ..Default::default()
            }),
            None
        );
    }

    #[test]
    fn the_file_cache_is_not_counted() {
        let stats = [("inactive_file".to_owned(), 300)].into();
        let memory = ContainerMemoryStats {
            usage: Some(1000),
            stats: Some(stats),
            ..Default::default()
        };
        assert_eq!(memory_bytes(&memory), Some(700));
        assert_eq!(memory_bytes(&ContainerMemoryStats::default()), None);
    }
}
