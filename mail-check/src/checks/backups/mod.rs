//! `backups`: whether there are sets, young, complete and of a likely size, and room for more.

mod judge; // from facts to findings
mod sets; // what the backup root holds

use std::sync::Arc;

use mail_common::set::Component;
use serde::Deserialize;

use crate::context::Context;
use crate::finding::Finding;
use crate::limits::{Ceiling, Floor};
use crate::probe::Probe;
use crate::span::Span;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[backups]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// The newest daily set may be so old.
    daily_max_age: Span,
    weekly_max_age: Span,
    weekly: bool,
    components: Vec<Component>,
    /// Percent by which the newest set is smaller or larger than those before it.
    size_change: Ceiling,
    /// For how many more sets there is room.
    room: Floor,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            daily_max_age: Span::hours(26),
            weekly_max_age: Span::days(8),
            weekly: true,
            components: Component::ALL.to_vec(),
            size_change: Ceiling::new(50.0, 90.0),
            room: Floor::new(7.0, 2.0),
        }
    }
}

pub(crate) fn probes(context: &Arc<Context>) -> Vec<Probe> {
    let target = context.root.display().to_string();
    let context = Arc::clone(context);
    vec![Probe::new("backup", target, context.timeout, move || {
        check(&context)
    })]
}

fn check(context: &Context) -> Vec<Finding> {
    if let Some(finding) = not_mounted(context) {
        return vec![finding];
    }
    match sets::gather(&context.root) {
        Ok(facts) => judge::judge(&facts, &context.settings.backups, &context.now),
        Err(error) => {
            let target = context.root.display().to_string();
            vec![Finding::critical(
                "backup",
                target,
                mail_common::report::chain(&error),
            )]
        }
    }
}

/// An empty directory where the disk should be looks like a root without sets.
fn not_mounted(context: &Context) -> Option<Finding> {
    let mount = context.server.backup_mountpoint.as_deref()?;
    let target = mount.display().to_string();
    match mail_common::set::is_mount_point(mount) {
        Ok(true) => None,
        Ok(false) => Some(Finding::critical(
            "backup",
            target,
            "the backup disk is not mounted; mount it, see fstab",
        )),
        Err(error) => Some(Finding::critical(
            "backup",
            target,
            format!("the backup disk cannot be looked at: {error}"),
        )),
    }
}
