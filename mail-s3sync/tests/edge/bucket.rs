//! Push, pull, verify, list, usage and locks with real servers.

use crate::support::{DAY_1, DAY_2, SampleRoot, assert_sums, locked_until, tree};
use mail_tests::proxy::{Fault, Proxy, Request};
use mail_tests::run::Outcome;
use mail_tests::s3::S3Server;
use mail_tests::schema::Schema;

const URL: &str = "s3://mail/host 1";

/// How many transfers of each action: uploaded, copied, skipped, downloaded.
fn actions(outcome: &Outcome) -> [usize; 4] {
    Schema::open().assert_valid(&outcome.records());
    let transfers = outcome.data("transfer");
    ["uploaded", "copied", "skipped", "downloaded"].map(|action| {
        transfers
            .iter()
            .filter(|transfer| transfer["action"] == action)
            .count()
    })
}

/// Methods of requests, with the part of the query that tells what they are for.
fn kinds(requests: &[Request]) -> Vec<String> {
    let kind = |request: &Request| {
        let is_list = request.target.contains("list-type=2");
        format!("{}{}", request.method, if is_list { " list" } else { "" })
    };
    requests.iter().map(kind).collect()
}

fn large() -> Vec<u8> {
    (0..20_u32 << 18)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

#[test]
fn the_life_of_a_set_in_a_bucket() {
    let server = S3Server::seaweedfs();
    server.make_bucket("mail");
    let root = SampleRoot::new();
    let large = large();
    let files: [(&str, &[u8]); 4] = [
        ("mailboxes/例え.jp/a b+c%20d/0001.tar.zst", b"messages"),
        ("mailboxes/example.com/new\nline/0001.tar.zst", b"more"),
        ("mysql/large.sql.zst", &large),
        ("dkim/dkim.tar.zst", b"keys"),
    ];
    let set = root.make_daily(DAY_1, &files);
    let proxy = Proxy::start(server.port(), |_| Fault::None);
    let push = |date| root.push_to_s3(&server, &proxy.endpoint(), date, URL).run();

    let pushed = push(DAY_1).assert_code(0).assert_stderr("no Object Lock");
    assert_eq!(actions(&pushed), [7, 0, 0, 0]);
    // Nothing else came after them.
    let puts: Vec<_> = proxy
        .seen()
        .into_iter()
        .filter(|request| request.method == "PUT")
        .collect();
    assert!(puts[puts.len() - 2].target.contains("manifest.jsonl"));
    assert!(puts[puts.len() - 1].target.contains("checksums.sha256"));
    assert!(
        puts.iter()
            .any(|request| request.target.contains("partNumber=3")),
        "20 MiB are three parts"
    );

    // What another program takes down is the set, and stock tools prove it.
    let down = root.path().join("down");
    let _ = server.aws_ok(&[
        "s3",
        "sync",
        "--quiet",
        &format!("{URL}/daily/{DAY_1}"),
        down.to_str().unwrap(),
    ]);
    assert_sums(&down);
    assert_eq!(tree(&down), tree(&set));

    proxy.set_rule(|_| Fault::None);
    assert_eq!(actions(&push(DAY_1).assert_code(0)), [0, 0, 7, 0]);
    assert_eq!(
        kinds(&proxy.seen()),
        ["GET list", "GET"],
        "a set that is there costs one listing and one object"
    );

    // The next day, one file has changed, one has another name.
    let mut next = files;
    next[3].1 = b"KEYS";
    next[2].0 = "mysql/renamed.sql.zst";
    let next_set = root.make_daily(DAY_2, &next);
    proxy.set_rule(|_| Fault::None);
    assert_eq!(actions(&push(DAY_2).assert_code(0)), [3, 4, 0, 0]);
    let sent: u64 = proxy.seen().iter().map(|request| request.body_bytes).sum();
    assert!(sent < 10_000, "{sent} bytes for a day with a small change");

    let read = |command: &str| {
        root.s3_tool(&server, &server.endpoint())
            .args([command, "--from", URL])
    };
    let sets = read("list").run().assert_code(0).data("set");
    assert_eq!(sets.len(), 2);
    assert!(
        sets.iter()
            .all(|set| set["complete"] == true && set["age_seconds"].as_u64() < Some(600))
    );
    let _ = read("verify").run().assert_code(0);
    let _ = read("verify")
        .args(["--date", DAY_1, "--deep"])
        .run()
        .assert_code(0);
    let to = root.path().join("pulled");
    let _ = read("pull")
        .args(["--latest", "--to"])
        .arg(&to)
        .run()
        .assert_code(0);
    assert_eq!(tree(&to), tree(&next_set));
    let usage = &read("usage").run().assert_code(0).data("usage")[0];
    assert_eq!(usage["objects"], 14);
    assert_eq!(usage["by_storage_class"]["STANDARD"]["objects"], 14);

    // Damage that a listing does not show, done by another program: the same size.
    let dkim = format!("{URL}/daily/{DAY_2}/dkim/dkim.tar.zst");
    let other = root.path().join("down/dkim/dkim.tar.zst");
    let _ = server.aws_ok(&["s3", "cp", "--quiet", other.to_str().unwrap(), &dkim]);
    let _ = read("verify")
        .args(["--date", DAY_2])
        .run()
        .assert_code(1)
        .assert_failure("damaged");
    let _ = read("verify")
        .args(["--date", DAY_2, "--deep"])
        .run()
        .assert_code(1)
        .assert_failure("damaged")
        .assert_stderr("dkim.tar.zst");
    assert_eq!(
        actions(&push(DAY_2).assert_code(0))[0],
        3,
        "the file, the manifest and the checksums"
    );
    let _ = read("verify")
        .args(["--date", DAY_2, "--deep"])
        .run()
        .assert_code(0);
    let _ = server.aws_ok(&["s3", "rm", "--quiet", &dkim]);
    let _ = read("verify")
        .args(["--date", DAY_2])
        .run()
        .assert_code(1)
        .assert_failure("missing");
    let complete =
        |sets: &[serde_json::Value]| sets.iter().filter(|set| set["complete"] == true).count();
    assert_eq!(complete(&read("list").run().assert_code(0).data("set")), 1);
    let older = root.path().join("older");
    let _ = read("pull")
        .args(["--latest", "--to"])
        .arg(&older)
        .run()
        .assert_code(0)
        .assert_stderr("not complete");
    assert_eq!(tree(&older), tree(&set));

    // A set that `aws s3 sync` has put there proves nothing of itself: it is sent again, once.
    let third = root.make_daily("2026-11-25", &files[..2]);
    let target = format!("{URL}/daily/2026-11-25");
    let _ = server.aws_ok(&["s3", "sync", "--quiet", third.to_str().unwrap(), &target]);
    assert_eq!(actions(&push("2026-11-25").assert_code(0))[2], 0);
    assert_eq!(actions(&push("2026-11-25").assert_code(0)), [0, 0, 5, 0]);
}

#[test]
fn a_locked_set_cannot_be_deleted() {
    let server = S3Server::seaweedfs();
    server.make_locked_bucket("mail");
    server.make_bucket("open");
    let root = SampleRoot::new();
    let large = large();
    root.make_daily(
        DAY_1,
        &[
            ("mysql/large.sql.zst", &large),
            ("dkim/dkim.tar.zst", b"keys"),
        ],
    );
    root.make_daily(
        DAY_2,
        &[
            ("mysql/large.sql.zst", &large),
            ("dkim/dkim.tar.zst", b"keys"),
        ],
    );
    let push = |date: &str, url: &str, flags: &[&str]| {
        root.push_to_s3(&server, &server.endpoint(), date, url)
            .args(flags)
            .run()
    };
    let _ = push(DAY_1, "s3://open", &["--lock-days", "2"])
        .assert_code(2)
        .assert_failure("usage")
        .assert_stderr("Object Lock");
    assert_eq!(server.aws_ok(&["s3", "ls", "s3://open"]), "");

    // Also when the set is there already.
    let _ = push(DAY_1, "s3://open", &[]).assert_code(0);
    let _ = push(DAY_1, "s3://open", &["--lock-days", "2"])
        .assert_code(2)
        .assert_failure("usage")
        .assert_stderr("Object Lock");

    let first = push(DAY_1, "s3://mail", &["--lock-days", "2"]).assert_code(0);
    let until = first.data("transfer")[0]["locked_until"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!first.stderr.contains("no Object Lock"), "{}", first.stderr);
    let second = push(DAY_2, "s3://mail", &["--lock-days", "2"]).assert_code(0);
    assert_eq!(actions(&second), [2, 3, 0, 0], "copies are locked too");
    let versions = server.aws_ok(&[
        "s3api",
        "list-object-versions",
        "--bucket",
        "mail",
        "--output",
        "json",
    ]);
    let versions: serde_json::Value = serde_json::from_str(&versions).unwrap();
    let versions = versions["Versions"].as_array().unwrap().clone();
    assert_eq!(versions.len(), 10);
    // One of each kind: at once, in parts, copied, and those that close the set.
    for version in versions.iter().step_by(3) {
        let (key, id) = (
            version["Key"].as_str().unwrap(),
            version["VersionId"].as_str().unwrap(),
        );
        let mut delete = server.aws();
        delete.args([
            "s3api",
            "delete-object",
            "--bucket",
            "mail",
            "--key",
            key,
            "--version-id",
            id,
        ]);
        let output = delete.output().unwrap();
        assert!(!output.status.success(), "{key} was deleted");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("AccessDenied"),
            "{output:?}"
        );
    }
    let list = || {
        root.s3_tool(&server, &server.endpoint())
            .args(["list", "--from", "s3://mail"])
            .run()
            .data("set")
    };
    assert!(
        list()
            .iter()
            .all(|set| set["locked_until"] == until.as_str()),
        "{:?}",
        list()
    );

    // Longer: everything is extended, nothing is sent. Shorter: nothing happens.
    let longer = push(DAY_1, "s3://mail", &["--lock-days", "5"]).assert_code(0);
    assert_eq!(actions(&longer), [0, 0, 5, 0]);
    let later = longer.data("transfer")[0]["locked_until"]
        .as_str()
        .unwrap()
        .to_owned();
    let locked = |key: &str| locked_until(&server, key);
    for path in [
        "mysql/large.sql.zst",
        "dkim/dkim.tar.zst",
        "manifest.jsonl",
        "checksums.sha256",
    ] {
        assert_eq!(locked(&format!("daily/{DAY_1}/{path}")), later, "{path}");
    }
    let shorter = push(DAY_1, "s3://mail", &["--lock-days", "1"]).assert_code(0);
    assert_eq!(locked(&format!("daily/{DAY_1}/dkim/dkim.tar.zst")), later);
    assert!(
        shorter
            .data("transfer")
            .iter()
            .all(|transfer| transfer["locked_until"] == later.as_str())
    );

    // While an alarm is open, a push extends the locks of the last set from before it.
    let alarm = format!(
        r#"{{"type":"alarm","data":{{"level":"alarm","rule":"spoiled","set":"daily/{DAY_2}","time":"{DAY_2}T03:00:00+00:00","message":"20 messages"}}}}"#
    );
    std::fs::write(root.set("HOLD"), alarm).unwrap();
    let second = push(DAY_2, "s3://mail", &["--lock-days", "9"]).assert_code(0);
    assert!(
        second.stderr.contains("its locks are extended"),
        "{}",
        second.stderr
    );
    let of = |day| locked(&format!("daily/{day}/checksums.sha256"));
    assert_eq!(of(DAY_1), of(DAY_2));
    assert!(of(DAY_1) > later);
}

#[test]
fn ten_thousand_objects_are_one_set() {
    let server = S3Server::seaweedfs();
    server.make_bucket("mail");
    let root = SampleRoot::new();
    let names: Vec<String> = (0..10_000)
        .map(|number| format!("mailboxes/d{}/u/{number:04}.tar.zst", number % 7))
        .collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), name.as_bytes()))
        .collect();
    let set = root.make_daily(DAY_1, &files);
    let push = || {
        root.push_to_s3(&server, &server.endpoint(), DAY_1, URL)
            .args(["--jobs", "16"])
            .run()
            .assert_code(0)
    };
    assert_eq!(actions(&push()), [10_003, 0, 0, 0]);
    assert_eq!(actions(&push()), [0, 0, 10_003, 0]);
    let to = root.path().join("pulled");
    let pull = root.s3_tool(&server, &server.endpoint()).args([
        "pull",
        "--from",
        URL,
        "--mailbox",
        "u@d3",
        "--to",
    ]);
    let _ = pull.arg(&to).run().assert_code(0);
    assert!(
        tree(&to.join("mailboxes"))
            == tree(&set.join("mailboxes/d3"))
                .into_iter()
                .map(|(name, content)| (format!("d3/{name}"), content))
                .collect()
    );
}
