//! The disaster drill: it passes when everything comes back, says so in numbers, and fails when
//! anything does not.
#![expect(
    clippy::disallowed_methods,
    reason = "what a test spoils is not a stored file"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use mail_tests::format_2::{Mailbox, write_set};
use mail_tests::host::{Host, ended_with};
use mail_tests::run::shell;
use mail_tests::tree::snapshot;

fn host() -> Host {
    let host = Host::new(120);
    fs::create_dir(host.server.dir().join("tmp")).expect("a directory can be made");
    // MariaDB and Dovecot are other users.
    for dir in [host.server.dir(), &host.server.dir().join("tmp")] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o711)).expect("it can be opened");
    }
    ended_with(host.script("backup-mailserver.sh").arg("--daily"), 0);
    host
}

fn drill(host: &Host, arguments: &[&str]) -> Command {
    let mut command = host.script("drill");
    command
        .args(arguments)
        .env("TMPDIR", host.server.dir().join("tmp"))
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Neither files nor processes stay.
fn assert_clean(host: &Host) {
    let tmp = host.server.dir().join("tmp");
    assert_eq!(fs::read_dir(&tmp).expect("it is there").count(), 0);
    let processes = ended_with(Command::new("ps").args(["-eo", "args"]), 0);
    let mine = tmp.display().to_string();
    assert!(
        !words(&processes).lines().any(|line| line.contains(&mine)),
        "{}",
        words(&processes)
    );
}

#[test]
fn a_good_set_comes_back_and_is_counted() {
    let host = host();
    let before = snapshot(host.server.dir().join("mail").as_path());
    let printed = words(&ended_with(&mut drill(&host, &[]), 0));
    assert!(
        printed
            .contains("messages   120 in the set, as many restored, and as many shown by Dovecot"),
        "{printed}"
    );
    assert!(printed.contains("databases  loaded, 1 tables"), "{printed}");
    assert!(
        printed.contains("RTO        0 h 00 min") && printed.contains("within 4 h"),
        "{printed}"
    );
    assert!(
        printed.contains("RPO        0 h 00 min") && printed.contains("within 26 h"),
        "{printed}"
    );
    assert!(printed.ends_with("drill      passed\n"), "{printed}");
    assert!(
        host.log(".mailserver-drill.log")
            .contains("[INFO] [DRILL] drill: passed")
    );
    before.assert_same(&snapshot(host.server.dir().join("mail").as_path()));
    assert_clean(&host);
}

#[test]
fn a_copy_elsewhere_comes_back_too_and_its_way_counts() {
    let host = host();
    let store = host.server.dir().join("offsite");
    fs::create_dir(&store).expect("a directory can be made");
    let url = format!("file://{}", store.display());
    ended_with(host.script("sync-to-s3.sh").args(["--to", &url]), 0);
    fs::remove_dir_all(host.server.root()).expect("a disk can be lost");
    let printed = words(&ended_with(&mut drill(&host, &["--remote", &url]), 0));
    assert!(
        printed.starts_with(&format!("pulled     the newest whole set of {url}")),
        "{printed}"
    );
    assert!(printed.contains("120 in the set"), "{printed}");
    assert_clean(&host);
}

#[test]
fn the_messages_of_a_set_of_format_2_are_those_that_are_there() {
    let host = host();
    let message = |subject: &str| format!("From: a@example.org\nSubject: {subject}\n\nText.\n");
    let mailbox = Mailbox::new("example.com/alice")
        .message(1, "example.com/alice/cur/1", message("stays"))
        .message(1, "example.com/alice/cur/2", message("gone"))
        .message(1, "example.com/alice/cur/3", message("moved"))
        .message(2, "example.com/alice/cur/stored-1", message("other"))
        .gone(1, "example.com/alice/cur/2")
        .renamed(
            1,
            "example.com/alice/cur/3",
            "example.com/alice/.Sent/cur/3:2,S",
        )
        .renamed(
            2,
            "example.com/alice/cur/stored-1",
            "example.com/alice/cur/3:2,",
        )
        .folder("example.com/alice/new")
        .folder("example.com/alice/.Sent/new");
    let set = "daily/2026-11-01";
    write_set(&host.server.root(), set, &[mailbox]);
    // It is old, and has no database: this is about its messages.
    let output = drill(&host, &["--from", set]).output().expect("bash runs");
    let said = words(&output);
    let counted = "messages   3 in the set, as many restored, and as many shown by Dovecot";
    assert!(said.contains(counted), "{said}");
    assert_clean(&host);
}

#[test]
fn where_only_signed_sets_are_accepted_no_other_one_comes_back() {
    let host = host();
    let keys = "ssh-keygen -q -t ed25519 -N '' -C '' -f key
        echo \"mx.example.com $(cat key.pub)\" >allowed";
    let _ = shell(host.server.dir(), keys);
    let path = |name: &str| host.server.dir().join(name).display().to_string();
    let (key, allowed) = (path("key"), path("allowed"));
    host.configure(&[("BACKUP_SIGNING_KEY", &key), ("ALLOWED_SIGNERS", &allowed)]);
    ended_with(&mut drill(&host, &[]), 3);
    let log = host.log(".mailserver-drill.log");
    assert!(log.contains("has no checksums.sha256.sig"), "{log}");
    assert_clean(&host);
    ended_with(host.script("backup-mailserver.sh").arg("--daily"), 0);
    let printed = words(&ended_with(&mut drill(&host, &[]), 0));
    assert!(printed.contains("120 in the set"), "{printed}");
    assert_clean(&host);
}

#[test]
fn an_old_set_and_a_slow_restore_do_not_pass() {
    let host = host();
    let printed = words(&ended_with(drill(&host, &[]).env("RPO_HOURS", "-1"), 1));
    assert!(
        printed.contains("RPO        NOT AS IT SHOULD BE"),
        "{printed}"
    );
    let printed = words(&ended_with(drill(&host, &[]).env("RTO_HOURS", "-1"), 1));
    assert!(
        printed.contains("RTO        NOT AS IT SHOULD BE") && !printed.contains("passed"),
        "{printed}"
    );
    assert_clean(&host);
}

#[test]
fn a_server_without_a_database_passes_and_a_set_that_lacks_it_does_not() {
    let host = host();
    fs::remove_dir_all(host.server.root().join("daily")).expect("it can be removed");
    let make = |components: &str, only: &[&str]| {
        let mut backup = host.script("backup-mailserver.sh");
        backup.args(only).env("BACKUP_COMPONENTS", components);
        ended_with(&mut backup, 0);
    };
    make("all", &["--component", "mailboxes", "--date", "2026-11-01"]);
    let from = ["--from", "daily/2026-11-01"];
    let said = words(&ended_with(
        drill(&host, &from).env("RPO_HOURS", "99999"),
        1,
    ));
    let lacking = "databases  NOT AS IT SHOULD BE: the set holds none, and a complete one does";
    assert!(said.contains(lacking), "{said}");
    make("mailboxes config", &[]);
    let said = words(&ended_with(&mut drill(&host, &[]), 0));
    assert!(said.contains("databases  the set holds none"), "{said}");
    assert!(said.contains("120 in the set"), "{said}");
    assert_clean(&host);
}

#[test]
fn while_an_alarm_is_open_the_last_set_from_before_it_is_tried() {
    let host = host();
    let good = host.server.latest().display().to_string();
    let cur = host.server.dir().join("mail");
    let messages = ended_with(
        Command::new("find")
            .arg(cur)
            .args(["-path", "*/cur/*", "-type", "f"]),
        0,
    );
    for message in words(&messages).lines().take(20) {
        fs::write(message, "").expect("it can be cut");
    }
    ended_with(host.script("backup-mailserver.sh").arg("--hourly"), 0);
    let ruined = host.server.latest().display().to_string();
    let said = words(&ended_with(&mut drill(&host, &[]), 0));
    let held =
        format!("hold       an alarm is open since {ruined}: the last set from before it is");
    let tried = format!("{}/{good}\n", host.server.root().display());
    assert!(said.starts_with(&format!("{held} {tried}")), "{said}");
    assert!(said.contains("120 in the set"), "{said}");
    // Who asks for the ruins gets them, and is told.
    let said = words(&ended_with(&mut drill(&host, &["--from", &ruined]), 1));
    assert!(said.contains("alarm      NOT AS IT SHOULD BE"), "{said}");
    fs::write(host.server.root().join("HOLD"), "x\n").expect("it can be damaged");
    let said = words(&ended_with(&mut drill(&host, &[]), 1));
    assert!(said.contains("nobody knows which set is good"), "{said}");
    assert_clean(&host);
}

/// A killed drill cannot clear up: its servers would run on, over mail that it had unpacked.
#[test]
fn what_a_killed_drill_left_is_cleared_by_the_next() {
    let host = host();
    let tmp = host.server.dir().join("tmp");
    let mut running = drill(&host, &[]).spawn().expect("bash starts");
    let has_server = || {
        // What is found may be gone again.
        let mut find = Command::new("find");
        let found = find.arg(&tmp).args(["-name", "s.sock"]).output();
        !found.expect("find runs").stdout.is_empty()
    };
    while !has_server() {
        let ended = running.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "it was over before it could be killed");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    running.kill().expect("it is ours");
    running.wait().expect("a child can be waited for");
    assert!(has_server());
    ended_with(&mut drill(&host, &[]), 0);
    let log = host.log(".mailserver-drill.log");
    assert!(log.contains("left by a drill that was killed"), "{log}");
    assert_clean(&host);
}

#[test]
fn a_damaged_set_does_not_pass() {
    let host = host();
    let set = host.server.root().join(host.server.latest());
    let archive = set.join("dkim/dkim.tar.zst");
    let mut bytes = fs::read(&archive).expect("it is there");
    bytes[30] ^= 4;
    fs::write(&archive, bytes).expect("it can be damaged");
    ended_with(&mut drill(&host, &[]), 3);
    assert!(
        host.log(".mailserver-drill.log")
            .contains("the exercise cannot go on")
    );
    assert_clean(&host);
}

/// A set that is what its checksums say, and does not hold what its index says.
#[test]
fn messages_that_the_index_promises_and_nobody_sees_do_not_pass() {
    let host = host();
    let set = host.server.root().join(host.server.latest());
    // An old set, whose checksums were made over mail that Dovecot cannot show: a message in a
    // directory that is no folder.
    let old = host.server.dir().join("old");
    ended_with(
        &mut host.bash(&format!("plain-set.sh {} {}", set.display(), old.display())),
        0,
    );
    let lost = old.join("mail/example.com/alice/no folder/cur");
    fs::create_dir_all(&lost).expect("a directory can be made");
    fs::write(
        lost.join("1763900000.M7P7.mx:2,S"),
        "Subject: lost\n\nlost\n",
    )
    .expect("it can be written");
    let seal = "find . -type f ! -name checksums.sha256 -printf '%P\\0' | sort -z | xargs -0 sha256sum >checksums.sha256.new; mv checksums.sha256.new checksums.sha256";
    ended_with(host.bash(seal).current_dir(&old), 0);
    let printed = words(&ended_with(
        &mut drill(&host, &["--from", &old.display().to_string()]),
        1,
    ));
    assert!(
        printed.contains(
            "messages   NOT AS IT SHOULD BE: 121 in the set, 121 restored, 120 shown by Dovecot"
        ),
        "{printed}"
    );
    assert!(
        printed.contains("1 tables, rows not counted"),
        "nothing is claimed of what no dump says: {printed}"
    );
    assert!(Path::new(&old).exists());
    assert_clean(&host);
}

#[test]
fn wrong_usage_is_reported() {
    let host = host();
    ended_with(&mut drill(&host, &["--no-such-flag"]), 2);
    ended_with(&mut drill(&host, &["--from", "daily/2020-01-01"]), 2);
    ended_with(&mut drill(&host, &["--help"]), 0);
    assert_clean(&host);
}
