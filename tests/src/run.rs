//! A built tool of this workspace at work: arguments, a clean environment, and what came out.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The user and the group of nobody, on every system.
const NOBODY: u32 = 65_534;

/// A tool with its arguments.
///
/// It sees nothing of the caller's environment but PATH: HOME is an empty directory and the time
/// zone is UTC.
#[derive(Debug)]
pub struct Tool {
    command: Command,
    home: TempDir,
    stdin: Option<Vec<u8>>,
}

/// What a tool did.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output, as it came.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

/// A tool that has not ended yet. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: File,
    stderr: File,
    _home: TempDir,
}

impl Tool {
    /// The tool called `name`, such as `mail-backup`, from the directory that the running test was
    /// built into.
    ///
    /// # Panics
    /// When it is not built; `cargo build --workspace` does that.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::program(&binary(name))
    }

    /// A script of `scripts/`, such as `install`.
    #[must_use]
    pub fn script(name: &str) -> Self {
        Self::program(&repository().join("scripts").join(name))
    }

    /// Any program by its path.
    ///
    /// # Panics
    /// When there is no temporary directory.
    #[must_use]
    pub fn program(path: &Path) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let mut command = Command::new(path);
        command
            .env_clear()
            .env("HOME", home.path())
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC");
        if let Some(search) = std::env::var_os("PATH") {
            command.env("PATH", search);
        }
        Self {
            command,
            home,
            stdin: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// As a user who may do nothing that root may, where root runs the tests. The program is
    /// copied: a checkout may lie where others may not look.
    ///
    /// # Panics
    /// When it cannot be copied.
    #[must_use]
    pub fn as_nobody(mut self) -> Self {
        if !rustix::process::geteuid().is_root() {
            return self;
        }
        let program = PathBuf::from(self.command.get_program());
        let copy = self
            .home
            .path()
            .join(program.file_name().expect("a program has a name"));
        std::fs::copy(&program, &copy)
            .unwrap_or_else(|e| panic!("copy {}: {e}", program.display()));
        std::os::unix::fs::chown(self.home.path(), Some(NOBODY), Some(NOBODY))
            .expect("root gives away what it likes");
        let mut command = Command::new(copy);
        command
            .args(self.command.get_args())
            .env_clear()
            .uid(NOBODY)
            .gid(NOBODY)
            .current_dir("/");
        for (name, value) in self.command.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        self.command = command;
        self
    }

    /// Gives it input; without, standard input is `/dev/null`.
    #[must_use]
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(input.into());
        self
    }

    /// Lets the tool see a clock that is off by `offset`, such as `+3d` or `-2h` (faketime(1)).
    /// Only what it takes for the time of day: nothing runs faster or slower.
    ///
    /// # Panics
    /// When faketime is not installed (`scripts/test` installs it).
    #[must_use]
    pub fn clock(self, offset: &str) -> Self {
        let tool = self
            .env("LD_PRELOAD", faketime_library())
            .env("FAKETIME", offset);
        tool.env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// Lets a shell start it by a script in which it is `"$@"`, such as `"$@" >/dev/full`. A
    /// pipeline ends with the worst of its codes.
    #[must_use]
    pub fn in_shell(mut self, script: &str) -> Self {
        let mut bash = Command::new("bash");
        bash.args(["-o", "pipefail", "-c", script, "bash"])
            .arg(self.command.get_program())
            .args(self.command.get_args())
            .env_clear();
        for (name, value) in self.command.get_envs() {
            bash.env(name, value.unwrap_or_default());
        }
        self.command = bash;
        self
    }

    /// For what has no method here: working directory, user, limits.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn run(self) -> Outcome {
        self.spawn().wait()
    }

    /// Starts it. Output goes to files, so that it never waits for a reader.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(mut self) -> Running {
        let spool = || tempfile::tempfile().expect("a temporary file can be made");
        let (stdout, stderr) = (spool(), spool());
        let twin = |file: &File| Stdio::from(file.try_clone().expect("a file can be opened twice"));
        let stdin = match self.stdin {
            None => Stdio::null(),
            Some(input) => {
                let mut file = spool();
                file.write_all(&input)
                    .expect("a temporary file can be written");
                file.rewind()
                    .expect("a temporary file can be read from its start");
                file.into()
            }
        };
        let started = self
            .command
            .stdin(stdin)
            .stdout(twin(&stdout))
            .stderr(twin(&stderr))
            .spawn();
        let child = started
            .unwrap_or_else(|e| panic!("start {}: {e}", self.command.get_program().display()));
        Running {
            child,
            stdout,
            stderr,
            _home: self.home,
        }
    }
}

