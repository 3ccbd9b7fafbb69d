//! `set DIR`: whether a backup set is as it was made, and can be restored from: digests, archives,
//! indexes, dumps.
//!
//! Every file is read once, to its end. Digests tell damage since the backup; archives, indexes and
//! dumps are read as a restore would read them, which tells what was wrong from the beginning.

mod content; // a file read to its end: its digest, and what is in it
mod frames; // a segment frame by frame
mod mailbox; // what is said of the archives of a mailbox against them
mod problem; // what can be wrong
mod units; // which files are looked at together

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use mail_common::pool;
use mail_common::relpath::RelPath;
use mail_common::set::{Inventory, ReadLock, SetState, find_set};
use mail_common::signature::AllowedSigners;
use mail_common::tool::human_size;

use self::problem::Problem;
use self::units::{Unit, units_of};
use crate::context::Context;
use crate::finding::Finding;
use crate::probe::Probe;

/// Terabytes on one disk take hours.
const WITHIN: Duration = Duration::from_secs(12 * 3600);

/// How many problems are named; the others are counted.
const NAMED: usize = 5;

/// How many problems are kept to choose from: of a forged set there may be a million.
const KEPT: u64 = 1000;

/// What was found in a set.
struct Facts {
    /// Who signed it, where that was asked.
    signer: Option<String>,
    state: SetState,
    files: u64,
    bytes: u64,
    unlisted: Vec<String>,
    problems: Vec<Problem>,
    /// How many were found, with those that are not kept.
    problem_count: u64,
}

pub(crate) fn probe(operand: &Path, context: &Context) -> Probe {
    let (operand, root) = (operand.to_owned(), context.root.clone());
    let signers = context.server.allowed_signers.clone();
    let target = operand.display().to_string();
    Probe::new("set", target, WITHIN, move || {
        vec![check(&operand, &root, signers.as_ref())]
    })
}

fn check(operand: &Path, root: &Path, signers: Option<&AllowedSigners>) -> Finding {
    let target = operand.display().to_string();
    let set = find_set(operand, root).map_err(Problem::from);
    match set.and_then(|set| examine(&set, signers)) {
        Ok(facts) => judge(&target, &facts),
        Err(problem) => Finding::critical("set", target, problem.to_string()),
    }
}

fn examine(set: &Path, signers: Option<&AllowedSigners>) -> Result<Facts, Problem> {
    let lock = ReadLock::acquire(set)?;
    let inventory = Inventory::read(set)?;
    let signer = signers
        .map(|signers| signers.check(&inventory))
        .transpose()?;
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let (units, contradiction) = units_of(&inventory);
    let problem_count = AtomicU64::new(u64::from(contradiction.is_some()));
    let read = |(): &mut (), unit: &Unit<'_>| {
        let (bytes, problems) = unit.read(set);
        let before = problem_count.fetch_add(problems.len() as u64, Ordering::Relaxed);
        let kept = Some(problems).filter(|_| before < KEPT);
        Ok::<_, std::convert::Infallible>((bytes, kept.unwrap_or_default()))
    };
    let Ok(results) = pool::for_each(threads, &units, || (), read);
    drop(lock);
    // The old scripts' `sha256sum` listed no links.
    let is_strange = |path: &&RelPath| {
        inventory.state != SetState::Legacy || !set.join(path.as_path()).is_symlink()
    };
    let mut facts = Facts {
        signer,
        state: inventory.state,
        files: inventory.files.len() as u64,
        bytes: 0,
        unlisted: inventory
            .unlisted
            .iter()
            .filter(is_strange)
            .map(ToString::to_string)
            .collect(),
        problems: contradiction.into_iter().map(Problem::from).collect(),
        problem_count: problem_count.into_inner(),
    };
    for (bytes, problems) in results {
        facts.bytes += bytes;
        facts.problems.extend(problems);
    }
    Ok(facts)
}

fn judge(target: &str, facts: &Facts) -> Finding {
    let bytes = facts.bytes as f64;
    if !facts.problems.is_empty() {
        let named: Vec<String> = facts
            .problems
            .iter()
            .take(NAMED)
            .map(Problem::sentence)
            .collect();
        let more = facts.problem_count - named.len() as u64;
        let rest = if more > 0 {
            format!("; and {more} more")
        } else {
            String::new()
        };
        let message = format!(
            "{}{rest}; restore from another set, and look at the disk",
            named.join("; ")
        );
        return Finding::critical("set", target, message).measured(bytes, "bytes");
    }
    let signed = facts.signer.as_ref();
    let signed = signed.map_or_else(String::new, |signer| format!("; signed by {signer}"));
    let whole = format!(
        "{} files, {}: digests, archives, indexes and dumps are whole{signed}",
        facts.files,
        human_size(facts.bytes)
    );
    let finding = match (facts.state, facts.unlisted.first()) {
        (SetState::Incomplete, _) => Finding::warning(
            "set",
            target,
            format!("{whole}, but a part of the backup had failed: see its backup.log"),
        ),
        (_, Some(file)) => {
            let count = facts.unlisted.len();
            Finding::warning(
                "set",
                target,
                format!("{whole}, but {count} files are not of this set, such as {file}"),
            )
        }
        _ => Finding::ok("set", target, whole),
    };
    finding.measured(bytes, "bytes")
}
