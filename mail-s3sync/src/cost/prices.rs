//! The table of prices: those of a list, and over them those of the configuration. What is not in
//! it is not known, and never free.

use std::collections::BTreeMap;

use jiff::civil::Date;

/// The setting with the prices.
pub(crate) const S3_PRICES: &str = "S3_PRICES";
/// The class of what is put without one; listings are billed at its price.
pub(crate) const STANDARD: &str = "STANDARD";
/// What the disk costs is in no price list.
pub(crate) const FILE: &str = "FILE";

/// AWS bills by 2^30 bytes, and calls them GB.
const BILLED_UNIT_BYTES: f64 = (1_u64 << 30) as f64;
const LEAST_BYTES: u64 = 128 << 10;

/// Prices in US dollars, by storage class.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prices {
    classes: BTreeMap<String, Class>,
    /// When they were taken.
    taken: Option<Date>,
}

/// What a storage class costs; `None` is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Class {
    /// A GB and month.
    storage: Option<f64>,
    /// A thousand of PUT, COPY, POST and LIST.
    put: Option<f64>,
    /// A thousand of GET, HEAD and all others.
    get: Option<f64>,
    /// A GB that is read or copied.
    retrieval: Option<f64>,
    /// For how many days an object is billed at the least.
    days: u32,
    /// As how many bytes at the least.
    bytes: u64,
}

/// The text is not a price table.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{S3_PRICES}: {0:?} is not a price such as STANDARD=0.023 or STANDARD.put=0.005 (storage, put, \
     get, retrieval, days, bytes), nor date=YYYY-MM-DD"
)]
pub(crate) struct NotPrices(String);

impl Prices {
    /// The list prices of AWS in us-east-1 without tax, the first 50 TB.
    pub(crate) fn of_aws() -> Self {
        let (least, none) = (LEAST_BYTES, 0);
        let classes = [
            ("STANDARD", 0.023, 0.005, 0.0004, 0.0, 0, none),
            ("INTELLIGENT_TIERING", 0.023, 0.005, 0.0004, 0.0, 0, none),
            ("REDUCED_REDUNDANCY", 0.024, 0.005, 0.0004, 0.0, 0, none),
            ("STANDARD_IA", 0.0125, 0.01, 0.001, 0.01, 30, least),
            ("ONEZONE_IA", 0.01, 0.01, 0.001, 0.01, 30, least),
            ("GLACIER_IR", 0.004, 0.02, 0.01, 0.03, 90, least),
            ("GLACIER", 0.0036, 0.03, 0.0004, 0.01, 90, none),
            ("DEEP_ARCHIVE", 0.00099, 0.05, 0.0004, 0.02, 180, none),
        ];
        let classes = classes.map(|(name, storage, put, get, retrieval, days, bytes)| {
            let class = Class {
                storage: Some(storage),
                put: Some(put),
                get: Some(get),
                retrieval: Some(retrieval),
                days,
                bytes,
            };
            (name.to_owned(), class)
        });
        let mut prices = Self::unknown();
        prices.classes.extend(classes);
        prices.taken = Some(Date::constant(2026, 11, 29));
        prices
    }

    /// Those of a store that has other prices than AWS: only a directory is known to cost nothing.
    pub(crate) fn unknown() -> Self {
        let free = Class {
            storage: Some(0.0),
            put: Some(0.0),
            get: Some(0.0),
            retrieval: Some(0.0),
            ..Class::default()
        };
        Self {
            classes: [(FILE.to_owned(), free)].into(),
            taken: None,
        }
    }

    /// With the prices of `text`: words such as `STANDARD=0.025` (a GB and month),
    /// `STANDARD.put=0.005` and `date=2026-11-29`, separated by blanks or commas. What is not named
    /// stays.
    pub(crate) fn with(mut self, text: &str) -> Result<Self, NotPrices> {
        let words = text.split(|c: char| c.is_whitespace() || c == ',');
        for word in words.filter(|word| !word.is_empty()) {
            self.set(word).ok_or_else(|| NotPrices(word.to_owned()))?;
        }
        Ok(self)
    }

