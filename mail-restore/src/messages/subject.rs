//! Subjects as people read them: encoded words (RFC 2047) of UTF-8 and Latin 1 decoded, control
//! characters escaped.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail_common::report::printable;

/// A list of messages needs no more of a subject.
const MAX_CHARACTERS: usize = 200;

/// The subject in the raw value of its field. An encoded word of another charset stays as it is.
pub(super) fn decode(value: &[u8]) -> String {
    let mut text = Vec::new();
    let mut rest = value;
    while let Some(start) = position(rest, b"=?") {
        let (before, word) = rest.split_at(start);
        let Some((decoded, after)) = encoded_word(word) else {
            text.extend_from_slice(&rest[..start + 2]);
            rest = &rest[start + 2..];
            continue;
        };
        text.extend_from_slice(before);
        text.extend_from_slice(&decoded);
        rest = between_words(after);
    }
    text.extend_from_slice(rest);
    let text: String = String::from_utf8_lossy(&text)
        .chars()
        .take(MAX_CHARACTERS)
        .collect();
    printable(&text)
}

/// White space between two encoded words is not part of the text (RFC 2047, 6.2).
fn between_words(after: &[u8]) -> &[u8] {
    let next = after.trim_ascii_start();
    if encoded_word(next).is_some() {
        next
    } else {
        after
    }
}

/// The UTF-8 of the encoded word that `text` begins with, and what follows it.
fn encoded_word(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut parts = text.strip_prefix(b"=?")?.splitn(3, |&byte| byte == b'?');
    let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let end = position(rest, b"?=")?;
    let encoded = &rest[..end];
    let bytes = match encoding {
        b"B" | b"b" => BASE64.decode(encoded).ok()?,
        b"Q" | b"q" => quoted(encoded)?,
        _ => return None,
    };
    // A language may follow the charset (RFC 2231, 5).
    let charset = charset
        .split(|&byte| byte == b'*')
        .next()?
        .to_ascii_lowercase();
    let utf8 = match &charset[..] {
        b"utf-8" | b"utf8" | b"us-ascii" => bytes,
        b"iso-8859-1" => bytes
            .into_iter()
            .map(char::from)
            .collect::<String>()
            .into_bytes(),
        _ => return None,
    };
    Some((utf8, &rest[end + 2..]))
}

fn quoted(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'_', _) => bytes.push(b' '),
            (b'=', [high, low, after @ ..]) => {
                let digit = |byte: &u8| {
                    char::from(*byte)
                        .to_digit(16)
                        .and_then(|digit| u8::try_from(digit).ok())
                };
                bytes.push(digit(high)? << 4 | digit(low)?);
                rest = after;
            }
            (b'=', _) => return None,
            _ => bytes.push(*first),
        }
    }
    Some(bytes)
}

fn position(text: &[u8], part: &[u8; 2]) -> Option<usize> {
    text.windows(2).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(value: &str, expected: &str) {
        assert_eq!(decode(value.as_bytes()), expected, "{value}");
    }

    #[test]
    fn encoded_words_are_decoded() {
        check("plain", "plain");
        check("=?UTF-8?Q?M=C3=BCller_&_S=C3=B6hne?=", "Müller & Söhne");
        check("Re: =?utf-8?b?6KuL5rGC5pu4?= 11", "Re: 請求書 11");
        check("=?iso-8859-1?q?caf=E9?=", "café");
        check("=?utf-8*de?q?gut?=", "gut");
        check("=?utf-8?b?6Ku=?= =?utf-8?b?6KuL?=", "=?utf-8?b?6Ku=?= 請");
        // A character may be cut between two words by programs that should not.
        check("=?utf-8?q?=E8=AB?=  =?utf-8?q?=8B?=", "請");
        check("=?utf-8?q?a?= b", "a b");
    }

    #[test]
    fn what_cannot_be_decoded_stays_as_it_is() {
        check(
            "=?iso-2022-jp?B?GyRCRnwbKEI=?=",
            "=?iso-2022-jp?B?GyRCRnwbKEI=?=",
        );
        check("=?utf-8?q?broken", "=?utf-8?q?broken");
        check("a =? b", "a =? b");
        check("=?utf-8?q?=ZZ?=", "=?utf-8?q?=ZZ?=");
    }

    #[test]
    fn a_subject_cannot_move_the_cursor() {
        check("a\u{1b}[2Jb\rc", "a\\u{1b}[2Jb\\rc");
        check("=?utf-8?q?=1B[2J?=", "\\u{1b}[2J");
        assert_eq!(decode(&[b'x'; 1000]).len(), MAX_CHARACTERS);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }

        #[test]
        fn random_words_never_panic(text in "(=\\?utf-8\\?[qb]\\?[a-zA-Z0-9=_?]{0,9}\\?= ?){0,4}") {
            let _ = decode(text.as_bytes());
        }
    }
}
