//! Text of others made safe for people: what a message, a file name, a server or a record says
//! passes through here before a terminal, a log, an email or a page shows it.

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

/// Whether a character would act instead of being shown. Joiners (U+200C, U+200D) do not: Persian
/// and Indic words and emoji are spelt with them.
pub(crate) fn acts(character: char) -> bool {
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

    proptest! {
        #[test]
        fn nothing_that_acts_is_left(text: String) {
            let clean = printable(&text);
            prop_assert!(!clean.chars().any(acts));
            prop_assert_eq!(printable(&clean), clean);
        }
    }
}
