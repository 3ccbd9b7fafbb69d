//! Text of others made safe for people: what a message, a file name, a server or a record says
//! passes through here before a terminal, a log, an email or a page shows it.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with all escaped that would act instead of being shown: controls and escape sequences,
/// which move the cursor or forge a line, and characters that turn the direction of writing or hide
/// what stands beside them. What is escaped stays visible, as in `\u{202e}`.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if acts(character) {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    clean
}

/// JSON in which the same is escaped: JSON itself asks for that of the controls of ASCII only. Who
/// reads it gets the same text. A carriage return, which is a blank to JSON, becomes a blank,
/// except at the end of a line.
#[must_use]
pub fn inert_json(json: &str) -> Cow<'_, str> {
    if !json.contains(acts_in_json) {
        return Cow::Borrowed(json);
    }
    let mut inert = String::with_capacity(json.len() + 16);
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek().is_none_or(|next| *next == '\n') => inert.push('\r'),
            '\r' => inert.push(' '),
            acting if acts_in_json(acting) => {
                for unit in acting.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(inert, "\\u{unit:04x}");
                }
            }
            plain => inert.push(plain),
        }
    }
    Cow::Owned(inert)
}

/// Newlines and tabs stand between the values of JSON, and never in them.
fn acts_in_json(character: char) -> bool {
    acts(character) && !matches!(character, '\n' | '\t')
}

/// Whether a character would act instead of being shown. Joiners (U+200C, U+200D) do not: Persian
/// and Indic words and emoji are spelt with them.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX 9).
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            // Line and paragraph separators.
            | '\u{2028}' | '\u{2029}'
            // Invisible: the soft hyphen, blanks of no width, annotations, tags.
            | '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_acts_is_shown_instead() {
        let check = |text: &str, expected: &str| assert_eq!(printable(text), expected);
        check("Müller & 請求書 👩‍💻", "Müller & 請求書 👩‍💻");
        check("a\u{1b}[2Jb\rc\n", "a\\u{1b}[2Jb\\rc\\n");
        check("\u{9b}31m", "\\u{9b}31m");
        check("\u{202e}exe.fdp", "\\u{202e}exe.fdp");
        check("\u{2066}a\u{2069}\u{200f}", "\\u{2066}a\\u{2069}\\u{200f}");
        check("a\u{2028}b\u{feff}\u{ad}", "a\\u{2028}b\\u{feff}\\u{ad}");
        check("می\u{200c}خواهم", "می\u{200c}خواهم");
    }

    #[test]
    fn what_acts_in_json_is_escaped_and_means_the_same() {
        let check = |json: &str, expected: &str| assert_eq!(inert_json(json), expected);
        check(
            "{\"a\":\"é請\",\t\"b\": 1}\r",
            "{\"a\":\"é請\",\t\"b\": 1}\r",
        );
        check("{\n  \"a\": 1\r\n}", "{\n  \"a\": 1\r\n}");
        check("{\"type\":\r\"x\"}", "{\"type\": \"x\"}");
        check(
            "[\"\u{9b}1m\u{202e}b\u{2066}\u{7f}\u{e0041}\"]",
            r#"["\u009b1m\u202eb\u2066\u007f\udb40\udc41"]"#,
        );
    }

    proptest! {
        #[test]
        fn json_is_inert_and_reads_the_same(text: String) {
            let json = serde_json::to_string(&text).unwrap();
            let inert = inert_json(&json);
            prop_assert!(!inert.chars().any(acts));
            prop_assert_eq!(serde_json::from_str::<String>(&inert).unwrap(), text);
        }

        #[test]
        fn nothing_that_acts_is_left(text: String) {
            let clean = printable(&text);
            prop_assert!(!clean.chars().any(acts));
            prop_assert_eq!(printable(&clean), clean);
        }
    }
}
