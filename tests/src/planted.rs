//! Text that acts on whatever shows it, to be planted where others write, and what tells that no
//! output carries it. What acts is listed here by hand, apart from the tools' own list.

use crate::run::Tool;

/// Clears a screen, sets a title, makes a link, fills a clipboard, forges a line, turns the
/// writing, hides. A name of a file can hold it, and UTF-8 text can.
pub const ACTS: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{1b}]8;;x:y\u{1b}\\link\u{1b}]52;c;aGk=\u{7}\
    \r\nFORGED line\u{9b}31m\u{85}\u{90}q\u{202e}\u{2066}\u{200b}\u{2028}\u{feff}\u{8}\u{7f}";

/// The same in bytes that are not UTF-8: C1 controls as a terminal of eight bits takes them.
pub const RAW: &[u8] = b"\x9b2J\x9d0;title\x07\x1b]52;c;aGk=\x07\r\nFORGED line\x85\x90q";

/// The same without line breaks, where a field is one line.
#[must_use]
pub fn acts_on_one_line() -> String {
    ACTS.replace(['\r', '\n'], "")
}

/// What of `text` would act if it were shown as it is; newlines may end lines.
#[must_use]
pub fn what_acts(text: &[u8]) -> Option<String> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Some("bytes that are not UTF-8".to_owned());
    };
    if text
        .lines()
        .any(|line| line.trim_start().starts_with("FORGED"))
    {
        return Some("a forged line".to_owned());
    }
    let acting = |character: &char| {
        matches!(
            character,
            '\0'..='\u{9}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
                | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
    };
    let found = text.chars().find(acting)?;
    Some(format!("U+{:04X}", u32::from(found)))
}

/// Nothing in `text` acts.
///
/// # Panics
/// When something does.
#[track_caller]
pub fn assert_inert(what: &str, text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    if let Some(acts) = what_acts(text) {
        panic!("{acts} in {what}: {:?}", String::from_utf8_lossy(text));
    }
}

/// Asserts that nothing in what a tool prints acts, in each of its formats and with all that it can
/// say.
///
/// # Panics
/// When something does, or when it prints nothing.
#[track_caller]
pub fn assert_all_inert(what: &str, tool: impl Fn() -> Tool) {
    for format in ["jsonl", "text"] {
        let outcome = tool().args(["--format", format, "-vv"]).run();
        let has_begun = !outcome.stdout.is_empty();
        assert!(has_begun, "{what}: {}", outcome.stderr);
        assert_inert(&format!("stderr of {what}"), &outcome.stderr);
        assert_inert(&format!("stdout of {what}"), &outcome.stdout);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planted_is_found() {
        for text in [ACTS.as_bytes(), acts_on_one_line().as_bytes(), RAW] {
            assert!(what_acts(text).is_some());
        }
        for character in acts_on_one_line()
            .chars()
            .filter(|c| !c.is_ascii_graphic() && *c != ' ')
        {
            let text = format!("a{character}b");
            assert!(what_acts(text.as_bytes()).is_some(), "{character:?}");
        }
        assert!(what_acts(b"well\nFORGED line").is_some());
        assert_eq!(what_acts("Müller: 請求書\n".as_bytes()), None);
    }
}
