//! What the store will hold once it keeps as many sets as it is to keep, while the mail grows as it
//! does now. What is not known exactly is taken for the larger.

use std::collections::HashSet;

use jiff::civil::Date;
use mail_common::checksum::Sha256;
use mail_common::record::Forecast;
use mail_common::set::{SetId, SetKind};

use super::bill::{Bill, rounded};
use super::prices::Prices;
use crate::keep::Keep;
use crate::layout::Layout;
use crate::remote::{Error, Pool, RemoteSet, SetName};
use crate::store::{LockMode, Protection};

/// How many days a version that was replaced stays, by the rule that the guide makes.
const NONCURRENT_DAYS: u32 = 7;
const HOURS_PER_DAY: u64 = 24;

/// How the sets of a kind grow, from the oldest to the newest that is whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Growth {
    layout: Layout,
    days: u32,
    /// What the oldest and the newest hold.
    oldest_bytes: u64,
    newest_bytes: u64,
    /// What those after the oldest brought.
    added_bytes: u64,
    /// What the newest has for itself alone.
    own_bytes: u64,
}

/// How many sets there will be of a kind that is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    kind: SetKind,
    sets: u64,
    keep_days: u32,
}

/// How long what is replaced stays in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replaced {
    days: u32,
}

/// What is replaced is gone at once in a bucket without versions; else it stays until a rule takes
/// it, and a lock for as long as sets are kept lets it.
pub(crate) fn replaced(
    protection: Option<Protection>,
    lock: Option<LockMode>,
    keep: &Keep,
) -> Replaced {
    let versioning = protection.map_or(Some(false), |protection| protection.versioning);
    let days = match (versioning, lock) {
        (Some(false), _) => 0,
        (_, Some(_)) => keep.longest().max(NONCURRENT_DAYS),
        (_, None) => NONCURRENT_DAYS,
    };
    Replaced { days }
}

impl Kept {
    /// What will be kept of each kind of which there is a set.
    pub(crate) fn of(names: &[SetName], keep: &Keep) -> Vec<Self> {
        let kept = SetKind::ALL.into_iter().map(|kind| {
            let days = keep.days(kind);
            let sets = match kind {
                SetKind::Daily => u64::from(days),
                SetKind::Weekly => u64::from(days).div_ceil(7),
                SetKind::Hourly => u64::from(days) * hours_a_day(names),
            };
            Self {
                kind,
                sets,
                keep_days: days,
            }
        });
        let is_there = |kept: &Self| names.iter().any(|name| name.id().kind() == kept.kind);
        kept.filter(is_there).collect()
    }
}

/// As many hourly sets as the fullest day has.
fn hours_a_day(names: &[SetName]) -> u64 {
    let ids = names.iter().map(|name| name.id());
    let hourly = ids.filter(|id| id.kind() == SetKind::Hourly);
    let dates: Vec<Date> = hourly.map(SetId::date).collect();
    let of_day = |date: &Date| dates.iter().filter(|other| *other == date).count() as u64;
    dates.iter().map(of_day).max().unwrap_or(HOURS_PER_DAY)
}

/// How the daily sets grow, or else the weekly ones; `None` while there are no two that are whole,
/// of different days.
pub(crate) fn growth(pool: &Pool<'_>, names: &[SetName]) -> Result<Option<Growth>, Error> {
    for kind in [SetKind::Daily, SetKind::Weekly] {
        let mut sets: Vec<SetName> = names.to_vec();
        sets.retain(|name| name.id().kind() == kind && !name.is_incomplete());
        sets.sort();
        if let Some(growth) = growth_of(pool, &sets)? {
            return Ok(Some(growth));
        }
    }
    Ok(None)
}

