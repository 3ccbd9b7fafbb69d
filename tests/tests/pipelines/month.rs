//! A month of the crontab with the scripts swapped, under a clock that runs ahead: sets, retention,
//! the copy elsewhere, logs and alerts are as they should be, on good days and on bad ones.
#![expect(
    clippy::disallowed_methods,
    reason = "mail that is planted is not a stored file"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use jiff::ToSpan;
use jiff::civil::{Date, Weekday, date};
use jiff::tz::TimeZone;
use mail_tests::clamd::eicar;
use mail_tests::host::{Host, ended_with};
use mail_tests::maildir::{DayPlan, age};
use mail_tests::s3::S3Server;
use mail_tests::set::assert_checksums;

const BUCKET: &str = "month";
const FIRST: Date = date(2027, 1, 1);
const DAYS: u32 = 31;
const KEPT_DAYS: i64 = 14;
/// The database is away for this night.
const NO_DATABASE: Date = date(2027, 1, 12);
/// The bucket cannot be reached this night.
const NO_BUCKET: Date = date(2027, 1, 16);
/// An infected message comes in on this day, and is removed on the next.
const INFECTED: Date = date(2027, 1, 20);

struct Month {
    host: Host,
    s3: S3Server,
}

fn after(days: u32) -> Date {
    FIRST
        .checked_add(i64::from(days).days())
        .expect("it is a date")
}

impl Month {
    fn new() -> Self {
        let s3 = S3Server::moto();
        s3.make_locked_bucket(BUCKET);
        let month = Self {
            host: Host::new(60),
            s3,
        };
        let records = month.host.server.dir().join("records");
        fs::create_dir(&records).expect("a directory can be made");
        month.host.configure(&[
            ("S3_BUCKET", BUCKET),
            ("S3_PREFIX", "mailserver"),
            ("ADMIN_EMAIL", "admin@example.net"),
            ("DAILY_RETENTION_DAYS", &KEPT_DAYS.to_string()),
            ("WEEKLY_RETENTION_WEEKS", "2"),
            ("RECORDS_DIR", records.to_str().expect("a path of ours")),
        ]);
        let sendmail = month.host.server.dir().join("sendmail");
        fs::write(
            &sendmail,
            format!(
                "#!/bin/bash\n{{ echo '=== '; cat; }} >>{}\n",
                month.mails_file().display()
            ),
        )
        .expect("it can be written");
        ended_with(Command::new("chmod").arg("755").arg(&sendmail), 0);
        let checks = format!(
            "[notify.mail]\nsendmail = \"{}\"\n[scans]\nrecords = \"{1}/scan.jsonl\"\n[s3]\nrecords = [\"{1}/push.jsonl\"]\n",
            sendmail.display(),
            records.display()
        );
        fs::write(month.host.config().with_file_name("check.toml"), checks)
            .expect("it can be written");
        month
    }

    fn mails_file(&self) -> PathBuf {
        self.host.server.dir().join("mails")
    }

    /// The subjects of the mails since the last question.
    fn mails(&self) -> Vec<String> {
        let text = fs::read_to_string(self.mails_file()).unwrap_or_default();
        let _ = fs::remove_file(self.mails_file());
        text.lines()
            .filter_map(|line| line.strip_prefix("Subject: "))
            .map(str::to_owned)
            .collect()
    }

