//! The page "Your server": the lines of each kind of server save a small one of its shape whole,
//! and bring it back.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mail_tests::mariadb::MariaDb;
use mail_tests::run::{Outcome, Tool};
use mail_tests::tree::snapshot;

use crate::{blocks, document};

/// A server, all of it below one directory.
struct Stack {
    heading: &'static str,
    /// Maildirs, and the addresses of their mailboxes.
    maildirs: [(&'static str, &'static str); 2],
    /// Other files that a set must have.
    files: &'static [&'static str],
    /// Files that it must not have.
    left_out: &'static [&'static str],
    /// Archives of further directories, without `.tar.zst`.
    extra: &'static [&'static str],
}

const STACKS: [Stack; 6] = [
    Stack {
        heading: "## mailcow",
        maildirs: [
            (
                "var/lib/docker/volumes/mailcowdockerized_vmail-vol-1/_data/a.com/al/Maildir",
                "al@a.com",
            ),
            (
                "var/lib/docker/volumes/mailcowdockerized_vmail-vol-1/_data/b.org/bo/Maildir",
                "bo@b.org",
            ),
        ],
        files: &[
            "opt/mailcow-dockerized/docker-compose.yml",
            "opt/mailcow-dockerized/mailcow.conf",
            "opt/mailcow-dockerized/data/conf/postfix/extra.cf",
            "opt/mailcow-dockerized/data/assets/ssl/key.pem",
            "var/lib/docker/volumes/mailcowdockerized_crypt-vol-1/_data/ecprivkey.pem",
            "var/lib/docker/volumes/mailcowdockerized_redis-vol-1/_data/dump.rdb",
            "var/lib/docker/volumes/mailcowdockerized_rspamd-vol-1/_data/stats.ucl",
        ],
        left_out: &[],
        extra: &[
            "var/lib/docker/volumes/mailcowdockerized_crypt-vol-1/_data",
            "var/lib/docker/volumes/mailcowdockerized_redis-vol-1/_data",
            "var/lib/docker/volumes/mailcowdockerized_rspamd-vol-1/_data",
        ],
    },
    Stack {
        heading: "## docker-mailserver",
        maildirs: [
            (
                "opt/docker-mailserver/docker-data/dms/mail-data/a.com/al",
                "al@a.com",
            ),
            (
                "opt/docker-mailserver/docker-data/dms/mail-data/a.com/bo",
                "bo@a.com",
            ),
        ],
        files: &[
            "opt/docker-mailserver/compose.yaml",
            "opt/docker-mailserver/mailserver.env",
            "opt/docker-mailserver/docker-data/dms/config/postfix-accounts.cf",
            "opt/docker-mailserver/docker-data/dms/mail-state/lib-rspamd/stats.ucl",
            "etc/letsencrypt/live/mx/privkey.pem",
        ],
        left_out: &["opt/docker-mailserver/docker-data/dms/mail-state/lib-clamav/main.cvd"],
        extra: &["opt/docker-mailserver/docker-data/dms/mail-state"],
    },
    Stack {
        heading: "## Mail-in-a-Box",
        maildirs: [
            ("home/user-data/mail/mailboxes/a.com/al", "al@a.com"),
            ("home/user-data/mail/mailboxes/b.org/al", "al@b.org"),
        ],
        files: &[
            "home/user-data/mail/users.sqlite",
            "home/user-data/mail/dkim/mail.private",
            "home/user-data/ssl/ssl_private_key.pem",
            "home/user-data/settings.yaml",
        ],
        left_out: &["home/user-data/backup/encrypted/duplicity-full.gz"],
        extra: &[],
    },
    Stack {
        heading: "## iRedMail",
        maildirs: [
            (
                "var/vmail/vmail1/a.com/a/l/i/alice-2026.11.23.02.00.00/Maildir",
                "alice@a.com",
            ),
            (
                "var/vmail/vmail1/a.com/b/o/o/bo-2024.01.02.03.04.05/Maildir",
                "bo@a.com",
            ),
        ],
        files: &[
            "etc/postfix/main.cf",
            "etc/dovecot/dovecot.conf",
            "etc/amavis/conf.d/50-user",
            "etc/nginx/nginx.conf",
            "opt/iredapd/settings.py",
            "opt/www/roundcubemail/config/config.inc.php",
            "etc/letsencrypt/live/mx/privkey.pem",
            "var/lib/dkim/a.com.pem",
            "var/vmail/mlmmj/a.com/news/subscribers.d/b",
            "var/vmail/mlmmj-archive/a.com/news/1",
            "var/vmail/public/a.com/Team/cur/1764000002.M1P1.mx:2,S",
            "var/vmail/sieve/dovecot.sieve",
        ],
        left_out: &[],
        extra: &[
            "etc/amavis",
            "etc/dovecot",
            "etc/nginx",
            "opt/iredapd",
            "opt/www",
            "var/vmail/mlmmj",
            "var/vmail/mlmmj-archive",
            "var/vmail/public",
            "var/vmail/sieve",
        ],
    },
    Stack {
        heading: "## Debian with Postfix and Dovecot",
        maildirs: [("home/al/Maildir", "al"), ("home/bo/Maildir", "bo")],
        files: &[
            "etc/postfix/main.cf",
            "etc/dovecot/dovecot.conf",
            "etc/opendkim/keys/a.com/mail.private",
            "etc/letsencrypt/live/mx/privkey.pem",
            "home/al/.dovecot.sieve",
        ],
        left_out: &[],
        extra: &["etc/dovecot", "etc/opendkim"],
    },
    Stack {
        heading: "## The server that the tools were made for",
        maildirs: [
            ("srv/mailserver/data/mail/a.com/al", "al@a.com"),
            ("srv/mailserver/data/mail/a.com/bo", "bo@a.com"),
        ],
        files: &[
            "srv/mailserver/docker-compose.yml",
            "srv/mailserver/.env",
            "srv/mailserver/config/postfix/main.cf",
            "srv/mailserver/config/opendkim/a.com/mail.private",
            "srv/mailserver/data/certbot/conf/live/mx/privkey1.pem",
        ],
        left_out: &[],
        extra: &[],
    },
];

