//! A mail server in a temporary directory: mail, configuration, certificates, keys, and a backup
//! root.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mail_tests::maildir::{self, TreePlan};
use mail_tests::mariadb::MariaDb;
use mail_tests::run::{Outcome, Tool};
use mail_tests::schema::Schema;
use tempfile::TempDir;

use super::database::shared_database;

/// A mail server and its backup root. Nothing outside its directory is read or written.
pub(crate) struct Server {
    dir: TempDir,
    pub(crate) database: Option<Arc<MariaDb>>,
}

/// The directory of a set.
pub(crate) type SetDir = PathBuf;

impl Server {
    /// Without mail and database: an empty mail root, and a file in each of the other directories.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("server-")
            .tempdir()
            .unwrap();
        let server = Self {
            dir,
            database: None,
        };
        for name in ["mail", "backup", "home"] {
            fs::DirBuilder::new()
                .mode(0o755)
                .create(server.path(name))
                .unwrap();
        }
        put(
            &server.path("config/postfix/main.cf"),
            b"myhostname = mx.example.com\n",
        );
        put(
            &server.path("config/opendkim/example.com/mail.private"),
            b"a signing key\n",
        );
        put(
            &server.path("certbot/conf/live/mx/privkey1.pem"),
            b"a certificate key\n",
        );
        put(
            &server.path("docker-compose.yml"),
            b"services:\n  postfix: {}\n",
        );
        put(&server.path(".env"), b"TZ=UTC\n");
        server
    }

    /// With one message of alice@example.com, and without database.
    pub(crate) fn with_one_message() -> Self {
        let server = Self::empty();
        server.maildir("example.com/alice");
        server.message(
            "example.com/alice/cur/1767225600.M1P1.mx,S=14:2,S",
            b"Subject: one\n\n",
        );
        server
    }

    /// With a sample tree of so many messages in so many mailboxes, and without database.
    pub(crate) fn with_mail(messages: u64, mailboxes: u32) -> Self {
        let server = Self::empty();
        let plan = TreePlan {
            mean_bytes: 2_000,
            ..TreePlan::new(messages, mailboxes, 7)
        };
        maildir::generate(&server.mail(), &plan).unwrap();
        server
    }

    /// The same with a running database, which all tests of a file share.
    pub(crate) fn and_database(mut self) -> Self {
        let database = shared_database();
        self.use_database(&database, "root", "");
        self.database = Some(database);
        self
    }

    /// Writes `~/.my.cnf` for `database`.
    pub(crate) fn use_database(&self, database: &MariaDb, user: &str, password: &str) {
        let text = format!(
            "[client]\nuser={user}\npassword={password}\nsocket={}\n",
            database.socket().display()
        );
        put(&self.path("home/.my.cnf"), text.as_bytes());
        fs::set_permissions(self.path("home/.my.cnf"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A path in the server's directory.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn mail(&self) -> PathBuf {
        self.path("mail")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("backup")
    }

    /// The directory of the set `name`, such as `daily/2026-11-23`.
    pub(crate) fn set(&self, name: &str) -> SetDir {
        self.root().join(name)
    }

    /// Where `latest` leads to, as it is written.
    pub(crate) fn latest(&self) -> Option<String> {
        fs::read_link(self.root().join("latest"))
            .ok()
            .map(|target| target.to_str().unwrap().to_owned())
    }

    /// The names in `daily/`, hidden ones too, sorted.
    pub(crate) fn daily(&self) -> Vec<String> {
        names(&self.root().join("daily"))
    }

    /// Makes an empty Maildir.
    pub(crate) fn maildir(&self, mailbox: impl AsRef<Path>) {
        let mailbox = self.mail().join(mailbox);
        for name in ["cur", "new", "tmp"] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(mailbox.join(name))
                .unwrap();
        }
    }

    /// Writes a file into the mail tree.
    pub(crate) fn message(&self, path: impl AsRef<Path>, content: &[u8]) -> PathBuf {
        let path = self.mail().join(path);
        put(&path, content);
        path
    }

    /// `mail-backup` with `args`, to be run with this server as its world.
    pub(crate) fn tool(&self, args: &[&str]) -> Tool {
        let mut tool = Tool::new("mail-backup").args(args);
        let settings = [
            ("HOME", "home"),
            ("BACKUP_ROOT", "backup"),
            ("MAIL_DATA_DIR", "mail"),
            ("CONFIG_DIR", "config"),
            ("SSL_DIR", "certbot"),
            ("DKIM_DIR", "config/opendkim"),
            ("DOCKER_COMPOSE_FILE", "docker-compose.yml"),
            ("ENV_FILE", ".env"),
        ];
        for (name, path) in settings {
            tool = tool.env(name, self.path(path));
        }
        tool
    }

    /// Runs `mail-backup` with `args`. Its records match the schema.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        checked(self.tool(args).run())
    }

    /// Makes the daily set of `date` with the mailboxes only, and gives its directory.
    #[track_caller]
    pub(crate) fn save_mail(&self, date: &str, more: &[&str]) -> (SetDir, Outcome) {
        let outcome = self
            .run(&[&["--component", "mailboxes", "--date", date], more].concat())
            .assert_code(0);
        (self.set(&format!("daily/{date}")), outcome)
    }

    /// Runs it without the privileges of root, when this is root: modes count, as for any other
    /// user.
    #[track_caller]
    pub(crate) fn run_unprivileged(&self, args: &[&str]) -> Outcome {
        checked(unprivileged(self.tool(args)).run())
    }
}

/// Records match the schema, whatever the run came to.
#[track_caller]
pub(crate) fn checked(outcome: Outcome) -> Outcome {
    let records = outcome.records();
    Schema::open().assert_valid(&records);
    outcome
}

/// Lets a moment pass, so that no file is as young as the tick of the file system's clock.
pub(crate) fn settle() {
    thread::sleep(Duration::from_millis(40));
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Writes a file and the directories that lead to it.
#[track_caller]
pub(crate) fn put(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::create(path).unwrap().write_all(content).unwrap();
}

pub(crate) fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// root keeps its number and loses what lets it pass by modes (capabilities(7)).
fn unprivileged(mut tool: Tool) -> Tool {
    if !is_root() {
        return tool;
    }
    let plain = tool.command();
    let mut command = Command::new("setpriv");
    command
        .arg("--bounding-set=-dac_override,-dac_read_search")
        .arg(plain.get_program())
        .args(plain.get_args());
    command.env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    *plain = command;
    tool
}
