//! The settings that the tools share, under the names of the scripts, with their defaults, checked.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Config, Error, Setting};
use crate::set::{Component, MailboxDepth, UnknownComponent, extra_dir_path};
use crate::signature::{AllowedSigners, SigningKey};
use crate::suspicion::{Limits, MailboxLimits};

const EXTRA_DIRS_EXPECTED: &str = "whole paths of directories, without .. and with blanks between \
     them, which do not hold MAIL_DATA_DIR and are not CONFIG_DIR, SSL_DIR or DKIM_DIR";

/// The settings of every tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// BACKUP_ROOT: the directory that holds the sets.
    pub backup_root: PathBuf,
    /// BACKUP_MOUNTPOINT: what must be mounted before a backup starts, where set.
    pub backup_mountpoint: Option<PathBuf>,
    /// MAIL_DATA_DIR: the root of the Maildirs. This and the next five are below MAILSERVER_ROOT by
    /// default.
    pub mail_data_dir: PathBuf,
    /// MAILBOX_DEPTH: how deep below it the mailboxes lie.
    pub mailbox_depth: MailboxDepth,
    /// CONFIG_DIR: the configuration of the services.
    pub config_dir: PathBuf,
    /// SSL_DIR: certificates and their keys. `None` in this and the next three: the server has
    /// none.
    pub ssl_dir: Option<PathBuf>,
    /// DKIM_DIR: signing keys.
    pub dkim_dir: Option<PathBuf>,
    /// DOCKER_COMPOSE_FILE.
    pub docker_compose_file: Option<PathBuf>,
    /// ENV_FILE: the environment of the compose file.
    pub env_file: Option<PathBuf>,
    /// EXTRA_DIRS: further directories that are saved with the configuration, each once.
    pub extra_dirs: Vec<PathBuf>,
    /// EXCLUDE: patterns of what is left out of the trees that are not mail.
    pub exclude: Vec<String>,
    /// BACKUP_COMPONENTS: what a complete set of this server holds, each once, in the order of
    /// [`Component::ALL`]; all of them by default.
    pub backup_components: Vec<Component>,
    /// How the database server is reached.
    pub mysql: MysqlSettings,
    /// DAILY_RETENTION_DAYS: how long daily sets are kept.
    pub daily_retention_days: u32,
    /// WEEKLY_RETENTION_WEEKS: how long weekly sets are kept.
    pub weekly_retention_weeks: u32,
    /// HOURLY_RETENTION_HOURS: how long hourly sets are kept.
    pub hourly_retention_hours: u32,
    /// WEEKLY_SETS: which sets a weekly one may share files with.
    pub weekly_sets: WeeklySets,
    /// BACKUP_PURGE_DAYS: how long deleted mail may stay in the archives of new sets; 0 is not at
    /// all.
    pub backup_purge_days: u32,
    /// BACKUP_ALARM_SPOILED, BACKUP_ALARM_LOSS_PERCENT, BACKUP_NOTABLE_LOSS_PERCENT and
    /// BACKUP_BUSY_MAILBOXES: from where on changes of the mail are not those of an ordinary day.
    pub change_limits: Limits,
    /// BACKUP_CANARY: whether a message that nobody touches is made and looked after.
    pub backup_canary: bool,
    /// BACKUP_SIGNING_KEY: what sets are signed with.
    pub signing_key: Option<SigningKey>,
    /// ALLOWED_SIGNERS: whose sets are accepted; none: any set is.
    pub allowed_signers: Option<AllowedSigners>,
    /// S3_BUCKET.
    pub s3_bucket: Option<String>,
    /// S3_PREFIX.
    pub s3_prefix: Option<String>,
    /// CLAMD_ADDRESS: `unix:/path/clamd.sock` or `tcp:host:port`.
    pub clamd_address: Option<String>,
    /// SCAN_ENCRYPTED_MAIL: `unscanned` or `note`.
    pub scan_encrypted_mail: Option<String>,
    /// ADMIN_EMAIL: who is notified.
    pub admin_email: Option<String>,
    /// NOTIFICATION_ON_SUCCESS; no by default.
    pub notification_on_success: bool,
    /// NOTIFICATION_ON_FAILURE; yes by default.
    pub notification_on_failure: bool,
}

/// Which sets a weekly one may share files with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeeklySets {
    /// Other weekly ones: together with the daily ones there are two copies of what does not
    /// change.
    #[default]
    Independent,
    /// Sets of every kind: there is one copy.
    Shared,
}

