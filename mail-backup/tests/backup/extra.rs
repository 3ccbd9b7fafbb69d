//! Further directories, what is left out of trees, and databases that are files among them.

use std::fs;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::process::Command;

use mail_tests::run::Outcome;
use rustix::fs::inotify;

use crate::support::{self, Server, assert_sums, put, unpack_archive};

const SET: &str = "daily/2026-11-23";
const ARGS: [&str; 4] = ["--component", "config", "--date", "2026-11-23"];

/// Saves the configuration with these settings.
#[track_caller]
fn save(server: &Server, settings: &[(&str, &str)], code: i32) -> Outcome {
    let mut tool = server.tool(&ARGS);
    for (name, value) in settings {
        tool = tool.env(name, value);
    }
    support::checked(tool.run()).assert_code(code)
}

/// The archive of `directory` in `set`.
fn archive(set: &Path, directory: &Path) -> PathBuf {
    let below = directory.strip_prefix("/").unwrap().display();
    set.join(format!("config/extra/{below}.tar.zst"))
}

/// What an artifact says was left out of it.
fn excluded(outcome: &Outcome, name: &str) -> u64 {
    let artifacts = outcome.data("artifact");
    let mut named = artifacts
        .iter()
        .filter(|artifact| artifact["path"].as_str().unwrap().ends_with(name));
    named.next().unwrap()["excluded"]
        .as_u64()
        .unwrap_or_default()
}

#[test]
fn further_directories_are_archives_under_their_whole_paths() {
    let server = Server::empty();
    put(&server.path("etc/postfix/main.cf"), b"myhostname = mx\n");
    put(
        &server.path("etc/dovecot/conf.d/10-mail.conf"),
        b"mail_location =\n",
    );
    let [postfix, dovecot, gone] =
        ["etc/postfix", "etc/dovecot", "etc/gone"].map(|name| server.path(name));
    let both = format!("{} {}", postfix.display(), dovecot.display());
    save(&server, &[("EXTRA_DIRS", &both)], 0);
    let set = server.set(SET);
    assert_sums(&set);
    for (directory, file) in [(&postfix, "main.cf"), (&dovecot, "conf.d/10-mail.conf")] {
        let unpacked = tempfile::tempdir().unwrap();
        unpack_archive(&archive(&set, directory), unpacked.path(), &[]);
        let saved = fs::read(unpacked.path().join(file)).unwrap();
        assert_eq!(saved, fs::read(directory.join(file)).unwrap());
    }

    let with_gone = format!("{both} {}", gone.display());
    let outcome = save(&server, &[("EXTRA_DIRS", &with_gone)], 1);
    let others = format!("EXTRA_DIRS=\"{} {}\"", dovecot.display(), postfix.display());
    outcome.assert_stderr(&format!("if the server has none, say so: {others}"));

    let dry_run = [&ARGS[..], &["--dry-run"]].concat();
    let shown = server.tool(&dry_run).env("EXTRA_DIRS", &both).run();
    shown.assert_code(0).assert_stderr("config/extra/");
    let root = server.root();
    let above = format!("{} {}", postfix.display(), root.parent().unwrap().display());
    for (wrong, why) in [
        ("etc/postfix", "whole paths"),
        (&above, "do not hold MAIL_DATA_DIR"),
    ] {
        save(&server, &[("EXTRA_DIRS", wrong)], 2).assert_stderr(why);
    }
    save(&server, &[("EXTRA_DIRS", root.to_str().unwrap())], 2).assert_stderr("lies in");
    // What a flag names is not named by the settings.
    for flag in ["--mail-dir", "--config-dir"] {
        let args = [&ARGS[..], &[flag, postfix.to_str().unwrap()]].concat();
        let outcome = server.tool(&args).env("EXTRA_DIRS", &both).run();
        outcome.assert_code(2).assert_stderr("whole paths");
    }
}

