//! Escape sequences of terminals, which programs write into their logs too.

use std::borrow::Cow;

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

/// `block` without them (ECMA-48: CSI, OSC, and two bytes otherwise). A sequence ends at the end of
/// its line.
pub(super) fn without(block: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(ESCAPE, block) else {
        return Cow::Borrowed(block);
    };
    let mut clean = block[..first].to_vec();
    let mut rest = &block[first..];
    while let Some(at) = memchr::memchr(ESCAPE, rest) {
        clean.extend_from_slice(&rest[..at]);
        rest = &rest[at + length(&rest[at..])..];
    }
    clean.extend_from_slice(rest);
    Cow::Owned(clean)
}

/// Of the sequence that `text` begins with.
fn length(text: &[u8]) -> usize {
    let line = memchr::memchr(b'\n', text).unwrap_or(text.len());
    let text = &text[..line];
    let end = match text.get(1) {
        Some(b'[') => text[2..]
            .iter()
            .position(|byte| (0x40..=0x7e).contains(byte)),
        Some(b']') => text[2..]
            .iter()
            .position(|byte| matches!(*byte, BELL | b'\\')),
        _ => return line.min(2),
    };
    end.map_or(line, |at| at + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_titles_go_and_lines_stay() {
        let check = |text: &str, expected: &str| {
            assert_eq!(without(text.as_bytes()), expected.as_bytes(), "{text:?}");
        };
        check("plain\n", "plain\n");
        check("\u{1b}[1;31mERROR\u{1b}[0m x\nnext\n", "ERROR x\nnext\n");
        check("\u{1b}]0;title\u{7}a\u{1b}]0;t\u{1b}\\b", "ab");
        check("a\u{1b}[31\nb\u{1b}", "a\nb");
        check("\u{1b}(Bx", "Bx");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_no_line_goes(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        ) {
            let count = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
            proptest::prop_assert_eq!(count(&without(&bytes)), count(&bytes));
        }
    }
}
