//! Signed sets: made by a key or an agent, verified by every tool and by ssh-keygen, and refused
//! where anything is not as it was signed.
#![allow(clippy::disallowed_methods, reason = "sample files")]

use std::path::Path;

use mail_tests::maildir::TreePlan;
use mail_tests::run::{Outcome, Tool, binary, shell};
use mail_tests::server::{Server, TREES};
use mail_tests::set::assert_checksums;

use crate::off_site::assert_same_files;

const DAY: &str = "2026-11-23";

/// Consistent to the last digest: only the signature tells.
const FORGED_LOG: &str = r"chmod u+w *; echo forged >>backup.log
sum=$(sha256sum backup.log | cut -d' ' -f1)
sed -i 's/^[0-9a-f]* \( backup.log\)$/'$sum' \1/' checksums.sha256
sha256sum --quiet -c checksums.sha256";

/// A server that signs its sets, and who accepts them.
struct SigningServer(Server);

impl SigningServer {
    fn new() -> Self {
        let server = Server::new(&TreePlan {
            mean_bytes: 2_000,
            ..TreePlan::new(40, 2, 9)
        });
        let keys = "for key in key other; do ssh-keygen -q -t ed25519 -N '' -C '' -f $key; done
            echo \"mx.example.com namespaces=\\\"mail-backup\\\" $(cat key.pub)\" >allowed";
        let _ = shell(server.dir(), &format!("mkdir store; {keys}"));
        Self(server)
    }

    fn backup(&self, key: &str, date: &str) -> Tool {
        self.backup_of(key, date, &TREES)
    }

    fn backup_of(&self, key: &str, date: &str, components: &[&str]) -> Tool {
        let backup = self.0.backup();
        let backup = backup.env("BACKUP_SIGNING_KEY", self.0.dir().join(key));
        backup.args(components).args(["--date", date])
    }

    fn save(&self, key: &str, date: &str) -> Outcome {
        self.backup(key, date).run()
    }

    /// A tool that accepts signed sets alone.
    fn asking(&self, tool: &str) -> Tool {
        let tool = Tool::new(tool).env("ALLOWED_SIGNERS", self.0.dir().join("allowed"));
        let settings = self.0.settings();
        settings
            .into_iter()
            .fold(tool, |tool, (name, value)| tool.env(name, value))
    }

    /// `mail-backup` started by another program, in the directory of the server.
    fn backup_under(&self, program: &str, args: &[&str], key: &str) -> Tool {
        let tool = Tool::program(Path::new(program)).args(args);
        let tool = tool.arg(binary("mail-backup")).args(TREES);
        let tool = tool.args(["--date", DAY]);
        let tool = tool.env("BACKUP_SIGNING_KEY", self.0.dir().join(key));
        let settings = self.0.settings().into_iter();
        let mut tool = settings.fold(tool, |tool, (name, value)| tool.env(name, value));
        let _ = tool.command().current_dir(self.0.dir());
        tool
    }

    fn verify(&self) -> Outcome {
        let set = format!("daily/{DAY}");
        self.asking("mail-restore")
            .args(["--from", &set, "--verify"])
            .run()
    }

    fn check(&self) -> Outcome {
        self.asking("mail-check")
            .arg("set")
            .arg(self.0.daily(DAY))
            .run()
    }

    fn store(&self) -> String {
        format!("file://{}", self.0.dir().join("store").display())
    }

    fn push(&self) -> Outcome {
        let push = self.asking("mail-s3sync");
        push.args(["push", "--date", DAY, "--to", &self.store()])
            .run()
    }

    fn pull(&self, to: &str) -> Outcome {
        let pull = self.asking("mail-s3sync");
        pull.args(["pull", "--from", &self.store(), "--to"])
            .arg(self.0.dir().join(to))
            .run()
    }

    fn verify_copy(&self) -> Outcome {
        self.asking("mail-s3sync")
            .args(["verify", "--from", &self.store()])
            .run()
    }

    /// Every tool refuses the set and its copy, and says this.
    fn assert_refused(&self, part: &str) {
        let _ = self
            .verify()
            .assert_code(3)
            .assert_failure("refused")
            .assert_stderr(part);
        let checked = self.check().assert_code(2);
        assert!(checked.text().contains(part), "{}", checked.text());
        let _ = self.push().assert_code(0);
        let _ = self.verify_copy().assert_code(3).assert_stderr(part);
        let _ = self.pull("refused").assert_code(3).assert_stderr(part);
        assert!(!self.0.dir().join("refused/checksums.sha256").exists());
    }
}

