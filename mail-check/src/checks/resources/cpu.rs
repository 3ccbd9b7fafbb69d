//! How busy the processors are, over the time since the last run.

use std::thread;
use std::time::Duration;

use procfs::{CurrentSI, KernelStats, ProcResult};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Ceiling;

/// Where the counters of the last run are kept.
const STATE: &str = "cpu";

/// Between runs that are this far apart, the time between them is what is judged: a busy second is
/// no trouble.
const APART_SECONDS: std::ops::RangeInclusive<i64> = 60..=3600;

/// Counters of all processors since boot, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Counters {
    at_second: i64,
    busy: u64,
    total: u64,
}

pub(super) fn check(limits: Ceiling, context: &Context) -> Vec<Finding> {
    let now_second = context.now.timestamp().as_second();
    let earlier = context.state.load::<Counters>(STATE).usable();
    let finding = match measure(now_second, earlier) {
        Ok((earlier, now)) => {
            // Without it the next run looks at one second, as this one may have.
            let _ = context.state.keep(STATE, &now);
            judge(earlier, now, limits)
        }
        Err(error) => Finding::unknown(
            "cpu",
            "machine",
            format!("/proc/stat cannot be read: {error}"),
        ),
    };
    vec![finding]
}

fn measure(now_second: i64, earlier: Option<Counters>) -> ProcResult<(Counters, Counters)> {
    let now = read(now_second)?;
    // Counters that went back are those of an earlier boot.
    let fits = |earlier: &Counters| {
        APART_SECONDS.contains(&(now_second - earlier.at_second))
            && earlier.total < now.total
            && earlier.busy <= now.busy
    };
    if let Some(earlier) = earlier.filter(fits) {
        return Ok((earlier, now));
    }
    thread::sleep(Duration::from_secs(1));
    Ok((now, read(now_second + 1)?))
}

fn read(at_second: i64) -> ProcResult<Counters> {
    let time = KernelStats::current()?.total;
    let waiting = time.idle + time.iowait.unwrap_or(0);
    let busy = time.user
        + time.nice
        + time.system
        + time.irq.unwrap_or(0)
        + time.softirq.unwrap_or(0)
        + time.steal.unwrap_or(0);
    Ok(Counters {
        at_second,
        busy,
        total: busy + waiting,
    })
}

fn judge(earlier: Counters, now: Counters, limits: Ceiling) -> Finding {
    let total = now.total.saturating_sub(earlier.total).max(1);
    let percent = now.busy.saturating_sub(earlier.busy) as f64 * 100.0 / total as f64;
    let seconds = now.at_second - earlier.at_second;
    let message = format!("the processors were busy {percent:.0} % of the last {seconds} s");
    Finding::ok("cpu", "machine", message).under(percent, "percent", limits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn busy_is_judged_between_two_runs() {
        let earlier = Counters {
            at_second: 0,
            busy: 1000,
            total: 5000,
        };
        let check = |busy: u64, expected| {
            let now = Counters {
                at_second: 300,
                busy: 1000 + busy,
                total: 6000,
            };
            let finding = judge(earlier, now, Ceiling::new(80.0, 95.0));
            assert_eq!(finding.status, expected, "{}", finding.message);
        };
        check(799, Status::Ok);
        check(800, Status::Warning);
        check(950, Status::Critical);
    }

    #[test]
    fn counters_of_another_boot_are_not_used() {
        let ahead = Counters {
            at_second: 0,
            busy: u64::MAX / 2,
            total: u64::MAX / 2 + 1,
        };
        let (earlier, now) = measure(300, Some(ahead)).unwrap();
        assert_eq!((earlier.at_second, now.at_second), (300, 301));
    }
}
