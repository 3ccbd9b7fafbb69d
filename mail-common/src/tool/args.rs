//! Flags that every tool has, and what is printed from the definition of the flags: help, manual
//! page, completions.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{self, Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use clap::{ArgAction, Args, Command, Parser, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::exit::Exit;
use crate::report::Verbosity;
use crate::text::printable;

/// Flags that every tool has; to be flattened into its own.
#[derive(Args, Clone, Debug, Default)]
pub struct CommonArgs {
    /// Read settings from FILE (KEY=VALUE lines) [default: /etc/mailserver-backup/config where
    /// present]
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        help_heading = "Common options"
    )]
    pub config: Option<PathBuf>,

    /// Write records as JSON lines, or as a table for people; auto: a table when stdout is a
    /// terminal
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "auto",
        global = true,
        help_heading = "Common options"
    )]
    pub format: Format,

    /// Print errors and warnings only
    #[arg(
        short,
        long,
        conflicts_with = "verbose",
        global = true,
        help_heading = "Common options"
    )]
    pub quiet: bool,

    /// Print what is done; twice: every file
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "Common options")]
    pub verbose: u8,

    /// Print the manual page or the completions of a shell, and do nothing else
    #[arg(
        long,
        value_name = "WHAT",
        exclusive = true,
        hide_short_help = true,
        help_heading = "Common options"
    )]
    pub generate: Option<Generate>,
}

impl CommonArgs {
    /// How much goes to stderr.
    #[must_use]
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Verbose,
            (false, _) => Verbosity::Detailed,
        }
    }
}

/// How records are written on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table when stdout is a terminal, else JSON lines
    #[default]
    Auto,
    /// JSON lines
    Jsonl,
    /// A table
    Text,
    /// One line and its details, as monitoring plugins print them; offered by mail-check alone
    #[value(skip)]
    Nagios,
}

/// What `--generate` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generate {
    /// The manual page, in roff
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
}

/// Parses the command line, whose first element is the name of the program.
///
/// # Errors
/// The exit code to return at once: 0 after `--help`, `--version` or `--generate` (3 when stdout
/// could not be written), and `usage` after a usage error, which has been printed on stderr.
pub(super) fn parse<A: Parser>(
    command_line: &[OsString],
    exit_codes: &[(u8, &str)],
    usage: ExitCode,
) -> Result<A, ExitCode> {
    let command = || with_exit_codes(A::command(), exit_codes);
    let matches = command()
        .try_get_matches_from(command_line)
        .map_err(|error| explain(&error, command_line, usage))?;
    if let Ok(Some(what)) = matches.try_get_one::<Generate>("generate") {
        return Err(printed(generate(command(), *what)));
    }
    A::from_arg_matches(&matches)
        .map_err(|error| explain(&error.format(&mut command()), command_line, usage))
}

/// The help of `command` ends with what its exit codes mean.
fn with_exit_codes(command: Command, exit_codes: &[(u8, &str)]) -> Command {
    if exit_codes.is_empty() {
        return command;
    }
    let mut text = "Exit codes:".to_owned();
    for (code, meaning) in exit_codes {
        text.push_str(&format!("\n  {code}  {meaning}"));
    }
    let long = match command.get_after_long_help() {
        Some(help) => format!("{help}\n\n{text}"),
        None => text.clone(),
    };
    command.after_help(text).after_long_help(long)
}

/// How many threads there is work for where no number is given: one a core.
#[must_use]
pub fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// `path` from the root of the file system, for records, which are read elsewhere. Without a
/// current directory it stays as it is.
#[must_use]
pub fn absolute(path: &Path) -> PathBuf {
    path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Prints the manual page or the completions of `command` on stdout.
///
/// # Errors
/// When stdout cannot be written.
fn generate(command: Command, what: Generate) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(&render(command, what)?)?;
    stdout.flush()
}

fn render(mut command: Command, what: Generate) -> io::Result<Vec<u8>> {
    let shell = match what {
        Generate::Man => return render_manual(&command),
        Generate::Bash => Shell::Bash,
        Generate::Zsh => Shell::Zsh,
        Generate::Fish => Shell::Fish,
    };
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    Ok(text)
}

