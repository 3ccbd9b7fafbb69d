//! A server behind a proxy that does harm, and a set to push there.

use std::path::PathBuf;
use std::sync::Arc;

use crate::support::{DAY_1, SampleRoot, Tree, tree};
use mail_tests::proxy::{Fault, Proxy, Request};
use mail_tests::run::Tool;
use mail_tests::s3::S3Server;

/// A server, a proxy before it, and a set whose large file goes up in three parts.
pub(crate) struct Scene {
    pub(crate) root: SampleRoot,
    pub(crate) server: Arc<S3Server>,
    pub(crate) proxy: Proxy,
    pub(crate) bucket: String,
}

impl Scene {
    pub(crate) fn new(bucket: &str) -> Self {
        let server = S3Server::shared();
        server.make_bucket(bucket);
        let root = SampleRoot::new();
        let large: Vec<u8> = (0..18_u32 << 18)
            .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        let names: Vec<String> = (0..20)
            .map(|number| format!("mailboxes/a/b/{number:04}.tar.zst"))
            .collect();
        let mut files: Vec<(&str, &[u8])> = names
            .iter()
            .map(|name| (name.as_str(), name.as_bytes()))
            .collect();
        files.push(("mysql/large.sql.zst", &large));
        root.make_daily(DAY_1, &files);
        let proxy = Proxy::start(server.port(), |_| Fault::None);
        Self {
            root,
            server,
            proxy,
            bucket: format!("s3://{bucket}"),
        }
    }

    pub(crate) fn push(&self) -> Tool {
        self.push_within("2")
    }

    /// One whose requests may stand still for longer, while the proxy lets another program act.
    pub(crate) fn push_within(&self, seconds: &str) -> Tool {
        let push = self
            .root
            .push_to_s3(&self.server, &self.proxy.endpoint(), DAY_1, &self.bucket);
        push.args(["--timeout", seconds])
    }

    /// The set as it comes back, past the proxy, is the one that was pushed.
    #[track_caller]
    pub(crate) fn check_whole(&self) {
        assert!(self.complete_tree() == Some(tree(&self.set())));
    }

    /// The directory of the set.
    pub(crate) fn set(&self) -> PathBuf {
        self.root.set(&format!("daily/{DAY_1}"))
    }

    /// What comes back of the set, where one is listed as complete.
    #[track_caller]
    pub(crate) fn complete_tree(&self) -> Option<Tree> {
        if self.complete_sets() == 0 {
            return None;
        }
        let to = tempfile::tempdir().unwrap();
        let tool = self.root.s3_tool(&self.server, &self.server.endpoint());
        let _ = tool
            .args(["pull", "--from", &self.bucket, "--to"])
            .arg(to.path())
            .run()
            .assert_code(0);
        Some(tree(to.path()))
    }

    pub(crate) fn complete_sets(&self) -> usize {
        let tool = self.root.s3_tool(&self.server, &self.server.endpoint());
        let sets = tool
            .args(["list", "--from", &self.bucket])
            .run()
            .assert_code(0)
            .data("set");
        sets.iter().filter(|set| set["complete"] == true).count()
    }

    pub(crate) fn clear(&self) {
        let _ = self
            .server
            .aws_ok(&["s3", "rm", "--quiet", "--recursive", &self.bucket]);
    }
}

pub(crate) fn is_list(request: &Request) -> bool {
    request.target.contains("list-type")
}

pub(crate) fn is_put(request: &Request) -> bool {
    request.method == "PUT" && request.body_bytes > 0
}
