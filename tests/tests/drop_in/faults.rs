//! What goes wrong at 3 in the morning: a tool that is missing, wrong flags, a stage that is
//! killed, cron's bare environment, two timers at once, a log that cannot be written. The exit
//! status and the log report it, and nothing is lost.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mail_tests::held::{HeldLock, SmallDisk};
use mail_tests::host::{Host, ended_with};
use mail_tests::tree::snapshot;
use rustix::process::{Pid, Signal, kill_process};

const LOGS: [(&str, &str, &str); 4] = [
    (
        "backup-mailserver.sh",
        "mail-backup",
        ".mailserver-backup.log",
    ),
    ("sync-to-s3.sh", "mail-s3sync", ".s3-backup-cron.log"),
    ("scan-before-restore.sh", "mail-scan", ".scan-cron.log"),
    (
        "restore-mailserver.sh",
        "mail-restore",
        ".mailserver-restore.log",
    ),
];

fn host() -> Host {
    let host = Host::new(40);
    let store = host.server.dir().join("offsite");
    fs::create_dir(&store).expect("a directory can be made");
    host.configure(&[("COMPOSE", "none"), ("CHECK_WAIT", "3")]);
    host
}

/// Puts a program of this text in the place of an installed tool.
fn replace_tool(host: &Host, tool: &str, script: &str) {
    let path = host.bin().join(tool);
    fs::remove_file(&path).expect("the tool is installed");
    fs::write(&path, format!("#!/bin/bash\n{script}\n")).expect("a program can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .expect("it can be made executable");
}

#[test]
fn a_tool_that_is_missing_is_named_and_nothing_is_touched() {
    for (script, tool, log) in LOGS {
        let host = host();
        fs::remove_file(host.bin().join(tool)).expect("the tool was installed");
        let before = snapshot(&host.server.mail());
        let output = ended_with(
            host.script(script).args(
                ["--from", "latest"]
                    .iter()
                    .filter(|_| tool == "mail-restore"),
            ),
            2,
        );
        let words = format!("{tool} is not installed, or not in PATH");
        assert!(String::from_utf8_lossy(&output.stderr).contains(&words));
        assert!(
            host.log(log).contains(&format!("] {words}")),
            "{}",
            host.log(log)
        );
        assert!(
            host.log(log)
                .contains("ended with status 2: wrong usage or configuration, nothing was touched")
        );
        before.assert_same(&snapshot(&host.server.mail()));
        assert!(!host.server.root().join("daily").exists());
    }
}

#[test]
fn a_restore_needs_its_scanner_and_its_checks_before_it_touches_anything() {
    for tool in ["mail-scan", "mail-check"] {
        let host = host();
        ended_with(&mut host.script("backup-mailserver.sh"), 0);
        fs::remove_file(host.bin().join(tool)).expect("the tool was installed");
        let before = snapshot(&host.server.mail());
        ended_with(
            host.script("restore-mailserver.sh")
                .args(["--from", "latest"]),
            2,
        );
        assert!(
            host.log(".mailserver-restore.log")
                .contains(&format!("{tool} is not installed"))
        );
        before.assert_same(&snapshot(&host.server.mail()));
    }
}

#[test]
fn alerts_that_nobody_can_send_are_missed_aloud() {
    let host = host();
    host.configure(&[("ADMIN_EMAIL", "admin@example.net")]);
    fs::remove_file(host.bin().join("mail-check")).expect("it was installed");
    let output = ended_with(&mut host.script("backup-mailserver.sh"), 0);
    assert!(String::from_utf8_lossy(&output.stderr).contains(
        "[WARN] [BACKUP] nobody is notified of how it went: mail-check is not installed"
    ));
}

#[test]
fn wrong_flags_touch_nothing_and_are_in_the_log() {
    let host = host();
    for (script, _, log) in LOGS {
        let mut command = host.script(script);
        if script.starts_with("restore") {
            ended_with(&mut host.script(script), 2);
            assert!(host.log(log).contains("--from SET is missing"));
            command.args(["--from", "latest"]);
        }
        ended_with(command.arg("--no-such-flag"), 2);
        assert!(
            host.log(log).contains("[ERROR]") && host.log(log).contains("--no-such-flag"),
            "{}",
            host.log(log)
        );
    }
    assert!(!host.server.root().join("daily").exists());
}

#[test]
fn help_is_the_head_of_the_script() {
    let host = host();
    for (script, ..) in LOGS {
        for flag in ["--help", "-h"] {
            let text = ended_with(host.script(script).arg(flag), 0);
            assert!(String::from_utf8_lossy(&text.stdout).contains(&format!("  {script} ")));
        }
    }
}

/// `[2026-11-25 03:00:01] [INFO] [BACKUP] message`, as the old scripts wrote and as people's own
/// scripts read.
#[test]
fn every_line_of_every_log_has_its_shape() {
    let host = host();
    ended_with(host.script("backup-mailserver.sh").arg("--daily"), 0);
    let store = format!("file://{}", host.server.dir().join("offsite").display());
    ended_with(host.script("sync-to-s3.sh").args(["--to", &store]), 0);
    ended_with(&mut host.script("scan-before-restore.sh"), 0);
    ended_with(
        host.script("restore-mailserver.sh")
            .args(["--from", "latest"]),
        0,
    );
    for (script, _, log) in LOGS {
        let text = host.log(log);
        assert!(text.lines().count() >= 3, "{script}: {text}");
        for line in text.lines() {
            let fields: Vec<&str> = line.splitn(5, ['[', ']']).collect();
            assert!(
                fields.len() == 5
                    && fields[0].is_empty()
                    && fields[1].len() == "2026-11-25 03:00:01".len(),
                "{line}"
            );
            let rest = fields[4].trim_start().split_once("] ").expect(line).0;
            assert!(["INFO", "WARN", "ERROR"].contains(&fields[3]), "{line}");
            assert!(
                ["[BACKUP", "[S3", "[SCAN", "[RESTORE", "[CHECK"].contains(&rest),
                "{line}"
            );
        }
        let mode = fs::metadata(host.home().join(log))
            .expect("the log is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "a log names users");
    }
}

#[test]
fn each_stage_that_is_killed_is_reported() {
    // (what is done instead of the tool, the status, what the log says)
    let cases = [
        ("kill -KILL $$", 137, "killed by signal 9"),
        ("kill -TERM $$", 143, "killed by signal 15"),
        (
            "echo '{\"type\":\"begin\"}'; exec 1>&-; exit 3",
            3,
            "could not finish",
        ),
    ];
    for (script, tool, log) in &LOGS[..3] {
        for (does, status, words) in cases {
            let host = host();
            replace_tool(&host, tool, does);
            ended_with(&mut host.script(script), status);
            assert!(
                host.log(log)
                    .contains(&format!("ended with status {status}: {words}")),
                "{}",
                host.log(log)
            );
        }
    }
    // The stage behind it: where the records go.
    let host = host();
    fs::write(host.bin().join("tee"), "#!/bin/bash\nkill -KILL $$\n")
        .expect("a program can be written");
    fs::set_permissions(host.bin().join("tee"), fs::Permissions::from_mode(0o755))
        .expect("it can be made executable");
    let mut command = host.script("backup-mailserver.sh");
    command.env("PATH", format!("{}:/usr/bin:/bin", host.bin().display()));
    let output = command.output().expect("the script starts");
    // The tool may be through before its reader is gone; the set is there and the log tells either
    // way.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    assert!(
        host.log(LOGS[0].2)
            .contains("[WARN] [BACKUP] the records could not be written")
    );
    assert_eq!(host.server.daily_names().len(), 1);
}

#[test]
fn a_disk_that_is_full_of_other_things_makes_no_good_backup_a_bad_one() {
    let host = host();
    let Some(disk) = SmallDisk::mount(host.server.dir().join("full"), "64k") else {
        return;
    };
    let mut command = host.script("backup-mailserver.sh");
    // The records, and the log, lie on a disk that a few lines fill.
    command
        .env("TMPDIR", disk.path())
        .env("LOG_FILE", disk.path().join("log"));
    fs::write(disk.path().join("filler"), vec![b'x'; 56 * 1024]).expect("it fills the disk");
    let output = ended_with(&mut command, 0);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("the records could not be written"),
        "{output:?}"
    );
    assert_eq!(host.server.daily_names().len(), 1);
}

