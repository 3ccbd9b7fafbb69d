use super::merge::name_of_directory;
use super::*;

/// Reads `docker-compose.yml` and the files beside it, without asking a program.
fn read(files: &[(&str, &str)]) -> Result<Compose, DockerError> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        mail_common::atomic::write_file(&path, text.as_bytes()).unwrap();
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
fn an_override_may_reset_and_replace() {
    let base = "services:\n  a:\n    profiles: [x]\n  b:\n    deploy: {replicas: 0}\n  c:\n  d:\n    scale: 0\n  \
                e:\n    deploy: {replicas: 0}\n";
    let changed = |changed: &str, wanted: &[&str]| {
        let changed = ("docker-compose.override.yml", changed);
        check(&[("docker-compose.yml", base), changed], wanted);
    };
    changed("services:\n  a: {profiles: !reset []}\n", &["a", "c"]);
    changed("services:\n  a: {profiles: !override [y]}\n", &["c"]);
    changed("services:\n  a: !override {image: x}\n", &["a", "c"]);
    changed("services:\n  b: {deploy: !reset {}}\n", &["b", "c"]);
    changed(
        "services:\n  b: {deploy: {replicas: !reset 0}}\n",
        &["b", "c"],
    );
    changed("services:\n  c: !reset null\n  d: {scale: 1}\n", &["d"]);
    changed(
        "services:\n  c: {ports: !reset []}\n  e: {deploy: !override {}}\n",
        &["c", "e"],
    );
    changed(
        "services:\n  c:\n    provider: {type: model}\n  f:\n",
        &["f"],
    );
}

#[test]
fn what_is_included_has_its_own_directory_and_variables() {
    let more = "services:\n  more:\n    scale: ${N:-1}\n    extends:\n      file: base.yml\n      service: s\n";
    let included = |include: &str, wanted: &[&str]| {
        let own = format!("include:\n{include}services:\n  own:\n");
        let files = [
            ("docker-compose.yml", own.as_str()),
            ("sub/more.yml", more),
            (
                "sub/base.yml",
                "services:\n  s:\n    profiles: ['${P:-y}']\n",
            ),
            ("base.yml", "services:\n  s:\n    profiles: [x]\n"),
            ("none.env", "N=0\nP=x\n"),
            ("two.env", "N=2\n"),
            (".env", "COMPOSE_PROFILES=x\n"),
        ];
        check(&files, wanted);
    };
    included("  - sub/more.yml\n", &["own"]);
    included("  - path: sub/more.yml\n    env_file: none.env\n", &["own"]);
    included(
        "  - path: [sub/more.yml]\n    env_file: [none.env, two.env]\n",
        &["more", "own"],
    );
    included(
        "  - path: sub/more.yml\n    project_directory: .\n",
        &["more", "own"],
    );
}

/// Wanted services by what docker-compose 1 makes of the files; `null` where it refuses them.
const COMPOSE_1: &str = r#"
import json, os, subprocess, sys, yaml
for directory in sys.argv[1:]:
    variables = dict(os.environ, COMPOSE_PROFILES="*")
    out = subprocess.run(["docker-compose", "config"], cwd=directory, env=variables, capture_output=True)
    if out.returncode != 0:
        print("null", flush=True)
        continue
    services = yaml.safe_load(out.stdout)["services"]
    active = os.environ.get("COMPOSE_PROFILES", "").split(",")
    def wanted(service):
        replicas = service.get("deploy", {}).get("replicas", service.get("scale", 1))
        profiles = service.get("profiles", [])
        return replicas != 0 and (not profiles or any(p in active for p in profiles))
    print(json.dumps(sorted(name for name in services if wanted(services[name]))), flush=True)
"#;

/// Each directory of COMPOSE_PROJECTS is a project: what is wanted of it is what docker-compose 1
/// finds, where that reads it.
#[test]
#[ignore = "reads public projects that COMPOSE_PROJECTS leads to"]
fn public_projects_are_read_as_docker_compose_reads_them() {
    let root = std::env::var_os("COMPOSE_PROJECTS").expect("COMPOSE_PROJECTS names a directory");
    let mut directories: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    directories.sort();
    let asked = std::process::Command::new("/usr/bin/python3")
        .args(["-c", COMPOSE_1])
        .args(&directories)
        .output()
        .unwrap();
    assert!(asked.status.success(), "{asked:?}");
    let answers = String::from_utf8(asked.stdout).unwrap();
    assert_eq!(answers.lines().count(), directories.len());
    let (mut alike, mut refused) = (0, 0);
    for (directory, answer) in directories.iter().zip(answers.lines()) {
        let variables = Variables::read(&directory.join(".env")).unwrap();
        let files = compose::of_project(&directory.join("docker-compose.yml"), &variables);
        let ours = Project::read(&files, &variables).and_then(|p| p.settled(&files, &variables));
        let theirs: Option<Vec<String>> = serde_json::from_str(answer).unwrap();
        match theirs {
            None => {
                refused += 1;
                println!("{}: refused; here {ours:?}", directory.display());
            }
            Some(theirs) => {
                assert_eq!(ours.unwrap().wanted, theirs, "{}", directory.display());
                alike += 1;
            }
        }
    }
    println!("{alike} alike, {refused} refused by docker-compose 1");
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
    check(
        "services:\n  a:\n    profiles: !mine []\n",
        "the tag !mine is not understood",
    );
    check("services: !override {a: {}}\n", "services is not a mapping");
    check(
        "include: !reset []\nservices:\n  a:\n",
        "`include` is not a list",
    );
    check("services:\n  a:\n    extends: !reset null\n", "extends");
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
