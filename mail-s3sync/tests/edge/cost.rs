//! What a push would do and cost, said before it does: requests as a proxy then counts them, and
//! prices worked out by hand.

use std::collections::BTreeMap;

use crate::encryption::key;
use crate::support::{DAY_1, DAY_2, SampleRoot};
use mail_tests::proxy::{Fault, Proxy, Request};
use mail_tests::run::{Outcome, Tool};
use mail_tests::s3::S3Server;
use mail_tests::schema::Schema;
use serde_json::Value;

const URL: &str = "s3://mail/mx1";
const WEEK: &str = "weekly/2026-week-47";
/// Prices that are easy to reckon with: a GiB and month, and a request.
const PRICES: &str = "STANDARD=1024 STANDARD.put=1000 STANDARD.get=1 STANDARD.retrieval=0 \
                      date=2026-11-01";

const ENABLED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><VersioningConfiguration \
                       xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status>\
                       </VersioningConfiguration>";
const SUSPENDED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><VersioningConfiguration \
                         xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Suspended\
                         </Status></VersioningConfiguration>";

/// A server behind a proxy, and a backup root.
struct Scene {
    root: SampleRoot,
    server: S3Server,
    proxy: Proxy,
    /// What the proxy says of versions instead of the server.
    versions: Option<&'static str>,
}

impl Scene {
    fn new(server: S3Server) -> Self {
        let proxy = Proxy::start(server.port(), |_| Fault::None);
        let root = SampleRoot::new();
        Self {
            root,
            server,
            proxy,
            versions: None,
        }
    }

    fn make(&self, set: &str, files: &[(&str, &[u8])]) {
        let _ = self.root.make(set, files);
    }

    fn tool(&self, args: &[&str]) -> Tool {
        let tool = self.root.s3_tool(&self.server, &self.proxy.endpoint());
        tool.args(args).env("S3_PRICES", PRICES)
    }

    fn push(&self, date: &str) -> Tool {
        self.tool(&["push", "--date", date, "--to", URL])
    }

    /// Forgets what the proxy has seen. What moto says of versions no other reader of S3 takes for
    /// an answer, and is asked for twice: it is said for it.
    fn watch(&self) {
        let of_moto = self.versions.map(Fault::Body);
        self.proxy.set_rule(move |request| match &of_moto {
            Some(answer) => answer.clone().when(request.target.contains("versioning")),
            None => Fault::None,
        });
    }

    /// Rehearses the push, which changes nothing, and then does it: it takes as many requests of
    /// each kind, and sends as much, as was said. Gives the plans.
    #[track_caller]
    fn check(&self, push: impl Fn() -> Tool) -> Vec<Value> {
        self.watch();
        let dry = push().arg("--dry-run").run().assert_code(0);
        let asked = self.proxy.seen();
        let is_read = |request: &Request| ["GET", "HEAD"].contains(&request.method.as_str());
        assert!(asked.iter().all(is_read), "a dry run changes nothing");
        Schema::open().assert_valid(&dry.records());
        assert_eq!(dry.data("transfer").len(), 0, "{}", dry.text());
        let plans = dry.data("plan");
        self.watch();
        let done = push().run().assert_code(0);
        assert_eq!(sum_of_plans(&plans), by_kind(&self.proxy.seen()));
        let totals = |outcome: &Outcome| outcome.data("end")[0]["totals"].clone();
        let (dry, done) = (totals(&dry), totals(&done));
        let same = [
            ("to_send", "uploaded"),
            ("to_send_bytes", "uploaded_bytes"),
            ("to_copy_bytes", "copied_bytes"),
            ("there_bytes", "skipped_bytes"),
        ];
        for (said, found) in same {
            let number = |totals: &Value, name: &str| totals[name].as_u64().unwrap_or_default();
            assert_eq!(number(&dry, said), number(&done, found), "{said}");
        }
        plans
    }
}

/// Requests of each kind that were said, of all sets of a run.
fn sum_of_plans(plans: &[Value]) -> BTreeMap<String, u64> {
    let mut sum = BTreeMap::new();
    for plan in plans {
        for (kind, count) in plan["requests"].as_object().unwrap() {
            *sum.entry(kind.clone()).or_default() += count.as_u64().unwrap();
        }
    }
    sum.retain(|_, count| *count > 0);
    sum
}

