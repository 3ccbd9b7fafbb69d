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