/// How the database server is reached; passwords are not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MysqlSettings {
    /// MYSQL_HOST.
    pub host: Option<String>,
    /// MYSQL_PORT.
    pub port: Option<u16>,
    /// MYSQL_SOCKET.
    pub socket: Option<PathBuf>,
    /// MYSQL_USER.
    pub user: Option<String>,
    /// MYSQL_DATABASES, separated by blanks or commas; empty means all but the system's.
    pub databases: Vec<String>,
    /// MYSQL_CONFIG_FILE: `~/.my.cnf` by default, which need not exist; `None` when the user has no
    /// home.
    pub config_file: Option<PathBuf>,
}

impl Settings {
    /// The settings that `config` gives. Flags come over them, in the tools.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the first value that cannot be used.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let text = |name| text(config, name);
        let path = |name| PathBuf::from(text(name).unwrap_or_default());
        let optional = |name| {
            text(name)
                .filter(|value| !says_none(value))
                .map(PathBuf::from)
        };
        let file = |name| text(name).map(PathBuf::from);
        let settings = Self {
            backup_root: path("BACKUP_ROOT"),
            backup_mountpoint: text("BACKUP_MOUNTPOINT").map(PathBuf::from),
            mail_data_dir: path("MAIL_DATA_DIR"),
            mailbox_depth: mailbox_depth(config)?,
            config_dir: path("CONFIG_DIR"),
            ssl_dir: optional("SSL_DIR"),
            dkim_dir: optional("DKIM_DIR"),
            docker_compose_file: optional("DOCKER_COMPOSE_FILE"),
            env_file: optional("ENV_FILE"),
            extra_dirs: extra_dirs(config)?,
            exclude: words(&text("EXCLUDE").unwrap_or_default())
                .map(str::to_owned)
                .collect(),
            backup_components: backup_components(config)?,
            mysql: MysqlSettings::new(config)?,
            daily_retention_days: retention(config, "DAILY_RETENTION_DAYS")?,
            weekly_retention_weeks: retention(config, "WEEKLY_RETENTION_WEEKS")?,
            hourly_retention_hours: retention(config, "HOURLY_RETENTION_HOURS")?,
            weekly_sets: weekly_sets(config)?,
            backup_purge_days: purge(config)?,
            change_limits: change_limits(config)?,
            backup_canary: yes_or_no(config, "BACKUP_CANARY")?,
            signing_key: file("BACKUP_SIGNING_KEY").map(SigningKey::new),
            allowed_signers: file("ALLOWED_SIGNERS").map(AllowedSigners::new),
            s3_bucket: text("S3_BUCKET"),
            s3_prefix: text("S3_PREFIX"),
            clamd_address: text("CLAMD_ADDRESS"),
            scan_encrypted_mail: text("SCAN_ENCRYPTED_MAIL"),
            admin_email: text("ADMIN_EMAIL"),
            notification_on_success: yes_or_no(config, "NOTIFICATION_ON_SUCCESS")?,
            notification_on_failure: yes_or_no(config, "NOTIFICATION_ON_FAILURE")?,
        };
        settings.check_extra_dirs(config)?;
        Ok(settings)
    }

    /// Whether EXTRA_DIRS, as `config` has it, is saved by nothing else. A tool whose flags name
    /// other directories asks again.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a directory holds the mail, or is saved anyway.
    pub fn check_extra_dirs(&self, config: &Config) -> Result<(), Error> {
        let whole = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let mail = whole(&self.mail_data_dir);
        let others = [&self.ssl_dir, &self.dkim_dir].into_iter().flatten();
        let saved: Vec<PathBuf> = others.chain([&self.config_dir]).map(whole).collect();
        let is_saved =
            |directory: &PathBuf| mail.starts_with(directory) || saved.contains(directory);
        let read = |_: &str| (!self.extra_dirs.iter().any(is_saved)).then_some(());
        checked(config, "EXTRA_DIRS", EXTRA_DIRS_EXPECTED, read)?;
        Ok(())
    }

    /// What a complete set of this server holds: BACKUP_COMPONENTS, without certificates or keys
    /// where it has none.
    #[must_use]
    pub fn wanted_components(&self) -> Vec<Component> {
        let mut wanted = self.backup_components.clone();
        wanted.retain(|component| match component {
            Component::Ssl => self.ssl_dir.is_some(),
            Component::Dkim => self.dkim_dir.is_some(),
            Component::Mailboxes | Component::Mysql | Component::Config => true,
        });
        wanted
    }
}

