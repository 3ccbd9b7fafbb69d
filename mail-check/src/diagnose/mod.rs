//! `--diagnose`: what an operating guide's trouble-shooting does, in its order, and what it means.

mod dkim; // whether there are keys to sign with
mod rules; // from findings to the likely cause
mod scenario; // what does not work
mod steps; // what is looked at, in order

use std::sync::Arc;

use crate::context::Context;
use crate::finding::Finding;
use crate::group::Group;
use crate::probe::{Probe, run_all};

pub(crate) use scenario::Scenario;
use steps::{Step, Subject};

/// Steps to be made.
pub(crate) struct Diagnosis {
    scenario: Scenario,
    steps: Vec<(&'static Step, Vec<Probe>)>,
}

impl Diagnosis {
    /// Plans the steps; each group is checked once, when its first step is made.
    /// `checks_of` plans the checks of a group.
    pub(crate) fn new(
        scenario: Scenario,
        context: &Arc<Context>,
        checks_of: impl Fn(Group) -> Vec<Probe>,
    ) -> Self {
        let probes = |subject| match subject {
            Subject::Group(group) => checks_of(group),
            Subject::DkimKeys => vec![dkim::probe(context)],
        };
        let mut begun: Vec<Subject> = Vec::new();
        let steps = steps::of(scenario).iter().map(|step| {
            let is_new = !begun.contains(&step.subject);
            begun.push(step.subject);
            (
                step,
                if is_new {
                    probes(step.subject)
                } else {
                    Vec::new()
                },
            )
        });
        Self {
            scenario,
            steps: steps.collect(),
        }
    }

    /// Makes the steps; `begins` is told of each. The diagnosis is the first finding, since it is
    /// what was asked for; what each step found follows in their order.
    pub(crate) fn run(self, mut begins: impl FnMut(&str)) -> Vec<Finding> {
        let mut unused: Vec<Finding> = Vec::new();
        let mut reported: Vec<Finding> = Vec::new();
        for (step, probes) in self.steps {
            begins(step.what);
            run_all(probes, |finding| unused.push(finding));
            let (mine, others) = unused
                .into_iter()
                .partition(|finding| step.is_about(finding));
            unused = others;
            let was_reported = reported.iter().any(|finding| step.is_about(finding));
            let mine: Vec<Finding> = mine;
            let mine = if mine.is_empty() && !was_reported {
                vec![step.not_made()]
            } else {
                mine
            };
            reported.extend(mine);
        }
        let diagnosis = rules::diagnose(self.scenario, &reported);
        [diagnosis].into_iter().chain(reported).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::status::Status;
    use std::time::Duration;

    fn run(scenario: Scenario, found: Vec<Finding>) -> Vec<Finding> {
        let mut found = Some(found);
        let steps = steps::of(scenario).iter().map(|step| {
            let findings = found.take();
            let probe = |findings| Probe::new("x", "x", Duration::from_secs(9), move || findings);
            (step, findings.map(probe).into_iter().collect())
        });
        let mut begun = 0;
        let reported = Diagnosis {
            scenario,
            steps: steps.collect(),
        }
        .run(|_| begun += 1);
        assert_eq!(begun, steps::of(scenario).len());
        reported
    }

    #[test]
    fn the_diagnosis_comes_first_then_the_steps_in_their_order_each_finding_once() {
        let found = ["mailflow", "queue", "smtp", "disk", "no-step"]
            .map(|name| Finding::ok(name, "t", "fine"));
        let reported = run(Scenario::Receive, found.into());
        let made: Vec<&str> = reported
            .iter()
            .filter(|finding| finding.target != "configuration")
            .map(|finding| &*finding.name)
            .collect();
        assert_eq!(made, ["diagnosis", "disk", "smtp", "queue", "mailflow"]);
    }

    #[test]
    fn a_step_that_cannot_be_made_is_unknown_and_so_is_the_diagnosis() {
        for scenario in Scenario::value_variants() {
            let reported = run(*scenario, Vec::new());
            assert_eq!(reported.len(), steps::of(*scenario).len() + 1);
            assert!(
                reported
                    .iter()
                    .all(|finding| finding.status == Status::Unknown),
                "{reported:?}"
            );
        }
    }
}
