//! One MariaDB for all tests of a file that run at the same time; it goes with the last of them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use mail_tests::mariadb::MariaDb;

static SHARED: Mutex<Weak<MariaDb>> = Mutex::new(Weak::new());

/// A database of a mail server, with a trigger and a procedure.
const SCHEMA: &str = "
CREATE DATABASE mailserver CHARACTER SET utf8mb4;
USE mailserver;
CREATE TABLE users
  (id INT PRIMARY KEY AUTO_INCREMENT, address VARCHAR(190) UNIQUE, name TEXT, secret BLOB);
CREATE TABLE changes (user INT, at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6));
INSERT INTO users (address, name, secret) VALUES
  ('alice@example.com', 'Alice', x'00ff0a0d2700'), ('bob@example.com', 'ボブ', NULL),
  ('o''hara@example.com', '', '');
CREATE TRIGGER noted AFTER UPDATE ON users FOR EACH ROW INSERT INTO changes (user) VALUES (NEW.id);
CREATE PROCEDURE forget_changes() DELETE FROM changes;
";

/// The server, with a database `mailserver`.
pub(crate) fn shared_database() -> Arc<MariaDb> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let server = Arc::new(MariaDb::start());
    server.sql(SCHEMA);
    *shared = Arc::downgrade(&server);
    server
}