/// Requests of each kind that were made, by what they look like on the wire.
fn by_kind(requests: &[Request]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for request in requests {
        let query = request
            .target
            .split_once('?')
            .map_or("", |(_, query)| query);
        let asks = |name: &str| {
            query
                .split('&')
                .any(|part| part.split('=').next() == Some(name))
        };
        let is_copy = request.head.to_lowercase().contains("x-amz-copy-source:");
        let kind = match request.method.as_str() {
            "HEAD" => "head",
            "GET" if asks("list-type") || asks("uploads") => "list",
            "GET" => "get",
            "POST" => "multipart",
            "PUT" if is_copy => "copy",
            "PUT" if asks("partNumber") => "part",
            "PUT" if asks("retention") => "retention",
            "PUT" => "put",
            other => panic!("{other} {}", request.target),
        };
        *counts.entry(kind.to_owned()).or_default() += 1;
    }
    counts
}

/// Of this size, and compressible by nobody.
fn random(bytes: u32) -> Vec<u8> {
    let numbers = 0..bytes / 4;
    numbers
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

#[test]
fn a_dry_run_counts_every_request_that_the_push_then_makes() {
    let scene = Scene::new(S3Server::seaweedfs());
    scene.server.make_bucket("mail");
    let large = random(18 << 20);
    let files = [
        ("mailboxes/example.com/a/0001.tar.zst", &large[..]),
        ("mysql/mailserver.sql.zst", b"tables"),
        ("dkim/dkim.tar.zst", b"keys"),
    ];
    scene.make(&format!("daily/{DAY_1}"), &files);
    let plans = scene.check(|| scene.push(DAY_1));
    // The large one in three parts.
    let requests = &plans[0]["requests"];
    assert_eq!(
        (&requests["part"], &requests["multipart"]),
        (&3.into(), &2.into())
    );
    // The same again; then a day and a week of which little is new, in one run.
    let again = scene.check(|| scene.push(DAY_1));
    assert_eq!(again[0]["requests"]["put"], 0, "{again:?}");
    let mut files = files;
    files[1].1 = b"the tables of the next day";
    scene.make(&format!("daily/{DAY_2}"), &files);
    scene.make(WEEK, &files);
    let both = scene.check(|| scene.push(DAY_2).args(["--also", "weekly"]));
    assert_eq!(both.len(), 2);
    // Of a set that replaces one of its name.
    scene.make(&format!("daily/{DAY_1}"), &files);
    let _ = scene.check(|| scene.push(DAY_1));
}

#[test]
fn a_dry_run_counts_what_the_store_copies_of_plain_sets() {
    let scene = Scene::new(S3Server::seaweedfs());
    scene.server.make_bucket("mail");
    let mut files: [(&str, &[u8]); 2] =
        [("mysql/a.sql.zst", b"tables"), ("dkim/a.tar.zst", b"keys")];
    scene.make(&format!("daily/{DAY_1}"), &files);
    files[1].1 = b"other keys";
    scene.make(&format!("daily/{DAY_2}"), &files);
    let plain = |date: &str| {
        let push = scene.tool(&["push", "--date", date, "--to", "s3://mail/plain"]);
        push.env("S3_LAYOUT", "plain")
    };
    let _ = scene.check(|| plain(DAY_1));
    let next = scene.check(|| plain(DAY_2));
    assert!(next[0]["requests"]["copy"].as_u64() > Some(0), "{next:?}");
    // Of a set that replaces one of its name.
    scene.make(&format!("daily/{DAY_1}"), &files);
    let _ = scene.check(|| plain(DAY_1));
    let _ = scene.check(|| plain(DAY_1));
}

#[test]
fn a_dry_run_counts_locks_copies_and_what_is_encrypted() {
    let mut scene = Scene::new(S3Server::moto());
    scene.server.make_locked_bucket("mail");
    scene.versions = Some(ENABLED);
    scene.watch();
    let files: [(&str, &[u8]); 2] = [("mysql/a.sql.zst", b"tables"), ("dkim/a.tar.zst", b"keys")];
    scene.make(&format!("daily/{DAY_1}"), &files);
    let locked = |date: &str, days: &str| {
        let push = scene.push(date).env("S3_LOCK_MODE", "governance");
        push.env("S3_KEEP_DAILY", days)
    };
    let first = scene.check(|| locked(DAY_1, "10"));
    assert!(first[0]["requests"]["head"].as_u64() > Some(0), "{first:?}");
    // A longer lock of what is there.
    scene.make(&format!("daily/{DAY_2}"), &files);
    let longer = scene.check(|| locked(DAY_2, "60"));
    assert_eq!(longer[0]["requests"]["retention"], 2, "{longer:?}");
    // What the rule would take soon is copied onto itself.
    let mut files = files;
    files[1].1 = b"other keys";
    scene.make("daily/2026-11-25", &files);
    let late = scene.check(|| scene.push("2026-11-25").clock("+165d"));
    assert_eq!(late[0]["requests"]["copy"], 1, "{late:?}");
    // What is encrypted has about the size that is said, and exactly the requests.
    let key = key(&scene.root, "key").1;
    let encrypted = || {
        let to = [
            "push",
            "--date",
            DAY_1,
            "--to",
            "s3://mail/age",
            "--encrypt-to",
            &key,
        ];
        scene.tool(&to)
    };
    let dry = encrypted().arg("--dry-run").run().assert_code(0);
    scene.watch();
    let done = encrypted().run().assert_code(0);
    let plans = dry.data("plan");
    assert_eq!(sum_of_plans(&plans), by_kind(&scene.proxy.seen()));
    let said = plans[0]["send"]["bytes"].as_f64().unwrap();
    let sent = done.data("end")[0]["totals"]["uploaded_bytes"]
        .as_f64()
        .unwrap();
    assert!((said - sent).abs() / sent < 0.25, "{said} {sent}");
}

#[test]
fn prices_are_those_of_the_table_and_unknown_ones_are_said_to_be() {
    let mut scene = Scene::new(S3Server::moto());
    scene.server.make_bucket("mail");
    scene.versions = Some(SUSPENDED);
    scene.watch();
    let content = random(1 << 20);
    scene.make(&format!("daily/{DAY_1}"), &[("mysql/a.sql.zst", &content)]);
    let plan = &scene.check(|| scene.push(DAY_1))[0];
    // A dollar for each request that writes or lists, a thousandth for each that reads.
    let count = |kind: &str| plan["requests"][kind].as_f64().unwrap();
    let expected = count("put") + count("list") + (count("get") + count("head")) / 1000.0;
    assert!(
        (plan["usd"].as_f64().unwrap() - expected).abs() < 1e-6,
        "{plan}"
    );
    assert_eq!(
        (&plan["monthly_usd_now"], &plan["prices_taken"]),
        (&0.0.into(), &"2026-11-01".into())
    );
    let usage = || scene.tool(&["usage", "--from", URL]).run().assert_code(0);
    let used = &usage().data("usage")[0];
    // A dollar for each MiB; also what the set says of itself, and the ledger.
    let month = used["bytes"].as_f64().unwrap() / f64::from(1 << 20);
    assert!(
        (used["monthly_usd"].as_f64().unwrap() - month).abs() < 1e-5,
        "{used}"
    );
    assert!(
        (plan["monthly_usd_after"].as_f64().unwrap() - month).abs() < 1e-5,
        "{plan}"
    );
    // The list is that of AWS: of this server it says nothing.
    let unpriced = |args: &[&str]| scene.tool(args).env("S3_PRICES", "").run().assert_code(0);
    let dry = unpriced(&["push", "--date", DAY_1, "--to", URL, "--dry-run"]);
    let plan = &dry.data("plan")[0];
    for price in [
        "usd",
        "monthly_usd_now",
        "monthly_usd_after",
        "prices_taken",
    ] {
        assert_eq!(plan[price], Value::Null, "{plan}");
    }
    let _ = dry
        .assert_stderr("US dollars: unknown")
        .assert_stderr("set S3_PRICES");
    let used = unpriced(&["usage", "--from", URL]);
    let record = &used.data("usage")[0];
    assert_eq!(record["monthly_usd"], Value::Null, "{record}");
    assert_eq!(record["not_priced"], serde_json::json!(["STANDARD"]));
    let _ = used.assert_stderr("no price is known for the storage class STANDARD");
    let wrong = scene
        .tool(&["usage", "--from", URL])
        .env("S3_PRICES", "STANDARD.x=1");
    let _ = wrong.run().assert_code(2).assert_failure("configuration");
}

#[test]
fn a_forecast_says_what_there_will_be() {
    let mut scene = Scene::new(S3Server::moto());
    scene.server.make_bucket("mail");
    scene.versions = Some(SUSPENDED);
    scene.watch();
    let (old, new) = (random(1 << 20), random(3 << 20));
    let day = |date: &str, files: &[(&str, &[u8])]| {
        scene.make(&format!("daily/{date}"), files);
        let _ = scene.push(date).run().assert_code(0);
    };
    let forecast = || {
        scene
            .tool(&["usage", "--forecast", "--from", URL])
            .run()
            .assert_code(0)
    };
    day(DAY_1, &[("mysql/a.sql.zst", &old)]);
    let one = forecast();
    assert_eq!(one.data("usage")[0]["forecast"], Value::Null);
    let _ = one.assert_stderr("two whole sets of different days");
    // Two days later there are 2 MiB more.
    let more = &new[1 << 20..];
    day(
        "2026-11-25",
        &[("mysql/a.sql.zst", &old), ("mysql/b.sql.zst", more)],
    );
    let two = forecast();
    Schema::open().assert_valid(&two.records());
    let found = &two.data("usage")[0]["forecast"];
    assert_eq!(
        (&found["days"], &found["sets"]),
        (&200.into(), &serde_json::json!({"daily": 40}))
    );
    let mib = |name: &str| found[name].as_f64().unwrap() / f64::from(1 << 20);
    // A MiB each day, and a little that a set says of itself.
    assert!((mib("daily_bytes") - 1.0).abs() < 0.01, "{found}");
    // Three in use and two hundred written; nothing is replaced where there are no versions.
    assert!((mib("bytes") - 203.0).abs() < 2.0, "{found}");
    assert_eq!(found["noncurrent_bytes"], 0);
    assert!(
        (found["monthly_usd"].as_f64().unwrap() - mib("bytes")).abs() < 0.01,
        "{found}"
    );
    let _ = two.assert_stderr("in 200 days, with 1.0 MiB new each day");
}

#[test]
fn a_class_that_is_billed_for_longer_than_sets_are_kept_is_warned_of_once() {
    let scene = Scene::new(S3Server::moto());
    scene.server.make_bucket("mail");
    let files: [(&str, &[u8]); 1] = [("mysql/a.sql.zst", b"tables")];
    scene.make(&format!("daily/{DAY_1}"), &files);
    scene.make(WEEK, &files);
    let prices = "GLACIER_IR=0.004 GLACIER_IR.days=150 GLACIER_IR.bytes=131072";
    let run = |args: &[&str], layout: &str| {
        let tool = scene.tool(args).env("S3_PRICES", prices);
        tool.env("S3_LAYOUT", layout).run().assert_code(0)
    };
    let check = |outcome: Outcome, part: &str| {
        Schema::open().assert_valid(&outcome.records());
        let warned = outcome.data("warning");
        assert_eq!(warned.len(), 1, "{}", outcome.stderr);
        assert_eq!(warned[0]["rule"], "billed-longer");
        assert_eq!(outcome.stderr.matches("billed for 150 days").count(), 1);
        let _ = outcome.assert_stderr(part);
    };
    let push = [
        "push",
        "--date",
        DAY_1,
        "--also",
        "weekly",
        "--storage-class",
        "GLACIER_IR",
    ];
    let to = |url: &'static str| [&push[..], &["--to", url]].concat();
    let kept = "daily sets are kept for 40 (S3_KEEP_DAILY)";
    let plain = to("s3://mail/plain");
    check(run(&[&plain[..], &["--dry-run"]].concat(), "plain"), kept);
    check(run(&plain, "plain"), kept);
    check(run(&["usage", "--from", "s3://mail/plain"], "plain"), kept);
    let pooled = to("s3://mail/pooled");
    check(run(&pooled, "pool"), "written again after 97");
    check(
        run(&["usage", "--from", "s3://mail/pooled"], "pool"),
        "written again after 97",
    );
    // A class that is billed by the day is not.
    let standard = ["push", "--date", DAY_1, "--to", "s3://mail/standard"];
    assert_eq!(run(&standard, "plain").data("warning").len(), 0);
    // Each object is billed as 128 KiB.
    let used = run(&["usage", "--from", "s3://mail/plain"], "plain");
    let class = &used.data("usage")[0]["by_storage_class"]["GLACIER_IR"];
    let objects = class["objects"].as_u64().unwrap();
    assert_eq!(class["billed_bytes"], objects * 131_072, "{class}");
}

#[test]
fn a_list_counts_what_sets_share_once_and_says_what_each_has_alone() {
    let scene = Scene::new(S3Server::moto());
    scene.server.make_bucket("mail");
    let shared = random(1 << 20);
    let alone = random(2 << 20);
    let own = &alone[1 << 20..];
    scene.make(&format!("daily/{DAY_1}"), &[("mysql/a.sql.zst", &shared)]);
    scene.make(
        &format!("daily/{DAY_2}"),
        &[("mysql/a.sql.zst", &shared), ("mysql/b.sql.zst", own)],
    );
    for date in [DAY_1, DAY_2] {
        let _ = scene.push(date).run().assert_code(0);
    }
    let listed = scene.tool(&["list", "--from", URL]).run().assert_code(0);
    Schema::open().assert_valid(&listed.records());
    let mib = |value: &Value| value.as_f64().unwrap() / f64::from(1 << 20);
    let near = |value: &Value, expected: f64| {
        assert!((mib(value) - expected).abs() < 0.01, "{value}");
    };
    let sets = listed.data("set");
    near(&sets[0]["bytes"], 1.0);
    near(&sets[0]["own_bytes"], 0.0);
    near(&sets[1]["bytes"], 2.0);
    near(&sets[1]["own_bytes"], 1.0);
    near(&listed.data("end")[0]["totals"]["bytes"], 2.0);
}
