//! A sample mail server on disk, with all that a complete backup set takes, and the root of its
//! backups.
#![expect(
    clippy::disallowed_methods,
    reason = "sample configuration is not a stored file of a set"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::maildir::{TreePlan, generate};
use crate::mariadb::MariaDb;
use crate::run::Tool;

/// The components that need no database.
pub const TREES: [&str; 8] = [
    "--component",
    "mailboxes",
    "--component",
    "config",
    "--component",
    "ssl",
    "--component",
    "dkim",
];

/// The files of a mail server, a directory each for mail, configuration, certificates and keys.
#[derive(Debug)]
pub struct Server {
    dir: TempDir,
    database: Option<Arc<MariaDb>>,
}

impl Server {
    /// A server without a database, with `messages` messages, and the directory of a set of it.
    ///
    /// # Panics
    /// When it cannot be written or saved.
    #[must_use]
    pub fn saved(messages: u64) -> (Self, PathBuf) {
        let server = Self::new(&TreePlan {
            mean_bytes: 3_000,
            ..TreePlan::new(messages, 4, 11)
        });
        let set = server.save_trees();
        (server, set)
    }

    /// Makes a set without the database, and returns its directory.
    ///
    /// # Panics
    /// When the backup fails.
    #[track_caller]
    pub fn save_trees(&self) -> PathBuf {
        let backup = self.backup().args(TREES).args(["--date", "2026-11-23"]);
        let _ = backup.run().assert_code(0);
        self.root().join("daily/2026-11-23")
    }

    /// A server without a database, with the mail that `plan` says.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn new(plan: &TreePlan) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let server = Self {
            dir,
            database: None,
        };
        generate(&server.mail(), plan).expect("a mail tree can be made");
        let files = [
            ("config/postfix/main.cf", "myhostname = mx.example.com\n"),
            (
                "config/dovecot/dovecot.conf",
                "mail_location = maildir:~/\n",
            ),
            (
                "certbot/live/mx.example.com/fullchain.pem",
                "-----BEGIN CERTIFICATE-----\n",
            ),
            (
                "opendkim/keys/example.com/mail.private",
                "-----BEGIN PRIVATE KEY-----\n",
            ),
            ("docker-compose.yml", "services: {}\n"),
            (".env", "DOMAIN=example.com\n"),
        ];
        for (name, text) in files {
            let path = server.dir.path().join(name);
            fs::create_dir_all(path.parent().expect("it lies in the server's directory"))
                .expect("it can be made");
            fs::write(&path, text).expect("a sample file can be written");
        }
        fs::create_dir(server.root()).expect("the root can be made");
        server
    }

    /// With a database, so that a set of it is complete.
    #[must_use]
    pub fn with_database(self, database: Arc<MariaDb>) -> Self {
        Self {
            database: Some(database),
            ..self
        }
    }

    /// Everything lies below it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The mail root.
    #[must_use]
    pub fn mail(&self) -> PathBuf {
        self.dir.path().join("mail")
    }

    /// The backup root.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("backup")
    }

    /// What `latest` leads to.
    ///
    /// # Panics
    /// When it is not a symlink.
    #[must_use]
    pub fn latest(&self) -> PathBuf {
        fs::read_link(self.root().join("latest")).expect("latest is a symlink")
    }

    /// The names of all sets in `daily/`, sorted.
    ///
    /// # Panics
    /// When the directory cannot be read.
    #[must_use]
    pub fn daily_names(&self) -> Vec<String> {
        names(&self.root().join("daily"))
            .into_iter()
            .filter(|name| !name.starts_with('.'))
            .collect()
    }

    /// What a run must not leave behind: hidden names anywhere in the root but the lock file.
    ///
    /// # Panics
    /// When a directory cannot be read.
    #[must_use]
    pub fn hidden(&self) -> Vec<String> {
        let dirs = ["", "daily", "weekly"].map(|name| self.root().join(name));
        let all = dirs
            .iter()
            .filter(|dir| dir.exists())
            .flat_map(|dir| names(dir));
        all.filter(|name| name.starts_with('.') && name != ".lock")
            .collect()
    }

    /// The set `daily/<date>`.
    #[must_use]
    pub fn daily(&self, date: &str) -> PathBuf {
        self.root().join("daily").join(date)
    }

    /// The settings of a run, as they are in the environment or in a configuration file.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, PathBuf)> {
        let below = |name: &str| self.dir.path().join(name);
        let mut settings = vec![
            ("BACKUP_ROOT", self.root()),
            ("MAIL_DATA_DIR", self.mail()),
            ("CONFIG_DIR", below("config")),
            ("SSL_DIR", below("certbot")),
            ("DKIM_DIR", below("opendkim")),
            ("DOCKER_COMPOSE_FILE", below("docker-compose.yml")),
            ("ENV_FILE", below(".env")),
        ];
        if let Some(database) = &self.database {
            settings.extend([
                ("MYSQL_SOCKET", database.socket()),
                ("MYSQL_USER", "root".into()),
            ]);
        }
        settings
    }

    /// `mail-backup` of this server.
    #[must_use]
    pub fn backup(&self) -> Tool {
        self.tool("mail-backup")
    }

    /// `mail-restore` onto this server.
    #[must_use]
    pub fn restore(&self) -> Tool {
        self.tool("mail-restore")
    }

    fn tool(&self, name: &str) -> Tool {
        self.settings()
            .into_iter()
            .fold(Tool::new(name), |tool, (name, value)| tool.env(name, value))
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(dir).unwrap_or_else(|e| panic!("read directory {}: {e}", dir.display()));
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry
            .expect("a directory can be read")
            .file_name()
            .to_string_lossy()
            .into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}
