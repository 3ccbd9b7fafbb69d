use proptest::prelude::*;

use super::*;
use crate::finding::NOT_CONFIGURED;

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;
const CHANNEL: &str = "mail";

const RULES: Rules = Rules {
    after_runs: 1,
    remind: Duration::from_secs(86_400),
    flap_changes: 4,
    flap_within: Duration::from_secs(3600),
    forget: Duration::from_secs(8 * 86_400),
};

fn finding(status: Status) -> Finding {
    Finding::new(status, "disk", "/", "91 % used")
}

fn run(memory: Memory, statuses: &[Status], now: Moment, rules: &Rules) -> (Memory, Vec<Event>) {
    let findings: Vec<Finding> = statuses.iter().copied().map(finding).collect();
    let observation = Observation {
        findings: &findings,
        answered: &[],
        now,
    };
    let (memory, mut news) = decide(memory, observation, &[CHANNEL.to_owned()], rules);
    (
        memory,
        news.pop().map(|(_, events)| events).unwrap_or_default(),
    )
}

/// Runs five minutes apart, a letter a run: `o` ok, `w` warning, `c` critical, `u` unknown, `-` not
/// checked. What is sent, each time.
fn check(rules: &Rules, step: i64, statuses: &str, expected: &str) {
    let (mut memory, mut sent) = (Memory::default(), Vec::new());
    for (number, letter) in statuses.chars().enumerate() {
        let statuses: &[Status] = match letter {
            'o' => &[Status::Ok],
            'w' => &[Status::Warning],
            'c' => &[Status::Critical],
            'u' => &[Status::Unknown],
            _ => &[],
        };
        let now = number as i64 * step;
        let (after, events) = run(memory, statuses, now, rules);
        memory = after;
        memory.delivered(CHANNEL, &events, now);
        sent.push(
            events
                .first()
                .map_or("-".to_owned(), |event| format!("{:?}", event.kind)),
        );
    }
    assert_eq!(sent.join(" "), expected, "{statuses}");
}

#[test]
fn a_change_is_notified_once() {
    let step = 30 * MINUTE;
    check(&RULES, step, "oocccoo", "- - Problem - - Recovery -");
    check(&RULES, step, "cwwuo", "Problem Problem - Problem Recovery");
    check(&RULES, step, "c--c-o", "Problem - - - - Recovery");
}

#[test]
fn what_is_notified_only_while_it_is_bad_recovers_with_the_next_whole_scan() {
    let infected = |target: &str| Finding::critical("infected", target, "Eicar");
    let scan = |status| Finding::new(status, "mail-scan", "mx", "done");
    let cut = Finding::unknown("stream", "stdin", "cut");
    let nights: [(&[Finding], &str); 7] = [
        (
            &[scan(Status::Critical), infected("a"), infected("b")],
            "infected a Problem, infected b Problem, mail-scan mx Problem",
        ),
        // What could not finish says nothing of what it did not find, whether its end was lost or
        // it said so (exit 3).
        (
            &[scan(Status::Unknown), cut],
            "mail-scan mx Problem, stream stdin Problem",
        ),
        (
            &[scan(Status::Critical)],
            "mail-scan mx Problem, stream stdin Recovery",
        ),
        (&[Finding::ok("mail-backup", "mx", "done")], ""),
        (&[scan(Status::Critical), infected("b")], ""),
        (
            &[scan(Status::Ok)],
            "infected a Recovery, infected b Recovery, mail-scan mx Recovery",
        ),
        (&[scan(Status::Ok)], ""),
    ];
    let mut memory = Memory::default();
    for (number, (findings, expected)) in nights.into_iter().enumerate() {
        let now = number as i64 * DAY;
        let rules = Rules {
            remind: Duration::ZERO,
            ..RULES
        };
        let observation = Observation {
            findings,
            answered: &[],
            now,
        };
        let (after, mut news) = decide(memory, observation, &[CHANNEL.to_owned()], &rules);
        memory = after;
        let events = news.pop().map(|(_, events)| events).unwrap_or_default();
        memory.delivered(CHANNEL, &events, now);
        let sent: Vec<String> = events
            .iter()
            .map(|e| format!("{} {} {:?}", e.key.name, e.key.target, e.kind))
            .collect();
        assert_eq!(sent.join(", "), expected, "night {number}");
    }
}

#[test]
fn a_change_must_hold() {
    let rules = Rules {
        after_runs: 2,
        ..RULES
    };
    check(&rules, 30 * MINUTE, "occcooc", "- - Problem - - Recovery -");
    check(&rules, 30 * MINUTE, "ocoowwo", "- - - - - Problem -");
}

