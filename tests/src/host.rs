//! A host as its administrator has it: a mail server's files, database and scanner, the tools and
//! scripts installed below a prefix, a configuration file, and the bare environment that cron
//! gives.
#![expect(
    clippy::disallowed_methods,
    reason = "what is installed and configured is not a stored file of a set"
)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::clamd::Clamd;
use crate::maildir::TreePlan;
use crate::mariadb::MariaDb;
use crate::run::{binary, repository};
use crate::server::Server;

/// The tools, as they are installed.
pub const TOOLS: [&str; 5] = [
    "mail-backup",
    "mail-restore",
    "mail-scan",
    "mail-s3sync",
    "mail-check",
];

const SIGNATURES_VERSION: u32 = 27_345;

/// The host. Everything lies below the directory of its server.
#[derive(Debug)]
pub struct Host {
    /// Mail, configuration, keys, and the backup root.
    pub server: Server,
    /// Its databases.
    pub database: Arc<MariaDb>,
    /// Its scanner.
    pub clamd: Clamd,
}

impl Host {
    /// A host with `messages` messages in three mailboxes and one database, and with everything
    /// installed.
    ///
    /// # Panics
    /// When a service does not start, or a file cannot be written.
    #[must_use]
    pub fn new(messages: u64) -> Self {
        let database = Arc::new(MariaDb::start());
        // An account that the server ignores would be warned of each night.
        database.sql(
            "CREATE DATABASE mailserver; CREATE TABLE mailserver.users (id INT);
             INSERT INTO mailserver.users VALUES (7);
             EXECUTE IMMEDIATE CONCAT('DROP USER IF EXISTS root@', QUOTE(@@hostname))",
        );
        let plan = TreePlan {
            mean_bytes: 2_000,
            ..TreePlan::new(messages, 3, 91)
        };
        let server = Server::new(&plan).with_database(Arc::clone(&database));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| age.as_secs());
        let clamd = Clamd::start_dated(
            "AlertEncrypted yes\nAlertExceedsMax yes\n",
            SIGNATURES_VERSION,
            i64::try_from(now).unwrap_or(0),
        );
        let host = Self {
            server,
            database,
            clamd,
        };
        host.install();
        host.configure(&[]);
        host
    }

    /// HOME, where the logs are.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.server.dir().join("home")
    }

    /// The directory of the installed scripts.
    #[must_use]
    pub fn scripts(&self) -> PathBuf {
        self.server.dir().join("usr/lib/mail-tools/scripts")
    }

    /// The directory of the installed tools.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.server.dir().join("usr/bin")
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.server.dir().join("etc/config")
    }

    /// A log in HOME, as text; blank when there is none.
    #[must_use]
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.home().join(name)).unwrap_or_default()
    }

    /// Writes the configuration: the server's settings, then `more`.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, more: &[(&str, &str)]) {
        let own = self.server.settings();
        let own = own
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"\n", value.display()));
        let more = more
            .iter()
            .map(|(name, value)| format!("export {name}='{value}'\n"));
        let state = self.server.dir().join("state");
        let scanner = format!(
            "CLAMD_ADDRESS={}\nCHECK_STATE={}\n",
            self.clamd.unix(),
            state.display()
        );
        fs::write(
            self.config(),
            own.chain(more).chain([scanner]).collect::<String>(),
        )
        .expect("it can be written");
    }

    /// One of the installed scripts, as cron would start it.
    #[must_use]
    pub fn script(&self, name: &str) -> Command {
        self.command(self.scripts().join(name))
    }

    /// A command line, as cron would start it but with the tools and scripts in its search path.
    #[must_use]
    pub fn bash(&self, line: &str) -> Command {
        let mut command = self.command("/bin/bash");
        command.args(["-c", line]);
        command.env(
            "PATH",
            format!(
                "{}:{}:/usr/bin:/bin",
                self.bin().display(),
                self.scripts().display()
            ),
        );
        command
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home())
            .env("LOGNAME", "root");
        command
            .env("SHELL", "/bin/sh")
            .env("S3_CONFIG_FILE", self.config())
            .current_dir(self.server.dir());
        command.stdin(Stdio::null());
        command
    }

    fn install(&self) {
        for dir in [
            self.home(),
            self.scripts().join("lib"),
            self.bin(),
            self.server.dir().join("etc"),
        ] {
            fs::create_dir_all(dir).expect("a directory can be made");
        }
        for tool in TOOLS {
            symlink(binary(tool), self.bin().join(tool)).expect("a link can be made");
        }
        let source = sources();
        for dir in ["", "lib"] {
            let entries = fs::read_dir(source.join(dir)).expect("the scripts are there");
            for path in entries.map(|entry| entry.expect("a directory can be read").path()) {
                if path.extension().is_some_and(|extension| extension == "sh")
                    || path.ends_with("drill")
                {
                    let name = path.file_name().expect("a file has a name");
                    fs::copy(&path, self.scripts().join(dir).join(name))
                        .expect("a script can be copied");
                }
            }
        }
    }
}

/// The project's `scripts/`.
#[must_use]
pub fn sources() -> PathBuf {
    repository().join("scripts")
}

/// Runs a command and asserts its exit status, with all that it printed when it is another.
///
/// # Panics
/// When the status is another, or it cannot be started.
#[track_caller]
pub fn ended_with(command: &mut Command, code: i32) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("start {}: {e}", command.get_program().display()));
    let words =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(
        output.status.code(),
        Some(code),
        "{command:?}\n{}\n{}",
        words[0],
        words[1]
    );
    output
}
