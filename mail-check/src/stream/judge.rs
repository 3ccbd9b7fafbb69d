//! From what a stream says to findings: a failed backup, an infected message, an upload that is not
//! whole.

use mail_common::record::{Alarm, AlarmLevel, End};
use mail_common::upstream::{CHECKER, Ending, SCANNER, ToolRun};

use super::facts::{Facts, Infected, NAMED};
use crate::finding::Finding;
use crate::status::Status;

/// One finding for each run and each infected file, and one each for what was not scanned and for a
/// stream that is cut.
pub(crate) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = facts.runs.iter().map(|run| judge_run(run, facts)).collect();
    findings.extend(facts.infected_first.iter().map(judge_infected));
    if facts.infected > NAMED as u64 {
        let message = format!(
            "{} infected in all; the first {NAMED} are named",
            facts.infected
        );
        findings.push(Finding::critical("infected", "others", message));
    }
    let alarms = facts.alarms.iter();
    findings.extend(alarms.map(|alarm| judge_alarm(alarm, facts)));
    if facts.unscanned > 0 {
        let message = format!(
            "{} not scanned: {}",
            facts.unscanned,
            shortened(&facts.unscanned_first, facts.unscanned)
        );
        findings.push(
            Finding::warning("unscanned", "stream", message)
                .measured(facts.unscanned as f64, "files"),
        );
    }
    if let Some(why) = &facts.broken {
        let message = format!("{why}; what it did is not known");
        findings.push(Finding::unknown("stream", "stdin", message));
    }
    findings
}

/// Alerts go by name and target: the rule is the same while it is met.
fn judge_alarm(alarm: &Alarm, facts: &Facts) -> Finding {
    let message = format!("{}: {}", alarm.set, alarm.message);
    match alarm.level {
        AlarmLevel::Notable => Finding::warning("changes", &alarm.rule, message),
        AlarmLevel::Alarm => {
            Finding::critical("changes", &alarm.rule, message + &same_night(facts))
        }
    }
}

/// What a scan of the same night found: who encrypts mail may have come by mail.
fn same_night(facts: &Facts) -> String {
    let Some(scan) = facts.last_run(SCANNER) else {
        return String::new();
    };
    let found = facts.infected_first.iter();
    let found: Vec<String> = found
        .map(|it| format!("{} in {}", it.signature, it.what))
        .collect();
    let is_whole = scan.end.as_ref().map(Ending::of) == Some(Ending::Good);
    let found = match (facts.infected, is_whole) {
        (0, true) => "found nothing infected".to_owned(),
        (0, false) => "found nothing infected, and did not look at everything".to_owned(),
        (count, _) => format!("found {count} infected: {}", shortened(&found, count)),
    };
    format!("; the scan of the same night {found}")
}

/// Names of checks that are made only while something is bad, and that this run would have made:
/// without them, that is over. Only a scan of all of it that found nothing can say so: one that
/// could not finish has not looked.
pub(crate) fn settled(findings: &[Finding]) -> Vec<&'static str> {
    let of = |tool: &'static str| findings.iter().filter(move |f| f.name == tool);
    let mut names = Vec::new();
    if of(SCANNER).next().is_some() && of(SCANNER).all(|f| f.status == Status::Ok) {
        names.extend(["infected", "unscanned"]);
    }
    if of("mail-backup").any(|finding| finding.status == Status::Ok) {
        names.push("changes");
    }
    let tools = ["mail-backup", SCANNER, "mail-s3sync", "mail-restore"];
    if tools
        .into_iter()
        .flat_map(of)
        .any(|finding| finding.status != Status::Unknown)
    {
        names.push("stream");
    }
    names
}

/// Alerts go by name and target: these are the same tomorrow, while the set is another.
fn judge_run(run: &ToolRun, facts: &Facts) -> Finding {
    let (tool, host) = (run.begin.tool.as_str(), run.begin.host.as_str());
    let about = run
        .begin
        .set
        .as_ref()
        .map(|set| format!("{set}: "))
        .unwrap_or_default();
    let Some(end) = &run.end else {
        return Finding::unknown(
            tool,
            host,
            format!("{about}it has ended without its end record"),
        );
    };
    let ending = Ending::of(end);
    let message = match ending {
        Ending::Good => format!("done in {:.0} s", end.seconds),
        Ending::Locked => "another run held the lock".to_owned(),
        _ if facts.errors > 0 => {
            let errors = shortened(&facts.errors_first, facts.errors);
            format!("exit code {}: {errors}", end.exit)
        }
        ending => format!("exit code {}: {}", end.exit, words_of(ending)),
    };
    Finding::new(status_of(end, facts), tool, host, about + &message)
        .measured(end.seconds, "seconds")
}

