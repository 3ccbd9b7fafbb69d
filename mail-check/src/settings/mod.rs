//! The file of checks: what is checked, where, and the limits.
//!
//! Each group of checks owns its section, and describes it in an `example.toml` beside its code. In
//! these, `#name = value` is a default, and `#: name = value` an example of what has none.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use mail_common::exit::Exit;
use mail_common::failure::Failed;
use mail_common::record::CheckStatus;
use mail_common::trusted;
use serde::Deserialize;

use crate::checks::{
    backups, containers, credentials, logs, mailflow, resources, s3, scans, services, tls, users,
};
use crate::error::Error;
use crate::{docker, notify};

/// The file that is read when no other is named, where it is present.
const DEFAULT_PATH: &str = "/etc/mailserver-backup/check.toml";

/// The sections of `--print-config`, in order.
const EXAMPLE: [&str; 14] = [
    include_str!("head.toml"),
    resources::EXAMPLE,
    docker::EXAMPLE,
    containers::EXAMPLE,
    services::EXAMPLE,
    mailflow::EXAMPLE,
    logs::EXAMPLE,
    backups::EXAMPLE,
    scans::EXAMPLE,
    s3::EXAMPLE,
    tls::EXAMPLE,
    credentials::EXAMPLE,
    users::EXAMPLE,
    notify::EXAMPLE,
];

/// What the file of checks says. Every section may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) resources: resources::Settings,
    pub(crate) docker: docker::Settings,
    pub(crate) containers: containers::Settings,
    pub(crate) services: services::Settings,
    pub(crate) mailflow: mailflow::Settings,
    pub(crate) logs: logs::Settings,
    pub(crate) backups: backups::Settings,
    pub(crate) scans: scans::Settings,
    pub(crate) s3: s3::Settings,
    pub(crate) tls: tls::Settings,
    pub(crate) credentials: credentials::Settings,
    pub(crate) users: users::Settings,
    pub(crate) notify: notify::Settings,
}

impl Settings {
    /// Reads the file `explicit`, or else the usual one where it is present.
    pub(crate) fn load(explicit: Option<&Path>) -> Result<Self, Error> {
        let path = explicit.unwrap_or(Path::new(DEFAULT_PATH));
        let text = match trusted::read_to_string(path) {
            Err(error) if explicit.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            read => read
                .map_err(Failed::at("read the file of checks", path))
                .map_err(Error::ReadSettings)?,
        };
        toml::from_str(&text).map_err(|source| Error::Settings {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }
}

/// Prints a file of checks to start from: everything in it is a comment, since everything has a
/// default.
pub(crate) fn print_example() -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(EXAMPLE.concat().as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => Exit::Checked(CheckStatus::Unknown).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example with its comments taken off: those before settings, and those before `marker`
    /// too.
    fn uncommented(markers: &[&str]) -> String {
        let text = EXAMPLE.concat();
        let lines = text.lines().map(|line| {
            let bare = markers.iter().find_map(|marker| line.strip_prefix(marker));
            bare.filter(|bare| !bare.starts_with([' ', '#', ':']) || bare.is_empty())
                .unwrap_or(line)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_example_shows_the_defaults() {
        let as_printed: Settings = toml::from_str(&EXAMPLE.concat()).unwrap();
        let spelled_out: Settings = toml::from_str(&uncommented(&["#"])).unwrap();
        let default = format!("{:#?}", Settings::default());
        assert_eq!(format!("{as_printed:#?}"), default);
        assert_eq!(format!("{spelled_out:#?}"), default);
    }

    #[test]
    fn its_examples_can_be_read() {
        toml::from_str::<Settings>(&uncommented(&["#: "])).unwrap();
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(
            &mut file.as_file(),
            b"[resources]\n\nmemry = { warning = 1 }\n",
        )
        .unwrap();
        let message = Settings::load(Some(file.path())).unwrap_err().to_string();
        assert!(
            message.contains("line 3") && message.contains("memry"),
            "{message}"
        );
        let absent = Settings::load(Some(Path::new("/nonexistent"))).unwrap_err();
        assert!(matches!(absent, Error::ReadSettings(_)));
    }
}
