//! A file that is not packed: its digest, what clamd says of it, and whether it held still
//! meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use mail_common::checksum::Sha256;
use mail_common::report::chain;

use crate::clamd::Worker;
use crate::content::Content;
use crate::examine::{Sample, examine};
use crate::finding::Finding;
use crate::item::{Holder, Item, Place};
use crate::look::{Look, Opened};
use crate::mailbox::Standing;
use crate::maildir;
use crate::packing::MAGIC_BYTES;
use crate::quarantine::Taken;
use crate::run::Run;
use crate::totals::add;
use crate::tree::is_gone;
use crate::unscanned::Error;
use crate::verdict::Verdict;

/// How often a file that changes is read again.
const ATTEMPTS: usize = 3;

/// Within the tick of a clock a file may change without a trace of it.
const TICK: Duration = Duration::from_secs(1);

/// Larger files are not even read where clamd would not look into them.
const READ_FREELY_BYTES: u64 = 16 << 20;

/// Up to this size a file that has just changed is copied.
const COPY_MAX_BYTES: u64 = 16 << 20;

/// Up to this size the digest is computed of one piece.
const SMALL_BYTES: usize = 256 << 10;

/// A file that was read, to be shown to clamd.
struct Ready {
    item: Item,
    look: Look,
}

/// Scans `items` and reports what was found in each.
pub(crate) fn scan_all(run: &Run<'_>, worker: &mut Worker<'_>, mut items: Vec<Item>) {
    for _ in 0..ATTEMPTS {
        items = attempt(run, worker, items);
        if items.is_empty() {
            return;
        }
    }
    for item in items {
        run.tally.report_file(
            &item,
            &run.scope.unscanned("it changed each time it was scanned"),
        );
    }
}

