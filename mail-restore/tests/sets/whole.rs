//! Whole sets onto a live server and into a directory: what comes back is what was saved, and what
//! was there is kept.
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::{SET, checked, is_root, live, mail, names, put, restore, restored, shell};
use mail_tests::maildir::TreePlan;
use mail_tests::server::{Server, TREES};
use mail_tests::tree::snapshot;

/// What is beside the targets of a server and was not there before.
fn kept(server: &Server) -> Vec<String> {
    let mut kept: Vec<String> = names(server.dir())
        .into_iter()
        .filter(|name| name.contains(".bak."))
        .collect();
    kept.iter_mut()
        .for_each(|name| name.truncate(name.find(".bak.").unwrap()));
    kept
}

#[test]
fn everything_comes_back_and_what_was_there_is_kept() {
    let (server, _) = Server::saved(300);
    let before = restored(&server).without_temporary();
    shell(
        &server.mail(),
        "echo later >example.com/alice/cur/1.later; rm -r example.com/bob; chmod 711 example.com",
    );
    put(&server.dir().join("config/postfix/main.cf"), b"changed\n");
    fs::remove_dir_all(server.dir().join("certbot")).unwrap();
    fs::write(server.dir().join(".env"), "DOMAIN=other\n").unwrap();
    let outcome = restore(&server, &[]).assert_code(0);
    assert_eq!(
        kept(&server),
        [".env", "config", "docker-compose.yml", "mail", "opendkim"]
    );
    before.assert_same(&restored(&server));
    let old_mail = names(server.dir())
        .into_iter()
        .find(|name| name.starts_with("mail.bak."))
        .unwrap();
    assert_eq!(
        fs::read_to_string(
            server
                .dir()
                .join(old_mail)
                .join("example.com/alice/cur/1.later")
        )
        .unwrap(),
        "later\n"
    );
    let records = outcome.data("restored");
    let artifacts = fs::read_to_string(server.root().join(SET).join("manifest.jsonl")).unwrap();
    let archives = artifacts
        .lines()
        .filter(|line| line.contains("\"artifact\"") && !line.contains(".jsonl.zst"));
    assert_eq!(records.len(), archives.count());
    assert!(records.iter().all(|record| record["dry_run"] == false));
}

#[test]
fn mail_has_its_owners_modes_times_links_and_attributes() {
    let server = Server::new(&TreePlan {
        mean_bytes: 2_000,
        ..TreePlan::new(200, 3, 5)
    });
    let mailbox = server.mail().join("example.com/alice");
    put(
        &mailbox.join("cur/1700000000.M1.mx,S=9:2,S"),
        b"linked\r\n\n",
    );
    fs::hard_link(
        mailbox.join("cur/1700000000.M1.mx,S=9:2,S"),
        mailbox.join("cur/1700000000.M2.mx,S=9:2,"),
    )
    .unwrap();
    symlink("../cur", mailbox.join("shortcut")).unwrap();
    put(
        &mailbox.join("cur/1700000001.M3.mx:2,"),
        &vec![b'x'; 17 << 20],
    );
    if is_root() {
        shell(
            &server.mail(),
            "chown -R 5000:5001 example.com; chown -h 7:8 example.com/alice/shortcut; chmod 2750 example.com/alice",
        );
        shell(
            &server.mail(),
            "setfacl -m u:33:r example.com/alice/cur/1700000001.M3.mx:2, || true",
        );
    }
    server.save_trees();
    let before = mail(&server.mail());
    fs::remove_dir_all(server.mail()).unwrap();
    let _ = restore(&server, &["--component", "mail"]).assert_code(0);
    before.assert_same(&mail(&server.mail()));
    assert_eq!(kept(&server), [] as [&str; 0]);
}

#[test]
fn one_component_leaves_the_others_alone() {
    let (server, _) = Server::saved(30);
    let before = restored(&server);
    put(
        &server.dir().join("opendkim/keys/example.com/mail.private"),
        b"lost\n",
    );
    let _ = restore(&server, &["--component", "dkim"]).assert_code(0);
    before.assert_same(&restored(&server));
}

