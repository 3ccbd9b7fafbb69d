//! What is stored, by storage class, and what that costs a month.

use std::collections::BTreeMap;

use mail_common::record::StorageClassUsage;

use super::prices::Prices;

/// What is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bill(BTreeMap<String, Stored>);

/// Of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stored {
    objects: u64,
    bytes: u64,
    billed_bytes: u64,
}

impl Bill {
    /// An object of that size.
    pub(crate) fn add(&mut self, prices: &Prices, class: &str, bytes: u64) {
        let stored = self.0.entry(class.to_owned()).or_default();
        stored.objects += 1;
        stored.bytes += bytes;
        stored.billed_bytes += prices.billed_bytes(class, bytes);
    }

    /// An object of that size is no longer there.
    pub(crate) fn remove(&mut self, prices: &Prices, class: &str, bytes: u64) {
        let stored = self.0.entry(class.to_owned()).or_default();
        let billed_bytes = prices.billed_bytes(class, bytes);
        stored.objects = stored.objects.saturating_sub(1);
        stored.bytes = stored.bytes.saturating_sub(bytes);
        stored.billed_bytes = stored.billed_bytes.saturating_sub(billed_bytes);
    }

    pub(crate) fn objects(&self) -> u64 {
        self.0.values().map(|stored| stored.objects).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.values().map(|stored| stored.bytes).sum()
    }

    /// The classes of what is there.
    pub(crate) fn classes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The class with the most bytes.
    pub(crate) fn main_class(&self) -> Option<&str> {
        let most = self.0.iter().max_by_key(|(_, stored)| stored.bytes);
        most.map(|(class, _)| class.as_str())
    }

    /// What is billed for each byte of a class; 1 where nothing is there.
    pub(crate) fn billed_part(&self, class: &str) -> f64 {
        match self.0.get(class) {
            Some(stored) if stored.bytes > 0 => stored.billed_bytes as f64 / stored.bytes as f64,
            _ => 1.0,
        }
    }

    /// The price of a month, of what has one; `None` where nothing has.
    pub(crate) fn of_month(&self, prices: &Prices) -> Option<f64> {
        let months = self
            .0
            .iter()
            .filter_map(|(class, stored)| prices.of_month(class, stored.billed_bytes));
        let months: Vec<f64> = months.collect();
        (!months.is_empty() || self.0.is_empty()).then(|| months.into_iter().sum())
    }

    /// The classes without a price.
    pub(crate) fn not_priced(&self, prices: &Prices) -> Vec<String> {
        let of_month =
            |(class, stored): &(&String, &Stored)| prices.of_month(class, stored.billed_bytes);
        let unknown = self.0.iter().filter(|class| of_month(class).is_none());
        unknown.map(|(class, _)| class.clone()).collect()
    }

    /// As the record has it.
    pub(crate) fn by_class(&self, prices: &Prices) -> BTreeMap<String, StorageClassUsage> {
        let usage = |(class, stored): (&String, &Stored)| {
            let usage = StorageClassUsage {
                objects: stored.objects,
                bytes: stored.bytes,
                billed_bytes: Some(stored.billed_bytes),
                monthly_usd: prices.of_month(class, stored.billed_bytes).map(rounded),
            };
            (class.clone(), usage)
        };
        self.0.iter().map(usage).collect()
    }
}

/// To a millionth of a dollar. The sum of no prices is -0.0; nobody pays that.
pub(crate) fn rounded(usd: f64) -> f64 {
    (usd * 1e6).round() / 1e6 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_costs_what_has_a_price_and_the_rest_is_named() {
        let prices = Prices::of_aws();
        let mut bill = Bill::default();
        assert_eq!(bill.of_month(&prices), Some(0.0));
        bill.add(&prices, "UNHEARD_OF", 5);
        assert_eq!(bill.of_month(&prices), None);
        bill.add(&prices, "STANDARD_IA", 1 << 30);
        bill.add(&prices, "STANDARD_IA", 1);
        let month = bill.of_month(&prices).unwrap();
        let expected = 0.0125 * (1.0 + 131_072.0 / 1_073_741_824.0);
        assert!((month - expected).abs() < 1e-12, "{month}");
        assert_eq!(bill.not_priced(&prices), ["UNHEARD_OF"]);
        assert_eq!((bill.objects(), bill.bytes()), (3, (1 << 30) + 6));
        bill.remove(&prices, "STANDARD_IA", 1);
        assert_eq!(bill.of_month(&prices), Some(0.0125));
        assert_eq!(bill.main_class(), Some("STANDARD_IA"));
    }
}