/// A scan that found something has done its work: what it found is judged by itself.
fn status_of(end: &End, facts: &Facts) -> Status {
    if end.tool == CHECKER {
        return status_of_checker(end.exit);
    }
    match Ending::of(end) {
        Ending::Good => Status::Ok,
        Ending::Locked => Status::Warning,
        Ending::Bad | Ending::Partial
            if end.tool == SCANNER && facts.infected == 0 && facts.errors == 0 =>
        {
            Status::Warning
        }
        Ending::Bad | Ending::Partial | Ending::Unfinished => Status::Critical,
        Ending::Died => Status::Unknown,
    }
}

/// The worst that it found, as Nagios has it.
const fn status_of_checker(exit: u8) -> Status {
    match exit {
        0 => Status::Ok,
        1 => Status::Warning,
        3 => Status::Unknown,
        _ => Status::Critical,
    }
}

fn words_of(ending: Ending) -> &'static str {
    match ending {
        Ending::Good => "all is well",
        Ending::Bad => "all was done, and the answer is bad",
        Ending::Partial => "a part failed",
        Ending::Locked => "another run held the lock",
        Ending::Unfinished => "not all was done",
        Ending::Died => "it has died",
    }
}

fn judge_infected(infected: &Infected) -> Finding {
    let mut message = format!("{} in {}", infected.signature, infected.place);
    if let Some(id) = &infected.message_id {
        message.push_str(&format!(", message {id}"));
    }
    if let Some(subject) = &infected.subject {
        message.push_str(&format!(", subject {subject:?}"));
    }
    Finding::critical("infected", &infected.what, message)
}