fn growth_of(pool: &Pool<'_>, names: &[SetName]) -> Result<Option<Growth>, Error> {
    let mut seen: HashSet<Sha256> = HashSet::new();
    let (mut oldest, mut newest, mut added_bytes) = (None, None, 0);
    for name in names {
        let set = RemoteSet::read(pool, *name)?;
        let Some(contents) = set.contents.as_ref().filter(|_| set.is_complete()) else {
            continue;
        };
        let mut new_bytes = 0;
        for entry in &contents.entries {
            let bytes = set.object(entry).map_or(0, |object| object.bytes);
            if seen.insert(entry.stored) {
                new_bytes += bytes;
            }
        }
        let bytes = set.objects().map(|object| object.bytes).sum::<u64>();
        match oldest {
            None => oldest = Some((name.id().date(), bytes)),
            Some(_) => added_bytes += new_bytes,
        }
        let own_bytes = set.listed.values().map(|object| object.bytes).sum();
        newest = Some((name.id().date(), bytes, own_bytes, contents.layout));
    }
    Ok(oldest
        .zip(newest)
        .and_then(|((from, first), (to, last, own, layout))| {
            let days = u32::try_from((to - from).get_days()).ok();
            Some(Growth {
                layout,
                days: days.filter(|days| *days > 0)?,
                oldest_bytes: first,
                newest_bytes: last,
                added_bytes,
                own_bytes: own,
            })
        }))
}

impl Growth {
    fn daily_bytes(&self) -> f64 {
        self.added_bytes as f64 / f64::from(self.days)
    }

    /// By how much a set grows; never less than nothing.
    fn larger_daily(&self) -> f64 {
        let larger = self.newest_bytes.saturating_sub(self.oldest_bytes);
        larger as f64 / f64::from(self.days)
    }
}

/// What there will be, and what it costs. `bill` is what is there now.
pub(crate) fn forecast(
    growth: &Growth,
    kept: &[Kept],
    replaced: Replaced,
    keep: &Keep,
    bill: &Bill,
    prices: &Prices,
) -> Forecast {
    let class = bill.main_class().unwrap_or(super::prices::STANDARD);
    let least_days = prices.least_days(class);
    let (days, current, noncurrent) = match growth.layout {
        Layout::Pool => pooled(growth, kept, replaced, keep, least_days),
        Layout::Plain => plain(growth, kept, replaced, least_days),
    };
    let billed = (current + noncurrent) * bill.billed_part(class);
    Forecast {
        days,
        sets: kept
            .iter()
            .map(|kept| (kept.kind.name().to_owned(), kept.sets))
            .collect(),
        daily_bytes: growth.daily_bytes() as u64,
        bytes: (current + noncurrent) as u64,
        noncurrent_bytes: noncurrent as u64,
        monthly_usd: prices.of_month(class, billed as u64).map(rounded),
    }
}

/// The pool is full when its rule takes the first object: then it has what the sets use, and at most
/// all that was written since.
fn pooled(
    growth: &Growth,
    kept: &[Kept],
    replaced: Replaced,
    keep: &Keep,
    least_days: u32,
) -> (u32, f64, f64) {
    let written = growth.daily_bytes() * f64::from(keep.pool.max(least_days));
    let in_use = growth.newest_bytes.saturating_sub(growth.own_bytes) as f64;
    let own = |kept: &Kept| {
        let stays = kept.keep_days.max(least_days);
        let longer = f64::from(stays) / f64::from(kept.keep_days);
        growth.own_bytes as f64 * kept.sets as f64 * longer
    };
    let own: f64 = kept.iter().map(own).sum();
    // What is in use is written again, and the version before stays for a while.
    let cycle = keep.rewritten_after().max(1);
    let lingers = replaced.days.max(least_days.saturating_sub(cycle));
    let again = in_use / f64::from(cycle) * f64::from(lingers);
    let expired = growth.daily_bytes() * f64::from(replaced.days.min(NONCURRENT_DAYS));
    (keep.pool, in_use + written + own, again + expired)
}