#[test]
fn what_nobody_configured_wakes_nobody() {
    let findings = [
        Finding::unknown("tls", NOT_CONFIGURED, "nothing to check"),
        Finding::unknown("mailflow", "settings", "half of them are missing"),
    ];
    let observation = Observation {
        findings: &findings,
        answered: &[],
        now: 0,
    };
    let (_, news) = decide(
        Memory::default(),
        observation,
        &[CHANNEL.to_owned()],
        &RULES,
    );
    let names: Vec<&str> = news[0].1.iter().map(|event| &*event.key.name).collect();
    assert_eq!(names, ["mailflow"]);
}

#[test]
fn what_stays_bad_is_notified_again_at_the_interval_and_only_when_it_was_checked() {
    check(&RULES, DAY / 2, "cccccc", "Problem - Reminder - Reminder -");
    check(&RULES, DAY / 2, "c---c", "Problem - - - Reminder");
    // Once a day, a few minutes early: a reminder all the same.
    check(&RULES, DAY - 3 * MINUTE, "ccc", "Problem Reminder Reminder");
    check(
        &Rules {
            remind: Duration::ZERO,
            ..RULES
        },
        DAY,
        "cccc",
        "Problem - - -",
    );
}

#[test]
fn what_changes_all_the_time_is_notified_once_and_again_when_it_is_steady() {
    check(
        &RULES,
        5 * MINUTE,
        "ococococ",
        "- Problem Recovery Problem Recovery Flapping - -",
    );
    let expected = "- Problem Recovery Problem Recovery Flapping - - - - - - - - - - - Steady -";
    check(&RULES, 5 * MINUTE, "ocococccccccccccccc", expected);
    // It never holds for two runs: it is sent as flapping, not kept back.
    let rules = Rules {
        after_runs: 2,
        ..RULES
    };
    check(&rules, 5 * MINUTE, "ocococo", "- - - - - Flapping -");
}

#[test]
fn what_is_no_longer_checked_is_notified_once_where_it_was_bad() {
    check(&RULES, 2 * DAY, "c------", "Problem - - - Gone - -");
    check(&RULES, 2 * DAY, "o------", "- - - - - - -");
    check(&RULES, 2 * DAY, "c-----c", "Problem - - - Gone - Problem");
    let (mut memory, events) = run(Memory::default(), &[Status::Ok], 0, &RULES);
    memory.delivered(CHANNEL, &events, 0);
    let (memory, _) = run(memory, &[], 9 * DAY, &RULES);
    assert_eq!(memory.checks, []);
}

#[test]
fn what_could_not_be_sent_is_sent_later_also_when_it_is_over() {
    let (mut memory, events) = run(Memory::default(), &[Status::Critical], 0, &RULES);
    memory.missed(CHANNEL, &events, 0);
    let (still, events) = run(memory.clone(), &[Status::Critical], 60, &RULES);
    assert_eq!((events[0].kind, events[0].since), (Kind::Problem, 0));
    drop(still);
    let (mut over, events) = run(memory, &[Status::Ok], 60, &RULES);
    assert_eq!(
        (events[0].kind, events[0].was, events[0].status),
        (Kind::Recovery, Status::Critical, Status::Ok)
    );
    over.delivered(CHANNEL, &events, 60);
    assert_eq!(run(over, &[Status::Ok], 120, &RULES).1, []);
}

#[test]
fn a_recovery_that_was_missed_and_is_over_is_no_news() {
    let (mut memory, events) = run(Memory::default(), &[Status::Critical], 0, &RULES);
    memory.delivered(CHANNEL, &events, 0);
    let (mut memory, events) = run(memory, &[Status::Ok], 60, &RULES);
    memory.missed(CHANNEL, &events, 60);
    assert_eq!(run(memory, &[Status::Critical], 120, &RULES).1, []);
}

#[test]
fn each_channel_has_its_own_memory_and_is_not_notified_of_itself() {
    let findings = [
        Finding::critical("notify", "mail", "no route"),
        finding(Status::Warning),
    ];
    let observation = Observation {
        findings: &findings,
        answered: &[],
        now: 0,
    };
    let channels = ["mail".to_owned(), "ops".to_owned()];
    let (mut memory, news) = decide(Memory::default(), observation, &channels, &RULES);
    let names = |events: &[Event]| {
        events
            .iter()
            .map(|event| event.key.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&news[0].1), ["disk"]);
    assert_eq!(names(&news[1].1), ["notify", "disk"]);
    memory.delivered("ops", &news[1].1, 0);
    let (_, news) = decide(
        memory,
        Observation {
            now: 60,
            ..observation
        },
        &channels,
        &RULES,
    );
    assert_eq!(
        news.iter()
            .map(|(channel, _)| channel.as_str())
            .collect::<Vec<_>>(),
        ["mail"]
    );
}