#[test]
fn a_signed_set_is_accepted_on_its_whole_way_and_by_stock_tools() {
    let signing = SigningServer::new();
    let server = &signing.0;
    let _ = signing.save("key", DAY).assert_code(0);
    let _ = shell(
        server.dir(),
        &format!(
            "ssh-keygen -Y verify -f allowed -I mx.example.com -n mail-backup \
             -s backup/daily/{DAY}/checksums.sha256.sig <backup/daily/{DAY}/checksums.sha256"
        ),
    );
    let _ = signing.verify().assert_code(0);
    let checked = signing.check().assert_code(0);
    assert!(
        checked.text().contains("signed by mx.example.com"),
        "{}",
        checked.text()
    );
    // It may be signed after it was pushed.
    let signature = format!("backup/daily/{DAY}/checksums.sha256.sig");
    let _ = shell(server.dir(), &format!("mv {signature} aside"));
    let _ = signing.push().assert_code(0);
    let _ = signing.verify_copy().assert_code(3);
    let _ = shell(server.dir(), &format!("mv aside {signature}"));
    let _ = signing.push().assert_code(0);
    let _ = signing.verify_copy().assert_code(0);
    let _ = signing.pull("pulled").assert_code(0);
    assert_same_files(&server.daily(DAY), &server.dir().join("pulled"));
    let restored = signing
        .asking("mail-restore")
        .arg("--from")
        .arg(server.dir().join("pulled"));
    let _ = restored
        .arg("--to")
        .arg(server.dir().join("restored"))
        .run()
        .assert_code(0);
}

#[test]
fn a_set_that_is_forged_unsigned_or_of_another_key_is_refused_everywhere() {
    let signing = SigningServer::new();
    let set = signing.0.daily(DAY);
    let _ = signing.save("key", DAY).assert_code(0);
    let _ = shell(&set, FORGED_LOG);
    signing.assert_refused("incorrect signature");
    // Nor does the next set take anything over from it.
    let next = signing.backup("key", "2026-11-24");
    let next = next.env("ALLOWED_SIGNERS", signing.0.dir().join("allowed"));
    let _ = next
        .run()
        .assert_code(0)
        .assert_stderr("is not used to find what has changed");
    let _ = signing.save("other", DAY).assert_code(0);
    signing.assert_refused("No principal matched");
    std::fs::remove_file(set.join("checksums.sha256.sig")).expect("it is signed");
    std::fs::remove_file(
        signing
            .0
            .dir()
            .join(format!("store/daily/{DAY}/checksums.sha256.sig")),
    )
    .expect("it was pushed");
    signing.assert_refused("has no checksums.sha256.sig");
}

#[test]
fn a_signed_set_in_the_place_of_another_day_is_refused_and_a_missing_day_is_named() {
    let signing = SigningServer::new();
    let days = ["2026-11-21", "2026-11-22", DAY];
    for day in days {
        let _ = signing.save("key", day).assert_code(0);
    }
    let backups = || {
        let checked = signing.asking("mail-check").arg("backups").run().text();
        checked
            .lines()
            .filter(|line| line.contains("backup-chain"))
            .collect::<String>()
    };
    assert_eq!(backups(), "");
    let daily = signing.0.root().join("daily");
    let _ = shell(&daily, &format!("mv {} gone; rm -r gone", days[1]));
    assert!(
        backups().contains("daily/2026-11-22 is gone"),
        "{}",
        backups()
    );
    let _ = signing
        .asking("mail-s3sync")
        .args(["push", "--date", days[0], "--to", &signing.store()])
        .run()
        .assert_code(0);
    let copies = signing.0.dir().join("store/daily");
    let _ = shell(&copies, &format!("cp -a {} {DAY}", days[0]));
    let was_signed_as = "was signed as daily/2026-11-21";
    let _ = signing
        .verify_copy()
        .assert_code(3)
        .assert_stderr(was_signed_as);
    let _ = signing
        .pull("pulled")
        .assert_code(3)
        .assert_stderr(was_signed_as);
    assert!(!signing.0.dir().join("pulled/checksums.sha256").exists());
    let _ = shell(&daily, &format!("rm -r {DAY}; cp -a {} {DAY}", days[0]));
    let _ = signing.verify().assert_code(3).assert_stderr(was_signed_as);
    // Nor does it help to take away what says so.
    let _ = shell(&daily, &format!("rm -f {DAY}/manifest.jsonl"));
    let _ = signing
        .verify()
        .assert_code(3)
        .assert_stderr("does not say which set it is");
}

/// Whoever holds the bucket has the public key, and can encrypt what they like.
const FORGE: &str = r#"set -e
sum() { sha256sum <"$1" | cut -d' ' -f1; }
good=store/daily/$DAY forged=evil/daily/$DAY
manifest=$(sum $forged/manifest.jsonl)
sed -i "s/$(sum $forged/checksums.sha256.age)/$(sum $good/checksums.sha256.age)/
    s/$(sum backup/daily/$DAY/checksums.sha256)/$(sum set.sums)/" \
    $forged/manifest.jsonl $forged/checksums.sha256
