//! The files of a Compose project: each is in the set, or a notice of the set says which is not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use mail_tests::run::Outcome;

use crate::support::{self, Server, assert_sums, list_files};

const DATE: &str = "2026-11-23";
const SET: &str = "daily/2026-11-23";
const ARGS: [&str; 4] = ["--component", "config", "--date", DATE];

/// A server without mail whose project has these files.
fn server(files: &[(&str, &str)]) -> Server {
    let server = Server::empty();
    for (path, text) in files {
        support::put(&server.path(path), text.as_bytes());
    }
    server
}

/// What the set has below `config/`, beside its archive, `docker-compose.yml` and `env`.
fn saved(server: &Server) -> Vec<String> {
    let set = server.set(SET);
    assert_sums(&set);
    let files = list_files(&set.join("config"));
    let names = files.iter().map(|path| path.to_str().unwrap().to_owned());
    let usual = ["config.tar.zst", "docker-compose.yml", "env"];
    names
        .filter(|name| !usual.contains(&name.as_str()))
        .collect()
}

#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) -> (Server, Outcome) {
    let server = server(files);
    let outcome = server.run(&ARGS).assert_code(0);
    let expected: Vec<_> = expected
        .iter()
        .map(|name| format!("project/{name}"))
        .collect();
    assert_eq!(saved(&server), expected, "{}", outcome.stderr);
    (server, outcome)
}

/// The same, and nothing is left out.
#[track_caller]
fn check_whole(files: &[(&str, &str)], expected: &[&str]) -> Server {
    let (server, outcome) = check(files, expected);
    assert!(!outcome.stderr.contains("warning"), "{}", outcome.stderr);
    server
}

/// The same, and a warning and the log of the set say what was left out.
#[track_caller]
fn check_named(files: &[(&str, &str)], expected: &[&str], notices: &[&str]) {
    let (server, outcome) = check(files, expected);
    let log = fs::read_to_string(server.set(SET).join("backup.log")).unwrap();
    for notice in notices {
        assert!(log.contains(notice), "{notice}: {log}");
        assert!(
            outcome.stderr.contains(notice),
            "{notice}: {}",
            outcome.stderr
        );
    }
    let warnings = outcome.stderr.matches("warning: ").count();
    assert_eq!(warnings, notices.len(), "{}", outcome.stderr);
}

const COMPOSE: &str = "docker-compose.yml";

#[test]
fn overrides_and_other_compose_files_are_saved() {
    let one = "services:\n  a:\n    image: x\n";
    check_whole(
        &[("docker-compose.override.yml", one)],
        &["docker-compose.override.yml"],
    );
    check_whole(
        &[("compose.yaml", one), ("compose.override.yml", one)],
        &["compose.override.yml", "compose.yaml"],
    );
    check_whole(
        &[
            (
                ".env",
                "COMPOSE_FILE=docker-compose.yml:more/prod.yml:./mail.yml\n",
            ),
            ("more/prod.yml", "services:\n  b:\n    env_file: prod.env\n"),
            // A path is relative to the directory of the first file, whichever file names it.
            ("prod.env", ""),
            ("mail.yml", one),
        ],
        &["mail.yml", "more/prod.yml", "prod.env"],
    );
    check_whole(
        &[
            (
                ".env",
                "export COMPOSE_PATH_SEPARATOR=,\nCOMPOSE_FILE='sub/a.yml,b.yml'  # ours\n",
            ),
            ("sub/a.yml", "services:\n  a:\n    env_file: [a.env]\n"),
            ("sub/a.env", ""),
            ("b.yml", one),
        ],
        &["b.yml", "sub/a.env", "sub/a.yml"],
    );
}

#[test]
fn another_compose_file_takes_the_place_of_one_that_is_not_there() {
    let server = server(&[
        ("compose.yaml", "services:\n  a:\n    env_file: a.env\n"),
        ("a.env", ""),
    ]);
    fs::remove_file(server.path(COMPOSE)).unwrap();
    server.run(&ARGS).assert_code(0);
    assert_eq!(saved(&server), ["project/a.env", "project/compose.yaml"]);
    assert!(!server.set(SET).join("config/docker-compose.yml").exists());
}

#[test]
fn files_that_services_name_are_saved() {
    let text = "services:\n  a:\n    env_file: a.env\n  b:\n    env_file:\n      - ./b/b.env\n      - a.env\n  c:\n    env_file:\n      - path: c.env\n        required: false\n      - {path: none.env, required: false}\n    label_file: c.labels\n  d:\n    profiles: [never]\n    env_file: !override\n      - ${DIR:-d}/$NAME.env\n";
    check_whole(
        &[
            (COMPOSE, text),
            (".env", "NAME=d\n"),
            ("a.env", ""),
            ("b/b.env", ""),
            ("c.env", ""),
            ("c.labels", ""),
            ("d/d.env", ""),
        ],
        &["a.env", "b/b.env", "c.env", "c.labels", "d/d.env"],
    );
}

