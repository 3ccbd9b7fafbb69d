//! The accounts of a server, with their logins and grants.

use std::sync::atomic::AtomicBool;

use crate::mariadb::MariaDb;
use crate::support::{assert_equal, dump, last_line, root, settings, tcp_options};
use mail_common::secret::Secret;
use mail_mysql::{Options, Session};

const ACCOUNTS: &str = r"
    INSTALL SONAME 'auth_ed25519';
    CREATE DATABASE `mail_db`; USE mail_db; CREATE TABLE t (a INT, b INT); CREATE PROCEDURE p() SELECT 1; CREATE FUNCTION f() RETURNS INT RETURN 1;
    CREATE USER plain@'%' IDENTIFIED BY 'plain pw', ed@localhost IDENTIFIED VIA ed25519 USING PASSWORD('ed pw');
    CREATE USER 'odd ''name` ü'@'10.0.0.0/255.0.0.0' IDENTIFIED BY 'x' WITH MAX_QUERIES_PER_HOUR 7 MAX_STATEMENT_TIME 1.5;
    CREATE USER locked@localhost IDENTIFIED BY 'x' ACCOUNT LOCK PASSWORD EXPIRE NEVER; CREATE USER expired@localhost IDENTIFIED BY 'x' PASSWORD EXPIRE;
    CREATE USER tls@'%' IDENTIFIED BY 'x' REQUIRE SUBJECT '/CN=it''s' AND ISSUER '/CN=ca';
    CREATE USER twice@localhost IDENTIFIED VIA unix_socket OR ed25519 USING PASSWORD('b'); CREATE USER nopw@localhost;
    CREATE ROLE reader; CREATE ROLE `role two`; GRANT `role two` TO plain@'%' WITH ADMIN OPTION; CREATE ROLE outer_role;
    GRANT SELECT ON `mail\_db`.* TO reader; GRANT INSERT (a), UPDATE (b) ON mail_db.t TO `role two`; GRANT reader TO outer_role;
    GRANT outer_role TO plain@'%'; GRANT reader TO ed@localhost WITH ADMIN OPTION; SET DEFAULT ROLE outer_role FOR plain@'%';
    GRANT ALL ON `mail_db`.* TO ed@localhost WITH GRANT OPTION; GRANT EXECUTE ON PROCEDURE mail_db.p TO plain@'%';
    GRANT EXECUTE ON FUNCTION mail_db.f TO plain@'%'; GRANT PROCESS, RELOAD ON *.* TO 'odd ''name` ü'@'10.0.0.0/255.0.0.0';
    GRANT PROXY ON plain@'%' TO ed@localhost; GRANT SELECT ON mail_db.t TO PUBLIC;
";

/// Every account and its grants, as the server says them.
fn account_facts(server: &MariaDb) -> Vec<String> {
    let list =
        |query: &str| -> Vec<String> { server.sql(query).lines().map(str::to_owned).collect() };
    let mut facts = list("FLUSH PRIVILEGES; SELECT * FROM mysql.roles_mapping ORDER BY 1, 2, 3");
    let quoted = "CONCAT('`', REPLACE(User, '`', '``'), '`@`', Host, '`')";
    for user in list(&format!(
        "SELECT {quoted} FROM mysql.user WHERE is_role = 'N' AND User <> 'mariadb.sys' AND Host <> @@hostname ORDER BY 1"
    )) {
        facts.extend(list(&format!(
            "SHOW CREATE USER {user}; SHOW GRANTS FOR {user}"
        )));
    }
    for role in list(
        "SELECT CONCAT('`', User, '`') FROM mysql.user WHERE is_role = 'Y' AND User <> '' ORDER BY 1",
    ) {
        facts.extend(list(&format!("SHOW GRANTS FOR {role}")));
    }
    // GRANT PROXY ON ''@'%' is stored beside the row of the installation, which says the same with
    // an empty host.
    facts.sort();
    facts.dedup();
    facts
}

#[test]
fn accounts_load_back_with_their_logins_and_grants() {
    let source = MariaDb::start(&[]);
    source.sql(ACCOUNTS);
    let mut session = root(&source);
    let database = dump(&mut session, "mail_db").0;
    let (accounts, report) =
        mail_mysql::dump_accounts(&mut session, || Ok(Vec::new()), &AtomicBool::new(false))
            .unwrap();
    assert_eq!(report.missing, [""; 0]);
    assert!(
        last_line(&accounts).starts_with("-- Dump completed by mail-backup: "),
        "{}",
        last_line(&accounts)
    );
    let target = MariaDb::start(&[]);
    target.load(&database);
    target.load(&accounts);
    assert_equal(&account_facts(&source), &account_facts(&target));
    Session::connect(&settings(&target, "plain", "plain pw")).unwrap();
    let ed = Options {
        host: None,
        socket: Some(target.socket()),
        ..tcp_options(&target, "ed", "ed pw")
    };
    Session::connect(&ed.settle("nobody")).unwrap();
    target.load(&accounts);
    assert_equal(&account_facts(&source), &account_facts(&target));
}

#[test]
fn accounts_that_are_there_keep_their_passwords() {
    let source = MariaDb::start(&[]);
    source.sql("ALTER USER root@localhost IDENTIFIED BY 'old'; FLUSH PRIVILEGES");
    let options = Options {
        user: Some("root".into()),
        password: Some(Secret::new("old")),
        socket: Some(source.socket()),
        ..Options::default()
    };
    let mut session = Session::connect(&options.settle("nobody")).unwrap();
    let (accounts, _) =
        mail_mysql::dump_accounts(&mut session, || Ok(Vec::new()), &AtomicBool::new(false))
            .unwrap();
    let target = MariaDb::start(&[]);
    target.load(&accounts);
    assert_eq!(target.sql("SELECT CURRENT_USER()"), "root@localhost\n");
}
