//! `push -`: the set that records on standard input name.

use std::fs;

use crate::support::{DAY_1, SampleRoot, tree};
use serde_json::{Value, json};

const FILES: [(&str, &[u8]); 2] = [
    ("mysql/a.sql.zst", b"tables"),
    ("dkim/dkim.tar.zst", b"keys"),
];

/// The records of mail-backup, with one of a type that is not known, and a verdict of each file.
fn stream(root: &SampleRoot, verdicts: [&str; 2]) -> String {
    let set = root.make_daily(DAY_1, &FILES);
    let manifest = fs::read_to_string(set.join("manifest.jsonl")).unwrap();
    let artifacts: Vec<Value> = manifest
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|record| record["type"] == "artifact")
        .collect();
    let mut lines: Vec<String> = manifest.lines().map(str::to_owned).collect();
    lines.insert(1, r#"{"type":"future",  "data": 1.50 }"#.to_owned());
    lines.push(
        r#"{"type":"begin","data":{"v":1,"tool":"mail-scan","version":"0","host":"mx","time":"t","args":[]}}"#.into(),
    );
    for (artifact, status) in artifacts.iter().zip(verdicts) {
        let file = &artifact["data"];
        let verdict = json!({"type": "verdict", "data": {
            "root": file["root"], "set": file["set"], "path": file["path"],
            "sha256": file["sha256"], "status": status, "engine": "clamd"}});
        lines.push(verdict.to_string());
    }
    lines.push(
        json!({"type": "end", "data": {
        "tool": "mail-scan", "status": "ok", "exit": 0, "seconds": 1.0, "totals": {}}})
        .to_string(),
    );
    lines.join("\n") + "\n"
}

#[test]
fn every_line_is_passed_on_untouched_and_the_set_is_pushed() {
    let root = SampleRoot::new();
    let input = stream(&root, ["clean", "infected"]);
    let outcome = root
        .tool()
        .args(["push", "-", "--to", &root.file_url()])
        .stdin(input.clone())
        .run()
        .assert_code(0);
    let passed: Vec<String> = outcome
        .text()
        .lines()
        .skip(1)
        .take(input.lines().count())
        .map(str::to_owned)
        .collect();
    assert_eq!(passed.join("\n") + "\n", input);
    assert_eq!(
        tree(&root.store().join("daily").join(DAY_1)),
        tree(&root.set(&format!("daily/{DAY_1}")))
    );
    let last: Value = outcome.records().pop().unwrap();
    assert_eq!(
        (&last["data"]["tool"], &last["data"]["exit"]),
        (&json!("mail-s3sync"), &json!(0))
    );
}

#[test]
fn an_upstream_that_died_pushes_nothing() {
    let root = SampleRoot::new();
    let input = stream(&root, ["clean", "clean"]);
    let push = |input: String| {
        root.tool()
            .args(["push", "-", "--to", &root.file_url()])
            .stdin(input)
            .run()
    };
    let whole: Vec<&str> = input.lines().collect();
    for lines in [0, 1, 3, whole.len() - 1] {
        let _ = push(
            whole[..lines]
                .iter()
                .map(|line| format!("{line}\n"))
                .collect(),
        )
        .assert_code(3);
        assert_eq!(tree(&root.store()).len(), 0, "{lines} lines");
    }
    let _ = push("not json\n".to_owned()).assert_code(3);
    assert_eq!(tree(&root.store()).len(), 0);
}

#[test]
fn records_without_a_set_are_no_success() {
    let root = SampleRoot::new();
    let input = stream(&root, ["clean", "clean"]);
    let without: String = input
        .lines()
        .filter(|line| !line.contains("artifact") && !line.contains("verdict"))
        .map(|line| format!("{line}\n"))
        .collect();
    let outcome = root
        .tool()
        .args(["push", "-", "--to", &root.file_url()])
        .stdin(without)
        .run();
    let _ = outcome.assert_code(3).assert_failure("upstream");
}

#[test]
fn only_a_set_that_is_proven_clean_passes_require_clean() {
    for (verdicts, code) in [
        (["clean", "clean"], 0),
        (["infected", "clean"], 1),
        (["clean", "unscanned"], 1),
    ] {
        let root = SampleRoot::new();
        let input = stream(&root, verdicts);
        let push = |input| {
            root.tool()
                .args(["push", "-", "--require-clean", "--to", &root.file_url()])
                .stdin(input)
                .run()
        };
        let _ = push(input).assert_code(code);
        assert_eq!(tree(&root.store()).is_empty(), code != 0);
    }
    let root = SampleRoot::new();
    let input = stream(&root, ["clean", "clean"]);
    let refused = |input: String| {
        let outcome = root
            .tool()
            .args(["push", "-", "--require-clean", "--to", &root.file_url()])
            .stdin(input)
            .run()
            .assert_code(1);
        assert!(tree(&root.store()).is_empty());
        outcome.data("error")[0].clone()
    };
    let without = |dropped: usize| {
        let lines = input.lines().enumerate().filter(|(at, _)| *at != dropped);
        lines.map(|(_, line)| format!("{line}\n")).collect()
    };
    let count = input.lines().count();
    let error = refused(without(count - 2));
    assert_eq!(
        (&error["kind"], &error["path"]),
        (&json!("unscanned"), &json!(FILES[1].0))
    );
    // The last line is the end of the scan: it lost its trust in a scanner.
    let (others, end) = input.trim_end().rsplit_once('\n').unwrap();
    let unfinished = format!("{others}\n{}\n", end.replace("\"exit\":0", "\"exit\":3"));
    assert_ne!(unfinished, input);
    assert_eq!(refused(unfinished)["kind"], "unscanned");
    // A file of the set that no artifact names is pushed as well, so it has to be clean as well.
    let unnamed = |path: &str| {
        let lines = input.lines().filter(|line| !line.contains(path));
        lines.map(|line| format!("{line}\n")).collect()
    };
    assert_eq!(refused(unnamed(FILES[1].0))["path"], FILES[1].0);
}

#[test]
fn the_records_of_a_scan_name_the_set_where_nothing_was_saved() {
    let root = SampleRoot::new();
    let input = stream(&root, ["clean", "clean"]);
    let scan: String = input
        .lines()
        .filter(|line| !line.contains("artifact"))
        .map(|line| format!("{line}\n"))
        .collect();
    let push = |input| {
        root.tool()
            .args(["push", "-", "--require-clean", "--to", &root.file_url()])
            .stdin(input)
            .run()
    };
    let _ = push(scan).assert_code(0);
    assert!(!tree(&root.store()).is_empty());
}
