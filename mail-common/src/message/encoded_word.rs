//! Text in fields as people read it: encoded words (RFC 2047, with the language of RFC 2231, 5) in
//! any character set of the Encoding Standard, and the raw bytes that programs of old put there.
//!
//! The libraries that read messages decode each word by itself. Many programs cut a character in
//! two between words, so here the bytes of adjacent words are joined before they are decoded.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use encoding_rs::{Encoding, ISO_2022_JP};

/// No more of a value is looked at.
const VALUE_MAX_BYTES: usize = 16 << 10;

/// A longer word is not one: RFC 2047 allows 75 bytes, programs write hundreds.
const WORD_MAX_BYTES: usize = 4 << 10;

/// The padding is forgotten often enough.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// How ISO-2022-JP goes back to ASCII.
const TO_ASCII: &[u8] = b"\x1b(B";

/// The text of an unfolded value. A word of an unknown character set stays as it is. It may hold
/// anything: [`crate::text::printable`] comes after this.
pub(super) fn decode(value: &[u8]) -> String {
    decode_all(&value[..value.len().min(VALUE_MAX_BYTES)])
}

/// The same of a value that is looked at to its end.
pub(super) fn decode_all(value: &[u8]) -> String {
    let mut rest = value;
    let mut text = Text::default();
    while let Some(start) = position(rest, b"=?") {
        let (before, candidate) = rest.split_at(start);
        match encoded_word(candidate) {
            Some((word, after)) => {
                // White space between two words is not part of the text (RFC 2047, 6.2).
                if !(text.ends_in_word() && before.trim_ascii().is_empty()) {
                    text.push_raw(before);
                }
                text.push_word(word);
                rest = after;
            }
            None => {
                text.push_raw(&rest[..start + 2]);
                rest = &rest[start + 2..];
            }
        }
    }
    text.push_raw(rest);
    text.finish()
}

/// What is decoded already, and the words that are still to be joined.
#[derive(Default)]
struct Text {
    done: String,
    pending: Option<Word>,
}

struct Word {
    encoding: &'static Encoding,
    bytes: Vec<u8>,
}

impl Text {
    fn ends_in_word(&self) -> bool {
        self.pending.is_some()
    }

    fn push_raw(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.decode_pending();
        self.done.push_str(&raw(bytes));
    }

    fn push_word(&mut self, word: Word) {
        match &mut self.pending {
            Some(pending) if pending.encoding == word.encoding => join(pending, &word.bytes),
            _ => {
                self.decode_pending();
                self.pending = Some(word);
            }
        }
    }

    fn decode_pending(&mut self) {
        if let Some(word) = self.pending.take() {
            let (text, _) = word.encoding.decode_without_bom_handling(&word.bytes);
            self.done.push_str(&text);
        }
    }

    fn finish(mut self) -> String {
        self.decode_pending();
        self.done
    }
}

/// Two escape sequences of ISO-2022-JP in a row are an error to its decoder: there is one at the
/// end of each word, as a rule, and one at the beginning of the next.
fn join(word: &mut Word, bytes: &[u8]) {
    if word.encoding == ISO_2022_JP && word.bytes.ends_with(TO_ASCII) && bytes.starts_with(b"\x1b")
    {
        word.bytes.truncate(word.bytes.len() - TO_ASCII.len());
    }
    word.bytes.extend_from_slice(bytes);
}

/// `bytes` in the character set of this name, or, where it is not known or claims to be ASCII and
/// is not, as they are.
pub(super) fn text_in(charset: &[u8], bytes: &[u8]) -> String {
    let is_ascii = charset.eq_ignore_ascii_case(b"us-ascii");
    match encoding_of(charset.trim_ascii()).filter(|_| !is_ascii) {
        Some(encoding) => encoding.decode_with_bom_removal(bytes).0.into_owned(),
        None => raw(bytes),
    }
}

/// Bytes outside of words: UTF-8, and where Japanese programs of old wrote their character set into
/// the header as it was, that.
fn raw(bytes: &[u8]) -> String {
    let is_japanese = position(bytes, b"\x1b$").is_some() && bytes.is_ascii();
    if is_japanese
        && let Some(text) = ISO_2022_JP.decode_without_bom_handling_and_without_replacement(bytes)
    {
        return text.into_owned();
    }
    String::from_utf8_lossy(bytes).into_owned()
}

/// The encoded word that `text` begins with, and what follows it.
fn encoded_word(text: &[u8]) -> Option<(Word, &[u8])> {
    let text_of_word = &text[..text.len().min(WORD_MAX_BYTES)];
    let mut parts = text_of_word
        .strip_prefix(b"=?")?
        .splitn(3, |&byte| byte == b'?');
    let (charset, transfer, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let encoding = encoding_of(charset)?;
    let encoded = &rest[..position(rest, b"?=")?];
    let bytes = match transfer {
        b"B" | b"b" => BASE64.decode(without_blanks(encoded)).ok()?,
        b"Q" | b"q" => quoted(encoded)?,
        _ => return None,
    };
    // `=?` charset `?` B `?` encoded `?=`
    let length = 2 + charset.len() + 1 + transfer.len() + 1 + encoded.len() + 2;
    Some((Word { encoding, bytes }, &text[length..]))
}

/// The character set, after which a language may follow.
fn encoding_of(charset: &[u8]) -> Option<&'static Encoding> {
    let name = charset.split(|&byte| byte == b'*').next()?;
    let label: &[u8] = match name.to_ascii_lowercase().as_slice() {
        // What mail calls differently from the Encoding Standard.
        b"cp932" => b"shift_jis",
        b"cp936" => b"gbk",
        b"cp949" => b"euc-kr",
        b"cp950" => b"big5",
        b"cp50220" | b"cp50221" | b"iso-2022-jp-ms" | b"iso-2022-jp-1" => b"iso-2022-jp",
        b"eucjp-ms" | b"eucjp-win" | b"cp51932" => b"euc-jp",
        _ => name,
    };
    Encoding::for_label_no_replacement(label)
}