sed -i "s/$manifest/$(sum $forged/manifest.jsonl)/" $forged/checksums.sha256
cp $good/checksums.sha256.age $forged/"#;

#[test]
fn an_encrypted_copy_is_verified_by_the_pull_that_decrypts_it() {
    let signing = SigningServer::new();
    let dir = signing.0.dir();
    let _ = signing.save("key", DAY).assert_code(0);
    let public = shell(
        dir,
        "mkdir evil; age-keygen -o id 2>/dev/null; age-keygen -y id",
    );
    let url = |store: &str| format!("file://{}", dir.join(store).display());
    let push = |store: &str| {
        let push = signing.asking("mail-s3sync").env("S3_LAYOUT", "plain");
        let push = push.args(["push", "--date", DAY, "--to", &url(store)]);
        let _ = push
            .args(["--encrypt-to", public.trim()])
            .run()
            .assert_code(0);
    };
    let pull = |store: &str, to: &str| {
        let pull = signing.asking("mail-s3sync");
        let pull = pull.args(["pull", "--from", &url(store), "--identity"]);
        pull.arg(dir.join("id")).arg("--to").arg(dir.join(to)).run()
    };
    push("store");
    let _ = pull("store", "good").assert_code(0);
    assert_same_files(&signing.0.daily(DAY), &dir.join("good"));
    let forge = format!("cp checksums.sha256 ../../../set.sums; {FORGED_LOG}");
    let _ = shell(&signing.0.daily(DAY), &forge);
    push("evil");
    let _ = pull("evil", "bad")
        .assert_code(3)
        .assert_stderr("incorrect signature");
    // The signed checksums, and a list beside them that says something else.
    let _ = shell(dir, &format!("DAY={DAY}; {FORGE}"));
    let _ = pull("evil", "bad")
        .assert_code(3)
        .assert_stderr("backup.log is not what the signed checksums.sha256 says");
    assert!(
        !dir.join("bad").exists(),
        "it is refused before it is fetched"
    );
}

/// A run of some components takes the others over from the set of the day.
#[test]
fn what_was_forged_in_the_set_of_the_day_is_not_taken_over_and_signed() {
    let signing = SigningServer::new();
    let set = signing.0.daily(DAY);
    let extend = || {
        let backup = signing.backup_of("key", DAY, &["--component", "config"]);
        let allowed = signing.0.dir().join("allowed");
        backup.env("ALLOWED_SIGNERS", allowed).run()
    };
    let _ = signing.save("key", "2026-11-22").assert_code(0);
    let _ = signing.save("key", DAY).assert_code(0);
    let _ = extend().assert_code(0);
    let _ = signing.verify().assert_code(0);
    let _ = shell(&set, FORGED_LOG);
    let _ = extend()
        .assert_code(3)
        .assert_failure("refused")
        .assert_stderr("incorrect signature");
    signing.assert_refused("incorrect signature");
    // Nor is the mail of another day.
    let _ = shell(&set, "cd ..; rm -r 2026-11-23; cp -a 2026-11-22 2026-11-23");
    let _ = extend()
        .assert_code(3)
        .assert_failure("refused")
        .assert_stderr("was signed as daily/2026-11-22");
}

#[test]
fn sets_of_every_kind_and_of_some_components_are_signed() {
    let signing = SigningServer::new();
    let root = signing.0.root();
    let key = signing.0.dir().join("key");
    let save = |args: &[&str], code: i32| {
        let backup = signing.0.backup().env("BACKUP_SIGNING_KEY", &key);
        let _ = backup.args(args).run().assert_code(code);
    };
    save(&["--hourly", "--component", "mailboxes"], 0);
    save(&["--weekly", "--date", DAY, "--component", "mailboxes"], 0);
    save(&["--date", DAY, "--component", "config"], 0);
    let gone = signing.0.dir().join("opendkim");
    std::fs::rename(gone, signing.0.dir().join("aside")).expect("it is there");
    save(&[&TREES[..], &["--date", "2026-11-24"]].concat(), 1);
    let hourly = std::fs::read_dir(root.join("hourly")).expect("it was made");
    let hourly = hourly.map(|set| set.expect("it can be listed").path());
    let mut sets: Vec<_> = hourly.filter(|path| path.is_dir()).collect();
    let others = [
        "weekly/2026-week-47",
        "daily/2026-11-23",
        "daily/2026-11-24.incomplete",
    ];
    sets.extend(others.map(|name| root.join(name)));
    assert_eq!(sets.len(), 4, "{sets:?}");
    for set in sets {
        let checked = signing
            .asking("mail-check")
            .arg("set")
            .arg(&set)
            .run()
            .text();
        assert!(checked.contains("signed by mx.example.com"), "{checked}");
    }
}

