//! What a run counts, for its `end` record and its last line.

use std::collections::BTreeMap;

use super::human::human_size;

/// Numbers by name. A name that ends with `bytes` counts bytes; tables show it with its unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals(BTreeMap<String, u64>);

impl Totals {
    /// Adds to a number, which is 0 at first.
    pub fn add(&mut self, name: &str, number: u64) {
        let total = self.0.entry(name.to_owned()).or_default();
        *total = total.saturating_add(number);
    }

    /// Adds all that `other` has counted.
    pub fn merge(&mut self, other: &Self) {
        for (name, number) in &other.0 {
            self.add(name, *number);
        }
    }

    /// A number; 0 where nothing was counted.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// A number of bytes, for people.
    #[must_use]
    pub fn size(&self, name: &str) -> String {
        human_size(self.get(name))
    }
}

impl<const N: usize> From<[(&str, u64); N]> for Totals {
    fn from(numbers: [(&str, u64); N]) -> Self {
        Self(
            numbers
                .map(|(name, number)| (name.to_owned(), number))
                .into(),
        )
    }
}

/// As the `end` record has them.
impl From<Totals> for BTreeMap<String, u64> {
    fn from(totals: Totals) -> Self {
        totals.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_together() {
        let mut all = Totals::from([("files", 1), ("bytes", 1536)]);
        all.merge(&Totals::from([("files", 2), ("errors", 0)]));
        all.add("errors", u64::MAX);
        all.add("errors", 1);
        assert_eq!(
            (all.get("files"), all.get("errors"), all.get("sets")),
            (3, u64::MAX, 0)
        );
        assert_eq!(all.size("bytes"), "1.5 KiB");
    }
}