const ROOT: &str = "mnt/backup-hdd/mailserver";

/// The lines of the page under `heading`.
fn lines_of(heading: &str) -> String {
    let text = document("docs/your-server.md");
    let mut sections = text.split("\n## ").skip(1);
    let section = sections.find(|section| section.lines().next() == heading.strip_prefix("## "));
    let section = section.unwrap_or_else(|| panic!("{heading} is not on the page"));
    let mut found = blocks(section).into_iter();
    found
        .next()
        .unwrap_or_else(|| panic!("{heading} has no lines"))
        .text
}

/// The same for a server below `top`, with the database of the test in the place of its own.
fn adapted(lines: &str, top: &Path, database: &MariaDb) -> String {
    let is_of_database = |line: &&str| line.starts_with("MYSQL_");
    let kept = lines.lines().filter(|line| !is_of_database(line));
    let mut config: String = kept.map(|line| format!("{line}\n")).collect();
    for before in ["=", "\"", " "] {
        config = config.replace(
            &format!("{before}/"),
            &format!("{before}{}/", top.display()),
        );
    }
    if lines.lines().any(|line| is_of_database(&line)) {
        let socket = database.socket();
        config += &format!("MYSQL_SOCKET={}\nMYSQL_USER=root\n", socket.display());
    }
    config
}

/// What each file holds tells which it is.
fn content_of(file: &str) -> String {
    match file.rsplit('/').next().unwrap_or_default() {
        "docker-compose.yml" => "services: {}\n".to_owned(),
        "compose.yaml" => "services:\n  mailserver:\n    env_file: mailserver.env\n".to_owned(),
        "mailcow.conf" | "mailserver.env" | ".env" => "TZ=UTC\n".to_owned(),
        _ => format!("{file}\n"),
    }
}

fn put(path: &Path, content: &str) {
    let directory = path.parent().expect("it lies in a directory");
    fs::create_dir_all(directory).expect("it can be made");
    fs::write(path, content).expect("it can be written");
}

