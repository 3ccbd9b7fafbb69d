//! `--prometheus`, read by the parser of Prometheus' own client.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use mail_tests::run::Tool;

use super::support::{Disk, Machine};

/// Prints `name labels value` for each sample.
const PARSER: &str = "
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(open(sys.argv[1]).read()):
    assert family.documentation and family.type == 'gauge', family
    for sample in family.samples:
        print(sample.name, sorted(sample.labels.items()), sample.value)
";

#[test]
fn the_file_is_what_prometheus_reads_and_is_replaced_whole() {
    let machine = Machine::new("");
    let file = machine.put("mail.prom", "old\n");
    let inode = fs::metadata(&file).unwrap();
    let _ = machine
        .tool(Disk::Warning)
        .arg("--prometheus")
        .arg(&file)
        .run()
        .assert_code(1);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o644
    );
    assert_ne!(
        std::os::unix::fs::MetadataExt::ino(&inode),
        std::os::unix::fs::MetadataExt::ino(&fs::metadata(&file).unwrap())
    );
    let parsed = Command::new("/usr/bin/python3")
        .args(["-c", PARSER])
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        parsed.status.success(),
        "{}",
        String::from_utf8_lossy(&parsed.stderr)
    );
    let samples = String::from_utf8(parsed.stdout).unwrap();
    for expected in [
        "mail_check_status [('check', 'disk'), ('target', '/')] 1.0",
        "mail_check_status [('check', 'inodes'), ('target', '/')] 0.0",
        "mail_check_warning_limit [('check', 'disk'), ('target', '/'), ('unit', 'percent')] 0.0",
        "mail_check_worst [('checks', 'resources')] 1.0",
    ] {
        assert!(
            samples.lines().any(|line| line == expected),
            "no {expected:?} in\n{samples}"
        );
    }
    for name in [
        "mail_check_value",
        "mail_check_last_run_timestamp_seconds",
        "mail_check_duration_seconds",
    ] {
        assert!(
            samples.lines().any(|line| line.starts_with(name)),
            "no {name} in\n{samples}"
        );
    }
}

/// Names that the format has its own words for, as targets of a failed look.
#[test]
fn promtool_accepts_the_metrics_also_those_of_odd_names() {
    let machine = Machine::new("");
    let file = machine.path("mail.prom");
    let certificates = r#"[tls]
files = ['/absent/a"b\c', "/absent/new\nline", "/absent/\u00fc{x}", "/absent/ blank "]
"#;
    let checks = machine.put("tls.toml", certificates);
    let _ = Tool::new("mail-check")
        .arg("tls")
        .arg("--checks")
        .arg(checks)
        .arg("--state")
        .arg(machine.path("state"))
        .arg("--prometheus")
        .arg(&file)
        .run()
        .assert_code(3);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(r#"target="/absent/a\"b\\c""#), "{text}");
    let checked = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(fs::File::open(&file).unwrap())
        .output()
        .expect("promtool comes with the package prometheus");
    // It exits with 3 for what only its lints object to.
    assert!(checked.status.success(), "{checked:?}\n{text}");
    assert!(checked.stderr.is_empty(), "{checked:?}\n{text}");
}

/// Rules and dashboard, as files of the repository.
fn monitoring(name: &str) -> std::path::PathBuf {
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/monitoring");
    std::path::Path::new(scripts).join(name)
}

#[track_caller]
fn promtool(arguments: &[&str], file: &std::path::Path) {
    let ran = Command::new("promtool").args(arguments).arg(file).output();
    let ran = ran.expect("promtool comes with the package prometheus");
    assert!(ran.status.success(), "{ran:?}");
}

/// Every expression of the dashboard.
fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            let own = fields.get("expr").and_then(serde_json::Value::as_str);
            found.extend(own.map(str::to_owned));
            fields.values().for_each(|value| expressions(value, found));
        }
        serde_json::Value::Array(values) => {
            values.iter().for_each(|value| expressions(value, found));
        }
        _ => {}
    }
}

#[test]
fn alert_rules_and_dashboard_ask_for_metrics_that_there_are() {
    let rules = monitoring("mail-check.rules.yml");
    promtool(&["check", "rules"], &rules);
    promtool(&["test", "rules"], &monitoring("mail-check.test.yml"));

    let dashboard = fs::read_to_string(monitoring("mail-check.dashboard.json")).unwrap();
    let mut asked = Vec::new();
    expressions(&serde_json::from_str(&dashboard).unwrap(), &mut asked);
    assert!(asked.len() > 5, "{asked:?}");
    let machine = Machine::new("");
    let record = |(number, expression): (usize, &String)| {
        let expression = serde_json::to_string(&expression.replace("$instance", ".*")).unwrap();
        format!("  - record: asked{number}\n    expr: {expression}\n")
    };
    let records: String = asked.iter().enumerate().map(record).collect();
    let records = format!("groups:\n- name: dashboard\n  rules:\n{records}");
    promtool(&["check", "rules"], &machine.put("asked.yml", &records));

    let file = machine.path("mail.prom");
    let _ = machine.tool(Disk::Ok).arg("--prometheus").arg(&file).run();
    let written = fs::read_to_string(file).unwrap();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let text = fs::read_to_string(rules).unwrap() + &asked.join("\n");
    for name in text
        .split(|c| !is_word(c))
        .filter(|word| word.starts_with("mail_check_"))
    {
        let line = format!("# TYPE {name} gauge\n");
        assert!(written.contains(&line), "{name} is not in\n{written}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_critical_and_stays() {
    let machine = Machine::new("");
    let file = machine.path("absent").join("mail.prom");
    let run = machine
        .tool(Disk::Ok)
        .arg("--prometheus")
        .arg(&file)
        .run()
        .assert_code(2)
        .assert_stderr("write metrics to");
    assert!(
        run.data("check")
            .iter()
            .any(|check| check["name"] == "prometheus" && check["status"] == "critical")
    );
}
