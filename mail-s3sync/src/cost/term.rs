//! Storage classes that are billed for longer than anything stays in them.

use std::sync::atomic::{AtomicBool, Ordering};

use mail_common::record::{Record, Warning};
use mail_common::set::SetKind;
use mail_common::tool::Session;

use super::prices::Prices;
use crate::keep::Keep;

/// What such a warning is called in records.
const RULE: &str = "billed-longer";

/// Where objects lie, and so what ends their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// With a set of that kind.
    Sets(SetKind),
    /// In the pool.
    Pool,
}

/// Warns of such a class, once a run.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) prices: Prices,
    pub(crate) keep: Keep,
    is_said: AtomicBool,
}

impl Terms {
    pub(crate) fn new(prices: Prices, keep: Keep) -> Self {
        Self {
            prices,
            keep,
            is_said: AtomicBool::new(false),
        }
    }

    /// Warns, on stderr and in the records, where a class is billed for longer than what lies there
    /// stays.
    pub(crate) fn warn_once(&self, session: &Session, class: &str, place: Where) {
        let Some(message) = fault(self.prices.least_days(class), class, place, &self.keep) else {
            return;
        };
        if self.is_said.swap(true, Ordering::Relaxed) {
            return;
        }
        session.report.warning(&message);
        session.emit(&Record::Warning(Warning {
            rule: RULE.to_owned(),
            message,
        }));
    }
}

fn fault(least: u32, class: &str, place: Where, keep: &Keep) -> Option<String> {
    match place {
        Where::Sets(kind) => {
            let (days, setting) = (keep.days(kind), Keep::setting(kind));
            (days < least).then(|| {
                format!(
                    "each object of the class {class} is billed for {least} days at the least, and \
                     {kind} sets are kept for {days} ({setting}): the days in between are paid \
                     for nothing; keep sets for longer, or use another class"
                )
            })
        }
        Where::Pool => {
            let days = keep.rewritten_after();
            (days < least).then(|| {
                format!(
                    "each object of the class {class} is billed for {least} days at the least, and \
                     what is in use in the pool is written again after {days}: the days in between \
                     are paid twice; set S3_POOL_DAYS to {} or more, or use another class",
                    keep.pool + least - days
                )
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mail_common::config::{Config, Environment};

    use super::*;

    #[test]
    fn a_class_is_billed_too_long_for_plain_sets_or_for_a_pool() {
        let keep = |text: &str| {
            let (path, none) = (Path::new("/etc/x"), Environment::default());
            Keep::new(&Config::parse(text.as_bytes(), path, none).unwrap()).unwrap()
        };
        let check = |text: &str, place, least, part: Option<&str>| {
            let found = fault(least, "GLACIER_IR", place, &keep(text));
            match part {
                Some(part) => assert!(found.as_ref().unwrap().contains(part), "{found:?}"),
                None => assert_eq!(found, None),
            }
        };
        let (daily, weekly) = (Where::Sets(SetKind::Daily), Where::Sets(SetKind::Weekly));
        check(
            "",
            daily,
            90,
            Some("daily sets are kept for 40 (S3_KEEP_DAILY)"),
        );
        check("", daily, 40, None);
        check("", weekly, 90, None);
        // 200 days, less the 100 of the longest kind and three.
        check("", Where::Pool, 90, None);
        check("", Where::Pool, 98, Some("S3_POOL_DAYS to 201"));
        check("S3_POOL_DAYS=110", Where::Pool, 90, Some("after 7"));
        check(
            "S3_POOL_DAYS=110",
            Where::Pool,
            90,
            Some("S3_POOL_DAYS to 193"),
        );
        check("S3_POOL_DAYS=193", Where::Pool, 90, None);
    }
}