impl MysqlSettings {
    fn new(config: &Config) -> Result<Self, Error> {
        let databases = text(config, "MYSQL_DATABASES").unwrap_or_default();
        Ok(Self {
            host: text(config, "MYSQL_HOST"),
            port: checked(config, "MYSQL_PORT", "a port from 1 to 65535", |text| {
                u16::from_str(text).ok().filter(|&port| port > 0)
            })?,
            socket: text(config, "MYSQL_SOCKET").map(PathBuf::from),
            user: text(config, "MYSQL_USER"),
            databases: words(&databases).map(str::to_owned).collect(),
            config_file: text(config, "MYSQL_CONFIG_FILE").map(PathBuf::from),
        })
    }
}

/// The value of `name`; empty is none.
fn text(config: &Config, name: &str) -> Option<String> {
    config
        .get(name)
        .map(|setting| setting.value)
        .filter(|value| !value.is_empty())
}

/// Words with blanks or commas between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| !word.is_empty())
}

/// Whether a part that not every server has is said not to be there.
fn says_none(value: &str) -> bool {
    value.trim().is_empty() || value.trim().eq_ignore_ascii_case("none")
}

fn backup_components(config: &Config) -> Result<Vec<Component>, Error> {
    let setting = config.get("BACKUP_COMPONENTS");
    let Some(Setting {
        value,
        source: origin,
    }) = setting
    else {
        return Ok(Component::ALL.to_vec());
    };
    match components(&value) {
        Ok(named) => Ok(named),
        Err(source) => Err(Error::Components {
            value,
            origin,
            source,
        }),
    }
}

/// The components that `text` names, in small letters or capitals; all where it names none.
fn components(text: &str) -> Result<Vec<Component>, UnknownComponent> {
    let mut named = Vec::new();
    for word in words(text) {
        match word.to_ascii_lowercase().as_str() {
            "all" => named.extend(Component::ALL),
            word => named.push(word.parse()?),
        }
    }
    if named.is_empty() {
        return Ok(Component::ALL.to_vec());
    }
    named.sort_unstable();
    named.dedup();
    Ok(named)
}

fn mailbox_depth(config: &Config) -> Result<MailboxDepth, Error> {
    let read = |text: &str| text.parse().ok();
    let depth = checked(config, "MAILBOX_DEPTH", MailboxDepth::EXPECTED, read)?;
    Ok(depth.unwrap_or_default())
}

/// Whole paths without detours: they are compared with those in a set.
fn extra_dirs(config: &Config) -> Result<Vec<PathBuf>, Error> {
    let read = |text: &str| {
        let mut directories = Vec::new();
        for word in words(text) {
            let directory: PathBuf = Path::new(word).components().collect();
            extra_dir_path(&directory)?;
            directories.push(directory);
        }
        directories.sort();
        directories.dedup();
        Some(directories)
    };
    let directories = checked(config, "EXTRA_DIRS", EXTRA_DIRS_EXPECTED, read)?;
    Ok(directories.unwrap_or_default())
}

fn retention(config: &Config, name: &'static str) -> Result<u32, Error> {
    let in_range = |text: &str| {
        u32::from_str(text)
            .ok()
            .filter(|number| (1..=36500).contains(number))
    };
    Ok(checked(config, name, "a whole number from 1 to 36500", in_range)?.unwrap_or_default())
}

fn weekly_sets(config: &Config) -> Result<WeeklySets, Error> {
    let read = |text: &str| match text.to_ascii_lowercase().as_str() {
        "independent" => Some(WeeklySets::Independent),
        "shared" => Some(WeeklySets::Shared),
        _ => None,
    };
    Ok(checked(config, "WEEKLY_SETS", "independent or shared", read)?.unwrap_or_default())
}

fn purge(config: &Config) -> Result<u32, Error> {
    let in_range = |text: &str| u32::from_str(text).ok().filter(|number| *number <= 36500);
    let days = checked(
        config,
        "BACKUP_PURGE_DAYS",
        "a whole number from 0 to 36500",
        in_range,
    )?;
    Ok(days.unwrap_or_default())
}

