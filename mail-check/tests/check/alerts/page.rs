//! `--report`, opened by a browser: what a reader sees, and that nothing runs and nothing is
//! loaded.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use mail_tests::maildir::TreePlan;
use mail_tests::run::Tool;
use mail_tests::server::Server;

use super::http::{Answer, Web};
use super::support::{Disk, Machine};

/// What the browser made of the page, and what it said while it did.
fn opened(page: &Path) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--dump-dom",
        ])
        .args(["--enable-logging=stderr", "--v=0", "--timeout=20000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()))
        .env("HOME", profile.path())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

/// A page of a machine with these records of a scan and of a copy.
fn page(machine: &Machine, root: &Path, scans: &str, s3: &str) -> std::path::PathBuf {
    let (scans, s3) = (
        machine.put("scan.jsonl", scans),
        machine.put("s3.jsonl", s3),
    );
    let text = format!("[scans]\nrecords = {scans:?}\n[s3]\nrecords = [{s3:?}]\n");
    let file = machine.put("report.html", "old");
    let tool = machine
        .tool(Disk::Warning)
        .arg("--report")
        .arg(&file)
        .arg("--root")
        .arg(root);
    let checks = machine.path("check.toml");
    fs::write(
        &checks,
        format!("{}{text}", fs::read_to_string(&checks).unwrap()),
    )
    .unwrap();
    let _ = tool.run().assert_code(1);
    file
}

fn begin(tool: &str, args: &str) -> String {
    format!(
        r#"{{"type":"begin","data":{{"v":1,"tool":"{tool}","version":"0.1.0","host":"mx","time":"2026-11-25T05:00:00+00:00","args":[{args}]}}}}"#
    )
}

fn end(tool: &str, status: &str, exit: u8) -> String {
    format!(
        r#"{{"type":"end","data":{{"tool":"{tool}","status":"{status}","exit":{exit},"seconds":61.5,"totals":{{}}}}}}"#
    )
}

#[test]
fn a_browser_shows_the_checks_and_the_backups_and_has_nothing_to_complain_of() {
    let server = Server::new(&TreePlan {
        mean_bytes: 3_000,
        ..TreePlan::new(40, 3, 5)
    });
    let components = ["mailboxes", "config", "ssl", "dkim"]
        .iter()
        .flat_map(|name| ["--component", name]);
    let _ = server
        .backup()
        .args(["--daily"])
        .args(components)
        .run()
        .assert_code(0);
    let scans = [
        begin("mail-scan", ""),
        r#"{"type":"verdict","data":{"path":"a","status":"clean","engine":"x"}}"#.to_owned(),
        r#"{"type":"verdict","data":{"path":"b","status":"unscanned","reason":"too large","engine":"x"}}"#.to_owned(),
        end("mail-scan", "bad", 1),
    ];
    let s3 = [
        begin("mail-s3sync", "\"push\""),
        format!(
            r#"{{"type":"transfer","data":{{"set":"daily/2026-11-25","path":"a","bytes":2500000,"sha256":"{}","url":"s3://b/a","action":"uploaded"}}}}"#,
            "0".repeat(64)
        ),
        end("mail-s3sync", "ok", 0),
        begin("mail-s3sync", "\"usage\""),
        r#"{"type":"usage","data":{"url":"s3://b","objects":9,"bytes":2500000000,"monthly_usd":1.234,"by_storage_class":{}}}"#.to_owned(),
        end("mail-s3sync", "ok", 0),
    ];
    let machine = Machine::new("");
    let file = page(
        &machine,
        &server.root(),
        &format!("{}\n", scans.join("\n")),
        &format!("{}\n", s3.join("\n")),
    );
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o640
    );
    let (dom, said) = opened(&file);
    assert!(!said.contains("CONSOLE"), "{said}");
    for part in [
        "<th scope=\"rowgroup\" rowspan=\"1\">disk</th>",
        ">WARNING</span>",
        "NOT ALL SCANNED",
        "too large",
        "1.23 USD a month for 2.3 GiB in s3://b",
        "1 uploaded",
        ">WHOLE</span>",
        "1 min 2 s",
    ] {
        assert!(dom.contains(part), "no {part:?} in\n{dom}");
    }
    // Of thirty days all but one have no set.
    assert_eq!(dom.matches(">MISSING</span>").count(), 29);
    assert_eq!(dom.matches("<path class=\"miss\"").count(), 2 * 29);
    // The worst is first.
    assert!(dom.find(">disk</th>").unwrap() < dom.find(">cpu</th>").unwrap());
}

#[test]
fn a_hostile_subject_neither_runs_nor_loads() {
    let web = Web::start(Answer::Status(200));
    let url = web.url("http", "/stolen");
    let hostile = format!(
        "<script>document.title='owned';fetch('{url}')</script><img src='{url}' onerror='document.title=1'>"
    );
    let verdict = serde_json::json!({ "type": "verdict", "data": {
        "path": hostile, "member": "\"><style>*{background:url(x)}</style>", "status": "infected", "signature": "Eicar",
        "subject": hostile, "engine": "x" } });
    let scans = format!(
        "{}\n{verdict}\n{}\n",
        begin("mail-scan", ""),
        end("mail-scan", "bad", 1)
    );
    let machine = Machine::new("");
    let file = page(&machine, &machine.path("absent"), &scans, "");
    let (dom, said) = opened(&file);
    assert!(
        dom.contains("&lt;script&gt;document.title")
            && !dom.contains("<script")
            && !dom.contains("<img"),
        "{dom}"
    );
    assert!(
        !dom.contains("<title>owned") && !said.contains("CONSOLE"),
        "{said}"
    );
    assert!(web.kept.take().is_empty());
}

#[test]
fn the_frame_of_the_page_is_in_the_language_of_the_environment() {
    let machine = Machine::new("");
    let page_in = |name: &str, value: &str| {
        let file = machine.put("report.html", "old");
        let tool = machine.tool(Disk::Warning).arg("--report").arg(&file);
        let _ = tool.env("LC_ALL", "").env(name, value).run().assert_code(1);
        fs::read_to_string(file).unwrap()
    };
    let japanese = page_in("LANG", "ja_JP.UTF-8");
    for part in [
        "<html lang=\"ja\">",
        ">警告</span>",
        "<h2>バックアップ(30 日間)</h2>",
    ] {
        assert!(japanese.contains(part), "no {part:?} in\n{japanese}");
    }
    for (name, value) in [("LANG", "C"), ("LANG", "en_US.UTF-8"), ("LC_MESSAGES", "C")] {
        let english = page_in(name, value);
        assert!(
            english.contains("<html lang=\"en\">") && english.is_ascii(),
            "{name}={value}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_reported_and_the_rest_is_there() {
    let machine = Machine::new("");
    let scans = format!("{}\nno record\n", begin("mail-scan", ""));
    let text = fs::read_to_string(page(&machine, &machine.path("absent"), &scans, "")).unwrap();
    for part in [
        "NOT ENDED",
        "scan.jsonl: what follows is not shown: read records line 2",
        "absent",
        ">disk</th>",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(
        !text.contains("http://") && !text.contains("https://"),
        "{text}"
    );
}

#[test]
fn a_page_that_cannot_be_written_is_critical() {
    let machine = Machine::new("");
    let tool: Tool = machine
        .tool(Disk::Ok)
        .arg("--report")
        .arg(machine.path("absent/report.html"));
    let run = tool.run().assert_code(2).assert_stderr("write the page");
    assert!(
        run.data("check")
            .iter()
            .any(|check| check["name"] == "report" && check["status"] == "critical")
    );
}
