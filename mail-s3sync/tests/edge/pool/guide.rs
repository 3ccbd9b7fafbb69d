//! `RESTORE.txt`, followed with stock tools alone, and encrypted sets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::scene::{DAY_3, FILES, Scene, URL, actions, sha256sum};
use crate::support::{DAY_1, DAY_2, SampleRoot, Tree, tree};
use mail_tests::proxy::Fault;
use mail_tests::s3::{S3Server, program};

impl Scene {
    /// Gives the lines of RESTORE.txt to bash, with stock tools alone, and what comes. They are
    /// given twice, as by whoever tries again in the same shell.
    pub(super) fn follow_the_guide(&self, date: &str, identity: Option<&Path>) -> Tree {
        let (tree, said) = self.fill_in_and_follow(date, "KEY=/path/to/the/key", identity);
        assert_eq!(said, "");
        tree
    }

    /// The same, where this line is filled in, and what was said.
    pub(super) fn fill_in_and_follow(
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
