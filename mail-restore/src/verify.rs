//! Whether what a run would use is what was saved, and known to be clean where that is asked for.
//! Nothing is written.

use std::fs;
use std::path::Path;

use mail_common::exit::Exit;
use mail_common::interrupt::{Interrupt, Interrupted};
use mail_common::report::Unit;
use mail_common::set::SetFile;
use mail_common::set::verify;
use mail_common::tool::{Session, Totals, human_size};
use mail_common::upstream::Upstream;

use crate::left_out::{self, LeftOut};
use crate::plan::Plan;
use crate::setup::Clearance;

/// `--verify`: looks at what would be used, and does nothing else. Bad when a file is not what it
/// should be.
pub(crate) fn verify_used(
    plan: &Plan,
    upstream: &Upstream,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<(Exit, Totals), Interrupted> {
    let cleared = check_clean(plan, upstream, session);
    let damaged = check_digests(plan, session, interrupt)?;
    let files = plan.used();
    let bytes = total_bytes(&plan.inventory.set, &files);
    session.report.summary(format!(
        "verified {} files, {}: {damaged} are damaged",
        files.len(),
        human_size(bytes)
    ));
    let exit = if cleared.refused + damaged == 0 && cleared.left_out.is_empty() {
        Exit::Done
    } else {
        Exit::Bad
    };
    Ok((
        exit,
        Totals::from([("files", files.len() as u64), ("bytes", bytes)]),
    ))
}

/// What a scanner's verdicts mean for what is used.
#[derive(Debug, Default)]
pub(crate) struct Cleared {
    /// How many files may not be used because no scanner found them clean.
    pub(crate) refused: u64,
    /// Members that are not restored.
    pub(crate) left_out: LeftOut,
}

/// Whether a scanner found clean what is used, where that is asked for. What is refused or left out
/// is recorded.
pub(crate) fn check_clean(plan: &Plan, upstream: &Upstream, session: &Session) -> Cleared {
    let Clearance::Scan(leave_out) = plan.clearance else {
        return Cleared::default();
    };
    let set = &plan.inventory.set;
    let judged = left_out::judge(leave_out, upstream, set, plan.used());
    for refusal in &judged.refused {
        session.fail(None, Some(refusal.path()), refusal);
    }
    for reason in &judged.reasons {
        let file = plan.inventory.file(reason.member.refusal.path());
        let component = file.and_then(|file| file.component);
        session.fail(component, Some(&reason.member.member), reason);
    }
    Cleared {
        refused: judged.refused.len() as u64,
        left_out: judged.left_out,
    }
}

/// How many files are not what the checksums say; each is recorded.
pub(crate) fn check_digests(
    plan: &Plan,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<u64, Interrupted> {
    let files = plan.used();
    let set = &plan.inventory.set;
    let progress = session
        .report
        .progress("verify", Unit::Bytes, Some(total_bytes(set, &files)));
    let damaged = verify::verify(set, &files, plan.threads, interrupt, &|bytes| {
        progress.advance(bytes);
    })?;
    for damage in &damaged {
        let file = plan.inventory.file(damage.path());
        session.fail(
            file.and_then(|file| file.component),
            Some(damage.path()),
            damage,
        );
    }
    Ok(damaged.len() as u64)
}

fn total_bytes(set: &Path, files: &[&SetFile]) -> u64 {
    let size = |file: &&SetFile| {
        let metadata = fs::metadata(set.join(file.path.as_path()));
        metadata.map_or(0, |metadata| metadata.len())
    };
    files.iter().map(size).sum()
}
