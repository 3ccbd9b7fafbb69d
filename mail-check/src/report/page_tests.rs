use jiff::civil::date;
use jiff::{ToSpan, ZonedDateTime};
use mail_common::manifest::DayRecords;
use mail_common::record::{Alarm, AlarmLevel, MessageChanges, StoredSet, Usage, Verdict};
use mail_common::relpath::PathField;

use super::*;
use crate::limits::Ceiling;
use crate::report::history::{MailChanges, Run};
use crate::report::streams::Push;

const GB: u64 = 1_000_000_000;

fn findings() -> Vec<Finding> {
    let disk = Ceiling::new(70.0, 95.0);
    vec![
        Finding::ok(
            "cpu",
            "machine",
            "the processors were busy 23 % of the last 5 min",
        )
        .under(23.0, "percent", Ceiling::new(80.0, 95.0)),
        Finding::ok("memory", "machine", "61 % of 15.6 GiB memory is used").under(
            61.0,
            "percent",
            Ceiling::new(80.0, 95.0),
        ),
        Finding::ok("disk", "/", "41 % of the space is used, 118 GiB are left")
            .under(41.2, "percent", disk),
        Finding::ok(
            "disk",
            "/mnt/backup-hdd",
            "83 % of the space is used, 310 GiB are left; lower DAILY_RETENTION_DAYS or add a disk",
        )
        .under(83.4, "percent", disk),
        Finding::critical(
            "imaps",
            "imaps://mx.example.com:993",
            "connection refused; see docker compose ps dovecot",
        ),
        Finding::ok(
            "submission",
            "smtp://mx.example.com:587",
            "banner, STARTTLS and AUTH are there",
        )
        .measured(0.04, "seconds"),
        Finding::ok("container", "postfix", "running and healthy for 12 d"),
        Finding::critical(
            "container",
            "dovecot",
            "exited 6 min ago with code 75: no space left on device; docker compose logs dovecot",
        ),
        Finding::ok("container", "mariadb", "running and healthy for 12 d"),
        Finding::ok("container", "rspamd", "running and healthy for 12 d"),
        Finding::unknown(
            "time-sync",
            "clock",
            "neither chronyc, timedatectl nor adjtimex says whether the clock is kept; install one",
        ),
        Finding::ok("certificate", "mx.example.com", "valid until 2027-01-22")
            .measured(58.0, "days"),
        Finding::ok("backup", "daily/2026-11-25", "complete, 5 h old").measured(5.0, "hours"),
    ]
}

/// The last day but one is that of an alarm; earlier versions had counted nothing.
fn changes_of(ago: u64) -> MailChanges {
    let is_bad = ago == 0;
    let alarm = Alarm {
        level: AlarmLevel::Alarm,
        rule: "spoiled".to_owned(),
        set: "daily/2026-11-25".to_owned(),
        time: "2026-11-25T03:00:00+09:00".to_owned(),
        message: "900 messages have <other> content".to_owned(),
        component: None,
        mailboxes: Vec::new(),
    };
    MailChanges {
        messages: MessageChanges {
            before: 60_000,
            new: 400 + ago * 37 % 90,
            vanished: 100 + ago * 53 % 70,
            replaced: if is_bad { 900 } else { 0 },
            spoiled: if is_bad { 900 } else { 0 },
            ..MessageChanges::default()
        },
        alarms: if is_bad { vec![alarm] } else { Vec::new() },
    }
}