impl Running {
    /// The process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal; a process that has ended already is left alone.
    pub fn signal(&mut self, signal: Signal) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // It may end between the question and the signal; it is not reaped yet, so its number
            // is still its own.
            let _ = kill_process(self.pid(), signal);
        }
    }

    /// Whether it still works.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When its output cannot be read back.
    #[must_use]
    pub fn wait(mut self) -> Outcome {
        let status = self.child.wait().expect("a child can be waited for");
        let stdout = read_back(&mut self.stdout);
        let stderr = String::from_utf8_lossy(&read_back(&mut self.stderr)).into_owned();
        Outcome {
            status,
            stdout,
            stderr,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        // Reaped, whatever it says: nobody is left to tell.
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// The exit code; for a process ended by a signal, 128 and the signal's number, as shells
    /// count.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| 128 + self.status.signal().unwrap_or_default())
    }

    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as JSON lines.
    ///
    /// # Panics
    /// When a line is not JSON.
    #[must_use]
    #[track_caller]
    pub fn records(&self) -> Vec<Value> {
        let parse = |line: &str| match serde_json::from_str(line) {
            Ok(value) => value,
            Err(e) => panic!("not a record: {e}: {line}\n{}", self.stderr),
        };
        self.text().lines().map(parse).collect()
    }

    /// The `data` of each record of a type.
    ///
    /// # Panics
    /// When a line is not JSON.
    #[must_use]
    #[track_caller]
    pub fn data(&self, kind: &str) -> Vec<Value> {
        self.records()
            .into_iter()
            .filter(|r| r["type"] == kind)
            .map(|mut r| r["data"].take())
            .collect()
    }

    /// Asserts the exit code.
    ///
    /// # Panics
    /// With standard error and the records of type `error` when it is another.
    #[track_caller]
    pub fn assert_code(self, expected: i32) -> Self {
        let errors: Vec<String> = self
            .text()
            .lines()
            .filter(|line| line.contains("\"type\":\"error\""))
            .map(str::to_owned)
            .collect();
        let code = self.code();
        assert_eq!(
            code, expected,
            "exit code; stderr:\n{}\nerror records: {errors:#?}",
            self.stderr
        );
        self
    }

    /// Asserts that a record of type `error` is of this kind.
    ///
    /// # Panics
    /// With the error records and standard error when none is.
    #[track_caller]
    pub fn assert_failure(self, kind: &str) -> Self {
        let errors = self.data("error");
        assert!(
            errors.iter().any(|error| error["kind"] == kind),
            "no error of the kind {kind:?}: {errors:#?}\nstderr:\n{}",
            self.stderr
        );
        self
    }

    /// Asserts that standard error holds `part`.
    ///
    /// # Panics
    /// With standard error when it does not.
    #[track_caller]
    pub fn assert_stderr(self, part: &str) -> Self {
        assert!(
            self.stderr.contains(part),
            "no {part:?} in stderr:\n{}",
            self.stderr
        );
        self
    }
}

/// Runs a shell script in `dir`, as an administrator or an old script would, and returns what it
/// prints.
///
/// # Panics
/// With standard error when a command of it fails.
#[track_caller]
pub fn shell(dir: &Path, script: &str) -> String {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(dir)
        .output()
        .expect("bash can be started");
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("a script prints text")
}

/// The top directory of this workspace.
///
/// # Panics
/// When this crate lies in no directory.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
}

/// Where the built tool called `name` is: `target/<profile>/`, beside the directory of the running
/// test.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its program");
    let profile = test
        .ancestors()
        .find(|dir| dir.file_name().is_some_and(|name| name == "deps"));
    let profile = profile
        .and_then(|deps| deps.parent())
        .or_else(|| test.parent());
    let path = profile.expect("a program lies in a directory").join(name);
    assert!(
        path.is_file(),
        "{} is not built; run: cargo build --workspace",
        path.display()
    );
    path
}

fn read_back(file: &mut File) -> Vec<u8> {
    let mut content = Vec::new();
    file.rewind().expect("output can be read from its start");
    file.read_to_end(&mut content)
        .expect("output can be read back");
    content
}

/// The library that gives a program another clock.
///
/// # Panics
/// When faketime is not installed (`scripts/test` installs it).
#[must_use]
pub fn faketime_library() -> String {
    let library = Command::new("faketime")
        .args(["-f", "+0", "printenv", "LD_PRELOAD"])
        .output();
    let library = String::from_utf8(library.expect("faketime runs").stdout);
    let library = library.expect("a path of the system is text");
    library.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Tool {
        Tool::program(Path::new("/bin/sh")).args(["-c", script])
    }

    #[test]
    fn output_code_and_records_are_kept() {
        let outcome =
            shell(r#"cat; echo '{"type":"x","data":{"a":1}}'; echo warning: odd >&2; exit 3"#)
                .stdin("{\"type\":\"begin\",\"data\":{}}\n")
                .run()
                .assert_code(3)
                .assert_stderr("odd");
        assert_eq!(outcome.records().len(), 2);
        assert_eq!(outcome.data("x")[0]["a"], 1);
    }

    #[test]
    #[should_panic(expected = "no error of the kind \"damaged\"")]
    fn a_failure_is_known_by_its_kind() {
        let outcome =
            shell(r#"echo '{"type":"error","data":{"message":"m","kind":"locked"}}'"#).run();
        let _ = outcome.assert_failure("locked").assert_failure("damaged");
    }

    #[test]
    fn a_signal_ends_it() {
        let mut running = shell("exec sleep 60").spawn();
        assert!(running.is_running());
        running.signal(Signal::KILL);
        assert_eq!(running.wait().code(), 128 + 9);
    }
}
