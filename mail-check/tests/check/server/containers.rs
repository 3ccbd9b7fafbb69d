//! `containers`, on a private Docker daemon: each state is seen, and none is taken for another.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use mail_tests::docker::Docker;
use rustix::process::{Signal, kill_process};

use super::support::{Bench, Found};

const STAY: &str = "exec sleep 600";

/// The compose file of the project `post`.
fn bench(services: &[&str]) -> Bench {
    let bench = Bench::new();
    let blocks: String = services
        .iter()
        .map(|name| format!("  {name}:\n    image: mail-test\n"))
        .collect();
    let idle = "  tools:\n    profiles: [tools]\n  idle:\n    deploy:\n      replicas: 0\n";
    bench.put(
        "mail-server/docker-compose.yml",
        format!("name: post\nservices:\n{blocks}{idle}"),
    );
    bench
}

fn settings(socket: &Path, more: &str) -> String {
    format!("[docker]\nsocket = {socket:?}\n[containers]\n{more}\n")
}

const CALM: &str = "cpu = { warning = 100000 }";

#[test]
fn each_state_of_a_service_is_reported() {
    let docker = Docker::start();
    let failing = [
        "--health-cmd=echo no answer on port 25; exit 1",
        "--health-interval=100ms",
        "--health-retries=2",
    ];
    docker.service("post", "unhealthy", &failing, STAY);
    docker.service(
        "post",
        "healthy",
        &["--health-cmd=exit 0", "--health-interval=100ms"],
        STAY,
    );
    docker.service(
        "post",
        "starting",
        &["--health-cmd=exit 0", "--health-interval=1h"],
        STAY,
    );
    docker.service("post", "unchecked", &[], STAY);
    docker.service(
        "post",
        "restarting",
        &["--restart=always"],
        "sleep 0.2; exit 7",
    );
    docker.service("post", "exited", &[], "exit 3");
    docker.service("post", "done", &[], "exit 0");
    docker.service("post", "paused", &[], STAY);
    docker.docker(&["pause", "post-paused"]);
    docker.service("other", "foreign", &[], "exit 1");
    docker.wait("post-unhealthy", "{{.State.Health.Status}}", "unhealthy");
    docker.wait("post-healthy", "{{.State.Health.Status}}", "healthy");
    docker.wait("post-exited", "{{.State.Status}}", "exited");
    docker.wait("post-done", "{{.State.Status}}", "exited");
    docker.wait("post-restarting", "{{lt 1 .RestartCount}}", "true");
    let services = [
        "unhealthy",
        "healthy",
        "starting",
        "unchecked",
        "restarting",
        "exited",
        "done",
        "paused",
        "missing",
    ];
    let bench = bench(&services);
    let found = bench.check(
        "containers",
        &settings(&docker.socket(), &format!("one_shot = [\"done\"]\n{CALM}")),
    );
    found
        .assert("docker", "daemon", "ok", "of the project post")
        .assert(
            "container",
            "unhealthy",
            "critical",
            "the last printed: no answer on port 25",
        )
        .assert("container", "healthy", "ok", "healthy")
        .assert("container", "starting", "unknown", "not answered yet")
        .assert("container", "unchecked", "ok", "no health check")
        .assert("container", "exited", "critical", "exit code 3")
        .assert("container", "done", "ok", "done its work")
        .assert(
            "container",
            "paused",
            "critical",
            "docker compose unpause paused",
        )
        .assert(
            "container",
            "missing",
            "critical",
            "docker compose up -d missing",
        )
        .assert("container-cpu", "healthy", "ok", "% of the processors")
        .assert("container-memory", "healthy", "ok", "that it may have")
        .assert("image-age", "healthy", "ok", "was built 0 days ago");
    // It is caught while it runs, or while it waits.
    let restarting = found.get("container", "restarting").unwrap();
    assert!(
        ["critical", "warning"].contains(&restarting["status"].as_str().unwrap()),
        "{restarting:#}"
    );
    assert!(
        found.get("container", "foreign").is_none() && found.get("container", "tools").is_none()
    );
    assert!(found.get("container", "idle").is_none());
}

