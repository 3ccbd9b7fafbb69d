//! A set with dumps, made by hand, and the server that they are loaded into.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use jiff::ZonedDateTime;
use mail_common::checksum::Sha256;
pub(crate) use mail_common::report::chain;
use mail_common::set::Inventory;
use mail_mysql::{Options, Session, file_name};
use mail_restore::databases::{Accounts, Databases, Error, Loaded, Target, Trust, Watch};
use mail_tests::mariadb::{MariaDb, fed};
use tempfile::TempDir;

/// Every kind of object and type that a dump must carry.
pub(crate) const EVERY_OBJECT: &str =
    include_str!("../../../mail-common/mysql/tests/fixtures/every_object.sql");

/// A server with the databases of [`EVERY_OBJECT`].
pub(crate) fn with_every_object() -> MariaDb {
    let server = MariaDb::start();
    let loaded = fed(
        server.client().args(["--batch", "--comments"]),
        EVERY_OBJECT.as_bytes(),
    );
    assert!(
        loaded.status.success(),
        "{}",
        String::from_utf8_lossy(&loaded.stderr)
    );
    server
}

/// The databases of [`EVERY_OBJECT`].
pub(crate) const EVERY_DATABASE: [&str; 3] = ["empty-db", "mail db", "second"];

/// A set and a backup root in a temporary directory.
pub(crate) struct Set {
    dir: TempDir,
}

impl Set {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("set/mysql")).unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        Self { dir }
    }

    /// One with our dumps of `databases`.
    pub(crate) fn of(server: &MariaDb, databases: &[&str]) -> Self {
        let set = Self::new();
        for database in databases {
            set.put_dump(server, database);
        }
        set
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("set")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Puts a file into the set, packed as its name says.
    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        let packed = match name.rsplit('.').next() {
            Some("zst") => zstd::encode_all(content, 1).unwrap(),
            Some("gz") => filter("gzip", content),
            Some("bz2") => filter("bzip2", content),
            Some("xz") => filter("xz", content),
            _ => content.to_vec(),
        };
        fs::write(self.path().join("mysql").join(name), packed).unwrap();
    }

    /// Puts our dump of `database` there.
    pub(crate) fn put_dump(&self, server: &MariaDb, database: &str) {
        let path = file_name::of_database(database).to_string();
        self.put(
            path.strip_prefix("mysql/").unwrap(),
            &dump(server, database),
        );
    }

    pub(crate) fn plan(&self, accounts: Accounts) -> Databases {
        Databases::plan(&inventory(&self.path()), accounts).unwrap()
    }

    /// Loads everything but accounts.
    pub(crate) fn restore(&self, server: &MariaDb) -> Result<Loaded, Error> {
        self.restore_with(server, Accounts::Leave, 2)
    }

    pub(crate) fn restore_with(
        &self,
        server: &MariaDb,
        accounts: Accounts,
        connections: usize,
    ) -> Result<Loaded, Error> {
        let target = Target {
            connections,
            ..target(server)
        };
        self.restore_as(&target, accounts)
    }

    /// Loads everything but accounts into `target`.
    pub(crate) fn restore_to(&self, target: &Target) -> Result<Loaded, Error> {
        self.restore_as(target, Accounts::Leave)
    }

    fn restore_as(&self, target: &Target, accounts: Accounts) -> Result<Loaded, Error> {
        let never = AtomicBool::new(false);
        let watch = Watch {
            stop: &never,
            progress: &|_| {},
        };
        self.plan(accounts)
            .restore(target, &self.root(), &ZonedDateTime::now(), watch)
    }

    /// The one set of what was there before.
    pub(crate) fn saved(&self) -> PathBuf {
        let entries = fs::read_dir(self.root().join("pre-restore")).unwrap();
        let mut saved: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(saved.len(), 1, "{saved:?}");
        saved.pop().unwrap()
    }
}

/// Reads a set, after writing the checksums of what it holds where it has none.
pub(crate) fn inventory(set: &Path) -> Inventory {
    let sums = set.join("checksums.sha256");
    if !sums.exists() {
        let line = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().unwrap();
            format!(
                "{}  mysql/{name}\n",
                Sha256::of(&fs::read(entry.path()).unwrap())
            )
        };
        let lines: String = fs::read_dir(set.join("mysql"))
            .unwrap()
            .map(|entry| line(entry.unwrap()))
            .collect();
        fs::write(sums, lines).unwrap();
    }
    Inventory::read(set).unwrap()
}

/// Root, by the socket.
pub(crate) fn target(server: &MariaDb) -> Target {
    let options = Options {
        user: Some("root".into()),
        socket: Some(server.socket()),
        ..Options::default()
    };
    Target {
        connection: options.settle("nobody"),
        connections: 2,
        trust: Trust::Gate,
    }
}

/// Our dump of a database.
pub(crate) fn dump(server: &MariaDb, database: &str) -> Vec<u8> {
    let mut session = Session::connect(&target(server).connection).unwrap();
    let never = AtomicBool::new(false);
    let (sql, report) = mail_mysql::dump_database(
        &mut session,
        database,
        || Ok(Vec::new()),
        &never,
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(report.missing, [""; 0]);
    sql
}

/// What `mariadb-dump` says with `arguments`.
pub(crate) fn stock_dump(server: &MariaDb, arguments: &[&str]) -> Vec<u8> {
    let output = server
        .command("mariadb-dump")
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// What `program` makes of `input`.
pub(crate) fn filter(program: &str, input: &[u8]) -> Vec<u8> {
    let output = fed(Command::new(program).stderr(Stdio::inherit()), input);
    assert!(output.status.success());
    output.stdout
}

/// A set with a database and the accounts of its server.
pub(crate) fn with_accounts() -> (MariaDb, Set) {
    let source = MariaDb::start();
    source.sql(
        "CREATE DATABASE d; CREATE TABLE d.t (a INT); CREATE USER new@localhost IDENTIFIED BY 'pw'; CREATE ROLE reader;
         GRANT SELECT ON d.t TO reader; GRANT reader TO new@localhost;",
    );
    let set = Set::of(&source, &["d"]);
    let mut session = mail_mysql::Session::connect(&target(&source).connection).unwrap();
    let never = AtomicBool::new(false);
    let (sql, _) = mail_mysql::dump_accounts(&mut session, || Ok(Vec::new()), &never).unwrap();
    set.put("_accounts.sql.zst", &sql);
    (source, set)
}
