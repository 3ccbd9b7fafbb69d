//! `backups`: whether there are sets, young, complete and of a likely size, and room for more.

mod judge; // from facts to findings
mod changes; // whether the mail was destroyed
mod chain; // whether a set is gone from between
mod sets; // what the backup root holds
mod leftovers; // what restores have kept
mod settings; // what is wanted, and the limits

use std::path::Path;
use std::sync::Arc;

use mail_common::report;

use crate::context::Context;
use crate::finding::Finding;
use crate::probe::Probe;

pub(crate) use settings::{EXAMPLE, Settings};

use chain::Chains;

pub(crate) fn probes(settings: &Settings, context: &Arc<Context>) -> Vec<Probe> {
    let target = context.root.display().to_string();
    let leftovers = leftovers::probe(settings.leftovers, context);
    let (settings, context) = (settings.clone(), Arc::clone(context));
    let sets = Probe::new("backup", target, context.timeout, move || {
        check(&settings, &context)
    });
    vec![sets, leftovers]
}

fn check(settings: &Settings, context: &Context) -> Vec<Finding> {
    let mount = context.server.backup_mountpoint.as_deref();
    if let Some(finding) = mount.and_then(not_mounted) {
        return vec![finding];
    }
    let server = &context.server;
    match sets::gather(
        &context.root,
        server.wanted_components(),
        Chains::of(server),
    ) {
        Ok(facts) => judge::judge(&facts, settings, &context.now),
        Err(error) => {
            let target = context.root.display().to_string();
            vec![Finding::critical("backup", target, report::chain(&error))]
        }
    }
}

/// An empty directory where the disk should be looks like a root without sets.
fn not_mounted(mount: &Path) -> Option<Finding> {
    let message = match mail_common::set::is_mount_point(mount) {
        Ok(true) => return None,
        Ok(false) => "the backup disk is not mounted; mount it, see fstab".to_owned(),
        Err(error) => format!("the backup disk cannot be looked at: {error}"),
    };
    Some(Finding::critical(
        "backup",
        mount.display().to_string(),
        message,
    ))
}
