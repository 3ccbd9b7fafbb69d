//! What a run counts, for its `end` record and its last line.

use std::collections::BTreeMap;

use mail_common::record::TransferAction;
use mail_common::tool::human_size;

/// Numbers by name.
#[derive(Debug, Default)]
pub(crate) struct Totals(BTreeMap<String, u64>);

impl Totals {
    /// So many more.
    pub(crate) fn add(&mut self, name: &str, number: u64) {
        *self.0.entry(name.to_owned()).or_default() += number;
    }

    /// One more file of so many bytes.
    pub(crate) fn add_transfer(&mut self, action: TransferAction, bytes: u64) {
        let name = match action {
            TransferAction::Uploaded => "uploaded",
            TransferAction::Copied => "copied",
            TransferAction::Skipped => "skipped",
            TransferAction::Downloaded => "downloaded",
        };
        self.add(name, 1);
        self.add(&format!("{name}_bytes"), bytes);
    }

    /// All that the other one has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        other
            .0
            .iter()
            .for_each(|(name, number)| self.add(name, *number));
    }

    /// How many; 0 where nothing was counted.
    pub(crate) fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// A number of bytes, for people.
    pub(crate) fn size(&self, name: &str) -> String {
        human_size(self.get(name))
    }
}

impl From<Totals> for BTreeMap<String, u64> {
    fn from(totals: Totals) -> Self {
        totals.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_are_counted_with_their_bytes_and_sets_together() {
        let mut all = Totals::default();
        for bytes in [5, 7] {
            let mut one = Totals::default();
            one.add_transfer(TransferAction::Copied, bytes);
            all.merge(&one);
        }
        assert_eq!(
            (
                all.get("copied"),
                all.get("copied_bytes"),
                all.get("uploaded")
            ),
            (2, 12, 0)
        );
    }
}
