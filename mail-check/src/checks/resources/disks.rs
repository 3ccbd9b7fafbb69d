//! Space and inodes of file systems.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mail_common::tool::human_size;
use procfs::process::{MountInfo, Process};

use super::settings::Settings;
use crate::finding::Finding;
use crate::probe::Probe;

/// File systems that hold no data of their own, or cannot be anything but full.
const WITHOUT_DISK: [&str; 6] = ["overlay", "squashfs", "iso9660", "erofs", "tmpfs", "ramfs"];

/// What statvfs(2) says.
#[derive(Clone, Copy, Debug)]
struct Usage {
    used_bytes: u64,
    available_bytes: u64,
    inodes: u64,
    free_inodes: u64,
}

/// A probe for each file system; one that names what is wrong where they cannot be listed.
pub(super) fn probes(settings: &Settings, within: Duration) -> Vec<Probe> {
    let mounts = if settings.mounts.is_empty() {
        mounts_with_disk()
    } else {
        Ok(settings.mounts.clone())
    };
    match mounts {
        Ok(mounts) => mounts
            .into_iter()
            .map(|mount| probe(mount, settings.clone(), within))
            .collect(),
        Err(error) => {
            let why = format!("the mounts cannot be listed: {error}");
            vec![Probe::unknown("disk", "all", why)]
        }
    }
}

fn probe(mount: PathBuf, settings: Settings, within: Duration) -> Probe {
    let target = mount.display().to_string();
    Probe::new("disk", target, within, move || check(&mount, &settings))
}

fn check(mount: &Path, settings: &Settings) -> Vec<Finding> {
    match usage(mount) {
        Ok(usage) => judge(&mount.display().to_string(), usage, settings),
        Err(error) => {
            vec![Finding::unknown(
                "disk",
                mount.display().to_string(),
                format!("it cannot be looked at: {error}"),
            )]
        }
    }
}

fn usage(mount: &Path) -> rustix::io::Result<Usage> {
    let stat = rustix::fs::statvfs(mount)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Usage {
        used_bytes: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
        available_bytes: bytes(stat.f_bavail),
        inodes: stat.f_files,
        free_inodes: stat.f_ffree,
    })
}

/// Percent as df(1) has it: of what users may have.
fn judge(mount: &str, usage: Usage, settings: &Settings) -> Vec<Finding> {
    let percent =
        usage.used_bytes as f64 * 100.0 / (usage.used_bytes + usage.available_bytes).max(1) as f64;
    let message = format!(
        "{percent:.0} % of the space is used, {} are left",
        human_size(usage.available_bytes)
    );
    let mut findings =
        vec![Finding::ok("disk", mount, message).under(percent, "percent", settings.disk)];
    // btrfs and others make inodes as they need them, and say 0.
    if usage.inodes > 0 {
        let percent =
            usage.inodes.saturating_sub(usage.free_inodes) as f64 * 100.0 / usage.inodes as f64;
        let message = format!(
            "{percent:.0} % of the inodes are used, {} are left",
            usage.free_inodes
        );
        findings.push(Finding::ok("inodes", mount, message).under(
            percent,
            "percent",
            settings.inodes,
        ));
    }
    findings
}

/// Where file systems on disks are mounted, each once, by its shortest mount point.
fn mounts_with_disk() -> Result<Vec<PathBuf>, procfs::ProcError> {
    Ok(select(Process::myself()?.mountinfo()?.into_iter()))
}

fn select(mounts: impl Iterator<Item = MountInfo>) -> Vec<PathBuf> {
    let mut selected: Vec<(String, PathBuf)> = Vec::new();
    for mount in mounts.filter(holds_data) {
        match selected
            .iter_mut()
            .find(|(device, _)| *device == mount.majmin)
        {
            Some((_, point)) if mount.mount_point.as_os_str().len() < point.as_os_str().len() => {
                *point = mount.mount_point;
            }
            Some(_) => {}
            None => selected.push((mount.majmin, mount.mount_point)),
        }
    }
    selected.into_iter().map(|(_, point)| point).collect()
}

/// Those with a device or a server behind them; the root of a container is one too.
fn holds_data(mount: &MountInfo) -> bool {
    let source = mount.mount_source.as_deref().unwrap_or("");
    let has_source = source.starts_with('/') || source.contains(':') || mount.fs_type == "zfs";
    let root = mount.mount_point == Path::new("/");
    root || (has_source && !WITHOUT_DISK.contains(&mount.fs_type.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn space_and_inodes_are_judged_apart() {
        let check = |used: u64, free_inodes: u64, expected: [Status; 2]| {
            let usage = Usage {
                used_bytes: used,
                available_bytes: 100 - used,
                inodes: 100,
                free_inodes,
            };
            let statuses: Vec<Status> = judge("/", usage, &Settings::default())
                .iter()
                .map(|finding| finding.status)
                .collect();
            assert_eq!(statuses, expected, "{used} {free_inodes}");
        };
        check(69, 31, [Status::Ok, Status::Ok]);
        check(70, 50, [Status::Warning, Status::Ok]);
        check(95, 3, [Status::Critical, Status::Critical]);
    }

    #[test]
    fn each_disk_counts_once_and_what_has_none_does_not() {
        let lines = [
            "20 1 8:1 / / rw - ext4 /dev/sda1 rw",
            "21 20 8:2 / /srv/mail/data rw - xfs /dev/sdb1 rw",
            "22 20 8:2 /x /srv/mail rw - xfs /dev/sdb1 rw",
            "23 20 0:5 / /proc rw - proc proc rw",
            "24 20 0:6 / /run rw - tmpfs tmpfs rw",
            "25 20 0:7 / /var/lib/docker/overlay2/a/merged rw - overlay overlay rw",
            "26 20 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro",
            "27 20 0:8 / /mnt/nas rw - nfs4 nas:/backup rw",
        ];
        let mounts = lines.iter().map(|line| MountInfo::from_line(line).unwrap());
        assert_eq!(
            select(mounts),
            ["/", "/srv/mail", "/mnt/nas"].map(PathBuf::from)
        );
    }
}
