//! Files that stand in the text of a message, as uuencode (POSIX) and yEnc write them.

use mail_common::mime::lines;

/// A file that stands in a text, with its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inline {
    pub(super) name: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

/// The uuencoded files in `text`: `begin 644 name`, lines, `end`.
pub(super) fn uuencoded(text: &[u8]) -> Vec<Inline> {
    let mut found = Vec::new();
    let mut lines = lines(text);
    while let Some(line) = lines.next() {
        let Some(name) = uu_name(line) else { continue };
        let mut bytes = Vec::new();
        for line in lines.by_ref().take_while(|line| *line != b"end") {
            uu_line(line, &mut bytes);
        }
        found.push(Inline { name, bytes });
    }
    found
}

/// The name in `begin 644 name`.
fn uu_name(line: &[u8]) -> Option<Vec<u8>> {
    let rest = line.strip_prefix(b"begin ")?;
    let mode = rest
        .iter()
        .take_while(|byte| (b'0'..=b'7').contains(byte))
        .count();
    let name = rest.get(mode..)?.strip_prefix(b" ")?;
    (mode >= 3).then(|| name.to_vec())
}

fn uu_line(line: &[u8], bytes: &mut Vec<u8>) {
    let value = |byte: u8| byte.wrapping_sub(b' ') & 0x3f;
    let Some((&length, digits)) = line.split_first() else {
        return;
    };
    let mut decoded = Vec::with_capacity(digits.len());
    for group in digits.chunks(4) {
        let digit = |at: usize| value(group.get(at).copied().unwrap_or(b' '));
        decoded.push(digit(0) << 2 | digit(1) >> 4);
        decoded.push(digit(1) << 4 | digit(2) >> 2);
        decoded.push(digit(2) << 6 | digit(3));
    }
    decoded.truncate(usize::from(value(length)));
    bytes.extend(decoded);
}

/// The files in `text` that are encoded as yEnc 1.3: `=ybegin`, lines, `=yend`. Each byte is 42
/// more, and after `=` another 64.
pub(super) fn yencoded(text: &[u8]) -> Vec<Inline> {
    let mut found = Vec::new();
    let mut lines = lines(text);
    while let Some(line) = lines.next() {
        if !line.starts_with(b"=ybegin ") {
            continue;
        }
        let name = memchr::memmem::find(line, b" name=").map(|at| line[at + 6..].to_vec());
        let mut bytes = Vec::new();
        for line in lines
            .by_ref()
            .take_while(|line| !line.starts_with(b"=yend"))
        {
            if !line.starts_with(b"=ypart ") {
                y_line(line, &mut bytes);
            }
        }
        let name = name.unwrap_or_default();
        found.push(Inline { name, bytes });
    }
    found
}

fn y_line(line: &[u8], bytes: &mut Vec<u8>) {
    // A line may begin with a dot that was doubled on the way (RFC 5321, 4.5.2).
    let line = line.strip_prefix(b"..").map_or(line, |_| &line[1..]);
    let mut is_escaped = false;
    for &byte in line {
        match byte {
            b'=' if !is_escaped => is_escaped = true,
            _ => {
                bytes.push(byte.wrapping_sub(if is_escaped { 42 + 64 } else { 42 }));
                is_escaped = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As `uuencode` and the specification of yEnc write it.
    #[test]
    fn files_in_texts_are_found() {
        let text = b"hello\nbegin 644 a b.txt\n#0V%T\n`\nend\nbye\n";
        let cat = |name: &[u8]| Inline {
            name: name.to_vec(),
            bytes: b"Cat".to_vec(),
        };
        assert_eq!(uuencoded(text), [cat(b"a b.txt")]);
        assert_eq!(uuencoded(b"begin with\nend\n"), []);
        let text = b"=ybegin line=128 size=3 name=c.txt\r\n\x6d\x8b\x9e\r\n=yend size=3\r\n";
        assert_eq!(yencoded(text), [cat(b"c.txt")]);
        let text = b"=ybegin line=128 size=1 name=c\n=n\n=yend\n";
        assert_eq!(yencoded(text)[0].bytes, b"\x04");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..200), head in 0usize..3) {
            let text = [[&b""[..], b"begin 644 x\n", b"=ybegin name=x\n"][head], &text[..]].concat();
            let _ = (uuencoded(&text), yencoded(&text));
        }
    }
}