#[test]
fn a_check_that_was_silent_and_answers_is_over() {
    let silent = [Finding::unknown("cpu", "machine", "no answer within 10 s")];
    let observation = Observation {
        findings: &silent,
        answered: &[],
        now: 0,
    };
    let (mut memory, news) = decide(
        Memory::default(),
        observation,
        &[CHANNEL.to_owned()],
        &RULES,
    );
    memory.delivered(CHANNEL, &news[0].1, 0);
    let answered = [Key {
        name: "cpu".to_owned(),
        target: "machine".to_owned(),
    }];
    let fine = [Finding::ok("cpu", "processors", "fine")];
    let observation = Observation {
        findings: &fine,
        answered: &answered,
        now: 60,
    };
    let (_, news) = decide(memory, observation, &[CHANNEL.to_owned()], &RULES);
    assert_eq!(
        news[0].1.iter().map(|event| event.kind).collect::<Vec<_>>(),
        [Kind::Recovery]
    );
}

#[test]
fn an_overtaken_run_changes_nothing_and_a_clock_that_was_wrong_does_not_last() {
    let (mut memory, events) = run(Memory::default(), &[Status::Critical], 300, &RULES);
    memory.delivered(CHANNEL, &events, 300);
    let (memory, events) = run(memory, &[Status::Ok], 200, &RULES);
    assert_eq!(events, []);
    assert_eq!(memory.checks[0].status, Status::Critical);
    let (mut memory, events) = run(memory, &[Status::Critical], -10 * DAY, &RULES);
    assert_eq!(events, []);
    memory.delivered(CHANNEL, &events, 0);
    assert_eq!(
        run(memory, &[Status::Ok], -10 * DAY + 60, &RULES).1[0].kind,
        Kind::Recovery
    );
}

proptest! {
    /// However statuses come and channels fail: when what holds has held for long and the channel
    /// works, the last thing that was sent is what holds; nothing is sent twice within the
    /// interval; nothing is sent that was not found.
    #[test]
    fn every_lasting_change_is_notified_once(
        steps in prop::collection::vec((0_u8..4, 1_i64..90, any::<bool>()), 1..60),
        after_runs in 1_u32..4,
    ) {
        let rules = Rules { after_runs, ..RULES };
        let (mut memory, mut now, mut sent) = (Memory::default(), 0, Vec::new());
        let last = Status::of_number(steps.last().unwrap().0);
        let settle = std::iter::repeat_n((steps.last().unwrap().0, 30, true), 8);
        for (number, minutes, works) in steps.into_iter().chain(settle) {
            now += minutes * MINUTE;
            let status = Status::of_number(number);
            let (after, events) = run(memory, &[status], now, &rules);
            memory = after;
            prop_assert!(events.len() <= 1);
            if works {
                memory.delivered(CHANNEL, &events, now);
                sent.extend(events.into_iter().map(|event| (now, event)));
            } else {
                memory.missed(CHANNEL, &events, now);
            }
        }
        let known = sent.iter().rev().find(|(_, event)| event.kind != Kind::Flapping);
        prop_assert_eq!(known.map_or(Status::Ok, |(_, event)| event.status), last);
        for pair in sent.windows(2) {
            let ((earlier, a), (later, b)) = (&pair[0], &pair[1]);
            // Twice the same in a row: a reminder, or something between the two that could not be
            // sent.
            let is_repeated = a.kind == b.kind && a.status == b.status && b.was == b.status;
            prop_assert!(!is_repeated || later - earlier >= DAY - DAY / 100, "{a:?} {b:?}");
        }
    }
}

trait OfNumber {
    fn of_number(number: u8) -> Self;
}

impl OfNumber for Status {
    fn of_number(number: u8) -> Self {
        [Self::Ok, Self::Warning, Self::Critical, Self::Unknown][usize::from(number)]
    }
}

#[test]
fn destroyed_mail_is_news_at_once() {
    let rules = Rules {
        after_runs: 3,
        ..RULES
    };
    let send = |name: &str, status| {
        let findings = [Finding::new(status, name, "/b", "destroyed")];
        let observation = Observation {
            findings: &findings,
            answered: &[],
            now: 0,
        };
        let (_, news) = decide(
            Memory::default(),
            observation,
            &[CHANNEL.to_owned()],
            &rules,
        );
        news.len()
    };
    assert_eq!(send("disk", Status::Critical), 0);
    assert_eq!(send("backup-alarm", Status::Critical), 1);
    assert_eq!(send("backup-changes", Status::Critical), 1);
    assert_eq!(send("changes", Status::Critical), 1);
    assert_eq!(send("changes", Status::Warning), 0);
}
