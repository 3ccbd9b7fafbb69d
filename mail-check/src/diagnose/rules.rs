//! From findings to the likely cause: a table of rules, the most specific and the most fundamental
//! first.

use super::scenario::Scenario;
use crate::finding::Finding;
use crate::status::Status;

/// How soon the service has to be back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Critical,
    High,
    Medium,
    Low,
}

/// A cause, and the finding that gives it away.
#[derive(Clone, Copy, Debug)]
struct Rule {
    /// None: all.
    scenarios: &'static [Scenario],
    /// One of these is found,
    names: &'static [&'static str],
    when: When,
    /// and says one of these words (none: whatever it says).
    says: &'static [&'static str],
    /// `{target}` is that of the finding.
    cause: &'static str,
    level: Level,
    next: &'static str,
}

/// Which findings a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Critical,
    /// Warning or critical.
    Bad,
    /// It was asked for, and could not be had: a daemon that does not answer.
    Silent,
}

impl Level {
    fn words(self) -> &'static str {
        match self {
            Self::Critical => "Critical, recover within 1 hour",
            Self::High => "High, recover within 2 hours",
            Self::Medium => "Medium, recover within 4 hours",
            Self::Low => "Low, recover within 24 hours",
        }
    }

    fn status(self) -> Status {
        match self {
            Self::Critical | Self::High => Status::Critical,
            Self::Medium | Self::Low => Status::Warning,
        }
    }
}

impl Rule {
    fn explains(&self, scenario: Scenario, finding: &Finding) -> bool {
        let message = evidence(finding).to_lowercase();
        let is_so = match self.when {
            When::Critical => finding.status == Status::Critical,
            When::Bad => is_bad(finding),
            When::Silent => finding.status == Status::Unknown && !finding.is_not_configured(),
        };
        is_so
            && (self.scenarios.is_empty() || self.scenarios.contains(&scenario))
            && self.names.contains(&&*finding.name)
            && (self.says.is_empty() || self.says.iter().any(|words| message.contains(words)))
    }
}

/// What was seen, without the advice at the end of what logs tell: its words are no symptoms.
fn evidence(finding: &Finding) -> &str {
    match finding.message.rsplit_once("; ") {
        Some((seen, _)) if finding.name.starts_with("log-") => seen,
        _ => &finding.message,
    }
}

/// The likely cause, its level, and the next command.
pub(super) fn diagnose(scenario: Scenario, findings: &[Finding]) -> Finding {
    let explained = RULES
        .iter()
        .find_map(|rule| Some((rule, findings.iter().find(|f| rule.explains(scenario, f))?)));
    if let Some((rule, finding)) = explained {
        let Finding {
            name,
            target,
            message,
            ..
        } = finding;
        let filled = |text: &str| text.replace("{target}", target);
        return diagnosis(
            scenario,
            rule.level,
            &filled(rule.cause),
            &format!("{name} {target}: {message}"),
            &filled(rule.next),
        );
    }
    match findings
        .iter()
        .filter(|finding| is_bad(finding))
        .max_by_key(|finding| finding.status == Status::Critical)
    {
        Some(Finding {
            name,
            target,
            message,
            status,
            ..
        }) => {
            let level = if *status == Status::Critical {
                Level::High
            } else {
                Level::Medium
            };
            diagnosis(
                scenario,
                level,
                &format!("{name} of {target} is not as it should be"),
                message,
                by_hand(scenario),
            )
        }
        None => nothing_bad(scenario, findings),
    }
}

fn diagnosis(scenario: Scenario, level: Level, cause: &str, evidence: &str, next: &str) -> Finding {
    let message = format!(
        "likely cause: {cause} ({evidence}). Level: {}. Next: {next}",
        level.words()
    );
    Finding::new(level.status(), "diagnosis", scenario.name(), message)
}

