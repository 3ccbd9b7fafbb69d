//! Records of mail-s3sync: from files, or by asking it now.

use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use mail_common::failure::Failed;
use mail_common::trusted;

use super::settings::Settings;
use crate::command::{self, CommandError};
use crate::stream::Facts;

/// The records of a run, and where they come from.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) facts: Facts,
}

pub(super) fn read(path: &Path) -> Result<Source, Failed> {
    let file = trusted::open(path).map_err(Failed::at("read the records", path))?;
    Ok(Source {
        name: path.display().to_string(),
        facts: Facts::read(BufReader::new(file)),
    })
}

/// Runs mail-s3sync to do `what`. Its exit code is in its records.
pub(super) fn ask(
    settings: &Settings,
    what: &str,
    config_file: Option<&Path>,
    within: Duration,
) -> Result<Source, CommandError> {
    let mut args = [what, "--format", "jsonl", "-q"]
        .map(str::to_owned)
        .to_vec();
    if let Some(from) = &settings.from {
        args.extend(["--from".to_owned(), from.clone()]);
    }
    if let Some(config) = config_file {
        args.extend(["--config".to_owned(), config.display().to_string()]);
    }
    let answer = command::run(&settings.program, &args, within)?;
    Ok(Source {
        name: format!("{} {what}", settings.program),
        facts: Facts::read(answer.stdout.as_bytes()),
    })
}
