//! The dry run: verifies and reads everything as a restore would, says what would be done, and
//! writes nothing.

use mail_common::exit::Exit;
use mail_common::interrupt::{Interrupt, Interrupted};
use mail_common::report::Unit;
use mail_common::tool::{Session, Totals};
use mail_common::upstream::Upstream;

use crate::build::{Builder, Built};
use crate::examine::examine;
use crate::jobs::FileJob;
use crate::left_out::LeftOut;
use crate::plan::Plan;
use crate::restored::{Ledger, Mode};
use crate::services;
use crate::setup::Destination;
use crate::tree::Owners;
use crate::unpack::{self, Unpacked};
use crate::verify::{check_clean, check_digests};

/// Says what would be restored. Bad when something stands against it.
pub(crate) fn show(
    plan: &Plan,
    upstream: &Upstream,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<(Exit, Totals), Interrupted> {
    session.report.summary(format!(
        "dry run of {}: nothing is written",
        plan.inventory.set.display()
    ));
    let cleared = check_clean(plan, upstream, session);
    check_digests(plan, session, interrupt)?;
    let mut ledger = Ledger::new(session, Mode::DryRun);
    show_trees(plan, &cleared.left_out, session, interrupt, &mut ledger)?;
    for job in &plan.jobs.files {
        ledger.add_built(&[as_it_is(job, plan)], &job.target);
    }
    if let Some(dumps) = &plan.dumps {
        dumps.show(session, interrupt, &mut ledger.totals);
    }
    if plan.destination == Destination::Live {
        session.report.summary(format!(
            "services that would have to be stopped and started{}",
            services::list(&plan.services)
        ));
    }
    let exit = if session.report.errors() == 0 {
        Exit::Done
    } else {
        Exit::Bad
    };
    Ok((exit, ledger.totals))
}

fn show_trees(
    plan: &Plan,
    left_out: &LeftOut,
    session: &Session,
    interrupt: &Interrupt,
    ledger: &mut Ledger<'_>,
) -> Result<(), Interrupted> {
    let progress = session
        .report
        .progress("read", Unit::Bytes, Some(plan.unpacked_bytes()));
    let advance = |bytes| progress.advance(bytes);
    let builder = Builder {
        set: &plan.inventory.set,
        owners: Owners::Apply,
        threads: plan.threads,
        interrupt,
        progress: &advance,
        left_out,
    };
    for job in &plan.jobs.trees {
        match examine(&builder, job) {
            Ok(parts) => ledger.add_built(&parts, &job.target),
            Err(unpack::Error::Interrupted(interrupted)) => return Err(interrupted),
            Err(error) => session.fail(Some(job.component), None, &error),
        }
    }
    Ok(())
}

fn as_it_is(job: &FileJob, plan: &Plan) -> Built {
    let path = plan.inventory.set.join(job.file.path.as_path());
    let bytes = path.metadata().map_or(0, |metadata| metadata.len());
    Built {
        component: job.component,
        path: job.file.path.clone(),
        unpacked: Unpacked { entries: 1, bytes },
    }
}
