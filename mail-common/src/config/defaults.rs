//! The names of all settings, and their defaults.

/// Every name that a tool looks up.
pub(super) const NAMES: [&str; 43] = [
    "BACKUP_ROOT",
    "BACKUP_MOUNTPOINT",
    "BACKUP_COMPONENTS",
    "MAILSERVER_ROOT",
    "MAIL_DATA_DIR",
    "MAILBOX_DEPTH",
    "CONFIG_DIR",
    "SSL_DIR",
    "DKIM_DIR",
    "DOCKER_COMPOSE_FILE",
    "ENV_FILE",
    "EXTRA_DIRS",
    "EXCLUDE",
    "MYSQL_HOST",
    "MYSQL_PORT",
    "MYSQL_SOCKET",
    "MYSQL_USER",
    "MYSQL_DATABASES",
    "MYSQL_CONFIG_FILE",
    "DAILY_RETENTION_DAYS",
    "HOURLY_RETENTION_HOURS",
    "WEEKLY_RETENTION_WEEKS",
    "WEEKLY_SETS",
    "BACKUP_PURGE_DAYS",
    "BACKUP_ALARM_SPOILED",
    "BACKUP_ALARM_LOSS_PERCENT",
    "BACKUP_NOTABLE_LOSS_PERCENT",
    "BACKUP_BUSY_MAILBOXES",
    "BACKUP_CANARY",
    "BACKUP_SIGNING_KEY",
    "ALLOWED_SIGNERS",
    "S3_BUCKET",
    "S3_PREFIX",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "CLAMD_ADDRESS",
    "SCAN_ENCRYPTED_MAIL",
    "ADMIN_EMAIL",
    "NOTIFICATION_ON_SUCCESS",
    "NOTIFICATION_ON_FAILURE",
    "HOME",
];

/// Parts that not every server has: set to nothing, they have no default.
pub(super) const OPTIONAL_PARTS: [&str; 4] =
    ["SSL_DIR", "DKIM_DIR", "DOCKER_COMPOSE_FILE", "ENV_FILE"];

const MAILSERVER_ROOT: &str = "/opt/onprem-infra-system/project-root-infra/services/mailserver";

/// The default of `name`, where it has one. Some are below MAILSERVER_ROOT, which is asked for
/// then.
pub(super) fn default_of(
    name: &str,
    home: Option<&str>,
    server_root: impl Fn() -> Option<String>,
) -> Option<String> {
    let below_server = |path: &str| server_root().map(|root| format!("{root}/{path}"));
    match name {
        "BACKUP_ROOT" => Some("/mnt/backup-hdd/mailserver".to_owned()),
        "MAILSERVER_ROOT" => Some(MAILSERVER_ROOT.to_owned()),
        "MAIL_DATA_DIR" => below_server("data/mail"),
        "CONFIG_DIR" => below_server("config"),
        "SSL_DIR" => below_server("data/certbot"),
        "DKIM_DIR" => below_server("config/opendkim"),
        "DOCKER_COMPOSE_FILE" => below_server("docker-compose.yml"),
        "ENV_FILE" => below_server(".env"),
        "MYSQL_CONFIG_FILE" => home.map(|home| format!("{home}/.my.cnf")),
        "DAILY_RETENTION_DAYS" => Some("30".to_owned()),
        "HOURLY_RETENTION_HOURS" => Some("48".to_owned()),
        "WEEKLY_RETENTION_WEEKS" => Some("12".to_owned()),
        "BACKUP_PURGE_DAYS" => Some("90".to_owned()),
        "NOTIFICATION_ON_SUCCESS" => Some("false".to_owned()),
        "NOTIFICATION_ON_FAILURE" => Some("true".to_owned()),
        _ => None,
    }
}
