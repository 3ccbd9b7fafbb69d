//! A sample mail server on disk, with all that a complete backup set takes, and the root of its backups.
#![expect(clippy::disallowed_methods, reason = "sample configuration is not a stored file of a set")]

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::maildir::{TreePlan, generate};
use crate::run::Tool;

/// The files of a mail server, a directory each for mail, configuration, certificates and keys.
#[derive(Debug)]
pub struct Server {
    dir: TempDir,
}

impl Server {
    /// A server with the mail that `plan` says.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn new(plan: &TreePlan) -> Self {
        let server = Self { dir: tempfile::tempdir().expect("a temporary directory can be made") };
        generate(&server.mail(), plan).expect("a mail tree can be made");
        let files = [
            ("config/postfix/main.cf", "myhostname = mx.example.com\n"),
            ("config/dovecot/dovecot.conf", "mail_location = maildir:~/\n"),
            ("certbot/live/mx.example.com/fullchain.pem", "-----BEGIN CERTIFICATE-----\n"),
            ("opendkim/keys/example.com/mail.private", "-----BEGIN PRIVATE KEY-----\n"),
            ("docker-compose.yml", "services: {}\n"),
            (".env", "DOMAIN=example.com\n"),
        ];
        for (name, text) in files {
            let path = server.dir.path().join(name);
            fs::create_dir_all(path.parent().expect("it lies in the server's directory")).expect("it can be made");
            fs::write(&path, text).expect("a sample file can be written");
        }
        fs::create_dir(server.root()).expect("the root can be made");
        server
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

    /// The set `daily/<date>`.
    #[must_use]
    pub fn daily(&self, date: &str) -> PathBuf {
        self.root().join("daily").join(date)
    }

    /// The settings of a run, as they are in the environment or in a configuration file.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, PathBuf)> {
        let below = |name: &str| self.dir.path().join(name);
        vec![
            ("BACKUP_ROOT", self.root()),
            ("MAIL_DATA_DIR", self.mail()),
            ("CONFIG_DIR", below("config")),
            ("SSL_DIR", below("certbot")),
            ("DKIM_DIR", below("opendkim")),
            ("DOCKER_COMPOSE_FILE", below("docker-compose.yml")),
            ("ENV_FILE", below(".env")),
        ]
    }

    /// `mail-backup` of this server.
    #[must_use]
    pub fn backup(&self) -> Tool {
        self.settings().into_iter().fold(Tool::new("mail-backup"), |tool, (name, value)| tool.env(name, value))
    }
}
