//! Lengths of time as people write them: `90s`, `10m`, `26h`, `8d`.

use std::fmt;
use std::time::Duration;

use mail_common::tool::human_duration;
use serde::Deserialize;

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(Duration);

/// It is none.
#[derive(Debug, thiserror::Error)]
#[error("not a length of time, such as \"90s\", \"10m\", \"26h\" or \"8d\"")]
pub(crate) struct NotASpan;

impl Span {
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub(crate) const fn minutes(minutes: u64) -> Self {
        Self::seconds(minutes * 60)
    }

    pub(crate) const fn hours(hours: u64) -> Self {
        Self::minutes(hours * 60)
    }

    pub(crate) const fn days(days: u64) -> Self {
        Self::hours(days * 24)
    }

    pub(crate) const fn duration(self) -> Duration {
        self.0
    }

    pub(crate) fn as_seconds(self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl TryFrom<String> for Span {
    type Error = NotASpan;

    fn try_from(text: String) -> Result<Self, NotASpan> {
        let unit = text.chars().last().ok_or(NotASpan)?;
        let number: u64 = text[..text.len() - unit.len_utf8()]
            .parse()
            .map_err(|_| NotASpan)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(NotASpan),
        };
        number
            .checked_mul(seconds)
            .filter(|seconds| *seconds > 0)
            .map(Self::seconds)
            .ok_or(NotASpan)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&human_duration(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_number_and_a_unit() {
        let check = |text: &str, expected: Option<&str>| {
            let span = Span::try_from(text.to_owned())
                .ok()
                .map(|span| span.to_string());
            assert_eq!(span.as_deref(), expected, "{text}");
        };
        check("90s", Some("1 min 30 s"));
        check("26h", Some("1 d 2 h"));
        check("8d", Some("8 d"));
        check("10m", Some("10 min"));
        for wrong in [
            "",
            "s",
            "5",
            "5w",
            "0s",
            "-1h",
            "1.5h",
            "99999999999999999999d",
            "5時",
        ] {
            check(wrong, None);
        }
    }
}