/// Thirty days until 2026-11-25: one without a set, one in which a part failed.
fn history() -> History {
    let day = |ago: u64| {
        let date = date(2026, 11, 25).saturating_sub((ago as i64).days());
        let is_full = ago % 7 == 3;
        let total_bytes = 9 * GB + (29 - ago) * GB / 12;
        let new_bytes = if is_full {
            total_bytes
        } else {
            GB / 5 + ago * 7919 % 11 * GB / 25
        };
        let seconds = if is_full {
            205.0
        } else {
            18.0 + (ago * 31 % 13) as f64 * 2.5
        };
        let run = Run {
            seconds,
            total_bytes,
            new_bytes,
            components: vec!["mailboxes", "mysql", "config", "ssl", "dkim"],
            day: DayRecords::default(),
        };
        let is_failed = ago == 17;
        let set = Backup {
            name: format!("daily/{date}{}", if is_failed { ".incomplete" } else { "" }),
            kind: SetKind::Daily,
            state: if is_failed {
                SetState::Incomplete
            } else {
                SetState::Complete
            },
            run: Some(run),
            problem: is_failed.then(|| "connect to the database server".to_owned()),
        };
        Day {
            date,
            sets: if ago == 9 { Vec::new() } else { vec![set] },
            changes: (ago < 20).then(|| changes_of(ago)),
        }
    };
    History {
        days: (0..30).rev().map(day).collect(),
        problem: None,
    }
}

fn scan() -> RunOf<Scan> {
    let verdict = Verdict {
        root: None,
        set: None,
        path: PathField {
            path: "mailboxes/example.com/alice/0007.tar.zst".to_owned(),
            path_b64: None,
        },
        member: Some("example.com/alice/new/1795561200.M1P2.mx".to_owned()),
        member_b64: None,
        sha256: None,
        status: VerdictStatus::Infected,
        signature: Some("Win.Test.EICAR_HDB-1".to_owned()),
        reason: None,
        message_id: None,
        subject: Some("Your <b>invoice</b>".to_owned()),
        engine: "ClamAV 1.4.3".to_owned(),
    };
    let set = Some("daily/2026-11-25".to_owned());
    let facts = Scan {
        set,
        clean: 61_204,
        infected: 1,
        unscanned: 0,
        shown: vec![verdict],
    };
    RunOf {
        began: "2026-11-25T05:00:02+09:00".to_owned(),
        status: Some(EndStatus::Bad),
        seconds: 41.3,
        facts,
    }
}

fn copies() -> Copies {
    let began = || "2026-11-25T04:00:02+09:00".to_owned();
    let push = Push {
        set: Some("daily/2026-11-25".to_owned()),
        files: 412,
        bytes: 11 * GB,
        by_action: [
            (TransferAction::Copied, 391),
            (TransferAction::Uploaded, 21),
        ]
        .into(),
        locked_until: Some("2026-12-25T04:00:02+09:00".to_owned()),
        errors: 0,
    };
    let stored = |set: &str| StoredSet {
        set: set.to_owned(),
        url: format!("s3://mail/{set}"),
        objects: 412,
        bytes: 11 * GB,
        own_bytes: None,
        complete: true,
        missing: 0,
        encrypted: true,
        stored: began(),
        age_seconds: 3600,
        locked_until: None,
    };
    let sets = vec![stored("daily/2026-11-24"), stored("daily/2026-11-25")];
    let usage = Usage {
        url: "s3://mail".to_owned(),
        objects: 12_090,
        bytes: 148 * GB,
        monthly_usd: Some(3.7),
        not_priced: Vec::new(),
        prices_taken: None,
        forecast: None,
        by_storage_class: BTreeMap::new(),
        not_listed: Vec::new(),
    };
    let ended = Some(EndStatus::Ok);
    Copies {
        push: Some(RunOf {
            began: began(),
            status: ended,
            seconds: 74.0,
            facts: push,
        }),
        sets: Some(RunOf {
            began: began(),
            status: ended,
            seconds: 1.0,
            facts: sets,
        }),
        usage: Some(RunOf {
            began: began(),
            status: ended,
            seconds: 1.0,
            facts: vec![usage],
        }),
    }
}

