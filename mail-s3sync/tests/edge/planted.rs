//! What others write acts on no terminal and forges no line: names in sets and stores, and whatever
//! a store answers.

use std::fs;
use std::io::{BufReader, Write};
use std::net::TcpStream;

use mail_tests::http::Request;
use mail_tests::planted::{ACTS, acts_on_one_line, assert_all_inert};
use mail_tests::receiver::Receiver;
use mail_tests::run::Tool;

use crate::support::{DAY_1, DAY_2, SampleRoot};

/// A store that is wrong is not asked again.
const ONCE: [&str; 4] = ["--attempts", "1", "--timeout", "2"];

#[track_caller]
fn check_commands(root: &SampleRoot, url: &str, tool: impl Fn() -> Tool) {
    for command in ["list", "usage", "verify"] {
        assert_all_inert(command, || tool().args([command, "--from", url]).args(ONCE));
    }
    assert_all_inert("verify --deep", || {
        let verify = ["verify", "--deep", "--from", url];
        tool().args(verify).args(ONCE)
    });
    let to = root.path().join("pulled");
    assert_all_inert("pull", || {
        let pull = tool().args(["pull", "--from", url, "--to"]);
        pull.arg(&to).args(ONCE)
    });
}

#[test]
fn names_in_a_set_and_in_a_store_do_not_act() {
    let root = SampleRoot::new();
    let name = format!("mailboxes/example.com/al{ACTS}ice/0001.tar.zst");
    let files: [(&str, &[u8]); 2] = [(&name, b"messages"), ("dkim/dkim.tar.zst", b"keys")];
    root.make_daily(DAY_1, &files);
    assert_all_inert("push", || root.push_to_file(DAY_1));
    check_commands(&root, &root.file_url(), || root.tool());

    let stored = root.store().join("daily").join(DAY_1);
    fs::write(stored.join(format!("foreign{ACTS}")), "x").unwrap();
    fs::create_dir(root.store().join(format!("daily/{ACTS}"))).unwrap();
    fs::write(root.store().join(format!("daily/{ACTS}/{ACTS}")), "x").unwrap();
    std::os::unix::fs::symlink("/etc", root.store().join(format!("daily/link{ACTS}"))).unwrap();
    fs::write(stored.join(&name), "damaged").unwrap();
    check_commands(&root, &root.file_url(), || root.tool());
    fs::remove_file(root.set(&format!("daily/{DAY_1}")).join(&name)).unwrap();
    assert_all_inert("push of what is not there", || root.push_to_file(DAY_1));

    root.make_daily(DAY_2, &files);
    let manifest = root.set(&format!("daily/{DAY_2}")).join("manifest.jsonl");
    fs::write(manifest, ACTS).unwrap();
    assert_all_inert("push of a damaged set", || root.push_to_file(DAY_2));
}

/// What a store may answer to whatever it is asked: the head, and the body.
fn answers() -> Vec<(String, String)> {
    let line = acts_on_one_line();
    let error = |code: &str| {
        format!(
            "<Error><Code>{code}</Code><Message>{code}</Message><Region>{code}</Region>\
             <Endpoint>{code}</Endpoint><BucketName>{code}</BucketName></Error>"
        )
    };
    // What XML lets pass.
    let mild = "\u{9b}2J\u{85}\u{202e}\u{2066}\u{7f}";
    let list = |key: &str, etag: &str| {
        format!(
            "<?xml version=\"1.0\"?><ListBucketResult><Name>{key}</Name><Prefix></Prefix>\
             <KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>{key}</Key>\
             <LastModified>{key}</LastModified><ETag>{etag}</ETag><Size>{key}</Size>\
             <StorageClass>{key}</StorageClass></Contents></ListBucketResult>"
        )
    };
    let head = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Type: application/xml\r\n");
    let odd_head = format!(
        "{}x-amz-bucket-region: {line}\r\nETag: {line}\r\n",
        head("301 Moved")
    );
    vec![
        (head("403 Forbidden"), error(ACTS)),
        (head("400 Bad Request"), error(mild)),
        (
            head("409 Conflict"),
            error("&#27;[2J&#155;2J&#10;FORGED&#x202e;"),
        ),
        (head("404 Not Found"), ACTS.to_owned()),
        (head(&format!("404 {line}")), error(mild)),
        (head("200 OK"), error(mild)),
        (head("200 OK"), ACTS.to_owned()),
        (head("200 OK"), format!("<html>{ACTS}</html>")),
        (head("200 OK"), format!("<{mild}>")),
        (
            head("200 OK"),
            list(&format!("daily/2026-11-23/{mild}"), mild),
        ),
        (
            head("200 OK"),
            list(&format!("daily/{mild}/checksums.sha256"), mild),
        ),
        (head("200 OK"), list(&format!("pool/{mild}"), mild)),
        (head("200 OK"), list("pool/ledger.jsonl", mild)),
        (
            head("200 OK"),
            list("daily/2026-11-23/checksums.sha256", ACTS),
        ),
        (odd_head, error("PermanentRedirect")),
        (line, String::new()),
    ]
}

fn answer(stream: TcpStream, head: &str, body: &str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(request) = Request::read(&mut reader) {
        let body = if request.method == "HEAD" { "" } else { body };
        let sent = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        if sent.is_err() {
            return;
        }
    }
}

#[test]
fn what_a_store_answers_does_not_act() {
    let root = SampleRoot::new();
    root.make_daily(DAY_1, &[("dkim/dkim.tar.zst", b"keys")]);
    for (head, body) in answers() {
        let store = Receiver::start(move |stream| answer(stream, &head, &body));
        let endpoint = format!("http://127.0.0.1:{}", store.port());
        let tool = || {
            root.tool()
                .env("AWS_ACCESS_KEY_ID", "key")
                .env("AWS_SECRET_ACCESS_KEY", "secret")
                .env("AWS_REGION", "us-east-1")
                .env("AWS_ENDPOINT_URL", &endpoint)
        };
        let push = ["push", "--date", DAY_1, "--to", "s3://bucket"];
        assert_all_inert("push", || tool().args(push).args(ONCE));
        check_commands(&root, "s3://bucket", tool);
    }
}
