//! The night on which the mail is destroyed, from end to end: backup, copy and check as the crontab
//! has them, under a clock that runs through the days, and the way back that the guide describes.
#![expect(
    clippy::disallowed_methods,
    reason = "mail that is destroyed is not a stored file"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, ZonedDateTime};
use mail_tests::host::{Host, ended_with};
use mail_tests::maildir::{DayPlan, age};
use mail_tests::s3::S3Server;
use mail_tests::set::{SavedMessage, messages};
use serde_json::Value;

const BUCKET: &str = "night";
/// Nights before the attack, and after it.
const BEFORE: i64 = 2;
const AFTER: i64 = 3;

struct Site {
    host: Host,
    s3: S3Server,
}

impl Site {
    fn new() -> Self {
        let s3 = S3Server::moto();
        s3.make_locked_bucket(BUCKET);
        let site = Self {
            host: Host::new(60),
            s3,
        };
        site.host.configure(&[
            ("S3_BUCKET", BUCKET),
            ("S3_PREFIX", "mailserver"),
            ("S3_LOCK_MODE", "compliance"),
            ("S3_KEEP_DAILY", "10"),
            ("ADMIN_EMAIL", "admin@example.net"),
            ("DAILY_RETENTION_DAYS", "1"),
        ]);
        let dir = site.host.server.dir();
        let sendmail = dir.join("sendmail");
        fs::write(
            &sendmail,
            format!("#!/bin/sh\ncat >>{}/letters\n", dir.display()),
        )
        .expect("it can be written");
        fs::set_permissions(&sendmail, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let checks = format!("[notify.mail]\nsendmail = {sendmail:?}\n");
        fs::write(dir.join("etc/check.toml"), checks).expect("it can be written");
        // MariaDB and Dovecot of the drill are other users.
        fs::create_dir(dir.join("tmp")).expect("a directory can be made");
        for open in [dir, &dir.join("tmp")] {
            fs::set_permissions(open, fs::Permissions::from_mode(0o711)).expect("it is ours");
        }
        site
    }

    /// A command line as cron starts it, at that hour of that day.
    fn at(&self, day: Date, hour: u32, line: &str) -> Output {
        let time = format!("{day} {hour:02}:00:00");
        let mut command = self
            .host
            .bash(&format!("exec faketime -f '@{time}' {line}"));
        command.envs(self.s3.environment()).env("TZ", "UTC");
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command.output().expect("bash starts")
    }

    #[track_caller]
    fn well(&self, day: Date, hour: u32, line: &str) -> String {
        let output = self.at(day, hour, line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let log = self.host.log(".mailserver-backup.log");
        assert_eq!(
            output.status.code(),
            Some(0),
            "{day} {line}: {stderr}\n{log}"
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What `mail-check backups` finds of that name in the morning.
    fn check(&self, day: Date, name: &str) -> Value {
        self.check_at(day, 7, name)
    }

    /// Nothing is left of the alarm.
    #[track_caller]
    fn is_calm(&self, day: Date, hour: u32) {
        for name in ["backup-alarm", "backup-changes"] {
            let found = self.check_at(day, hour, name);
            assert_eq!(found["status"], "ok", "{found}");
        }
    }

    fn check_at(&self, day: Date, hour: u32, name: &str) -> Value {
        let dir = self.host.server.dir().display();
        let line = format!(
            "mail-check backups --notify -q --format jsonl --config {dir}/etc/config \
             --checks {dir}/etc/check.toml --state {dir}/state --prometheus {dir}/metrics \
             --report {dir}/page.html"
        );
        let output = self.at(day, hour, &line);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let records = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut checks = records.map(|record| record["data"].clone());
        let found = checks.find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)))
    }

    fn night(&self, day: Date) {
        self.well(day, 3, "backup-mailserver.sh --daily");
        self.well(day, 4, "sync-to-s3.sh");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.host.server.dir().join(name)).unwrap_or_default()
    }

    fn mail(&self) -> Vec<SavedMessage> {
        messages(&self.host.server.mail())
    }

    /// Until when the copy of a set is locked.
    fn locked_until(&self, day: Date) -> String {
        let key = format!("mailserver/daily/{day}/checksums.sha256");
        let head = [
            "s3api",
            "head-object",
            "--output",
            "json",
            "--bucket",
            BUCKET,
        ];
        let head = self.s3.aws_ok(&[&head[..], &["--key", &key]].concat());
        let head: Value = serde_json::from_str(&head).expect("it is JSON");
        let until = head["ObjectLockRetainUntilDate"].as_str();
        until.unwrap_or_else(|| panic!("{head}")).to_owned()
    }

