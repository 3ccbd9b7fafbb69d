//! The command line.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroU16;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, Parser};
use mail_common::tool::{CommonArgs, Format};

use crate::diagnose::Scenario;
use crate::group::Group;

/// Tells the truth about a mail server before a user does.
///
/// Makes checks, or judges the records of the other tools. Each check is ok, warning, critical or
/// unknown, and the worst of them is the exit code, as Nagios has it. What could not be checked is
/// unknown, never ok. Each check is bounded in time, and none waits for another.
#[derive(Debug, Parser)]
#[command(
    name = "mail-check",
    version,
    after_long_help = LONG_HELP
)]
pub(crate) struct Flags {
    /// What to check: the names below, set DIR, or - for the records of other tools on stdin
    /// [default: all]
    ///
    /// resources containers services mailflow logs backups scans s3 tls credentials users; all:
    /// every one that is configured. set DIR: whether that backup set is as it was made.
    #[arg(value_name = "CHECK", value_parser = OperandWords, hide_possible_values = true)]
    pub(crate) operands: Vec<OsString>,

    /// The file of checks, see --print-config [default: /etc/mailserver-backup/check.toml where
    /// present]
    #[arg(long, value_name = "FILE")]
    pub(crate) checks: Option<PathBuf>,

    /// Look for the cause of a problem, step by step: the likely one comes first, with the command
    /// to run next
    #[arg(
        long,
        value_name = "PROBLEM",
        conflicts_with_all = ["operands", "notify", "prometheus", "report"]
    )]
    pub(crate) diagnose: Option<Scenario>,

    /// Print a commented file of checks to start from, and do nothing else
    #[arg(long)]
    pub(crate) print_config: bool,

    /// Notify people, by the channels in the file of checks, of what has changed since the last
    /// notification
    ///
    /// Once when a check becomes bad and once when it is well again; what stays bad, once a day. An
    /// alert that cannot be sent is critical, and the next run sends it.
    #[arg(long)]
    pub(crate) notify: bool,

    /// Write what was found as metrics, for the textfile collector of Prometheus
    ///
    /// FILE is replaced in one step and holds this run alone: lines of a crontab that check
    /// different things each need a file.
    #[arg(long, value_name = "FILE")]
    pub(crate) prometheus: Option<PathBuf>,

    /// Write a page with what was found, thirty days of backups, and the last scan and copy
    ///
    /// FILE is replaced in one step, needs no network, and can be read by its owner and group only:
    /// it holds names of users.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// How long a check may take, unless its settings give it more
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    pub(crate) timeout: NonZeroU16,

    /// Where the sets are (BACKUP_ROOT)
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// Where offsets in logs and the last status of each check are kept
    /// [default: /var/lib/mail-check for root, else ~/.local/state/mail-check]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

const LONG_HELP: &str = "\
Settings of the server come from flags, then the environment, then --config FILE, then defaults \
(BACKUP_ROOT, MAILSERVER_ROOT and the others of mail-backup). What is checked, and the limits, \
are in the file of checks.

Examples:
  mail-check
  mail-check resources backups
  mail-check set /mnt/backup-hdd/mailserver/daily/2026-11-23
  mail-check --diagnose receive
  mail-check --notify -q
  mail-check --format nagios services tls
  mail-check --prometheus /var/lib/node_exporter/mail.prom --report /var/www/status/mail.html
  mail-check --print-config > /etc/mailserver-backup/check.toml
  mail-backup --daily | mail-scan - | mail-s3sync push - | mail-check -";

/// Takes any word, and tells shells those that it knows.
#[derive(Clone, Debug)]
struct OperandWords;

impl TypedValueParser for OperandWords {
    type Value = OsString;

    fn parse_ref(
        &self,
        _: &Command,
        _: Option<&Arg>,
        word: &OsStr,
    ) -> Result<OsString, clap::Error> {
        Ok(word.to_owned())
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = Group::ALL.into_iter().map(Group::name);
        Some(Box::new(
            words.chain(["set", Group::EVERY]).map(PossibleValue::new),
        ))
    }
}

/// The command line: the flags, where `--format` knows of Nagios too.
#[derive(Debug)]
pub(crate) struct Args(Flags);

/// What `--format` may be here, in the order of the help.
const FORMATS: [(&str, Format, &str); 4] = [
    (
        "auto",
        Format::Auto,
        "A table when stdout is a terminal, else JSON lines",
    ),
    ("jsonl", Format::Jsonl, "JSON lines"),
    ("text", Format::Text, "A table"),
    (
        "nagios",
        Format::Nagios,
        "One line with figures and the details after it, for Nagios, Icinga, NRPE and their like; \
         the default of a program that is called check_mail",
    ),
];

impl CommandFactory for Args {
    fn command() -> Command {
        Self::with_formats(Flags::command())
    }

    fn command_for_update() -> Command {
        Self::with_formats(Flags::command_for_update())
    }
}

impl FromArgMatches for Args {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Flags::from_arg_matches(matches)?;
        if matches.value_source("format") == Some(ValueSource::DefaultValue) {
            let program = std::env::args_os().next().unwrap_or_default();
            flags.common.format = usual_format(Path::new(&program));
        }
        Ok(Self(flags))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl Parser for Args {}

impl Args {
    fn with_formats(command: Command) -> Command {
        let values = FORMATS.map(|(name, _, help)| PossibleValue::new(name).help(help));
        let parser =
            PossibleValuesParser::new(values).map(|name| format_of(&name).unwrap_or_default());
        command.mut_arg("format", |format| {
            format.value_parser(parser).env("MAIL_CHECK_FORMAT")
        })
    }
}

fn format_of(name: &str) -> Option<Format> {
    FORMATS
        .iter()
        .find(|(known, ..)| *known == name)
        .map(|(_, format, _)| *format)
}

/// A program that is called as plugins are speaks as they do.
fn usual_format(program: &Path) -> Format {
    if program.ends_with("check_mail") {
        Format::Nagios
    } else {
        Format::Auto
    }
}

impl Deref for Args {
    type Target = Flags;

    fn deref(&self) -> &Flags {
        &self.0
    }
}

impl AsRef<CommonArgs> for Args {
    fn as_ref(&self) -> &CommonArgs {
        &self.common
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_that_of_plugins_for_what_is_called_so() {
        let plugin = Path::new("/usr/lib/nagios/plugins/check_mail");
        assert_eq!(usual_format(plugin), Format::Nagios);
        assert_eq!(usual_format(Path::new("/usr/bin/mail-check")), Format::Auto);
        let parse = |format: &str| Args::try_parse_from(["mail-check", "--format", format]);
        assert_eq!(parse("nagios").unwrap().common.format, Format::Nagios);
        assert!(parse("xml").is_err());
        Args::command().debug_assert();
    }
}
