//! A server behind a proxy, a root with sets, and what was asked of the server.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::support::{DAY_1, SampleRoot, Tree, tree};
use mail_tests::proxy::{Fault, Proxy, Request};
use mail_tests::run::{Outcome, Tool};
use mail_tests::s3::S3Server;
use mail_tests::schema::Schema;

pub(super) const URL: &str = "s3://mail/host 1";
pub(super) const DAY_3: &str = "2026-11-25";

/// Two of one content, names that need care, and one that goes up in parts.
pub(super) const FILES: [(&str, &[u8]); 5] = [
    ("mailboxes/例え.jp/a b+c%20d/0001.tar.zst", b"messages"),
    ("mailboxes/example.com/new\nline/0001.tar.zst", b"more"),
    ("mailboxes/example.com/back/0001.tar.zst", b"messages"),
    ("mysql/mailserver.sql.zst", b"tables"),
    ("dkim/dkim.tar.zst", b"keys"),
];

/// A server behind a proxy, and a root with the sets of two days.
pub(super) struct Scene {
    pub(super) root: SampleRoot,
    pub(super) server: S3Server,
    pub(super) proxy: Proxy,
}

impl Scene {
    pub(super) fn new(server: S3Server) -> Self {
        server.make_bucket("mail");
        Self::with_bucket(server)
    }

    pub(super) fn with_bucket(server: S3Server) -> Self {
        let root = SampleRoot::new();
        root.make_daily(DAY_1, &FILES);
        let proxy = Proxy::start(server.port(), |_| Fault::None);
        Self {
            root,
            server,
            proxy,
        }
    }

    pub(super) fn push(&self, date: &str) -> Tool {
        self.root
            .push_as_is(&self.server, &self.proxy.endpoint(), date, URL)
    }

    pub(super) fn read(&self, command: &str) -> Tool {
        self.root
            .s3_tool(&self.server, &self.server.endpoint())
            .args([command, "--from", URL])
    }

    pub(super) fn pull(&self, date: &str) -> Tree {
        let to = tempfile::tempdir().unwrap();
        let pull = self.read("pull").args(["--date", date, "--to"]);
        let _ = pull.arg(to.path()).run().assert_code(0);
        tree(to.path())
    }

    pub(super) fn set(&self, date: &str) -> Tree {
        tree(&self.root.set(&format!("daily/{date}")))
    }

    pub(super) fn keys(&self) -> BTreeSet<String> {
        let listed = self.server.aws_ok(&[
            "s3api",
            "list-objects-v2",
            "--bucket",
            "mail",
            "--query",
            "Contents[].[Key]",
            "--output",
            "text",
        ]);
        listed.lines().map(str::to_owned).collect()
    }

    pub(super) fn rm(&self, key: &str) {
        let _ = self
            .server
            .aws_ok(&["s3", "rm", "--quiet", &format!("{URL}/{key}")]);
    }

    /// Puts other content there, as another program would.
    pub(super) fn overwrite(&self, key: &str, content: &[u8]) {
        let file = self.root.path().join("other");
        fs::write(&file, content).unwrap();
        let to = format!("{URL}/{key}");
        let _ = self
            .server
            .aws_ok(&["s3", "cp", "--quiet", file.to_str().unwrap(), &to]);
    }

    /// Forgets what the proxy has seen.
    pub(super) fn watch(&self) {
        self.proxy.set_rule(|_| Fault::None);
    }
}

/// How many transfers of each action: uploaded, copied, skipped.
pub(super) fn actions(outcome: &Outcome) -> [usize; 3] {
    Schema::open().assert_valid(&outcome.records());
    let transfers = outcome.data("transfer");
    ["uploaded", "copied", "skipped"].map(|action| {
        transfers
            .iter()
            .filter(|transfer| transfer["action"] == action)
            .count()
    })
}

/// Methods of requests and the last part of what they are for, without the question mark.
pub(super) fn kinds(requests: &[Request]) -> Vec<String> {
    let kind = |request: &Request| {
        let (path, query) = request
            .target
            .split_once('?')
            .unwrap_or((&request.target, ""));
        let of = match query.split('&').find(|part| part.starts_with("prefix=")) {
            Some(prefix) => prefix.trim_end_matches("%2F").rsplit("%2F").next(),
            None => path.rsplit('/').next(),
        };
        format!("{} {}", request.method, of.unwrap_or_default())
    };
    requests.iter().map(kind).collect()
}

pub(super) fn sha256sum(content: &[u8]) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), content).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

pub(super) fn pooled(content: &[u8]) -> String {
    format!("pool/{}", sha256sum(content))
}
