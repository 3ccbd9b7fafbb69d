//! What goes wrong around a restore: the disk, other runs, a kill at any moment. The old or the new
//! is at the target, and the next run cleans up.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{SET, checked, is_root, live, names, restore, restored, shell};
use mail_tests::held::{HeldLock, SmallDisk};
use mail_tests::run::binary;
use mail_tests::server::Server;
use mail_tests::tree::{Snapshot, snapshot};
use rustix::process::Signal;

#[test]
fn another_run_at_work_is_named_and_nothing_is_touched() {
    let (server, _) = Server::saved(10);
    let before = live(&server);
    let lock = server.root().join(".lock");
    let holder = HeldLock::exclusive(&lock);
    let _ = restore(&server, &[])
        .assert_code(4)
        .assert_failure("locked");
    // Into a directory, a backup that is at work disturbs nothing.
    let to = server.root().with_file_name("backup-to");
    let _ = restore(&server, &["--to", to.to_str().unwrap()]).assert_code(0);
    fs::remove_dir_all(&to).unwrap();
    drop(holder);
    let holder = HeldLock::exclusive(server.dir());
    let _ = restore(&server, &[])
        .assert_code(4)
        .assert_failure("locked");
    before.assert_same(&live(&server));
    drop(holder);
    let _ = restore(&server, &[]).assert_code(0);
}

#[test]
fn a_set_that_is_being_restored_is_neither_replaced_nor_removed() {
    let (server, set) = Server::saved(1_000);
    let to = server.root().with_file_name("backup-to");
    let mut running = server
        .restore()
        .args(["--from", SET, "--to"])
        .arg(&to)
        .spawn();
    let held = |set: &Path| {
        let mut flock = Command::new("flock");
        flock
            .args(["--exclusive", "--nonblock"])
            .arg(set.join("manifest.jsonl"))
            .arg("true");
        !flock.status().unwrap().success()
    };
    let start = Instant::now();
    while !held(&set) {
        assert!(
            running.is_running() && start.elapsed() < Duration::from_secs(20),
            "it never locked the set"
        );
    }
    let _ = running.wait().assert_code(0);
    assert!(!held(&set));
}

#[test]
fn a_disk_that_fills_up_half_way_leaves_everything_as_it_was() {
    let (server, set) = Server::saved(400);
    let Some(disk) = SmallDisk::mount(server.dir().join("small"), "1m") else {
        return;
    };
    shell(disk.path(), "mkdir mail; echo old >mail/message");
    let before = snapshot(disk.path()).without(|path| path == Path::new("."));
    let tool = |from: &Path| {
        let tool = server
            .restore()
            .args(["--component", "mail", "--from"])
            .arg(from);
        tool.env("MAIL_DATA_DIR", disk.path().join("mail"))
    };
    let run = |from: &Path| checked(tool(from));
    // The manifest tells how much it is, so a dry run knows, which writes nothing.
    let _ = checked(tool(&set).arg("--dry-run"))
        .assert_code(3)
        .assert_failure("no_space");
    let _ = run(&set).assert_code(3).assert_failure("no_space");
    // Without it, it is seen when it happens.
    fs::remove_file(set.join("manifest.jsonl")).unwrap();
    crate::support::seal(&set);
    let _ = run(&set).assert_code(3).assert_failure("no_space");
    before.assert_same(&snapshot(disk.path()).without(|path| path == Path::new(".")));
}

#[test]
fn a_target_on_a_mount_point_is_refused_with_the_way_out() {
    let (server, _) = Server::saved(5);
    let Some(disk) = SmallDisk::mount(server.dir().join("mounted"), "8m") else {
        return;
    };
    let tool = server
        .restore()
        .args(["--component", "mail", "--from", SET])
        .env("MAIL_DATA_DIR", disk.path());
    let _ = checked(tool)
        .assert_code(2)
        .assert_failure("usage")
        .assert_stderr("--to");
}

#[test]
fn a_killed_restore_leaves_the_old_or_the_new_and_the_next_one_cleans_up() {
    const ROUNDS: u32 = 12;
    let (server, _) = Server::saved(300);
    let saved = restored(&server);
    let mut seen = (0, 0);
    for round in 0..ROUNDS {
        let change = "rm -rf ./*.bak.* ./.[a-z]*.bak.*; echo changed >mail/example.com/alice/cur/1.changed; echo changed >config/changed";
        shell(server.dir(), change);
        let changed = restored(&server);
        let mut running = server.restore().args(["--from", SET]).spawn();
        // From the moment at which the new tree is begun: the first kill is sure to come before its
        // exchange.
        let start = Instant::now();
        while running.is_running()
            && !names(server.dir())
                .iter()
                .any(|name| name.starts_with(".mail.restoring"))
        {
            assert!(start.elapsed() < Duration::from_secs(20), "it never began");
        }
        thread::sleep(Duration::from_millis(u64::from(round * round)));
        running.signal(Signal::KILL);
        let _ = running.wait();
        let found = restored(&server);
        for target in ["mail", "config"] {
            let part = |tree: &Snapshot| {
                tree.clone()
                    .without(|path| path.components().count() == 1 && !path.starts_with(target))
            };
            match part(&found) == part(&changed) {
                true => seen.0 += 1,
                false => {
                    seen.1 += 1;
                    part(&saved).assert_same(&part(&found));
                }
            }
        }
        let _ = restore(&server, &[]).assert_code(0);
        assert!(
            names(server.dir())
                .iter()
                .all(|name| !name.contains(".restoring")),
            "round {round}"
        );
        saved.assert_same(&restored(&server));
    }
    assert!(seen.0 > 0, "no kill came before the exchange: {seen:?}");
    eprintln!("targets that had the old and the new: {seen:?}");
}

