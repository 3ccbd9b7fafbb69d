//! ETags: what the store says that it has, against what was computed here.

use md5::{Digest, Md5};

use crate::store::error::Cause;
use crate::store::object::Confirmed;

/// A key of KMS, or of the customer, makes an ETag that says nothing of the content.
const OPAQUE_ENCRYPTION: &str = "aws:kms";

/// A part that the store has confirmed.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) number: i64,
    pub(super) etag: String,
    /// `None` where the store computed it from what it had.
    pub(super) md5: Option<[u8; 16]>,
    pub(super) encryption: Option<String>,
}

impl Part {
    /// A part that the store has copied by itself.
    pub(super) fn copied(number: i64, etag: &str) -> Self {
        Self {
            number,
            etag: unquoted(etag),
            md5: None,
            encryption: None,
        }
    }
}

/// Compares the ETag with the one that was computed here. With keys of KMS it is opaque, and
/// Content-MD5 was checked.
pub(super) fn confirm(
    etag: Option<String>,
    expected: &str,
    encryption: Option<&str>,
) -> Result<Confirmed, Cause> {
    let is_opaque = encryption.is_some_and(|encryption| encryption.starts_with(OPAQUE_ENCRYPTION));
    match etag {
        Some(found) if found == expected || is_opaque => Ok(Confirmed { etag: Some(found) }),
        Some(found) => Err(Cause::Unconfirmed {
            expected: expected.to_owned(),
            found,
        }),
        None => Err(Cause::Unconfirmed {
            expected: expected.to_owned(),
            found: "nothing".to_owned(),
        }),
    }
}

/// The MD5 of the MD5s of the parts, and how many they are.
pub(super) fn etag_of_parts(parts: &[Part]) -> Option<String> {
    let digests: Vec<[u8; 16]> = parts.iter().map(|part| part.md5).collect::<Option<_>>()?;
    Some(format!(
        "{}-{}",
        hex(&Md5::digest(digests.concat())),
        digests.len()
    ))
}

/// Whether the ETag of a copy fits that of its source, for stores that do not compare it
/// themselves. One of parts, and one under a key of KMS, says nothing of the content.
pub(super) fn is_copy(source: Option<&str>, copy: &str, encryption: Option<&str>) -> bool {
    let is_opaque = |etag: &str| {
        etag.contains('-') || encryption.is_some_and(|kind| kind.starts_with(OPAQUE_ENCRYPTION))
    };
    source.is_none_or(|source| source == copy || is_opaque(source) || is_opaque(copy))
}

/// Without its quotes, and the mark of a weak one.
pub(super) fn unquoted(etag: &str) -> String {
    etag.trim_start_matches("W/").trim_matches('"').to_owned()
}

/// As ETags are written.
pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_of_parts_is_that_of_s3() {
        // From `aws s3 cp` of 10 MiB of zeroes with parts of 5 MiB; `openssl dgst -md5` says the
        // same.
        let md5 = Md5::digest(vec![0; 5 << 20]);
        let part = |number| Part {
            number,
            etag: hex(&md5),
            md5: Some(md5.into()),
            encryption: None,
        };
        let expected = "a7d414b9133d6483d9a1c4e04e856e3b-2";
        assert_eq!(
            etag_of_parts(&[part(1), part(2)]).as_deref(),
            Some(expected)
        );
        assert_eq!(etag_of_parts(&[part(1), Part::copied(2, "\"x\"")]), None);
    }

    #[test]
    fn only_the_computed_etag_confirms() {
        let check = |etag: Option<&str>, encryption| {
            confirm(etag.map(str::to_owned), "aa", encryption).is_ok()
        };
        assert!(check(Some("aa"), None) && check(Some("aa"), Some("AES256")));
        assert!(
            !check(Some("bb"), None) && !check(None, None) && !check(Some("bb"), Some("AES256"))
        );
        assert!(check(Some("bb"), Some("aws:kms")) && !check(None, Some("aws:kms")));
    }
}
