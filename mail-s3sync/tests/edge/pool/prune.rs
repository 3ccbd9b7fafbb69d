//! `prune`: what is past its days goes, with keys that may delete, and nothing else does.

use std::fs;

use super::scene::{DAY_3, FILES, Scene, URL, actions, pooled};
use crate::support::{DAY_1, DAY_2};
use mail_tests::proxy::{Fault, Request};
use mail_tests::run::{Outcome, Tool};
use mail_tests::s3::S3Server;
use mail_tests::schema::Schema;

/// Sets are kept for a day, and what is in the pool for eleven.
fn days(tool: Tool) -> Tool {
    [
        ("S3_KEEP_DAILY", "1"),
        ("S3_KEEP_WEEKLY", "1"),
        ("S3_KEEP_HOURLY", "1"),
        ("S3_POOL_DAYS", "11"),
    ]
    .into_iter()
    .fold(tool, |tool, (name, value)| tool.env(name, value))
}

impl Scene {
    /// A push on a later day.
    fn push_on(&self, day: u32, date: &str) -> Outcome {
        let offset = format!("+{day}d");
        self.server.set_clock(&offset);
        days(self.push(date)).clock(&offset).run().assert_code(0)
    }

    /// A prune on that day, past the proxy or through it.
    fn prune_on(&self, day: usize, endpoint: &str, args: &[&str]) -> Tool {
        let offset = format!("+{day}d");
        self.server.set_clock(&offset);
        let tool = self.root.s3_tool(&self.server, endpoint);
        let tool = tool.args(["prune", "--from", URL]).args(args);
        days(tool).clock(&offset).args(["--timeout", "5"])
    }

    /// One on the fifteenth day.
    fn prune(&self, args: &[&str]) -> Tool {
        self.prune_on(15, &self.server.endpoint(), args)
    }

    /// Sets of three days: on the fifteenth the first two are past their days, and so is what the
    /// first alone had: `tables`.
    fn grown() -> Self {
        let server = S3Server::moto_with_clock();
        server.make_bucket("mail");
        let _ = server.aws_ok(&[
            "s3api",
            "put-bucket-versioning",
            "--bucket",
            "mail",
            "--versioning-configuration",
            "Status=Enabled",
        ]);
        let scene = Self::with_bucket(server);
        let _ = scene.push_on(0, DAY_1);
        let mut files = FILES;
        files[3].1 = b"other tables";
        scene.root.make_daily(DAY_2, &files);
        // What it shares with the first would go too soon, and is written again.
        assert_eq!(actions(&scene.push_on(12, DAY_2)), [5, 3, 1]);
        scene.root.make_daily(DAY_3, &files);
        assert_eq!(actions(&scene.push_on(14, DAY_3)), [4, 0, 5]);
        scene
    }

    fn assert_last_is_whole(&self) {
        assert_eq!(self.pull(DAY_3), self.set(DAY_3));
    }
}

/// What became of what: the set, or `pool`, and how many objects that was.
fn outcomes(outcome: &Outcome) -> Vec<String> {
    Schema::open().assert_valid(&outcome.records());
    let pruned = outcome.data("pruned");
    let text = |pruned: &serde_json::Value| {
        let set = pruned["set"].as_str().unwrap_or("pool");
        format!(
            "{} {set} {}",
            pruned["outcome"].as_str().unwrap(),
            pruned["objects"]
        )
    };
    pruned.iter().map(text).collect()
}

