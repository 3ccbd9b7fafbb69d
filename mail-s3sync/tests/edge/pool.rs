//! The pool layout with real servers: each content once, found again by its digest, and brought
//! back by stock tools alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{DAY_1, DAY_2, SampleRoot, Tree, tree};
use mail_tests::proxy::{Fault, Proxy, Request};
use mail_tests::run::{Outcome, Tool};
use mail_tests::s3::{S3Server, program};
use mail_tests::schema::Schema;
use serde_json::Value;

pub(crate) const URL: &str = "s3://mail/host 1";
const DAY_3: &str = "2026-11-25";

/// Two of one content, names that need care, and one that goes up in parts.
const FILES: [(&str, &[u8]); 5] = [
    ("mailboxes/例え.jp/a b+c%20d/0001.tar.zst", b"messages"),
    ("mailboxes/example.com/new\nline/0001.tar.zst", b"more"),
    ("mailboxes/example.com/back/0001.tar.zst", b"messages"),
    ("mysql/mailserver.sql.zst", b"tables"),
    ("dkim/dkim.tar.zst", b"keys"),
];

/// A server behind a proxy, and a root with the sets of two days.
pub(crate) struct Scene {
    pub(crate) root: SampleRoot,
    pub(crate) server: S3Server,
    proxy: Proxy,
}

impl Scene {
    fn new(server: S3Server) -> Self {
        server.make_bucket("mail");
        Self::with_bucket(server)
    }

    pub(crate) fn with_bucket(server: S3Server) -> Self {
        let root = SampleRoot::new();
        root.make_daily(DAY_1, &FILES);
        let proxy = Proxy::start(server.port(), |_| Fault::None);
        Self {
            root,
            server,
            proxy,
        }
    }

    pub(crate) fn push(&self, date: &str) -> Tool {
        self.root
            .push_as_is(&self.server, &self.proxy.endpoint(), date, URL)
    }

    pub(crate) fn read(&self, command: &str) -> Tool {
        self.root
            .s3_tool(&self.server, &self.server.endpoint())
            .args([command, "--from", URL])
    }

    fn pull(&self, date: &str) -> Tree {
        let to = tempfile::tempdir().unwrap();
        let pull = self.read("pull").args(["--date", date, "--to"]);
        let _ = pull.arg(to.path()).run().assert_code(0);
        tree(to.path())
    }

    pub(crate) fn set(&self, date: &str) -> Tree {
        tree(&self.root.set(&format!("daily/{date}")))
    }

