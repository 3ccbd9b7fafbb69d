//! After how many days the rules of the bucket remove objects.

use mail_common::report::chain;
use rusoto_s3::{GetBucketLifecycleConfigurationRequest, LifecycleRule, S3};

use super::attempt::Patience;
use super::bucket::Bucket;
use crate::store::error::Cause;
use crate::store::object::Expiry;

impl Bucket {
    /// Of the rules that may take something below `prefix`, the one that is quickest.
    pub(super) async fn expiry(&self, prefix: &str) -> Result<Expiry, Cause> {
        let request = || GetBucketLifecycleConfigurationRequest {
            bucket: self.name.clone(),
            ..Default::default()
        };
        let answer = self
            .attempt(Patience::Short, || {
                self.client.get_bucket_lifecycle_configuration(request())
            })
            .await?;
        Ok(match answer {
            Ok(answer) => quickest(&answer.rules.unwrap_or_default(), &self.full(prefix)),
            Err(failure) if failure.has_code("NoSuchLifecycleConfiguration") => Expiry::Never,
            // It has no rules.
            Err(failure) if failure.is_not_implemented() => Expiry::Never,
            Err(failure) => match Cause::from(failure) {
                Cause::Denied { .. } => Expiry::Denied,
                cause => Expiry::Unknown(chain(&cause)),
            },
        })
    }
}

fn quickest(rules: &[LifecycleRule], prefix: &str) -> Expiry {
    let days = rules
        .iter()
        .filter(|rule| rule.status == "Enabled" && may_take(rule, prefix))
        .filter_map(|rule| {
            let expiration = rule.expiration.as_ref()?;
            // On the day that is named all goes, however young.
            let at_once = expiration.date.is_some().then_some(0);
            at_once.or(expiration.days)
        })
        .min();
    match days {
        None => Expiry::Never,
        Some(days) => Expiry::After(u32::try_from(days).unwrap_or_default()),
    }
}

/// Whether a rule is for anything below `prefix`. What it says of tags is not looked at: an object
/// may have them.
fn may_take(rule: &LifecycleRule, prefix: &str) -> bool {
    let filter = rule.filter.as_ref();
    let and = filter.and_then(|filter| filter.and.as_ref());
    let of_rule = filter
        .and_then(|filter| filter.prefix.as_deref())
        .or_else(|| and?.prefix.as_deref())
        .unwrap_or_default();
    prefix.starts_with(of_rule) || of_rule.starts_with(prefix)
}

#[cfg(test)]
mod tests {
    use rusoto_s3::{LifecycleExpiration, LifecycleRuleAndOperator, LifecycleRuleFilter};

    use super::*;

    fn rule(prefix: &str, days: Option<i64>) -> LifecycleRule {
        LifecycleRule {
            status: "Enabled".to_owned(),
            filter: Some(LifecycleRuleFilter {
                prefix: Some(prefix.to_owned()),
                ..Default::default()
            }),
            expiration: Some(LifecycleExpiration {
                days,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn the_quickest_rule_for_the_pool_counts() {
        let check = |rules: &[LifecycleRule], expected| {
            assert_eq!(quickest(rules, "mx1/pool/"), expected, "{rules:?}");
        };
        check(&[], Expiry::Never);
        check(&[rule("mx1/daily/", Some(40))], Expiry::Never);
        check(&[rule("mx1/pool/", None)], Expiry::Never);
        check(&[rule("", Some(40))], Expiry::After(40));
        check(&[rule("mx1/pool/ab", Some(9))], Expiry::After(9));
        let pool = rule("mx1/pool/", Some(200));
        check(std::slice::from_ref(&pool), Expiry::After(200));
        check(&[pool.clone(), rule("mx", Some(90))], Expiry::After(90));
        let off = LifecycleRule {
            status: "Disabled".to_owned(),
            ..rule("", Some(1))
        };
        check(&[off, pool.clone()], Expiry::After(200));
        let mut both = rule("", Some(60));
        both.filter = Some(LifecycleRuleFilter {
            and: Some(LifecycleRuleAndOperator {
                prefix: Some("mx2/".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        });
        check(&[both, pool.clone()], Expiry::After(200));
        let mut day = rule("mx1/", None);
        day.expiration = Some(LifecycleExpiration {
            date: Some("2026-12-31T00:00:00Z".to_owned()),
            ..Default::default()
        });
        check(&[day, pool], Expiry::After(0));
    }
}
