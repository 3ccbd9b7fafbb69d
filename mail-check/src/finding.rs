//! What a check found, as the logic has it; the record is made of it at the end.

use std::collections::BTreeMap;

use mail_common::record::Check;

use crate::limits::{Ceiling, Floor};
use crate::status::Status;

/// What a check found of one target.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    /// The check, such as `disk`.
    pub(crate) name: String,
    /// What was checked, such as `/mnt/backup-hdd`.
    pub(crate) target: String,
    pub(crate) status: Status,
    pub(crate) measure: Option<Measure>,
    /// A sentence for people: what is wrong, and what to do next.
    pub(crate) message: String,
}

/// What was measured, and its limits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measure {
    pub(crate) value: f64,
    /// Such as `percent`, `seconds`, `days`, `bytes`.
    pub(crate) unit: &'static str,
    pub(crate) warning: Option<f64>,
    pub(crate) critical: Option<f64>,
    /// Which values the limits are against.
    pub(crate) bad: Bad,
}

/// Which values are bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    Large,
    Small,
}

/// The target of a check that was asked for and that nobody configured.
pub(crate) const NOT_CONFIGURED: &str = "configuration";

impl Finding {
    /// Whether it says that there is nothing to check. That is unknown to whoever asks, and no
    /// reason to wake anybody: the host may have nothing of the kind.
    pub(crate) fn is_not_configured(&self) -> bool {
        self.status == Status::Unknown && self.target == NOT_CONFIGURED
    }

    pub(crate) fn new(
        status: Status,
        name: impl Into<String>,
        target: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            target: target.into(),
            status,
            measure: None,
            message: message.into(),
        }
    }

    pub(crate) fn ok(
        name: impl Into<String>,
        target: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(Status::Ok, name, target, message)
    }

    pub(crate) fn warning(
        name: impl Into<String>,
        target: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(Status::Warning, name, target, message)
    }

    pub(crate) fn critical(
        name: impl Into<String>,
        target: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(Status::Critical, name, target, message)
    }

    pub(crate) fn unknown(
        name: impl Into<String>,
        target: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(Status::Unknown, name, target, message)
    }

    /// Adds what was measured, and judges it by `limits`: the status becomes the worse of the two.
    pub(crate) fn under(mut self, value: f64, unit: &'static str, limits: Ceiling) -> Self {
        self.status = self.status.max(limits.judge(value));
        self.with_measure(value, unit, (limits.warning, limits.critical), Bad::Large)
    }

    /// As [`Finding::under`], where small values are bad.
    pub(crate) fn above(mut self, value: f64, unit: &'static str, limits: Floor) -> Self {
        self.status = self.status.max(limits.judge(value));
        self.with_measure(value, unit, (limits.warning, limits.critical), Bad::Small)
    }

    /// Adds what was measured, without limits.
    pub(crate) fn measured(self, value: f64, unit: &'static str) -> Self {
        self.with_measure(value, unit, (None, None), Bad::Large)
    }

    fn with_measure(
        mut self,
        value: f64,
        unit: &'static str,
        (warning, critical): (Option<f64>, Option<f64>),
        bad: Bad,
    ) -> Self {
        self.measure = Some(Measure {
            value: rounded(value),
            unit,
            warning,
            critical,
            bad,
        });
        self
    }
}

impl From<&Finding> for Check {
    fn from(finding: &Finding) -> Self {
        let measure = finding.measure.as_ref();
        Self {
            name: finding.name.clone(),
            target: finding.target.clone(),
            status: finding.status,
            value: measure.map(|measure| measure.value),
            unit: measure.map(|measure| measure.unit.to_owned()),
            warning: measure.and_then(|measure| measure.warning),
            critical: measure.and_then(|measure| measure.critical),
            message: finding.message.clone(),
        }
    }
}

/// A check that another run made; limits and value stay in its record.
impl From<&Check> for Finding {
    fn from(check: &Check) -> Self {
        Self::new(check.status, &check.name, &check.target, &check.message)
    }
}

/// The worst of all; nothing checked is unknown, never ok.
pub(crate) fn worst_of(findings: &[Finding]) -> Status {
    findings
        .iter()
        .map(|finding| finding.status)
        .max()
        .unwrap_or(Status::Unknown)
}

/// Each target of each check once, with the worst that was found of it.
pub(crate) fn worst_by_target(findings: &[Finding]) -> Vec<&Finding> {
    let mut worst: BTreeMap<(&str, &str), &Finding> = BTreeMap::new();
    for finding in findings {
        let known = worst
            .entry((&finding.name, &finding.target))
            .or_insert(finding);
        if finding.status > known.status {
            *known = finding;
        }
    }
    worst.into_values().collect()
}

/// To three decimals: records are read by people too. What is next to nothing has no sign.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_judges_and_is_in_the_record() {
        let finding =
            Finding::ok("disk", "/", "80 % used").under(80.0, "percent", Ceiling::new(80.0, 95.0));
        let check = Check::from(&finding);
        assert_eq!(
            (check.status, check.value, check.critical),
            (Status::Warning, Some(80.0), Some(95.0))
        );
        // What is already worse stays so.
        let down = Finding::critical("imap", "host", "down").under(
            0.1,
            "seconds",
            Ceiling::new(5.0, 10.0),
        );
        assert_eq!(down.status, Status::Critical);
    }
}
