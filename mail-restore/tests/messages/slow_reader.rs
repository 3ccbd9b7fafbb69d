//! The answers of a search beside those of a program that reads every message with Python's email
//! library.
#![expect(clippy::unwrap_used, reason = "a failing step ends the test")]

use std::process::Command;

use serde_json::Value;

use crate::support::{Site, piped};
use mail_tests::run::repository;

/// Asks questions that the corpus of `seed` gives, and compares.
fn compare(seed: u64, messages: u32, questions: u32) {
    let site = Site::empty();
    let mut reader = Command::new("python3");
    let script = repository().join("mail-restore/tests/messages/slow_reader.py");
    reader.arg(script).arg(site.mail());
    reader.args([
        seed.to_string(),
        messages.to_string(),
        questions.to_string(),
    ]);
    let answers: Vec<Value> = serde_json::from_slice(&piped(&mut reader, b"")).unwrap();
    site.save_day(23);
    let mut answered = 0;
    for answer in &answers {
        let texts = |field: &str| -> Vec<String> {
            let values = answer[field].as_array().unwrap().iter();
            values
                .map(|value| value.as_str().unwrap().to_owned())
                .collect()
        };
        let (flags, expected) = (texts("flags"), texts("paths"));
        let flags: Vec<&str> = ["--from", "daily"]
            .into_iter()
            .chain(flags.iter().map(String::as_str))
            .collect();
        let mut found = site.listed(&flags);
        found.sort();
        assert_eq!(found, expected, "seed {seed}, {flags:?}");
        answered += usize::from(!expected.is_empty());
    }
    assert!(
        answered * 2 > answers.len(),
        "most questions should have an answer"
    );
}

#[test]
fn a_search_finds_what_a_slow_reader_finds() {
    compare(1, 120, 40);
}

/// A thousand questions to ten corpora.
#[test]
#[ignore = "a campaign: minutes"]
fn a_search_finds_what_a_slow_reader_finds_in_many_corpora() {
    for seed in 100..110 {
        compare(seed, 300, 100);
    }
}