/// One page, with a section for each subcommand: its own flags; those of all tools come once.
fn render_manual(command: &Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Man::new(command.clone()).render(&mut text)?;
    for subcommand in command.get_subcommands() {
        let name = format!("{} {}", command.get_name(), subcommand.get_name());
        writeln!(text, ".SH \"{}\"", name.to_uppercase().replace('-', "\\-"))?;
        let page = Man::new(subcommand.clone().bin_name(name));
        let mut section = Vec::new();
        page.render_synopsis_section(&mut section)?;
        page.render_description_section(&mut section)?;
        page.render_options_section(&mut section)?;
        let section = String::from_utf8(section).map_err(io::Error::other)?;
        text.extend(section.replace(".SH ", ".SS ").into_bytes());
    }
    Ok(text)
}

fn explain(error: &clap::Error, command_line: &[OsString], usage: ExitCode) -> ExitCode {
    if !error.use_stderr() {
        return printed(error.print());
    }
    // When stderr is closed there is nobody left to tell; the exit code still says it.
    let _ = match shown(error, command_line) {
        None => error.print(),
        Some(line) => writeln!(io::stderr(), "{line}"),
    };
    usage
}

/// A usage error on one line, where an argument would act on a terminal: a glob of the shell gives
/// names of files that others chose.
fn shown(error: &clap::Error, command_line: &[OsString]) -> Option<String> {
    let acts = |arg: &OsString| {
        let arg = arg.to_string_lossy();
        printable(&arg) != arg
    };
    let has_what_acts = command_line.iter().any(acts);
    has_what_acts.then(|| printable(error.to_string().trim_end()))
}

fn printed(result: io::Result<()>) -> ExitCode {
    match result.and_then(|()| io::stdout().flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => Exit::Unfinished.into(),
    }
}

/// A flag or variable with one of these words in its name has a secret for its value.
const SECRET_WORDS: [&str; 8] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "access-key",
];

const REMOVED: &str = "<removed>";

