//! A file that is not packed: its digest, what clamd says of it, and whether it held still meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use mail_common::checksum::Sha256;
use mail_common::report::chain;

use crate::clamd::{Verdict, Worker};
use crate::content::Content;
use crate::examine::examine;
use crate::item::{Finding, Item, Look, Opened};
use crate::maildir;
use crate::packing::MAGIC_BYTES;
use crate::quarantine::Taken;
use crate::run::Run;
use crate::totals::add;

/// A file that changes is read again so often.
const ATTEMPTS: usize = 3;

/// Within the tick of a clock a file may change without a trace of it.
const TICK: Duration = Duration::from_secs(1);

/// Up to this size a file that has just changed is copied.
const COPY_MAX_BYTES: u64 = 16 << 20;

/// Up to this size the digest is computed of one piece.
const SMALL_BYTES: usize = 256 << 10;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("read {place}")]
    Read { place: String, source: io::Error },
    #[error("{place} is not what its set has on record: its digest is {found}, not {expected}; use another set")]
    Digest { place: String, found: Sha256, expected: Sha256 },
}

/// Scans `item` and tells what was found.
pub(crate) fn scan(run: &Run<'_>, worker: &mut Worker<'_>, mut item: Item) {
    for _ in 0..ATTEMPTS {
        let opened = match item.open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && item.place.set.is_none() => {
                // Mail is flagged and filed while it is scanned.
                match maildir::find_again(&item.file) {
                    Some(file) => item = renamed(item, file),
                    None => return add(&run.totals.vanished, 1),
                }
                continue;
            }
            opened => opened,
        };
        match opened {
            Ok(Opened::NoFile(what)) => return no_file(run, &item, what),
            Err(source) => return fail(run, &item, source),
            Ok(Opened::File(file, look)) => match attempt(run, worker, &item, file, look) {
                Ok(Some(finding)) => return conclude(run, &item, look, finding),
                Ok(None) => {}
                Err(source) => return fail(run, &item, source),
            },
        }
    }
    run.tell(&item, &Finding::unscanned("it changed each time it was scanned", &run.pool.engine()));
}

fn renamed(item: Item, file: PathBuf) -> Item {
    let place = crate::source::place_of(&file);
    Item { file, place, ..item }
}

/// One attempt; `None` when the file changed meanwhile.
fn attempt(run: &Run<'_>, worker: &mut Worker<'_>, item: &Item, file: File, look: Look) -> io::Result<Option<Finding>> {
    if let Some(reason) = run.leaves_out(look.bytes) {
        run.progress.advance(look.bytes);
        return Ok(Some(Finding::unscanned(reason, &run.pool.engine())));
    }
    if run.pool.refuses(look.bytes) {
        let reason = format!("{} bytes are more than clamd looks into (MaxFileSize, MaxScanSize)", look.bytes);
        run.progress.advance(look.bytes);
        return Ok(Some(Finding::unscanned(reason, &run.pool.engine())));
    }
    let (content, sha256) = match read(file, look) {
        // It has become shorter.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    };
    run.progress.advance(look.bytes);
    if let Some(expected) = item.expected.filter(|expected| *expected != sha256) {
        let error = Error::Digest { place: item.place.to_string(), found: sha256, expected };
        run.session.fail(None, None, &error);
        let finding = Finding::unscanned(chain(&error), &run.pool.engine());
        return Ok(Some(Finding { sha256: Some(sha256), ..finding }));
    }
    let finding = examine(run, worker, &content, sha256);
    let held_still = match &content {
        Content::Memory(_) => true,
        Content::File { file, .. } => Look::at(file)? == look,
    };
    Ok(held_still.then_some(finding))
}

/// The content and its digest. A file that changed a moment ago may change again without a trace: it is copied, and what was read is
/// what is scanned, whatever becomes of it.
fn read(mut file: File, look: Look) -> io::Result<(Content, Sha256)> {
    if look.age() < TICK && look.bytes <= COPY_MAX_BYTES {
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
    Ok((Content::File { file, bytes: look.bytes, magic }, sha256))
}

fn conclude(run: &Run<'_>, item: &Item, look: Look, mut finding: Finding) {
    if let (Some(quarantine), Verdict::Infected(_)) = (run.quarantine, &finding.verdict) {
        match quarantine.take(item, look, &finding) {
            Ok(taken) => {
                add(&run.totals.quarantined, u64::from(matches!(taken, Taken::Moved(_))));
                finding.note = Some(taken.to_string());
            }
            Err(error) => run.session.fail(None, None, &error),
        }
    }
    run.tell(item, &finding);
}

fn no_file(run: &Run<'_>, item: &Item, what: &str) {
    if item.place.set.is_some() {
        return run.tell(item, &Finding::unscanned(format!("it is {what}, no file"), &run.pool.engine()));
    }
    add(&run.totals.no_files, 1);
    run.session.report.warning(format!("{} is {what}: there is nothing in it to be scanned", item.place));
}

fn fail(run: &Run<'_>, item: &Item, source: io::Error) {
    let error = Error::Read { place: item.place.to_string(), source };
    run.session.fail(None, None, &error);
    run.tell(item, &Finding::unscanned(chain(&error), &run.pool.engine()));
}
