//! `mail-s3sync` with a bucket of a private server.

use mail_tests::run::Tool;
use mail_tests::s3::S3Server;
use serde_json::Value;

use super::SampleRoot;

impl SampleRoot {
    /// The tool as the account that may do everything, with an endpoint that may be a proxy before
    /// the server.
    pub(crate) fn s3_tool(&self, server: &S3Server, endpoint: &str) -> Tool {
        let tool = server
            .environment()
            .into_iter()
            .fold(self.tool(), |tool, (name, value)| tool.env(name, value));
        tool.env("AWS_ENDPOINT_URL", endpoint)
    }

    /// A push in the plain layout.
    pub(crate) fn push_to_s3(
        &self,
        server: &S3Server,
        endpoint: &str,
        date: &str,
        url: &str,
    ) -> Tool {
        self.push_as_is(server, endpoint, date, url)
            .env("S3_LAYOUT", "plain")
    }

    /// A push in the layout of what is there.
    pub(crate) fn push_as_is(
        &self,
        server: &S3Server,
        endpoint: &str,
        date: &str,
        url: &str,
    ) -> Tool {
        self.s3_tool(server, endpoint)
            .args(["push", "--date", date, "--to", url])
    }
}

/// What the server says of an object of the bucket `mail`, as `aws` shows it.
#[track_caller]
pub(crate) fn head(server: &S3Server, key: &str) -> Value {
    let command = ["s3api", "head-object", "--bucket", "mail"];
    let text = server.aws_ok(&[&command[..], &["--output", "json", "--key", key]].concat());
    serde_json::from_str(&text).unwrap()
}

/// Until when an object of that bucket cannot be deleted; empty where it can.
#[track_caller]
pub(crate) fn locked_until(server: &S3Server, key: &str) -> String {
    let head = head(server, key);
    let until = head["ObjectLockRetainUntilDate"].as_str();
    until.unwrap_or_default().replace("+00:00", "Z")
}
