//! Closes a set: the manifest, the log for people, and the checksums, which are written last.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Write as _};
use std::io::{self, Write};

use mail_common::checksum::{ChecksumFile, Sha256};
use mail_common::failure::Failed;
use mail_common::manifest::{DayRecords, MAX_BYTES, MAX_FILES, Manifest};
use mail_common::record::{Begin, End, ErrorRecord};
use mail_common::relpath::RelPath;
use mail_common::set::mailbox::{is_index, is_state};
use mail_common::set::{CHECKSUMS, Component, LOG, MANIFEST, SIGNATURE, Staging};
use mail_common::signature::{self, SigningKey};
use mail_common::text::printable;
use mail_common::tool::Totals;

use crate::error::Error;
use crate::saved::{Origin, SavedFile};

/// What the log says at its end.
const HOW_TO_OPEN: &str = "
Check it with:  sha256sum -c checksums.sha256
Unpack mail:    (find mailboxes -name '*.tar.zst' ! -name 0000.tar.zst | sort -V
                find mailboxes -name 0000.tar.zst ! -path mailboxes/_root/0000.tar.zst
                echo mailboxes/_root/0000.tar.zst) |
                while read -r a; do tar -C NEW_DIR --zstd --incremental -xpf \"$a\"; done
Load databases: zstd -dc mysql/NAME.sql.zst | mariadb
";

/// What a set is closed with.
pub(crate) struct Closing<'a> {
    pub(crate) begin: Begin,
    pub(crate) end: End,
    pub(crate) day: DayRecords,
    pub(crate) errors: Vec<ErrorRecord>,
    pub(crate) notices: &'a [String],
    /// What was left out because the settings say so.
    pub(crate) remarks: &'a [String],
    pub(crate) files: &'a [SavedFile],
    pub(crate) signing_key: Option<&'a SigningKey>,
}

/// A set that is closed.
pub(crate) struct Sealed {
    pub(crate) manifest: Manifest,
    /// Why it is not signed, though it should be.
    pub(crate) unsigned: Option<signature::Error>,
}

/// Writes the last three files, and the signature, before the checksums that make a set of it. A
/// set that could not be signed is better than none.
///
/// # Errors
/// When the set cannot be written.
pub(crate) fn seal(staging: &Staging<'_>, closing: Closing<'_>) -> Result<Sealed, Error> {
    let root = closing.begin.root.clone().unwrap_or_default();
    let set = closing.begin.set.clone().unwrap_or_default();
    let log = closing.log();
    let mut digests = vec![write(staging, LOG, |out| out.write_all(log.as_bytes()))?];
    let mut artifacts = Vec::with_capacity(closing.files.len());
    for file in closing.files {
        artifacts.push(file.record(&root, &set));
        digests.push((file.sha256, file.path.clone()));
    }
    let manifest = Manifest {
        begin: closing.begin,
        day: closing.day,
        artifacts,
        errors: closing.errors,
        end: closing.end,
    };
    digests.push(write(staging, MANIFEST, |out| {
        manifest.write_to(out).map_err(io::Error::other)?;
        must_be_readable(manifest.artifacts.len(), out)
    })?);
    digests.sort_by(|(_, a), (_, b)| a.cmp(b));
    let mut checksums = Vec::new();
    ChecksumFile::new(digests)
        .format(&mut checksums)
        .map_err(Failed::at("write", &staging.path().join(CHECKSUMS)))?;
    let unsigned = match closing.signing_key.map(|key| key.sign(&checksums)) {
        None => None,
        Some(Ok(signature)) => {
            write(staging, SIGNATURE, |out| out.write_all(&signature))?;
            None
        }
        Some(Err(error)) => Some(error),
    };
    write(staging, CHECKSUMS, |out| out.write_all(&checksums))?;
    Ok(Sealed { manifest, unsigned })
}

/// No tool reads more, so a set of more could not be restored.
fn must_be_readable(files: usize, manifest: &[u8]) -> io::Result<()> {
    if files <= MAX_FILES && manifest.len() as u64 <= MAX_BYTES {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{files} files are more than a set can hold, which are {MAX_FILES}, or {} MiB of records",
        MAX_BYTES >> 20
    )))
}

