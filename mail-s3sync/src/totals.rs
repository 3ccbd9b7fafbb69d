//! Transfers, counted.

use mail_common::record::TransferAction;
use mail_common::tool::Totals;

/// Counts a file of that many bytes.
pub(crate) fn add_transfer(totals: &mut Totals, action: TransferAction, bytes: u64) {
    let name = match action {
        TransferAction::Uploaded => "uploaded",
        TransferAction::Copied => "copied",
        TransferAction::Skipped => "skipped",
        TransferAction::Downloaded => "downloaded",
    };
    totals.add(name, 1);
    totals.add(&format!("{name}_bytes"), bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_is_counted_with_its_bytes() {
        let mut totals = Totals::default();
        for bytes in [5, 7] {
            add_transfer(&mut totals, TransferAction::Copied, bytes);
        }
        assert_eq!(totals, Totals::from([("copied", 2), ("copied_bytes", 12)]));
    }
}
