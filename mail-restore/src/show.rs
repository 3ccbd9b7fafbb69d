//! What writes nothing. The dry run: verifies and reads everything as a restore would, says what it
//! would do, and writes nothing.

use mail_common::exit::Exit;
use mail_common::interrupt::{Interrupt, Interrupted};
use mail_common::report::Unit;
use mail_common::tool::{Session, Totals, human_size};
use mail_common::upstream::Upstream;

use crate::build::Builder;
use crate::examine::examine;
use crate::execute::{check_clean, check_digests, total_bytes};
use crate::place;
use crate::plan::{Destination, Plan};
use crate::services;
use crate::tree::Owners;
use crate::unpack::{self, Unpacked};

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
    check_clean(plan, upstream, session);
    check_digests(plan, session, interrupt)?;
    let mut totals = show_trees(plan, session, interrupt)?;
    if let Some(dumps) = &plan.dumps {
        dumps.show(session, interrupt, &mut totals);
    }
    if plan.destination == Destination::Live {
        let services = services::affected(&plan.components).join(" ");
        session.report.summary(format!(
            "services that would have to be stopped and started: {services}"
        ));
    }
    let exit = if session.report.errors() == 0 {
        Exit::Done
    } else {
        Exit::Bad
    };
    Ok((exit, totals))
}

/// Verifies what would be used, and nothing else. Bad when a file is not what it should be.
pub(crate) fn verify(
    plan: &Plan,
    upstream: &Upstream,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<(Exit, Totals), Interrupted> {
    let refused = check_clean(plan, upstream, session);
    let damaged = check_digests(plan, session, interrupt)?;
    let files = plan.used();
    let bytes = total_bytes(&plan.inventory.set, &files);
    session.report.summary(format!(
        "verified {} files, {}: {damaged} are damaged",
        files.len(),
        human_size(bytes)
    ));
    let exit = if refused + damaged == 0 {
        Exit::Done
    } else {
        Exit::Bad
    };
    Ok((
        exit,
        Totals::from([("files", files.len() as u64), ("bytes", bytes)]),
    ))
}

fn show_trees(
    plan: &Plan,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<Totals, Interrupted> {
    let mut totals = Totals::default();
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
    };
    for job in &plan.jobs.trees {
        match examine(&builder, job) {
            Ok(parts) => {
                parts
                    .iter()
                    .for_each(|part| place::emit(session, part, &job.target, true));
                place::add(&mut totals, &parts);
            }
            Err(unpack::Error::Interrupted(interrupted)) => return Err(interrupted),
            Err(error) => session.fail(Some(job.component), None, &error),
        }
    }
    for job in &plan.jobs.files {
        let bytes = plan
            .inventory
            .set
            .join(job.file.path.as_path())
            .metadata()
            .map_or(0, |metadata| metadata.len());
        let unpacked = Unpacked { entries: 1, bytes };
        let part = crate::build::Built {
            component: job.component,
            path: job.file.path.clone(),
            unpacked,
        };
        place::emit(session, &part, &job.target, true);
        place::add(&mut totals, &[part]);
    }
    Ok(totals)
}
