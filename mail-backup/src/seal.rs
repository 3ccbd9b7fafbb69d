//! Closes a set: the manifest, the log for people, and the checksums, which are written last.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use mail_common::checksum::{ChecksumFile, Sha256};
use mail_common::manifest::Manifest;
use mail_common::record::{Artifact, Begin, End, ErrorRecord};
use mail_common::relpath::RelPath;
use mail_common::set::{CHECKSUMS, Component, MANIFEST, Staging};

use crate::saved::{Origin, SavedFile};

/// The name of the log for people.
const LOG: &str = "backup.log";

/// What a set is closed with.
pub(crate) struct Closing<'a> {
    pub(crate) begin: Begin,
    pub(crate) end: End,
    pub(crate) errors: Vec<ErrorRecord>,
    pub(crate) notices: &'a [String],
    pub(crate) files: &'a [SavedFile],
}

/// Writes the last three files. Returns the manifest.
///
/// # Errors
/// When the set cannot be written.
pub(crate) fn seal(staging: &Staging<'_>, closing: Closing<'_>) -> io::Result<Manifest> {
    let root = closing.begin.root.clone().unwrap_or_default();
    let set = closing.begin.set.clone().unwrap_or_default();
    let artifacts: Vec<Artifact> = closing
        .files
        .iter()
        .map(|file| file.record(&root, &set))
        .collect();
    let log = log(&closing);
    let mut digests: Vec<(Sha256, RelPath)> = closing
        .files
        .iter()
        .map(|file| (file.sha256, file.path.clone()))
        .collect();
    digests.push((write(staging, LOG, log.as_bytes())?, name(LOG)?));
    let manifest = Manifest {
        begin: closing.begin,
        artifacts,
        errors: closing.errors,
        end: closing.end,
    };
    let mut lines = Vec::new();
    manifest.write_to(&mut lines).map_err(io::Error::other)?;
    digests.push((write(staging, MANIFEST, &lines)?, name(MANIFEST)?));
    digests.sort_by(|(_, a), (_, b)| a.cmp(b));
    let mut checksums = Vec::new();
    ChecksumFile::new(digests).format(&mut checksums)?;
    write(staging, CHECKSUMS, &checksums)?;
    Ok(manifest)
}

fn name(name: &str) -> io::Result<RelPath> {
    RelPath::new(name).map_err(io::Error::other)
}

fn write(staging: &Staging<'_>, path: &str, content: &[u8]) -> io::Result<Sha256> {
    let mut file = staging.create_file(&name(path)?)?;
    file.write_all(content)?;
    Ok(file.finish()?.sha256)
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

fn log(closing: &Closing<'_>) -> String {
    let Closing {
        begin,
        end,
        errors,
        notices,
        files,
    } = closing;
    let mut sums: BTreeMap<Component, Sums> = BTreeMap::new();
    for file in *files {
        let sums = sums.entry(file.component).or_default();
        sums.files += 1;
        sums.entries += file.entries;
        sums.source_bytes += file.source_bytes;
        sums.stored_bytes += file.stored_bytes;
        sums.reused_bytes += if file.origin == Origin::Reused {
            file.stored_bytes
        } else {
            0
        };
    }
    let mut log = String::new();
    let mut line = |text: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(log, "{text}");
    };
    let set = begin.set.as_deref().unwrap_or_default();
    line(format!(
        "{} {} on {}: {set}",
        begin.tool, begin.version, begin.host
    ));
    let status = format!("{:?}", end.status).to_lowercase();
    line(format!(
        "begun {}, {:.1} s, status {status}",
        begin.time, end.seconds
    ));
    line(String::new());
    line(format!(
        "{:<10} {:>8} {:>10} {:>16} {:>16} {:>16}",
        "component", "files", "entries", "source bytes", "stored bytes", "linked bytes"
    ));
    for (component, sums) in &sums {
        let Sums {
            files,
            entries,
            source_bytes,
            stored_bytes,
            reused_bytes,
        } = sums;
        line(format!(
            "{component:<10} {files:>8} {entries:>10} {source_bytes:>16} {stored_bytes:>16} {reused_bytes:>16}"
        ));
    }
    for error in errors {
        let causes: String = error
            .causes
            .iter()
            .map(|cause| format!(": {cause}"))
            .collect();
        line(format!("error: {}{causes}", error.message));
    }
    for notice in *notices {
        line(format!("warning: {notice}"));
    }
    line(String::new());
    line("Check it with:  sha256sum -c checksums.sha256".to_owned());
    line(
        "Unpack mail:    (find mailboxes -name '*.tar.zst' | sort -r; echo mailboxes/_root/0000.tar.zst) |".to_owned(),
    );
    line("                while read -r a; do tar -C NEW_DIR --zstd -xpf \"$a\"; done".to_owned());
    line("Load databases: zstd -dc mysql/NAME.sql.zst | mariadb".to_owned());
    log
}