#[test]
fn a_small_file_is_opened_once() {
    let server = Server::empty();
    let key = server.path("config/opendkim/mail.private");
    put(&key, b"-----BEGIN PRIVATE KEY-----\nx\n");
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    // Two openings with nothing between them would be one event.
    let flags = inotify::WatchFlags::OPEN | inotify::WatchFlags::CLOSE_NOWRITE;
    inotify::add_watch(&watch, &key, flags).unwrap();
    let outcome = save(&server, &[], 0);
    let watched = outcome.data("watched");
    let is_key = |file: &&serde_json::Value| file["path"] == "opendkim/mail.private";
    assert_eq!(watched.iter().filter(is_key).count(), 1, "{watched:?}");
    // What is hashed and what is looked into are the same bytes.
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(&watch, &mut buffer);
    let mut opened = 0;
    while let Ok(event) = events.next() {
        opened += u32::from(event.events().contains(inotify::ReadFlags::OPEN));
    }
    assert_eq!(opened, 1);
}

#[test]
fn what_is_excluded_is_counted_and_said_in_the_set() {
    let server = Server::empty();
    for name in [
        "cache/a",
        "cache/b/c",
        "x/debug.log",
        "x/main.cf",
        "debug.log.1",
    ] {
        put(&server.path("config").join(name), b"x\n");
    }
    let outcome = save(&server, &[("EXCLUDE", "cache/ *.log /none/*")], 0);
    let unpacked = tempfile::tempdir().unwrap();
    let set = server.set(SET);
    unpack_archive(&set.join("config/config.tar.zst"), unpacked.path(), &[]);
    let is_there = |name: &str| unpacked.path().join(name).exists();
    assert!(is_there("x/main.cf") && is_there("debug.log.1") && is_there("postfix/main.cf"));
    assert!(!is_there("cache") && !is_there("x/debug.log"));
    // A directory is one, whatever is in it.
    assert_eq!(excluded(&outcome, "config.tar.zst"), 2);
    assert_eq!(outcome.data("end")[0]["totals"]["excluded_entries"], 2);
    let manifest = fs::read_to_string(set.join("manifest.jsonl")).unwrap();
    assert_eq!(manifest.matches("\"excluded\":2").count(), 1, "{manifest}");
    let log = fs::read_to_string(set.join("backup.log")).unwrap();
    let note = format!(
        "note: EXCLUDE leaves 2 entries of {} out: cache, x/debug.log\n",
        server.path("config").display()
    );
    assert!(log.contains(&note), "{log}");
    assert!(!outcome.stderr.contains("warning"), "{}", outcome.stderr);
    save(&server, &[("EXCLUDE", "a [b")], 2).assert_stderr("EXCLUDE: \"[b\" is not a pattern");
}

#[test]
fn a_database_in_the_middle_of_a_change_is_named() {
    let server = Server::empty();
    let database = server.path("config/rspamd/bayes.db");
    put(&server.path("config/rspamd/notes-wal"), b"not a database\n");
    put(&server.path("config/rspamd/notes"), b"not a database\n");
    fs::create_dir_all(database.parent().unwrap()).unwrap();
    let script = "import os, sqlite3, sys\n\
                  db = sqlite3.connect(sys.argv[1])\n\
                  db.execute('pragma journal_mode=' + sys.argv[2])\n\
                  db.execute('create table if not exists t (x)')\n\
                  db.execute('begin immediate'); db.execute('insert into t values (1)')\n\
                  if sys.argv[2] == 'wal': db.commit()\n\
                  if len(sys.argv) > 3: db.commit(); db.close()\n\
                  os._exit(0)\n";
    let run = |args: &[&str]| {
        let mut python = Command::new("python3");
        support::succeed(python.arg("-c").arg(script).arg(&database).args(args));
    };
    let says = format!(
        "{} is a SQLite database that may be in the middle of a change",
        database.display()
    );
    let command = format!("`sqlite3 '{}' \".backup COPY\"`", database.display());
    for (args, expected) in [
        (&["delete", "closed"][..], false),
        (&["delete"], true),
        (&["wal"], true),
        (&["wal", "closed"], false),
    ] {
        run(args);
        let outcome = save(&server, &[], 0);
        assert_eq!(
            outcome.stderr.contains(&says),
            expected,
            "{args:?}: {}",
            outcome.stderr
        );
        assert_eq!(outcome.stderr.contains(&command), expected);
        assert!(!outcome.stderr.contains("notes"), "{}", outcome.stderr);
    }
}