#[test]
fn what_the_server_does_not_have_is_left_out_and_named() {
    let (server, _) = Server::saved(30);
    let before = restored(&server);
    let spoil = || {
        put(&server.dir().join("config/postfix/main.cf"), b"lost\n");
    };
    let check = |settings: &[(&str, &str)], component: &str| {
        spoil();
        let mut tool = server.restore().args(["--from", SET]);
        for (name, value) in settings {
            tool = tool.env(name, value);
        }
        let text = format!("{component} is in the set and is not restored");
        let outcome = checked(tool).assert_code(0).assert_stderr(&text);
        let of_it = |record: &serde_json::Value| record["component"] == component;
        assert!(!outcome.data("restored").iter().any(of_it), "{component}");
        before.assert_same(&restored(&server));
    };
    check(&[("BACKUP_COMPONENTS", "mailboxes config ssl")], "dkim");
    check(&[("DKIM_DIR", "")], "dkim");
    check(&[("SSL_DIR", "none")], "ssl");
    // Asked for by name it needs a place; a directory takes all that the set holds.
    let asked = ["--from", SET, "--component", "dkim"];
    let _ = checked(server.restore().args(asked).env("DKIM_DIR", ""))
        .assert_code(2)
        .assert_failure("usage")
        .assert_stderr("this server has no dkim; name its directory with --dkim-dir");
    let to = server.dir().join("to");
    let args = ["--from", SET, "--to", to.to_str().unwrap()];
    let _ = checked(server.restore().args(args).env("DKIM_DIR", "")).assert_code(0);
    assert!(to.join("dkim/keys/example.com/mail.private").is_file());
    // A compose file has no place where there is no compose project.
    put(&server.dir().join("docker-compose.yml"), b"kept\n");
    let tool = server
        .restore()
        .args(["--from", SET, "--component", "config"]);
    let _ = checked(tool.env("DOCKER_COMPOSE_FILE", ""))
        .assert_code(0)
        .assert_stderr("config/docker-compose.yml is not restored: no place is known for it");
    let compose = fs::read_to_string(server.dir().join("docker-compose.yml")).unwrap();
    assert_eq!(compose, "kept\n");
}

#[test]
fn a_set_of_nothing_that_the_server_has_is_refused() {
    let server = Server::new(&TreePlan::new(10, 1, 1));
    let args = ["--component", "dkim", "--date", "2026-11-23"];
    let _ = server.backup().args(args).run().assert_code(0);
    let tool = server.restore().args(["--from", SET]);
    let _ = checked(tool.env("BACKUP_COMPONENTS", "mailboxes"))
        .assert_code(2)
        .assert_failure("no_such")
        .assert_stderr("holds nothing that the settings say this server has");
}

#[test]
fn keys_within_the_configuration_are_restored_with_it_and_without_it() {
    let server = Server::new(&TreePlan::new(10, 1, 1));
    let keys = server.dir().join("config/opendkim");
    put(&keys.join("keys/mail.private"), b"key\n");
    let env = |tool: mail_tests::run::Tool| tool.env("DKIM_DIR", &keys);
    let _ = env(server.backup().args(TREES).args(["--date", "2026-11-23"]))
        .run()
        .assert_code(0);
    for components in [
        &["--component", "config", "--component", "dkim"][..],
        &["--component", "dkim"],
    ] {
        let before = restored(&server);
        put(&keys.join("keys/mail.private"), b"lost\n");
        put(&keys.join("keys/added"), b"later\n");
        let _ = env(server.restore().args(["--from", SET]).args(components))
            .run()
            .assert_code(0);
        before.assert_same(&restored(&server));
        shell(
            server.dir(),
            "rm -r *.bak.* .[a-z]*.bak.* config/*.bak.* 2>/dev/null || true",
        );
    }
}

/// A server whose project names files, and a set of its configuration.
fn server_with_project() -> Server {
    let server = Server::new(&TreePlan::new(10, 1, 1));
    put(
        &server.dir().join("docker-compose.yml"),
        b"services:\n  a:\n    env_file: [mail.env, config/c.env]\nsecrets:\n  key: {file: secrets/deep/key}\n",
    );
    for name in ["mail.env", "config/c.env", "secrets/deep/key"] {
        put(&server.dir().join(name), b"as it was\n");
    }
    put(
        &server.dir().join("docker-compose.override.yml"),
        b"services: {}\n",
    );
    server.save_trees();
    server
}

/// A restore of the configuration alone.
const CONFIG: [&str; 2] = ["--component", "config"];