/// Those that are not set are the usual ones.
fn change_limits(config: &Config) -> Result<Limits, Error> {
    let mut limits = Limits::default();
    let number = |text: &str| u64::from_str(text).ok();
    if let Some(count) = checked(config, "BACKUP_ALARM_SPOILED", "a whole number", number)? {
        limits.alarm_spoiled = count;
    }
    let settings = [
        ("BACKUP_ALARM_LOSS_PERCENT", &mut limits.alarm_percent),
        ("BACKUP_NOTABLE_LOSS_PERCENT", &mut limits.notable_percent),
    ];
    for (name, limit) in settings {
        let percent = |text: &str| u8::from_str(text).ok().filter(|it| (1..=100).contains(it));
        if let Some(percent) = checked(config, name, "a whole number from 1 to 100", percent)? {
            *limit = f64::from(percent);
        }
    }
    let busy = text(config, "BACKUP_BUSY_MAILBOXES").unwrap_or_default();
    for mailbox in words(&busy) {
        limits
            .mailboxes
            .insert(mailbox.to_owned(), MailboxLimits::busy());
    }
    Ok(limits)
}

fn yes_or_no(config: &Config, name: &'static str) -> Result<bool, Error> {
    let read = |text: &str| match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    };
    Ok(checked(config, name, "true or false", read)?.unwrap_or_default())
}