#[test]
fn a_signal_to_the_script_ends_the_tool_cleanly_and_is_reported() {
    let host = Host::new(40);
    host.configure(&[("COMPOSE", "none")]);
    // A tool that says what it got, and takes its time to end.
    replace_tool(
        &host,
        "mail-backup",
        "trap 'echo mail-backup: error: interrupted >&2; sleep 0.3; exit 3' TERM; echo started >&2; sleep 60 & wait",
    );
    let mut child = host
        .script("backup-mailserver.sh")
        .stderr(Stdio::null())
        .spawn()
        .expect("the script starts");
    wait_for(|| host.log(".mailserver-backup.log").contains("started"));
    let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
    let log = host.log(".mailserver-backup.log");
    assert!(
        log.contains("[ERROR] [BACKUP] interrupted") && log.contains("ended with status 3"),
        "{log}"
    );
}

#[test]
fn a_signal_during_a_restore_puts_everything_back() {
    let host = host();
    ended_with(&mut host.script("backup-mailserver.sh"), 0);
    let before = snapshot(&host.server.mail());
    let real = fs::read_link(host.bin().join("mail-restore")).expect("it is a link");
    // The restore itself, not its trial, is stopped as soon as it runs.
    replace_tool(
        &host,
        "mail-restore",
        &format!(
            "[[ \" $* \" == *' --dry-run '* ]] || {{ echo restoring >&2; sleep 0.5; }}\nexec {} \"$@\"",
            real.display()
        ),
    );
    let mut command = host.script("restore-mailserver.sh");
    let mut child = command
        .args(["--from", "latest"])
        .stderr(Stdio::null())
        .spawn()
        .expect("the script starts");
    wait_for(|| {
        host.log(".mailserver-restore.log")
            .contains("] restoring\n")
    });
    let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    let status = child.wait().expect("it ends").code();
    assert!(
        matches!(status, Some(3 | 143)),
        "{status:?}\n{}",
        host.log(".mailserver-restore.log")
    );
    before.assert_same(&snapshot(&host.server.mail()));
}

