//! The machine is gone: the steps of the operating guide bring everything onto another one, from
//! the copy elsewhere.

use std::fs;
use std::path::Path;

use mail_tests::host::{Host, ended_with};
use mail_tests::tree::snapshot;

fn bare(host: &Host) {
    for place in ["mail", "config", "certbot", "opendkim"] {
        fs::remove_dir_all(host.server.dir().join(place)).expect("a new machine has none of it");
    }
    for file in ["docker-compose.yml", ".env"] {
        fs::remove_file(host.server.dir().join(file)).expect("a new machine has none of it");
    }
    host.database.sql("DROP DATABASE mailserver");
}

#[test]
fn everything_comes_onto_a_new_machine_in_the_order_of_the_guide() {
    let store = tempfile::tempdir().expect("a directory can be made");
    let url = format!("file://{}", store.path().display());
    let (mail, keys) = {
        let old = Host::new(60);
        old.database.sql(
            "CREATE USER roundcube@localhost IDENTIFIED BY 'pw'; GRANT SELECT ON mailserver.* TO roundcube@localhost",
        );
        ended_with(old.script("backup-mailserver.sh").arg("--daily"), 0);
        ended_with(old.script("sync-to-s3.sh").args(["--to", &url]), 0);
        (
            snapshot(&old.server.mail()).without_temporary(),
            snapshot(&old.server.dir().join("opendkim")),
        )
    };

    let new = Host::new(3);
    bare(&new);
    new.configure(&[("COMPOSE", "none"), ("CHECK_WAIT", "0")]);
    let set = new.server.dir().join("restore");
    let step = |line: &str| ended_with(new.bash(line).env("SET", &set).env("URL", &url), 0);
    step("mail-s3sync pull --config $S3_CONFIG_FILE --latest --from $URL --to $SET");
    step(
        "restore-mailserver.sh --from $SET --skip-scan --component config --component ssl --component dkim",
    );
    step("mail-restore --config $S3_CONFIG_FILE --from $SET --component mysql --accounts");
    step("scan-before-restore.sh $SET");
    step("restore-mailserver.sh --from $SET --component mailboxes");

    mail.assert_same(&snapshot(&new.server.mail()).without_temporary());
    keys.assert_same(&snapshot(&new.server.dir().join("opendkim")));
    assert_eq!(
        fs::read_to_string(new.server.dir().join(".env")).expect("it came back"),
        "DOMAIN=example.com\n"
    );
    assert!(
        Path::new(
            &new.server
                .dir()
                .join("certbot/live/mx.example.com/fullchain.pem")
        )
        .exists()
    );
    assert_eq!(
        new.database.sql("SELECT id FROM mailserver.users").trim(),
        "7"
    );
    assert!(
        new.database
            .sql("SHOW GRANTS FOR roundcube@localhost")
            .contains("GRANT SELECT ON `mailserver`.*")
    );
    let log = new.log(".mailserver-restore.log");
    assert!(
        log.contains("[WARN] [RESTORE]") && log.contains("is restored without having been scanned"),
        "{log}"
    );
}
