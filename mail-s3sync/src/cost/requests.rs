//! Requests by kind, as a bill and a person tell them apart.

use mail_common::record::RequestCounts;

use super::prices::{Prices, STANDARD};

/// How many requests of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    /// Listings, by page.
    pub(crate) list: u64,
    /// Contents and settings.
    pub(crate) get: u64,
    pub(crate) head: u64,
    /// Whole objects.
    pub(crate) put: u64,
    /// Objects, and parts of such, that the store copies by itself.
    pub(crate) copy: u64,
    /// Parts of objects.
    pub(crate) part: u64,
    /// Beginnings and ends of uploads in parts.
    pub(crate) multipart: u64,
    /// Locks that are put on or extended.
    pub(crate) retention: u64,
}

impl Requests {
    pub(crate) fn add(&mut self, other: Self) {
        self.list += other.list;
        self.get += other.get;
        self.head += other.head;
        self.put += other.put;
        self.copy += other.copy;
        self.part += other.part;
        self.multipart += other.multipart;
        self.retention += other.retention;
    }

    pub(crate) fn sum(self) -> u64 {
        self.reads() + self.writes() + self.list
    }

    fn reads(self) -> u64 {
        self.get + self.head
    }

    fn writes(self) -> u64 {
        self.put + self.copy + self.part + self.multipart + self.retention
    }

    /// What they cost where objects are of that class; listings cost as those of STANDARD.
    pub(crate) fn usd(self, prices: &Prices, class: &str) -> Option<f64> {
        let listings = if class == super::prices::FILE {
            class
        } else {
            STANDARD
        };
        let usd = prices.of_puts(listings, self.list)?
            + prices.of_gets(class, self.reads())?
            + prices.of_puts(class, self.writes())?;
        Some(usd)
    }
}

impl From<Requests> for RequestCounts {
    fn from(requests: Requests) -> Self {
        Self {
            list: requests.list,
            get: requests.get,
            head: requests.head,
            put: requests.put,
            copy: requests.copy,
            part: requests.part,
            multipart: requests.multipart,
            retention: requests.retention,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_cost_what_their_kind_and_class_cost() {
        let requests = Requests {
            list: 1000,
            get: 1000,
            head: 1000,
            put: 1000,
            copy: 1000,
            part: 1000,
            multipart: 1000,
            retention: 1000,
        };
        let prices = Prices::of_aws();
        let usd = |class: &str| requests.usd(&prices, class);
        // A thousand listings, two of reading, five of writing.
        let check = |class: &str, expected: f64| {
            let found = usd(class).unwrap();
            assert!((found - expected).abs() < 1e-9, "{class}: {found}");
        };
        check("STANDARD", 0.005 + 2.0 * 0.0004 + 5.0 * 0.005);
        check("GLACIER_IR", 0.005 + 2.0 * 0.01 + 5.0 * 0.02);
        assert_eq!(usd("UNHEARD_OF"), None);
        assert_eq!(requests.sum(), 8000);
        let none = Requests::default();
        assert_eq!(none.usd(&Prices::unknown(), "STANDARD"), Some(0.0));
    }
}