    fn set(&mut self, word: &str) -> Option<()> {
        let (name, value) = word.split_once('=')?;
        if name == "date" {
            self.taken = Some(value.parse().ok()?);
            return Some(());
        }
        let (class, field) = name.split_once('.').unwrap_or((name, "storage"));
        if class.is_empty() {
            return None;
        }
        let price = || {
            let price: f64 = value.parse().ok()?;
            (price.is_finite() && price >= 0.0).then_some(Some(price))
        };
        let class = self.classes.entry(class.to_owned()).or_default();
        match field {
            "storage" => class.storage = price()?,
            "put" => class.put = price()?,
            "get" => class.get = price()?,
            "retrieval" => class.retrieval = price()?,
            "days" => class.days = value.parse().ok()?,
            "bytes" => class.bytes = value.parse().ok()?,
            _ => return None,
        }
        Some(())
    }

    /// When they were taken, where that is known.
    pub(crate) fn taken(&self) -> Option<Date> {
        self.taken
    }

    fn class(&self, name: &str) -> Class {
        self.classes.get(name).copied().unwrap_or_default()
    }

    /// As how many bytes an object of that size is billed.
    pub(crate) fn billed_bytes(&self, class: &str, bytes: u64) -> u64 {
        bytes.max(self.class(class).bytes)
    }

    /// For how many days an object is billed at the least.
    pub(crate) fn least_days(&self, class: &str) -> u32 {
        self.class(class).days
    }

    /// So many billed bytes for a month.
    pub(crate) fn of_month(&self, class: &str, billed_bytes: u64) -> Option<f64> {
        times(
            billed_bytes as f64 / BILLED_UNIT_BYTES,
            self.class(class).storage,
        )
    }

    /// So many requests that write.
    pub(crate) fn of_puts(&self, class: &str, count: u64) -> Option<f64> {
        times(count as f64 / 1000.0, self.class(class).put)
    }

    /// So many requests that read.
    pub(crate) fn of_gets(&self, class: &str, count: u64) -> Option<f64> {
        times(count as f64 / 1000.0, self.class(class).get)
    }

    /// So many bytes that are read or copied.
    pub(crate) fn of_retrieval(&self, class: &str, bytes: u64) -> Option<f64> {
        times(
            bytes as f64 / BILLED_UNIT_BYTES,
            self.class(class).retrieval,
        )
    }
}

/// Nothing costs nothing, whatever the price is.
fn times(number: f64, price: Option<f64>) -> Option<f64> {
    if number == 0.0 {
        return Some(0.0);
    }
    price.map(|price| number * price)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_goes_over_the_list() {
        let text = "STANDARD=0.025, MINE=1 GLACIER_IR.put=0.5 MINE.days=60 date=2027-01-31";
        let prices = Prices::of_aws().with(text).unwrap();
        let month = |class: &str| prices.of_month(class, 1 << 30);
        assert_eq!(month("STANDARD"), Some(0.025));
        assert_eq!(month("GLACIER"), Some(0.0036));
        assert_eq!((month("MINE"), prices.least_days("MINE")), (Some(1.0), 60));
        assert_eq!(prices.of_puts("GLACIER_IR", 2000), Some(1.0));
        assert_eq!(prices.of_gets("GLACIER_IR", 1000), Some(0.01));
        assert_eq!(
            prices.taken().map(|date| date.to_string()),
            Some("2027-01-31".into())
        );
        let refused = [
            "STANDARD",
            "=1",
            "A=x",
            "A=-1",
            "A=inf",
            "A.cost=1",
            "date=today",
            "A.days=x",
        ];
        for text in refused {
            assert_eq!(Prices::of_aws().with(text), Err(NotPrices(text.to_owned())));
        }
    }

    #[test]
    fn what_has_no_price_is_unknown_and_never_free() {
        let prices = Prices::unknown().with("MINE.put=0.01").unwrap();
        assert_eq!(prices.of_month("STANDARD", 1), None);
        assert_eq!(prices.of_month("MINE", 1), None);
        assert_eq!(prices.of_puts("MINE", 1000), Some(0.01));
        assert_eq!(prices.of_month("STANDARD", 0), Some(0.0));
        assert_eq!(prices.of_month("FILE", 1 << 40), Some(0.0));
        assert_eq!(prices.taken(), None);
    }

    #[test]
    fn small_objects_are_billed_as_larger_ones_in_some_classes() {
        let prices = Prices::of_aws();
        let check = |class: &str, bytes, billed| {
            assert_eq!(prices.billed_bytes(class, bytes), billed, "{class}");
        };
        check("STANDARD", 1, 1);
        check("STANDARD_IA", 1, 131_072);
        check("GLACIER_IR", 131_073, 131_073);
        check("UNHEARD_OF", 1, 1);
    }
}
