//! `scripts/aws`: the bucket of the off-site copy, and what the keys of the mail server and of who
//! restores may do.

#![allow(clippy::disallowed_methods, reason = "sample files")]

use std::fs;
use std::path::{Path, PathBuf};

use mail_tests::maildir::TreePlan;
use mail_tests::run::{Outcome, Tool, repository};
use mail_tests::s3::{S3Server, program};
use mail_tests::server::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

const BUCKET: &str = "off-site";

fn file(name: &str) -> String {
    fs::read_to_string(repository().join("scripts/aws").join(name))
        .unwrap_or_else(|e| panic!("read {name}: {e}"))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// PATH with the AWS command line of the tests first.
fn search_path() -> String {
    let aws = program("aws");
    let first = aws
        .parent()
        .expect("a program lies in a directory")
        .display()
        .to_string();
    format!(
        "{first}:{}",
        std::env::var("PATH").expect("there is a search path")
    )
}

fn make_bucket(server: &S3Server, flags: &[&str]) -> Outcome {
    let tool = server
        .environment()
        .into_iter()
        .fold(Tool::script("aws/make-bucket"), |tool, (name, value)| {
            tool.env(name, value)
        });
    tool.env("PATH", search_path())
        .args(["--bucket", BUCKET])
        .args(flags)
        .run()
}

/// The answer to a question about the bucket.
#[track_caller]
fn ask(server: &S3Server, question: &str) -> Value {
    parsed(&server.aws_ok(&["--output", "json", "s3api", question, "--bucket", BUCKET]))
}

#[track_caller]
fn assert_lock(server: &S3Server, mode: &str, days: u64) {
    let answer = ask(server, "get-object-lock-configuration");
    let lock = &answer["ObjectLockConfiguration"]["Rule"]["DefaultRetention"];
    assert_eq!(
        (lock["Mode"].as_str(), lock["Days"].as_u64()),
        (Some(mode), Some(days))
    );
}

/// After how many days the rule of that name removes objects.
#[track_caller]
fn expiry(server: &S3Server, id: &str) -> Value {
    let rules = ask(server, "get-bucket-lifecycle-configuration")["Rules"].clone();
    let mut rules = rules.as_array().expect("there are rules").iter();
    let rule = rules.find(|rule| rule["ID"] == id);
    rule.unwrap_or_else(|| panic!("no rule {id}"))["Expiration"]["Days"].clone()
}

#[track_caller]
fn assert_policy(server: &S3Server, sids: &[&str]) {
    let policy = parsed(
        ask(server, "get-bucket-policy")["Policy"]
            .as_str()
            .expect("a policy is text"),
    );
    let statements = policy["Statement"]
        .as_array()
        .expect("a policy has statements");
    let names: Vec<&str> = statements
        .iter()
        .filter_map(|statement| statement["Sid"].as_str())
        .collect();
    assert_eq!(names, sids);
    assert!(
        !policy.to_string().contains("BUCKET")
            && policy.to_string().contains("arn:aws:s3:::off-site")
    );
}

#[test]
fn a_bucket_is_made_and_never_weakened() {
    let server = S3Server::moto();
    let tried = make_bucket(&server, &["--dry-run"]);
    assert!(
        tried
            .text()
            .contains("would run: aws s3api create-bucket --object-lock-enabled-for-bucket"),
        "{tried:?}"
    );
    assert_eq!(server.aws_ok(&["s3", "ls"]), "", "a dry run makes nothing");

    // All is set, but for the rule against plain HTTP, which this server speaks. A slash is no
    // prefix, as in S3_PREFIX.
    let _ = make_bucket(&server, &["--prefix", "/"])
        .assert_code(1)
        .assert_stderr("asked over plain HTTP");
    assert_lock(&server, "COMPLIANCE", 30);
    assert_policy(&server, &["DenyBypassOfLocks"]);
    assert_eq!(ask(&server, "get-bucket-versioning")["Status"], "Enabled");
    let encryption = ask(&server, "get-bucket-encryption").to_string();
    assert!(encryption.contains("AES256"), "{encryption}");
    let block = ask(&server, "get-public-access-block")["PublicAccessBlockConfiguration"].clone();
    for what in [
        "BlockPublicAcls",
        "IgnorePublicAcls",
        "BlockPublicPolicy",
        "RestrictPublicBuckets",
    ] {
        assert_eq!(block[what], true, "{what}");
    }
    let days = ["daily", "weekly", "hourly", "pool", "tidy"].map(|id| expiry(&server, id));
    assert_eq!(json!(days), json!([40, 100, 7, 200, null]));
    let rules = ask(&server, "get-bucket-lifecycle-configuration")["Rules"].clone();
    assert_eq!(rules[0]["NoncurrentVersionExpiration"]["NoncurrentDays"], 7);
    assert_eq!(
        rules[0]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"],
        3
    );

    // Less than is there: the lock stays, and with it the lifecycle, since objects could not go
    // sooner.
    let again = make_bucket(
        &server,
        &[
            "--lock-days",
            "5",
            "--keep-days",
            "20",
            "--lock-mode",
            "governance",
        ],
    );
    let again = again
        .assert_code(1)
        .assert_stderr("objects are locked for 30 days");
    assert!(
        again
            .text()
            .contains("locks objects for 30 days, COMPLIANCE"),
        "{}",
        again.text()
    );
    assert_lock(&server, "COMPLIANCE", 30);
    assert_eq!(expiry(&server, "daily"), 40);

    let _ = make_bucket(
        &server,
        &[
            "--lock-days",
            "60",
            "--keep-days",
            "70",
            "--lock-mode",
            "GOVERNANCE",
        ],
    )
    .assert_code(1);
    assert_lock(&server, "COMPLIANCE", 60);
    assert_eq!(expiry(&server, "daily"), 70);

    // Another mail server has rules of its own, and leaves those that are there.
    let other = [
        "--lock-days",
        "60",
        "--keep-days",
        "80",
        "--keep-weekly",
        "150",
    ];
    let other = [&other[..], &["--pool-days", "300", "--prefix", "/mx2/"]].concat();
    let _ = make_bucket(&server, &other).assert_code(1);
    let ids = ["daily", "pool", "mx2/daily", "mx2/weekly", "mx2/pool"];
    let days = ids.map(|id| expiry(&server, id));
    assert_eq!(json!(days), json!([70, 200, 80, 150, 300]));
}

#[test]
fn rules_and_policies_of_somebody_else_stay() {
    let server = S3Server::moto();
    server.make_locked_bucket(BUCKET);
    let rule = json!({"Rules": [{"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 9}}]});
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Sid": "DenyBypassOfLocks", "Effect": "Deny", "Principal": "*",
        "Action": "s3:BypassGovernanceRetention", "Resource": "arn:aws:s3:::off-site/*"},
        {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket", "Resource": "arn:aws:s3:::off-site"}]});
    let put = |what: &str, flag: &str, value: &Value| {
        server.aws_ok(&["s3api", what, "--bucket", BUCKET, flag, &value.to_string()])
    };
    let _ = put(
        "put-bucket-lifecycle-configuration",
        "--lifecycle-configuration",
        &rule,
    );
    let _ = put("put-bucket-policy", "--policy", &policy);
    let outcome = make_bucket(&server, &[]).assert_code(1);
    let outcome = outcome
        .assert_stderr("a lifecycle of somebody else (theirs)")
        .assert_stderr("a policy of somebody else (without Sid)");
    assert!(
        outcome.text().contains("locks objects for 30 days"),
        "the rest is set: {}",
        outcome.text()
    );
    assert_eq!(
        ask(&server, "get-bucket-lifecycle-configuration")["Rules"][0]["ID"],
        "theirs"
    );
    assert_eq!(
        parsed(
            ask(&server, "get-bucket-policy")["Policy"]
                .as_str()
                .expect("it is text")
        ),
        policy
    );
}

/// Where the endpoint is not known to be plain HTTP, as Amazon's is not, the policy is whole, and
/// nothing is left to complain of.
#[test]
fn over_tls_the_policy_refuses_what_comes_without() {
    let server = S3Server::moto();
    let home = TempDir::new().expect("a temporary directory can be made");
    let config = format!(
        "[default]\nregion = us-east-1\nservices = here\n[services here]\ns3 =\n  endpoint_url = {}\n",
        server.endpoint()
    );
    let path = home.path().join("config");
    write(&path, &config);
    let tool = Tool::script("aws/make-bucket")
        .env("PATH", search_path())
        .env("AWS_CONFIG_FILE", &path);
    let tool = tool
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "b")
        .args(["--bucket", BUCKET]);
    let _ = tool.run().assert_code(0);
    assert_policy(&server, &["DenyPlainHttp", "DenyBypassOfLocks"]);
}

#[test]
fn a_store_that_knows_less_gets_what_it_knows_and_the_rest_is_named() {
    let server = S3Server::seaweedfs();
    let outcome = make_bucket(&server, &[])
        .assert_code(1)
        .assert_stderr("make-bucket: warning: ");
    assert!(
        outcome.text().contains("made, with Object Lock"),
        "{}",
        outcome.text()
    );
    assert_lock(&server, "COMPLIANCE", 30);
    assert_eq!(ask(&server, "get-bucket-versioning")["Status"], "Enabled");
}

#[test]
fn wrong_usage_and_stores_that_do_not_answer_are_distinguished() {
    let run = |args: &[&str]| {
        Tool::script("aws/make-bucket")
            .env("PATH", search_path())
            .args(args)
            .run()
    };
    for args in [
        &["--bucket"][..],
        &[],
        &["--bucket", "Not A Name"],
        &["--bucket", BUCKET, "--lock-days", "0"],
        &["--bucket", BUCKET, "--lock-mode", "soft"],
        &["--bucket", BUCKET, "--what", "x"],
        &["--bucket", BUCKET, "--lock-days", "40", "--keep-days", "40"],
        &["--bucket", BUCKET, "--pool-days", "109"],
        &["--bucket", BUCKET, "--keep-weekly", "x"],
    ] {
        let _ = run(args)
            .assert_code(2)
            .assert_stderr("make-bucket --bucket NAME");
    }
    let tool = Tool::script("aws/make-bucket")
        .env("PATH", search_path())
        .env("AWS_ACCESS_KEY_ID", "a");
    let tool = tool
        .env("AWS_SECRET_ACCESS_KEY", "b")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_MAX_ATTEMPTS", "1");
    let outcome = tool
        .args(["--bucket", BUCKET, "--endpoint-url", "http://127.0.0.1:9"])
        .run();
    let _ = outcome
        .assert_code(3)
        .assert_stderr("off-site cannot be looked at");
}

/// The JSON that follows `opening` in the manual, to the end of its block.
fn in_manual(opening: &str, closing: &str) -> Value {
    let manual = repository().join("docs/mail-s3sync.md");
    let manual = fs::read_to_string(manual).expect("there is a manual");
    let rest = manual
        .split_once(opening)
        .unwrap_or_else(|| panic!("no {opening:?} in the manual"))
        .1;
    parsed(rest.split_once(closing).expect("it ends").0)
}

#[test]
fn the_manual_shows_the_files() {
    let policy = in_manual(
        "The policy of the mail server's key. It may not delete; who breaks in cannot either:\n\n```json\n",
        "```",
    );
    assert_eq!(policy, parsed(&file("uploader-policy.json")));
    let lifecycle = in_manual("--lifecycle-configuration '", "'");
    assert_eq!(lifecycle, parsed(&file("lifecycle.json")));
}

#[test]
fn no_policy_lets_anything_be_deleted_or_a_lock_be_lifted() {
    for name in ["uploader-policy.json", "restorer-policy.json"] {
        let text = file(name);
        for word in ["Delete", "Bypass", "*\"]", "PutBucket", "s3:*"] {
            assert!(!text.contains(word), "{name}: {word}");
        }
    }
    assert!(!file("restorer-policy.json").contains("Put"));
}

/// A key with the rights of one of our policies.
struct Key {
    id: String,
    secret: String,
}

impl Key {
    fn of(server: &S3Server, policy: &str) -> Self {
        let document = file(policy)
            .replace("BUCKET", BUCKET)
            .replace("PREFIX", "mx");
        let user = policy.trim_end_matches(".json");
        let _ = server.aws_ok(&["iam", "create-user", "--user-name", user]);
        let _ = server.aws_ok(&[
            "iam",
            "put-user-policy",
            "--user-name",
            user,
            "--policy-name",
            user,
            "--policy-document",
            &document,
        ]);
        let answer = parsed(&server.aws_ok(&[
            "--output",
            "json",
            "iam",
            "create-access-key",
            "--user-name",
            user,
        ]));
        let field = |name: &str| {
            answer["AccessKey"][name]
                .as_str()
                .expect("a key has it")
                .to_owned()
        };
        Self {
            id: field("AccessKeyId"),
            secret: field("SecretAccessKey"),
        }
    }

    /// mail-s3sync with this key.
    fn sync(&self, server: &S3Server, args: &[&str]) -> Outcome {
        let tool = server
            .environment()
            .into_iter()
            .fold(Tool::new("mail-s3sync"), |tool, (name, value)| {
                tool.env(name, value)
            });
        tool.env("AWS_ACCESS_KEY_ID", &self.id)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret)
            .args(args)
            .run()
    }

    /// Whether the store lets this key do it.
    fn may(&self, server: &S3Server, command: &[&str]) -> bool {
        let mut aws = server.aws();
        aws.env("AWS_ACCESS_KEY_ID", &self.id)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret)
            .arg("s3api")
            .args(command);
        let output = aws
            .args(["--bucket", BUCKET])
            .output()
            .expect("the AWS command line starts");
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() || printed.contains("AccessDenied"),
            "{command:?}: {printed}"
        );
        output.status.success()
    }
}

#[test]
fn the_uploader_pushes_and_cannot_delete_and_the_restorer_only_reads() {
    let store = S3Server::moto();
    let _ = make_bucket(&store, &["--prefix", "mx"]).assert_code(1);
    let (uploader, restorer) = (
        Key::of(&store, "uploader-policy.json"),
        Key::of(&store, "restorer-policy.json"),
    );
    store.enforce_policies();

    let server = Server::new(&TreePlan::new(20, 2, 7));
    let backup = |day: &str| {
        let tool = server
            .settings()
            .into_iter()
            .fold(Tool::new("mail-backup"), |tool, (name, value)| {
                tool.env(name, value)
            });
        let _ = tool
            .args(["--date", day, "--component", "mail"])
            .run()
            .assert_code(0);
        server
            .daily(day)
            .to_str()
            .expect("a temporary path is text")
            .to_owned()
    };
    let (first, second) = (backup("2026-11-22"), backup("2026-11-23"));
    let to = "s3://off-site/mx";

    // New, again with a longer lock, and with files that the pool has already.
    let _ = uploader
        .sync(&store, &["push", "--set", &first, "--to", to])
        .assert_code(0);
    let _ = uploader
        .sync(
            &store,
            &["push", "--set", &first, "--to", to, "--lock-days", "40"],
        )
        .assert_code(0);
    let _ = uploader
        .sync(&store, &["push", "--set", &second, "--to", to])
        .assert_code(0);
    let _ = uploader
        .sync(&store, &["verify", "--from", to])
        .assert_code(0);
    let _ = uploader
        .sync(
            &store,
            &["push", "--set", &first, "--to", "s3://off-site/elsewhere"],
        )
        .assert_code(3);
    let key = "mx/daily/2026-11-22/manifest.jsonl";
    assert!(!uploader.may(&store, &["delete-object", "--key", key]));
    assert!(!uploader.may(
        &store,
        &[
            "put-bucket-versioning",
            "--versioning-configuration",
            "Status=Suspended"
        ]
    ));
    assert!(!uploader.may(&store, &["delete-bucket"]));

    let _ = restorer
        .sync(&store, &["list", "--from", to])
        .assert_code(0);
    let _ = restorer
        .sync(&store, &["usage", "--from", to])
        .assert_code(0);
    let down: PathBuf = server.dir().join("down");
    let target = down.to_str().expect("a temporary path is text");
    let _ = restorer
        .sync(&store, &["pull", "--latest", "--from", to, "--to", target])
        .assert_code(0);
    assert!(down.join("checksums.sha256").is_file());
    let third = backup("2026-11-24");
    let _ = restorer
        .sync(&store, &["push", "--set", &third, "--to", to])
        .assert_code(3)
        .assert_stderr("not allowed");
    assert!(!restorer.may(&store, &["put-object", "--key", "mx/x"]));
    assert!(!restorer.may(&store, &["delete-object", "--key", key]));
}

#[test]
fn the_pruner_deletes_below_its_prefix_and_writes_nothing_but_its_mark() {
    let store = S3Server::moto();
    let _ = make_bucket(&store, &["--prefix", "mx"]).assert_code(1);
    let pruner = Key::of(&store, "pruner-policy.json");
    store.enforce_policies();
    let prune = ["prune", "--yes", "--no-alarm", "--from", "s3://off-site/mx"];
    // The second finds the mark of the first, which the default lock keeps, and which says that it
    // has ended.
    for _ in 0..2 {
        let _ = pruner.sync(&store, &prune).assert_code(0);
    }
    let _ = pruner
        .sync(
            &store,
            &[
                "prune",
                "--yes",
                "--no-alarm",
                "--from",
                "s3://off-site/other",
            ],
        )
        .assert_code(3)
        .assert_stderr("not allowed");
    assert!(!pruner.may(&store, &["put-object", "--key", "mx/pool/x"]));
    assert!(pruner.may(&store, &["delete-object", "--key", "mx/pool/x"]));
    assert!(!pruner.may(&store, &["delete-object", "--key", "other/x"]));
    assert!(!file("pruner-policy.json").contains("Bypass"));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the configuration of a command line is not a stored file"
)]
fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("it is ours");
}