/// Writes a file of the set from memory. Returns its digest and its path.
fn write(
    staging: &Staging<'_>,
    name: &str,
    content: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
) -> Result<(Sha256, RelPath), Error> {
    let path = RelPath::new(name).expect("the names of closing files are safe paths");
    let mut bytes = Vec::new();
    let written = content(&mut bytes)
        .and_then(|()| staging.create_file(&path))
        .and_then(|mut file| {
            file.write_all(&bytes)?;
            file.finish()
        });
    let stored = written.map_err(Failed::at("write", &staging.path().join(name)))?;
    Ok((stored.sha256, path))
}

/// Adds `files` up for the `end` record.
pub(crate) fn count_files(totals: &mut Totals, files: &[SavedFile]) {
    let with_state = directories_with_state(files);
    for file in files {
        totals.add("files", 1);
        if counts(file, &with_state) {
            totals.add("entries", file.entries);
            totals.add("source_bytes", file.source_bytes);
        }
        totals.add("bytes", file.stored_bytes);
        totals.add("reused_bytes", reused_bytes(file));
    }
}

/// Directories of mailboxes of format 2.
fn directories_with_state(files: &[SavedFile]) -> HashSet<RelPath> {
    let states = files.iter().filter(|file| is_state(&file.path));
    states.filter_map(|file| file.path.parent()).collect()
}

/// Whether what is in a file is counted: each entry once. An index lists what its segments hold. A
/// state tells what is there of the mailbox, and its segments hold what is gone as well.
fn counts(file: &SavedFile, with_state: &HashSet<RelPath>) -> bool {
    let has_state = file
        .path
        .parent()
        .is_some_and(|it| with_state.contains(&it));
    is_state(&file.path) || !has_state && !is_index(&file.path)
}

fn reused_bytes(file: &SavedFile) -> u64 {
    match file.origin {
        Origin::Reused => file.stored_bytes,
        Origin::Written => 0,
    }
}

/// Sums of one component.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    files: u64,
    entries: u64,
    source_bytes: u64,
    stored_bytes: u64,
    reused_bytes: u64,
}

impl Closing<'_> {
    fn log(&self) -> String {
        let mut log = String::new();
        self.write_log(&mut log)
            .expect("writing to a String does not fail");
        log
    }

    fn write_log(&self, log: &mut String) -> fmt::Result {
        let (begin, end) = (&self.begin, &self.end);
        let set = begin.set.as_deref().unwrap_or_default();
        writeln!(
            log,
            "{} {} on {}: {set}",
            begin.tool, begin.version, begin.host
        )?;
        let status = format!("{:?}", end.status).to_lowercase();
        writeln!(
            log,
            "begun {}, {:.1} s, status {status}\n",
            begin.time, end.seconds
        )?;
        writeln!(
            log,
            "{:<10} {:>8} {:>10} {:>16} {:>16} {:>16}",
            "component", "files", "entries", "source bytes", "stored bytes", "linked bytes"
        )?;
        for (component, sums) in self.sums() {
            let Sums {
                files,
                entries,
                source_bytes,
                stored_bytes,
                reused_bytes,
            } = sums;
            writeln!(
                log,
                "{component:<10} {files:>8} {entries:>10} {source_bytes:>16} {stored_bytes:>16} \
                 {reused_bytes:>16}"
            )?;
        }
        for error in &self.errors {
            write!(log, "error: {}", printable(&error.message))?;
            for cause in &error.causes {
                write!(log, ": {}", printable(cause))?;
            }
            writeln!(log)?;
        }
        for notice in self.notices {
            writeln!(log, "warning: {}", printable(notice))?;
        }
        for remark in self.remarks {
            writeln!(log, "note: {}", printable(remark))?;
        }
        log.push_str(HOW_TO_OPEN);
        Ok(())
    }

    fn sums(&self) -> BTreeMap<Component, Sums> {
        let mut all: BTreeMap<Component, Sums> = BTreeMap::new();
        let with_state = directories_with_state(self.files);
        for file in self.files {
            let sums = all.entry(file.component).or_default();
            sums.files += 1;
            if counts(file, &with_state) {
                sums.entries += file.entries;
                sums.source_bytes += file.source_bytes;
            }
            sums.stored_bytes += file.stored_bytes;
            sums.reused_bytes += reused_bytes(file);
        }
        all
    }
}
