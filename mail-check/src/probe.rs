//! Checks, side by side: each in a thread of its own and bounded in time, so that none waits for
//! another.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::finding::Finding;

/// For a check that only says what is known.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A check that can be made. It may give several findings.
pub(crate) struct Probe {
    /// The name that its finding has when it does not answer.
    name: &'static str,
    target: String,
    within: Duration,
    work: Box<dyn FnOnce() -> Vec<Finding> + Send>,
}

impl Probe {
    pub(crate) fn new(
        name: &'static str,
        target: impl Into<String>,
        within: Duration,
        work: impl FnOnce() -> Vec<Finding> + Send + 'static,
    ) -> Self {
        Self {
            name,
            target: target.into(),
            within,
            work: Box::new(work),
        }
    }

    /// A check that cannot be made, as is known before it begins: it says why.
    pub(crate) fn unknown(
        name: &'static str,
        target: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        let (target, why) = (target.into(), why.into());
        Self::new(name, target.clone(), AT_ONCE, move || {
            vec![Finding::unknown(name, target, why)]
        })
    }
}

/// A check that was begun.
struct Started {
    name: &'static str,
    target: String,
    within: Duration,
    deadline: Instant,
    answered: bool,
}

/// Makes all checks at once, and hands over what each found as soon as it is known.
///
/// A check that does not answer in time is unknown; its thread is left behind, and ends with the
/// process. The names and targets of those that answered are given back.
pub(crate) fn run_all(
    probes: Vec<Probe>,
    mut report: impl FnMut(Finding),
) -> Vec<(&'static str, String)> {
    let mut answered = Vec::new();
    let (sender, answers) = mpsc::channel();
    let mut started: Vec<Started> = probes
        .into_iter()
        .enumerate()
        .map(|(number, probe)| start(number, probe, &sender))
        .collect();
    drop(sender);
    while let Some(deadline) = started
        .iter()
        .filter(|probe| !probe.answered)
        .map(|probe| probe.deadline)
        .min()
    {
        match answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            // What comes too late was reported as unknown already.
            Ok((number, _)) if started[number].answered => {}
            Ok((number, findings)) => {
                started[number].answered = true;
                answered.push((started[number].name, started[number].target.clone()));
                findings.into_iter().for_each(&mut report);
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                give_up(&mut started, &mut report);
            }
        }
    }
    answered
}

fn start(number: usize, probe: Probe, sender: &Sender<(usize, Vec<Finding>)>) -> Started {
    let Probe {
        name,
        target,
        within,
        work,
    } = probe;
    let (about, sender) = (target.clone(), sender.clone());
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let findings = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            vec![Finding::unknown(
                name,
                about,
                format!("a bug: {}", words_of(&*panic)),
            )]
        });
        // Nobody listens any more when it comes too late.
        let _ = sender.send((number, findings));
    });
    // A thread that cannot be had is a check that gives no answer, at once.
    let deadline = Instant::now()
        + if spawned.is_ok() {
            within
        } else {
            Duration::ZERO
        };
    Started {
        name,
        target,
        within,
        deadline,
        answered: false,
    }
}

fn give_up(started: &mut [Started], report: &mut impl FnMut(Finding)) {
    let now = Instant::now();
    for probe in started
        .iter_mut()
        .filter(|probe| !probe.answered && probe.deadline <= now)
    {
        probe.answered = true;
        let message = format!("no answer within {} s", probe.within.as_secs_f64());
        report(Finding::unknown(probe.name, probe.target.clone(), message));
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    words
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    fn answer(target: &'static str, after: Duration) -> Probe {
        Probe::new("x", target, Duration::from_millis(400), move || {
            thread::sleep(after);
            vec![Finding::ok("x", target, "fine")]
        })
    }

    #[test]
    fn one_that_hangs_does_not_stop_the_others_and_is_unknown() {
        let hour = Duration::from_secs(3600);
        let bug = Probe::new("x", "bug", hour, || panic!("broken"));
        let mut reported = Vec::new();
        let begun = Instant::now();
        let probes = vec![
            answer("hangs", hour),
            answer("slow", Duration::from_millis(50)),
            bug,
        ];
        let mut answered = run_all(probes, |finding| {
            reported.push((finding.target, finding.status, finding.message));
        });
        assert!(begun.elapsed() < Duration::from_secs(30));
        answered.sort();
        assert_eq!(
            answered,
            [("x", "bug".to_owned()), ("x", "slow".to_owned())]
        );
        reported.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(
            reported,
            [
                (
                    "bug".to_owned(),
                    Status::Unknown,
                    "a bug: broken".to_owned()
                ),
                (
                    "hangs".to_owned(),
                    Status::Unknown,
                    "no answer within 0.4 s".to_owned()
                ),
                ("slow".to_owned(), Status::Ok, "fine".to_owned()),
            ]
        );
    }
}
