//! Sets that are encrypted on their way: what is stored, who can read it, and that `age` itself
//! can.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{DAY_1, DAY_2, SampleRoot, assert_sums, tree};
use mail_tests::proxy::{Fault, Proxy};
use mail_tests::run::{Outcome, Tool};
use mail_tests::s3::S3Server;
use mail_tests::schema::Schema;

const FILES: [(&str, &[u8]); 3] = [
    (
        "mailboxes/example.com/alice/0001.tar.zst",
        b"the messages of alice",
    ),
    ("mysql/mailserver.sql.zst", b"the tables"),
    ("dkim/dkim.tar.zst", b"the keys"),
];

/// A key of `age-keygen`: its file, and the public half.
pub(crate) fn key(root: &SampleRoot, name: &str) -> (PathBuf, String) {
    let file = root.path().join(name);
    assert!(
        Command::new("age-keygen")
            .arg("-o")
            .arg(&file)
            .output()
            .unwrap()
            .status
            .success()
    );
    let public = Command::new("age-keygen")
        .arg("-y")
        .arg(&file)
        .output()
        .unwrap();
    (
        file,
        String::from_utf8(public.stdout).unwrap().trim().to_owned(),
    )
}

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

fn holds(directory: &Path, part: &[u8]) -> bool {
    tree(directory)
        .values()
        .any(|content| content.windows(part.len()).any(|window| window == part))
}

fn pull(tool: Tool, from: &str, to: &Path, identity: &Path) -> Outcome {
    tool.args(["pull", "--from", from, "--identity"])
        .arg(identity)
        .arg("--to")
        .arg(to)
        .run()
}

#[test]
fn an_encrypted_set_is_read_by_its_recipients_alone() {
    let root = SampleRoot::new();
    let set = root.make_daily(DAY_1, &FILES);
    let ((first, first_public), (second, second_public)) =
        (key(&root, "first"), key(&root, "second"));
    let (stranger, _) = key(&root, "stranger");
    let to_both = [
        "--encrypt-to",
        &first_public,
        "--encrypt-to",
        &second_public,
    ];
    let pushed = root.push_to_file(DAY_1).args(to_both).run().assert_code(0);
    // Six files of the set, and the manifest and checksums beside them.
    assert_eq!(actions(&pushed), [8, 0, 0, 0]);
    let stored = root.store().join("daily").join(DAY_1);
    assert!(
        !holds(&stored, b"alice messages")
            && !holds(&stored, FILES[0].1)
            && !holds(&stored, FILES[2].1)
    );
    assert_sums(&stored);
    let names: Vec<String> = tree(&stored).into_keys().collect();
    assert_eq!(
        names,
        [
            "backup.log.age",
            "checksums.sha256",
            "checksums.sha256.age",
            "dkim/dkim.tar.zst.age",
            "mailboxes/example.com/alice/0001.tar.zst.age",
            "manifest.jsonl",
            "manifest.jsonl.age",
            "mysql/mailserver.sql.zst.age",
        ]
    );
    let listed = root
        .tool()
        .args(["list", "--from", &root.file_url()])
        .run()
        .assert_code(0)
        .data("set");
    assert_eq!(
        (&listed[0]["complete"], &listed[0]["encrypted"]),
        (&true.into(), &true.into())
    );
    let _ = root
        .tool()
        .args(["verify", "--from", &root.file_url()])
        .run()
        .assert_code(0);

    for identity in [&first, &second] {
        let to = tempfile::tempdir().unwrap();
        let _ = pull(root.tool(), &root.file_url(), to.path(), identity).assert_code(0);
        assert_eq!(tree(to.path()), tree(&set));
    }
    let to = tempfile::tempdir().unwrap();
    let _ = pull(root.tool(), &root.file_url(), to.path(), &stranger)
        .assert_code(2)
        .assert_failure("usage");
    assert!(tree(to.path()).is_empty(), "nothing was touched");
    let none = root
        .tool()
        .args(["pull", "--from", &root.file_url(), "--to"])
        .arg(to.path())
        .run();
    let _ = none.assert_code(2).assert_failure("usage");
    // The digests of both forms are in the manifest, and the secret key is nowhere.
    let manifest = fs::read_to_string(stored.join("manifest.jsonl")).unwrap();
    let artifact = manifest
        .lines()
        .find(|line| line.contains("dkim.tar.zst"))
        .unwrap();
    let artifact: serde_json::Value = serde_json::from_str(artifact).unwrap();
    let sum = |path: PathBuf| {
        let output = Command::new("sha256sum").arg(path).output().unwrap();
        String::from_utf8(output.stdout).unwrap()[..64].to_owned()
    };
    assert_eq!(
        artifact["data"]["sha256"],
        sum(stored.join("dkim/dkim.tar.zst.age"))
    );
    assert_eq!(
        artifact["data"]["plain_sha256"],
        sum(set.join("dkim/dkim.tar.zst"))
    );
    assert_eq!(artifact["data"]["plain_bytes"], 8);
}

