//! What clamd answers to VERSION, and which signatures it has:
//! `ClamAV 1.4.6/27345/Mon Jul 15 08:29:54 2026`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::text::printable;

const MAX_CHARS: usize = 200;

/// A reply to VERSION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// As clamd writes it, made safe.
    pub text: String,
    /// When the signatures were made; `None` where clamd has none that tell.
    pub signatures: Option<Timestamp>,
}

impl Version {
    /// Reads the reply; `None` where it is not of ClamAV.
    #[must_use]
    pub fn parse(reply: &[u8]) -> Option<Self> {
        let reply = reply.strip_suffix(b"\0").unwrap_or(reply);
        let text: String = printable(std::str::from_utf8(reply).ok()?.trim())
            .chars()
            .take(MAX_CHARS)
            .collect();
        if !text.starts_with("ClamAV ") {
            return None;
        }
        let signatures = text.splitn(3, '/').nth(2).and_then(parse_date);
        Some(Self { text, signatures })
    }

    /// How old the signatures are, in days.
    #[must_use]
    pub fn age_days(&self, now: Timestamp) -> Option<f64> {
        Some((now.as_second() - self.signatures?.as_second()) as f64 / 86_400.0)
    }
}

/// clamd writes its local time without the zone; a day more or less does not matter here.
fn parse_date(text: &str) -> Option<Timestamp> {
    let squeezed = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let time = DateTime::strptime("%a %b %d %H:%M:%S %Y", squeezed).ok()?;
    // Without signatures that tell, clamd may name the year 1970.
    time.to_zoned_datetime(TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
        .filter(|time| time.as_second() > 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let check = |reply: &[u8], expected: Option<(&str, Option<&str>)>| {
            let version = Version::parse(reply);
            let found = version
                .as_ref()
                .map(|v| (v.text.as_str(), v.signatures.map(|time| time.to_string())));
            let expected = expected.map(|(text, time)| (text, time.map(str::to_owned)));
            assert_eq!(found, expected);
        };
        let dated = "ClamAV 1.4.6/27345/Wed Jul 15 08:29:54 2026";
        check(
            format!("{dated}\0").as_bytes(),
            Some((dated, Some("2026-07-15T08:29:54Z"))),
        );
        let padded = "ClamAV 1.4.6/27345/Sun Nov  1 08:29:54 2026";
        check(
            padded.as_bytes(),
            Some((padded, Some("2026-11-01T08:29:54Z"))),
        );
        check(b"ClamAV 1.4.6\0", Some(("ClamAV 1.4.6", None)));
        check(
            b"ClamAV 1.4.6/27345/nonsense",
            Some(("ClamAV 1.4.6/27345/nonsense", None)),
        );
        check(b"PONG\0", None);
        check(b"", None);
        check(b"ClamAV \xff", None);
    }

    #[test]
    fn age_is_counted_in_days() {
        let version = Version::parse(b"ClamAV 1.4.6/1/Sun Nov  1 00:00:00 2026").unwrap();
        let now: Timestamp = "2026-11-09T12:00:00Z".parse().unwrap();
        assert_eq!(version.age_days(now), Some(8.5));
    }
}
