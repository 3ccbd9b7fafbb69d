//! Which sets in the store are encrypted to the same keys.

use crate::remote::Contents;

/// Whether the set can be read by exactly those to whom this push encrypts.
pub(super) fn is_for(contents: &Contents, recipients: Option<&str>) -> bool {
    let theirs = contents.encrypted.as_ref();
    theirs.map(|encrypted| encrypted.recipients.as_str()) == recipients
}
