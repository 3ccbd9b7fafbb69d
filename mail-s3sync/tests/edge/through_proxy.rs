//! Stores that are reached through a proxy of the environment.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::{DAY_1, SampleRoot, tree};
use mail_tests::certificate::{Authority, Certificate};
use mail_tests::run::Tool;
use mail_tests::s3::S3Server;

/// `printf 'u:p@ss' | base64`
const AUTHORIZATION: &str = "proxy-authorization: basic dtpwqhnz";

/// A proxy that knows one user, and lets everybody through to one server.
struct WebProxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl WebProxy {
    /// Before the server at `upstream`; `refusal` is the status that it gives instead.
    fn start(upstream: u16, refusal: Option<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&heads);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                // A client that goes away is no concern of the proxy.
                thread::spawn(move || drop(serve(client, upstream, refusal, &seen)));
            }
        });
        Self { port, heads }
    }

    fn url(&self) -> String {
        format!("http://u:p%40ss@127.0.0.1:{}", self.port)
    }

    /// The first lines since it was last asked, each with whether the user was named.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().unwrap())
    }
}

fn serve(
    mut client: TcpStream,
    upstream: u16,
    refusal: Option<u16>,
    seen: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let is_known = text.to_ascii_lowercase().contains(AUTHORIZATION);
    seen.lock().unwrap().push(text.clone());
    if let Some(status) = refusal.or((!is_known).then_some(407)) {
        let answer =
            format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return client.write_all(answer.as_bytes());
    }
    let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
    if text.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connected\r\nVia: test\r\n\r\n")?;
    } else {
        // Servers take a whole URL, too. One request a connection keeps this proxy small.
        let whole = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        server.write_all(whole.as_bytes())?;
    }
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut from_client, &mut to_server));
    io::copy(&mut server, &mut client)?;
    client.shutdown(std::net::Shutdown::Both)
}

fn root() -> SampleRoot {
    let root = SampleRoot::new();
    root.make_daily(DAY_1, &[("dkim/dkim.tar.zst", b"keys")]);
    root
}

/// Push, pull and list go through the proxy, and only there.
#[track_caller]
fn assert_goes_through(root: &SampleRoot, proxy: &WebProxy, tool: &dyn Fn() -> Tool, form: &str) {
    let to = root.path().join("pulled");
    let runs = [
        tool().args(["push", "--date", DAY_1, "--to", "s3://mail"]),
        tool()
            .args(["pull", "--from", "s3://mail", "--to"])
            .arg(&to),
        tool().args(["list", "--from", "s3://mail"]),
    ];
    for run in runs {
        let _ = run.run().assert_code(0);
        let heads = proxy.take();
        assert!(!heads.is_empty());
        for head in heads {
            assert!(head.contains(form), "no {form:?} in {head}");
        }
    }
    assert_eq!(tree(&to), tree(&root.set(&format!("daily/{DAY_1}"))));
}

#[test]
fn a_store_over_tls_is_reached_by_connect_and_a_refusal_is_reported() {
    let root = root();
    let authority = Authority::new(&root.path().join("authority"));
    let [file, key] = ["server.pem", "server.key"].map(|name| root.path().join(name));
    authority.issue(&Certificate::default(), &file, &key);
    let server = S3Server::moto_over_tls(&file, &key);
    let own = authority.file();
    let bucket = server
        .aws()
        .env("AWS_CA_BUNDLE", &own)
        .args(["s3", "mb", "s3://mail"])
        .output()
        .unwrap();
    assert!(bucket.status.success(), "{bucket:?}");
    let proxy = WebProxy::start(server.port(), None);
    let tool = |url: &str| {
        root.s3_tool(&server, &server.endpoint())
            .env("AWS_CA_BUNDLE", &own)
            .env("HTTPS_PROXY", url)
    };
    let form = format!("CONNECT 127.0.0.1:{} HTTP/1.1", server.port());
    assert_goes_through(&root, &proxy, &|| tool(&proxy.url()), &form);

    let list = ["list", "--from", "s3://mail", "--attempts", "1"];
    let around = tool(&proxy.url()).env("NO_PROXY", "127.0.0.0/8");
    let _ = around.args(list).run().assert_code(0);
    assert!(proxy.take().is_empty());

    let check = |url: &str, code: i32, parts: &[&str]| {
        let outcome = tool(url).args(list).run().assert_code(code);
        for part in parts {
            assert!(
                outcome.stderr.contains(part),
                "no {part:?} in {}",
                outcome.stderr
            );
        }
        assert!(!outcome.stderr.contains("p%40ss"), "{}", outcome.stderr);
    };
    let target = format!("127.0.0.1:{}", server.port());
    let place = format!("the proxy http://127.0.0.1:{} (HTTPS_PROXY)", proxy.port);
    check(
        &format!("127.0.0.1:{}", proxy.port),
        2,
        &["(407)", &target, &place],
    );
    for (status, code) in [(407, 2), (403, 2), (503, 3)] {
        let refusing = WebProxy::start(server.port(), Some(status));
        check(&refusing.url(), code, &[&format!("({status})"), &target]);
    }
    check(
        "http://u:p%40ss@127.0.0.1:1",
        3,
        &["cannot connect to the proxy", &target],
    );
    check(
        "http://u:p%40ss@nowhere.invalid:1",
        2,
        &["nowhere.invalid", &target],
    );
    check("socks5://u:p%40ss@127.0.0.1:1", 2, &["HTTPS_PROXY"]);
}

#[test]
fn a_plain_store_is_reached_by_whole_urls() {
    let root = root();
    let server = S3Server::moto();
    server.aws_ok(&["s3", "mb", "s3://mail"]);
    let proxy = WebProxy::start(server.port(), None);
    let tool = |url: &str| {
        root.s3_tool(&server, &server.endpoint())
            .env("http_proxy", url)
            .env("HTTP_PROXY", "http://127.0.0.1:1")
    };
    let form = format!(" http://127.0.0.1:{}/mail", server.port());
    assert_goes_through(&root, &proxy, &|| tool(&proxy.url()), &form);
    let refused = tool(&format!("127.0.0.1:{}", proxy.port)).args(["list", "--from", "s3://mail"]);
    let _ = refused
        .run()
        .assert_code(2)
        .assert_failure("configuration")
        .assert_stderr("(407)");
}
