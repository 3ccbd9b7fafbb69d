//! The records of another tool: passed on untouched, and what they name is scanned.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use mail_tests::clamd::Clamd;
use mail_tests::run::{Outcome, binary};
use mail_tests::server::Server;
use serde_json::Value;

use crate::support::{DAY, backed_up, infected_mail, put, shell, some_message, tool};

const END: &str = r#""status":"ok","exit":0"#;

fn manifest(server: &Server) -> String {
    fs::read_to_string(server.daily(DAY).join("manifest.jsonl")).unwrap()
}

fn scan(clamd: &Clamd, records: &str) -> Outcome {
    tool(&[&clamd.unix()])
        .args(["--no-cache", "-"])
        .stdin(records)
        .run()
}

fn whole(outcome: &Outcome) -> Vec<Value> {
    outcome
        .data("verdict")
        .into_iter()
        .filter(|verdict| verdict["member"].is_null())
        .collect()
}

#[test]
fn records_are_passed_on_untouched_and_what_they_name_is_scanned() {
    let (clamd, server) = (Clamd::start(), backed_up(40, |_| {}));
    let odd = "{ \"type\": \"of later\", \"data\": {\"n\": 1.0}}\n";
    let records =
        manifest(&server).replace("{\"type\":\"end\"", &format!("{odd}{{\"type\":\"end\""));
    let outcome = scan(&clamd, &records).assert_code(0);
    let output = outcome.text();
    let (begin, rest) = output.split_once('\n').unwrap();
    assert!(begin.contains("\"tool\":\"mail-scan\""));
    assert!(rest.starts_with(&records), "{output}");
    let artifacts: Vec<&str> = records
        .lines()
        .filter(|line| line.contains("\"type\":\"artifact\""))
        .collect();
    let verdicts = whole(&outcome);
    assert_eq!(verdicts.len(), artifacts.len());
    for verdict in &verdicts {
        let named = format!("\"path\":{},\"bytes\"", verdict["path"]);
        let artifact = artifacts.iter().find(|line| line.contains(&named)).unwrap();
        assert!(
            artifact.contains(verdict["sha256"].as_str().unwrap()),
            "{verdict}"
        );
        assert_eq!(
            (verdict["root"].as_str(), verdict["status"].as_str()),
            (server.root().to_str(), Some("clean"))
        );
    }
}

#[test]
fn an_upstream_that_died_is_no_success() {
    let (clamd, server) = (Clamd::start(), backed_up(10, |_| {}));
    let records = manifest(&server);
    let cut = &records[..records.rfind("{\"type\":\"end\"").unwrap()];
    let outcome = scan(&clamd, cut).assert_code(3).assert_failure("upstream");
    assert_eq!(
        whole(&outcome).len(),
        cut.lines()
            .filter(|line| line.contains("\"artifact\""))
            .count()
    );
    for (input, message) in [
        ("", "no `begin` record"),
        ("nonsense\n", "read records line 1"),
    ] {
        let _ = scan(&clamd, input)
            .assert_code(3)
            .assert_failure("upstream")
            .assert_stderr(message);
    }
}

#[test]
fn a_run_ends_no_better_than_its_upstream() {
    let (clamd, server) = (Clamd::start(), backed_up(10, |_| {}));
    assert!(manifest(&server).contains(END));
    for (code, expected) in [(1, 1), (2, 3), (3, 3)] {
        let records =
            manifest(&server).replace(END, &format!("\"status\":\"incomplete\",\"exit\":{code}"));
        let outcome = scan(&clamd, &records)
            .assert_code(expected)
            .assert_failure("upstream");
        assert!(
            whole(&outcome)
                .iter()
                .all(|verdict| verdict["status"] == "clean")
        );
        assert_eq!(outcome.data("end").pop().unwrap()["status"], "incomplete");
    }
}

#[test]
fn records_that_name_nothing_are_not_clean() {
    let (clamd, server) = (Clamd::start(), backed_up(10, |_| {}));
    let records = manifest(&server);
    let bare: String = records
        .lines()
        .filter(|line| !line.contains("\"artifact\""))
        .map(|line| format!("{line}\n"))
        .collect();
    let _ = scan(&clamd, &bare)
        .assert_code(3)
        .assert_failure("upstream");
}

#[test]
fn records_do_not_lead_out_of_the_set() {
    let (clamd, server) = (Clamd::start(), backed_up(10, |_| {}));
    let records = manifest(&server);
    put(&server.root().join("outside"), "outside");
    for (from, to, reason) in [
        (
            "\"path\":\"config/env\"",
            "\"path\":\"../../outside\"",
            "`..`",
        ),
        (
            &*format!("\"set\":\"daily/{DAY}\",\"component\""),
            "\"set\":\"../backup\",\"component\"",
            "`..`",
        ),
        (
            &*format!("\"root\":\"{}\",\"set\"", server.root().display()),
            "\"root\":\"backup\",\"set\"",
            "not an absolute path",
        ),
    ] {
        assert!(records.contains(from), "{from}");
        let outcome = scan(&clamd, &records.replace(from, to))
            .assert_code(1)
            .assert_stderr(reason);
        assert!(
            whole(&outcome)
                .iter()
                .any(|verdict| verdict["status"] == "unscanned" && verdict["sha256"].is_null())
        );
    }
    let gone = records.replace(
        &format!("\"set\":\"daily/{DAY}\",\"component\""),
        "\"set\":\"daily/2020-01-01\",\"component\"",
    );
    let outcome = scan(&clamd, &gone).assert_code(1).assert_failure("no_such");
    assert!(
        whole(&outcome)
            .iter()
            .all(|verdict| verdict["status"] == "unscanned")
    );
}

#[test]
fn a_pipeline_finds_what_was_just_saved() {
    let (clamd, server) = (Clamd::start(), backed_up(30, |_| {}));
    put(&some_message(&server.mail()), infected_mail());
    let script = r#"set -o pipefail; "$0" --date 2026-11-24 --component mailboxes | "$1" --clamd "$2" --no-cache - > "$3"; echo "${PIPESTATUS[@]}""#;
    let output = server.dir().join("records");
    let mut command = Command::new("bash");
    command
        .args(["-c", script])
        .args([binary("mail-backup"), binary("mail-scan")])
        .arg(clamd.unix())
        .arg(&output);
    let result = command
        .envs(server.settings())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&result.stdout),
        "0 1\n",
        "{}",
        String::from_utf8_lossy(&result.stderr)
    );
    let records = fs::read_to_string(&output).unwrap();
    assert_eq!(
        records.matches("\"status\":\"infected\"").count(),
        2,
        "{records}"
    );
    let set = format!(
        "\"root\":\"{}\",\"set\":\"daily/2026-11-24\"",
        server.root().display()
    );
    assert!(records.contains(&set));
    // The stream goes on: a second scan reads it as well.
    shell(
        Path::new("/"),
        &format!(
            "test $(grep -c '\"type\":\"end\"' {}) = 2",
            output.display()
        ),
    );
}
