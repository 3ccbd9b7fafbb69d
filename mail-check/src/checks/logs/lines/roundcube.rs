//! Lines of Roundcube: its `errors` and `userlogins`, in files or by way of syslog.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::super::tally::Topic;
use super::event::{Event, address, reason};

/// `[22-Nov-2026 08:00:00 +0000]: <session> `, or what syslog puts before it.
static HEAD: LazyLock<Regex> = LazyLock::new(|| {
    let own = r"\[\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d(?:\.\d+)? [^\]]*\]:";
    let syslog = r"\S.{0,100} roundcube(?:\[\d+\])?:";
    Regex::new(&format!(r"^\s*(?:{own}|{syslog}) (?:<\w+> )?")).expect("the tests compile it")
});

/// `IMAP Error: ` and the like (rcube::log_bug).
static ERROR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[A-Za-z]{2,12} Error: ").expect("the tests compile it"));

/// What a line of Roundcube tells; `None` for a line of another kind. A failed login is no error of
/// Roundcube.
pub(super) fn read(line: &[u8]) -> Option<Option<Event<'_>>> {
    let said = &line[HEAD.find(line)?.end()..];
    let error = ERROR.find(said).map_or(0, |found| found.end());
    let words = [
        "Login failed for ",
        "Failed login for ",
        "FAILED login for ",
    ];
    let is_login = |word: &&&str| said[error..].starts_with(word.as_bytes());
    if let Some(word) = words.iter().find(is_login) {
        return Some(Some(Event {
            topic: Topic::AuthFailures,
            times: 1,
            reason: client(&said[error + word.len()..]),
        }));
    }
    Some((error > 0).then(|| Event {
        topic: Topic::ApiErrors,
        times: 1,
        reason: reason(said),
    }))
}

/// The address after the last ` from ` before what the IMAP server said. Before it stands what the
/// client gave as its name, and after it what the server said of that: both may imitate it.
fn client(login: &[u8]) -> Cow<'_, str> {
    let ends = [&b". AUTHENTICATE "[..], b". LOGIN", b" user="];
    let end = ends.iter().find_map(|end| memchr::memmem::find(login, end));
    let login = &login[..end.unwrap_or(login.len())];
    let from = memchr::memmem::rfind(login, b" from ");
    let found = from.map_or(&[][..], |at| address(&login[at + b" from ".len()..]));
    match found.strip_suffix(b".").unwrap_or(found) {
        [] => "an address that is not in the line".into(),
        found => reason(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_logins_are_counted_by_the_address_that_no_name_can_imitate() {
        let check = |line: &str, expected: &str| {
            let event = read(line.as_bytes()).unwrap().unwrap();
            assert_eq!(event.topic, Topic::AuthFailures, "{line}");
            assert_eq!(event.reason, expected, "{line}");
        };
        let own = "[28-Nov-2026 08:00:00 +0000]: <a1b2c3> ";
        let php = "in /srv/rc/rcube_imap.php on line 221 (POST /?_task=login)";
        check(
            &format!(
                "{own}IMAP Error: Login failed for ann@example.org against imap from 192.0.2.7. AUTHENTICATE PLAIN: no. {php}"
            ),
            "192.0.2.7",
        );
        check(
            &format!(
                "{own}IMAP Error: Login failed for x from 198.51.100.1. from 192.0.2.8(X-Real-IP: 192.0.2.9). AUTHENTICATE PLAIN: no user=x from 198.51.100.1. {php}"
            ),
            "192.0.2.8",
        );
        check(
            &format!("{own}Failed login for ann from 2001:db8::7 in session 1z506z6rv (error: 0)"),
            "2001:db8::7",
        );
        check(
            "Nov 28 08:00:00 web roundcube[7]: <a1> IMAP Error: Login failed for ann from 192.0.2.10. LOGIN: no",
            "192.0.2.10",
        );
        check(
            "[28-Nov-2026 08:00:00 +0000]: FAILED login for ann from 192.0.2.11",
            "192.0.2.11",
        );
    }

    #[test]
    fn errors_are_told_and_other_lines_are_not() {
        let own = "[28-Nov-2026 08:00:00 +0000]: <a1b2c3> ";
        let error = format!("{own}DB Error: [1045] Access denied in /srv/rc/db.php on line 3");
        let event = read(error.as_bytes()).unwrap().unwrap();
        assert_eq!(event.topic, Topic::ApiErrors);
        assert!(
            event.reason.starts_with("DB Error: [1045]"),
            "{}",
            event.reason
        );
        let login = format!("{own}Successful login for ann (ID: 3) from 192.0.2.7 in session x");
        assert_eq!(read(login.as_bytes()), Some(None));
        assert_eq!(
            read(b"192.0.2.7 - - [28/Nov/2026:08:00:00 +0000] \"GET / HTTP/1.1\" 200 1"),
            None
        );
    }
}
