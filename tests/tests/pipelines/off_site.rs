//! A set from beginning to end: backed up, pushed through a pipe, locked, brought back by another
//! program, restored.
#![allow(clippy::disallowed_methods, reason = "sample files")]

use std::path::Path;
use std::process::{Command, Stdio};

use mail_tests::maildir::TreePlan;
use mail_tests::run::{Tool, binary};
use mail_tests::s3::S3Server;
use mail_tests::server::Server;
use mail_tests::set::{assert_checksums, unpack_mail};
use mail_tests::tree::snapshot;

const DAY: &str = "2026-11-23";
const URL: &str = "s3://off-site/mx";

#[test]
fn mail_comes_back_from_the_bucket_with_stock_tools() {
    let store = S3Server::seaweedfs();
    store.make_locked_bucket("off-site");
    let server = Server::new(&TreePlan::new(300, 3, 5));
    let mut pipe = Command::new("bash");
    pipe.args([
        "-o",
        "pipefail",
        "-c",
        "\"$0\" --date \"$2\" --component mail --component config | \"$1\" push - --to \"$3\" --lock-days 1",
    ]);
    pipe.arg(binary("mail-backup"))
        .arg(binary("mail-s3sync"))
        .args([DAY, URL]);
    pipe.env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    pipe.envs(server.settings())
        .envs(store.environment())
        .env("HOME", server.dir())
        .env("S3_LAYOUT", "plain")
        .stdin(Stdio::null());
    let output = pipe.output().expect("bash runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let down = server.dir().join("down");
    let target = down.to_str().expect("a temporary path is text");
    let _ = store.aws_ok(&[
        "s3",
        "sync",
        "--quiet",
        &format!("{URL}/daily/{DAY}"),
        target,
    ]);
    assert_checksums(&down);
    let source = snapshot(&server.mail()).without_temporary();
    source.assert_same(&snapshot(unpack_mail(&down).path()));

    // What our own tool brings back is the same, and the local set is not needed.
    let pulled = server.dir().join("pulled");
    let pull = store
        .environment()
        .into_iter()
        .fold(Tool::new("mail-s3sync"), |tool, (name, value)| {
            tool.env(name, value)
        });
    let _ = pull
        .args(["pull", "--from", URL, "--to"])
        .arg(&pulled)
        .run()
        .assert_code(0);
    assert_same_files(&server.daily(DAY), &pulled);
}

/// Asserts that two directories hold the same, by diff(1).
pub(crate) fn assert_same_files(a: &Path, b: &Path) {
    let output = Command::new("diff")
        .arg("-r")
        .args([a, b])
        .output()
        .expect("diff runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
