//! Names and values in a query.

/// A name or value as it stands in a query.
pub(crate) fn encode_uri_strict(text: &str) -> String {
    // The path encoding of rusoto leaves the slash alone, and nothing else that would have to be
    // escaped.
    rusoto_core::signature::encode_uri_path(text).replace('/', "%2F")
}
