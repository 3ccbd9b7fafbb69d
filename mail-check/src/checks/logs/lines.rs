//! What lines mean: blocks of whole lines are searched once, at memory speed, and only lines of
//! interest are looked at.

mod event; // what a line tells
mod mail; // Postfix and Dovecot
mod path; // the path of a request as a web server looks it up
mod requests; // Nginx and the inbound API
mod roundcube; // the webmail
mod api; // errors of an application
mod wrapped; // lines of programs in lines of JSON
mod escapes; // escape sequences of terminals
mod tools; // the tools' own logs

use regex::bytes::{Regex, RegexSet};

use super::settings::{Kind, Pattern, Settings, Source};
use super::tally::{Tally, Topic};
use api::Said;
use event::{Event, reason};

/// Reads the lines of one source.
pub(super) struct Reader<'a> {
    kind: Kind,
    settings: &'a Settings,
    patterns: Option<RegexSet>,
}

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
        let block = &escapes::without(block);
        let block = &wrapped::unwrapped(block, self.kind);
        match self.kind {
            Kind::Postfix | Kind::Dovecot => {
                search(&mail::INTERESTING, block, tally, mail::events);
                know(&mail::KNOWN, block, tally);
            }
            Kind::Tools => {
                search(&tools::INTERESTING, block, tally, tools::events);
                know(&tools::KNOWN, block, tally);
            }
            Kind::Nginx => self.read_web_server(block, tally),
            Kind::Roundcube => each_line(block, |line| {
                if let Some(event) = roundcube::read(line) {
                    tally.understood();
                    count_event(event, line, tally);
                }
            }),
            Kind::InboundApi => self.read_application(block, tally),
        }
        tally.not_understood(block);
        if let Some(patterns) = &self.patterns {
            each_line(block, |line| {
                for number in patterns.matches(line) {
                    tally.count(Topic::Pattern(number), 1, line, &reason(line));
                }
            });
        }
    }

    fn read_web_server(&self, block: &[u8], tally: &mut Tally) {
        each_line(block, |line| {
            let is_request = requests::count(line, self.settings, tally);
            if !is_request && requests::ERROR_LOG.is_match(line) {
                tally.understood();
                count_event(requests::told(line), line, tally);
            } else if is_request {
                tally.understood();
            }
        });
    }

    fn read_application(&self, block: &[u8], tally: &mut Tally) {
        let mut after_error = false;
        each_line(block, |line| {
            if requests::count(line, self.settings, tally) {
                tally.understood();
                after_error = false;
                return;
            }
            match api::read(line) {
                Some(Said::Error(event)) => {
                    tally.understood();
                    let is_rest = after_error && api::is_traceback(line);
                    count_event((!is_rest).then_some(event), line, tally);
                    after_error = true;
                }
                Some(Said::Other) => {
                    tally.understood();
                    after_error = false;
                }
                None => {}
            }
        });
    }
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
            tally.understood();
            count_event(Some(event), line, tally);
        }
        rest = &rest[end..];
    }
}

/// One line that is known is enough: then the log is what it is said to be.
fn know(known: &Regex, block: &[u8], tally: &mut Tally) {
    if !tally.is_understood() && known.is_match(block) {
        tally.understood();
    }
}

fn count_event(event: Option<Event<'_>>, line: &[u8], tally: &mut Tally) {
    if let Some(event) = event {
        tally.count(event.topic, event.times, line, &event.reason);
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
    use serde_json::json;

    use super::super::settings::Place;
    use super::*;

    #[test]
    fn a_line_that_reports_a_failure_makes_its_log_known_whatever_its_time_looks_like() {
        let settings = Settings::default();
        let place = Place::File("/l".into());
        let source = Source {
            name: "s".into(),
            kind: Kind::Dovecot,
            place,
            silent: None,
            max_size: 1,
        };
        let line = b"@400000004c91b044077a9e94 auth: pam_unix(dovecot:auth): authentication failure; logname= tty=dovecot ruser=ann rhost=192.0.2.7\n";
        let mut tally = Tally::default();
        Reader::new(&source, &settings)
            .unwrap()
            .read(line, &mut tally);
        assert_eq!(tally.foreign_line(), None);
        assert_eq!(tally.counter(Topic::AuthFailures).new, 1);
    }

    #[test]
    fn a_line_in_json_counts_as_the_line_that_it_holds() {
        let settings = Settings::default();
        let bounced = "4BC: to=<a@b.example>, dsn=5.1.1, status=bounced (host said \"no\")";
        let syslog = format!("Nov 25 08:19:28 mx postfix/smtp[7]: {bounced}\n");
        let docker = json!({"log": syslog, "stream": "stdout", "time": "2026-11-25T08:19:28Z"});
        let journal = json!({"SYSLOG_IDENTIFIER": "postfix/smtp", "_PID": "7", "MESSAGE": bounced});
        for line in [syslog.clone(), docker.to_string(), journal.to_string()] {
            let source = Source {
                name: "s".into(),
                kind: Kind::Postfix,
                place: Place::File("/l".into()),
                silent: None,
                max_size: 1,
            };
            let mut tally = Tally::default();
            let reader = Reader::new(&source, &settings).unwrap();
            reader.read(line.as_bytes(), &mut tally);
            assert_eq!(tally.foreign_line(), None, "{line}");
            let counted = tally.counter(Topic::Bounced).top(5);
            assert_eq!(counted, ["1x host said \"no\""], "{line}");
        }
    }

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
            "{\"status\":",
            "\u{1b}[31m",
            "ERROR ",
            " SASL ",
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
            let kinds = [
                Kind::Postfix,
                Kind::Dovecot,
                Kind::Nginx,
                Kind::Roundcube,
                Kind::InboundApi,
                Kind::Tools,
            ];
            for kind in kinds {
                let source =
                    Source { name: "s".into(), kind, place: Place::File("/l".into()), silent: None, max_size: 1 };
                Reader::new(&source, &settings).unwrap().read(&block, &mut Tally::default());
            }
        }
    }
}
