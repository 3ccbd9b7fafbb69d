//! A restore with real containers: what uses the mail is stopped while it changes places, and
//! started again whatever happens.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use mail_tests::docker::Docker;
use mail_tests::host::{Host, ended_with};
use mail_tests::tree::snapshot;

const SERVICES: [&str; 3] = ["dovecot", "mariadb", "postfix"];

struct Site {
    host: Host,
    docker: Arc<Docker>,
    project: &'static str,
}

impl Site {
    /// Containers that run, with a compose file that Docker Compose itself has started them from.
    fn new(project: &'static str) -> Self {
        let site = Self {
            host: Host::new(60),
            docker: Docker::shared(),
            project,
        };
        site.describe("docker-compose.yml", &SERVICES);
        fs::write(
            site.host.server.dir().join(".env"),
            format!("COMPOSE_PROJECT_NAME={project}\n"),
        )
        .expect("it can be written");
        ended_with(&mut site.compose(&["up", "-d"]), 0);
        site.host.configure(&[("CHECK_WAIT", "20")]);
        site
    }

    /// Writes a compose file.
    fn describe(&self, file: &str, services: &[&str]) {
        let service = |name: &&str| {
            format!(
                "  {name}:\n    image: {}\n    container_name: {}-{name}\n    network_mode: none\n    stop_grace_period: 1s\n    \
                 command: [/bin/busybox, sh, -c, \"while :; do sleep 1; done\"]\n",
                mail_tests::docker::IMAGE,
                self.project
            )
        };
        let services: String = services.iter().map(service).collect();
        let text = format!("version: '2.4'\nservices:\n{services}");
        fs::write(self.host.server.dir().join(file), text).expect("it can be written");
    }

    fn compose(&self, arguments: &[&str]) -> Command {
        let mut command = self
            .host
            .bash(&format!("exec docker-compose {}", arguments.join(" ")));
        command.env(
            "DOCKER_HOST",
            format!("unix://{}", self.docker.socket().display()),
        );
        command
    }

    fn restore(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.script("restore-mailserver.sh");
        command.args(arguments).env(
            "DOCKER_HOST",
            format!("unix://{}", self.docker.socket().display()),
        );
        command
    }

    fn started(&self, service: &str) -> String {
        self.docker.docker(&[
            "inspect",
            "--format",
            "{{.State.StartedAt}}",
            &format!("{}-{service}", self.project),
        ])
    }

    fn assert_running(&self) {
        for service in SERVICES {
            self.docker.wait(
                &format!("{}-{service}", self.project),
                "{{.State.Status}}",
                "running",
            );
        }
    }

    fn backed_up(self) -> Self {
        ended_with(self.host.script("backup-mailserver.sh").arg("--daily"), 0);
        self
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.docker.remove(self.project);
    }
}

#[test]
fn services_are_stopped_for_the_swap_and_started_and_the_database_stays() {
    let site = Site::new("swap").backed_up();
    let mail = snapshot(&site.host.server.mail()).without_temporary();
    let before = SERVICES.map(|service| site.started(service));
    fs::remove_dir_all(site.host.server.mail()).expect("mail can be lost");
    ended_with(
        &mut site.restore(&["--from", "latest", "--component", "all"]),
        0,
    );
    mail.assert_same(&snapshot(&site.host.server.mail()).without_temporary());
    let after = SERVICES.map(|service| site.started(service));
    assert_ne!(before[0], after[0], "dovecot was started again");
    assert_eq!(
        before[1], after[1],
        "MariaDB restores itself through a connection, and is not stopped"
    );
    assert_ne!(before[2], after[2], "postfix was started again");
    site.assert_running();
    let log = site.host.log(".mailserver-restore.log");
    let at = |words: &str| {
        log.find(words)
            .unwrap_or_else(|| panic!("no {words:?} in\n{log}"))
    };
    assert!(at("verifying latest") < at("scanning latest"));
    assert!(at("scanning latest") < at("stopping dovecot postfix"));
    assert!(at("stopping dovecot postfix") < at("restoring latest"));
    assert!(at("restoring latest") < at("starting dovecot postfix"));
    // What nobody configured was not checked, and the log says so.
    assert!(
        log.contains("[WARN] [CHECK] mailflow: nothing to check"),
        "{log}"
    );
}

