//! What the push of a set would do and cost, said instead of doing it.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use mail_common::record::{FilesAndBytes, PlannedPush, Record, RequestCounts};
use mail_common::tool::{Session, Totals, human_count, human_size};

use crate::cost::{Bill, Prices, Requests, rounded};
use crate::plan::StorePlan;
use crate::rehearsal::{Done, RehearsedStore};
use crate::remote::SetName;
use crate::store::{NotListed, ObjectStore, StoreError};

/// A store that nothing is done to, and the bill of what is there.
#[derive(Debug)]
pub(crate) struct Rehearsal<'a> {
    store: Arc<RehearsedStore>,
    prices: &'a Prices,
    class: &'a str,
    /// Whether what is replaced is billed on.
    keeps_versions: bool,
    bill: Mutex<Bill>,
    not_listed: Vec<NotListed>,
}

impl<'a> Rehearsal<'a> {
    /// Asks `inner` for what is there.
    pub(crate) fn new(
        inner: Arc<dyn ObjectStore>,
        plan: &'a StorePlan,
        prices: &'a Prices,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut bill = Bill::default();
        let not_listed = inner.billed("", &mut |billed| {
            bill.add(prices, &billed.storage_class, billed.bytes);
        })?;
        let protection = inner.protection()?;
        let versioning = protection.map_or(Some(false), |protection| protection.versioning);
        Ok(Self {
            store: Arc::new(RehearsedStore::new(inner, plan.sizes(), now)),
            prices,
            class: plan.storage_class(),
            keeps_versions: versioning != Some(false),
            bill: Mutex::new(bill),
            not_listed,
        })
    }

    /// The store that a push can be rehearsed with.
    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store) as Arc<dyn ObjectStore>
    }

    /// Reports what the push of `set` would have done, of which it counted `of_set`.
    pub(crate) fn conclude(
        &self,
        set: SetName,
        of_set: &Totals,
        session: &Session,
        totals: &mut Totals,
    ) {
        let done = self.store.take();
        let mut bill = self.bill.lock().unwrap_or_else(PoisonError::into_inner);
        let now = bill.of_month(self.prices);
        self.add(&mut bill, &done);
        let not_priced = bill.not_priced(self.prices);
        let amount = |name: &str| FilesAndBytes {
            files: of_set.get(name),
            bytes: of_set.get(&format!("{name}_bytes")),
        };
        let planned = PlannedPush {
            set: set.to_string(),
            url: self.store.url(&set.to_string()),
            send: amount("uploaded"),
            copy: amount("copied"),
            skip: amount("skipped"),
            requests: done.requests.into(),
            storage_class: self.class.to_owned(),
            usd: self.usd(&done).map(rounded),
            monthly_usd_now: now.map(rounded),
            monthly_usd_after: bill.of_month(self.prices).map(rounded),
            not_priced,
            not_listed: self
                .not_listed
                .iter()
                .map(|part| part.what.to_owned())
                .collect(),
            prices_taken: self.prices.taken().map(|date| date.to_string()),
        };
        count(&planned, done.requests, totals);
        session.report.summary(sentence(&planned, done.requests));
        session.emit(&Record::Plan(planned));
    }

    fn add(&self, bill: &mut Bill, done: &Done) {
        for (bytes, replaced) in &done.writes {
            bill.add(self.prices, self.class, *bytes);
            if let Some(replaced) = replaced.filter(|_| !self.keeps_versions) {
                bill.remove(self.prices, self.class, replaced);
            }
        }
    }

    fn usd(&self, done: &Done) -> Option<f64> {
        let requests = done.requests.usd(self.prices, self.class)?;
        let retrieval = self.prices.of_retrieval(self.class, done.retrieved_bytes)?;
        Some(requests + retrieval)
    }
}

fn count(planned: &PlannedPush, requests: Requests, totals: &mut Totals) {
    let amounts = [
        ("to_send", planned.send),
        ("to_copy", planned.copy),
        ("there", planned.skip),
    ];
    for (name, amount) in amounts {
        totals.add(name, amount.files);
        totals.add(&format!("{name}_bytes"), amount.bytes);
    }
    totals.add("requests", requests.sum());
}

fn sentence(planned: &PlannedPush, requests: Requests) -> String {
    let PlannedPush {
        url,
        send,
        copy,
        skip,
        ..
    } = planned;
    let usd = |usd: Option<f64>, digits: usize| {
        usd.map_or_else(|| "unknown".to_owned(), |usd| format!("{usd:.digits$}"))
    };
    let taken = planned.prices_taken.as_deref().map_or_else(
        || "no price list is known for this store: set S3_PRICES".to_owned(),
        |date| format!("prices of {date}, without tax"),
    );
    format!(
        "would push {url}: {} to send, {} to copy there, {} already there; {}{}; US dollars: {} \
         for this push, {} a month now and {} after it ({taken})",
        human_size(send.bytes),
        human_size(copy.bytes),
        human_size(skip.bytes),
        human_count(requests.sum(), "request", "requests"),
        by_kind(planned.requests),
        usd(planned.usd, 4),
        usd(planned.monthly_usd_now, 2),
        usd(planned.monthly_usd_after, 2),
    )
}

/// Such as ` (3 LIST, 1 GET)`.
fn by_kind(requests: RequestCounts) -> String {
    let kinds = [
        (requests.list, "LIST"),
        (requests.get, "GET"),
        (requests.head, "HEAD"),
        (requests.put, "PUT"),
        (requests.copy, "COPY"),
        (requests.part, "parts"),
        (requests.multipart, "begin or end parts"),
        (requests.retention, "locks"),
    ];
    let some = kinds.into_iter().filter(|(count, _)| *count > 0);
    let texts: Vec<String> = some
        .map(|(count, kind)| format!("{count} {kind}"))
        .collect();
    if texts.is_empty() {
        return String::new();
    }
    format!(" ({})", texts.join(", "))
}
