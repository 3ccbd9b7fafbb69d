//! Three databases that use each other, an old state and a new one, and a restore through a proxy.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use jiff::ZonedDateTime;
use mail_common::secret::Secret;
use mail_mysql::Options;
use mail_restore::databases::{Accounts, Error, Loaded, Target, Trust, Watch};
use mail_tests::facts::facts;
use mail_tests::mariadb::MariaDb;
use mail_tests::run::Tool;

use crate::statement_proxy::StatementProxy;
use crate::support::{Set, inventory};

/// Three databases that use each other, as they are and as they shall be.
pub(crate) const DATABASES: [&str; 3] = ["d1", "d2", "d3"];

/// Set to anything, every statement is tried; else some of them.
pub(crate) const CAMPAIGN: &str = "MAIL_TESTS_CAMPAIGN";

pub(crate) fn fill(server: &MariaDb, word: &str) {
    server.sql(&format!(
        "CREATE DATABASE d1 CHARACTER SET utf8mb4; CREATE DATABASE d2; CREATE DATABASE d3 COMMENT '{word}';
         CREATE TABLE d1.parent (id INT PRIMARY KEY, t TEXT); INSERT INTO d1.parent VALUES (1, '{word}'), (2, 'x');
         CREATE TABLE d1.child (id INT PRIMARY KEY, p INT, CONSTRAINT to_parent FOREIGN KEY (p) REFERENCES d1.parent (id));
         INSERT INTO d1.child VALUES (1, 1), (2, 2);
         CREATE TABLE d2.far (id INT PRIMARY KEY, p INT, CONSTRAINT over_there FOREIGN KEY (p) REFERENCES d1.parent (id));
         INSERT INTO d2.far VALUES (7, 2);
         CREATE SEQUENCE d2.s START WITH 5; CREATE TABLE d2.counted (n INT DEFAULT NEXTVAL(d2.s), w TEXT) ENGINE=MyISAM;
         INSERT INTO d2.counted (w) VALUES ('{word}');
         CREATE TABLE d3.only_{word} (a INT); INSERT INTO d3.only_{word} VALUES (1), (2), (3);
         CREATE TABLE d3.log (what TEXT);
         USE d1; CREATE VIEW v AS SELECT p.id, f.id AS far FROM d1.parent p JOIN d2.far f ON f.p = p.id;
         USE d2; CREATE VIEW w AS SELECT id FROM d1.v; CREATE FUNCTION f(x INT) RETURNS INT DETERMINISTIC RETURN x + LENGTH('{word}');
         USE d3; CREATE VIEW x AS SELECT d2.f(id) AS n FROM d2.w; CREATE PROCEDURE p() INSERT INTO d3.log VALUES ('{word}');
         CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01 00:00:00' DO INSERT INTO d3.log VALUES ('{word}');
         CREATE TRIGGER d1.tr AFTER INSERT ON d1.child FOR EACH ROW INSERT INTO d3.log VALUES ('{word}');
         CREATE TRIGGER d1.tr2 BEFORE UPDATE ON d1.parent FOR EACH ROW SET NEW.t = '{word}';"
    ));
}

pub(crate) fn all_facts(server: &MariaDb) -> Vec<String> {
    let of = |database: &&str| facts(server, database);
    let mut all: Vec<_> = DATABASES.iter().flat_map(of).collect();
    all.push(
        server.sql("SELECT * FROM d1.v; SELECT * FROM d2.w; SELECT * FROM d3.x; SHOW DATABASES"),
    );
    all
}

/// The server through the proxy, as root by TCP.
pub(crate) fn through(proxy: &StatementProxy) -> Target {
    let options = Options {
        user: Some("root".into()),
        password: Some(Secret::new("")),
        host: Some("127.0.0.1".into()),
        port: Some(proxy.port()),
        ..Options::default()
    };
    Target {
        connection: options.settle("nobody"),
        connections: 1,
        trust: Trust::Gate,
    }
}

pub(crate) fn restore(set: &Set, target: &Target) -> Result<Loaded, Error> {
    let never = AtomicBool::new(false);
    let watch = Watch {
        stop: &never,
        progress: &|_| {},
    };
    set.plan(Accounts::Leave)
        .restore(target, &set.root(), &ZonedDateTime::now(), watch)
}

/// A server that holds the old state, a set of the new one, and what the new one is.
pub(crate) fn scene() -> (MariaDb, Set, Vec<String>, Vec<String>) {
    let source = MariaDb::start();
    fill(&source, "new");
    let set = Set::of(&source, &DATABASES);
    let new = all_facts(&source);
    let server = MariaDb::start();
    fill(&server, "old");
    let old = all_facts(&server);
    (server, set, old, new)
}

/// A set that is refused by what it loads, after the restore has put right what was left.
pub(crate) fn broken() -> Set {
    let broken = Set::new();
    broken.put(
        "d9.sql",
        b"CREATE TABLE t (a INT PRIMARY KEY);\nINSERT INTO t VALUES (1),(1);\n",
    );
    broken
}

/// `mail-restore` of all databases of a set, into the server at a port of this machine.
pub(crate) fn process(set: &Set, root: &Path, port: u16) -> Tool {
    let _ = inventory(&set.path());
    Tool::new("mail-restore")
        .env("BACKUP_ROOT", root)
        .env("MYSQL_HOST", "127.0.0.1")
        .env("MYSQL_PORT", port.to_string())
        .env("MYSQL_USER", "root")
        .arg("--from")
        .arg(set.path())
        .args(["--component", "mysql"])
}

pub(crate) fn fill_again(server: &MariaDb) {
    server.sql("SET foreign_key_checks = 0; DROP DATABASE d1; DROP DATABASE d2; DROP DATABASE d3");
    fill(server, "old");
}
