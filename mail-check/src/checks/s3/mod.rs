//! `s3`: whether the newest copy elsewhere is complete, young, locked long enough, and what all of
//! them cost.

mod judge; // from records to findings

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::command::{self, CommandError};
use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::probe::Probe;
use crate::span::Span;
use crate::stream::Facts;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// A store far away lists slowly.
const ASK_WITHIN: Duration = Duration::from_secs(240);

/// `[s3]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) records: Vec<PathBuf>,
    ask: bool,
    program: String,
    from: Option<String>,
    max_age: Span,
    locked_for: Option<Span>,
    monthly_usd: Ceiling,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            ask: false,
            program: "mail-s3sync".to_owned(),
            from: None,
            max_age: Span::hours(28),
            locked_for: None,
            monthly_usd: Ceiling::warning(5.0),
        }
    }
}

/// The records of a run, and where they come from.
struct Source {
    name: String,
    facts: Facts,
}

/// Why there are no records.
#[derive(Debug, thiserror::Error)]
enum SourceError {
    #[error("read the records {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Ask(#[from] CommandError),
}

pub(crate) fn probes(context: &Arc<Context>) -> Vec<Probe> {
    let settings = &context.settings.s3;
    if settings.records.is_empty() && !settings.ask {
        return Vec::new();
    }
    let within = if settings.ask {
        ASK_WITHIN * 2
    } else {
        context.timeout
    };
    let context = Arc::clone(context);
    vec![Probe::new("offsite", "store", within, move || {
        check(&context)
    })]
}

fn check(context: &Context) -> Vec<Finding> {
    let settings = &context.settings.s3;
    let (mut sources, mut findings) = (Vec::new(), Vec::new());
    let asked = if settings.ask {
        &["list", "usage"][..]
    } else {
        &[]
    };
    let files = settings.records.iter().map(|path| read(path));
    let answers = asked.iter().map(|what| ask(settings, what, context));
    for source in files.chain(answers) {
        match source {
            Ok(source) => sources.push(source),
            Err(error) => findings.push(Finding::unknown(
                "offsite",
                "store",
                mail_common::report::chain(&error),
            )),
        }
    }
    findings.extend(judge::judge(&sources, settings, context.now.timestamp()));
    findings
}

fn read(path: &Path) -> Result<Source, SourceError> {
    let file = File::open(path).map_err(|source| SourceError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(Source {
        name: path.display().to_string(),
        facts: Facts::read(BufReader::new(file)),
    })
}

/// Its exit code is in its records.
fn ask(settings: &Settings, what: &str, context: &Context) -> Result<Source, SourceError> {
    let mut args = vec![
        what.to_owned(),
        "--format".to_owned(),
        "jsonl".to_owned(),
        "-q".to_owned(),
    ];
    if let Some(from) = &settings.from {
        args.extend(["--from".to_owned(), from.clone()]);
    }
    if let Some(config) = &context.config_file {
        args.extend(["--config".to_owned(), config.display().to_string()]);
    }
    let answer = command::run(&settings.program, &args, ASK_WITHIN)?;
    Ok(Source {
        name: format!("{} {what}", settings.program),
        facts: Facts::read(answer.stdout.as_bytes()),
    })
}
