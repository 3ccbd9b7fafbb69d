//! What a store does not allow, answered by the store itself: keys that may not delete, a clock
//! that is wrong.

use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::support::{DAY_1, DAY_2, SampleRoot, tree};
use mail_tests::run::Tool;
use mail_tests::s3::{ADMIN, S3Server, UPLOAD_ROLE};
use rustix::process::Signal;

/// A bucket with Object Lock, and a profile whose role may put, read and lock, and nothing else.
struct Scene {
    root: SampleRoot,
    server: S3Server,
    config: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let (root, server) = (SampleRoot::new(), S3Server::seaweedfs());
        server.make_locked_bucket("mail");
        let config = root.path().join("config");
        let text = format!(
            "[profile keys]\naws_access_key_id={}\naws_secret_access_key={}\n\
             [profile upload]\nrole_arn={UPLOAD_ROLE}\nsource_profile=keys\n",
            ADMIN.0, ADMIN.1
        );
        mail_common::atomic::write_file(&config, text.as_bytes()).unwrap();
        Self {
            root,
            server,
            config,
        }
    }

    fn push(&self, date: &str) -> Tool {
        let tool = self.tool(&["push", "--date", date, "--to", "s3://mail"]);
        tool.args(["--lock-days", "2", "-v"])
            .env("S3_LAYOUT", "plain")
    }

    /// The tool with the role.
    fn tool(&self, args: &[&str]) -> Tool {
        let tool = self
            .root
            .tool()
            .env("AWS_CONFIG_FILE", &self.config)
            .env("AWS_ENDPOINT_URL", self.server.endpoint());
        tool.args(args).args(["--profile", "upload"])
    }

    /// The AWS command line with the same role.
    fn aws(&self, args: &[&str]) -> Output {
        let mut aws = self.server.aws();
        aws.env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env("AWS_CONFIG_FILE", &self.config);
        aws.env("AWS_PROFILE", "upload")
            .env("AWS_ENDPOINT_URL_STS", self.server.endpoint())
            .args(args)
            .output()
            .unwrap()
    }

    fn unfinished(&self) -> bool {
        let list = [
            "s3api",
            "list-multipart-uploads",
            "--bucket",
            "mail",
            "--output",
            "json",
        ];
        self.server.aws_ok(&list).contains("UploadId")
    }
}

#[test]
fn the_policy_of_the_guide_is_enough_and_lets_nothing_be_deleted() {
    let scene = Scene::new();
    let large = vec![7; 18 << 20];
    let set = scene.root.make_daily(
        DAY_1,
        &[
            ("mysql/large.sql.zst", &large),
            ("dkim/dkim.tar.zst", b"keys"),
        ],
    );
    // Asked to stop half-way, it may not abort the upload either, and does not hang on that.
    let mut running = scene.push(DAY_1).args(["--limit-rate", "4M"]).spawn();
    std::thread::sleep(Duration::from_millis(2000));
    assert!(running.is_running());
    running.signal(Signal::TERM);
    let asked = Instant::now();
    let _ = running.wait().assert_code(3).assert_failure("interrupted");
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(
        scene.unfinished(),
        "what may not be aborted stays, for the lifecycle rule"
    );

    let pushed = scene
        .push(DAY_1)
        .run()
        .assert_code(0)
        .assert_stderr("unfinished uploads stay");
    assert!(
        pushed
            .data("transfer")
            .iter()
            .all(|transfer| transfer["locked_until"].is_string())
    );
    scene.root.make_daily(
        DAY_2,
        &[
            ("mysql/large.sql.zst", &large),
            ("dkim/dkim.tar.zst", b"keys"),
        ],
    );
    let next = scene.push(DAY_2).run().assert_code(0);
    assert_eq!(
        next.data("transfer")
            .iter()
            .filter(|transfer| transfer["action"] == "copied")
            .count(),
        3
    );

    for key in ["dkim/dkim.tar.zst", "checksums.sha256"] {
        let gone = scene.aws(&[
            "s3api",
            "delete-object",
            "--bucket",
            "mail",
            "--key",
            &format!("daily/{DAY_1}/{key}"),
        ]);
        let said = String::from_utf8_lossy(&gone.stderr);
        assert!(
            !gone.status.success() && said.contains("AccessDenied"),
            "{said}"
        );
    }
    // It may not ask what everything costs, and gets the figures of what it may list.
    let usage = scene.tool(&["usage", "--from", "s3://mail"]).run();
    let usage = usage
        .assert_code(0)
        .assert_stderr("these keys may not list earlier versions (s3:ListBucketVersions)")
        .assert_stderr("may not list unfinished uploads (s3:ListBucketMultipartUploads)");
    let usage = &usage.data("usage")[0];
    assert_eq!(usage["objects"], 10, "{usage}");
    let not_listed = serde_json::json!(["earlier versions", "unfinished uploads"]);
    assert_eq!(usage["not_listed"], not_listed);

    let to = scene.root.path().join("pulled");
    let tool = scene.root.s3_tool(&scene.server, &scene.server.endpoint());
    let _ = tool
        .args(["pull", "--date", DAY_1, "--from", "s3://mail", "--to"])
        .arg(&to)
        .run()
        .assert_code(0);
    assert!(tree(&to) == tree(&set));
}

#[test]
fn a_clock_that_is_wrong_is_reported() {
    let scene = Scene::new();
    scene
        .root
        .make_daily(DAY_1, &[("dkim/dkim.tar.zst", b"keys")]);
    for offset in ["+2h", "-2h"] {
        let push = scene
            .root
            .push_to_s3(&scene.server, &scene.server.endpoint(), DAY_1, "s3://mail")
            .clock(offset);
        let _ = push
            .run()
            .assert_code(3)
            .assert_failure("store")
            .assert_stderr("set the clock right");
    }
    assert_eq!(
        scene
            .server
            .aws_ok(&["s3", "ls", "--recursive", "s3://mail"]),
        ""
    );
    let _ = scene
        .root
        .push_to_s3(&scene.server, &scene.server.endpoint(), DAY_1, "s3://mail")
        .clock("+5m")
        .run()
        .assert_code(0);
}
