//! What others write acts on no terminal and forges no line of a log, by night and on the day of a
//! restore: names of mailboxes and of what a database holds, what its server says, the scripts'
//! logs.
#![expect(
    clippy::disallowed_methods,
    reason = "sample mail is not a stored file of a set"
)]
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use mail_tests::clamd::eicar;
use mail_tests::host::Host;
use mail_tests::planted::{ACTS, RAW, assert_all_inert, assert_inert};

/// As long as a name in MariaDB may be.
const NAME: &str = "a\u{1b}[2J\u{7}\r\nFORGED\u{9b}m\u{202e}\u{2066}b";

/// A database of which every name acts.
fn objects() -> String {
    format!(
        "SET NAMES utf8mb4; CREATE DATABASE `{NAME}`; USE `{NAME}`;
         CREATE TABLE `{NAME}` (`{NAME}` VARCHAR(99) CHARACTER SET utf8mb4 UNIQUE COMMENT '{NAME}')
             ENGINE=MyISAM COMMENT '{NAME}';
         INSERT INTO `{NAME}` VALUES ('{NAME}');
         CREATE PROCEDURE `{NAME}`() SELECT '{NAME}';"
    )
}

/// What is named in warnings: a view of nothing, an event whose time is over.
fn broken_objects() -> String {
    format!(
        "SET NAMES utf8mb4; USE `{NAME}`;
         CREATE TABLE gone (a INT); CREATE VIEW `v{NAME}` AS SELECT a FROM gone; DROP TABLE gone;
         CREATE EVENT `{NAME}` ON SCHEDULE AT '2001-01-01 00:00:00' ON COMPLETION PRESERVE
             DO SELECT 1;"
    )
}

/// Mailboxes, folders and messages whose names act, two of them infected.
fn plant_mail(mail: &Path) {
    let mailbox = mail.join(format!("ex{ACTS}ample.com/al{ACTS}ice"));
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir_all(mailbox.join(folder)).unwrap();
    }
    fs::write(mailbox.join(format!("cur/1.a{ACTS}:2,S")), eicar()).unwrap();
    let raw = std::ffi::OsStr::from_bytes(RAW);
    fs::write(mailbox.join("cur").join(raw), eicar()).unwrap();
    let pipe = Command::new("mkfifo").arg(mailbox.join(ACTS)).status();
    assert!(pipe.unwrap().success());
}

/// A set of the old scripts, whose dump has a column that is not there: the server names it.
fn forged_set(host: &Host) -> PathBuf {
    let set = host.server.root().join("daily/2026-11-01");
    fs::create_dir_all(set.join("mysql")).unwrap();
    let dump = format!(
        "-- MariaDB dump 10.19\nCREATE TABLE t (a INT);\n\
         INSERT INTO t (`{NAME}`) VALUES (1);\n-- Dump completed on 2026-11-01\n"
    );
    fs::write(set.join("mysql/mailserver.sql"), dump).unwrap();
    let script = "gzip mysql/mailserver.sql; sha256sum mysql/mailserver.sql.gz >checksums.sha256";
    let mut bash = Command::new("bash");
    let status = bash.args(["-euc", script]).current_dir(&set).status();
    assert!(status.unwrap().success());
    set
}

#[test]
fn no_name_in_mail_or_database_acts_in_an_output_of_a_night_or_of_a_restore() {
    let host = Host::new(3);
    host.database.sql(&objects());
    plant_mail(&host.server.mail());

    assert_all_inert("backup", || host.server.backup());
    let set = host.server.root().join("latest");
    assert_inert("backup.log", fs::read(set.join("backup.log")).unwrap());
    assert_inert("manifest", fs::read(set.join("manifest.jsonl")).unwrap());
    let of = |set: &Path| host.server.restore().arg("--from").arg(set);
    assert_all_inert("verify", || of(&set).arg("--verify"));
    assert_all_inert("dry run", || of(&set).arg("--dry-run"));
    // Whatever it is called, it comes back.
    let restored = of(&set).args(["--component", "mysql"]).run();
    assert_eq!(
        restored.data("end")[0]["status"],
        "ok",
        "{}",
        restored.stderr
    );
    assert_all_inert("restore", || {
        of(&set).args(["--component", "mysql", "--component", "mailboxes"])
    });

    let forged = forged_set(&host);
    assert_all_inert("restore of a forged set", || {
        of(&forged).args(["--component", "mysql"])
    });
    host.database.sql(&broken_objects());
    assert_all_inert("backup of what is broken", || host.server.backup());
    host.database
        .sql("CREATE USER nobody@'%' IDENTIFIED BY 'x'");
    assert_all_inert("backup of an account that sees little", || {
        host.server
            .backup()
            .args(["--component", "mysql"])
            .env("MYSQL_USER", "nobody")
            .env("MYSQL_PASSWORD", "x")
    });
}

