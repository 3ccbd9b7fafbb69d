//! What the header of a message says of it: Message-ID and subject, decoded (RFC 2047) and made
//! safe to print.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail_common::report::printable;

/// Headers are looked for in so many bytes.
pub(crate) const HEAD_BYTES: usize = 64 << 10;

const VALUE_MAX_CHARS: usize = 250;

/// How people name a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) message_id: Option<String>,
    pub(crate) subject: Option<String>,
}

impl Envelope {
    /// What stands in the header of `message`; nothing for what is no message.
    pub(crate) fn of(message: &[u8]) -> Self {
        let mut envelope = Self::default();
        for (name, value) in fields(message) {
            let slot = match name.to_ascii_lowercase().as_slice() {
                b"message-id" => &mut envelope.message_id,
                b"subject" => &mut envelope.subject,
                _ => continue,
            };
            slot.get_or_insert_with(|| safe(&decoded(&String::from_utf8_lossy(&value))));
        }
        envelope
    }
}

/// The fields of the header, unfolded (RFC 5322, 2.2.3).
fn fields(message: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut fields: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for line in message[..message.len().min(HEAD_BYTES)].split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (line.first(), fields.last_mut()) {
            (None, _) => break,
            (Some(b' ' | b'\t'), Some((_, value))) => {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
            }
            _ => {
                let Some(colon) = line.iter().position(|&byte| byte == b':') else {
                    continue;
                };
                fields.push((
                    line[..colon].trim_ascii().to_vec(),
                    line[colon + 1..].trim_ascii().to_vec(),
                ));
            }
        }
    }
    fields
}

/// The text with its encoded words decoded; blanks between two of them are no part of it.
fn decoded(value: &str) -> String {
    let mut text = String::new();
    let mut after_word = false;
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        let plain = decoded_word(word);
        let is_joined = after_word && plain.is_some();
        if !text.is_empty() && !is_joined {
            text.push(' ');
        }
        after_word = plain.is_some();
        text.push_str(plain.as_deref().unwrap_or(word));
    }
    text
}

/// `=?charset?B?...?=` or `=?charset?Q?...?=`; `None` for other words and for character sets that
/// are not known here.
fn decoded_word(word: &str) -> Option<String> {
    let mut parts = word.strip_prefix("=?")?.strip_suffix("?=")?.splitn(3, '?');
    let (charset, encoding, data) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = match encoding {
        "B" | "b" => BASE64.decode(data).ok()?,
        "Q" | "q" => quoted(data)?,
        _ => return None,
    };
    match charset.to_ascii_lowercase().split('*').next()? {
        "utf-8" | "us-ascii" => Some(String::from_utf8_lossy(&bytes).into_owned()),
        "iso-8859-1" => Some(bytes.iter().map(|&byte| char::from(byte)).collect()),
        _ => None,
    }
}

fn quoted(data: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = data.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'_' => b' ',
            b'=' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    Some(bytes)
}

/// Without what moves the cursor or turns the direction of writing.
fn safe(text: &str) -> String {
    let turns = |c: &char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let clean: String = text
        .chars()
        .filter(|c| !turns(c))
        .take(VALUE_MAX_CHARS)
        .collect();
    printable(&clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(message: &str, message_id: Option<&str>, subject: Option<&str>) {
        let expected = Envelope {
            message_id: message_id.map(str::to_owned),
            subject: subject.map(str::to_owned),
        };
        assert_eq!(Envelope::of(message.as_bytes()), expected, "{message:?}");
    }

    #[test]
    fn headers_are_read_unfolded_and_decoded() {
        check(
            "Subject: hi\r\nMessage-ID: <1@x>\r\n\r\nSubject: body\r\n",
            Some("<1@x>"),
            Some("hi"),
        );
        check(
            "message-id:\r\n <1@x>\r\nSUBJECT: a\n\tb\n\n",
            Some("<1@x>"),
            Some("a b"),
        );
        check(
            "Subject: =?UTF-8?B?6KuL5rGC?= =?utf-8?Q?=E6=9B=B8_1?= x\n\n",
            None,
            Some("請求書 1 x"),
        );
        check(
            "Subject: =?ISO-8859-1?Q?M=FCller?=\n\n",
            None,
            Some("Müller"),
        );
        check(
            "Subject: =?ISO-2022-JP?B?GyRC?=\n\n",
            None,
            Some("=?ISO-2022-JP?B?GyRC?="),
        );
        check("no header at all", None, None);
        check("\r\nSubject: body\r\n", None, None);
    }

    #[test]
    fn nothing_moves_the_cursor() {
        check("Subject: a\x1b[2Jb\n\n", None, Some("a\\u{1b}[2Jb"));
        check(
            "Subject: =?utf-8?B?4oCuZXhlLmZkcA==?=\n\n",
            None,
            Some("exe.fdp"),
        );
        check("Subject: =?utf-8?Q?a=0D=0Ab?=\n\n", None, Some("a\\r\\nb"));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(message in proptest::collection::vec(any::<u8>(), 0..300)) {
            let envelope = Envelope::of(&message);
            prop_assert!(envelope.subject.is_none_or(|subject| !subject.chars().any(char::is_control)));
        }

        #[test]
        fn random_words_never_panic(word in "=\\?[a-z8-]{0,6}\\?[BQbq]\\?[=A-Za-z0-9+/_é]{0,20}\\?=") {
            let _ = decoded(&word);
        }
    }
}
