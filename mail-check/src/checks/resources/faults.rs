//! What the kernel knows of broken disks: errors of file systems, of devices, and RAID arrays that
//! lack a disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mail_common::trusted;

use crate::finding::Finding;
use crate::state::{Kept, StateDir};

/// Where the counts of the last run are kept.
const STATE: &str = "disk-errors";

/// Counts that should be 0, and those that should not grow, by what they are of.
#[derive(Debug, Default)]
struct Facts {
    file_system_errors: BTreeMap<String, u64>,
    missing_disks: BTreeMap<String, u64>,
    device_errors: BTreeMap<String, u64>,
}

pub(super) fn check(state: &StateDir) -> Vec<Finding> {
    let facts = gather(Path::new("/sys"));
    let earlier = match state.load(STATE) {
        Kept::There(earlier) => earlier,
        // What was there before the first run is not new.
        Kept::Nothing | Kept::Damaged(_) => facts.device_errors.clone(),
    };
    // Growth that is not kept is reported again, which does no harm.
    let _ = state.keep(STATE, &facts.device_errors);
    judge(&facts, &earlier)
}

/// ext4 counts its errors, SCSI and SATA disks theirs, md what an array lacks.
fn gather(sys: &Path) -> Facts {
    Facts {
        file_system_errors: counts(&sys.join("fs/ext4"), "errors_count"),
        missing_disks: counts(&sys.join("block"), "md/degraded"),
        device_errors: counts(&sys.join("block"), "device/ioerr_cnt"),
    }
}

/// The number in `dir`/*/`file`, for each that has one.
fn counts(dir: &Path, file: &str) -> BTreeMap<String, u64> {
    let entries = trusted::read_dir(dir).into_iter().flatten().flatten();
    let count = |entry: fs::DirEntry| {
        let text = trusted::read_to_string(entry.path().join(file)).ok()?;
        Some((
            entry.file_name().to_string_lossy().into_owned(),
            parse_count(text.trim())?,
        ))
    };
    entries.filter_map(count).collect()
}

fn parse_count(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn judge(facts: &Facts, earlier: &BTreeMap<String, u64>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (device, errors) in facts
        .file_system_errors
        .iter()
        .filter(|(_, errors)| **errors > 0)
    {
        let message =
            format!("the file system has {errors} errors; unmount it and run e2fsck /dev/{device}");
        findings.push(
            Finding::critical("disk-errors", device, message).measured(*errors as f64, "errors"),
        );
    }
    for (array, missing) in facts
        .missing_disks
        .iter()
        .filter(|(_, missing)| **missing > 0)
    {
        let message = format!("the array lacks {missing} disks; see mdadm --detail /dev/{array}");
        findings.push(
            Finding::critical("disk-errors", array, message).measured(*missing as f64, "disks"),
        );
    }
    for (device, errors) in &facts.device_errors {
        let new = errors.saturating_sub(earlier.get(device).copied().unwrap_or(*errors));
        if new > 0 {
            let message = format!(
                "{new} errors of the disk since the last run; see smartctl -a /dev/{device}"
            );
            findings.push(
                Finding::warning("disk-errors", device, message).measured(new as f64, "errors"),
            );
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "disk-errors",
            "machine",
            "the kernel counts no new errors of disks",
        ));
    }
    findings
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a tree of a test is not stored files"
)]
mod tests {
    use super::*;
    use crate::status::Status;

    fn found(facts: &Facts, earlier: &[(&str, u64)]) -> Vec<(String, Status)> {
        let earlier = earlier
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect();
        judge(facts, &earlier)
            .into_iter()
            .map(|finding| (finding.target, finding.status))
            .collect()
    }

    #[test]
    fn what_the_kernel_counts_is_found() {
        let sys = tempfile::tempdir().unwrap();
        for (path, count) in [
            ("fs/ext4/sda1/errors_count", "0\n"),
            ("fs/ext4/sdb1/errors_count", "3\n"),
            ("block/sda/device/ioerr_cnt", "0x1f\n"),
            ("block/md0/md/degraded", "1\n"),
        ] {
            let path = sys.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, count).unwrap();
        }
        let facts = gather(sys.path());
        let broken = [
            ("sdb1".to_owned(), Status::Critical),
            ("md0".to_owned(), Status::Critical),
        ];
        assert_eq!(found(&facts, &[("sda", 31)]), broken);
        // A disk that is new counts from now on.
        assert_eq!(found(&facts, &[]), broken);
        let grown = found(&facts, &[("sda", 30)]);
        assert_eq!(grown.last(), Some(&("sda".to_owned(), Status::Warning)));
        assert_eq!(
            found(&Facts::default(), &[]),
            [("machine".to_owned(), Status::Ok)]
        );
    }
}