    fn keys(&self) -> BTreeSet<String> {
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

    fn rm(&self, key: &str) {
        let _ = self
            .server
            .aws_ok(&["s3", "rm", "--quiet", &format!("{URL}/{key}")]);
    }

    /// Puts other content there, as another program would.
    pub(crate) fn overwrite(&self, key: &str, content: &[u8]) {
        let file = self.root.path().join("other");
        fs::write(&file, content).unwrap();
        let to = format!("{URL}/{key}");
        let _ = self
            .server
            .aws_ok(&["s3", "cp", "--quiet", file.to_str().unwrap(), &to]);
    }

    /// Forgets what the proxy has seen.
    fn watch(&self) {
        self.proxy.set_rule(|_| Fault::None);
    }

    /// Gives the lines of RESTORE.txt to bash, with stock tools alone, and what comes. They are
    /// given twice, as by whoever tries again in the same shell.
    fn follow_the_guide(&self, date: &str, identity: Option<&Path>) -> Tree {
        let (tree, said) = self.fill_in_and_follow(date, "KEY=/path/to/the/key", identity);
        assert_eq!(said, "");
        tree
    }

    /// The same, where this line is filled in, and what was said.
    pub(crate) fn fill_in_and_follow(
        &self,
        date: &str,
        line: &str,
        path: Option<&Path>,
    ) -> (Tree, String) {
        let to = tempfile::tempdir().unwrap();
        let guide = to.path().join("RESTORE.txt");
        let from = format!("{URL}/daily/{date}/RESTORE.txt");
        let _ = self
            .server
            .aws_ok(&["s3", "cp", "--quiet", &from, guide.to_str().unwrap()]);
        let mut lines = commands(&fs::read_to_string(&guide).unwrap());
        if let Some(path) = path {
            let (name, _) = line.split_once('=').unwrap();
            let filled_in = format!("{name}={}\n", path.display());
            lines = lines.replace(&format!("{line}\n"), &filled_in);
        }
        let aws = program("aws");
        let path = format!(
            "{}:{}",
            aws.parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let output = Command::new("bash")
            .args(["-c", &lines.repeat(2)])
            .current_dir(to.path())
            .env("PATH", path)
            .envs(self.server.environment())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let tree = tree(&to.path().join(format!("daily-{date}")));
        (tree, String::from_utf8(said).unwrap())
    }
}

/// What a reader of the guide gives to bash: everything from the first command on but the prose
/// around the key and the signers.
fn commands(guide: &str) -> String {
    let is_prose = |line: &&str| {
        let prose = [
            "It is encrypted",
            "private key of",
            "It is signed",
            "ALLOWED SIGNERS",
            "not come from",
            "What came is",
        ];
        prose.iter().any(|start| line.starts_with(start))
    };
    let begin = guide.find("export AWS_ENDPOINT_URL").unwrap();
    guide[begin..]
        .lines()
        .filter(|line| !is_prose(line))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// How many transfers of each action: uploaded, copied, skipped.
fn actions(outcome: &Outcome) -> [usize; 3] {
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
fn kinds(requests: &[Request]) -> Vec<String> {
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

fn sha256sum(content: &[u8]) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), content).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

fn pooled(content: &[u8]) -> String {
    format!("pool/{}", sha256sum(content))
}

#[test]
fn each_content_is_stored_once_and_a_day_without_news_costs_two_listings_and_the_sets_own_files() {
    let scene = Scene::new(S3Server::seaweedfs());
    let first = scene.push(DAY_1).run().assert_code(0);
    // Four contents of five files, and what describes the set.
    assert_eq!(actions(&first), [8, 0, 1]);
    let own = [
        "RESTORE.txt",
        "backup.log",
        "checksums.sha256",
        "manifest.jsonl",
    ];
    let own = |date: &str| own.map(|name| format!("host 1/daily/{date}/{name}"));
    let contents: [&[u8]; 4] = [b"messages", b"more", b"tables", b"keys"];
    let mut expected: BTreeSet<String> = contents
        .iter()
        .map(|content| format!("host 1/{}", pooled(content)))
        .collect();
    expected.insert("host 1/pool/ledger.jsonl".to_owned());
    expected.extend(own(DAY_1));
    assert_eq!(scene.keys(), expected);
    assert_eq!(scene.pull(DAY_1), scene.set(DAY_1));
    assert_eq!(scene.follow_the_guide(DAY_1, None), scene.set(DAY_1));

    // The same set again.
    scene.watch();
    assert_eq!(actions(&scene.push(DAY_1).run().assert_code(0)), [0, 0, 8]);
    let asked = [
        "GET 2026-11-23",
        "GET checksums.sha256",
        "GET pool",
        "GET ledger.jsonl",
    ];
    assert_eq!(kinds(&scene.proxy.seen()), asked);

    // The next day has nothing new but itself.
    scene.root.make_daily(DAY_2, &FILES);
    scene.watch();
    let next = scene.push(DAY_2).run().assert_code(0);
    assert_eq!(actions(&next), [4, 0, 5]);
    assert_eq!(
        kinds(&scene.proxy.seen()),
        [
            "GET 2026-11-24",
            "GET pool",
            "GET ledger.jsonl",
            "PUT RESTORE.txt",
            "PUT backup.log",
            "PUT manifest.jsonl",
            "PUT checksums.sha256",
        ]
    );
    expected.extend(own(DAY_2));
    assert_eq!(scene.keys(), expected);

    // One file is new.
    let mut files = FILES;
    files[3].1 = b"the tables of the third day";
    scene.root.make_daily(DAY_3, &files);
    assert_eq!(actions(&scene.push(DAY_3).run().assert_code(0)), [5, 0, 4]);
    for date in [DAY_1, DAY_2, DAY_3] {
        assert_eq!(scene.pull(date), scene.set(date), "{date}");
        let verify = scene.read("verify").args(["--date", date, "--deep"]);
        let _ = verify.run().assert_code(0);
    }
    let listed = scene.read("list").run().assert_code(0).data("set");
    assert!(listed.len() == 3 && listed.iter().all(|set| set["complete"] == true));
    assert_eq!(listed[0]["objects"], 8, "{listed:?}");
    let usage = &scene.read("usage").run().assert_code(0).data("usage")[0];
    assert_eq!(usage["objects"], 5 + 3 * 4 + 1, "{usage}");
}

#[test]
fn what_is_damaged_missing_or_foreign_in_the_pool_is_found_and_sent_again() {
    let scene = Scene::new(S3Server::seaweedfs());
    let _ = scene.push(DAY_1).run().assert_code(0);
    let harm: [(&str, &dyn Fn()); 3] = [
        ("damaged", &|| scene.overwrite(&pooled(b"keys"), b"KEYS")),
        ("missing", &|| scene.rm(&pooled(b"keys"))),
        ("damaged", &|| {
            scene.overwrite(&pooled(b"keys"), b"something else");
        }),
    ];
    for (kind, harm) in harm {
        harm();
        scene.overwrite("pool/README", b"foreign");
        for depth in [&[][..], &["--deep"]] {
            let verify = scene.read("verify").args(depth).run();
            let _ = verify.assert_code(1).assert_failure(kind);
        }
        let again = scene.push(DAY_1).run().assert_code(0);
        assert_eq!(actions(&again)[0], 5, "{kind}: {}", again.stderr);
        let _ = scene.read("verify").args(["--deep"]).run().assert_code(0);
    }
    scene.rm(&pooled(b"more"));
    let listed = scene.read("list").run().assert_code(0).data("set");
    assert_eq!(
        (&listed[0]["complete"], &listed[0]["missing"]),
        (&false.into(), &1.into())
    );
    scene.root.make_daily(DAY_2, &FILES);
    assert_eq!(actions(&scene.push(DAY_2).run().assert_code(0)), [5, 0, 4]);
    assert_eq!(scene.pull(DAY_1), scene.set(DAY_1));
    // The ledger may be damaged or lost: then the store is asked.
    scene.overwrite("pool/ledger.jsonl", b"\xff not a ledger");
    assert_eq!(actions(&scene.push(DAY_2).run().assert_code(0)), [0, 0, 8]);
    scene.rm("pool/ledger.jsonl");
    scene.root.make_daily(DAY_3, &FILES);
    assert_eq!(actions(&scene.push(DAY_3).run().assert_code(0)), [4, 0, 5]);
    assert!(scene.keys().contains("host 1/pool/ledger.jsonl"));
}

#[test]
fn a_listing_of_the_pool_that_fails_or_is_cut_is_never_an_empty_one() {
    let scene = Scene::new(S3Server::seaweedfs());
    let _ = scene.push(DAY_1).run().assert_code(0);
    let before = scene.keys();
    scene.root.make_daily(DAY_2, &FILES);
    fn is_pool(request: &Request) -> bool {
        request.target.contains("list-type") && request.target.contains("pool")
    }
    type Rule = fn(&Request) -> Fault;
    let rules: [(Rule, i32); 3] = [
        (
            |request| Fault::Answer(403, "AccessDenied").when(is_pool(request)),
            2,
        ),
        (
            |request| Fault::Answer(500, "InternalError").when(is_pool(request)),
            3,
        ),
        (
            |request| {
                Fault::Body("<ListBucketResult><IsTruncated>false</IsTruncated><Contents>")
                    .when(is_pool(request))
            },
            3,
        ),
    ];
    for (rule, code) in rules {
        scene.proxy.set_rule(rule);
        let push = scene
            .push(DAY_2)
            .args(["--attempts", "2", "--timeout", "2"]);
        let _ = push.run().assert_code(code);
        assert_eq!(scene.keys(), before, "nothing was written");
        let tool = scene.root.s3_tool(&scene.server, &scene.proxy.endpoint());
        let list = tool.args(["list", "--from", URL, "--attempts", "2", "--timeout", "2"]);
        let _ = list.run().assert_code(code);
    }
}

#[test]
fn a_prefix_stays_as_it_is_and_a_pool_can_be_begun_beside() {
    let scene = Scene::new(S3Server::seaweedfs());
    let layout = |date: &str, layout: &str| scene.push(date).env("S3_LAYOUT", layout).run();
    let _ = layout(DAY_1, "heap")
        .assert_code(2)
        .assert_stderr("auto, pool or plain");
    let _ = layout(DAY_1, "plain").assert_code(0);
    scene.root.make_daily(DAY_2, &FILES);
    let _ = layout(DAY_2, "auto").assert_code(0);
    assert!(
        scene.keys().iter().all(|key| !key.contains("/pool/")),
        "it stays plain"
    );
    scene.root.make_daily(DAY_3, &FILES);
    let _ = layout(DAY_3, "pool").assert_code(0);
    // From now on the pool is what the prefix has, and the sets that are there stay as they are.
    scene.root.make_daily("2026-11-26", &FILES);
    assert_eq!(
        actions(&layout("2026-11-26", "auto").assert_code(0)),
        [4, 0, 5]
    );
    assert_eq!(actions(&layout(DAY_2, "auto").assert_code(0)), [0, 0, 8]);
    for date in [DAY_1, DAY_2, DAY_3, "2026-11-26"] {
        assert_eq!(scene.pull(date), scene.set(date), "{date}");
        let _ = scene
            .read("verify")
            .args(["--date", date])
            .run()
            .assert_code(0);
    }
    let listed = scene.read("list").run().assert_code(0).data("set");
    assert!(listed.len() == 4 && listed.iter().all(|set| set["complete"] == true));
    // A plain set whose place one of the pool takes leaves its files there; they are no part of it.
    scene.root.make_daily(DAY_2, &FILES[..3]);
    let _ = layout(DAY_2, "pool").assert_code(0);
    assert_eq!(scene.follow_the_guide(DAY_2, None), scene.set(DAY_2));
    // A copy of the bucket on a disk has no metadata, and is read all the same.
    let copy = scene.root.path().join("copy");
    let sync = ["s3", "sync", "--quiet", URL, copy.to_str().unwrap()];
    let _ = scene.server.aws_ok(&sync);
    let to = scene.root.path().join("pulled");
    let url = format!("file://{}", copy.display());
    let pull = ["pull", "--date", DAY_3, "--from", &url, "--to"];
    let _ = scene.root.tool().args(pull).arg(&to).run().assert_code(0);
    assert_eq!(tree(&to), scene.set(DAY_3));
    let verify = ["verify", "--deep", "--date", DAY_3, "--from", &url];
    let _ = scene.root.tool().args(verify).run().assert_code(0);
}

/// A key of `age-keygen`: its file, and the public half.
fn key(root: &SampleRoot, name: &str) -> (PathBuf, String) {
    let file = root.path().join(name);
    let run = |command: &mut Command| command.output().unwrap();
    let made = run(Command::new("age-keygen").arg("-o").arg(&file));
    assert!(made.status.success());
    let public = run(Command::new("age-keygen").arg("-y").arg(&file));
    let public = String::from_utf8(public.stdout).unwrap();
    (file, public.trim().to_owned())
}

#[test]
fn an_encrypted_pool_knows_what_it_has_and_age_alone_gives_it_back() {
    let scene = Scene::new(S3Server::seaweedfs());
    let ((identity, public), (_, other)) = (key(&scene.root, "key"), key(&scene.root, "other"));
    let push = |date: &str, public: &str| scene.push(date).args(["--encrypt-to", public]).run();
    // The first push breaks off before the set is closed: what it has sent is not sent again.
    scene.proxy.set_rule(|request| {
        let is_own = request.method == "PUT" && request.target.contains("RESTORE.txt");
        Fault::Answer(403, "AccessDenied").when(is_own)
    });
    let _ = push(DAY_1, &public).assert_code(3);
    scene.rm("pool/ledger.jsonl");
    scene.watch();
    let first = push(DAY_1, &public).assert_code(0);
    // RESTORE.txt, log, manifest and checksums, both encrypted, and the two that can be read.
    assert_eq!(actions(&first), [6, 0, 5], "resumed by what the store says");
    assert_eq!(actions(&push(DAY_1, &public).assert_code(0)), [0, 0, 10]);
    let mut files = FILES;
    files[3].1 = b"the tables of the next day";
    scene.root.make_daily(DAY_2, &files);
    assert_eq!(actions(&push(DAY_2, &public).assert_code(0)), [7, 0, 4]);
    assert_eq!(
        scene.follow_the_guide(DAY_2, Some(&identity)),
        scene.set(DAY_2)
    );
    let pull = |date: &str| {
        let to = tempfile::tempdir().unwrap();
        let pull = scene.read("pull").arg("--identity").arg(&identity);
        let pull = pull.args(["--date", date, "--to"]).arg(to.path());
        let _ = pull.run().assert_code(0);
        tree(to.path())
    };
    assert_eq!(pull(DAY_1), scene.set(DAY_1));
    // No object is readable, and each is what its key says.
    let pool = scene.root.path().join("pool");
    let sync = [
        "s3",
        "sync",
        "--quiet",
        &format!("{URL}/pool"),
        pool.to_str().unwrap(),
    ];
    let _ = scene.server.aws_ok(&sync);
    for (name, content) in tree(&pool) {
        if name != "ledger.jsonl" {
            assert_eq!(name, sha256sum(&content));
            assert!(content.starts_with(b"age-encryption.org/v1\n"));
        }
    }
    // Other readers have objects of their own, and so has a set that is not encrypted.
    scene.root.make_daily(DAY_3, &FILES);
    assert_eq!(actions(&push(DAY_3, &other).assert_code(0)), [10, 0, 1]);
    assert_eq!(actions(&scene.push(DAY_3).run().assert_code(0)), [8, 0, 1]);
    assert_eq!(scene.pull(DAY_3), scene.set(DAY_3));
    let _ = scene
        .read("verify")
        .args(["--date", DAY_1, "--deep"])
        .run()
        .assert_code(0);
}

/// Until when an object cannot be deleted.
pub(crate) fn locked_until(server: &S3Server, key: &str) -> String {
    let key = format!("host 1/{key}");
    let head = server.aws_ok(&[
        "s3api",
        "head-object",
        "--bucket",
        "mail",
        "--key",
        &key,
        "--output",
        "json",
    ]);
    let head: serde_json::Value = serde_json::from_str(&head).unwrap();
    let until = head["ObjectLockRetainUntilDate"].as_str();
    until.unwrap_or_default().replace("+00:00", "Z")
}

#[test]
fn what_is_in_the_pool_is_locked_as_long_as_its_longest_set_and_extended_only_when_it_has_to_be() {
    let server = S3Server::seaweedfs();
    server.make_locked_bucket("mail");
    let scene = Scene::with_bucket(server);
    let kept = |date: &str, days: &str| {
        let push = scene.push(date).env("S3_LOCK_MODE", "governance");
        push.env("S3_KEEP_DAILY", days).run().assert_code(0)
    };
    let until = |outcome: &Outcome| {
        let transfer = &outcome.data("transfer")[0];
        transfer["locked_until"].as_str().unwrap().to_owned()
    };
    let extended = || {
        let seen = scene.proxy.seen();
        let is_lock =
            |request: &&Request| request.method == "PUT" && request.target.contains("retention");
        seen.iter().filter(is_lock).count()
    };
    let first = until(&kept(DAY_1, "8"));
    let own = format!("daily/{DAY_1}/checksums.sha256");
    assert_eq!(locked_until(&scene.server, &own), first);
    // A quarter of the days longer, so that it is not extended tomorrow.
    assert!(locked_until(&scene.server, &pooled(b"keys")) > first);
    scene.root.make_daily(DAY_2, &FILES);
    scene.watch();
    let _ = kept(DAY_2, "8");
    assert_eq!(extended(), 0);
    // A set that is kept for longer uses the same four objects.
    scene.root.make_daily(DAY_3, &FILES);
    scene.watch();
    let longer = until(&kept(DAY_3, "30"));
    assert_eq!(extended(), 4);
    for content in [&b"keys"[..], b"tables", b"more", b"messages"] {
        assert!(locked_until(&scene.server, &pooled(content)) >= longer);
    }
    assert_eq!(locked_until(&scene.server, &own), first);
    // What is recorded is the lock there is: longer by less than a tenth is not done, and what
    // replaces a locked set without a lock is not locked.
    assert_eq!(until(&kept(DAY_3, "32")), longer);
    let last = "2026-11-26";
    scene.root.make_daily(last, &FILES);
    let _ = kept(last, "8");
    scene.root.make_daily(last, &FILES[..3]);
    let unlocked = scene.push(last).run().assert_code(0);
    assert_eq!(unlocked.data("transfer")[0]["locked_until"], Value::Null);

    // While an alarm is open, a push extends the locks of the last set from before it.
    let alarm = format!(
        r#"{{"type":"alarm","data":{{"level":"alarm","rule":"spoiled","set":"daily/{DAY_2}","time":"{DAY_2}T03:00:00+00:00","message":"20 messages"}}}}"#
    );
    fs::write(scene.root.set("HOLD"), alarm).unwrap();
    let held = kept(DAY_3, "60").assert_stderr("its locks are extended");
    assert_eq!(locked_until(&scene.server, &own), until(&held));
    assert!(locked_until(&scene.server, &pooled(b"keys")) >= until(&held));
    fs::remove_file(scene.root.set("HOLD")).unwrap();
    // A bucket that cannot lock is refused before anything is written.
    scene.server.make_bucket("open");
    let push = scene
        .root
        .push_as_is(&scene.server, &scene.proxy.endpoint(), DAY_1, "s3://open");
    let _ = push
        .env("S3_LOCK_MODE", "compliance")
        .run()
        .assert_code(2)
        .assert_stderr("Object Lock");
    assert_eq!(scene.server.aws_ok(&["s3", "ls", "s3://open"]), "");
}

#[test]
fn what_a_rule_would_take_is_written_again_and_a_rule_that_is_too_quick_is_refused() {
    let scene = Scene::new(S3Server::moto());
    let rule = |days: u32| {
        let rule = format!(
            r#"{{"Rules":[{{"ID":"r","Status":"Enabled","Filter":{{"Prefix":"host 1/"}},"Expiration":{{"Days":{days}}}}}]}}"#
        );
        let put = [
            "s3api",
            "put-bucket-lifecycle-configuration",
            "--bucket",
            "mail",
        ];
        let _ = scene
            .server
            .aws_ok(&[&put[..], &["--lifecycle-configuration", &rule]].concat());
    };
    rule(40);
    let _ = scene
        .push(DAY_1)
        .run()
        .assert_code(2)
        .assert_failure("configuration")
        .assert_stderr("after 40 days, and S3_POOL_DAYS is 200");
    assert_eq!(scene.server.aws_ok(&["s3", "ls", "s3://mail"]), "");
    rule(200);
    let first = scene.push(DAY_1).run().assert_code(0);
    // The same rule is for the sets, which use what is in the pool for forty days.
    let _ = first.assert_stderr("after 200 days, and S3_KEEP_DAILY is 40");
    // The week is asked for as well, whose contents are all there.
    let week = |number: u32| {
        let name = format!("weekly/2026-week-{number}");
        scene.root.make(&name, &FILES);
        let url = ["push", "--set", &name, "--to", URL, "--attempts", "1"];
        let tool = scene.root.s3_tool(&scene.server, &scene.proxy.endpoint());
        tool.args(url).run().assert_code(0)
    };
    let _ = week(44).assert_stderr("after 200 days, and S3_KEEP_WEEKLY is 100");
    for (number, status, code, said) in [
        (45, 503, "SlowDown", "answered 503 SlowDown"),
        (46, 501, "NotImplemented", "answered 501 NotImplemented"),
        (47, 403, "AccessDenied", "these keys may not read the rules"),
    ] {
        scene.proxy.set_rule(move |request| {
            Fault::Answer(status, code).when(request.target.contains("lifecycle"))
        });
        let _ = week(number).assert_stderr(said);
    }
    scene.watch();
    scene.root.make_daily(DAY_2, &FILES);
    let soon = scene.push(DAY_2).clock("+150d").run().assert_code(0);
    assert_eq!(actions(&soon), [4, 0, 5]);
    scene.root.make_daily(DAY_3, &FILES);
    let late = scene.push(DAY_3).clock("+165d").run().assert_code(0);
    assert_eq!(actions(&late), [4, 4, 1], "{}", late.stderr);
    for date in [DAY_1, DAY_2, DAY_3] {
        assert_eq!(scene.pull(date), scene.set(date), "{date}");
        let verify = scene.read("verify").args(["--date", date]);
        let _ = verify.run().assert_code(0);
    }
}

#[test]
fn a_push_can_take_the_newest_weekly_set_along() {
    let scene = Scene::new(S3Server::moto());
    let also = || scene.push(DAY_1).args(["--also", "weekly"]).run();
    let _ = also().assert_code(0);
    let mut files = FILES;
    files[4].1 = b"the keys of the week";
    scene.root.make("weekly/2026-week-46", &files);
    let week = tree(&scene.root.make("weekly/2026-week-47", &files));
    // That of the day is there, and the week brings one content and its own files.
    assert_eq!(actions(&also().assert_code(0)), [5, 0, 12]);
    let listed = scene.read("list").run().assert_code(0).data("set");
    let names: Vec<&str> = listed
        .iter()
        .map(|set| set["set"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["daily/2026-11-23", "weekly/2026-week-47"]);
    let to = scene.root.path().join("pulled");
    let pull = scene
        .read("pull")
        .args(["--set", "weekly/2026-week-47", "--to"]);
    let _ = pull.arg(&to).run().assert_code(0);
    assert_eq!(tree(&to), week);
    let _ = scene
        .push(DAY_1)
        .args(["--also", "daily"])
        .run()
        .assert_code(2);
}

/// Each round replaces the set by one with a new content, and the network goes for good at a later
/// request. What is there then is all of the old set, all of the new one, or none.
#[test]
fn a_push_that_ends_at_any_request_leaves_the_old_set_the_new_one_or_none() {
    let scene = Scene::new(S3Server::seaweedfs());
    let _ = scene.push(DAY_1).run().assert_code(0);
    let mut old = scene.set(DAY_1);
    let mut found = [0; 3];
    for end in 0..18 {
        let tables = format!("the tables of round {end}");
        let mut files = FILES;
        files[3].1 = tables.as_bytes();
        scene.root.make_daily(DAY_1, &files);
        let new = scene.set(DAY_1);
        scene
            .proxy
            .set_rule(move |request| Fault::CutRequest.when(request.number >= end));
        let push = scene.push(DAY_1).args(["--attempts", "1", "--jobs", "1"]);
        let code = push.run().code();
        let listed = scene.read("list").run().assert_code(0).data("set");
        let is_complete = listed.iter().any(|set| set["complete"] == true);
        let there = is_complete.then(|| scene.pull(DAY_1));
        found[match there {
            None => 0,
            Some(tree) if tree == old => 1,
            Some(tree) => {
                assert!(tree == new, "request {end}: half of both is called a set");
                2
            }
        }] += 1;
        assert!(code != 0 || found[2] > 0, "request {end}: a false ok");
        scene.watch();
        let _ = scene.push(DAY_1).run().assert_code(0);
        assert_eq!(scene.pull(DAY_1), new, "request {end}");
        old = new;
    }
    assert!(found.iter().all(|rounds| *rounds > 0), "{found:?}");
}

#[test]
fn two_pushes_at_once_share_a_pool() {
    let scene = Scene::new(S3Server::seaweedfs());
    let mut files = FILES;
    files[4].1 = b"other keys";
    scene.root.make_daily(DAY_2, &files);
    let running = [DAY_1, DAY_2].map(|date| scene.push(date).spawn());
    for push in running {
        let _ = push.wait().assert_code(0);
    }
    for date in [DAY_1, DAY_2] {
        assert_eq!(scene.pull(date), scene.set(date), "{date}");
    }
    // What the ledger of the one does not have of the other is asked for, and nothing is sent.
    files[3].0 = "mysql/other.sql.zst";
    scene.root.make_daily(DAY_3, &files);
    assert_eq!(actions(&scene.push(DAY_3).run().assert_code(0)), [4, 0, 5]);
}
