//! What a store holds, and what that costs a month, now and when as much is kept as is to be: all
//! versions of all objects, and parts of unfinished uploads.
//!
//! Requests, traffic and tax are not in the estimate.

use std::collections::BTreeSet;

use mail_common::exit::Exit;
use mail_common::record::{Forecast, Record, Usage};
use mail_common::set::SetKind;
use mail_common::tool::{Session, Totals, human_size};

use crate::cost::{Bill, Kept, S3_PRICES, Terms, Where, forecast, growth, replaced, rounded};
use crate::layout::POOL;
use crate::location::Location;
use crate::plan::{Horizon, UsageWork};
use crate::remote::{Error, Pool, names};
use crate::store::{NotListed, ObjectStore, StoreError, Withheld};

/// Writes a record of what the store holds.
pub(crate) fn usage(
    store: &dyn ObjectStore,
    location: &Location,
    work: &UsageWork,
    session: &Session,
    totals: &mut Totals,
) -> Result<Exit, Error> {
    let prices = &work.prices;
    let (bill, not_listed) = bill_of(store, work, session)?;
    let not_priced = bill.not_priced(prices);
    for class in &not_priced {
        session.report.warning(format!(
            "no price is known for the storage class {class}; set it in {S3_PRICES}"
        ));
    }
    warn_of_terms(store, &bill, work, session)?;
    let forecast = match work.horizon {
        Horizon::Now => None,
        Horizon::Forecast => forecast_of(store, &bill, work, session)?,
    };
    let usage = Usage {
        url: location.to_string(),
        objects: bill.objects(),
        bytes: bill.bytes(),
        monthly_usd: bill.of_month(prices).map(rounded),
        by_storage_class: bill.by_class(prices),
        not_priced,
        prices_taken: prices.taken().map(|date| date.to_string()),
        not_listed: not_listed.iter().map(|part| part.what.to_owned()).collect(),
        forecast,
    };
    totals.add("objects", usage.objects);
    totals.add("bytes", usage.bytes);
    if let Some(forecast) = &usage.forecast {
        summarize(&usage, forecast, session);
    }
    session.emit(&Record::Usage(usage));
    Ok(Exit::Done)
}

fn bill_of(
    store: &dyn ObjectStore,
    work: &UsageWork,
    session: &Session,
) -> Result<(Bill, Vec<NotListed>), StoreError> {
    let mut bill = Bill::default();
    let not_listed = store.billed("", &mut |billed| {
        bill.add(&work.prices, &billed.storage_class, billed.bytes);
    })?;
    for part in &not_listed {
        session.report.warning(missing(part));
    }
    Ok((bill, not_listed))
}

/// What the figures lack, and why.
fn missing(part: &NotListed) -> String {
    let what = part.what;
    let why = match part.why {
        Withheld::Absent => format!("this store cannot list {what}"),
        Withheld::Denied(action) => format!("these keys may not list {what} ({action})"),
    };
    format!("{why}: if there are any, they are not in these figures")
}

/// Warns of a class that is billed for longer than what lies in it stays.
fn warn_of_terms(
    store: &dyn ObjectStore,
    bill: &Bill,
    work: &UsageWork,
    session: &Session,
) -> Result<(), StoreError> {
    let classes = bill.classes();
    let mut limited = classes.filter(|class| work.prices.least_days(class) > 0);
    let Some(first) = limited.next() else {
        return Ok(());
    };
    let there: BTreeSet<String> = store.directories("")?.into_iter().collect();
    let kinds = SetKind::ALL.into_iter();
    let kinds = kinds.filter(|kind| there.contains(kind.name()));
    let places: Vec<Where> = if there.contains(POOL.trim_end_matches('/')) {
        vec![Where::Pool]
    } else {
        kinds.map(Where::Sets).collect()
    };
    let terms = Terms::new(work.prices.clone(), work.keep);
    for class in std::iter::once(first).chain(limited) {
        for place in &places {
            terms.warn_once(session, class, *place);
        }
    }
    Ok(())
}

/// What there will be; `None` while two whole sets do not show how the mail grows.
fn forecast_of(
    store: &dyn ObjectStore,
    bill: &Bill,
    work: &UsageWork,
    session: &Session,
) -> Result<Option<Forecast>, Error> {
    let names = names(store)?;
    let Some(growth) = growth(&Pool::new(store), &names)? else {
        session.report.warning(
            "how the mail grows is not known before two whole sets of different days are there: \
             there is no forecast",
        );
        return Ok(None);
    };
    let kept = Kept::of(&names, &work.keep);
    let replaced = replaced(store.protection()?, work.lock, &work.keep);
    let found = forecast(&growth, &kept, replaced, &work.keep, bill, &work.prices);
    Ok(Some(found))
}

fn summarize(usage: &Usage, forecast: &Forecast, session: &Session) {
    let then = forecast.monthly_usd;
    let then = then.map_or_else(|| "unknown".to_owned(), |usd| format!("{usd:.2}"));
    let taken = usage.prices_taken.as_deref().unwrap_or("an unknown date");
    session.report.summary(format!(
        "in {} days, with {} new each day: {} at most, of which {} are versions that were \
         replaced; US dollars a month: {} now, {then} then (prices of {taken}, without tax)",
        forecast.days,
        human_size(forecast.daily_bytes),
        human_size(forecast.bytes),
        human_size(forecast.noncurrent_bytes),
        usage.price(),
    ));
}
