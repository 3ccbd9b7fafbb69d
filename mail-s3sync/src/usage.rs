//! What a store holds, and what that costs a month: all versions of all objects, and parts of
//! unfinished uploads.
//!
//! Requests, traffic, and the least time and size that some storage classes are billed for are not
//! in the estimate.

use std::collections::BTreeMap;
use std::str::FromStr;

use mail_common::exit::Exit;
use mail_common::record::{Record, StorageClassUsage, Usage};
use mail_common::tool::{Session, Totals};

use crate::location::Location;
use crate::store::{NotListed, ObjectStore, StoreError, Withheld};

/// The setting with the prices.
pub(crate) const S3_PRICES: &str = "S3_PRICES";

/// AWS bills by 2^30 bytes, and calls them GB.
const BILLED_UNIT_BYTES: f64 = (1_u64 << 30) as f64;

/// US dollars for a GB and month, by storage class.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prices(BTreeMap<String, f64>);

/// The text is not a price table.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{S3_PRICES}: {0:?} is not CLASS=DOLLARS, such as STANDARD=0.023")]
pub(crate) struct NotPrices(String);

impl Default for Prices {
    /// Those of AWS in us-east-1, as of 2026; the first 50 TB.
    fn default() -> Self {
        let prices = [
            ("STANDARD", 0.023),
            ("INTELLIGENT_TIERING", 0.023),
            ("STANDARD_IA", 0.0125),
            ("ONEZONE_IA", 0.01),
            ("GLACIER_IR", 0.004),
            ("GLACIER", 0.0036),
            ("DEEP_ARCHIVE", 0.00099),
            ("REDUCED_REDUNDANCY", 0.024),
            ("FILE", 0.0),
        ];
        Self(
            prices
                .map(|(class, price)| (class.to_owned(), price))
                .into(),
        )
    }
}

impl FromStr for Prices {
    type Err = NotPrices;

    /// `CLASS=DOLLARS`, separated by blanks or commas; classes that are not named keep their price.
    fn from_str(text: &str) -> Result<Self, NotPrices> {
        let mut prices = Self::default();
        for word in text
            .split(|c: char| c.is_whitespace() || c == ',')
            .filter(|word| !word.is_empty())
        {
            let wrong = || NotPrices(word.to_owned());
            let (class, price) = word.split_once('=').ok_or_else(wrong)?;
            let price: f64 = price.parse().map_err(|_| wrong())?;
            if class.is_empty() || !price.is_finite() || price < 0.0 {
                return Err(wrong());
            }
            prices.0.insert(class.to_owned(), price);
        }
        Ok(prices)
    }
}

/// Writes a record of what the store holds.
pub(crate) fn usage(
    store: &dyn ObjectStore,
    location: &Location,
    prices: &Prices,
    session: &Session,
    totals: &mut Totals,
) -> Result<Exit, StoreError> {
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let not_listed = store.billed("", &mut |billed| {
        let (objects, bytes) = sums.entry(billed.storage_class).or_default();
        *objects += 1;
        *bytes += billed.bytes;
    })?;
    for part in &not_listed {
        session.report.warning(missing(part));
    }
    let by_class: BTreeMap<String, StorageClassUsage> = sums
        .into_iter()
        .map(|(class, (objects, bytes))| {
            let price = prices.0.get(&class).copied().unwrap_or_else(|| {
                session.report.warning(format!(
                    "no price for storage class {class}; set it in {S3_PRICES}"
                ));
                0.0
            });
            (
                class,
                StorageClassUsage {
                    objects,
                    bytes,
                    monthly_usd: cents(bytes as f64 / BILLED_UNIT_BYTES * price),
                },
            )
        })
        .collect();
    let usage = Usage {
        url: location.to_string(),
        objects: by_class.values().map(|class| class.objects).sum(),
        bytes: by_class.values().map(|class| class.bytes).sum(),
        monthly_usd: cents(by_class.values().map(|class| class.monthly_usd).sum()),
        by_storage_class: by_class,
        not_listed: not_listed.iter().map(|part| part.what.to_owned()).collect(),
    };
    totals.add("objects", usage.objects);
    totals.add("bytes", usage.bytes);
    session.emit(&Record::Usage(usage));
    Ok(Exit::Done)
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

/// To a hundredth of a cent. The sum of no prices is -0.0; nobody pays that.
fn cents(usd: f64) -> f64 {
    (usd * 10_000.0).round() / 10_000.0 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read() {
        let prices: Prices = "STANDARD=0.025, MINE=1".parse().unwrap();
        assert_eq!(
            (prices.0["STANDARD"], prices.0["MINE"], prices.0["GLACIER"]),
            (0.025, 1.0, 0.0036)
        );
        for text in ["STANDARD", "=1", "A=x", "A=-1", "A=inf"] {
            assert_eq!(text.parse::<Prices>(), Err(NotPrices(text.to_owned())));
        }
    }
}
