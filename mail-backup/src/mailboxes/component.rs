//! All mailboxes of the mail tree, several side by side.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use mail_common::set::Staging;

use super::context::{Context, Error};
use super::mailbox::{SavedMailbox, Unit, save};
use super::pool::FramePool;
use super::syncer::Syncer;
use super::units::units;
use crate::previous::PreviousSets;
use crate::source::tree::SourceTree;

/// What the mailboxes component is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct MailboxesPlan {
    /// The mail root.
    pub(crate) mail_dir: PathBuf,
    /// How many directories lie between the root and a mailbox, the mailbox counted.
    pub(crate) depth: usize,
    /// zstd's.
    pub(crate) level: i32,
    /// Frames that are made at a time, and mailboxes that are walked at a time.
    pub(crate) threads: NonZeroUsize,
}

/// The surroundings of a component.
pub(crate) struct Surroundings<'a> {
    pub(crate) staging: &'a Staging<'a>,
    /// What may be linked; empty when everything is read.
    pub(crate) previous: &'a PreviousSets,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) now_seconds: i64,
    /// Told of bytes of the source that are done.
    pub(crate) progress: &'a (dyn Fn(u64) + Sync),
}

/// Saves every mailbox below the mail root.
///
/// # Errors
/// When the tree cannot be read at all, or the set cannot be written. A single message that cannot
/// be read is in the result, not an error.
pub(crate) fn save_mailboxes(
    plan: &MailboxesPlan,
    surroundings: &Surroundings<'_>,
) -> Result<Vec<SavedMailbox>, Error> {
    let opened = SourceTree::open(&plan.mail_dir);
    let tree = opened.map_err(|source| Error::OpenRoot {
        path: plan.mail_dir.clone(),
        source,
    })?;
    let units = units(&tree, plan.depth);
    thread::scope(|scope| {
        let pool = FramePool::start(
            scope,
            &tree,
            plan.level,
            plan.threads.get(),
            surroundings.stop,
        );
        let syncer = Syncer::start(scope);
        let context = Context {
            syncing: syncer.queue(),
            tree: &tree,
            staging: surroundings.staging,
            previous: surroundings.previous,
            pool: pool.map_err(|source| Error::Level {
                level: plan.level,
                source,
            })?,
            scratch: surroundings.staging.path(),
            stop: surroundings.stop,
            level: plan.level,
            now_seconds: surroundings.now_seconds,
            progress: surroundings.progress,
        };
        let saved = save_side_by_side(&context, &units.found, plan.threads);
        drop(context);
        let synced = syncer.finish();
        let mut saved = saved?;
        synced?;
        let notices = units.links.iter().map(|path| {
            format!("{path} is a symbolic link: it is saved as a link, and what it leads to only where that lies in the mail root")
        });
        saved.push(SavedMailbox {
            failed: units.failed,
            notices: notices.collect(),
            ..SavedMailbox::default()
        });
        Ok(saved)
    })
}

/// Saves `units` on as many threads as there are, in the order of the list; the first error ends
/// all.
fn save_side_by_side(
    context: &Context<'_>,
    units: &[Unit],
    threads: NonZeroUsize,
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
        for _ in 0..threads.get().min(units.len()) {
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
