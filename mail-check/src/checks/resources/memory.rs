//! Memory, swap, load.

use procfs::{Current, LoadAverage, Meminfo};

use super::settings::Settings;
use crate::finding::Finding;
use crate::limits::Ceiling;

pub(super) fn check(settings: &Settings) -> Vec<Finding> {
    let mut findings = match Meminfo::current() {
        Ok(info) => vec![
            // MemAvailable is there since Linux 3.14.
            judge_memory(
                info.mem_total,
                info.mem_available.unwrap_or(info.mem_free),
                settings.memory,
            ),
            judge_swap(info.swap_total, info.swap_free, settings.swap),
        ],
        Err(error) => vec![Finding::unknown(
            "memory",
            "machine",
            format!("/proc/meminfo cannot be read: {error}"),
        )],
    };
    findings.push(load(settings));
    findings
}

/// What programs could still get counts as free, caches among it.
fn judge_memory(total: u64, available: u64, limits: Ceiling) -> Finding {
    let percent = percent_used(total, available);
    let message = format!(
        "{percent:.0} % of {} memory is used",
        mail_common::tool::human_size(total)
    );
    Finding::ok("memory", "machine", message).under(percent, "percent", limits)
}

fn judge_swap(total: u64, free: u64, limits: Ceiling) -> Finding {
    if total == 0 {
        return Finding::ok("swap", "machine", "there is no swap");
    }
    let percent = percent_used(total, free);
    let message = format!(
        "{percent:.0} % of {} swap is used",
        mail_common::tool::human_size(total)
    );
    Finding::ok("swap", "machine", message).under(percent, "percent", limits)
}

fn load(settings: &Settings) -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match LoadAverage::current() {
        Ok(load) => judge_load(f64::from(load.five), cores, settings.load_per_core),
        Err(error) => Finding::unknown(
            "load",
            "machine",
            format!("/proc/loadavg cannot be read: {error}"),
        ),
    }
}

fn judge_load(load: f64, cores: usize, limits: Ceiling) -> Finding {
    let message = format!("load {load:.2} over five minutes on {cores} processors");
    Finding::ok("load", "machine", message).under(load / cores as f64, "load_per_core", limits)
}

fn percent_used(total: u64, free: u64) -> f64 {
    total.saturating_sub(free) as f64 * 100.0 / total.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn memory_swap_and_load_have_limits() {
        let limits = Ceiling::new(80.0, 95.0);
        assert_eq!(judge_memory(1000, 201, limits).status, Status::Ok);
        assert_eq!(judge_memory(1000, 200, limits).status, Status::Warning);
        assert_eq!(judge_memory(1000, 0, limits).status, Status::Critical);
        assert_eq!(judge_swap(0, 0, limits).status, Status::Ok);
        assert_eq!(judge_swap(100, 4, limits).status, Status::Critical);
        assert_eq!(
            judge_load(7.9, 4, Ceiling::new(2.0, 5.0)).status,
            Status::Ok
        );
        assert_eq!(
            judge_load(8.0, 4, Ceiling::new(2.0, 5.0)).status,
            Status::Warning
        );
    }
}