fn rendered(language: Language) -> String {
    let now: ZonedDateTime = "2026-11-25T08:12:00+09:00[Asia/Tokyo]".parse().unwrap();
    let findings = findings();
    let page = Page {
        occasion: Occasion {
            host: "mx.example.com",
            now: &now,
            language,
            findings: &findings,
            worst: Status::Critical,
            remark: None,
        },
        history: history(),
        scan: Stream {
            newest: Some(scan()),
            problem: None,
        },
        copy: Stream {
            newest: Some(copies()),
            problem: None,
        },
    };
    page.render()
}

/// To look at them: `SAMPLE_PAGES=DIR cargo test -p mail-check a_page_has`; the picture in the
/// documentation is of one.
fn keep_sample(name: &str, page: &str) {
    if let Some(directory) = std::env::var_os("SAMPLE_PAGES") {
        let path = std::path::Path::new(&directory).join(name);
        mail_common::atomic::write_file(&path, page.as_bytes()).unwrap();
    }
}

#[test]
fn a_page_has_the_frame_of_its_language_and_english_messages() {
    let (english, japanese) = (rendered(Language::English), rendered(Language::Japanese));
    keep_sample("ja.html", &japanese);
    for part in [
        "<html lang=\"ja\">",
        "<title>危険 mx.example.com</title>",
        "<h1>メールサーバー mx.example.com</h1>",
        ">2026年11月25日(水)08:12 +09:00</time>",
        "<b class=\"critical\">2</b>危険</li>",
        "<th scope=\"col\">測定値</th>",
        "<td class=\"number\" data-label=\"測定値\">83.4 %<small>警告 70 %, 危険 95 %</small>",
        "<h2>メールの変化(30 日間)</h2>",
        "<th scope=\"row\">2026-11-25(水)</th>",
        "警報: 900 messages have &lt;other&gt; content",
        "感染なし 61204、感染 1、未スキャン 0",
        "送信 21, ストア内コピー 391",
        "2 セット中 2 セットが完全(2026-11-25T04:00:02+09:00 時点)",
        "connection refused; see docker compose ps dovecot",
    ] {
        assert!(japanese.contains(part), "no {part:?}");
    }
    assert!(english.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
    assert!(english.is_ascii(), "no word of the other language");
    let shape = |page: &str| page.matches('<').count();
    assert_eq!(shape(&english), shape(&japanese));
}

#[test]
fn a_page_has_the_worst_first_and_marks_the_days_without_a_whole_set() {
    let text = rendered(Language::English);
    keep_sample("en.html", &text);
    let heads = [
        "container",
        "imaps",
        "disk",
        "time-sync",
        "backup",
        "certificate",
        "cpu",
        "memory",
        "submission",
    ];
    let places = heads.map(|name| {
        text.find(&format!(">{name}</th>"))
            .unwrap_or_else(|| panic!("no {name}"))
    });
    assert!(places.is_sorted(), "{places:?}");
    // dovecot before those that run.
    assert!(
        text.find("<td class=\"target\">dovecot</td>").unwrap()
            < text.find("<td class=\"target\">mariadb</td>").unwrap()
    );
    // Two days without a whole set in two plots, and an alarm in two.
    assert_eq!(text.matches("<path class=\"miss\"").count(), 2 * 2 + 2);
    let alarm = "ALARM: 900 messages have &lt;other&gt; content";
    assert!(
        text.contains(alarm),
        "what acts is escaped, and the day is named"
    );
    assert!(text.contains("<td data-label=\"Replaced\">900</td>"));
    assert!(text.contains("<td data-label=\"Infected\">1</td>"));
    assert_eq!(text.matches("data-label=\"Without header\"").count(), 20);
    assert_eq!(
        (
            text.matches(">MISSING<").count(),
            text.matches(">NOT WHOLE<").count()
        ),
        (1, 1)
    );
    assert!(text.contains("Your &lt;b&gt;invoice&lt;/b&gt;") && !text.contains("<b>invoice"));
    assert!(text.contains("83.4 %<small>warning 70 %, critical 95 %</small>"));
}
