//! What lines mean: blocks of whole lines are searched once, at memory speed, and only lines of
//! interest are looked at.

mod event; // what a line tells
mod mail; // Postfix and Dovecot
mod requests; // Nginx and the inbound API
mod tools; // the tools' own logs

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexSet};

use super::settings::{Kind, Pattern, Settings, Source};
use super::tally::{Tally, Topic};
use event::{Event, reason};

/// Reads the lines of one source.
pub(super) struct Reader<'a> {
    kind: Kind,
    settings: &'a Settings,
    patterns: Option<RegexSet>,
}

/// Only lines with one of these can tell something of mail.
static MAIL: LazyLock<Regex> = LazyLock::new(|| {
    literals("status=bounced|status=deferred|authentication failed|auth failed, |lmtp\\(")
});

/// Only lines with one of these can tell an error of a tool.
static TOOLS: LazyLock<Regex> =
    LazyLock::new(|| literals("\\[ERROR\\]|\\[FATAL\\]|\\[CRITICAL\\]|error: "));

impl<'a> Reader<'a> {
    pub(super) fn new(source: &Source, settings: &'a Settings) -> Result<Self, regex::Error> {
        let patterns: Vec<&str> = settings.patterns_of(source).map(Pattern::regex).collect();
        let patterns = if patterns.is_empty() {
            None
        } else {
            Some(RegexSet::new(patterns)?)
        };
        Ok(Self {
            kind: source.kind,
            settings,
            patterns,
        })
    }

    /// Counts what whole lines tell; they are separated by newlines.
    pub(super) fn read(&self, block: &[u8], tally: &mut Tally) {
        match self.kind {
            Kind::Postfix | Kind::Dovecot => search(&MAIL, block, tally, mail::events),
            Kind::Tools => search(&TOOLS, block, tally, tools::events),
            Kind::Nginx | Kind::InboundApi => {
                each_line(block, |line| requests::count(line, self.settings, tally));
            }
        }
        if let Some(patterns) = &self.patterns {
            each_line(block, |line| {
                for number in patterns.matches(line) {
                    tally.count(Topic::Pattern(number), 1, line, &reason(line));
                }
            });
        }
    }
}

fn literals(text: &str) -> Regex {
    Regex::new(text).expect("the tests compile it")
}

fn search(
    interesting: &Regex,
    block: &[u8],
    tally: &mut Tally,
    events: fn(&[u8]) -> Vec<Event<'_>>,
) {
    let mut rest = block;
    while let Some(found) = interesting.find(rest) {
        let begin = memchr::memrchr(b'\n', &rest[..found.start()]).map_or(0, |at| at + 1);
        let end =
            memchr::memchr(b'\n', &rest[found.end()..]).map_or(rest.len(), |at| found.end() + at);
        let line = &rest[begin..end];
        for event in events(line) {
            tally.count(event.topic, event.times, line, &event.reason);
        }
        rest = &rest[end..];
    }
}

fn each_line(block: &[u8], mut read: impl FnMut(&[u8])) {
    let mut begin = 0;
    for end in memchr::memchr_iter(b'\n', block) {
        read(&block[begin..end]);
        begin = end + 1;
    }
    if begin < block.len() {
        read(&block[begin..]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::settings::Place;
    use super::*;

    /// Pieces of lines of interest, and bytes that are none.
    fn rubbish() -> impl Strategy<Value = Vec<u8>> {
        let words = prop::sample::select(vec![
            "status=deferred",
            " (",
            "]: SASL ",
            "authentication failed",
            "(auth failed, ",
            " rip=",
            "lmtp(",
            ": save failed ",
            "\"GET /admin?",
            "\" 500",
            "[ERROR] ",
            "error: ",
            "08:00:00",
            " [25/",
            "\n",
        ]);
        let word = words.prop_map(|word| word.as_bytes().to_vec());
        let piece = prop_oneof![word, prop::collection::vec(any::<u8>(), 0..6)];
        prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(block in rubbish()) {
            let settings = Settings::default();
            for kind in [Kind::Postfix, Kind::Dovecot, Kind::Nginx, Kind::InboundApi, Kind::Tools] {
                let source =
                    Source { name: "s".into(), kind, place: Place::File("/l".into()), silent: None, max_size: 1 };
                Reader::new(&source, &settings).unwrap().read(&block, &mut Tally::default());
            }
        }
    }
}
