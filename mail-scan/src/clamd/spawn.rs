//! A private clamd from the system's program and signatures, for machines where none runs. It ends
//! with the run.

use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mail_common::atomic;
use mail_common::failure::Failed;
use mail_common::interrupt::Interrupt;
use mail_common::trusted;
use rustix::process::{Pid, Signal, kill_process};

use super::address::Address;
use super::error::Error;
use super::work_dir::WorkDir;

const PROGRAM_DIRS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/bin"];
const SYSTEM_CONFIGS: [&str; 3] = [
    "/etc/clamav/clamd.conf",
    "/etc/clamd.d/scan.conf",
    "/etc/clamd.conf",
];
const SIGNATURES: &str = "/var/lib/clamav";
const ACCOUNTS: [&str; 2] = ["clamav", "clamscan"];

/// Loading all signatures from a slow disk takes its time.
const READY_WITHIN: Duration = Duration::from_secs(180);
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// A clamd that was started by this run. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Spawned {
    process: Child,
    dir: WorkDir,
}

impl Spawned {
    /// Starts clamd with `threads` and these signatures, or else those of the system, and waits
    /// until it listens.
    pub(crate) fn start(
        signatures: Option<&Path>,
        threads: usize,
        interrupt: &Interrupt,
    ) -> Result<Self, Error> {
        let program = program().ok_or(Error::NoProgram)?;
        let signatures = signatures.map_or_else(signature_dir, Path::to_owned);
        if !has_signatures(&signatures) {
            return Err(Error::NoSignatures { dir: signatures });
        }
        let preparing = "prepare a private clamd in";
        let dir = WorkDir::new().map_err(Failed::at(preparing, &std::env::temp_dir()))?;
        let prepare = |source| Failed::at(preparing, dir.path())(source);
        let account = account();
        let config = config(dir.path(), &signatures, threads);
        atomic::write_file(&dir.path().join("clamd.conf"), config.as_bytes()).map_err(prepare)?;
        atomic::create_dir(&dir.path().join("tmp")).map_err(prepare)?;
        if let Some((uid, gid)) = account {
            give_away(dir.path(), uid, gid).map_err(prepare)?;
        }
        let mut command = command(&program, account);
        command.arg("-c").arg(dir.path().join("clamd.conf"));
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = process.map_err(Failed::at("start", &program))?;
        let mut spawned = Self { process, dir };
        spawned.wait_until_ready(interrupt)?;
        Ok(spawned)
    }

    pub(crate) fn address(&self) -> Address {
        Address::Unix(self.socket())
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("clamd.sock")
    }

    fn wait_until_ready(&mut self, interrupt: &Interrupt) -> Result<(), Error> {
        let start = Instant::now();
        // It listens once its signatures are loaded.
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            let ended = self.process.try_wait().is_ok_and(|status| status.is_some());
            if ended || start.elapsed() > READY_WITHIN {
                let how = if ended {
                    "ended"
                } else {
                    "was not ready in time"
                };
                return Err(Error::NotReady {
                    how,
                    output: self.last_words(),
                });
            }
            interrupt.check()?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = trusted::read(self.dir.path().join("clamd.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let errors = log.lines().rfind(|line| line.contains("ERROR"));
        errors
            .or_else(|| log.lines().last())
            .unwrap_or("it wrote no log")
            .to_owned()
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.process);
        // It may have ended by itself, which is what is wanted.
        let _ = kill_process(pid, Signal::TERM);
        let start = Instant::now();
        while self.process.try_wait().is_ok_and(|status| status.is_none()) {
            if start.elapsed() > STOPPED_WITHIN {
                let _ = kill_process(pid, Signal::KILL);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn config(dir: &Path, signatures: &Path, threads: usize) -> String {
    let (dir, signatures) = (dir.display(), signatures.display());
    format!(
        "Foreground yes\nLocalSocket {dir}/clamd.sock\nLocalSocketMode 600\n\
         DatabaseDirectory {signatures}\n\
         TemporaryDirectory {dir}/tmp\nLogFile {dir}/clamd.log\nMaxThreads {threads}\n\
         MaxQueue {queue}\nSelfCheck 0\n\
         AlertEncrypted yes\nAlertExceedsMax yes\nMaxFileSize 256M\nMaxScanSize 1024M\n\
         StreamMaxLength 256M\n\
         CommandReadTimeout 300\nIdleTimeout 300\n",
        queue = 4 * threads,
    )
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path)
        .chain(PROGRAM_DIRS.map(PathBuf::from))
        .collect::<Vec<_>>();
    dirs.into_iter()
        .map(|dir| dir.join("clamd"))
        .find(|program| program.is_file())
}

/// Where the system's clamd has its signatures.
fn signature_dir() -> PathBuf {
    let configured = SYSTEM_CONFIGS.iter().find_map(|config| {
        let text = trusted::read_to_string(config).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix("DatabaseDirectory "))
            .map(|dir| PathBuf::from(dir.trim()))
    });
    configured.unwrap_or_else(|| SIGNATURES.into())
}

fn has_signatures(dir: &Path) -> bool {
    trusted::read_dir(dir).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            [".cvd", ".cld", ".cud", ".ndb", ".hdb", ".hsb", ".ldb"]
                .iter()
                .any(|suffix| name.ends_with(suffix))
        })
    })
}

/// Whom clamd works as when root starts it: hostile files are not for root to parse.
fn account() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = trusted::read_to_string("/etc/passwd").ok()?;
    ACCOUNTS.iter().find_map(|account| {
        let line = passwd
            .lines()
            .find(|line| line.split(':').next() == Some(account))?;
        let mut numbers = line.split(':').skip(2).map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    })
}

fn give_away(dir: &Path, uid: u32, gid: u32) -> io::Result<()> {
    for path in [dir.join("clamd.conf"), dir.join("tmp"), dir.to_owned()] {
        chown(path, Some(uid), Some(gid))?;
    }
    Ok(())
}

/// By setpriv(1) where that is there: clamd ends with this process then, however that ends.
fn command(program: &Path, account: Option<(u32, u32)>) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if !setpriv.is_file() {
        let mut command = Command::new(program);
        if let Some((uid, gid)) = account {
            std::os::unix::process::CommandExt::uid(&mut command, uid);
            std::os::unix::process::CommandExt::gid(&mut command, gid);
        }
        return command;
    }
    let mut command = Command::new(setpriv);
    if let Some((uid, gid)) = account {
        command
            .arg(format!("--reuid={uid}"))
            .arg(format!("--regid={gid}"))
            .arg("--clear-groups");
    }
    command.arg("--pdeathsig=TERM").arg("--").arg(program);
    command
}
