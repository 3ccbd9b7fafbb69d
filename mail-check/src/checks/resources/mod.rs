//! `resources`: processors, memory, swap, load, disks, their errors, and whether the clock is kept.

mod clock; // whether the clock is kept
mod cpu; // how busy the processors are
mod disks; // space and inodes of file systems
mod faults; // what the kernel knows of broken disks
mod memory; // memory, swap, load

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::context::Context;
use crate::limits::Ceiling;
use crate::probe::Probe;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[resources]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    cpu: Ceiling,
    memory: Ceiling,
    swap: Ceiling,
    load_per_core: Ceiling,
    disk: Ceiling,
    inodes: Ceiling,
    mounts: Vec<PathBuf>,
    time_sync: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cpu: Ceiling::new(80.0, 95.0),
            memory: Ceiling::new(80.0, 95.0),
            swap: Ceiling::new(80.0, 95.0),
            load_per_core: Ceiling::new(2.0, 5.0),
            disk: Ceiling::new(70.0, 95.0),
            inodes: Ceiling::new(70.0, 95.0),
            mounts: Vec::new(),
            time_sync: true,
        }
    }
}

/// Each is a thread of its own: a file system that hangs hides no other.
pub(crate) fn probes(context: &Arc<Context>) -> Vec<Probe> {
    let settings = &context.settings.resources;
    let mut probes = vec![
        probe("cpu", context, cpu::check),
        probe("memory", context, memory::check),
        probe("disk-errors", context, faults::check),
    ];
    if settings.time_sync {
        probes.push(probe("time-sync", context, clock::check));
    }
    probes.extend(disks::probes(context));
    probes
}

fn probe(
    name: &'static str,
    context: &Arc<Context>,
    check: fn(&Context) -> Vec<crate::finding::Finding>,
) -> Probe {
    let within = context.timeout;
    let context = Arc::clone(context);
    Probe::new(name, "machine", within, move || check(&context))
}
