//! Texts made comparable: what people take for the same is the same.
//!
//! Half and full width, composed and decomposed characters are one (NFKC, Unicode Standard Annex
//! 15), white space of any length is one blank, and what is invisible is left out: soft hyphens,
//! joiners, blanks of no width. Mail programs break a line between any two characters of Chinese
//! and Japanese, so that to words a break there is nothing.

use unicode_normalization::UnicodeNormalization;

/// `text` for the search for words: also without case. Both the words and the text are folded.
pub(crate) fn folded(text: &str) -> String {
    if text.is_ascii() {
        return ascii(text);
    }
    let mut spaced = Spaced::new(Break::Blank, text.len());
    for character in text.nfkc() {
        if character.is_ascii() {
            spaced.push(character.to_ascii_lowercase());
        } else {
            // Back from upper case, so that ß is ss, and ς is σ.
            let upper = character.to_uppercase();
            upper.flat_map(char::to_lowercase).for_each(|character| {
                spaced.push(character);
            });
        }
    }
    spaced.text
}

/// `text` for the search by patterns, which have their own ways with case: lines stay lines.
pub(crate) fn normal(text: &str) -> String {
    let mut spaced = Spaced::new(Break::Line, text.len());
    text.nfkc().for_each(|character| spaced.push(character));
    spaced.text
}

/// Most mail is this: no character has to be looked up.
fn ascii(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_ascii_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    folded.make_ascii_lowercase();
    folded
}

/// What white space that holds a line break becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Break {
    Blank,
    Line,
}

/// A text whose white space is held back until it is known what follows.
struct Spaced {
    text: String,
    kept_break: Break,
    pending: Option<Break>,
    last: char,
}

impl Spaced {
    fn new(kept_break: Break, capacity: usize) -> Self {
        Self {
            text: String::with_capacity(capacity),
            kept_break,
            pending: None,
            last: ' ',
        }
    }

    fn push(&mut self, character: char) {
        if is_invisible(character) {
            return;
        }
        if character.is_whitespace() {
            let is_break = matches!(character, '\n' | '\r') || self.pending == Some(Break::Line);
            self.pending = Some(if is_break { Break::Line } else { Break::Blank });
            return;
        }
        match self.pending.take() {
            Some(_) if self.text.is_empty() => {}
            Some(Break::Line) if self.kept_break == Break::Line => self.text.push('\n'),
            Some(Break::Line) if is_unspaced(self.last) && is_unspaced(character) => {}
            Some(_) => self.text.push(' '),
            None => {}
        }
        self.last = character;
        self.text.push(character);
    }
}

/// Whether lines are broken beside it without a blank: Chinese and Japanese, not Korean.
fn is_unspaced(character: char) -> bool {
    matches!(character,
        '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The soft hyphen, joiners and blanks of no width, marks and turns of direction (Unicode Standard
/// Annex 9), selectors of variants, tags.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_take_for_the_same_is_the_same() {
        let check =
            |one: &str, other: &str| assert_eq!(folded(one), folded(other), "{one} {other}");
        check("Estimate", "ESTIMATE");
        check("ＡＢＣ１２３", "abc123");
        check("ﾐﾂﾓﾘ", "ミツモリ");
        check("ﾊﾞｯｸｱｯﾌﾟ", "バックアップ");
        check("Cafe\u{301}", "CAFÉ");
        check("か\u{3099}", "が");
        check("Straße", "STRASSE");
        check("ΟΔΟΣ", "οδος");
        check("a \t\r\n  b", "a b");
        check("見積\r\n書", "見積書");
        check("Ver\u{ad}trag\u{200b}", "vertrag");
        check("\u{202b}to\u{200e}tal\u{202c}\u{2069}", "total");
        check("\u{3000}a\u{a0}b ", "a b");
        check("㈱", "(株)");
        assert_ne!(folded("見積 書"), folded("見積書"));
        assert_ne!(folded("한\n국"), folded("한국"));
        assert_ne!(folded("e"), folded("é"));
    }

    #[test]
    fn patterns_see_lines_and_case() {
        assert_eq!(normal("Ａb \r\n Ｃ  d\n見\n積"), "Ab\nC d\n見\n積");
    }

    proptest! {
        /// ASCII has a way of its own, which comes to the same.
        #[test]
        fn folding_twice_changes_nothing(text: String, ascii in "[ -~\r\n\t]{0,40}") {
            prop_assert_eq!(folded(&folded(&ascii)), folded(&ascii));
            let longer = folded(&format!("{ascii}é"));
            prop_assert!(longer.ends_with('é'));
            let trimmed = longer.trim_end_matches('é').trim_end();
            prop_assert_eq!(trimmed, folded(&ascii));
            let _ = (folded(&text), normal(&text));
        }
    }
}