impl Stack {
    fn make(&self, top: &Path) {
        for (maildir, address) in self.maildirs {
            for directory in ["cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp"] {
                fs::create_dir_all(top.join(maildir).join(directory)).expect("it can be made");
            }
            let message = format!("Subject: to {address}\n\n");
            put(
                &top.join(maildir).join("cur/1764000000.M1P1.mx:2,S"),
                &message,
            );
            put(
                &top.join(maildir).join(".Sent/cur/1764000001.M1P1.mx:2,S"),
                &message,
            );
        }
        for file in self.files.iter().chain(self.left_out) {
            put(&top.join(file), &content_of(file));
        }
        fs::create_dir_all(top.join(ROOT)).expect("it can be made");
    }

    /// The archives of further directories in the set, as the table names them.
    fn saved_extra(top: &Path, set: &Path) -> BTreeSet<String> {
        let below = set
            .join("config/extra")
            .join(top.strip_prefix("/").unwrap_or(top));
        if !below.exists() {
            return BTreeSet::new();
        }
        let found = snapshot(&below);
        let names = found.entries().keys().filter_map(|path| path.to_str());
        names
            .filter_map(|name| name.strip_suffix(".tar.zst"))
            .map(str::to_owned)
            .collect()
    }

    /// Loses something of everything, and restores all but the databases.
    fn check_restore(&self, top: &Path, restore: impl Fn(&[&str]) -> Outcome, set: &Path) {
        let mail = self.maildirs[0].0;
        fs::remove_dir_all(top.join(mail)).expect("it is there");
        for file in self.files {
            put(&top.join(file), "spoiled\n");
        }
        let components = ["mailboxes", "config", "ssl", "dkim"];
        let held = components
            .iter()
            .filter(|component| set.join(component).is_dir());
        let args: Vec<&str> = held
            .flat_map(|component| ["--component", component])
            .collect();
        let _ = restore(&args).assert_code(0);
        assert!(top.join(mail).join("cur/1764000000.M1P1.mx:2,S").exists());
        for file in self.files {
            let found = fs::read_to_string(top.join(file)).expect("it is back");
            assert_eq!(found, content_of(file), "{}", self.heading);
        }
        for file in self.left_out {
            assert!(!top.join(file).exists(), "{file}");
        }
    }

    fn check(&self, database: &MariaDb) {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let top = directory.path();
        self.make(top);
        let config = top.join("backup.config");
        put(&config, &adapted(&lines_of(self.heading), top, database));
        let tool = |name: &str, args: &[&str]| {
            let tool = Tool::new(name).arg("--config").arg(&config);
            tool.args(args).run()
        };
        let shown = tool("mail-backup", &["--dry-run"]).assert_code(0);
        let _ = shown.assert_stderr("mailboxes: 2 mailboxes, 4 messages in ");
        let saved = tool("mail-backup", &["--date", "2026-11-23"]).assert_code(0);
        // The accounts are those of the test's own server.
        let warnings = saved.stderr.lines().filter(|line| line.contains("warning"));
        let of_files: Vec<&str> = warnings.filter(|line| !line.contains("account")).collect();
        assert!(of_files.is_empty(), "{}: {of_files:?}", self.heading);
        let set = top.join(ROOT).join("daily/2026-11-23");
        let latest = fs::read_link(top.join(ROOT).join("latest")).expect("the set is complete");
        assert_eq!(latest, Path::new("daily/2026-11-23"));
        let extra: BTreeSet<String> = self.extra.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(Self::saved_extra(top, &set), extra, "{}", self.heading);
        for (_, address) in self.maildirs {
            let args = ["--from", "latest", "--mailbox", address, "--dry-run"];
            let found = tool("mail-restore", &args).assert_code(0);
            assert_eq!(found.data("restored").len(), 2, "{address}");
        }
        let restore = |args: &[&str]| tool("mail-restore", &[&["--from", "latest"], args].concat());
        if self.heading.contains("Mail-in-a-Box") {
            let alone = restore(&["--component", "config"]).assert_code(2);
            let _ = alone.assert_stderr("holds the mail root");
        }
        self.check_restore(top, restore, &set);
    }
}

#[test]
fn the_lines_for_each_known_server_save_it_and_bring_it_back() {
    let database = MariaDb::shared();
    for stack in &STACKS {
        stack.check(&database);
    }
    let page = document("docs/your-server.md");
    assert_eq!(
        blocks(&page).len(),
        STACKS.len(),
        "each block of the page is tried"
    );
}