#[test]
fn no_name_acts_in_the_logs_of_the_scripts() {
    let host = Host::new(3);
    host.database.sql(&objects());
    host.database.sql(&broken_objects());
    plant_mail(&host.server.mail());
    let to = format!("file://{}", host.server.dir().join("offsite").display());
    fs::create_dir(host.server.dir().join("offsite")).unwrap();
    host.configure(&[("S3_BUCKET", &to), ("S3_TARGET", &to)]);
    for script in [
        "backup-mailserver.sh",
        "sync-to-s3.sh",
        "scan-before-restore.sh",
        "restore-mailserver.sh",
    ] {
        let output = host.script(script).output().unwrap();
        assert_inert(script, &output.stderr);
        assert_inert(script, &output.stdout);
    }
    let mut logs = 0;
    for entry in fs::read_dir(host.home()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            assert_inert("a log", fs::read(&path).unwrap());
            logs += 1;
        }
    }
    assert!(logs > 1, "{logs} logs");
    let log = host.log(".mailserver-backup.log");
    assert!(log.contains("FORGED"), "{log}");
}

/// Text as a header carries it encoded (RFC 2047), and as a parameter does (RFC 2231).
fn encoded() -> (String, String) {
    let bytes = |before: char| ACTS.bytes().map(move |byte| format!("{before}{byte:02X}"));
    let word: String = bytes('=').collect();
    let parameter: String = bytes('%').collect();
    (format!("=?utf-8?Q?{word}?="), format!("utf-8''{parameter}"))
}

/// Who sends mail names sender, subject and attachment of what is found.
#[test]
fn what_a_search_shows_of_a_message_does_not_act() {
    let host = Host::new(3);
    let (word, name) = encoded();
    let mail = format!(
        "From: {word} <a@example.org>\r\nTo: {word} <b@example.org>\r\nCc: {word} <c@example.org>\r\n\
         Subject: {word}\r\nMessage-ID: <{word}@example.org>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
         Content-Type: text/plain; name*={name}\r\n\
         Content-Disposition: attachment; filename*={name}\r\n\r\nfound\r\n--b--\r\n"
    );
    let folder = host
        .server
        .mail()
        .join(format!("example.com/alice/.Fol{ACTS}der/cur"));
    for name in ["new", "tmp", "cur"] {
        fs::create_dir_all(folder.with_file_name(name)).unwrap();
    }
    fs::write(folder.join(format!("1.a{ACTS}:2,S")), mail).unwrap();
    let _ = host.server.backup().run().assert_code(0);
    let search = |args: &[&str]| host.server.restore().args(["--from", "all"]).args(args);
    for condition in [
        ["--attachment", "*FORGED*"],
        ["--subject", "FORGED"],
        ["--sender", "a@example.org"],
        ["--text", "found"],
    ] {
        let list = || search(&condition).arg("--list");
        let found = list().run().assert_code(0);
        assert_eq!(
            found.data("message").len(),
            1,
            "{condition:?} {}",
            found.stderr
        );
        assert_all_inert(condition[0], list);
        assert_all_inert("dry run", || search(&condition).arg("--dry-run"));
    }
    let to = host.server.dir().join("found");
    assert_all_inert("restore", || search(&["--text", "found", "--to"]).arg(&to));
}

/// Who holds the backup disk writes `HOLD` and what was accepted; names of settings come from
/// elsewhere, too.
#[test]
fn no_alarm_reason_or_setting_acts() {
    let host = Host::new(3);
    let server = &host.server;
    let name = "odd\u{1b}c\u{7}\u{9b}m\u{202e}\u{2066}";
    let extra = server.dir().join(name);
    fs::create_dir(&extra).unwrap();
    fs::write(extra.join(ACTS), "x").unwrap();
    let canary = server.mail().join("backup-canary.invalid/canary/cur");
    fs::create_dir_all(&canary).unwrap();
    fs::write(canary.join(format!("1.M{ACTS}.backup-canary:2,S")), "x").unwrap();
    let backup = || {
        let backup = server.backup().env("EXTRA_DIRS", extra.to_str().unwrap());
        backup
            .env("BACKUP_CANARY", "yes")
            .env("EXCLUDE", format!("*FORGED* {name}"))
    };
    assert_all_inert("backup", backup);
    let log = fs::read_to_string(server.root().join("latest/backup.log")).unwrap();
    assert!(log.contains("FORGED"), "{log}");
    assert_inert("backup.log", log);
    assert_all_inert("dry run", || backup().arg("--dry-run"));

    let hold = server.root().join("HOLD");
    let text = serde_json::to_string(ACTS).unwrap();
    let alarm = format!(
        r#"{{"type":"alarm","data":{{"level":"alarm","rule":{text},"set":"daily/2026-11-01","time":"2026-11-01T03:00:00+00:00","message":{text}}}}}"#
    );
    fs::create_dir(server.dir().join("store")).unwrap();
    let store = format!("file://{}", server.dir().join("store").display());
    for content in [alarm.as_str(), ACTS] {
        fs::write(&hold, content).unwrap();
        assert_all_inert("accept, dry run", || {
            server.backup().args(["--accept", ACTS, "-n"])
        });
        assert_all_inert("prune", || server.backup().arg("--prune-only"));
        assert_all_inert("backup", || server.backup().arg("--hourly"));
        assert_all_inert("push", || {
            let push = mail_tests::run::Tool::new("mail-s3sync").args(["push", "--to", &store]);
            push.env("BACKUP_ROOT", server.root())
        });
    }
    fs::write(&hold, format!("{alarm}\n")).unwrap();
    assert_all_inert("accept", || server.backup().args(["--accept", ACTS]));
    let accepted = fs::read(server.root().join("accepted.jsonl")).unwrap();
    assert!(String::from_utf8_lossy(&accepted).contains("FORGED"));
    assert_inert("accepted.jsonl", accepted);
}
