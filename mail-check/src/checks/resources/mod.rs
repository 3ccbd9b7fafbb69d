//! `resources`: processors, memory, swap, load, disks, their errors, and whether the clock is kept.

mod clock; // whether the clock is kept
mod cpu; // how busy the processors are
mod disks; // space and inodes of file systems
mod faults; // what the kernel knows of broken disks
mod memory; // memory, swap, load
mod settings; // which disks, and the limits

use std::sync::Arc;

use crate::context::Context;
use crate::finding::Finding;
use crate::probe::Probe;

pub(crate) use settings::{EXAMPLE, Settings};

/// What one probe looks at.
type Check = Box<dyn FnOnce(&Context) -> Vec<Finding> + Send>;

/// Each is a thread of its own: a file system that hangs hides no other.
pub(crate) fn probes(settings: &Settings, context: &Arc<Context>) -> Vec<Probe> {
    let within = context.timeout;
    let machine = |name, check: Check| {
        let context = Arc::clone(context);
        Probe::new(name, "machine", within, move || check(&context))
    };
    let (cpu, memory) = (settings.cpu, settings.clone());
    let mut probes = vec![
        machine("cpu", Box::new(move |context| cpu::check(cpu, context))),
        machine("memory", Box::new(move |_| memory::check(&memory))),
        machine(
            "disk-errors",
            Box::new(|context| faults::check(&context.state)),
        ),
    ];
    if settings.time_sync {
        probes.push(machine(
            "time-sync",
            Box::new(move |_| clock::check(within)),
        ));
    }
    probes.extend(disks::probes(settings, within));
    probes
}
