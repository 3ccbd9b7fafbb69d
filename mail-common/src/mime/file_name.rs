//! The name of an attached file, in each way that mail programs write it: plainly, as encoded words
//! (which RFC 2047 forbids there, and most programs wrote for years), in another character set and
//! in pieces (RFC 2231).

use crate::message::{decoded, text_in};

/// A name in more pieces than this is not put together.
const PIECES_MAX: usize = 1000;

/// The value of the parameter `name`, of which `parameters` may hold pieces.
pub(super) fn assembled(parameters: &[(String, Vec<u8>)], name: &str) -> Option<String> {
    let value = |key: &str| {
        let found = parameters.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_slice())
    };
    if let Some(value) = value(&format!("{name}*")) {
        let (charset, encoded) = charset_of(value);
        return Some(text_in(charset, &unescaped(encoded)));
    }
    let mut pieces = (0..PIECES_MAX).map_while(|number| {
        let plain = value(&format!("{name}*{number}")).map(|value| (value, Piece::Plain));
        plain.or_else(|| Some((value(&format!("{name}*{number}*"))?, Piece::Encoded)))
    });
    let Some((first, kind)) = pieces.next() else {
        return value(name).map(decoded);
    };
    let (charset, first) = match kind {
        Piece::Plain => ("", first),
        Piece::Encoded => charset_of(first),
    };
    let mut bytes = kind.bytes(first);
    for (piece, kind) in pieces {
        bytes.extend(kind.bytes(piece));
    }
    Some(text_in(charset, &bytes))
}

#[derive(Clone, Copy)]
enum Piece {
    Plain,
    Encoded,
}

impl Piece {
    fn bytes(self, piece: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => piece.to_vec(),
            Self::Encoded => unescaped(piece),
        }
    }
}

/// `charset'language'text`.
fn charset_of(value: &[u8]) -> (&str, &[u8]) {
    let mut parts = value.splitn(3, |&byte| byte == b'\'');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(charset), Some(_), Some(text)) => {
            (std::str::from_utf8(charset).unwrap_or_default(), text)
        }
        _ => ("", value),
    }
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let escaped = after.split_first_chunk::<2>().and_then(|(digits, after)| {
            let byte = digit(digits[0])? << 4 | digit(digits[1])?;
            Some((u8::try_from(byte).ok()?, after))
        });
        match escaped.filter(|_| first == b'%') {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None => bytes.push(first),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use crate::message::Head;
    use crate::mime::Description;

    #[track_caller]
    fn check(head: &str, expected: Option<&str>) {
        let text = format!("{head}\r\n\r\n");
        let head = Head::of(text.as_bytes(), text.len() as u64).unwrap();
        let name = Description::of(&head).file_name();
        assert_eq!(name.as_deref(), expected, "{text}");
    }

    #[test]
    fn the_name_of_a_file_is_read_however_it_is_written() {
        check("Content-Type: text/plain", None);
        check("Content-Type: application/pdf; name=a.pdf", Some("a.pdf"));
        let both = "Content-Type: application/pdf; name=\"b\"\r\nContent-Disposition: attachment; filename=\"a b.pdf\"";
        check(both, Some("a b.pdf"));
        let disposition = |value: &str| format!("Content-Disposition: attachment;\r\n {value}");
        check(
            &disposition("filename=\"=?ISO-2022-JP?B?GyRCOCtAUT1xGyhCLnBkZg==?=\""),
            Some("見積書.pdf"),
        );
        check(
            &disposition("filename*=utf-8''%E8%A6%8B%E7%A9%8D%E6%9B%B8.pdf"),
            Some("見積書.pdf"),
        );
        check(
            &disposition("filename*=Shift_JIS'ja'%8C%A9%90%CF%8F%91.pdf"),
            Some("見積書.pdf"),
        );
        check(
            &disposition(
                "filename*0*=utf-8''%E8%A6%8B%E7;\r\n filename*1*=%A9%8D%E6%9B%B8;\r\n filename*2=\".pdf\"",
            ),
            Some("見積書.pdf"),
        );
        check(
            &disposition("filename*0=\"a\"; filename*1=\"b.pdf\""),
            Some("ab.pdf"),
        );
        check(&disposition("filename*=100%"), Some("100%"));
        check(&disposition("filename=\"見積書.pdf\""), Some("見積書.pdf"));
    }
}