#[test]
fn what_grows_between_two_runs_is_reported_and_nothing_else() {
    let docker = Docker::start();
    let bench = bench(&["calm", "busy"]);
    docker.service("post", "calm", &["--memory=64m"], STAY);
    let busy = docker.service(
        "post",
        "busy",
        &["--restart=always"],
        "[ -e /go ] || exec sleep 600; exec sleep 601",
    );
    let socket = docker.socket();
    let usual = settings(&socket, CALM);
    for _ in 0..3 {
        assert_eq!(bench.check("containers", &usual).troubles(), [""; 0]);
    }
    // Whoever ends it from outside ends its process: Docker starts it again.
    for restarts in ["1", "2"] {
        let pid: i32 = docker
            .docker(&["inspect", "--format", "{{.State.Pid}}", &busy])
            .parse()
            .unwrap();
        kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        docker.wait(
            &busy,
            "{{.RestartCount}} {{.State.Status}}",
            &format!("{restarts} running"),
        );
    }
    let found = bench.check("containers", &usual);
    found.assert(
        "container",
        "busy",
        "warning",
        "start it again 2 times since the last run",
    );
    assert_eq!(found.get("container", "busy").unwrap()["value"], 2.0);
    // A damaged memory is no alert.
    bench.put("state/containers.json", "{\"at_second\": ");
    let found = bench.check("containers", &usual);
    found
        .assert("docker", "daemon", "ok", "is damaged")
        .assert("container", "calm", "ok", "runs");
    assert_eq!(found.get("container", "busy").unwrap()["value"], 0.0);
    // Limits are those of the file of checks.
    let strict = "memory = { warning = 0.001 }\nimage_age = { critical = 0 }\ncpu = { warning = 0 }\nservices = [\"calm\"]";
    bench
        .check("containers", &settings(&socket, strict))
        .assert("container-memory", "calm", "warning", "64.0 MiB")
        .assert("container-cpu", "calm", "warning", "docker stats")
        .assert("image-age", "calm", "critical", "docker compose pull");
    let ageless = format!("image_age = {{ critical = 0 }}\nageless = [\"calm\", \"busy\"]\n{CALM}");
    assert!(
        bench
            .check("containers", &settings(&socket, &ageless))
            .get("image-age", "calm")
            .is_none()
    );
}

#[test]
fn a_daemon_that_does_not_answer_is_unknown_in_time() {
    let docker = Docker::start();
    let bench = bench(&["calm"]);
    let check = |socket: &Path, words: &str| {
        let begun = Instant::now();
        let tool = bench
            .tool("containers", &settings(socket, ""))
            .args(["--timeout", "3"]);
        Found::of(tool).assert("docker", "daemon", "unknown", words);
        assert!(begun.elapsed() < Duration::from_secs(30));
    };
    check(&bench.path("absent.sock"), "there is no Docker socket");
    let silent = bench.path("silent.sock");
    let _silent = UnixListener::bind(&silent).unwrap();
    check(&silent, "gave no answer within");
    let _ = kill_process(docker.pid(), Signal::STOP);
    check(&docker.socket(), "gave no answer within");
    let _ = kill_process(docker.pid(), Signal::CONT);
    denied(&bench, &docker.socket());
    let socket = docker.socket();
    drop(docker);
    check(&socket, "no Docker socket");
}

fn denied(bench: &Bench, socket: &Path) {
    std::fs::create_dir_all(bench.path("state")).unwrap();
    for (path, mode) in [("", 0o755), ("state", 0o777)] {
        std::fs::set_permissions(bench.path(path), PermissionsExt::from_mode(mode)).unwrap();
    }
    let directory = socket.parent().unwrap();
    std::fs::set_permissions(directory, PermissionsExt::from_mode(0o755)).unwrap();
    let tool = bench
        .tool("containers", &settings(socket, ""))
        .args(["--timeout", "60"])
        .as_nobody();
    Found::of(tool).assert("docker", "daemon", "unknown", "member of the group docker");
}

#[test]
fn services_that_cannot_be_known_are_unknown() {
    let bench = Bench::new();
    let check = |words: &str| {
        bench
            .check("containers", "")
            .assert("docker", "daemon", "unknown", words);
    };
    check("docker-compose.yml cannot be read");
    bench.put("mail-server/docker-compose.yml", "services:\n  - a\n");
    check("docker-compose.yml: services is not a mapping");
}