#[test]
fn what_is_past_its_days_is_shown_and_then_goes_with_its_versions() {
    let scene = Scene::grown();
    let before = scene.keys();
    let shown = scene.prune(&[]).run().assert_code(0);
    let due = [
        "due daily/2026-11-23 4",
        "due daily/2026-11-24 4",
        "due pool 1",
    ];
    assert_eq!(outcomes(&shown), due);
    assert_eq!(scene.keys(), before);
    // Whether an alarm is open nobody can tell who does not see the backup root.
    let blind = scene.prune(&["--yes"]).env("BACKUP_ROOT", "/nonexistent");
    let _ = blind.run().assert_code(2).assert_stderr("--no-alarm");
    // The first set is from before one that is open.
    let alarm = format!(
        r#"{{"type":"alarm","data":{{"level":"alarm","rule":"spoiled","set":"daily/{DAY_1}","time":"{DAY_1}T03:00:00+00:00","message":"20 messages"}}}}"#
    );
    fs::write(scene.root.set("HOLD"), alarm).unwrap();
    let held = scene.prune(&["--yes"]).run().assert_code(0);
    let kept = ["held daily/2026-11-23 4", "removed daily/2026-11-24 4"];
    assert_eq!(outcomes(&held), kept, "and what it uses");
    fs::remove_file(scene.root.set("HOLD")).unwrap();
    assert_eq!(scene.pull(DAY_1), scene.set(DAY_1));

    let pruned = scene.prune(&["--yes"]).run().assert_code(0);
    let gone = ["removed daily/2026-11-23 4", "removed pool 1"];
    assert_eq!(outcomes(&pruned), gone);
    let mut expected = before;
    expected.remove(&format!("host 1/{}", pooled(b"tables")));
    expected.retain(|key| !key.contains(DAY_1) && !key.contains(DAY_2));
    assert_eq!(scene.keys(), expected);
    scene.assert_last_is_whole();
    let list = [
        "s3api",
        "list-object-versions",
        "--bucket",
        "mail",
        "--output",
        "json",
    ];
    let versions = scene.server.aws_ok(&list);
    for gone in [&sum(b"tables"), DAY_1, DAY_2, "prune-under-way"] {
        assert!(!versions.contains(gone), "{gone} in {versions}");
    }
    let again = scene.prune(&["--yes"]).run().assert_code(0);
    assert_eq!(outcomes(&again), [""; 0]);
}

fn sum(content: &[u8]) -> String {
    pooled(content).trim_start_matches("pool/").to_owned()
}

/// A prune that ends at any request leaves sets that are whole or not there.
#[test]
fn a_prune_that_is_cut_off_at_any_request_leaves_no_half_set_and_the_next_goes_on() {
    let scene = Scene::grown();
    let proxy = scene.proxy.endpoint();
    let mut was_cut = 0;
    for round in 0..40 {
        scene
            .proxy
            .set_rule(move |request| Fault::CutRequest.when(request.number >= 2 * round));
        // The mark of one that was killed is looked at for a day.
        let prune = scene.prune_on(15 + 2 * round, &proxy, &["--yes", "--jobs", "1"]);
        let cut = prune.args(["--attempts", "1"]).run();
        let listed = scene.read("list").run().assert_code(0).data("set");
        for set in &listed {
            assert_eq!(set["missing"], 0, "round {round}: {set}");
        }
        if cut.code() == 0 {
            break;
        }
        was_cut += 1;
    }
    assert!(was_cut > 6, "{was_cut}");
    scene.assert_last_is_whole();
    let listed = scene.read("list").run().assert_code(0).data("set");
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(
        !scene
            .keys()
            .contains(&format!("host 1/{}", pooled(b"tables")))
    );
}

#[test]
fn a_listing_that_fails_removes_nothing_and_a_refusal_is_said() {
    let scene = Scene::grown();
    let proxy = scene.proxy.endpoint();
    let before = scene.keys();
    fn is_list(request: &Request, what: &str) -> bool {
        request.target.contains("list-type") && request.target.contains(what)
    }
    type Rule = fn(&Request) -> Fault;
    let rules: [(Rule, i32); 6] = [
        (
            |it| Fault::Answer(403, "AccessDenied").when(is_list(it, "daily")),
            2,
        ),
        (
            |it| Fault::Answer(500, "InternalError").when(is_list(it, "weekly")),
            3,
        ),
        (
            |it| Fault::CutAnswer.when(is_list(it, "pool") && !is_list(it, "prune")),
            3,
        ),
        (
            |it| {
                let cut = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
                Fault::Body(cut).when(is_list(it, "daily"))
            },
            3,
        ),
        (
            |it| Fault::Answer(500, "InternalError").when(it.target.contains("checksums.sha256")),
            3,
        ),
        (
            |it| Fault::Answer(403, "AccessDenied").when(it.method == "DELETE"),
            3,
        ),
    ];
    for (number, (rule, code)) in rules.into_iter().enumerate() {
        scene.proxy.set_rule(rule);
        let prune = scene.prune_on(15 + 2 * number, &proxy, &["--yes"]);
        let outcome = prune.args(["--attempts", "2"]).run();
        assert_eq!(outcome.code(), code, "{number}: {}", outcome.stderr);
        let mut after = scene.keys();
        after.remove("host 1/pool/prune-under-way");
        assert_eq!(after, before, "{number}");
    }
}
