//! What runs by night, as files: systemd's units, the crontab, the rotation of logs, and the
//! configuration that they read.
#![expect(
    clippy::disallowed_methods,
    reason = "logs and configurations of a test are not stored files"
)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mail_tests::run::{Tool, binary, repository};
use tempfile::TempDir;

fn text(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap_or_else(|e| panic!("read {name}: {e}"))
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// The tools and units, installed below a directory.
fn installed(dir: &TempDir) -> PathBuf {
    let prefix = dir.path().join("opt");
    let tools = binary("mail-backup");
    let bin_dir = tools.parent().expect("a program lies in a directory");
    let install = Tool::script("install")
        .arg("--prefix")
        .arg(&prefix)
        .arg("--bin-dir")
        .arg(bin_dir);
    let _ = install.arg("--with-systemd").run().assert_code(0);
    prefix
}

fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .expect("it can be listed")
        .map(|entry| entry.expect("it can be listed").path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .collect();
    files.sort();
    files
}

/// What `systemd-analyze verify` says of units, which is nothing when all is well; its exit code is
/// 0 either way.
fn verify(units: &Path) -> String {
    let mut command = Command::new("systemd-analyze");
    command
        .args(["verify", "--man=no"])
        .args(files(units, ".service"))
        .args(files(units, ".timer"));
    let output = command.output().expect("systemd-analyze runs");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The lines of settings of a unit and of what all of its kind have in common.
fn settings(unit: &str, common: &str) -> Vec<String> {
    let both =
        text(&format!("scripts/systemd/{unit}")) + &text(&format!("scripts/systemd/{common}"));
    both.lines()
        .filter(|line| !line.starts_with('#') && line.contains('='))
        .map(str::to_owned)
        .collect()
}

#[test]
fn systemd_understands_every_unit() {
    let dir = temporary();
    let units = installed(&dir).join("lib/systemd/system");
    assert_eq!(verify(&units), "");
    let timers = files(&units, ".timer");
    assert_eq!(timers.len(), 9);
    for timer in timers {
        assert!(
            timer.with_extension("service").is_file(),
            "{} starts nothing",
            timer.display()
        );
    }
    // And would say so: a program that is not there, and a setting that is none, in a file of
    // settings in common.
    let common = units.join("mail-check-.service.d/common.conf");
    fs::write(
        &common,
        format!(
            "{}\nNicer=1\n",
            fs::read_to_string(&common).expect("it is there")
        ),
    )
    .expect("it is ours");
    assert!(verify(&units).contains("Unknown key 'Nicer'"));
}

#[test]
fn units_have_the_hours_of_the_crontab_and_reach_for_little() {
    for (timer, hour) in [
        ("mail-backup-daily", "*-*-* 03:00"),
        ("mail-backup-weekly", "Sun *-*-* 02:00"),
        ("mail-s3sync", "*-*-* 04:00"),
        ("mail-scan", "*-*-* 05:00"),
    ] {
        let timer = text(&format!("scripts/systemd/{timer}.timer"));
        assert!(
            timer.contains(&format!("OnCalendar={hour}\n")) && timer.contains("Persistent=true"),
            "{timer}"
        );
    }
    let dir = temporary();
    let units = installed(&dir).join("lib/systemd/system");
    // In tenths, as systemd 252 counts.
    for (unit, most) in [
        ("mail-backup-daily", 30),
        ("mail-backup-hourly", 30),
        ("mail-s3sync", 30),
        ("mail-scan", 30),
        ("mail-check-server", 40),
    ] {
        let mut command = Command::new("systemd-analyze");
        command.args([
            "security",
            "--offline=yes",
            "--no-pager",
            &format!("--threshold={most}"),
        ]);
        let output = command
            .arg(units.join(format!("{unit}.service")))
            .output()
            .expect("systemd-analyze runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

/// systemd binds each writable path onto itself, which makes a mount point of it. The backup's own
/// question, whether its disk is mounted, would always be answered by yes.
#[test]
fn no_unit_makes_a_mount_point_of_the_backup_disk() {
    let config = text("scripts/config.example");
    let disk = config.lines().find_map(|line| {
        line.trim_start_matches('#')
            .strip_prefix("BACKUP_MOUNTPOINT=")
    });
    let disk = Path::new(disk.expect("the example names a disk"));
    let all = settings(
        "mail-backup-daily.service",
        "mail-backup-.service.d/common.conf",
    );
    let writable: Vec<&str> = all
        .iter()
        .filter_map(|line| line.strip_prefix("ReadWritePaths=-"))
        .flat_map(str::split_whitespace)
        .collect();
    assert!(
        writable.iter().any(|path| disk.starts_with(path)),
        "{writable:?}"
    );
    assert!(
        !writable
            .iter()
            .any(|path| Path::new(path).starts_with(disk)),
        "{writable:?}"
    );
}

/// sendmail and postqueue are setgid programs.
#[test]
fn the_units_that_alert_can_run_sendmail() {
    let all = settings(
        "mail-check-server.service",
        "mail-check-.service.d/common.conf",
    );
    for forbidden in ["NoNewPrivileges=", "RestrictSUIDSGID=", "ReadOnlyPaths="] {
        assert!(
            !all.iter().any(|line| line.starts_with(forbidden)),
            "{forbidden}"
        );
    }
    assert!(all.contains(&"ReadWritePaths=/var".to_owned()));
}

/// Two templates, since systemd does not say how a unit ended to one that both settings start.
#[test]
fn the_end_of_each_night_job_is_reported() {
    let backup = "mail-backup-.service.d/common.conf";
    for (unit, common) in [
        ("mail-backup-daily.service", backup),
        ("mail-backup-weekly.service", backup),
        ("mail-s3sync.service", "mail-s3sync.service"),
        ("mail-scan.service", "mail-scan.service"),
    ] {
        let all = settings(unit, common);
        for (setting, word) in [("OnFailure", "failed"), ("OnSuccess", "well")] {
            assert!(
                all.contains(&format!("{setting}=mail-check-{word}@%N.service")),
                "{unit}: {setting}"
            );
            let template = text(&format!("scripts/systemd/mail-check-{word}@.service"));
            assert!(
                template.contains(&format!("report-unit {word} %i\n")),
                "{template}"
            );
        }
    }
}

/// The end of a unit, reported by mail-check through a sendmail that keeps what it gets.
struct Reports {
    dir: TempDir,
    script: PathBuf,
}

impl Reports {
    fn new() -> Self {
        let dir = temporary();
        let prefix = installed(&dir);
        let sendmail = dir.path().join("sendmail");
        fs::write(
            &sendmail,
            format!("#!/bin/sh\ncat >>{}\n", dir.path().join("sent").display()),
        )
        .expect("it is ours");
        fs::set_permissions(&sendmail, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let checks = format!(
            "[notify.mail]\nto = [\"root@example.com\"]\nsendmail = \"{}\"\n",
            sendmail.display()
        );
        fs::write(dir.path().join("check.toml"), checks).expect("it is ours");
        // The state and the file of checks are those of root by default; the report takes none of
        // its own.
        let tool = prefix.join("bin/mail-check");
        let real = dir.path().join("mail-check");
        fs::rename(&tool, &real).expect("it is ours");
        let (checks, state) = (dir.path().join("check.toml"), dir.path().join("state"));
        let wrapper = format!(
            "#!/bin/sh\nexec {} --checks {} --state {} \"$@\"\n",
            real.display(),
            checks.display(),
            state.display()
        );
        fs::write(&tool, wrapper).expect("it is ours");
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let script = prefix.join("lib/mail-tools/report-unit");
        Self { dir, script }
    }

    /// What was mailed because of this end.
    #[track_caller]
    fn notify(&self, args: &[&str], code: i32) -> String {
        let sent = self.dir.path().join("sent");
        fs::write(&sent, "").expect("it is ours");
        let tool = Tool::program(&self.script).args(args);
        let _ = tool
            .env("MONITOR_SERVICE_RESULT", "exit-code")
            .env("MONITOR_EXIT_STATUS", "3")
            .run()
            .assert_code(code);
        fs::read_to_string(sent).expect("it is there")
    }
}

#[test]
fn a_failed_unit_is_notified_once_and_so_is_its_recovery() {
    let reports = Reports::new();
    assert_eq!(reports.notify(&["well", "mail-scan"], 0), "");
    let failed = reports.notify(&["failed", "mail-scan"], 2);
    assert!(
        failed.contains("CRITICAL") && failed.contains("exit-code 3; see: journalctl -u mail-scan"),
        "{failed}"
    );
    assert_eq!(
        reports.notify(&["failed", "mail-scan"], 2),
        "",
        "it is known"
    );
    let well = reports.notify(&["well", "mail-scan"], 0);
    assert!(well.contains("recovered"), "{well}");
    assert_eq!(reports.notify(&["well"], 2), "");
    assert_eq!(reports.notify(&["perhaps", "mail-scan"], 2), "");
}

/// The jobs of a crontab with a column for the user: their five fields and their command.
fn jobs(crontab: &str) -> Vec<(Vec<String>, String)> {
    let lines = crontab
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let is_setting = |line: &&str| {
        line.split_once('=')
            .is_some_and(|(name, _)| name.chars().all(char::is_uppercase))
    };
    lines
        .filter(|line| !is_setting(line))
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(words[5], "root", "{line}");
            (
                words[..5].iter().map(|&word| word.to_owned()).collect(),
                words[6..].join(" "),
            )
        })
        .collect()
}

/// A field of crontab(5) as far as ours use it: `*`, `*/N`, N or N-M, within its limits.
fn is_field(field: &str, (least, most): (u32, u32)) -> bool {
    let number = |text: &str| {
        text.parse()
            .is_ok_and(|number: u32| (least..=most).contains(&number))
    };
    match field.strip_prefix('*') {
        Some("") => true,
        Some(step) => step
            .strip_prefix('/')
            .is_some_and(|step| step.parse().is_ok_and(|step: u32| step > 0)),
        None => field.split('-').all(number) && field.split('-').count() <= 2,
    }
}

#[test]
fn the_crontab_is_one_and_keeps_the_old_hours() {
    let jobs = jobs(&text("scripts/crontab.example"));
    for (fields, command) in &jobs {
        for (field, limits) in fields
            .iter()
            .zip([(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)])
        {
            assert!(is_field(field, limits), "{field} of {fields:?}");
        }
        // An unquoted % is a newline to cron.
        assert!(
            command.starts_with("/usr/local/") && !command.contains('%'),
            "{command}"
        );
        assert!(
            command.ends_with(">/dev/null"),
            "{command}: cron would mail its records each time"
        );
    }
    let hours = |part: &str| -> Vec<String> {
        let named = jobs.iter().filter(|(_, command)| command.contains(part));
        named.map(|(fields, _)| fields.join(" ")).collect()
    };
    assert_eq!(
        hours("backup-mailserver.sh --daily"),
        ["0 3 * * 1-6", "0 2 * * 0"]
    );
    assert_eq!(hours("backup-mailserver.sh --weekly"), ["0 2 * * 0"]);
    assert_eq!(hours("sync-to-s3.sh"), ["0 4 * * *"]);
    assert_eq!(hours("scan-before-restore.sh"), ["0 5 * * *"]);
}

#[test]
fn crontab_units_and_the_guide_of_mail_check_make_the_same_checks() {
    let checks = |text: &str| -> BTreeSet<String> {
        let commands = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once("/bin/mail-check "));
        commands
            .filter_map(|(_, arguments)| arguments.split_once(" --notify -q"))
            .map(|(checks, _)| checks.to_owned())
            .collect()
    };
    let expected = checks(&text("mail-check/README.md"));
    assert_eq!(expected.len(), 4);
    assert_eq!(checks(&text("scripts/crontab.example")), expected);
    let units: String = files(&repository().join("scripts/systemd"), ".service")
        .iter()
        .map(|unit| fs::read_to_string(unit).expect("it can be read"))
        .collect();
    assert_eq!(checks(&units), expected);
}

/// logrotate with the logs of root in another place.
fn logrotate(home: &Path, flag: &str) -> Output {
    let conf = home.join("logrotate.conf");
    let config = text("scripts/logrotate.conf").replace("/root/", &format!("{}/", home.display()));
    fs::write(&conf, config).expect("it is ours");
    let mut command = Command::new("/usr/sbin/logrotate");
    command
        .arg(flag)
        .arg("--state")
        .arg(home.join("state"))
        .arg(conf);
    command.output().expect("logrotate runs")
}

#[test]
fn logs_are_rotated_compressed_a_day_later_and_kept_for_thirty_days() {
    let dir = temporary();
    let tried = logrotate(dir.path(), "-d");
    let printed = String::from_utf8_lossy(&tried.stderr);
    assert!(
        tried.status.success() && !printed.contains("error:"),
        "{printed}"
    );
    assert!(printed.contains("(30 rotations)"), "{printed}");
    let log = dir.path().join(".scan-cron.log");
    for day in 1..=3 {
        fs::write(
            &log,
            format!("[2026-11-0{day} 05:00:00] [INFO] [SCAN] day {day}\n"),
        )
        .expect("it is ours");
        let done = logrotate(dir.path(), "-f");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    let there = |name: &str| dir.path().join(format!(".scan-cron.log{name}"));
    assert_eq!(
        fs::read_to_string(there(".1")).expect("yesterday's is plain"),
        "[2026-11-03 05:00:00] [INFO] [SCAN] day 3\n"
    );
    let older = Command::new("zcat")
        .arg(there(".3.gz"))
        .output()
        .expect("zcat runs");
    assert!(String::from_utf8_lossy(&older.stdout).contains("day 1"));
    let new = fs::metadata(&log).expect("there is a new one");
    assert_eq!((new.len(), new.permissions().mode() & 0o777), (0, 0o600));
    assert!(!there(".2").exists() && there(".2.gz").exists());
}

/// The names that a text sets, whether or not the line is switched on.
fn names(text: &str) -> BTreeSet<String> {
    let set = text
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='));
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    set.map(|(name, _)| name.to_owned())
        .filter(|name| is_name(name))
        .collect()
}

#[test]
fn the_example_configuration_has_every_name_of_the_manual() {
    let manual = text("docs/manual.md");
    let table = manual
        .split("| name | flag | default |")
        .nth(1)
        .expect("the manual has a table of settings");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let documented: BTreeSet<String> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap_or_default().split([' ', ',']))
        .filter_map(|name| name.strip_prefix('`')?.strip_suffix('`'))
        .map(str::to_owned)
        .collect();
    assert!(documented.len() >= 17, "{documented:?}");
    let example = names(&text("scripts/config.example"));
    let missing: Vec<&String> = documented.difference(&example).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_tool_reads_the_example_configuration_with_every_line_switched_on() {
    let dir = temporary();
    let config = dir.path().join("config");
    let example = text("scripts/config.example");
    let switched_on: String = example
        .lines()
        .map(|line| if names(line).is_empty() { line.to_owned() } else { line.trim_start_matches('#').to_owned() } + "\n")
        .collect();
    let run = |content: &str, tool: &str, args: &[&str]| {
        fs::write(&config, content).expect("it is ours");
        Tool::new(tool)
            .arg("--config")
            .arg(&config)
            .args(args)
            .run()
            .stderr
    };
    let state = dir.path().to_str().expect("a temporary path is text");
    let runs: [(&str, &[&str]); 5] = [
        ("mail-backup", &["--dry-run"]),
        ("mail-restore", &["--from", "latest", "--dry-run"]),
        ("mail-scan", &["latest"]),
        ("mail-s3sync", &["usage", "--from", "file:///nowhere"]),
        ("mail-check", &["backups", "--state", state]),
    ];
    for (tool, args) in runs {
        // There is no such server here: what they say is of that, and not of the file.
        let printed = run(&switched_on, tool, args);
        assert!(
            !printed.contains("read configuration") && !printed.contains(": not "),
            "{tool}: {printed}"
        );
        let printed = run(&format!("{switched_on}BACKUP_ROOT=$(pwd)\n"), tool, args);
        assert!(
            printed.contains("read configuration"),
            "{tool} does not read it: {printed}"
        );
    }
}
