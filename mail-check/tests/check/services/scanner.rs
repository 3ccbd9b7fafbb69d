//! `services` on a private clamd and a private MariaDB.

use mail_tests::clamd::Clamd;
use mail_tests::mariadb::MariaDb;
use rustix::process::{Signal, kill_process};

use crate::server::support::{Bench, Found};

#[test]
fn a_scanner_answers_and_its_signatures_age() {
    let bench = Bench::new();
    let mut clamd = Clamd::start_dated("", 27_345, 1_577_836_800);
    let settings = format!(
        "[services]\nresponse = {{ warning = 50 }}\nclamd = ['{}']\n",
        clamd.tcp()
    );
    let target = clamd.tcp().trim_start_matches("tcp:").to_owned();
    let old = bench.check("services", &settings);
    old.assert("clamd", &target, "ok", "it answers").assert(
        "clamd-signatures",
        &target,
        "warning",
        "freshclam",
    );
    // CLAMD_ADDRESS alone is enough.
    let by_address = Found::of(
        bench
            .tool("services", "")
            .env("CLAMD_ADDRESS", clamd.unix())
            .args(["--timeout", "60"]),
    );
    by_address.assert("clamd-signatures", &clamd.unix(), "warning", "days old");
    kill_process(clamd.pid(), Signal::STOP).unwrap();
    let hung = Found::of(bench.tool("services", &settings).args(["--timeout", "3"]));
    hung.assert(
        "clamd",
        &target,
        "critical",
        "hangs: it has not sent a reply of clamd",
    );
    clamd.kill();
    bench
        .check("services", &settings)
        .assert("clamd", &target, "critical", "nobody listens");
}

#[test]
fn a_database_answers_a_query_and_its_connections_are_counted() {
    let (bench, server) = (Bench::new(), MariaDb::start());
    let check = |socket: &str| {
        let settings = "[services]\nmysql = true\nresponse = { warning = 50 }\n";
        let tool = bench
            .tool("services", settings)
            .env("MYSQL_SOCKET", socket)
            .env("MYSQL_USER", "root");
        Found::of(
            tool.env("MYSQL_CONFIG_FILE", "/dev/null")
                .args(["--timeout", "60"]),
        )
    };
    let sound = check(&server.socket().display().to_string());
    sound.assert("mysql", "server", "ok", "it answers").assert(
        "mysql-connections",
        "server",
        "ok",
        "connections are taken",
    );
    check("/nonexistent.sock").assert("mysql", "server", "critical", "/nonexistent.sock");
}