/// The command line after the program's name, as the `begin` record has it: values of flags and
/// variables that look like secrets are removed, and so are passwords in URLs. No tool takes a
/// secret there; people try all the same.
#[must_use]
pub(super) fn visible_args(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Vec<String> {
    let mut visible: Vec<String> = Vec::new();
    let mut value_is_secret = false;
    for arg in args {
        let arg = arg.as_ref().to_string_lossy();
        visible.push(if value_is_secret {
            REMOVED.to_owned()
        } else {
            visible_arg(&arg)
        });
        value_is_secret =
            !value_is_secret && arg.starts_with("--") && !arg.contains('=') && is_secret(&arg);
    }
    visible
}

fn visible_arg(arg: &str) -> String {
    match arg.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={REMOVED}"),
        _ => without_url_password(arg),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// `scheme://user:password@host` without the password.
fn without_url_password(arg: &str) -> String {
    let Some((scheme, rest)) = arg.split_once("://") else {
        return arg.to_owned();
    };
    let authority = rest.split('/').next().unwrap_or(rest);
    let Some((user_info, _)) = authority.rsplit_once('@') else {
        return arg.to_owned();
    };
    let Some((user, _)) = user_info.split_once(':') else {
        return arg.to_owned();
    };
    format!("{scheme}://{user}:{REMOVED}{}", &rest[user_info.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[derive(Parser, Debug)]
    #[command(name = "mail-x", version = "1.2.3", about = "Does x")]
    struct XArgs {
        #[arg(long, required = true)]
        must: String,
        #[command(flatten)]
        common: CommonArgs,
    }

    const USAGE: u8 = 2;

    fn parsed(args: &str) -> Result<XArgs, ExitCode> {
        let command_line: Vec<OsString> = args.split(' ').map(OsString::from).collect();
        parse(&command_line, &[(0, "done")], ExitCode::from(USAGE))
    }

    #[test]
    fn flags_are_read() {
        let args = parsed("mail-x --must a -vv --format jsonl --config /c").unwrap();
        assert_eq!(args.must, "a");
        assert_eq!(args.common.verbosity(), Verbosity::Detailed);
        assert_eq!(args.common.format, Format::Jsonl);
        assert_eq!(args.common.config, Some("/c".into()));
        assert_eq!(
            parsed("mail-x --must a -q").unwrap().common.verbosity(),
            Verbosity::Quiet
        );
    }

    #[test]
    fn help_is_success_and_a_wrong_flag_is_not() {
        let check = |args: &str, code: u8| {
            // ExitCode has no equality.
            assert_eq!(
                format!("{:?}", parsed(args).unwrap_err()),
                format!("{:?}", ExitCode::from(code)),
                "{args}"
            );
        };
        check("mail-x --help", 0);
        check("mail-x --version", 0);
        check("mail-x --generate man", 0);
        check("mail-x", USAGE);
        check("mail-x --must a --no-such-flag", USAGE);
        check("mail-x --must a -q -v", USAGE);
    }

    #[test]
    fn a_name_of_a_file_does_not_act_in_a_usage_error() {
        let check = |arg: &str, expected: Option<&str>| {
            let command_line = ["mail-x", "--must", "a", arg].map(OsString::from);
            let error = XArgs::command().try_get_matches_from(&command_line);
            let line = shown(&error.unwrap_err(), &command_line);
            let line = line.map(|line| line.split(" found").next().unwrap().to_owned());
            assert_eq!(line.as_deref(), expected, "{arg:?}");
        };
        check("--plain", None);
        check(
            "--x\u{9b}2J\nmail-x: all is well\u{202e}",
            Some(r"error: unexpected argument '--x\u{9b}2J\nmail-x: all is well\u{202e}'"),
        );
    }

    #[test]
    fn the_manual_and_the_completions_name_the_flags() {
        for what in [Generate::Man, Generate::Bash, Generate::Zsh, Generate::Fish] {
            let text = String::from_utf8(render(XArgs::command(), what).unwrap()).unwrap();
            assert!(text.contains("must"), "{what:?}: {text}");
        }
    }

    #[test]
    fn the_manual_has_a_section_for_each_subcommand() {
        let push = Command::new("push").arg(clap::Arg::new("lock-days").long("lock-days"));
        let text = render_manual(&Command::new("mail-x").subcommand(push)).unwrap();
        let text = String::from_utf8(text).unwrap();
        let section = text.split(".SH \"MAIL\\-X PUSH\"\n").nth(1).unwrap();
        assert!(
            section.contains("mail\\-x push") && section.contains("lock\\-days"),
            "{text}"
        );
        assert!(!section.contains(".SH"), "{section}");
    }

    #[test]
    fn help_ends_with_the_exit_codes() {
        let mut command = with_exit_codes(
            XArgs::command().after_long_help("Examples"),
            &[(0, "done"), (3, "could not finish")],
        );
        let codes = "\n\nExit codes:\n  0  done\n  3  could not finish\n";
        let short = command.render_help().to_string();
        assert!(short.ends_with(codes), "{short}");
        let long = command.render_long_help().to_string();
        assert!(long.ends_with(&format!("Examples{codes}")), "{long}");
    }

    #[test]
    fn secrets_do_not_reach_the_records() {
        let check = |args: &str, expected: &str| {
            assert_eq!(visible_args(args.split(' ')).join(" "), expected);
        };
        check("--daily --component mysql", "--daily --component mysql");
        check(
            "--mysql-password hunter2 --full",
            "--mysql-password <removed> --full",
        );
        check("--api-token=abc x", "--api-token=<removed> x");
        check(
            "AWS_SECRET_ACCESS_KEY=abc",
            "AWS_SECRET_ACCESS_KEY=<removed>",
        );
        check("--to https://u:p@host/b", "--to https://u:<removed>@host/b");
        check("s3://bucket/a:b@c", "s3://bucket/a:b@c");
    }
}
