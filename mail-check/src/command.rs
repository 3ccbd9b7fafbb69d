//! Programs of the system, run with a bound on their time and on what they may say.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// More than this of a program's output is not read.
const MAX_OUTPUT_BYTES: u64 = 16 << 20;

/// What a program printed.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Why a program gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("{program} is not installed")]
    Absent { program: String },
    #[error("run {program}")]
    Run { program: String, source: io::Error },
    #[error("{program} gave no answer within {} s", within.as_secs_f64())]
    TimedOut { program: String, within: Duration },
    #[error("{program} failed ({status}): {}", words.trim())]
    Failed {
        program: String,
        status: ExitStatus,
        words: String,
    },
}

/// Runs `program`, in English and with nothing on its stdin, and gives what it printed, whatever
/// its exit status.
pub(crate) fn run(
    program: &str,
    args: &[impl AsRef<OsStr>],
    within: Duration,
) -> Result<Answer, CommandError> {
    run_with(program, args, None, within)
}

/// As [`output`], with `input` on the program's stdin.
pub(crate) fn feed(
    program: &str,
    args: &[impl AsRef<OsStr>],
    input: Vec<u8>,
    within: Duration,
) -> Result<String, CommandError> {
    succeeded(program, run_with(program, args, Some(input), within)?)
}

fn run_with(
    program: &str,
    args: &[impl AsRef<OsStr>],
    input: Option<Vec<u8>>,
    within: Duration,
) -> Result<Answer, CommandError> {
    let started = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CommandError::Absent {
            program: program.to_owned(),
        },
        _ => CommandError::Run {
            program: program.to_owned(),
            source,
        },
    })?;
    let deadline = Instant::now() + within;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // A program that does not want all of it says by its exit status whether that is an error.
        thread::spawn(move || stdin.write_all(&input));
    }
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let answer = wait(&mut child, deadline, &stdout, &stderr);
    if answer.is_none() {
        // It may have ended this moment; either way it is gone then.
        let _ = child.kill();
        let _ = child.wait();
    }
    match answer {
        Some(answer) => answer.map_err(|source| CommandError::Run {
            program: program.to_owned(),
            source,
        }),
        None => Err(CommandError::TimedOut {
            program: program.to_owned(),
            within,
        }),
    }
}

/// As [`run`], where every exit status but 0 is an error.
pub(crate) fn output(
    program: &str,
    args: &[impl AsRef<OsStr>],
    within: Duration,
) -> Result<String, CommandError> {
    succeeded(program, run(program, args, within)?)
}

fn succeeded(program: &str, answer: Answer) -> Result<String, CommandError> {
    if answer.status.success() {
        return Ok(answer.stdout);
    }
    let words = if answer.stderr.trim().is_empty() {
        answer.stdout
    } else {
        answer.stderr
    };
    Err(CommandError::Failed {
        program: program.to_owned(),
        status: answer.status,
        words,
    })
}

/// `None` when the deadline passes first.
fn wait(
    child: &mut Child,
    deadline: Instant,
    stdout: &Receiver<String>,
    stderr: &Receiver<String>,
) -> Option<io::Result<Answer>> {
    let rest = |receiver: &Receiver<String>| match receiver
        .recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        Ok(text) => Some(text),
        Err(RecvTimeoutError::Disconnected) => Some(String::new()),
        Err(RecvTimeoutError::Timeout) => None,
    };
    let (stdout, stderr) = (rest(stdout)?, rest(stderr)?);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                return Some(Ok(Answer {
                    status,
                    stdout,
                    stderr,
                }));
            }
            Err(error) => return Some(Err(error)),
            Ok(None) if Instant::now() >= deadline => return None,
            // It has closed its output, and ends within moments.
            Ok(None) => thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What was printed before an error is what there is.
            let _ = pipe.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn what_a_program_prints_comes_back() {
        assert_eq!(
            output("sh", &["-c", "echo a; echo b >&2"], LONG).unwrap(),
            "a\n"
        );
        let failed = output("sh", &["-c", "echo broken >&2; exit 3"], LONG)
            .unwrap_err()
            .to_string();
        assert_eq!(failed, "sh failed (exit status: 3): broken");
        let absent = output("no-such-program", &["x"], LONG)
            .unwrap_err()
            .to_string();
        assert_eq!(absent, "no-such-program is not installed");
    }

    #[test]
    fn a_program_is_fed_whether_it_eats_or_not() {
        let much = vec![b'x'; 1 << 20];
        assert_eq!(
            feed("wc", &["-c"], much.clone(), LONG).unwrap().trim(),
            "1048576"
        );
        let refused = feed(
            "sh",
            &["-c", "exec 0<&-; echo full >&2; exit 75"],
            much,
            LONG,
        )
        .unwrap_err()
        .to_string();
        assert_eq!(refused, "sh failed (exit status: 75): full");
    }

    #[test]
    fn one_that_hangs_is_killed() {
        let begun = Instant::now();
        let error = run("sh", &["-c", "exec sleep 600"], Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
        assert!(begun.elapsed() < LONG);
    }
}