/// One attempt; gives back those that changed meanwhile.
fn attempt(run: &Run<'_>, worker: &mut Worker<'_>, items: Vec<Item>) -> Vec<Item> {
    let (mut ready, mut samples, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for item in items {
        let Some((item, file, look)) = open(run, item) else {
            continue;
        };
        match read(file, look) {
            Ok((content, sha256)) if is_as_expected(run, &item, sha256) => {
                let role = maildir::role_of(&item.file);
                ready.push(Ready { item, look });
                samples.push(Sample {
                    content,
                    sha256,
                    role,
                    standing: Standing::Present,
                });
            }
            Ok(_) => {}
            // It has become shorter.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => changed.push(item),
            Err(source) => fail(run, &item, source),
        }
    }
    let findings = examine(run, worker, &samples);
    for ((Ready { item, look }, sample), finding) in ready.into_iter().zip(samples).zip(findings) {
        if sample.content.holds_still() {
            // Once: what changed is read again, and is as long as it was when it was listed.
            run.tally.progress.advance(look.bytes);
            conclude(run, &item, look, finding);
        } else {
            changed.push(item);
        }
    }
    changed
}

/// Opens what is to be scanned; `None` where that is reported already.
fn open(run: &Run<'_>, item: Item) -> Option<(Item, File, Look)> {
    let (item, opened) = open_or_follow(item);
    match opened {
        Err(error) if is_gone(&error) && item.tree().is_some() => match item.holder {
            Holder::Tree(_, Some(identity)) => run.tally.listed.lose(identity),
            Holder::Tree(_, None) | Holder::Set(_) | Holder::Nothing => {
                add(&run.tally.counters.vanished, 1);
            }
        },
        Err(source) => fail(run, &item, source),
        Ok(Opened::NoFile(what)) => no_file(run, &item, what),
        Ok(Opened::File(file, look)) => match left_out(run, look.bytes) {
            None => return Some((item, file, look)),
            Some(reason) => {
                run.tally.progress.advance(look.bytes);
                run.tally.report_file(&item, &run.scope.unscanned(reason));
            }
        },
    }
    None
}

/// Mail is flagged and filed while it is scanned: a message that is gone is looked for.
fn open_or_follow(mut item: Item) -> (Item, io::Result<Opened>) {
    let mut opened = item.open();
    for _ in 0..ATTEMPTS {
        let (Some(tree), Err(error)) = (item.tree(), &opened) else {
            break;
        };
        if !is_gone(error) {
            break;
        }
        let Some(file) = maildir::find_again(tree, &item.file) else {
            break;
        };
        item = Item {
            place: Place::of_path(&file),
            file,
            ..item
        };
        opened = item.open();
    }
    (item, opened)
}

/// Why a file of `bytes` is not even read.
fn left_out(run: &Run<'_>, bytes: u64) -> Option<String> {
    let too_large =
        || format!("{bytes} bytes are more than clamd looks into (MaxFileSize, MaxScanSize)");
    // clamd is not asked about sizes that may be known from an earlier run.
    let is_refused = || bytes > READ_FREELY_BYTES && run.scope.pool.refuses(bytes);
    run.scope
        .leaves_out(bytes)
        .or_else(|| is_refused().then(too_large))
}

/// Whether a file of a set is what was saved; else that is reported.
fn is_as_expected(run: &Run<'_>, item: &Item, found: Sha256) -> bool {
    let Some(expected) = item.expected.filter(|expected| *expected != found) else {
        return true;
    };
    let error = Error::Digest {
        place: item.place.to_string(),
        found,
        expected,
    };
    run.scope.session.fail(None, None, &error);
    let finding = run.scope.unscanned(chain(&error));
    run.tally.report_file(
        item,
        &Finding {
            sha256: Some(found),
            ..finding
        },
    );
    false
}

/// The content and its digest. A file that changed a moment ago may change again without a trace:
/// it is copied, and what was read is what is scanned, whatever becomes of it. For a large one the
/// tick is waited for.
fn read(mut file: File, look: Look) -> io::Result<(Content, Sha256)> {
    let age = look.age();
    if age < TICK && look.bytes > COPY_MAX_BYTES {
        thread::sleep(TICK - age);
    } else if age < TICK {
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        let sha256 = Sha256::of(&content);
        return Ok((Content::Memory(content), sha256));
    }
    let (sha256, magic) = match usize::try_from(look.bytes) {
        Ok(bytes) if bytes <= SMALL_BYTES => {
            let mut content = vec![0; bytes];
            file.read_exact(&mut content)?;
            let sha256 = Sha256::of(&content);
            content.truncate(MAGIC_BYTES);
            (sha256, content)
        }
        _ => {
            let (sha256, _) = Sha256::of_reader(&file)?;
            let mut magic = vec![0; MAGIC_BYTES];
            file.read_exact_at(&mut magic, 0)?;
            (sha256, magic)
        }
    };
    Ok((Content::File { file, look, magic }, sha256))
}

fn conclude(run: &Run<'_>, item: &Item, look: Look, mut finding: Finding) {
    if let (Some(quarantine), Verdict::Infected(_)) = (run.scope.quarantine, &finding.verdict) {
        match quarantine.take(item, look, &finding) {
            Ok(taken) => {
                if matches!(taken, Taken::Moved(_)) {
                    add(&run.tally.counters.quarantined, 1);
                }
                finding.note = Some(taken.to_string());
            }
            Err(error) => run.scope.session.fail(None, None, &error),
        }
    }
    run.tally.report_file(item, &finding);
}

fn no_file(run: &Run<'_>, item: &Item, what: &str) {
    if item.place.set.is_some() {
        return run.tally.report_file(
            item,
            &run.scope.unscanned(format!("it is {what}, not a file")),
        );
    }
    add(&run.tally.counters.no_files, 1);
    run.scope.session.report.warning(format!(
        "{} is {what}: there is nothing in it to be scanned",
        item.place
    ));
}

fn fail(run: &Run<'_>, item: &Item, source: io::Error) {
    let error = Error::Read {
        place: item.place.to_string(),
        source,
    };
    run.scope.session.fail(None, None, &error);
    run.tally
        .report_file(item, &run.scope.unscanned(chain(&error)));
}
