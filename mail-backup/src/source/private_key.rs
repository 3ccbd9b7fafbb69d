//! Private keys, which are told when they change.

/// How the first and the last line of a key in PEM end, whatever its kind (RFC 7468).
const LABEL: &[u8] = b"PRIVATE KEY";
const DASHES: &[u8] = b"-----";

/// No key is in a longer file.
const FILE_MAX_BYTES: usize = 64 << 10;

/// Whether a file of this content holds a private key.
pub(super) fn is_in(content: &[u8]) -> bool {
    if content.len() > FILE_MAX_BYTES {
        return false;
    }
    let bytes = content.iter().enumerate();
    let mut dashes = bytes.filter(|(_, byte)| **byte == b'-');
    dashes.any(|(at, _)| {
        let (before, after) = content.split_at(at);
        after.starts_with(DASHES) && before.ends_with(LABEL)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_kinds_are_known() {
        let check = |content: &[u8], expected| assert_eq!(is_in(content), expected, "{content:?}");
        check(b"-----BEGIN PRIVATE KEY-----\nMII", true);
        check(b"# mail\n-----BEGIN RSA PRIVATE KEY-----", true);
        check(b"x\n-----END OPENSSH PRIVATE KEY-----", true);
        check(b"-----BEGIN PUBLIC KEY-----", false);
        check(b"-----BEGIN PRIVATE KEY----", false);
        check(b"PRIVATE KEY", false);
        check(b"----", false);
        check(b"", false);
        let padded = |bytes| [&b"PRIVATE KEY-----"[..], &vec![b'-'; bytes]].concat();
        check(&padded(FILE_MAX_BYTES - 16), true);
        check(&padded(FILE_MAX_BYTES - 15), false);
    }
}