/// Each set is a whole copy, the older ones smaller.
fn plain(growth: &Growth, kept: &[Kept], replaced: Replaced, least_days: u32) -> (u32, f64, f64) {
    let horizon = kept.iter().map(|kept| kept.keep_days).max().unwrap_or(0);
    let then = growth.newest_bytes as f64 + growth.larger_daily() * f64::from(horizon);
    let (mut current, mut noncurrent) = (0.0, 0.0);
    for kept in kept {
        let keep_days = f64::from(kept.keep_days);
        let average = then - growth.larger_daily() * (keep_days - 1.0) / 2.0;
        let longer = f64::from(kept.keep_days.max(least_days)) / keep_days;
        let of_kind = average * kept.sets as f64;
        current += of_kind * longer;
        noncurrent += of_kind / keep_days * f64::from(replaced.days.min(NONCURRENT_DAYS));
    }
    (horizon, current, noncurrent)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mail_common::config::{Config, Environment};

    use super::*;

    const GIB: u64 = 1 << 30;
    const LOCK: Option<LockMode> = Some(LockMode::Compliance);

    fn versions(versioning: Option<bool>) -> Option<Protection> {
        Some(Protection {
            versioning,
            ..Protection::default()
        })
    }

    fn keep() -> Keep {
        let config = Config::parse(b"", Path::new("/etc/x"), Environment::default());
        Keep::new(&config.unwrap()).unwrap()
    }

    /// Ten days, in which sets grew from 100 to 110 GiB and 20 GiB were new.
    fn growing(layout: Layout) -> Growth {
        Growth {
            layout,
            days: 10,
            oldest_bytes: 100 * GIB,
            newest_bytes: 110 * GIB,
            added_bytes: 20 * GIB,
            own_bytes: match layout {
                Layout::Pool => 10 * GIB,
                Layout::Plain => 110 * GIB,
            },
        }
    }

    fn check(layout: Layout, kept: &[Kept], replaced: Replaced, days: u32, gib: (u64, u64)) {
        let mut bill = Bill::default();
        let prices = Prices::of_aws();
        bill.add(&prices, "STANDARD", GIB);
        let found = forecast(&growing(layout), kept, replaced, &keep(), &bill, &prices);
        assert_eq!((found.days, found.daily_bytes), (days, 2 * GIB));
        let near = |bytes: u64, gib: u64| (bytes as f64 / GIB as f64 - gib as f64).abs() < 1.0;
        assert!(near(found.bytes, gib.0), "{found:?}");
        assert!(near(found.noncurrent_bytes, gib.1), "{found:?}");
        let usd = found.bytes as f64 / GIB as f64 * 0.023;
        assert!(
            (found.monthly_usd.unwrap() - usd).abs() < 0.001,
            "{found:?}"
        );
    }

    #[test]
    fn a_pool_holds_what_is_in_use_and_what_was_written_in_its_days() {
        let names = ["daily/2026-11-23".parse().unwrap()];
        let kept = Kept::of(&names, &keep());
        assert_eq!(kept.len(), 1);
        // 100 in use, 200 days of 2, 40 sets of 10 for themselves.
        let none = replaced(versions(Some(false)), LOCK, &keep());
        check(Layout::Pool, &kept, none, 200, (900, 0));
        // A week of what expired, 14; what is in use, 100, is written again every 97 days.
        let week = replaced(versions(Some(true)), None, &keep());
        check(Layout::Pool, &kept, week, 200, (921, 21));
        // It stays locked for a hundred days.
        let locked = replaced(versions(None), LOCK, &keep());
        check(Layout::Pool, &kept, locked, 200, (1017, 117));
    }

    #[test]
    fn plain_sets_are_whole_copies_that_grow() {
        let names = ["daily/2026-11-23", "weekly/2026-week-47"].map(|name| name.parse().unwrap());
        let kept = Kept::of(&names, &keep());
        // In a hundred days a set has 210; on average 190.5 of the last 40, 160.5 of the last 100.
        let none = replaced(None, None, &keep());
        check(
            Layout::Plain,
            &kept,
            none,
            100,
            (40 * 190 + 20 + 15 * 160 + 8, 0),
        );
    }

    #[test]
    fn hourly_sets_are_as_many_as_on_the_fullest_day() {
        let names = [
            "hourly/2026-11-23T0200",
            "hourly/2026-11-23T0300",
            "hourly/2026-11-24T0200",
        ];
        let names = names.map(|name| name.parse().unwrap());
        let kept = Kept::of(&names, &keep());
        assert_eq!((kept[0].sets, kept[0].keep_days), (14, 7));
    }
}
