//! `BACKUP_CANARY=yes`: a message that nobody touches, and what becomes of a backup when somebody
//! does.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use mail_tests::run::Outcome;

use crate::support::{Server, checked, is_root, members, names, put, settle};

const MAILBOX: &str = "backup-canary.invalid/canary";

/// Saves the mail with a canary.
#[track_caller]
fn save(server: &Server, args: &[&str]) -> Outcome {
    settle();
    let args = [&["--component", "mailboxes"], args].concat();
    let tool = server.tool(&args).env("BACKUP_CANARY", "yes");
    checked(tool.run())
}

/// How the run met the canary.
#[track_caller]
fn check(outcome: &Outcome, state: &str, is_alarm: bool) {
    let canary = outcome.data("canary").pop();
    let canary = canary.unwrap_or_else(|| panic!("no canary: {}", outcome.stderr));
    assert_eq!(canary["state"], state, "{}", outcome.stderr);
    let is_raised = outcome
        .stderr
        .contains("ALARM: the message that nobody touches");
    assert_eq!(is_raised, is_alarm, "{}", outcome.stderr);
    let alarms = outcome.data("alarm");
    let mut rules = alarms.iter().map(|alarm| alarm["rule"].as_str());
    assert!(
        !is_alarm || rules.any(|rule| rule == Some("canary")),
        "{alarms:?}"
    );
}

fn messages(server: &Server) -> Vec<PathBuf> {
    let cur = server.mail().join(MAILBOX).join("cur");
    names(&cur).iter().map(|name| cur.join(name)).collect()
}

#[track_caller]
fn only_message(server: &Server) -> PathBuf {
    let mut all = messages(server);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn owner(path: &Path) -> (u32, u32, u32) {
    let found = fs::metadata(path).unwrap();
    (found.uid(), found.gid(), found.mode() & 0o7777)
}

#[test]
fn the_canary_is_made_like_its_neighbours_and_missed_when_it_is_gone() {
    let server = Server::with_one_message();
    let domain = server.mail().join("example.com");
    for (path, mode) in [("", 0o751), ("alice", 0o2750), ("alice/cur", 0o2770)] {
        if is_root() {
            chown(domain.join(path), Some(5000), Some(5001)).unwrap();
        }
        fs::set_permissions(domain.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let before = names(&server.mail());
    server.save_mail("2026-11-01", &[]);
    assert_eq!(names(&server.mail()), before, "not asked for");
    // A run that was ended half-way has left this.
    let half_made = server.mail().join("backup-canary.invalid");
    fs::create_dir(&half_made).unwrap();
    fs::set_permissions(&half_made, fs::Permissions::from_mode(0o700)).unwrap();

    let outcome = save(&server, &["--date", "2026-11-02"]).assert_code(0);
    check(&outcome, "made", false);
    let canary = only_message(&server);
    let ours = canary.parent().unwrap().parent().unwrap();
    assert_eq!(owner(ours.parent().unwrap()), owner(&domain));
    // The neighbours are set-group-ID: RestrictSUIDSGID= of our unit would refuse that.
    let (uid, gid, _) = owner(&domain.join("alice"));
    assert_eq!(owner(ours), (uid, gid, 0o750));
    let (uid, gid, _) = owner(&domain.join("alice/cur"));
    assert_eq!(owner(canary.parent().unwrap()), (uid, gid, 0o770));
    assert_eq!(owner(&canary), (uid, gid, 0o600));
    assert!(fs::read_to_string(&canary).unwrap().starts_with("From: "));
    let saved = members(&server.set("daily/2026-11-02"));
    assert!(
        saved
            .iter()
            .any(|name| name.ends_with(".backup-canary:2,S")),
        "{saved:?}"
    );

    // Flags are nobody's business.
    let flagged = canary.with_file_name(format!(
        "{}F",
        canary.file_name().unwrap().to_str().unwrap()
    ));
    fs::rename(&canary, &flagged).unwrap();
    check(&save(&server, &["--date", "2026-11-03"]), "there", false);
    fs::remove_file(flagged).unwrap();
    let outcome = save(&server, &["--date", "2026-11-04"]).assert_code(0);
    check(&outcome, "gone", true);
    assert!(server.root().join("HOLD").is_file());
    // It is said once, and is not made behind somebody's back.
    check(&save(&server, &["--date", "2026-11-05"]), "gone", false);
    assert!(messages(&server).is_empty());
    server.run(&["--accept"]).assert_code(0);
    check(&save(&server, &["--date", "2026-11-06"]), "made", false);
    assert!(!server.root().join("HOLD").exists());
    only_message(&server);
}

#[test]
fn a_canary_with_other_content_is_seen_by_every_kind_of_run() {
    for kind in [&["--full"][..], &["--weekly"], &["--hourly"], &["--daily"]] {
        let server = Server::with_one_message();
        check(&save(&server, &["--date", "2026-11-02"]), "made", false);
        let canary = only_message(&server);
        let text = fs::read(&canary).unwrap();
        fs::write(&canary, &text[..text.len() - 1]).unwrap();
        check(&save(&server, kind), "changed", true);
        // Put back, it is what it was; the alarm stays until somebody has looked.
        fs::write(&canary, &text).unwrap();
        check(&save(&server, kind), "there", false);
        assert!(server.root().join("HOLD").is_file(), "{kind:?}");
    }
}

#[test]
fn a_canary_is_known_again_without_a_set_that_tells_of_it() {
    let server = Server::with_one_message();
    check(&save(&server, &[]), "made", false);
    fs::remove_dir_all(server.root().join("daily")).unwrap();
    fs::remove_file(server.root().join("latest")).unwrap();
    check(&save(&server, &[]), "there", false);
    only_message(&server);
    // A set that is made without asking for it says nothing, and forgets nothing.
    let plain = server.run(&["--component", "mailboxes", "--date", "2030-01-01"]);
    assert!(plain.data("canary").is_empty());
    fs::remove_file(only_message(&server)).unwrap();
    check(&save(&server, &["--hourly"]), "gone", true);
}

#[test]
fn a_canary_is_made_nowhere_else() {
    let server = Server::with_one_message();
    let elsewhere = server.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, server.mail().join("backup-canary.invalid")).unwrap();
    let outcome = save(&server, &["--date", "2026-11-02"]).assert_code(1);
    let outcome = outcome.assert_stderr("error: look after the canary in");
    let errors = outcome.data("error");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(names(&elsewhere).is_empty());
    // What is wrong is not the set.
    let set = server.set("daily/2026-11-02");
    assert!(set.join("manifest.jsonl").is_file());
    let log = fs::read_to_string(set.join("backup.log")).unwrap();
    assert!(log.contains("look after the canary in"), "{log}");

    let empty = Server::empty();
    put(&empty.mail().join("README"), b"no mailbox yet\n");
    let outcome = save(&empty, &[]).assert_code(0);
    outcome.assert_stderr("there is no mailbox yet");
    assert_eq!(names(&empty.mail()), ["README"]);
}
