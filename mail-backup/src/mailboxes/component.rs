//! All mailboxes of the mail tree, several side by side.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use mail_common::failure::Failed;
use mail_common::relpath::RelPath;

use super::context::{Context, Environment};
use super::error::Error;
use super::fit::Fit;
use super::gone::{gone_mailboxes, last_set};
use super::history::last_source_bytes;
use super::mailbox::save;
use super::pool::FramePool;
use super::progress::MailProgress;
use super::saved::SavedMailbox;
use super::syncer::Syncer;
use super::units::{Unit, Units, units};
use crate::source::tree::SourceTree;

/// What the mailboxes component is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct MailboxesPlan {
    /// The mail root.
    pub(crate) mail_dir: PathBuf,
    /// How many directories lie between the root and a mailbox, the mailbox counted.
    pub(crate) depth: usize,
    /// How long what was deleted may stay in the segments.
    pub(crate) purge_days: u32,
    /// zstd's.
    pub(crate) level: i32,
    /// Frames that are made at a time, and mailboxes that are walked at a time.
    pub(crate) threads: NonZeroUsize,
}

/// Saves every mailbox below the mail root.
///
/// # Errors
/// When the tree cannot be read at all, or the set cannot be written. A single message that cannot
/// be read is in the result, not an error.
pub(crate) fn save_mailboxes(
    plan: &MailboxesPlan,
    environment: Environment<'_>,
) -> Result<Vec<SavedMailbox>, Error> {
    let tree = SourceTree::open(&plan.mail_dir)
        .map_err(Failed::at("read the mail root", &plan.mail_dir))
        .map_err(Error::MailRoot)?;
    let units = units(&tree, plan.depth);
    let last_bytes = units
        .found
        .iter()
        .map(|unit| last_source_bytes(environment.previous, &unit.directory))
        .sum();
    let mut saved = thread::scope(|scope| {
        let threads = plan.threads.get();
        let syncer = Syncer::start(scope);
        let context = Context {
            pool: FramePool::start(scope, &tree, plan.level, threads, environment.interrupt)?,
            sync_queue: syncer.queue(),
            progress: MailProgress::new(environment.progress, last_bytes),
            compares: last_set(environment.previous).is_some(),
            environment,
            tree: &tree,
            level: plan.level,
        };
        let saved = save_side_by_side(&context, &units.found, threads);
        // The workers and the syncer end when nobody can give them work any more.
        drop(context);
        let synced = syncer.finish();
        let saved = saved?;
        synced?;
        Ok::<_, Error>(saved)
    })?;
    saved.extend(gone_mailboxes(environment.previous, &units));
    let findings = unit_findings(units, &saved);
    saved.push(findings);
    Ok(saved)
}

/// What was found while the tree was divided into units, and belongs to none of them. What the walk
/// could not look at either is named already.
fn unit_findings(mut units: Units, saved: &[SavedMailbox]) -> SavedMailbox {
    let failed = saved.iter().flat_map(|mailbox| &mailbox.failed);
    let named: BTreeSet<&RelPath> = failed.map(|(path, _)| path).collect();
    units.failed.retain(|(path, _)| !named.contains(path));
    let link_notice = |path| {
        format!(
            "{path} is a symbolic link: it is saved as a link, and what it leads to only where \
             that lies in the mail root"
        )
    };
    let depth_notice = Fit::of_too_deep(&units.found).map(|fit| fit.to_string());
    SavedMailbox {
        failed: units.failed,
        notices: units
            .links
            .iter()
            .map(link_notice)
            .chain(depth_notice)
            .collect(),
        ..SavedMailbox::default()
    }
}

/// Saves `units` on as many threads as there are, in the order of the list; the first error ends
/// all.
fn save_side_by_side(
    context: &Context<'_>,
    units: &[Unit],
    threads: usize,
) -> Result<Vec<SavedMailbox>, Error> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let results: Vec<Mutex<Option<Result<SavedMailbox, Error>>>> =
        units.iter().map(|_| Mutex::new(None)).collect();
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(unit) = units.get(number) else {
                return;
            };
            let result = save(context, unit);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            *results[number]
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.min(units.len()) {
            scope.spawn(work);
        }
    });
    let results = results
        .into_iter()
        .map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner));
    // After an error the units behind it have no result; the error comes before them or ends the
    // collecting.
    results.flatten().collect()
}