#[test]
fn configs_and_secrets_are_saved_for_their_owner_alone() {
    let text = "services:\n  a:\n    image: x\nsecrets:\n  one:\n    file: ./secrets/one\n  two:\n    environment: TWO\n  three:\n    external: true\nconfigs:\n  four:\n    file: four.conf\n  five:\n    content: text\n";
    let server = check_whole(
        &[
            (COMPOSE, text),
            ("secrets/one", "hidden\n"),
            ("four.conf", ""),
        ],
        &["four.conf", "secrets/one"],
    );
    let one = server.set(SET).join("config/project/secrets/one");
    assert_eq!(fs::read_to_string(&one).unwrap(), "hidden\n");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&one), 0o600);
    assert_eq!(mode(one.parent().unwrap()), 0o700);
}

#[test]
fn included_and_extended_files_are_saved_with_what_they_name() {
    check_whole(
        &[
            (
                COMPOSE,
                "include:\n  - parts/web.yml\n  - path: [db/db.yml, db.override.yml]\n    project_directory: data\n    env_file: db/db.vars\nservices:\n  a:\n    extends:\n      file: base/base.yml\n      service: b\n  z:\n    extends: a\n",
            ),
            (
                "parts/web.yml",
                "services:\n  web:\n    env_file: ${WEB}.env\n",
            ),
            ("parts/.env", "WEB=web\n"),
            ("parts/web.env", ""),
            (
                "db/db.yml",
                "services:\n  db:\n    env_file: $DB\nsecrets:\n  key: {file: key}\n",
            ),
            ("db/db.vars", "DB=db.env\n"),
            (
                "db.override.yml",
                "services:\n  db:\n    label_file: labels\n",
            ),
            ("data/db.env", ""),
            ("data/key", ""),
            ("data/labels", ""),
            (
                "base/base.yml",
                "services:\n  b:\n    extends: c\n    env_file: b.env\n  c:\n    extends: {service: d}\n    env_file: c.env\n  d:\n    extends: {file: ../top.yml, service: t}\n  other:\n    env_file: nowhere.env\n",
            ),
            ("base/b.env", ""),
            ("base/c.env", ""),
            (
                "top.yml",
                "services:\n  t:\n    extends: {file: base/base.yml, service: b}\n    env_file: t.env\n",
            ),
            ("t.env", ""),
        ],
        &[
            "base/b.env",
            "base/base.yml",
            "base/c.env",
            "data/db.env",
            "data/key",
            "data/labels",
            "db/db.vars",
            "db/db.yml",
            "db.override.yml",
            "parts/.env",
            "parts/web.env",
            "parts/web.yml",
            "t.env",
            "top.yml",
        ],
    );
}

#[test]
fn a_circle_of_includes_and_extensions_ends() {
    let server = Server::empty();
    let name = server.path("").file_name().unwrap().to_owned();
    let own = format!("../{}/docker-compose.yml", name.to_str().unwrap());
    let text = format!(
        "include:\n  - b.yml\n  - {{path: {own}, project_directory: .}}\nservices:\n  a:\n    \
         extends: {{file: {own}, service: a}}\n"
    );
    support::put(&server.path(COMPOSE), text.as_bytes());
    support::put(&server.path("b.yml"), b"include: [docker-compose.yml]\n");
    let outcome = server.run(&ARGS).assert_code(0);
    assert!(!outcome.stderr.contains("warning"), "{}", outcome.stderr);
    assert_eq!(saved(&server), ["project/b.yml"]);
}

#[test]
fn what_the_archives_have_is_not_saved_twice() {
    let text = "services:\n  a:\n    env_file: [config/a.env, .env, ./certbot/b.env, docker-compose.yml]\n";
    check_whole(
        &[(COMPOSE, text), ("config/a.env", ""), ("certbot/b.env", "")],
        &[],
    );
}