#[test]
fn files_of_the_project_come_back_to_their_places() {
    let server = server_with_project();
    let read = |name: &str| fs::read_to_string(server.dir().join(name)).unwrap();
    put(&server.dir().join("mail.env"), b"lost\n");
    fs::set_permissions(
        server.dir().join("mail.env"),
        fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    shell(server.dir(), "rm -r secrets docker-compose.override.yml");
    let dry = restore(&server, &["--component", "config", "--dry-run"]).assert_code(0);
    let shown = |name: &str| {
        let target = server.dir().join(name);
        let is_it = |record: &serde_json::Value| record["target"] == *target.to_str().unwrap();
        assert!(dry.data("restored").iter().any(is_it), "{name}");
    };
    for name in [
        "mail.env",
        "secrets/deep/key",
        "docker-compose.override.yml",
    ] {
        shown(name);
    }
    assert!(!server.dir().join("secrets").exists());

    let _ = restore(&server, &CONFIG).assert_code(0);
    assert_eq!(read("mail.env"), "as it was\n");
    assert_eq!(read("secrets/deep/key"), "as it was\n");
    assert_eq!(read("docker-compose.override.yml"), "services: {}\n");
    let mode = |name: &str| {
        let metadata = server.dir().join(name).metadata().unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("mail.env"), 0o640);
    assert_eq!(mode("secrets/deep/key"), 0o600);
    assert_eq!(mode("secrets/deep"), mode("."));
    assert!(kept(&server).contains(&"mail.env".to_owned()));
}

#[test]
fn into_a_directory_the_files_of_the_project_have_one_of_their_own() {
    let server = server_with_project();
    let to = server.dir().join("to");
    let _ = restore(
        &server,
        &["--component", "config", "--to", to.to_str().unwrap()],
    )
    .assert_code(0);
    assert_eq!(names(&to), ["config", "project"]);
    assert_eq!(
        names(&to.join("project")),
        ["docker-compose.override.yml", "mail.env", "secrets"]
    );
    assert_eq!(
        fs::read_to_string(to.join("project/secrets/deep/key")).unwrap(),
        "as it was\n"
    );
}

#[test]
fn a_failed_restore_leaves_no_directory_of_the_project_behind() {
    let server = server_with_project();
    shell(server.dir(), "rm -r secrets");
    let before = live(&server);
    let set = server.root().join(SET);
    shell(
        &set,
        "echo damaged >config/config.tar.zst; rm manifest.jsonl; find . -type f ! -name checksums.sha256 -printf '%P\\n' | sort | xargs sha256sum >checksums.sha256",
    );
    let _ = restore(&server, &CONFIG).assert_code(3);
    before.assert_same(&live(&server));
}

#[test]
fn a_file_of_the_project_is_not_restored_through_a_link_out_of_it() {
    let server = server_with_project();
    let elsewhere = tempfile::tempdir().unwrap();
    for target in [elsewhere.path(), Path::new("nothing")] {
        shell(
            server.dir(),
            "rm -r secrets *.bak.* .env.bak.* 2>/dev/null || true",
        );
        symlink(target, server.dir().join("secrets")).unwrap();
        let _ = restore(&server, &CONFIG)
            .assert_code(0)
            .assert_stderr("config/project/secrets/deep/key is not restored: a link leads");
        assert_eq!(names(elsewhere.path()), [""; 0]);
    }
}

#[test]
fn a_compose_file_within_the_configuration_is_restored_with_it() {
    let server = Server::new(&TreePlan::new(10, 1, 1));
    let config = server.dir().join("config");
    shell(server.dir(), "mv docker-compose.yml .env config/");
    put(&config.join("env"), b"of another program\n");
    let env = |tool: mail_tests::run::Tool| {
        tool.env("DOCKER_COMPOSE_FILE", config.join("docker-compose.yml"))
            .env("ENV_FILE", config.join(".env"))
    };
    let _ = env(server.backup().args(TREES).args(["--date", "2026-11-23"]))
        .run()
        .assert_code(0);
    let before = restored(&server);
    put(&config.join("docker-compose.yml"), b"lost\n");
    let run = |args: &[&str]| {
        let tool = server.restore().args(["--from", SET]).args(CONFIG);
        checked(env(tool.args(args))).assert_code(0)
    };
    let _ = run(&[]);
    before.assert_same(&restored(&server));
    let to = server.dir().join("to");
    let _ = run(&["--to", to.to_str().unwrap()])
        .assert_stderr("config/env of the set is not restored: the archives have something else");
    assert_eq!(
        fs::read_to_string(to.join("config/docker-compose.yml")).unwrap(),
        "services: {}\n"
    );
    assert_eq!(
        fs::read_to_string(to.join("config/env")).unwrap(),
        "of another program\n"
    );
}

#[test]
fn every_day_of_a_chain_of_incremental_sets_restores() {
    let server = Server::new(&TreePlan {
        mean_bytes: 3_000,
        ..TreePlan::new(400, 3, 9)
    });
    for day in 1..5_u32 {
        let date = format!("2026-11-{:02}", 20 + day);
        if day > 1 {
            mail_tests::maildir::age(&server.mail(), &mail_tests::maildir::DayPlan::new(day, 9))
                .unwrap();
        }
        let _ = server
            .backup()
            .args(["--component", "mail", "--date", &date])
            .run()
            .assert_code(0);
        let to = server.dir().join(format!("to-{day}"));
        let from = format!("daily/{date}");
        let _ = checked(server.restore().args(["--from", &from, "--dry-run"])).assert_code(0);
        let _ = checked(server.restore().args(["--from", &from, "--to"]).arg(&to)).assert_code(0);
        mail(&server.mail()).assert_same(&snapshot(&to.join("mailboxes")));
    }
}

#[test]
fn a_directory_gets_each_component_in_one_of_its_own() {
    let (server, _) = Server::saved(40);
    let before = live(&server);
    let to = server.dir().parent().unwrap().join(format!(
        "{}-to",
        server.dir().file_name().unwrap().to_str().unwrap()
    ));
    fs::create_dir(&to).unwrap();
    fs::create_dir(to.join("ssl")).unwrap();
    let _ = restore(&server, &["--to", to.to_str().unwrap()]).assert_code(0);
    before.assert_same(&live(&server));
    assert_eq!(names(&to), ["config", "dkim", "mailboxes", "ssl"]);
    mail(&server.mail()).assert_same(&snapshot(&to.join("mailboxes")));
    assert_eq!(
        names(&to.join("config")),
        ["docker-compose.yml", "dovecot", "env", "postfix"]
    );
    assert_eq!(
        fs::read_to_string(to.join("config/env")).unwrap(),
        "DOMAIN=example.com\n"
    );
    snapshot(&server.dir().join("certbot")).assert_same(&snapshot(&to.join("ssl")));
    // What is there is not mixed with what is restored.
    let refused = restore(&server, &["--to", to.to_str().unwrap()]).assert_code(2);
    let _ = refused.assert_failure("usage");
    fs::remove_dir_all(&to).unwrap();
}

#[test]
fn an_ordinary_user_restores_into_a_directory_and_root_gives_the_owners_later() {
    if !is_root() {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    let server = Server::new(&TreePlan {
        mean_bytes: 2_000,
        ..TreePlan::new(40, 2, 3)
    });
    shell(
        &server.mail(),
        "chown -R 5000:5001 example.com; touch 'example.com/alice/cur/1.a b\\ü:2,'; chmod 640 example.com/alice/cur/1.*",
    );
    server.save_trees();
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    // Another user may not read the sets of root, so it gets a copy.
    let copy = place.path().join("copy");
    shell(
        place.path(),
        &format!(
            "cp -a {}/. copy; chown -R 65534:65534 copy",
            server.root().join(SET).display()
        ),
    );
    let to = place.path().join("to");
    let tool = server
        .restore()
        .arg("--from")
        .arg(&copy)
        .args(["--component", "mail", "--to"])
        .arg(&to);
    let _ = checked(tool.as_nobody())
        .assert_code(0)
        .assert_stderr("setfacl --restore=");
    let owner = shell(&to, "stat -c %u:%g mailboxes/example.com");
    assert_eq!(owner, "65534:65534\n");
    shell(
        &to.join("mailboxes"),
        "setfacl --restore=../mailboxes.owners",
    );
    // setfacl knows no symbolic links; nobody asks for their owners.
    let without_links =
        |tree: mail_tests::tree::Snapshot| tree.without(|path| path.ends_with(".dovecot.sieve"));
    without_links(mail(&server.mail()))
        .assert_same(&without_links(snapshot(&to.join("mailboxes"))));
}

#[test]
fn a_dry_run_reads_everything_and_writes_nothing() {
    let (server, _) = Server::saved(60);
    put(
        &server.mail().join("example.com/alice/cur/1.later"),
        b"later",
    );
    let before = snapshot(server.dir());
    let outcome = restore(&server, &["--dry-run"])
        .assert_code(0)
        .assert_stderr("nothing is written");
    let outcome = outcome.assert_stderr("would have to be stopped and started");
    before.assert_same(&snapshot(server.dir()));
    let planned = outcome.data("restored");
    assert!(planned.len() > 8 && planned.iter().all(|record| record["dry_run"] == true));
    let entries = |records: &[serde_json::Value]| -> u64 {
        records.iter().map(|r| r["entries"].as_u64().unwrap()).sum()
    };
    let real = restore(&server, &[]).assert_code(0).data("restored");
    assert_eq!(entries(&planned), entries(&real));
    let table = server
        .restore()
        .args(["--from", SET, "--dry-run", "--format", "text"])
        .run()
        .assert_code(0)
        .text();
    assert!(
        table.contains("COMPONENT") && table.contains("(dry run)"),
        "{table}"
    );
}

#[test]
fn a_second_restore_keeps_what_the_first_put_there() {
    let (server, _) = Server::saved(20);
    for _ in 0..2 {
        let _ = restore(&server, &["--component", "mail"]).assert_code(0);
    }
    assert_eq!(kept(&server), ["mail", "mail"]);
    assert!(
        names(server.dir())
            .iter()
            .all(|name| !name.contains(".restoring"))
    );
}

#[test]
fn a_target_that_is_a_link_stays_one() {
    let (server, _) = Server::saved(20);
    let real = server.dir().join("elsewhere");
    fs::rename(server.mail(), &real).unwrap();
    symlink("elsewhere", server.mail()).unwrap();
    let before = mail(&real);
    put(&real.join("example.com/alice/cur/1.later"), b"later");
    let _ = restore(&server, &["--component", "mail"]).assert_code(0);
    assert_eq!(
        fs::read_link(server.mail()).unwrap(),
        Path::new("elsewhere")
    );
    before
        .without_dir_times()
        .assert_same(&mail(&real).without_dir_times());
}

#[test]
fn verify_looks_at_digests_and_at_nothing_else() {
    let (server, set) = Server::saved(20);
    let before = snapshot(server.dir());
    let _ = restore(&server, &["--verify"])
        .assert_code(0)
        .assert_stderr("0 are damaged");
    // Where it would be restored to does not matter.
    let _ = checked(
        server
            .restore()
            .args(["--from", SET, "--verify"])
            .env("MAIL_DATA_DIR", "/no/such/place"),
    )
    .assert_code(0);
    before.assert_same(&snapshot(server.dir()));
    crate::support::flip(&set.join("dkim/dkim.tar.zst"), -1);
    let _ = restore(&server, &["--verify"])
        .assert_code(1)
        .assert_failure("damaged")
        .assert_stderr("dkim/dkim.tar.zst");
    let _ = restore(&server, &["--verify", "--component", "ssl"]).assert_code(0);
    let _ = restore(&server, &["--verify", "--mailbox", "alice@example.com"]).assert_code(2);
}

#[test]
fn further_directories_come_back_only_where_the_settings_name_them() {
    let (server, _) = Server::saved(3);
    let postfix = server.dir().join("etc/postfix");
    let private = server.dir().join("private");
    put(&postfix.join("main.cf"), b"myhostname = mx\n");
    put(&postfix.join("cache/a"), b"cached\n");
    put(&private.join("key"), b"mine\n");
    let both = format!("{} {}", postfix.display(), private.display());
    let only = postfix.display().to_string();
    let config = ["--component", "config"];
    let backup = server.backup().args(config).args(["--date", "2026-11-23"]);
    let backup = backup.env("EXTRA_DIRS", &both).env("EXCLUDE", "cache");
    let _ = checked(backup).assert_code(0);
    put(&postfix.join("main.cf"), b"changed\n");
    put(&private.join("key"), b"changed\n");

    // A set that names other directories writes into none of them.
    let restore = |args: &[&str], named: &str| {
        let tool = server
            .restore()
            .args(["--from", SET])
            .args(config)
            .args(args);
        checked(tool.env("EXTRA_DIRS", named)).assert_code(0)
    };
    let outcome = restore(&[], &only);
    assert_eq!(
        fs::read(postfix.join("main.cf")).unwrap(),
        b"myhostname = mx\n"
    );
    assert_eq!(fs::read(private.join("key")).unwrap(), b"changed\n");
    let outcome = outcome.assert_stderr("EXTRA_DIRS does not name its directory");
    let outcome = outcome.assert_stderr("was saved without 1 entry that EXCLUDE named");
    assert_eq!(
        outcome.stderr.matches("warning:").count(),
        2,
        "{}",
        outcome.stderr
    );
    let beside = names(&server.dir().join("etc"));
    assert!(
        beside.iter().any(|name| name.starts_with("postfix.bak.")),
        "{beside:?}"
    );

    let new = server.dir().join("new");
    put(&new.join("x"), b"");
    let named = format!("{only} {}", new.display());
    restore(&["--dry-run"], &named).assert_stderr(&format!("does not have: {}", new.display()));

    let to = server.dir().join("to");
    restore(&["--to", to.to_str().unwrap()], "");
    for (directory, file, text) in [
        (&postfix, "main.cf", "myhostname = mx\n"),
        (&private, "key", "mine\n"),
    ] {
        let below = to.join("extra").join(directory.strip_prefix("/").unwrap());
        assert_eq!(fs::read_to_string(below.join(file)).unwrap(), text);
    }
}
