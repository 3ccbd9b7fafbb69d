//! Infected messages of live Maildirs are moved out; nothing else is touched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mail_tests::clamd::eicar;
use mail_tests::swapper::{Swapper, give_to_another, rounds};
use serde_json::Value;

use crate::support::{
    Bench, DAY, backed_up, infected_mail, put, sha256, some_message, tool, total, verdict_on,
};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn maildir(bench: &Bench) -> PathBuf {
    for name in ["cur", "new", "tmp"] {
        fs::create_dir_all(bench.path(&format!("box/{name}"))).unwrap();
    }
    bench.put("box/cur/1.good:2,S", "Subject: x\r\n\r\nhello\r\n");
    bench.put("box/cur/2.bad,S=9:2,RS", infected_mail());
    bench.put("box/attachment", eicar());
    bench.path("box")
}

#[test]
fn an_infected_message_is_moved_out_with_a_note() {
    let bench = Bench::new();
    let maildir = maildir(&bench);
    let digest = sha256(&maildir.join("cur/2.bad,S=9:2,RS"));
    let quarantine = bench.path("quarantine");
    let outcome = bench
        .tool()
        .arg("--quarantine")
        .arg(&quarantine)
        .arg(&maildir)
        .run()
        .assert_code(1);
    assert_eq!(names(&maildir.join("cur")), ["1.good:2,S"]);
    let moved = format!("{digest}.2.bad,S=9");
    assert_eq!(names(&quarantine), [moved.clone(), format!("{moved}.json")]);
    assert_eq!(sha256(&quarantine.join(&moved)), digest);
    assert_eq!(
        fs::metadata(quarantine.join(&moved))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    let note: Value =
        serde_json::from_slice(&fs::read(quarantine.join(format!("{moved}.json"))).unwrap())
            .unwrap();
    assert_eq!(
        note["path"],
        maildir.join("cur/2.bad,S=9:2,RS").to_str().unwrap()
    );
    assert_eq!(
        (note["signature"].as_str(), note["subject"].as_str()),
        (Some("Eicar-Test-Signature.UNOFFICIAL"), Some("invoice"))
    );
    let verdict = verdict_on(&outcome, "2.bad,S=9:2,RS");
    assert_eq!(
        verdict["reason"],
        format!("moved to {}", quarantine.join(&moved).display())
    );
    assert_eq!(total(&outcome, "quarantined"), 1);
    // What is no message stays, and that is said.
    assert!(maildir.join("attachment").exists());
    assert!(
        verdict_on(&outcome, "attachment")["reason"]
            .as_str()
            .unwrap()
            .contains("left where it is")
    );
    bench.scan(maildir.join("cur")).assert_code(0);
}

#[test]
fn equal_messages_of_two_folders_are_both_moved_out() {
    let bench = Bench::new();
    let maildir = maildir(&bench);
    for copy in ["copy", "another"] {
        bench.shell(&format!("cp -a box {copy}"));
    }
    let quarantine = bench.path("quarantine");
    let outcome = bench
        .tool()
        .arg("--quarantine")
        .arg(&quarantine)
        .args([&maildir, &bench.path("copy")])
        .run();
    let outcome = outcome.assert_code(1);
    assert_eq!(total(&outcome, "quarantined"), 2);
    // One more on another day.
    let again = bench
        .tool()
        .arg("--quarantine")
        .arg(&quarantine)
        .arg(bench.path("another"))
        .run()
        .assert_code(1);
    assert_eq!(
        (total(&again, "quarantined"), names(&quarantine).len()),
        (1, 6)
    );
    let mut places: Vec<String> = Vec::new();
    for name in names(&quarantine)
        .iter()
        .filter(|name| name.ends_with(".json"))
    {
        let note: Value =
            serde_json::from_slice(&fs::read(quarantine.join(name)).unwrap()).unwrap();
        assert!(
            quarantine
                .join(name.strip_suffix(".json").unwrap())
                .exists(),
            "{name}"
        );
        places.push(note["path"].as_str().unwrap().to_owned());
    }
    places.sort();
    let expected =
        ["another", "box", "copy"].map(|name| bench.path(&format!("{name}/cur/2.bad,S=9:2,RS")));
    assert_eq!(
        places,
        expected.map(|path| path.to_str().unwrap().to_owned())
    );
}

#[test]
fn on_another_file_system_it_is_moved_too() {
    let bench = Bench::new();
    let maildir = maildir(&bench);
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let _ = bench
        .tool()
        .arg("--quarantine")
        .arg(memory.path())
        .arg(&maildir)
        .run()
        .assert_code(1);
    assert_eq!(names(&maildir.join("cur")), ["1.good:2,S"]);
    assert_eq!(names(memory.path()).len(), 2);
}

/// The note comes first. A run that is killed before the message follows leaves it alone there.
#[test]
fn a_note_without_its_message_is_in_nobodys_way_and_can_be_told() {
    let bench = Bench::new();
    let maildir = maildir(&bench);
    let moved = format!("{}.2.bad,S=9", sha256(&maildir.join("cur/2.bad,S=9:2,RS")));
    let note = bench.put(
        &format!("quarantine/{moved}.json"),
        "of a run that was killed",
    );
    let quarantine = bench.path("quarantine");
    let scan = bench.tool().arg("--quarantine").arg(&quarantine);
    let _ = scan.arg(&maildir).run().assert_code(1);
    assert_eq!(names(&maildir.join("cur")), ["1.good:2,S"]);
    let expected = [".2", ".2.json", ".json"].map(|end| format!("{moved}{end}"));
    assert_eq!(names(&quarantine), expected);
    // As docs/threats.md has it.
    let command = r#"for note in *.json; do [ -e "${note%.json}" ] || echo "$note"; done"#;
    let told = mail_tests::run::shell(&quarantine, command);
    assert_eq!(told.trim(), note.file_name().unwrap().to_str().unwrap());
}

#[test]
fn nothing_is_taken_out_of_a_set() {
    let bench = Bench::new();
    let server = backed_up(20, |mail| drop(put(&some_message(mail), infected_mail())));
    let set = server.daily(DAY);
    // A mail tree inside a set, as the old scripts left it.
    for name in ["cur", "new", "tmp"] {
        fs::create_dir_all(set.join(format!("mail/box/{name}"))).unwrap();
    }
    let message = put(&set.join("mail/box/cur/1.bad"), infected_mail());
    let before = mail_tests::tree::snapshot(&set);
    // Links lead there, in the middle of a path too.
    std::os::unix::fs::symlink(set.join("mail"), bench.path("link")).unwrap();
    for operand in [
        set.clone(),
        set.join("mail"),
        bench.path("link"),
        bench.path("link/box"),
    ] {
        let quarantine = bench.path("quarantine");
        let scan = tool(&[&bench.clamd.unix()])
            .arg("--no-cache")
            .arg("--quarantine")
            .arg(&quarantine)
            .arg(operand);
        let outcome = scan.run().assert_code(1);
        assert_eq!(total(&outcome, "quarantined"), 0);
        assert!(names(&quarantine).is_empty());
    }
    assert!(message.exists());
    before.assert_same(&mail_tests::tree::snapshot(&set));
}

#[test]
fn a_message_that_cannot_be_moved_is_an_error_and_stays() {
    let bench = Bench::new();
    let maildir = maildir(&bench);
    let quarantine = bench.put("in-the-way", "a file");
    let outcome = bench
        .tool()
        .arg("--quarantine")
        .arg(&quarantine)
        .arg(&maildir)
        .run();
    let _ = outcome.assert_code(3).assert_failure("io");
    assert_eq!(names(&maildir.join("cur")).len(), 2);
}

/// A mail user lets `cur/` and a link to a directory of others change places while root scans: in
/// both are files of the same names, and those of the others are never touched.
#[test]
fn a_maildir_that_becomes_a_link_leads_to_nothing_of_others() {
    const FILES: usize = 20;
    let bench = Bench::new();
    let theirs = bench.path("theirs");
    for name in ["box/new", "box/tmp", "theirs"] {
        fs::create_dir_all(bench.path(name)).unwrap();
    }
    std::os::unix::fs::symlink(&theirs, bench.path("box/link")).unwrap();
    for number in 0..FILES {
        put(&theirs.join(format!("{number}.m")), "of others");
    }
    give_to_another(&theirs);
    let before = mail_tests::tree::snapshot(&theirs);
    let other_disk = tempfile::tempdir_in("/dev/shm").unwrap();
    let same_disk = bench.path("quarantine");
    let (mut exchanges, mut moved) = (0, 0);
    for round in rounds(8) {
        let quarantine = [same_disk.as_path(), other_disk.path()][round % 2];
        for number in 0..FILES {
            bench.put(&format!("box/cur/{number}.m"), eicar());
        }
        let swapper = Swapper::start(&bench.path("box/cur"), &bench.path("box/link"));
        let scan = bench.tool().arg("--quarantine").arg(quarantine);
        let outcome = scan.arg(bench.path("box")).run();
        exchanges += swapper.stop();
        moved += total(&outcome, "quarantined");
        assert!([0, 1].contains(&outcome.code()), "{}", outcome.stderr);
        before.assert_same(&mail_tests::tree::snapshot(&theirs));
    }
    println!("{exchanges} exchanges, {moved} messages");
    assert!(exchanges > 1000 && moved > 0, "{exchanges}, {moved}");
}