    /// Every message is overwritten under its name, time and size kept.
    fn destroy_mail(&self) {
        for message in self.mail() {
            let path = self.host.server.mail().join(message.path);
            let found = fs::metadata(&path).expect("it is there");
            let length = usize::try_from(found.len()).expect("it is short");
            let ruin = noise(length);
            fs::write(&path, ruin).expect("root overwrites what it likes");
            let file = fs::File::options().write(true).open(&path);
            let time = found.modified().expect("it has a time");
            file.and_then(|file| file.set_modified(time))
                .expect("it is ours");
        }
    }
}

/// What no header begins with, and nothing makes smaller: encrypted.
fn noise(length: usize) -> Vec<u8> {
    let mut state = length as u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let mut bytes: Vec<u8> = (0..length).map(|_| next()).collect();
    if let Some(first) = bytes.first_mut() {
        *first |= 0x80;
    }
    bytes
}

fn after(first: Date, days: i64) -> Date {
    first.checked_add(days.days()).expect("it is a date")
}

#[test]
fn a_night_that_destroys_the_mail_costs_no_good_set_and_ends_when_somebody_has_looked() {
    let site = Site::new();
    let today = ZonedDateTime::new(Timestamp::now(), TimeZone::UTC).date();
    let first = after(today, -(BEFORE + 1 + AFTER));
    for number in 0..BEFORE {
        let day = after(first, number);
        let plan = DayPlan::new(u32::try_from(number).expect("it is small") + 1, 7);
        age(&site.host.server.mail(), &plan).expect("a day can pass");
        site.night(day);
    }
    let good_day = after(first, BEFORE - 1);
    assert_eq!(site.check(good_day, "backup-alarm")["status"], "ok");
    let (good, locked) = (site.mail(), site.locked_until(good_day));
    let kept = site.host.server.daily_names();

    // The attack. The run says so by itself, and the next check wherever it can.
    let bad_day = after(first, BEFORE);
    let _ = fs::remove_file(site.host.server.dir().join("letters"));
    site.destroy_mail();
    site.night(bad_day);
    assert!(site.read("letters").contains(&format!("daily/{bad_day}")));
    let alarm = site.check(bad_day, "backup-alarm");
    assert_eq!(alarm["status"], "critical");
    let message = alarm["message"].as_str().expect("it says why");
    let last_good = format!("the last set from before it is daily/{good_day}");
    assert!(message.contains(&last_good), "{message}");
    assert!(site.read("page.html").contains(&last_good));
    let metrics = site.read("metrics");
    let metric = |line: &&str| line.contains("backup-alarm") && line.ends_with(" 2");
    assert!(metrics.lines().any(|line| metric(&line)), "{metrics}");
    assert!(site.host.server.root().join("HOLD").is_file());

    // Nobody looks: retention is a day, and takes nothing from before; nor do the locks end.
    for number in 1..=AFTER {
        site.night(after(bad_day, number));
    }
    let names = site.host.server.daily_names();
    assert!(
        kept.iter().all(|name| names.contains(name)),
        "{kept:?} {names:?}"
    );
    assert!(
        !names.contains(&after(bad_day, 1).to_string()),
        "the ruins go by age: {names:?}"
    );
    assert!(site.locked_until(good_day) > locked);

    // The drill takes the set from before, and so does the restore.
    let mut drill = site.host.script("drill");
    let drill = drill
        .env("TMPDIR", site.host.server.dir().join("tmp"))
        .env("RPO_HOURS", "1000");
    let said = ended_with(drill.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), 0);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains(&format!("daily/{good_day}")), "{said}");
    let config = format!("--config {}", site.host.config().display());
    let restore = format!("mail-restore {config} --from daily/{good_day} --component mailboxes -q");
    let yesterday = after(bad_day, AFTER);
    site.well(yesterday, 9, &restore);
    assert_eq!(site.mail(), good);

    // As the guide has it: a backup, then the word of whoever has looked, then another one, for the
    // day had a set of the ruins already.
    let backup = format!("mail-backup {config} -q");
    let output = site.at(yesterday, 10, &backup);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("is from before the alarm"), "{stderr}");
    let accept = format!("mail-backup {config} --accept 'restored' -q");
    site.well(yesterday, 11, &accept);
    site.well(yesterday, 12, &backup);
    let names = site.host.server.daily_names();
    assert!(names.contains(&yesterday.to_string()), "{names:?}");
    site.is_calm(yesterday, 13);
    site.night(today);
    site.is_calm(today, 7);
    site.well(today, 8, &format!("mail-backup {config} --prune-only -q"));
    let names = site.host.server.daily_names();
    assert!(
        !names.contains(&good_day.to_string()),
        "sets go by age again: {names:?}"
    );
    assert_eq!(site.check(today, "backup-alarm")["status"], "ok");
}
