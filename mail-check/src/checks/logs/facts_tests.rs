use super::super::settings::{Kind, Place};
use super::*;

fn judged(facts: &Facts) -> (Status, String) {
    let source = Source {
        name: "mail".into(),
        kind: Kind::Postfix,
        place: Place::File("/l".into()),
        silent: Some(Span::hours(1)),
        max_size: 1000,
    };
    let finding = judge(&source, facts);
    (finding.status, finding.message)
}

#[test]
fn what_was_not_read_is_unknown_and_what_was_not_rotated_a_warning() {
    let check = |facts: Facts, expected: Status, part: &str| {
        let (status, message) = judged(&facts);
        assert_eq!(status, expected, "{message}");
        assert!(message.contains(part), "{message}");
    };
    let noted = |note| Facts {
        notes: vec![note],
        ..Facts::default()
    };
    check(
        Facts {
            size: Some(999),
            read_bytes: 5,
            ..Facts::default()
        },
        Status::Ok,
        "5 B were read",
    );
    check(
        Facts {
            size: Some(1000),
            ..Facts::default()
        },
        Status::Warning,
        "was not rotated",
    );
    let hours = |hours| Facts {
        silent: Some(Span::hours(hours).duration()),
        ..Facts::default()
    };
    check(
        hours(2),
        Status::Warning,
        "nothing was written to it for 2 h",
    );
    check(
        Facts {
            silent: Some(Duration::from_secs(3599)),
            ..Facts::default()
        },
        Status::Ok,
        "",
    );
    check(
        noted(Note::FirstLook { bytes: 1 }),
        Status::Ok,
        "first look",
    );
    check(
        noted(Note::Rotated { old: "/l.1".into() }),
        Status::Ok,
        "/l.1",
    );
    check(
        noted(Note::Compressed {
            old: "/l.1.gz".into(),
        }),
        Status::Unknown,
        "/l.1.gz is not read",
    );
    check(noted(Note::Lost), Status::Unknown, "not found");
    check(
        noted(Note::TooMuch {
            skipped_bytes: 2048,
        }),
        Status::Unknown,
        "2.0 KiB before that are not read",
    );
    check(
        noted(Note::Unfinished { left_bytes: 2048 }),
        Status::Unknown,
        "lack of time",
    );
    check(noted(Note::Cut), Status::Unknown, "not read yet");
}
