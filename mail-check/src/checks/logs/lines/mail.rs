//! Lines of Postfix and Dovecot, which often share a log (postfix: bounce(8), smtpd(8); dovecot:
//! login processes, lmtp).

use super::super::tally::Topic;
use super::event::{Event, after, reason};

/// What a line tells. A delivery over LMTP that failed is both: deferred or bounced, and a failure
/// of LMTP.
pub(super) fn events(line: &[u8]) -> Vec<Event<'_>> {
    let delivery = [
        (&b"status=bounced"[..], Topic::Bounced),
        (b"status=deferred", Topic::Deferred),
    ];
    for (status, topic) in delivery {
        if let Some(at) = after(line, status) {
            return failed_delivery(line, topic, at);
        }
    }
    auth_failure(line)
        .or_else(|| dovecot_lmtp(line))
        .into_iter()
        .collect()
}

fn failed_delivery(line: &[u8], topic: Topic, at: usize) -> Vec<Event<'_>> {
    let why = || {
        reason(
            line[at..]
                .trim_ascii()
                .strip_prefix(b"(")
                .map_or(&line[at..], |why| why.strip_suffix(b")").unwrap_or(why)),
        )
    };
    let mut events = vec![Event {
        topic,
        times: 1,
        reason: why(),
    }];
    if after(line, b"/lmtp[").is_some() {
        events.push(Event {
            topic: Topic::LmtpFailures,
            times: 1,
            reason: why(),
        });
    }
    events
}

/// Postfix names the client in brackets before `: SASL`; Dovecot's login processes count attempts,
/// and name it as `rip=`. Dovecot's own lines on why (with `auth_verbose`) are not counted beside
/// them.
fn auth_failure(line: &[u8]) -> Option<Event<'_>> {
    let (times, address) = match after(line, b"]: SASL ") {
        Some(at) if after(&line[at..], b"authentication failed").is_some() => {
            let head = &line[..at - b"]: SASL ".len()];
            (1, &head[memchr::memrchr(b'[', head)? + 1..])
        }
        _ => {
            let at = after(line, b"(auth failed, ")?;
            let from = after(line, b" rip=")?;
            (number(&line[at..]), &line[from..])
        }
    };
    let end = address
        .iter()
        .position(|byte| !(byte.is_ascii_hexdigit() || b".:".contains(byte)))
        .unwrap_or(address.len());
    Some(Event {
        topic: Topic::AuthFailures,
        times,
        reason: reason(&address[..end]),
    })
}

/// Dovecot's LMTP server: errors, and mail that could not be saved.
fn dovecot_lmtp(line: &[u8]) -> Option<Event<'_>> {
    let rest = &line[after(line, b"lmtp(")?..];
    let words: [&[u8]; 4] = [b": Error: ", b": Fatal: ", b": Panic: ", b": save failed "];
    let at = words.iter().find_map(|word| after(rest, word))?;
    // The part that is not of one message: after the last `: save failed to INBOX`.
    let why = after(rest, b"save failed to ").map_or(&rest[at..], |at| &rest[at..]);
    Some(Event {
        topic: Topic::LmtpFailures,
        times: 1,
        reason: reason(why),
    })
}

fn number(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).take(6);
    digits
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[(Topic, u64, &str)]) {
        let events = events(line.as_bytes());
        let found: Vec<_> = events
            .iter()
            .map(|event| (event.topic, event.times, &*event.reason))
            .collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn lines_that_postfix_3_7_wrote() {
        let refused = "connect to mail.test[private/dovecot-lmtp]: Connection refused";
        check(
            "Nov 25 08:19:48 mail postfix/lmtp[19228]: 63FD299699C: to=<bob@example.org>, relay=none, delay=0, \
             delays=0/0/0/0, dsn=4.4.1, status=deferred (connect to mail.test[private/dovecot-lmtp]: Connection refused)",
            &[
                (Topic::Deferred, 1, refused),
                (Topic::LmtpFailures, 1, refused),
            ],
        );
        check(
            "Nov 25 08:19:30 mail postfix/smtpd[19222]: warning: localhost[127.0.0.1]: SASL PLAIN authentication failed: \
             (reason unavailable), sasl_username=bob@example.org",
            &[(Topic::AuthFailures, 1, "127.0.0.1")],
        );
        check(
            "Nov 25 08:19:28 mail postfix/lmtp[19228]: 7ECA8996998: to=<alice@example.org>, relay=mail.test[private/dovecot-lmtp], \
             delay=0.03, delays=0/0.01/0.01/0, dsn=2.0.0, status=sent (250 2.0.0 <alice@example.org> G1QgIBCaBmsdSwAAg+zDdQ Saved)",
            &[],
        );
    }

    #[test]
    fn lines_that_dovecot_2_3_wrote() {
        check(
            "Nov 25 08:19:42 imap-login: Info: Disconnected: Aborted login by logging out (auth failed, 1 attempts in 2 secs): \
             user=<bob@example.org>, method=PLAIN, rip=127.0.0.1, lip=127.0.0.1, secured, session=<5mgGfRVhBJB/AAAB>",
            &[(Topic::AuthFailures, 1, "127.0.0.1")],
        );
        check(
            "Nov 25 08:04:27 imap-login: Info: Disconnected: Connection closed (no auth attempts in 0 secs): user=<>, rip=127.0.0.1",
            &[],
        );
        check("Nov 25 08:19:28 lmtp(19229): Info: Connect from local", &[]);
        check(
            "Nov 25 08:19:28 lmtp(alice@example.org)<19229><G1QgIBCaBmsdSwAAg+zDdQ>: Info: msgid=<1@mail.test>: saved mail to INBOX",
            &[],
        );
    }

    #[test]
    fn lines_of_their_documentation() {
        check(
            "2026-11-25T08:00:00.1+01:00 mx postfix/smtp[7]: 4BC: to=<x@example.net>, relay=mx.example.net[192.0.2.1]:25, delay=1, \
             dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.1.1 <x@example.net>: User unknown)",
            &[(
                Topic::Bounced,
                1,
                "host mx.example.net[192.0.2.1] said: 550 5.1.1 <...>: User unknown",
            )],
        );
        check(
            "Nov  8 18:37:35 vps postfix/submission/smtpd[2]: warning: unknown[2001:db8::1]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
            &[(Topic::AuthFailures, 1, "2001:db8::1")],
        );
        check(
            "Nov 25 08:00:00 mx dovecot: imap-login: Disconnected (auth failed, 3 attempts in 12 secs): user=<a>, method=PLAIN, \
             rip=198.51.100.7, lip=192.0.2.2, TLS",
            &[(Topic::AuthFailures, 3, "198.51.100.7")],
        );
        check(
            "Nov 25 08:00:00 mx dovecot: lmtp(a@example.org)<1><x>: msgid=<y@z>: save failed to INBOX: Quota exceeded (mailbox for user is full)",
            &[(
                Topic::LmtpFailures,
                1,
                "INBOX: Quota exceeded (mailbox for user is full)",
            )],
        );
        check(
            "Nov 25 08:00:00 lmtp(a@example.org)<1><x>: Error: open(/srv/mail) failed: Permission denied",
            &[(
                Topic::LmtpFailures,
                1,
                "open(/srv/mail) failed: Permission denied",
            )],
        );
    }
}