fn nothing_bad(scenario: Scenario, findings: &[Finding]) -> Finding {
    let unknown: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.status == Status::Unknown)
        .map(|finding| &*finding.name)
        .collect();
    let next = by_hand(scenario);
    if unknown.is_empty() {
        return Finding::ok(
            "diagnosis",
            scenario.name(),
            format!("every step was made, and nothing is wrong. Look by hand: {next}"),
        );
    }
    let message = format!(
        "nothing wrong was found, but these could not be checked: {}. Look by hand: {next}",
        unknown.join(", ")
    );
    Finding::unknown("diagnosis", scenario.name(), message)
}

/// What cannot be seen from the server itself.
fn by_hand(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Receive => {
            "dig MX DOMAIN; from outside: nc -v HOST 25 (firewall, provider); \
             the sender's bounce message"
        }
        Scenario::Send => {
            "dig TXT DOMAIN (SPF), dig TXT SELECTOR._domainkey.DOMAIN; block lists; \
             the headers of a message that arrived"
        }
        Scenario::Auth => "doveadm auth test USER; the settings of the user's device",
        Scenario::Container => {
            "docker compose logs --tail 100 SERVICE; docker compose config --quiet"
        }
    }
}

fn is_bad(finding: &Finding) -> bool {
    matches!(finding.status, Status::Warning | Status::Critical)
}

const fn rule(
    names: &'static [&'static str],
    when: When,
    says: &'static [&'static str],
    cause: &'static str,
    level: Level,
    next: &'static str,
) -> Rule {
    Rule {
        scenarios: &[],
        names,
        when,
        says,
        cause,
        level,
        next,
    }
}

const fn only(scenarios: &'static [Scenario], rule: Rule) -> Rule {
    Rule { scenarios, ..rule }
}

const MAIL: &[Scenario] = &[Scenario::Receive, Scenario::Send];
const DELIVERY: &[&str] = &["log-lmtp-failures", "log-deferred", "queue", "mailflow"];
const OUTBOUND: &[&str] = &["log-deferred", "log-bounced", "queue"];