fn without_blanks(text: &[u8]) -> Vec<u8> {
    let bytes = text.iter().copied();
    bytes.filter(|byte| !byte.is_ascii_whitespace()).collect()
}

fn quoted(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'_' => b' ',
            b'=' => {
                let (digits, after) = rest.split_first_chunk::<2>()?;
                rest = after;
                digit(digits[0])? << 4 | digit(digits[1])?
            }
            other => other,
        });
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

fn position(text: &[u8], part: &[u8; 2]) -> Option<usize> {
    text.windows(2).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(value: impl AsRef<[u8]>, expected: &str) {
        let value = value.as_ref();
        let text = decode(value);
        assert_eq!(text, expected, "{}", String::from_utf8_lossy(value));
    }

    #[test]
    fn encoded_words_are_decoded() {
        check("plain", "plain");
        check("two  blanks", "two  blanks");
        check("=?UTF-8?Q?M=C3=BCller_&_S=C3=B6hne?=", "Müller & Söhne");
        check("Re: =?utf-8?b?6KuL5rGC5pu4?= 11", "Re: 請求書 11");
        check("=?iso-8859-1?q?caf=E9?=", "café");
        check("=?utf-8*de?q?gut?=", "gut");
        check("=?utf-8?q?a?= b", "a b");
        check("=?utf-8?q?a?==?utf-8?q?b?=", "ab");
        check("=?utf-8?q??=x", "x");
        check("a=?utf-8?q?b?=<c@d>", "ab<c@d>");
        // The padding is missing; a blank is within.
        check("=?utf-8?B?Z3V0?= =?utf-8?B?IGd1 dA?=", "gut gut");
    }

    /// Expected values are those of Python's codecs.
    #[test]
    fn japanese_is_decoded_in_each_of_its_character_sets() {
        check("=?ISO-2022-JP?B?GyRCQEE1YT1xGyhC?=", "請求書");
        check("=?iso-2022-jp?b?GyRCRnxLXDhsGyhC?= 1", "日本語 1");
        check("=?Shift_JIS?B?kL+LgY+R?=", "請求書");
        check("=?EUC-JP?B?wMG14b3x?=", "請求書");
        check("=?cp932?Q?=87=40?=", "①");
        check(b"\x1b$B@A5a=q\x1b(B", "請求書");
    }

    #[test]
    fn adjacent_words_are_joined_before_they_are_decoded() {
        check("=?utf-8?q?=E8=AB?=  =?utf-8?q?=8B?=", "請");
        check("=?utf-8?b?6Ks=?= =?utf-8?b?iw==?=", "請");
        check("=?utf-8?q?=E8=AB?= =?iso-8859-1?q?=8B?=", "\u{fffd}‹");
        check("=?Shift_JIS?B?kA==?= =?Shift_JIS?B?v4uBj5E=?=", "請求書");
        check("=?EUC-JP?B?wMG1?= =?euc-jp?B?4b3x?=", "請求書");
        let two_words = "=?ISO-2022-JP?B?GyRCQEEbKEI=?= =?ISO-2022-JP?B?GyRCNWE9cRsoQg==?=";
        check(two_words, "請求書");
        // A word that does not go back to ASCII, cut within a character.
        check(
            "=?ISO-2022-JP?B?GyRCQA==?= =?ISO-2022-JP?B?QRsoQg==?=",
            "請",
        );
    }

    #[test]
    fn what_cannot_be_decoded_stays_as_it_is() {
        for value in [
            "=?x-unknown?q?a?=",
            "=?utf-7?q?a?=",
            "=?hz-gb-2312?q?a?=",
            "=?utf-8?x?a?=",
            "=?utf-8?q?broken",
            "=?utf-8?q?=ZZ?=",
            "=?utf-8?b?!?=",
            "a =? b",
            "=?",
            "=??q?a?=",
        ] {
            check(value, value);
        }
        check(b"caf\xe9", "caf\u{fffd}");
        check("=?utf-8?q?=FF?=", "\u{fffd}");
    }

    #[test]
    fn hostile_values_are_bounded() {
        assert_eq!(decode(&vec![b'x'; 1 << 20]).len(), VALUE_MAX_BYTES);
        let starts = "=?a?b?".repeat(1 << 18);
        assert_eq!(decode(starts.as_bytes()).len(), VALUE_MAX_BYTES);
        let words = "=?utf-8?q?=00?= ".repeat(1 << 16);
        assert!(decode(words.as_bytes()).len() < VALUE_MAX_BYTES);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }

        #[test]
        fn random_words_never_panic(
            text in "(=\\?(utf-8|iso-2022-jp|sjis|gb18030)\\?[qb]\\?[a-zA-Z0-9=_?+/]{0,9}\\?= ?){0,4}"
        ) {
            let _ = decode(text.as_bytes());
        }
    }
}
