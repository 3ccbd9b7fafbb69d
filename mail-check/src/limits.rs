//! From which value on a check is a warning, and from which on it is critical.

use serde::Deserialize;

use crate::status::Status;

/// Large values are bad: a warning from `warning` on, critical from `critical` on.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Pair")]
pub(crate) struct Ceiling {
    pub(crate) warning: Option<f64>,
    pub(crate) critical: Option<f64>,
}

/// Small values are bad: a warning below `warning`, critical below `critical`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Pair")]
pub(crate) struct Floor {
    pub(crate) warning: Option<f64>,
    pub(crate) critical: Option<f64>,
}

/// As the file of checks has it: `{ warning = 80, critical = 95 }`, of which one may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    warning: Option<f64>,
    critical: Option<f64>,
}

/// Why a pair of limits cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotLimits(String);

impl Ceiling {
    pub(crate) const fn new(warning: f64, critical: f64) -> Self {
        Self {
            warning: Some(warning),
            critical: Some(critical),
        }
    }

    /// A warning, never critical.
    pub(crate) const fn warning(warning: f64) -> Self {
        Self {
            warning: Some(warning),
            critical: None,
        }
    }

    /// Critical, with no warning before.
    pub(crate) const fn critical(critical: f64) -> Self {
        Self {
            warning: None,
            critical: Some(critical),
        }
    }

    pub(crate) fn judge(self, value: f64) -> Status {
        match self {
            _ if self.critical.is_some_and(|limit| value >= limit) => Status::Critical,
            _ if self.warning.is_some_and(|limit| value >= limit) => Status::Warning,
            _ => Status::Ok,
        }
    }
}

impl Floor {
    pub(crate) const fn new(warning: f64, critical: f64) -> Self {
        Self {
            warning: Some(warning),
            critical: Some(critical),
        }
    }

    pub(crate) fn judge(self, value: f64) -> Status {
        match self {
            _ if self.critical.is_some_and(|limit| value < limit) => Status::Critical,
            _ if self.warning.is_some_and(|limit| value < limit) => Status::Warning,
            _ => Status::Ok,
        }
    }
}

impl TryFrom<Pair> for Ceiling {
    type Error = NotLimits;

    fn try_from(pair: Pair) -> Result<Self, NotLimits> {
        match pair.checked()? {
            (Some(warning), Some(critical)) if critical < warning => Err(NotLimits(format!(
                "`critical` ({critical}) must not be below `warning` ({warning})"
            ))),
            (warning, critical) => Ok(Self { warning, critical }),
        }
    }
}

impl TryFrom<Pair> for Floor {
    type Error = NotLimits;

    fn try_from(pair: Pair) -> Result<Self, NotLimits> {
        match pair.checked()? {
            (Some(warning), Some(critical)) if critical > warning => Err(NotLimits(format!(
                "`critical` ({critical}) must not be above `warning` ({warning}): \
                     here small values are bad"
            ))),
            (warning, critical) => Ok(Self { warning, critical }),
        }
    }
}

impl Pair {
    fn checked(self) -> Result<(Option<f64>, Option<f64>), NotLimits> {
        let mut given = [self.warning, self.critical].into_iter().flatten();
        if !given.clone().all(|limit| limit.is_finite() && limit >= 0.0) {
            let why = "a limit must be a number of 0 or more";
            return Err(NotLimits(why.to_owned()));
        }
        if given.next().is_none() {
            let why = "a limit needs `warning`, `critical` or both, \
                       such as { warning = 80, critical = 95 }";
            return Err(NotLimits(why.to_owned()));
        }
        Ok((self.warning, self.critical))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        high: Option<Ceiling>,
        low: Option<Floor>,
    }

    #[test]
    fn a_limit_itself_is_over_a_ceiling_and_not_under_a_floor() {
        let file: File =
            toml::from_str("high = { warning = 80, critical = 95.5 }\nlow = { warning = 30 }")
                .unwrap();
        let (high, low) = (file.high.unwrap(), file.low.unwrap());
        assert_eq!(
            [79.9, 80.0, 95.4, 95.5].map(|value| high.judge(value)),
            [
                Status::Ok,
                Status::Warning,
                Status::Warning,
                Status::Critical
            ]
        );
        assert_eq!(
            [30.0, 29.9, 0.0].map(|value| low.judge(value)),
            [Status::Ok, Status::Warning, Status::Warning]
        );
    }

    #[test]
    fn limits_that_make_no_sense_are_refused_with_their_line() {
        let check = |text: &str, expected: &str| {
            let error = toml::from_str::<File>(text).unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.contains("line 1"),
                "{text}: {error}"
            );
        };
        check(
            "high = { warning = 95, critical = 80 }",
            "must not be below",
        );
        check("low = { warning = 5, critical = 30 }", "must not be above");
        check("high = {}", "needs `warning`");
        check("high = { warning = -1 }", "0 or more");
        check("high = { warn = 1 }", "unknown field");
    }
}