/// The first three, and how many more.
fn shortened(first: &[String], count: u64) -> String {
    const SHOWN: usize = 3;
    let shown = first
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    match count.saturating_sub(SHOWN as u64) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(tool: &str) -> String {
        format!(
            r#"{{"type":"begin","data":{{"v":1,"tool":"{tool}","version":"1","host":"mx","time":"2026-11-23T03:00:00+09:00","args":[],"set":"daily/2026-11-23"}}}}"#
        )
    }

    fn end(tool: &str, exit: u8) -> String {
        let status = if exit == 0 { "ok" } else { "bad" };
        format!(
            r#"{{"type":"end","data":{{"tool":"{tool}","status":"{status}","exit":{exit},"seconds":9,"totals":{{}}}}}}"#
        )
    }

    const INFECTED: &str = r#"{"type":"verdict","data":{"root":"/b","set":"daily/2026-11-23","path":"m/0001.tar.zst","member":"a/cur/1","status":"infected","signature":"Eicar","subject":"hi","engine":"e"}}"#;
    const UNSCANNED: &str = r#"{"type":"verdict","data":{"path":"/x.zip","status":"unscanned","reason":"encrypted","engine":"e"}}"#;
    const ERROR: &str = r#"{"type":"error","data":{"message":"dump","causes":["gone"]}}"#;

    #[track_caller]
    fn check(lines: &[&str], expected: &[(&str, &str, Status)]) {
        let text = lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>();
        let findings = judge(&Facts::read(text.as_bytes()));
        let found: Vec<(&str, &str, Status)> = findings
            .iter()
            .map(|f| (f.name.as_str(), f.target.as_str(), f.status))
            .collect();
        assert_eq!(found, expected, "{findings:#?}");
    }

    #[test]
    fn each_run_is_judged_by_how_it_ended() {
        let (backup, scan) = (begin("mail-backup"), begin("mail-scan"));
        let good = [
            &*scan,
            &*backup,
            &end("mail-backup", 0),
            &end("mail-scan", 0),
        ]
        .map(str::to_owned);
        let good: Vec<&str> = good.iter().map(String::as_str).collect();
        check(
            &good,
            &[
                ("mail-scan", "mx", Status::Ok),
                ("mail-backup", "mx", Status::Ok),
            ],
        );
        check(
            &[&backup, ERROR, &end("mail-backup", 1)],
            &[("mail-backup", "mx", Status::Critical)],
        );
        check(
            &[&backup, &end("mail-backup", 4)],
            &[("mail-backup", "mx", Status::Warning)],
        );
        let died = [
            ("mail-backup", "mx", Status::Unknown),
            ("stream", "stdin", Status::Unknown),
        ];
        check(&[&backup], &died);
    }

    #[test]
    fn what_a_scan_found_is_named() {
        let scan = begin("mail-scan");
        check(
            &[&scan, INFECTED, &end("mail-scan", 1)],
            &[
                ("mail-scan", "mx", Status::Critical),
                ("infected", "a/cur/1", Status::Critical),
            ],
        );
        check(
            &[&scan, UNSCANNED, &end("mail-scan", 1)],
            &[
                ("mail-scan", "mx", Status::Warning),
                ("unscanned", "stream", Status::Warning),
            ],
        );
    }

    #[test]
    fn an_alarm_says_what_the_scan_of_the_same_night_found() {
        const ALARM: &str = r#"{"type":"alarm","data":{"level":"alarm","rule":"spoiled","set":"daily/2026-11-23","time":"2026-11-23T03:00:00+09:00","message":"20 messages"}}"#;
        let message_of = |lines: &[&str]| {
            let text = lines.join("\n") + "\n";
            let findings = judge(&Facts::read(text.as_bytes()));
            let alarm = findings.into_iter().find(|it| it.name == "changes");
            alarm.unwrap().message
        };
        let (scan, end) = (begin(SCANNER), end(SCANNER, 1));
        let alone = message_of(&[ALARM]);
        assert_eq!(alone, "daily/2026-11-23: 20 messages");
        let with_scan = message_of(&[&scan, ALARM, INFECTED, &end]);
        let found = "; the scan of the same night found 1 infected: Eicar in a/cur/1";
        assert_eq!(with_scan, alone.clone() + found);
        let cut = message_of(&[&scan, ALARM, &end]);
        assert!(cut.ends_with("and did not look at everything"), "{cut}");
        let clean = message_of(&[&scan, ALARM, &end.replace(r#""exit":1"#, r#""exit":0"#)]);
        assert!(clean.ends_with("found nothing infected"), "{clean}");
    }

    #[test]
    fn only_scans_that_all_ended_well_settle_what_was_found_before() {
        let settles = |exits: &[u8]| {
            let text: String = exits
                .iter()
                .map(|exit| format!("{}\n{}\n", begin(SCANNER), end(SCANNER, *exit)))
                .collect();
            settled(&judge(&Facts::read(text.as_bytes()))).contains(&"infected")
        };
        assert!(settles(&[0]) && settles(&[0, 0]));
        for exits in [&[][..], &[1], &[3], &[4], &[0, 3], &[3, 0], &[0, 1]] {
            assert!(!settles(exits), "{exits:?}");
        }
    }

    #[test]
    fn a_message_and_its_archive_count_once() {
        let archive = INFECTED.replace(r#""member":"a/cur/1","#, "");
        let member = UNSCANNED.replace(r#""status""#, r#""member":"a.pdf","status""#);
        let by_members = UNSCANNED.replace("encrypted", "1 of 2 members not scanned: encrypted");
        let cut = UNSCANNED.replace("encrypted", "the file is cut short");
        let text = [INFECTED, &archive, &member, &by_members, &cut].join("\n");
        let facts = Facts::read(text.as_bytes());
        assert_eq!((facts.infected, facts.unscanned), (1, 2));
    }

    #[test]
    fn a_stream_that_is_no_stream_is_unknown() {
        check(&["not json"], &[("stream", "stdin", Status::Unknown)]);
        check(&[], &[("stream", "stdin", Status::Unknown)]);
    }

    #[test]
    fn thousands_of_hits_are_counted_and_twenty_named() {
        let lines: Vec<String> = (0..5000)
            .map(|number| INFECTED.replace("cur/1", &format!("cur/{number}")))
            .collect();
        let text = format!(
            "{}\n{}\n{}\n",
            begin("mail-scan"),
            lines.join("\n"),
            end("mail-scan", 1)
        );
        let findings = judge(&Facts::read(text.as_bytes()));
        assert_eq!(findings.len(), 22);
        assert!(
            findings[21].message.starts_with("5000 infected in all"),
            "{}",
            findings[21].message
        );
    }
}