#[rustfmt::skip] // A table: when a rule holds, the cause, what to run next.
static RULES: &[Rule] = &[
    // What everything stands on.
    rule(&["disk", "inodes"], When::Critical, &[],
        "{target} is full: mail is neither taken nor stored", Level::Critical,
        "df -h {target}; du -xh {target} | sort -h | tail"),
    rule(DELIVERY, When::Bad, &["no space left", "insufficient system storage"],
        "the disk of the queue or of the mailboxes is full", Level::Critical,
        "df -h; df -i"),
    rule(&["disk-errors"], When::Critical, &[],
        "a disk is failing", Level::Critical,
        "dmesg --level err | tail; take a backup now"),
    rule(&["docker"], When::Critical, &[],
        "the Docker daemon does not run", Level::Critical,
        "systemctl status docker; systemctl restart docker"),
    rule(&["docker"], When::Silent, &[],
        "the Docker daemon does not answer", Level::Critical,
        "systemctl status docker; journalctl -u docker -n 50"),
    // Containers.
    rule(&["container"], When::Bad, &["memory", "oom"],
        "{target} was killed for lack of memory", Level::Critical,
        "docker stats --no-stream; raise its memory limit"),
    rule(&["container"], When::Bad, &["restart"],
        "{target} starts again and again", Level::Critical,
        "docker compose logs --tail 100 {target}"),
    rule(&["container"], When::Critical, &["unhealthy"],
        "{target} runs, but its health check fails", Level::High,
        "docker compose logs --tail 100 {target}; docker compose restart {target}"),
    rule(&["container"], When::Critical, &[],
        "{target} does not run", Level::Critical,
        "docker compose logs --tail 100 {target}; docker compose up -d {target}"),
    // What others depend on.
    rule(&["mysql"], When::Critical, &[],
        "the database does not answer, so users and domains cannot be looked up", Level::Critical,
        "docker compose logs --tail 100 mysql; mariadb-admin status"),
    rule(&["mysql-connections"], When::Critical, &[],
        "the database has no connection left", Level::High,
        "mariadb -e 'SHOW PROCESSLIST'"),
    only(MAIL, rule(DELIVERY, When::Bad,
        &["milter", "clamav", "clamd", "4.7.1 service unavailable"],
        "a milter (ClamAV or Rspamd) does not answer, so mail is deferred", Level::High,
        "docker compose ps clamav rspamd; then postqueue -f")),
    only(MAIL, rule(&["clamd"], When::Critical, &[],
        "ClamAV does not answer, and the milter defers mail without it", Level::High,
        "docker compose logs --tail 100 clamav; docker compose restart clamav; then postqueue -f")),
    only(MAIL, rule(&["http", "rspamd"], When::Critical, &[],
        "Rspamd does not answer, and the milter defers mail without it", Level::High,
        "docker compose logs --tail 100 rspamd; docker compose restart rspamd; then postqueue -f")),
    // Receiving.
    only(&[Scenario::Receive], rule(&["smtp"], When::Critical, &[],
        "Postfix does not take mail on {target}", Level::Critical,
        "postfix status; postfix check; docker compose restart postfix")),
    only(&[Scenario::Receive], rule(&["lmtp"], When::Critical, &[],
        "Dovecot does not take mail over LMTP", Level::Critical,
        "docker compose logs --tail 100 dovecot; docker compose restart dovecot; \
         then postqueue -f")),
    only(&[Scenario::Receive], rule(&["log-lmtp-failures"], When::Bad,
        &["quota", "mailbox is full"],
        "mailboxes are over their quota", Level::Medium,
        "doveadm quota get -A; then postqueue -f")),
    only(&[Scenario::Receive], rule(&["log-lmtp-failures"], When::Bad, &["permission denied"],
        "Dovecot may not write to mailboxes", Level::High,
        "ls -ln MAIL_DATA_DIR; chown -R the owner of mailboxes; then postqueue -f")),
    only(&[Scenario::Receive], rule(DELIVERY, When::Bad, &["lmtp", "private/dovecot"],
        "Postfix does not reach Dovecot, so mail waits in the queue", Level::Critical,
        "doveadm service status lmtp; docker compose restart dovecot; then postqueue -f")),
    only(&[Scenario::Receive], rule(&["log-lmtp-failures"], When::Bad, &[],
        "Dovecot could not store mail", Level::High,
        "doveadm log errors | tail; then postqueue -f")),
    // Sending.
    only(&[Scenario::Send], rule(&["submission", "smtps"], When::Critical, &[],
        "{target} takes no mail from users", Level::Critical,
        "postfix status; postconf -M submission/inet; docker compose restart postfix")),
    only(&[Scenario::Send], rule(&["postfix-config"], When::Bad, &["relayhost"],
        "relayhost is not as it should be, so mail takes a wrong way out", Level::High,
        "postconf relayhost; postconf -e relayhost=...; postfix reload; postqueue -f")),
    only(&[Scenario::Send], rule(OUTBOUND, When::Bad, &["sasl", "authentication"],
        "the relay does not accept our password", Level::High,
        "postconf smtp_sasl_password_maps; postmap the file again; postfix reload")),
    only(&[Scenario::Send], rule(OUTBOUND, When::Bad,
        &["host or domain name not found", "name service error"],
        "names cannot be resolved", Level::High,
        "cat /etc/resolv.conf; dig MX example.com")),
    only(&[Scenario::Send], rule(OUTBOUND, When::Bad,
        &["spamhaus", "blocked", "block list", "blacklist", "blocklist", "reputation"],
        "our address is on a block list", Level::High,
        "look our address up at the list that the message names; \
         look for a stolen account: postqueue -p")),
    only(&[Scenario::Send], rule(OUTBOUND, When::Bad, &["dkim", "dmarc", "spf"],
        "others refuse our mail for its signature or its sender policy", Level::High,
        "dig TXT DOMAIN; dig TXT SELECTOR._domainkey.DOMAIN")),
    only(&[Scenario::Send], rule(OUTBOUND, When::Bad,
        &["timed out", "connection refused", "no route to host", "network is unreachable"],
        "the way out is closed (port 25 blocked, relay down)", Level::High,
        "postconf relayhost; nc -vz RELAY 25 (or 587)")),
    only(&[Scenario::Send], rule(OUTBOUND, When::Bad, &["greylist", "graylist"],
        "others ask us to come again later, which is usual", Level::Low,
        "wait; postqueue -p")),
    // Logging in.
    only(&[Scenario::Auth], rule(&["imap", "imaps", "pop3", "pop3s"], When::Critical, &[],
        "Dovecot does not answer on {target}", Level::Critical,
        "doveadm service status; docker compose restart dovecot")),
    only(&[Scenario::Auth], rule(&["submission", "smtps"], When::Critical, &[],
        "Postfix does not take logins on {target}", Level::Critical,
        "postconf smtpd_sasl_path; docker compose restart postfix")),
    only(&[Scenario::Auth], rule(&["log-auth-errors"], When::Bad, &[],
        "the authentication server of Dovecot does not answer", Level::High,
        "doveadm service status auth; doveadm log errors | tail; \
         docker compose logs --tail 100 mysql")),
    only(&[Scenario::Auth], rule(&["log-auth-failures"], When::Bad, &[],
        "logins fail again and again: passwords are guessed, or a device has an old one",
        Level::Medium,
        "fail2ban-client status; doveadm auth test USER")),
    only(&[Scenario::Auth], rule(&["user-api", "user-mailboxes"], When::Bad, &[],
        "users in the database are not as the mailboxes are", Level::Medium,
        "doveadm user '*'")),
    // Everywhere.
    rule(&["certificate"], When::Critical, &[],
        "the certificate of {target} is refused by clients", Level::High,
        "certbot renew; postfix reload; doveadm reload"),
    rule(&["postfix-config"], When::Bad, &[],
        "Postfix's settings are not as they should be", Level::High,
        "postconf -n; postfix check"),
    rule(&["queue"], When::Bad, &[],
        "mail waits in the queue", Level::High,
        "postqueue -p; postqueue -f"),
    rule(&["mailflow"], When::Bad, &[],
        "mail is taken, but does not arrive in time", Level::High,
        "postqueue -p; grep status= /var/log/mail.log | tail"),
    rule(&["log-deferred"], When::Bad, &[],
        "deliveries are deferred", Level::Medium,
        "postqueue -p"),
    rule(&["log-bounced"], When::Bad, &[],
        "messages bounce", Level::Medium,
        "grep status=bounced /var/log/mail.log | tail"),
    rule(&["container-memory", "memory", "swap"], When::Bad, &[],
        "memory is short", Level::Medium,
        "docker stats --no-stream; free -m"),
    rule(&["container-cpu", "cpu", "load"], When::Bad, &[],
        "the processors are busy", Level::Medium,
        "docker stats --no-stream; top -b -n 1 | head -20"),
    rule(&["container"], When::Bad, &[],
        "{target} is not as it should be", Level::Medium,
        "docker inspect {target}; docker compose logs --tail 100 {target}"),
    rule(&["disk", "inodes"], When::Bad, &[],
        "{target} will be full", Level::Medium,
        "du -xh {target} | sort -h | tail"),
    rule(&["clamd-signatures"], When::Bad, &[],
        "the signatures of viruses are old", Level::Medium,
        "freshclam; docker compose logs --tail 100 clamav"),
    rule(&["dkim-keys"], When::Bad, &[],
        "mail goes out unsigned", Level::Medium,
        "ls -l {target}; opendkim-genkey -d DOMAIN"),
    rule(&["certificate"], When::Bad, &[],
        "the certificate of {target} ends soon or is not loaded", Level::Low,
        "certbot renew --dry-run; postfix reload; doveadm reload"),
    rule(&["log-auth-failures"], When::Bad, &[],
        "passwords are guessed", Level::Low,
        "fail2ban-client status"),
    rule(&["log"], When::Bad, &[],
        "a log is not as it should be, so it does not say why", Level::Low,
        "ls -l /var/log; logrotate --debug /etc/logrotate.conf"),
];

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