    /// A line of the crontab, when its hour comes. Gives the exit status.
    fn at(&self, day: Date, hour: i8, script: &str, arguments: &[&str]) -> i32 {
        let time = format!("{day} {hour:02}:00:00");
        let mut command = self.host.bash(&format!(
            "exec faketime -f '@{time}' {script} {}",
            arguments.join(" ")
        ));
        command
            .envs(self.s3.environment())
            .env("TZ", "UTC")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        if day == NO_BUCKET {
            command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
        }
        let output = command.output().expect("bash starts");
        assert!(
            output.stdout.is_empty(),
            "{day} {script}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        output.status.code().expect("it ends by itself")
    }

    /// The night of a day, and its mails.
    fn night(&self, day: Date) -> (Vec<i32>, Vec<String>) {
        let mut codes = Vec::new();
        if day.weekday() == Weekday::Sunday {
            codes.push(self.at(day, 2, "backup-mailserver.sh", &["--weekly"]));
        }
        codes.push(self.at(day, 3, "backup-mailserver.sh", &["--daily"]));
        codes.push(self.at(
            day,
            4,
            "sync-to-s3.sh",
            &[
                "--lock-days",
                "30",
                "--lock-mode",
                "compliance",
                "--attempts",
                "1",
            ],
        ));
        codes.push(self.at(day, 5, "scan-before-restore.sh", &[&format!("daily/{day}")]));
        (codes, self.mails())
    }

    /// freshclam has run.
    fn signatures_are_of(&mut self, index: u32) {
        let time = TimeZone::UTC
            .to_timestamp(after(index).at(1, 0, 0, 0))
            .expect("it is a time");
        self.host.clamd.kill();
        self.host
            .clamd
            .date_signatures(30_000 + index, time.as_second());
        self.host.clamd.resume();
    }

    fn mail_comes_in(&self, day: u32) {
        age(&self.host.server.mail(), &DayPlan::new(day + 1, 7)).expect("a day can pass");
    }
}

#[test]
fn a_month_of_the_old_crontab_with_the_scripts_swapped() {
    let mut month = Month::new();
    let infected = month
        .host
        .server
        .mail()
        .join("example.com/alice/cur/1763900000.M7P7.mx:2,S");
    for index in 0..DAYS {
        let day = after(index);
        month.mail_comes_in(index);
        month.signatures_are_of(index);
        if day == NO_DATABASE {
            month.take_database_away();
        }
        if day == INFECTED {
            fs::write(&infected, eicar()).expect("mail comes in");
        }
        let (codes, mails) = month.night(day);
        let before = usize::from(day.weekday() == Weekday::Sunday);
        let printed = format!(
            "{day}: {codes:?} {mails:#?}\n{}",
            month.host.log(".mailserver-backup.log")
        );
        match day {
            NO_DATABASE => {
                // A part failed; there is no set of today to send or to scan, and people are
                // notified.
                assert_eq!(codes[before..], [1, 2, 2], "{printed}");
                assert!(!mails.is_empty(), "{printed}");
                month.bring_database_back();
            }
            NO_BUCKET => {
                assert_eq!(codes[before..], [0, 3, 0], "{printed}");
                assert!(!mails.is_empty(), "{printed}");
            }
            INFECTED => {
                assert_eq!(codes[before..], [0, 0, 1], "{printed}");
                assert!(!mails.is_empty(), "{printed}");
                fs::remove_file(&infected).expect("it is removed");
            }
            _ => {
                assert!(codes.iter().all(|code| *code == 0), "{printed}");
                let yesterday = day.yesterday().expect("it is a date");
                let is_recovery = [NO_DATABASE, NO_BUCKET, INFECTED].contains(&yesterday);
                assert_eq!(
                    mails.is_empty(),
                    !is_recovery,
                    "alerts are for changes: {printed}"
                );
            }
        }
    }
    month.assert_sets();
    month.assert_copy();
    month.assert_logs();
}

impl Month {
    /// Its socket is where nobody looks for it.
    fn take_database_away(&self) {
        let socket = self.host.database.socket();
        fs::rename(&socket, socket.with_extension("away")).expect("a socket can be renamed");
    }

    fn bring_database_back(&self) {
        let socket = self.host.database.socket();
        fs::rename(socket.with_extension("away"), &socket).expect("a socket can be renamed");
    }

    /// Two weeks of days but for the one that failed and was removed with its age, and the weeks.
    fn assert_sets(&self) {
        let kept = (0..DAYS).map(after);
        let oldest = after(DAYS - 1)
            .checked_sub(KEPT_DAYS.days())
            .expect("it is a date");
        let expected: Vec<String> = kept
            .filter(|day| *day >= oldest && *day != NO_DATABASE)
            .map(|day| day.to_string())
            .collect();
        assert_eq!(self.host.server.daily_names(), expected);
        for day in &expected {
            assert_checksums(&self.host.server.daily(day));
        }
        assert!(
            self.host
                .server
                .latest()
                .ends_with(format!("daily/{}", after(DAYS - 1)))
        );
    }

    /// Every day but two is in the bucket, and every week, whole; nothing was ever deleted there.
    fn assert_copy(&self) {
        let list = ended_with(
            self.host
                .bash("mail-s3sync list --config $S3_CONFIG_FILE --format jsonl -q")
                .envs(self.s3.environment()),
            0,
        );
        let text = String::from_utf8_lossy(&list.stdout);
        let sets: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("a record"))
            .collect();
        let sets: Vec<&serde_json::Value> = sets
            .iter()
            .filter(|record| record["type"] == "set")
            .collect();
        let count = |kind: &str| {
            let names = sets.iter().filter_map(|set| set["data"]["set"].as_str());
            names.filter(|name| name.starts_with(kind)).count()
        };
        assert_eq!(count("daily/"), DAYS as usize - 2, "{text}");
        assert_eq!(count("weekly/"), 5, "{text}");
        assert!(
            sets.iter().all(|set| set["data"]["complete"] == true),
            "{text}"
        );
    }

    fn assert_logs(&self) {
        let count = |log: &str, words: &str| self.host.log(log).matches(words).count() as u32;
        let sundays = 5;
        assert_eq!(
            count(".mailserver-backup.log", "[INFO] [BACKUP] done"),
            DAYS - 1 + sundays
        );
        assert_eq!(
            count(
                ".mailserver-backup.log",
                "[ERROR] [BACKUP] ended with status 1"
            ),
            1
        );
        assert_eq!(count(".s3-backup-cron.log", "[INFO] [S3] done"), DAYS - 2);
        assert_eq!(count(".scan-cron.log", "[INFO] [SCAN] done"), DAYS - 2);
    }
}
