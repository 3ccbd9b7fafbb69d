//! `mail-s3sync` with a bucket of a private server.

use mail_tests::run::Tool;
use mail_tests::s3::S3Server;

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
