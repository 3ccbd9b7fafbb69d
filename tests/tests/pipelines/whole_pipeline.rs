//! The tools in one pipeline, with a real clamd, a store and a disaster: records pass on, and no
//! tool says better than the one before it did.
#![expect(
    clippy::disallowed_methods,
    reason = "mail that is planted is not a stored file"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use mail_tests::clamd::{Clamd, eicar};
use mail_tests::maildir::TreePlan;
use mail_tests::mariadb::MariaDb;
use mail_tests::run::binary;
use mail_tests::schema::Schema;
use mail_tests::server::Server;
use mail_tests::tree::snapshot;
use serde_json::Value;

const MESSAGES: u64 = 400;

/// A server, a scanner, and a place for the copy.
struct Site {
    server: Server,
    database: Arc<MariaDb>,
    clamd: Clamd,
}

impl Site {
    fn new() -> Self {
        let database = Arc::new(MariaDb::start());
        database.sql("CREATE DATABASE mailserver; CREATE TABLE mailserver.users (id INT); INSERT INTO mailserver.users VALUES (7)");
        let plan = TreePlan {
            mean_bytes: 2_000,
            ..TreePlan::new(MESSAGES, 3, 91)
        };
        let server = Server::new(&plan).with_database(Arc::clone(&database));
        for place in ["offsite", "offsite-clean"] {
            // As with the backup root, a place that is not there may be one that is not mounted.
            fs::create_dir(server.dir().join(place)).expect("a directory can be made");
        }
        Self {
            server,
            database,
            clamd: Clamd::start(),
        }
    }

    fn copy(&self) -> PathBuf {
        self.server.dir().join("offsite")
    }

    /// Runs a pipeline of the tools, each by its name, in bash with pipefail.
    fn run(&self, pipeline: &str) -> Output {
        let tools = ["mail-backup", "mail-restore", "mail-scan", "mail-s3sync"].map(binary);
        let directory = tools[0].parent().expect("a program lies in a directory");
        let path = format!(
            "{}:{}",
            directory.display(),
            std::env::var("PATH").expect("there is a search path")
        );
        let mut bash = Command::new("bash");
        bash.args(["-o", "pipefail", "-c", pipeline])
            .env_clear()
            .envs(self.server.settings())
            .env("PATH", path);
        bash.env("HOME", self.server.dir())
            .env("CLAMD_ADDRESS", self.clamd.unix())
            .env("COPY", self.copy());
        bash.stdin(Stdio::null()).output().expect("bash runs")
    }

    fn plant(&self, name: &str) {
        fs::write(
            self.server.mail().join("example.com/alice/cur").join(name),
            eicar(),
        )
        .expect("a message can be written");
    }
}

#[track_caller]
fn records(output: &Output, code: i32) -> Vec<Value> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    let text = String::from_utf8_lossy(&output.stdout);
    let records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a record is JSON"))
        .collect();
    Schema::open().assert_valid(&records);
    records
}

fn of<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records
        .iter()
        .filter(|record| record["type"] == kind)
        .map(|record| &record["data"])
        .collect()
}

fn tools(records: &[Value], kind: &str) -> Vec<String> {
    of(records, kind)
        .iter()
        .map(|data| data["tool"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn a_clean_day_is_saved_scanned_copied_lost_and_brought_back() {
    let site = Site::new();
    let before = snapshot(&site.server.mail()).without_temporary();
    let output = site
        .run("mail-backup --daily -q | mail-scan - -q | mail-s3sync push - --to file://$COPY -q");
    let printed = records(&output, 0);
    let mut ended = tools(&printed, "end");
    ended.sort();
    assert_eq!(ended, ["mail-backup", "mail-s3sync", "mail-scan"]);
    let artifacts = of(&printed, "artifact").len();
    let whole = of(&printed, "verdict")
        .into_iter()
        .filter(|verdict| verdict.get("member").is_none());
    assert_eq!(
        whole.filter(|verdict| verdict["status"] == "clean").count(),
        artifacts
    );
    assert!(of(&printed, "transfer").len() >= artifacts);

    // The machine is lost, and its backup disk too.
    fs::remove_dir_all(site.server.mail()).expect("mail can be lost");
    site.database.sql("DROP DATABASE mailserver");
    fs::remove_dir_all(site.server.root()).expect("a disk can be lost");
    fs::create_dir(site.server.root()).expect("a new disk can be had");
    let back = site.run(
        "set=$HOME/back && mkdir \"$set\" && mail-s3sync pull --latest --from file://$COPY --to \"$set\" -q >/dev/null && \
         mail-scan \"$set\" -q | mail-restore --from \"$set\" --require-scan - -q",
    );
    let printed = records(&back, 0);
    assert!(!of(&printed, "restored").is_empty());
    before.assert_same(&snapshot(&site.server.mail()));
    assert_eq!(
        site.database.sql("SELECT id FROM mailserver.users").trim(),
        "7"
    );
}

#[test]
fn one_infected_message_is_named_held_back_and_not_restored() {
    let site = Site::new();
    let name = "1763900000.M7P7.mx,S=68:2,S";
    site.plant(name);
    let _ = records(&site.run("mail-backup --daily -q"), 0);
    let scan = site.run("mail-scan latest -q");
    let printed = records(&scan, 1);
    let infected: Vec<&Value> = of(&printed, "verdict")
        .into_iter()
        .filter(|verdict| verdict["status"] == "infected")
        .collect();
    let member = infected
        .iter()
        .find_map(|verdict| verdict["member"].as_str())
        .expect("the message is named");
    assert_eq!(
        Path::new(member).file_name().and_then(|name| name.to_str()),
        Some(name)
    );

    let before = snapshot(&site.server.mail());
    let refused = site.run(
        "mail-scan latest -q | mail-restore --from latest --component mail --require-scan - -q",
    );
    let refused = records(&refused, 3);
    assert_eq!(of(&refused, "error")[0]["kind"], "infected");
    before.assert_same(&snapshot(&site.server.mail()));

    // It is still the backup, and leaves the house; unless only what is clean may.
    let manifest = "mail-scan - -q <\"$BACKUP_ROOT/latest/manifest.jsonl\"";
    let pushed = site.run(&format!(
        "{manifest} | mail-s3sync push - --to file://$COPY -q"
    ));
    assert_eq!(
        pushed.status.code(),
        Some(1),
        "a find is no success: {}",
        String::from_utf8_lossy(&pushed.stderr)
    );
    assert!(site.copy().join("daily").exists());
    let held = site.run(&format!(
        "{manifest} | mail-s3sync push - --require-clean --to file://$COPY-clean -q"
    ));
    assert_ne!(held.status.code(), Some(0));
    assert!(
        !site
            .copy()
            .with_file_name("offsite-clean")
            .join("daily")
            .exists()
    );
}

#[test]
fn what_died_in_the_middle_is_not_taken_for_whole() {
    let site = Site::new();
    let _ = records(&site.run("mail-backup --daily -q"), 0);
    let before = snapshot(&site.server.mail());
    // The scanner's records are cut before their end.
    let cut = site
        .run("mail-scan latest -q | head -n -1 | mail-restore --from latest --require-scan - -q");
    assert_eq!(cut.status.code(), Some(3));
    let pushed =
        site.run("mail-backup --daily -q | head -n -1 | mail-s3sync push - --to file://$COPY -q");
    assert_eq!(pushed.status.code(), Some(3));
    assert!(!site.copy().join("daily").exists());
    before.assert_same(&snapshot(&site.server.mail()));
}
