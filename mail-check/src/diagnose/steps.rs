//! What is looked at, in the order of an operating guide: from the ground up, and mail as it flows.

use super::scenario::Scenario;
use crate::finding::{Finding, NOT_CONFIGURED};
use crate::group::Group;

/// Something to look at.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) what: &'static str,
    pub(super) subject: Subject,
    /// Names of findings.
    names: &'static [&'static str],
    /// One of these is in the target; none: all targets.
    targets: &'static [&'static str],
    /// How to look at it without this tool.
    by_hand: &'static str,
}

/// Who finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Group(Group),
    DkimKeys,
}

impl Step {
    pub(super) fn is_about(&self, finding: &Finding) -> bool {
        let target = finding.target.to_ascii_lowercase();
        self.names.contains(&&*finding.name)
            && (self.targets.is_empty() || self.targets.iter().any(|part| target.contains(part)))
    }

    /// It is unknown, never read as ok.
    pub(super) fn not_made(&self) -> Finding {
        let Self { what, by_hand, .. } = self;
        let section = match self.subject {
            Subject::Group(group) => group.name(),
            Subject::DkimKeys => "DKIM_DIR",
        };
        let message = format!(
            "{what}: not checked, since {section} says nothing of it; look by hand: {by_hand}"
        );
        Finding::unknown(self.names[0], NOT_CONFIGURED, message)
    }
}

pub(super) fn of(scenario: Scenario) -> &'static [Step] {
    match scenario {
        Scenario::Receive => &RECEIVE,
        Scenario::Send => &SEND,
        Scenario::Auth => &AUTH,
        Scenario::Container => &CONTAINER,
    }
}

const fn step(
    what: &'static str,
    group: Group,
    names: &'static [&'static str],
    targets: &'static [&'static str],
    by_hand: &'static str,
) -> Step {
    Step {
        what,
        subject: Subject::Group(group),
        names,
        targets,
        by_hand,
    }
}

const CERTIFICATES: Step = step(
    "certificates",
    Group::Tls,
    &["certificate"],
    &[],
    "openssl s_client -connect HOST:993 </dev/null | openssl x509 -noout -enddate",
);
const QUEUE: Step = step(
    "the queue and its reasons",
    Group::Services,
    &["queue"],
    &[],
    "postqueue -p",
);
const POSTFIX: Step = step(
    "Postfix's settings",
    Group::Services,
    &["postfix-config"],
    &[],
    "postconf myhostname mydomain relayhost",
);
const DOCKER: Step = step(
    "the Docker daemon",
    Group::Containers,
    &["docker"],
    &[],
    "systemctl status docker",
);

static RECEIVE: [Step; 11] = [
    step(
        "the containers of Postfix and Dovecot",
        Group::Containers,
        &["docker", "container"],
        &["docker", "postfix", "dovecot", "mail"],
        "docker compose ps",
    ),
    step(
        "disk space and inodes",
        Group::Resources,
        &["disk", "inodes"],
        &[],
        "df -h; df -i",
    ),
    step("SMTP", Group::Services, &["smtp"], &[], "nc -v HOST 25"),
    CERTIFICATES,
    POSTFIX,
    QUEUE,
    step(
        "delivery to Dovecot",
        Group::Services,
        &["lmtp"],
        &[],
        "doveadm service status lmtp",
    ),
    step(
        "ClamAV, without which the milter defers mail",
        Group::Services,
        &["clamd", "clamd-signatures"],
        &[],
        "clamdscan --ping 5",
    ),
    step(
        "Rspamd, without which the milter defers mail",
        Group::Services,
        &["http", "rspamd"],
        &["rspamd", ":1133"],
        "rspamadm control stat",
    ),
    step(
        "logs",
        Group::Logs,
        &["log", "log-bounced", "log-deferred", "log-lmtp-failures"],
        &[],
        "grep -E 'status=(bounced|deferred)' /var/log/mail.log | tail",
    ),
    step(
        "a message there and back",
        Group::Mailflow,
        &["mailflow"],
        &[],
        "send a message to yourself, and see it arrive",
    ),
];

static SEND: [Step; 8] = [
    step(
        "submission",
        Group::Services,
        &["submission", "smtps"],
        &[],
        "openssl s_client -starttls smtp -connect HOST:587",
    ),
    step(
        "logins that failed",
        Group::Logs,
        &["log", "log-auth-failures"],
        &[],
        "grep 'authentication failed' /var/log/mail.log | tail",
    ),
    POSTFIX,
    QUEUE,
    step(
        "why mail was deferred or bounced",
        Group::Logs,
        &["log-deferred", "log-bounced"],
        &[],
        "grep -E 'status=(bounced|deferred)' /var/log/mail.log | tail",
    ),
    CERTIFICATES,
    Step {
        what: "keys of DKIM",
        subject: Subject::DkimKeys,
        names: &["dkim-keys"],
        targets: &[],
        by_hand: "ls -l DKIM_DIR",
    },
    step(
        "disk space and inodes",
        Group::Resources,
        &["disk", "inodes"],
        &[],
        "df -h; df -i",
    ),
];

static AUTH: [Step; 4] = [
    step(
        "IMAP and submission",
        Group::Services,
        &["imap", "imaps", "submission", "smtps", "pop3", "pop3s"],
        &[],
        "openssl s_client -connect HOST:993",
    ),
    step(
        "the database of users",
        Group::Services,
        &["mysql", "mysql-connections"],
        &[],
        "mariadb-admin ping",
    ),
    step(
        "logins that failed, by address",
        Group::Logs,
        &["log", "log-auth-errors", "log-auth-failures"],
        &[],
        "grep 'auth failed' /var/log/mail.log | tail",
    ),
    step(
        "users and their mailboxes",
        Group::Users,
        &["user-mailboxes", "user-quota", "user-api"],
        &[],
        "doveadm user '*'; doveadm auth test USER",
    ),
];

static CONTAINER: [Step; 4] = [
    DOCKER,
    step(
        "each container",
        Group::Containers,
        &["container"],
        &[],
        "docker compose ps -a",
    ),
    step(
        "what containers take",
        Group::Containers,
        &["container-cpu", "container-memory"],
        &[],
        "docker stats --no-stream",
    ),
    step(
        "the machine",
        Group::Resources,
        &[
            "cpu",
            "memory",
            "swap",
            "load",
            "disk",
            "inodes",
            "disk-errors",
        ],
        &[],
        "uptime; free -m; df -h",
    ),
];