#[test]
fn sets_from_before_the_first_signature_are_used_only_where_nobody_asks() {
    let signing = SigningServer::new();
    let old = signing
        .0
        .backup()
        .args(TREES)
        .args(["--date", "2026-11-22"]);
    let _ = old.run().assert_code(0);
    let _ = signing.save("key", DAY).assert_code(0);
    let verify = || {
        let restore = signing.asking("mail-restore");
        restore.args(["--from", "daily/2026-11-22", "--verify"])
    };
    let _ = verify()
        .run()
        .assert_code(3)
        .assert_stderr("or before it signed");
    let _ = verify().env("ALLOWED_SIGNERS", "").run().assert_code(0);
    // One of many is named, and the others are searched.
    let search = signing.asking("mail-restore");
    let found = search
        .args([
            "--from",
            "all",
            "--list",
            "--since",
            "1990-01-01",
            "--format",
            "jsonl",
        ])
        .run()
        .assert_code(1)
        .assert_failure("refused")
        .assert_stderr("daily/2026-11-22 is not searched");
    let messages = found.data("message");
    assert!(messages.len() == 40, "{}", messages.len());
    let signed = format!("daily/{DAY}");
    assert!(
        messages
            .iter()
            .all(|message| message["first_set"] == signed.as_str())
    );
}

#[test]
fn a_key_in_an_agent_signs_and_one_that_is_nowhere_does_not() {
    let signing = SigningServer::new();
    let add_and_hide = r#"ssh-add -q key; mv key aside; exec "$0" "$@""#;
    let backup = signing.backup_under("ssh-agent", &["bash", "-c", add_and_hide], "key.pub");
    let _ = backup.run().assert_code(0);
    let _ = signing.verify().assert_code(0);
    let _ = signing
        .save("key.pub", DAY)
        .assert_code(1)
        .assert_failure("configuration")
        .assert_stderr("No private key found");
}

/// Neither without a terminal, as under cron, nor at one.
#[test]
fn nobody_is_asked_for_the_passphrase_of_a_key() {
    let signing = SigningServer::new();
    let _ = shell(
        signing.0.dir(),
        "ssh-keygen -q -p -P '' -N secret -f key >/dev/null",
    );
    let _ = signing
        .backup_under("setsid", &["-w"], "key")
        .run()
        .assert_code(1)
        .assert_stderr("incorrect passphrase");
    let at_a_terminal = r#"script -qec "$(printf '%q ' "$0" "$@")" /dev/null"#;
    let ended = signing
        .backup_under("bash", &["-c", at_a_terminal], "key")
        .run()
        .assert_code(1);
    let said = ended.text();
    assert!(said.contains("incorrect passphrase"), "{said}");
    assert!(!said.contains("Enter passphrase"), "{said}");
}

#[test]
fn where_ssh_keygen_is_missing_every_tool_says_what_to_install() {
    let signing = SigningServer::new();
    let _ = signing.save("key", DAY).assert_code(0);
    let _ = signing.push().assert_code(0);
    let nowhere = signing.0.dir().join("nowhere");
    let store = signing.store();
    let day = format!("daily/{DAY}");
    let cases: [(&str, &[&str], i32); 3] = [
        ("mail-restore", &["--from", &day, "--verify"], 3),
        ("mail-s3sync", &["verify", "--from", &store], 3),
        (
            "mail-s3sync",
            &["pull", "--from", &store, "--to", "/nonexistent"],
            3,
        ),
    ];
    for (tool, args, code) in cases {
        let _ = signing
            .asking(tool)
            .env("PATH", &nowhere)
            .args(args)
            .run()
            .assert_code(code)
            .assert_failure("program")
            .assert_stderr("apt-get install openssh-client");
    }
    let check = signing.asking("mail-check").env("PATH", &nowhere);
    let checked = check.arg("set").arg(signing.0.daily(DAY)).run();
    let said = checked.assert_code(2).text();
    assert!(said.contains("apt-get install openssh-client"), "{said}");
    let backup = signing.backup("key", "2026-11-24").env("PATH", &nowhere);
    let _ = backup
        .run()
        .assert_code(1)
        .assert_stderr("the set is whole and was kept, but it is not signed")
        .assert_stderr("apt-get install openssh-client");
    assert_checksums(&signing.0.daily("2026-11-24"));
}

#[test]
fn a_set_that_cannot_be_signed_is_kept_and_the_run_says_so() {
    let signing = SigningServer::new();
    let failed = signing.save("nowhere", DAY).assert_code(1);
    let _ = failed
        .assert_failure("configuration")
        .assert_stderr("BACKUP_SIGNING_KEY");
    assert_checksums(&signing.0.daily(DAY));
    assert_eq!(signing.0.latest(), Path::new("daily").join(DAY));
}
