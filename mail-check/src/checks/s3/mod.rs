//! `s3`: whether the newest copy elsewhere is complete, young, locked long enough, and what all of
//! them cost.

mod judge; // from records to findings
mod settings; // where the records are, and the limits
mod source; // records, read or asked for

use std::sync::Arc;
use std::time::Duration;

use mail_common::report::chain;

use crate::context::Context;
use crate::finding::Finding;
use crate::probe::Probe;

pub(crate) use settings::{EXAMPLE, Settings};

/// A store far away lists slowly.
const ASK_WITHIN: Duration = Duration::from_secs(240);

pub(crate) fn probes(settings: &Settings, context: &Arc<Context>) -> Vec<Probe> {
    if settings.records.is_empty() && !settings.ask {
        return Vec::new();
    }
    let within = if settings.ask {
        ASK_WITHIN * 2
    } else {
        context.timeout
    };
    let (settings, context) = (settings.clone(), Arc::clone(context));
    vec![Probe::new("offsite", "store", within, move || {
        check(&settings, &context)
    })]
}

fn check(settings: &Settings, context: &Context) -> Vec<Finding> {
    let (mut sources, mut findings) = (Vec::new(), Vec::new());
    let mut failed = |why| findings.push(Finding::unknown("offsite", "store", why));
    for path in &settings.records {
        match source::read(path) {
            Ok(source) => sources.push(source),
            Err(error) => failed(chain(&error)),
        }
    }
    let commands: &[&str] = if settings.ask {
        &["list", "usage"]
    } else {
        &[]
    };
    for what in commands {
        match source::ask(settings, what, context.config_file.as_deref(), ASK_WITHIN) {
            Ok(source) => sources.push(source),
            Err(error) => failed(chain(&error)),
        }
    }
    findings.extend(judge::judge(&sources, settings, context.now.timestamp()));
    findings
}