#[test]
fn a_signal_stops_it_and_everything_is_as_it_was() {
    let (server, _) = Server::saved(1_500);
    let before = live(&server);
    let mut running = server.restore().args(["--from", SET]).spawn();
    let start = Instant::now();
    while !names(server.dir())
        .iter()
        .any(|name| name.starts_with(".mail.restoring"))
    {
        assert!(
            running.is_running() && start.elapsed() < Duration::from_secs(20),
            "it never began"
        );
    }
    running.signal(Signal::TERM);
    let outcome = running.wait();
    if outcome.code() == 0 {
        eprintln!("it was done before the signal came");
        return;
    }
    let _ = outcome.assert_code(3).assert_failure("interrupted");
    before.assert_same(&live(&server));
}

#[test]
fn who_may_not_give_files_away_does_not_restore_onto_the_server() {
    if !is_root() {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    let (server, set) = Server::saved(5);
    shell(server.dir(), "chmod -R a+rX . ; chmod a+rwx .");
    shell(&set, "chmod -R a+rX ../..");
    let before = live(&server);
    let tool = server
        .restore()
        .arg("--from")
        .arg(&set)
        .args(["--component", "mail"])
        .env("BACKUP_ROOT", "/nonexistent");
    let outcome = checked(tool.as_nobody());
    let _ = outcome.assert_code(3).assert_failure("denied");
    before.assert_same(&live(&server));
}

#[test]
fn at_no_moment_is_there_nothing_at_the_target() {
    let (server, _) = Server::saved(30);
    let target = server.mail().join("example.com/alice/cur");
    for _ in 0..5 {
        let mut running = server.restore().args(["--from", SET]).spawn();
        while running.is_running() {
            assert!(target.is_dir(), "the mail was absent for a moment");
        }
        let _ = running.wait().assert_code(0);
    }
}

/// Exit code 3 means that everything is as it was. When only the records could not be written, it
/// is not, and stderr is all that is left to say so.
#[test]
fn a_restore_that_cannot_write_its_records_prints_what_it_changed() {
    let (server, set) = Server::saved(10);
    let run = |args: &[&str]| {
        let output = Command::new(binary("mail-restore"))
            .env_clear()
            .envs(server.settings())
            .args(["--from", SET, "--component", "config", "-q"])
            .args(args)
            .stdout(fs::File::options().write(true).open("/dev/full").unwrap())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), stderr)
    };
    let config = server.dir().join("config");
    shell(&config, "echo changed >changed");
    let (code, stderr) = run(&["--dry-run"]);
    assert_eq!(code, Some(3));
    assert!(!stderr.contains(config.to_str().unwrap()), "{stderr}");
    let (code, stderr) = run(&[]);
    assert_eq!(code, Some(3));
    assert!(!config.join("changed").exists());
    let kept = format!("{}.bak.", config.display());
    assert!(stderr.contains(&kept), "{stderr}");
    // What failed changed nothing, and nothing else is said of it.
    crate::support::flip(&set.join("config/config.tar.zst"), 40);
    shell(&config, "echo changed >changed");
    let (code, stderr) = run(&[]);
    assert_eq!(code, Some(3));
    assert!(config.join("changed").exists());
    assert!(!stderr.contains(&kept), "{stderr}");
}

#[test]
fn what_a_killed_restore_left_is_cleared_by_any_later_one() {
    let (server, _) = Server::saved(10);
    let to = server.root().with_file_name("backup-to");
    let plant = |beside: &Path, name: &str| {
        let path = beside.join(name).join("example.com");
        fs::create_dir_all(&path).unwrap();
        path.parent().unwrap().to_owned()
    };
    // Beside a target that the later run does not restore.
    let live = plant(server.dir(), ".mail.restoring");
    let others = plant(server.dir(), ".mail.restoring.notes");
    let _ = restore(&server, &["--component", "config", "--dry-run"]).assert_code(0);
    assert!(live.exists(), "a dry run removed something");
    let outcome = restore(&server, &["--component", "config"]).assert_code(0);
    let _ = outcome.assert_stderr(live.to_str().unwrap());
    assert!(!live.exists() && others.exists());
    // In a directory, by another component and by single messages.
    for args in [["--component", "dkim"], ["--mailbox", "alice@example.com"]] {
        let left = [".mailboxes.restoring", ".mysql.restoring.T.1"].map(|name| plant(&to, name));
        let mut all = vec!["--to", to.to_str().unwrap()];
        all.extend(args);
        let _ = restore(&server, &all).assert_code(0);
        // With another inode number the second could be something old: it is kept, in sight.
        assert!(left.iter().all(|path| !path.exists()), "{args:?}");
        assert!(to.join("mysql.bak.T").exists(), "{args:?}");
        fs::remove_dir_all(&to).unwrap();
    }
}
