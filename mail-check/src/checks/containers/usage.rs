//! Processors and memory of each service.

use mail_common::tool::human_size;

use super::facts::{Measured, Service};
use super::settings::Settings;
use crate::finding::Finding;

/// Of the container that uses most; nothing for a service that does not run.
pub(super) fn judge(service: &Service<'_>, settings: &Settings) -> Vec<Finding> {
    let measured = service
        .containers
        .iter()
        .filter_map(|known| known.usage.as_ref());
    let judged: Vec<[Finding; 2]> = measured
        .map(|usage| match usage {
            Ok(usage) => [
                cpu(service.name, usage, settings),
                memory(service.name, usage, settings),
            ],
            Err(error) => {
                let unknown = |name| Finding::unknown(name, service.name, error.to_string());
                [unknown("container-cpu"), unknown("container-memory")]
            }
        })
        .collect();
    let worst = |which: usize| {
        judged
            .iter()
            .map(|pair| pair[which].clone())
            .reduce(heavier)
    };
    [worst(0), worst(1)].into_iter().flatten().collect()
}

fn heavier(a: Finding, b: Finding) -> Finding {
    let value = |finding: &Finding| {
        finding
            .measure
            .as_ref()
            .map_or(0.0, |measure| measure.value)
    };
    let a_is = if a.status == b.status {
        value(&a) >= value(&b)
    } else {
        a.status > b.status
    };
    if a_is { a } else { b }
}

fn cpu(service: &str, usage: &Measured, settings: &Settings) -> Finding {
    match usage.cpu_percent {
        Some(percent) => {
            let message = format!(
                "it took {percent:.0} % of the processors; see docker stats and docker compose \
                 top {service}"
            );
            Finding::ok("container-cpu", service, message).under(percent, "percent", settings.cpu)
        }
        None => Finding::unknown(
            "container-cpu",
            service,
            "Docker gives no figure: it has just started or ended; run it again",
        ),
    }
}

fn memory(service: &str, usage: &Measured, settings: &Settings) -> Finding {
    match usage.now.memory_bytes.zip(usage.now.memory_limit_bytes) {
        Some((bytes, limit)) => {
            let percent = bytes as f64 * 100.0 / limit as f64;
            let message = format!(
                "it holds {} of the {} that it may have; see mem_limit of {service} in the \
                 compose file",
                human_size(bytes),
                human_size(limit)
            );
            Finding::ok("container-memory", service, message).under(
                percent,
                "percent",
                settings.memory,
            )
        }
        None => Finding::unknown(
            "container-memory",
            service,
            "Docker gives no figure; does the kernel count memory (cgroup)?",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::Usage;
    use crate::status::Status;

    fn measured(cpu_percent: Option<f64>, memory_bytes: Option<u64>) -> Measured {
        Measured {
            now: Usage {
                cpu: None,
                memory_bytes,
                memory_limit_bytes: Some(1000),
            },
            cpu_percent,
        }
    }

    #[test]
    fn both_are_judged_and_no_figure_is_unknown() {
        let settings = Settings::default();
        let check = |cpu_percent, memory_bytes, expected: (Status, Status)| {
            let usage = measured(cpu_percent, memory_bytes);
            assert_eq!(
                (
                    cpu("s", &usage, &settings).status,
                    memory("s", &usage, &settings).status
                ),
                expected
            );
        };
        check(Some(79.9), Some(799), (Status::Ok, Status::Ok));
        check(Some(80.0), Some(950), (Status::Warning, Status::Critical));
        check(None, None, (Status::Unknown, Status::Unknown));
    }

    #[test]
    fn the_heaviest_container_is_named() {
        let settings = Settings::default();
        let of = |percent| cpu("s", &measured(Some(percent), None), &settings);
        let value = |finding: Finding| finding.measure.map(|measure| measure.value);
        assert_eq!(value(heavier(of(1.0), of(2.0))), Some(2.0));
        assert_eq!(value(heavier(of(99.0), of(2.0))), Some(99.0));
        assert_eq!(
            heavier(of(1.0), Finding::unknown("x", "s", "")).status,
            Status::Unknown
        );
    }
}
