use mail_tests::docker::Docker;

use super::support::{Logs, wait_for};

const PROJECT: &str = "mail-logs";

const WRITER: &str = "echo 'Nov 25 08:00:01 mx dovecot: imap-login: Disconnected (auth failed, 3 attempts in 12 secs): user=<a>, \
     method=PLAIN, rip=198.51.100.7, lip=192.0.2.2, TLS' >&2; echo hello; \
     while [ ! -e /go ]; do sleep 0.1; done; \
     echo 'Nov 25 08:00:09 mx dovecot: imap-login: Disconnected (auth failed, 2 attempts in 1 secs): user=<a>, rip=198.51.100.8, lip=x'; \
     touch /done; sleep 600";

fn configured(socket: &std::path::Path) -> Logs {
    let logs = Logs::new("");
    logs.configure(&format!(
        "[docker]\nsocket = {socket:?}\nproject = \"{PROJECT}\"\n\
         [[logs.source]]\nname = \"dovecot\"\nkind = \"dovecot\"\ncontainer = \"dovecot\"\n"
    ));
    logs
}

#[test]
fn a_container_is_read_on_from_its_last_line() {
    let docker = Docker::start();
    let logs = configured(&docker.socket());
    logs.run().assert("log", "unknown", "dovecot");
    let id = docker.service(PROJECT, "dovecot", &[], WRITER);
    docker.wait(&id, "{{.State.Running}}", "true");
    wait_for("hello", || docker.docker(&["logs", &id]));
    logs.run().assert("log", "ok", "first look").assert(
        "log-auth-failures",
        "ok",
        "3x 198.51.100.7",
    );
    logs.run().assert(
        "log-auth-failures",
        "ok",
        "0 logins failed since the last run, 3 in the hour",
    );
    docker.docker(&["exec", &id, "/bin/busybox", "touch", "/go"]);
    wait_for("198.51.100.8", || docker.docker(&["logs", &id]));
    logs.run().assert(
        "log-auth-failures",
        "ok",
        "2 logins failed since the last run, 5 in the hour",
    );
    docker.remove(PROJECT);
    logs.run().assert("log", "unknown", "dovecot");
}

#[test]
fn a_daemon_that_is_not_there_is_unknown() {
    let logs = configured(std::path::Path::new("/nonexistent/docker.sock"));
    logs.run()
        .assert("log", "unknown", "/nonexistent/docker.sock");
}
