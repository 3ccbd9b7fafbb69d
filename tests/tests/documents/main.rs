//! The documents keep their word: every `sh` block of the operating guide, and every pipeline of
//! the others, is run from the text, as root with the paths that it names, on real services. The
//! Japanese documents have the same commands. What documents point to is there.
#![expect(
    clippy::disallowed_methods,
    reason = "settings are not stored files of a set"
)]

mod japanese; // the Japanese documents beside the English ones
mod structure; // what of the code's shape must always hold
mod text; // links, and the names of tests and files
mod your_server; // the page of known servers

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mail_tests::host::{Host, ended_with, sources};
use mail_tests::run::binary;
use mail_tests::s3::S3Server;
use mail_tests::user_api::{Lists, UserApi};

const BUCKET: &str = "documents";

/// The namespace that a document is run in: what it names is there, and is not this machine's.
const NAMESPACE: &str = r#"
set -euo pipefail
for place in /mnt /srv /var/log; do mount -t tmpfs tmpfs "$place"; done
mkdir -p /mnt/backup-hdd/mailserver /srv/mailserver/data/mail "$SITE/layers"
mount -t tmpfs tmpfs "$SITE/layers"
mkdir "$SITE/layers/upper" "$SITE/layers/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$SITE/layers/upper,workdir=$SITE/layers/work" /etc
mkdir -p -m 700 /etc/mailserver-backup
cp "$SITE/etc/config" /etc/mailserver-backup/config
mount --bind "$MAIL" /srv/mailserver/data/mail
mkdir /var/log/mailserver
backup-mailserver.sh --weekly
backup-mailserver.sh --daily
sync-to-s3.sh
scan-before-restore.sh
for block in "$SITE"/blocks/*; do
    cp "$SITE/etc/check.toml" /etc/mailserver-backup/check.toml
    cp "$SITE/etc/config" /etc/mailserver-backup/config
    cd "$HOME"
    if ! bash -euo pipefail "$block" </dev/null >"$SITE/output" 2>&1; then
        printf 'this does not do what the document says:\n%s\n--- it said:\n%s\n' "$(cat "$block")" "$(tail -c 3000 "$SITE/output")" >&2
        exit 1
    fi
done
"#;

struct Block {
    language: String,
    text: String,
}

fn document(name: &str) -> String {
    let path = sources().with_file_name(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()))
}

/// The fenced blocks of a Markdown text.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        // Blocks of a list are indented.
        match (line.trim_start().strip_prefix("```"), is_inside) {
            (Some(language), false) => {
                blocks.push(Block {
                    language: language.to_owned(),
                    text: String::new(),
                });
                is_inside = true;
            }
            (Some(_), true) => is_inside = false,
            (None, true) => {
                let block = blocks.last_mut().expect("one was begun");
                block.text += line;
                block.text.push('\n');
            }
            (None, false) => {}
        }
    }
    assert!(!is_inside, "a block has no end");
    blocks
}

/// Runs shell texts one after the other on a host that has everything.
fn run(texts: &[String]) {
    assert!(!texts.is_empty());
    let s3 = S3Server::moto();
    s3.make_locked_bucket(BUCKET);
    let users = UserApi::start(Lists::Array);
    users.put_user(1, "old@old.example");
    let host = Host::new(80);
    let site = host.server.dir();
    let prefix = site.join("prefix");
    let bin = binary("mail-backup");
    let bin = bin.parent().expect("a program lies in a directory");
    let mut install = Command::new(sources().join("install"));
    ended_with(
        install
            .arg("--prefix")
            .arg(&prefix)
            .arg("--bin-dir")
            .arg(bin),
        0,
    );
    write_settings(&host);
    let directory = site.join("blocks");
    fs::create_dir(&directory).expect("a directory can be made");
    for (number, text) in texts.iter().enumerate() {
        fs::write(directory.join(format!("{number:03}")), text).expect("it can be written");
    }
    let mut bash = host.bash(NAMESPACE);
    let path = format!(
        "{0}/bin:{0}/sbin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        prefix.display()
    );
    bash.env("PATH", path)
        .env_remove("S3_CONFIG_FILE")
        .env("SITE", site)
        .env("MAIL", host.server.mail());
    bash.env("S3_BUCKET", BUCKET)
        .env("S3_PREFIX", "mailserver")
        // Without it the bill of a store of one's own is unknown, which is a finding.
        .env("S3_PRICES", "STANDARD=0")
        .env("COMPOSE", "none")
        .env("USERMGMT_URL", users.url())
        .envs(s3.environment());
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--mount", "--propagation", "private", "--"])
        .arg(bash.get_program())
        .args(bash.get_args());
    unshare
        .env_clear()
        .current_dir(site)
        .stdin(std::process::Stdio::null());
    for (name, value) in bash.get_envs() {
        if let Some(value) = value {
            unshare.env(name, value);
        }
    }
    let output = unshare.output().expect("unshare starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The configuration, but for the backup root, which is where the documents say; and the file of
/// checks.
fn write_settings(host: &Host) {
    let config = fs::read_to_string(host.config()).expect("it was written");
    let kept: String = config
        .lines()
        .filter(|line| !line.starts_with("BACKUP_ROOT="))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(host.config(), kept).expect("it can be written");
    let checks = "[scans]\nrecords = \"/var/log/mailserver/scan.jsonl\"\n[s3]\nrecords = [\"/var/log/mailserver/push.jsonl\"]\nask = true\n";
    fs::write(checks_of(host), checks).expect("it can be written");
}

fn checks_of(host: &Host) -> PathBuf {
    Path::new(&host.config()).with_file_name("check.toml")
}

#[test]
fn the_operating_guide_can_be_typed() {
    let text = document("OPERATIONS.md");
    let texts: Vec<String> = blocks(&text)
        .into_iter()
        .filter(|block| block.language == "sh")
        .map(|block| block.text)
        .collect();
    assert!(
        texts.len() >= 8,
        "the guide has {} blocks that are run",
        texts.len()
    );
    run(&texts);
}

/// Mail of yesterday and of today, when it was destroyed, and a copy that was fetched: what the
/// guide's `console` blocks are about.
const DESTROYED: &str = r#"
cd /mnt/backup-hdd/mailserver
mail-s3sync pull --latest --to /srv/restore >/dev/null
rm -r "daily/$(date +%F)"
mail-backup --date "$(date -d yesterday +%F)" >/dev/null
find "$MAIL" -path '*/cur/*' -type f | sort | head -n 25 | while read -r message; do
    head -c 500 /dev/urandom >"$message"
done
mail-backup >/dev/null
grep -q spoiled HOLD
"#;

/// What is true when all of it has been typed. A whole restore has put another directory in the
/// place of `$MAIL`.
const BROUGHT_BACK: &str = r#"
! grep -qs . /mnt/backup-hdd/mailserver/HOLD
cd /srv/by-hand 2>/dev/null || { mkdir /srv/by-hand; cd /srv/by-hand; }
mail-restore --from "daily/$(date -d yesterday +%F)" --component mailboxes --to /srv/by-hand >/dev/null
(cd /srv/by-hand/mailboxes && find . -path '*/cur/*' -type f -size +0 | sort) >/srv/saved
test -s /srv/saved
while read -r message; do cmp "/srv/by-hand/mailboxes/$message" "$MAIL/$message"; done </srv/saved
"#;

/// What a `console` block says, with the days of this test for those of the guide. A check that
/// is not well is no failure of the guide: on that day it is expected.
fn typed(block: &str) -> String {
    let dated = block
        .replace("2026-11-23", "$(date -d yesterday +%F)")
        .replace("2026-11-27", "$(date -d yesterday +%F)")
        .replace("2026-11-28", "$(date +%F)")
        .replace(
            "/opt/onprem-infra-system/project-root-infra/services/mailserver",
            "/srv/mailserver",
        );
    let lines = dated.lines().map(|line| {
        let (command, comment) = line.split_once("  #").unwrap_or((line, ""));
        if command.trim_start().starts_with("mail-check ") {
            format!("{command} || [ $? -le 3 ] #{comment}\n")
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

/// All of them but those that need containers or other machines; what accepts an alarm comes last.
#[test]
fn what_the_guide_says_for_the_day_when_mail_was_destroyed_can_be_typed() {
    let text = document("OPERATIONS.md");
    let needs_others = ["compose", "ssh ", "--diagnose"];
    let blocks = blocks(&text).into_iter();
    let blocks = blocks.filter(|block| block.language == "console");
    let texts = blocks
        .map(|block| block.text)
        .filter(|text| !needs_others.iter().any(|word| text.contains(word)));
    let (accepting, others): (Vec<_>, Vec<_>) = texts.partition(|text| text.contains("--accept"));
    assert!(accepting.len() == 1 && others.len() >= 5, "{others:#?}");
    let typed = others.iter().chain(&accepting).map(|text| typed(text));
    let first = [DESTROYED.to_owned()].into_iter();
    let all = first.chain(typed).chain([BROUGHT_BACK.to_owned()]);
    run(&all.collect::<Vec<_>>());
}

/// A line of a tool into another program, in any `sh` block; what stands for the reader's own names
/// is given the test's.
#[test]
fn the_pipelines_of_the_other_documents_run() {
    let mut texts = Vec::new();
    for name in [
        "README.md",
        "docs/mail-backup.md",
        "docs/mail-restore.md",
        "docs/mail-scan.md",
        "docs/mail-s3sync.md",
        "mail-check/README.md",
    ] {
        let text = document(name);
        for block in blocks(&text).iter().filter(|block| block.language == "sh") {
            let lines = block
                .text
                .lines()
                .filter(|line| line.starts_with("mail-") && line.contains(" | "));
            texts.extend(lines.map(|line| {
                let line = line
                    .replace("s3://bucket/mail", "s3://documents/mailserver")
                    .replace(" --notify", "");
                format!("SET=$(readlink -f /mnt/backup-hdd/mailserver/latest)\n{line}\n")
            }));
        }
    }
    assert!(texts.len() >= 5, "{texts:?}");
    run(&texts);
}
