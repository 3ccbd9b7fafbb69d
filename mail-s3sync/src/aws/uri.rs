//! Names and values in a query.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but what RFC 3986 (2.3) calls unreserved, as signatures of AWS want it.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A name or value as it stands in a query.
pub(crate) fn encode_uri_strict(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}
