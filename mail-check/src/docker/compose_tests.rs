use super::merge::name_of_directory;
use super::*;

/// Reads `docker-compose.yml` and the files beside it, without asking a program.
fn read(files: &[(&str, &str)]) -> Result<Compose, DockerError> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        mail_common::atomic::write_file(&dir.path().join(name), text.as_bytes()).unwrap();
    }
    let variables = Variables::read(&dir.path().join(".env"))?;
    let files = compose::of_project(&dir.path().join("docker-compose.yml"), &variables);
    Project::read(&files, &variables)?.settled(&files, &variables)
}

#[track_caller]
fn check(files: &[(&str, &str)], wanted: &[&str]) {
    assert_eq!(read(files).unwrap().wanted, wanted, "{files:#?}");
}

#[test]
fn services_are_those_that_up_starts() {
    let text = "services:\n  a: {image: x}\n  b:\n    profiles: [debug]\n  c:\n    deploy:\n      replicas: 0\n  \
                d:\n    scale: 0\n  e:\n    profiles: []\n    deploy: {replicas: 2}\n  f:\n    labels:\n      profiles: x\n  \
                \"g\":\n";
    check(&[("docker-compose.yml", text)], &["a", "e", "f", "g"]);
}

#[test]
fn profiles_come_from_the_environment_and_by_merge_keys() {
    let text = "x-debug: &debug\n  profiles: [debug]\nservices:\n  postfix:\n  tools:\n    <<: *debug\n  clamd:\n    profiles: [antivirus]\n";
    check(&[("docker-compose.yml", text)], &["postfix"]);
    let env = ".env";
    check(
        &[
            ("docker-compose.yml", text),
            (env, "COMPOSE_PROFILES=antivirus,webmail\n"),
        ],
        &["clamd", "postfix"],
    );
    check(
        &[("docker-compose.yml", text), (env, "COMPOSE_PROFILES=*\n")],
        &["clamd", "postfix", "tools"],
    );
}

#[test]
fn overrides_includes_and_extensions_are_followed() {
    let base = ("base.yml", "services:\n  base:\n    profiles: [x]\n");
    let more = ("more.yml", "name: other\nservices:\n  more:\n");
    let own = "include:\n  - more.yml\nservices:\n  a:\n    extends:\n      file: base.yml\n      service: base\n  b:\n    extends: c\n  c:\n    scale: ${N:-0}\n";
    let changed = (
        "docker-compose.override.yml",
        "services:\n  c:\n    scale: 1\n  roundcube:\n",
    );
    check(&[("docker-compose.yml", own), base, more], &["more"]);
    check(
        &[("docker-compose.yml", own), base, more, changed],
        &["c", "more", "roundcube"],
    );
    check(
        &[("docker-compose.yml", own), base, more, (".env", "N=2\n")],
        &["b", "c", "more"],
    );
}

#[test]
fn the_project_is_named_as_docker_compose_does() {
    let named = ("docker-compose.yml", "name: ${P:-post}\nservices:\n  a:\n");
    assert_eq!(read(&[named]).unwrap().project, "post");
    let env = (".env", "export COMPOSE_PROJECT_NAME=mail   # ours\nP=x\n");
    assert_eq!(read(&[named, env]).unwrap().project, "mail");
    let check = |directory: &str, expected: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(directory);
        std::fs::create_dir(&path).unwrap();
        let file = path.join("docker-compose.yml");
        mail_common::atomic::write_file(&file, b"").unwrap();
        assert_eq!(name_of_directory(&file), expected);
    };
    check("Mail.Server", "mailserver");
    check("_mail-server_2", "mail-server_2");
}

#[test]
fn what_cannot_be_understood_is_an_error_and_never_a_service_less() {
    let check = |text: &str, expected: &str| {
        let error = read(&[("docker-compose.yml", text)])
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{text}: {error}");
    };
    check("services:\n  - a\n", "services is not a mapping");
    check("services:\n\ta:\n", "line 2");
    check("volumes:\n", "no service");
    check("services:\n  a: text\n", "a is not a mapping");
    check("services:\n  a:\n    scale: many\n", "not a number");
    check("services:\n  a:\n    profiles: !reset []\n", "profiles");
    check("services:\n  a:\n    extends: a\n", "in a circle");
    check(
        "services:\n  a:\n    scale: ${N:?say how many}\n",
        "cannot be filled in",
    );
    check("include: [none.yml]\nservices:\n  a:\n", "none.yml");
}

proptest::proptest! {
    #[test]
    fn random_text_never_panics(tail in "[a-z:#|>'\"\\- \\n\\t\\[\\]{}&*<!$é]{0,80}") {
        let _ = read(&[("docker-compose.yml", &format!("services:\n  {tail}"))]);
    }
}