fn wait_for(mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "it did not come so far"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn in_crons_bare_environment_it_works() {
    let host = host();
    let log = host.server.dir().join("cron.log");
    // As cron does it: no HOME, no terminal, a short search path, /bin/sh, and the output appended
    // to a file.
    let line = format!(
        "{} --daily >>{1} 2>&1",
        host.scripts().join("backup-mailserver.sh").display(),
        log.display()
    );
    let mut sh = Command::new("/bin/sh");
    sh.args(["-c", &line])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .stdin(Stdio::null());
    ended_with(
        sh.env("S3_CONFIG_FILE", host.config())
            .env("LOG_FILE", &log),
        0,
    );
    let text = fs::read_to_string(&log).expect("there is a log");
    assert_eq!(
        text.matches("[BACKUP] done").count(),
        1,
        "each line is there once: {text}"
    );
    assert_eq!(host.server.daily_names().len(), 1);
}

#[test]
fn a_good_night_is_silent_and_a_bad_one_is_not() {
    let host = host();
    let good = ended_with(&mut host.script("backup-mailserver.sh"), 0);
    assert!(
        good.stdout.is_empty() && good.stderr.is_empty(),
        "cron would mail this: {good:?}"
    );
    fs::rename(host.server.mail(), host.server.dir().join("elsewhere"))
        .expect("a directory can be lost");
    let bad = ended_with(&mut host.script("backup-mailserver.sh"), 1);
    assert!(String::from_utf8_lossy(&bad.stderr).contains("[ERROR] [BACKUP]"));
}

#[test]
fn of_two_timers_at_once_one_runs_and_the_other_reports_it() {
    let host = host();
    let held = HeldLock::exclusive(&host.server.root().join(".lock"));
    ended_with(&mut host.script("backup-mailserver.sh"), 4);
    assert!(
        host.log(".mailserver-backup.log")
            .contains("ended with status 4: another run is at work")
    );
    drop(held);
    let spawn = || {
        host.script("backup-mailserver.sh")
            .stderr(Stdio::null())
            .spawn()
            .expect("the script starts")
    };
    let both: [Child; 2] = [spawn(), spawn()];
    let mut codes = both.map(|mut child| child.wait().expect("it ends").code());
    codes.sort();
    assert!(
        codes == [Some(0), Some(0)] || codes == [Some(0), Some(4)],
        "{codes:?}"
    );
    assert_eq!(host.server.daily_names().len(), 1);
    assert!(
        host.server.hidden().is_empty(),
        "{:?}",
        host.server.hidden()
    );
}

#[test]
fn a_log_that_cannot_be_written_does_not_stop_the_backup() {
    let host = host();
    fs::create_dir(host.home().join(".mailserver-backup.log")).expect("a directory is in the way");
    let output = ended_with(&mut host.script("backup-mailserver.sh"), 0);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("cannot be written; going on without it")
    );
    assert_eq!(host.server.daily_names().len(), 1);
}

