//! Who logs in, by which way, and what a refusal says.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::mariadb::MariaDb;
use crate::support::{chain, root, settings, tcp_options};
use mail_mysql::{Error, Options, Session};

#[test]
fn a_wrong_password_names_where_to_set_it_and_hides_it() {
    let server = MariaDb::start(&[]);
    server.sql("CREATE USER backup@'%' IDENTIFIED BY 'right'");
    let error = Session::connect(&settings(&server, "backup", "wr0ng-secret"))
        .err()
        .unwrap();
    assert!(matches!(error, Error::LogIn { .. }), "{error:?}");
    let text = chain(&error);
    assert!(
        text.contains("backup") && text.contains("MYSQL_PWD") && text.contains("~/.my.cnf"),
        "{text}"
    );
    assert!(
        text.contains("1045") && !text.contains("wr0ng") && !format!("{error:?}").contains("wr0ng"),
        "{text}"
    );
    Session::connect(&settings(&server, "backup", "right")).unwrap();
}

#[test]
fn a_server_that_is_down_is_named_by_address() {
    let mut server = MariaDb::start(&[]);
    server.kill();
    let error = Session::connect(&settings(&server, "root", ""))
        .err()
        .unwrap();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(
        chain(&error).contains(&format!("127.0.0.1:{}", server.port())),
        "{}",
        chain(&error)
    );
    let gone = Options {
        socket: Some(PathBuf::from("/nonexistent/s.sock")),
        ..Options::default()
    };
    let error = Session::connect(&gone.settle("root")).err().unwrap();
    assert!(
        chain(&error).contains("/nonexistent/s.sock"),
        "{}",
        chain(&error)
    );
}

#[test]
fn a_database_that_is_not_there_is_an_error() {
    let server = MariaDb::start(&[]);
    let error = mail_mysql::databases(&mut root(&server), &["nowhere".into()]).unwrap_err();
    assert!(
        matches!(&error, Error::NoDatabase { database } if database == "nowhere"),
        "{error:?}"
    );
}

/// A self-signed certificate for 127.0.0.1, and its key, where `server` can read them.
fn make_certificate(dir: &std::path::Path) -> (PathBuf, PathBuf) {
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
        ])
        .args([
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .args([&"-out".into(), &cert, &"-keyout".into(), &key])
        .output()
        .expect("openssl is installed");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644))
        .expect("let the server read its key");
    (cert, key)
}

#[test]
fn tls_is_used_when_asked_for_and_checked_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (cert, key) = make_certificate(dir.path());
    let server = MariaDb::start(&[
        &format!("--ssl-cert={}", cert.display()),
        &format!("--ssl-key={}", key.display()),
    ]);
    server.sql("CREATE USER s@'%' IDENTIFIED BY 'x' REQUIRE SSL; GRANT ALL ON *.* TO s@'%'");
    let connect = |options: Options| Session::connect(&options.settle("nobody"));
    let plain = tcp_options(&server, "s", "x");
    assert!(matches!(connect(plain.clone()), Err(Error::LogIn { .. })));
    let mut secure = connect(Options {
        ssl: Some(true),
        ..plain.clone()
    })
    .unwrap();
    assert_eq!(
        mail_mysql::databases(&mut secure, &[]).unwrap().missing,
        [""; 0]
    );
    connect(Options {
        ssl_ca: Some(cert.clone()),
        ..plain.clone()
    })
    .unwrap();
    connect(Options {
        ssl_ca: Some(cert),
        ssl_verify_server_cert: Some(true),
        ..plain.clone()
    })
    .unwrap();
    let unknown = connect(Options {
        ssl_verify_server_cert: Some(true),
        ..plain
    });
    assert!(
        matches!(unknown, Err(Error::Secure { .. })),
        "{:?}",
        unknown.err()
    );
}

#[test]
fn tls_that_the_server_does_not_offer_is_an_error() {
    let server = MariaDb::start(&["--skip-ssl"]);
    server.sql("CREATE USER s@'%' IDENTIFIED BY 'x'");
    let options = Options {
        ssl: Some(true),
        ..tcp_options(&server, "s", "x")
    };
    let error = Session::connect(&options.settle("nobody")).err().unwrap();
    assert!(matches!(error, Error::Secure { .. }), "{error:?}");
}

#[test]
fn an_ed25519_account_logs_in() {
    let server = MariaDb::start(&[]);
    server.sql("INSTALL SONAME 'auth_ed25519'; CREATE USER e@'%' IDENTIFIED VIA ed25519 USING PASSWORD('pässword')");
    Session::connect(&settings(&server, "e", "pässword")).unwrap();
    let error = Session::connect(&settings(&server, "e", "other"))
        .err()
        .unwrap();
    assert!(matches!(error, Error::LogIn { .. }), "{error:?}");
}

#[test]
fn an_option_file_logs_in_and_the_environment_overrides_it() {
    let server = MariaDb::start(&[]);
    server.sql(r"CREATE USER 'from file'@'%' IDENTIFIED BY 'p#\'1', env@'%' IDENTIFIED BY 'p2'");
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "[client]\nuser = 'from file'\npassword = \"p#'1\" # quoted\nhost=127.0.0.1\nport={}\n",
        server.port()
    );
    io::Write::write_all(&mut file.as_file(), text.as_bytes()).unwrap();
    let read = Options::from_file(file.path()).unwrap();
    assert_eq!(read.warning, None);
    Session::connect(&read.options.clone().settle("nobody")).unwrap();
    let environment = |name: &str| match name {
        "MYSQL_USER" => Some("env".to_owned()),
        "MYSQL_PWD" => Some("p2".to_owned()),
        _ => None,
    };
    let options = Options::from_environment(environment)
        .unwrap()
        .or(read.options);
    Session::connect(&options.settle("nobody")).unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(
        Options::from_file(file.path())
            .unwrap()
            .warning
            .unwrap()
            .contains("chmod 600")
    );
}