#[test]
fn what_is_not_saved_is_named() {
    let one = |path: &str| format!("services:\n  a:\n    env_file: \"{path}\"\n");
    check_named(
        &[(COMPOSE, &one("none.env"))],
        &[],
        &["none.env, a file of the Compose project, is not in the set: it is not there"],
    );
    check_named(&[(COMPOSE, &one("certbot"))], &[], &[]);
    check_named(
        &[(COMPOSE, &one("dir")), ("dir/x", "")],
        &[],
        &["it is not a regular file"],
    );
    check_named(
        &[(COMPOSE, &one("/etc/hostname"))],
        &[],
        &["/etc/hostname, a file of the Compose project, is not in the set: it lies outside"],
    );
    check_named(
        &[(COMPOSE, &one("${NOWHERE}/a.env"))],
        &[],
        &["${NOWHERE}/a.env is not in the set: NOWHERE is not set here"],
    );
    check_named(
        &[(COMPOSE, &one("${NOWHERE:?say where}/a.env"))],
        &[],
        &["it cannot be filled in"],
    );
    check_named(
        &[(COMPOSE, &one("~/a.env"))],
        &[],
        &["home/a.env, a file of the Compose project, is not in the set: it is not there"],
    );
    check_named(
        &[(COMPOSE, "services:\n\ta: x\n")],
        &[],
        &["docker-compose.yml: found character that cannot start"],
    );
    check_named(
        &[(COMPOSE, "a:\n  image: x\n  env_file: a.env\n")],
        &[],
        &["docker-compose.yml: it is not a compose file"],
    );
    check_named(
        &[(COMPOSE, "services:\n  a: text\n")],
        &[],
        &["its `services` is not understood"],
    );
    check_named(
        &[(COMPOSE, "services:\n  a:\n    env_file: [{file: x}]\n")],
        &[],
        &["its `env_file` is not understood"],
    );
    check_named(
        &[(
            COMPOSE,
            "include: [https://example.org/mail.git, none.yml]\nservices: {}\n",
        )],
        &[],
        &[
            "https://example.org/mail.git is not in the set",
            "none.yml, a file of the Compose project, is not in the set: it is not there",
        ],
    );
    check_named(
        &[
            (
                COMPOSE,
                "services:\n  a:\n    extends: {file: b.yml, service: none}\n",
            ),
            ("b.yml", "services: {}\n"),
        ],
        &["b.yml"],
        &["there is no service none"],
    );
    check_named(
        &[(".env", "COMPOSE_FILE=docker-compose.yml:none.yml\n")],
        &[],
        &["none.yml, a file of the Compose project"],
    );
    check_named(
        &[(".env", "COMPOSE_FILE=\"open\n")],
        &[],
        &[".env cannot be read"],
    );
}

#[test]
fn a_link_that_leads_out_of_the_project_is_named_and_one_that_does_not_is_saved() {
    let text = "services:\n  a:\n    env_file: [in.env, out.env]\n";
    let server = server(&[(COMPOSE, text), ("a.env", "A=1\n")]);
    symlink("a.env", server.path("in.env")).unwrap();
    symlink("/etc/hostname", server.path("out.env")).unwrap();
    server.run(&ARGS).assert_code(0).assert_stderr(
        "out.env, a file of the Compose project, is not in the set: it is a link to /etc/hostname",
    );
    assert_eq!(saved(&server), ["project/in.env"]);
    let copy = server.set(SET).join("config/project/in.env");
    assert_eq!(fs::read_to_string(copy).unwrap(), "A=1\n");
}

#[test]
fn a_file_that_may_not_be_read_is_named_and_the_set_is_made() {
    let text = "services:\n  a:\n    env_file: a.env\n";
    let server = server(&[(COMPOSE, text), ("a.env", "A=1\n")]);
    fs::set_permissions(server.path("a.env"), fs::Permissions::from_mode(0o000)).unwrap();
    server.run_unprivileged(&ARGS).assert_code(0).assert_stderr(
        "a.env, a file of the Compose project, is not in the set: it cannot be read: ",
    );
    assert_eq!(saved(&server), [""; 0]);
}

#[test]
fn where_env_and_the_environment_differ_the_files_of_both_are_saved() {
    let text = "services:\n  a:\n    env_file: $NAME.env\n";
    let server = server(&[
        (COMPOSE, text),
        (".env", "NAME=a\n"),
        ("a.env", ""),
        ("b.env", ""),
    ]);
    let outcome = support::checked(server.tool(&ARGS).env("NAME", "b").run()).assert_code(0);
    assert!(!outcome.stderr.contains("warning"), "{}", outcome.stderr);
    assert_eq!(saved(&server), ["project/a.env", "project/b.env"]);
}

#[test]
fn a_dry_run_says_which_files_of_the_project_would_be_saved() {
    let text = "services:\n  a:\n    env_file: [a.env, none.env]\n";
    let server = server(&[(COMPOSE, text), ("a.env", "")]);
    let outcome = server
        .run(&[&ARGS[..], &["--dry-run"]].concat())
        .assert_code(0)
        .assert_stderr("a.env to config/project/a.env");
    outcome.assert_stderr("none.env, a file of the Compose project, is not in the set");
    assert_eq!(server.daily(), [""; 0]);
}

#[test]
fn files_of_the_project_are_carried_over_when_other_parts_are_saved_again() {
    let text = "services:\n  a:\n    env_file: a.env\n";
    let server = check_whole(&[(COMPOSE, text), ("a.env", "")], &["a.env"]);
    server
        .run(&["--component", "ssl", "--date", DATE])
        .assert_code(0);
    assert_eq!(saved(&server), ["project/a.env"]);
}
