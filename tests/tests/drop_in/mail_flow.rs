//! A restore is proven by a message: it goes through a real Postfix and Dovecot over the tree that
//! was just restored, or the script says that it does not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use mail_tests::host::{Host, ended_with};
use mail_tests::mail_server::{Half, MailServer};

fn checks(mail: &MailServer, password: &str) -> String {
    let (ports, authority) = (mail.ports(), mail.authority());
    format!(
        "[tls]\nca_file = {authority:?}\n[services]\nname = \"mail.test\"\nimaps = [\"127.0.0.1:{imaps}\"]\n\
         [mailflow]\nsubmit = \"submission://127.0.0.1:{submission}\"\nread = \"imaps://127.0.0.1:{imaps}\"\n\
         user = \"alice@example.org\"\npassword_file = {password:?}\ndelay = {{ warning = 5, critical = 8 }}\n",
        imaps = ports.imaps,
        submission = ports.submission,
    )
}

#[test]
fn a_message_goes_through_what_was_restored_or_the_restore_reports_it() {
    let mail = MailServer::start();
    let host = Host::new(5);
    let password = host.server.dir().join("probe.password");
    fs::write(&password, MailServer::PASSWORD).expect("it can be written");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).expect("it can be closed");
    let text = checks(&mail, password.to_str().expect("a path of ours"));
    fs::write(host.config().with_file_name("check.toml"), text).expect("it can be written");
    let tree = mail.mail();
    host.configure(&[
        ("COMPOSE", "none"),
        ("CHECK_WAIT", "1"),
        ("MAIL_DATA_DIR", tree.to_str().expect("a path of ours")),
    ]);
    ended_with(host.script("backup-mailserver.sh").arg("--daily"), 0);

    ended_with(
        host.script("restore-mailserver.sh")
            .args(["--from", "latest"]),
        0,
    );
    let log = host.log(".mailserver-restore.log");
    assert!(
        !log.contains("[CHECK]") && log.ends_with("[INFO] [RESTORE] done\n"),
        "nothing was left unchecked: {log}"
    );

    let text =
        fs::read_to_string(host.config().with_file_name("check.toml")).expect("it was written");
    fs::write(
        host.config().with_file_name("check.toml"),
        format!("{text}no such section\n"),
    )
    .expect("it can be written");
    let output = ended_with(
        host.script("restore-mailserver.sh")
            .args(["--from", "latest"]),
        1,
    );
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("[ERROR] [CHECK] read the file of checks"),
        "a mistake there is no proof"
    );
    fs::write(host.config().with_file_name("check.toml"), text).expect("it can be written");

    mail.stop(Half::Dovecot);
    let output = ended_with(
        host.script("restore-mailserver.sh")
            .args(["--from", "latest"]),
        1,
    );
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        words.contains("[CHECK] mailflow: ")
            && words.contains("latest is restored, and the checks afterwards"),
        "{words}"
    );
}