#[test]
fn age_itself_gives_the_set_back() {
    let root = SampleRoot::new();
    let set = root.make_daily(DAY_1, &FILES);
    let (identity, public) = key(&root, "key");
    let _ = root
        .push_to_file(DAY_1)
        .args(["--encrypt-to", &public])
        .run()
        .assert_code(0);
    let stored = root.store().join("daily").join(DAY_1);
    let script = "rm manifest.jsonl checksums.sha256; find . -name '*.age' -print0 | while IFS= read -r -d '' f; do \
                  age -d -i \"$0\" -o \"${f%.age}\" \"$f\" && rm \"$f\" || exit 1; done; sha256sum --strict --quiet -c checksums.sha256";
    let output = Command::new("bash")
        .args(["-c", script])
        .arg(&identity)
        .current_dir(&stored)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(tree(&stored), tree(&set));
}

#[test]
fn what_is_encrypted_already_is_not_sent_again() {
    let server = S3Server::seaweedfs();
    server.make_bucket("mail");
    let root = SampleRoot::new();
    root.make_daily(DAY_1, &FILES);
    let ((identity, public), (_, other)) = (key(&root, "key"), key(&root, "other"));
    let proxy = Proxy::start(server.port(), |_| Fault::None);
    let push = |date: &str, public: &str| {
        root.push_to_s3(&server, &proxy.endpoint(), date, "s3://mail/host")
            .args(["--encrypt-to", public])
            .run()
    };
    // The first push breaks off before the set is closed.
    proxy.set_rule(|request| {
        Fault::Answer(403, "AccessDenied")
            .when(request.method == "PUT" && request.target.ends_with("checksums.sha256"))
    });
    let _ = push(DAY_1, &public).assert_code(3);
    proxy.set_rule(|_| Fault::None);
    assert_eq!(
        actions(&push(DAY_1, &public).assert_code(0)),
        [2, 0, 6, 0],
        "resumed by the marks"
    );
    assert_eq!(actions(&push(DAY_1, &public).assert_code(0)), [0, 0, 8, 0]);
    let mut next = FILES;
    next[1].1 = b"the tables of the next day";
    let set = root.make_daily(DAY_2, &next);
    // New are the table, the manifest and the checksums, and the two beside them.
    assert_eq!(
        actions(&push(DAY_2, &public).assert_code(0)),
        [5, 3, 0, 0],
        "copied by the server"
    );
    assert_eq!(
        actions(&push(DAY_2, &other).assert_code(0)),
        [8, 0, 0, 0],
        "for another reader"
    );
    assert_eq!(actions(&push(DAY_2, &public).assert_code(0))[1], 3);
    let to = root.path().join("pulled");
    let _ = pull(
        root.s3_tool(&server, &server.endpoint()),
        "s3://mail/host",
        &to,
        &identity,
    )
    .assert_code(0);
    assert_eq!(tree(&to), tree(&set));
    // Back to a set that is not encrypted.
    let plain = root
        .push_to_s3(&server, &server.endpoint(), DAY_2, "s3://mail/host")
        .run()
        .assert_code(0);
    assert_eq!(actions(&plain), [6, 0, 0, 0]);
}

#[test]
fn damage_is_found_before_and_after_the_encryption() {
    let root = SampleRoot::new();
    let set = root.make_daily(DAY_1, &FILES);
    let (identity, public) = key(&root, "key");
    let push = || {
        root.push_to_file(DAY_1)
            .args(["--encrypt-to", &public])
            .run()
    };
    let _ = push().assert_code(0);
    let stored = root
        .store()
        .join("daily")
        .join(DAY_1)
        .join("dkim/dkim.tar.zst.age");
    let mut content = fs::read(&stored).unwrap();
    *content.last_mut().unwrap() ^= 1;
    fs::write(&stored, content).unwrap();
    let to = tempfile::tempdir().unwrap();
    let _ = pull(root.tool(), &root.file_url(), to.path(), &identity)
        .assert_code(1)
        .assert_failure("damaged");
    assert!(!to.path().join("dkim/dkim.tar.zst").exists());
    let _ = root
        .tool()
        .args(["verify", "--from", &root.file_url()])
        .run()
        .assert_code(1)
        .assert_failure("damaged")
        .assert_stderr("dkim.tar.zst.age");
    fs::write(set.join("mysql/mailserver.sql.zst"), b"THE TABLES").unwrap();
    fs::remove_dir_all(root.store().join("daily")).unwrap();
    let _ = push().assert_code(1).assert_failure("damaged");
    assert!(
        !root
            .store()
            .join("daily")
            .join(DAY_1)
            .join("mysql/mailserver.sql.zst.age")
            .exists()
    );
}