#[test]
fn errors_have_a_log_of_their_own_and_the_level_leaves_lines_out() {
    let host = host();
    ended_with(
        host.script("backup-mailserver.sh").env("LOG_LEVEL", "WARN"),
        0,
    );
    assert_eq!(host.log(".mailserver-backup.log"), "", "nothing was wrong");
    assert_eq!(host.log(".mailserver-backup-error.log"), "");
    ended_with(host.script("backup-mailserver.sh").arg("--no-such-flag"), 2);
    let errors = host.log(".mailserver-backup-error.log");
    assert!(
        errors.lines().count() == 2 && errors.lines().all(|line| line.contains("[ERROR] [BACKUP]")),
        "{errors}"
    );
}

#[test]
fn records_are_kept_where_mail_check_looks_for_them() {
    let host = host();
    let records = host.server.dir().join("records");
    fs::create_dir(&records).expect("a directory can be made");
    host.configure(&[("RECORDS_DIR", records.to_str().expect("a path of ours"))]);
    ended_with(&mut host.script("backup-mailserver.sh"), 0);
    ended_with(&mut host.script("scan-before-restore.sh"), 0);
    let checks = host.server.dir().join("check.toml");
    fs::write(
        &checks,
        format!("[scans]\nrecords = \"{}/scan.jsonl\"\n", records.display()),
    )
    .expect("it can be written");
    let check = format!(
        "mail-check --config {} --checks {} scans",
        host.config().display(),
        checks.display()
    );
    ended_with(&mut host.bash(&check), 0);
    // Of a run that never began there is nothing to keep.
    let before = fs::read(records.join("backup.jsonl")).expect("they are kept");
    ended_with(host.script("backup-mailserver.sh").arg("--no-such-flag"), 2);
    assert_eq!(
        before,
        fs::read(records.join("backup.jsonl")).expect("they are still there")
    );
}

#[test]
fn a_setting_that_needs_a_shell_is_refused_and_not_guessed() {
    let host = host();
    host.configure(&[]);
    let mut text = fs::read_to_string(host.config()).expect("it was written");
    text += "LOG_FILE=\"$HOME/other.log\"\n";
    fs::write(host.config(), text).expect("it can be written");
    let output = ended_with(&mut host.script("backup-mailserver.sh"), 2);
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("needs a shell to be read: write its value out")
    );
    assert!(!host.server.root().join("daily").exists());
}

#[test]
fn a_link_to_a_script_works_like_the_script() {
    let host = host();
    let link = host.bin().join("backup-mailserver.sh");
    symlink(host.scripts().join("backup-mailserver.sh"), &link).expect("a link can be made");
    ended_with(
        &mut host.bash(&format!("{} --component config", link.display())),
        0,
    );
    assert!(Path::new(&host.home().join(".mailserver-backup.log")).exists());
}