/// The value of `name` as `read` takes it; `None` when it is not set or empty.
fn checked<T>(
    config: &Config,
    name: &'static str,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Error> {
    let Some(Setting { value, source }) =
        config.get(name).filter(|setting| !setting.value.is_empty())
    else {
        return Ok(None);
    };
    match read(&value) {
        Some(read) => Ok(Some(read)),
        None => Err(Error::Invalid {
            name,
            value,
            origin: source,
            expected,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn settings(text: &str) -> Result<Settings, Error> {
        let environment = Environment::from([("HOME", "/root"), ("MYSQL_USER", "backup")]);
        Settings::new(&Config::parse(
            text.as_bytes(),
            Path::new("/c"),
            environment,
        )?)
    }

    #[test]
    fn paths_come_from_the_root_of_the_server() {
        let settings = settings("MAILSERVER_ROOT=/srv/mail\nSSL_DIR=/etc/tls").unwrap();
        let check = |path: &Path, expected: &str| assert_eq!(path, Path::new(expected));
        check(&settings.backup_root, "/mnt/backup-hdd/mailserver");
        check(&settings.mail_data_dir, "/srv/mail/data/mail");
        check(&settings.config_dir, "/srv/mail/config");
        check(&settings.ssl_dir.unwrap(), "/etc/tls");
        check(&settings.dkim_dir.unwrap(), "/srv/mail/config/opendkim");
        check(
            &settings.docker_compose_file.unwrap(),
            "/srv/mail/docker-compose.yml",
        );
        check(&settings.env_file.unwrap(), "/srv/mail/.env");
        check(&settings.mysql.config_file.unwrap(), "/root/.my.cnf");
    }

    #[test]
    fn parts_that_the_server_does_not_have_are_said_to_be_none() {
        for none in ["", "none", "NONE", "' '"] {
            let text = format!(
                "DKIM_DIR={none}\nSSL_DIR={none}\nDOCKER_COMPOSE_FILE={none}\nENV_FILE={none}"
            );
            let settings = settings(&text).unwrap();
            let parts = [
                &settings.dkim_dir,
                &settings.ssl_dir,
                &settings.docker_compose_file,
                &settings.env_file,
            ];
            assert_eq!(parts, [&None; 4], "{none:?}");
            let wanted = [Component::Mailboxes, Component::Mysql, Component::Config];
            assert_eq!(settings.wanted_components(), wanted, "{none:?}");
        }
    }

    #[test]
    fn components_are_named_with_blanks_or_commas_between_them() {
        use Component::{Config, Dkim, Mailboxes, Mysql, Ssl};
        let check = |text: &str, expected: &[Component]| {
            let settings = settings(&format!("BACKUP_COMPONENTS='{text}'")).unwrap();
            assert_eq!(settings.backup_components, expected, "{text:?}");
        };
        check("mailboxes,config,ssl", &[Mailboxes, Config, Ssl]);
        check("ssl config  mailboxes", &[Mailboxes, Config, Ssl]);
        check(" config , mail,\tCONFIG,", &[Mailboxes, Config]);
        check("MAILBOXES", &[Mailboxes]);
        for all in ["", " ", ",", "all", "All", "dkim all"] {
            check(all, &[Mailboxes, Mysql, Config, Ssl, Dkim]);
        }
        let unset = settings("").unwrap();
        assert_eq!(unset.backup_components, Component::ALL);
        assert_eq!(unset.wanted_components(), Component::ALL);
    }

    #[test]
    fn an_unknown_component_is_named_with_what_was_meant() {
        let check = |text: &str, expected: &str| {
            let error = settings(&format!("\nBACKUP_COMPONENTS='{text}'")).unwrap_err();
            let list = "use mailboxes (or mail), mysql, config, ssl, dkim or all";
            assert_eq!(
                crate::report::chain(&error),
                format!("BACKUP_COMPONENTS={text:?} (/c line 2): {expected}: {list}")
            );
        };
        check(
            "config,mailboxs",
            r#"no component "mailboxs", perhaps mailboxes"#,
        );
        check("MYSQLD", r#"no component "mysqld", perhaps mysql"#);
        check("none", r#"no component "none""#);
        check("mailboxes;config", r#"no component "mailboxes;config""#);
    }

    #[test]
    fn values_are_read() {
        let settings = settings(
            "MYSQL_DATABASES='a, b\tc'\nMYSQL_PORT=3307\n\
             DAILY_RETENTION_DAYS=7\nNOTIFICATION_ON_SUCCESS=Yes",
        )
        .unwrap();
        assert_eq!(settings.mysql.databases, ["a", "b", "c"]);
        assert_eq!(
            (settings.mysql.port, settings.mysql.user.as_deref()),
            (Some(3307), Some("backup"))
        );
        assert_eq!(
            (
                settings.daily_retention_days,
                settings.weekly_retention_weeks
            ),
            (7, 12)
        );
        assert!(settings.notification_on_success && settings.notification_on_failure);
        assert_eq!(settings.weekly_sets, WeeklySets::Independent);
    }

    #[test]
    fn weekly_sets_are_independent_or_shared() {
        let read = |text| settings(text).unwrap().weekly_sets;
        assert_eq!(read("WEEKLY_SETS=Shared"), WeeklySets::Shared);
        assert_eq!(read("WEEKLY_SETS=independent"), WeeklySets::Independent);
        assert_eq!(read("WEEKLY_SETS="), WeeklySets::Independent);
    }

    #[test]
    fn mailboxes_lie_where_the_settings_say() {
        let levels = |text| settings(text).unwrap().mailbox_depth.levels();
        assert_eq!(levels(""), 2);
        assert_eq!(levels("MAILBOX_DEPTH="), 2);
        assert_eq!(levels("MAILBOX_DEPTH=1"), 1);
        assert_eq!(levels("MAILBOX_DEPTH='{domain}/a/b/c/{user}/Maildir'"), 5);
    }

    #[test]
    fn further_directories_are_whole_paths() {
        let read = |text: &str| settings(&format!("EXTRA_DIRS='{text}'")).map(|it| it.extra_dirs);
        assert_eq!(read("").unwrap(), [] as [PathBuf; 0]);
        let two = [Path::new("/etc/dovecot"), Path::new("/etc/postfix")];
        assert_eq!(
            read("/etc/postfix/ /etc//dovecot, /etc/postfix").unwrap(),
            two
        );
        for wrong in [
            "etc/postfix",
            "/etc/../root",
            "/",
            "/etc/a.tar.zst",
            "/opt",
            "/opt/onprem-infra-system/project-root-infra/services/mailserver/config/",
            "/etc /opt/onprem-infra-system/project-root-infra/services/mailserver/data/mail",
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(
                error.contains("whole paths of directories"),
                "{wrong}: {error}"
            );
        }
        let settings = settings("EXCLUDE='*.log  cache/'").unwrap();
        assert_eq!(settings.exclude, ["*.log", "cache/"]);
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line() {
        let check = |text: &str, expected: &str| {
            assert_eq!(settings(text).unwrap_err().to_string(), expected);
        };
        let whole = "not a whole number from 1 to 36500";
        check(
            "\nDAILY_RETENTION_DAYS=0",
            &format!("DAILY_RETENTION_DAYS=\"0\" (/c line 2): {whole}"),
        );
        check(
            "WEEKLY_RETENTION_WEEKS=-1",
            &format!("WEEKLY_RETENTION_WEEKS=\"-1\" (/c line 1): {whole}"),
        );
        check(
            "MYSQL_PORT=70000",
            "MYSQL_PORT=\"70000\" (/c line 1): not a port from 1 to 65535",
        );
        check(
            "WEEKLY_SETS=linked",
            "WEEKLY_SETS=\"linked\" (/c line 1): not independent or shared",
        );
        check(
            "MAILBOX_DEPTH=deep",
            "MAILBOX_DEPTH=\"deep\" (/c line 1): not a whole number from 0 to 16, or a path below \
             MAIL_DATA_DIR such as {domain}/{user}/Maildir",
        );
        check(
            "NOTIFICATION_ON_FAILURE=maybe",
            "NOTIFICATION_ON_FAILURE=\"maybe\" (/c line 1): not true or false",
        );
    }
}