#[test]
fn a_service_of_an_override_file_is_stopped_too() {
    let site = Site::new("override");
    site.describe("docker-compose.override.yml", &["roundcube"]);
    ended_with(&mut site.compose(&["up", "-d"]), 0);
    let site = site.backed_up();
    let before = site.started("roundcube");
    ended_with(
        &mut site.restore(&["--from", "latest", "--component", "mailboxes"]),
        0,
    );
    assert_ne!(before, site.started("roundcube"), "it was stopped");
    let log = site.host.log(".mailserver-restore.log");
    let is_named = |line: &str| line.contains("stopping ") && line.contains("roundcube");
    assert!(log.lines().any(is_named), "{log}");
}

#[test]
fn a_restore_that_fails_starts_the_services_and_leaves_the_mail() {
    let site = Site::new("fails").backed_up();
    let mail = snapshot(&site.host.server.mail());
    let before = site.started("dovecot");
    // The dry run and the scan pass; the database goes away after them.
    let hook = site.host.server.dir().join("usr/bin/docker-compose");
    let socket = site.host.database.socket();
    fs::write(
        &hook,
        format!(
            "#!/bin/bash\n[[ \" $* \" == *' stop '* ]] && mv {0} {0}.away\nexec /usr/bin/docker-compose \"$@\"\n",
            socket.display()
        ),
    )
    .expect("a program can be put in the way");
    ended_with(Command::new("chmod").arg("755").arg(&hook), 0);
    let mut restore = site.restore(&["--from", "latest"]);
    restore.env(
        "PATH",
        format!("{}:/usr/bin:/bin", site.host.bin().display()),
    );
    ended_with(&mut restore, 3);
    mail.assert_same(&snapshot(&site.host.server.mail()));
    assert_ne!(
        before,
        site.started("dovecot"),
        "it was stopped and started"
    );
    site.assert_running();
}

#[test]
fn nothing_is_stopped_for_a_trial_or_for_a_set_that_is_damaged() {
    let site = Site::new("damaged").backed_up();
    let before = SERVICES.map(|service| site.started(service));
    ended_with(&mut site.restore(&["--from", "latest", "--dry-run"]), 0);
    let set = site.host.server.latest();
    let dump = site
        .host
        .server
        .root()
        .join(set)
        .join("mysql/mailserver.sql.zst");
    let mut bytes = fs::read(&dump).expect("the dump is there");
    bytes[20] ^= 1;
    fs::write(&dump, bytes).expect("it can be damaged");
    let mail = snapshot(&site.host.server.mail());
    ended_with(&mut site.restore(&["--from", "latest"]), 1);
    ended_with(&mut site.restore(&["--from", "latest", "--dry-run"]), 1);
    assert_eq!(before, SERVICES.map(|service| site.started(service)));
    mail.assert_same(&snapshot(&site.host.server.mail()));
}

#[test]
fn a_container_that_does_not_come_up_again_is_reported() {
    let site = Site::new("sick").backed_up();
    let hook = site.host.server.dir().join("usr/bin/docker-compose");
    fs::write(
        &hook,
        "#!/bin/bash\n[[ \" $* \" == *' start '* ]] && set -- \"${@/postfix/}\"\nexec /usr/bin/docker-compose ${@}\n",
    )
    .expect("a program can be put in the way");
    ended_with(Command::new("chmod").arg("755").arg(&hook), 0);
    site.host.configure(&[("CHECK_WAIT", "3")]);
    let mut restore = site.restore(&["--from", "latest"]);
    restore.env(
        "PATH",
        format!("{}:/usr/bin:/bin", site.host.bin().display()),
    );
    let output = ended_with(&mut restore, 1);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        words.contains("[CHECK] container: ")
            && words.contains("is restored, and the checks afterwards are not all well"),
        "{words}"
    );
}
