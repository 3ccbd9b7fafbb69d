//! The text that a mail program shows of HTML.

use std::convert::Infallible;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};

/// Elements within a line; every other one stands apart from what is beside it.
const INLINE: [&[u8]; 28] = [
    b"a", b"abbr", b"acronym", b"b", b"bdi", b"bdo", b"big", b"cite", b"code", b"del", b"dfn",
    b"em", b"font", b"i", b"ins", b"kbd", b"mark", b"o:p", b"q", b"s", b"samp", b"small", b"span",
    b"strong", b"sub", b"sup", b"u", b"wbr",
];

/// Elements that are not shown.
const HIDDEN: [&[u8]; 4] = [b"script", b"style", b"template", b"noscript"];

/// The text of `html`. Nothing that is written in it can fail, or nest: it is cut into tokens as a
/// browser would cut it, and no tree is made.
pub(crate) fn text_of(html: &str) -> String {
    let mut text = String::with_capacity(html.len() / 2);
    let mut hidden: Option<Vec<u8>> = None;
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                if hidden.is_none() && HIDDEN.contains(&name) {
                    hidden = Some(name.to_vec());
                }
                set_apart(&mut text, name);
            }
            CallbackEvent::EndTag { name } => {
                if hidden.as_deref() == Some(name) {
                    hidden = None;
                }
                set_apart(&mut text, name);
            }
            CallbackEvent::String { value } if hidden.is_none() => {
                text.push_str(&String::from_utf8_lossy(value));
            }
            _ => {}
        }
        None::<Infallible>
    });
    emitter.naively_switch_states(true);
    let Ok(()) = Tokenizer::new_with_emitter(html, emitter).finish();
    text
}

fn set_apart(text: &mut String, name: &[u8]) {
    if !INLINE.contains(&name) {
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_shown_is_the_text() {
        let check = |html: &str, expected: &str| {
            let text = text_of(html);
            let words: Vec<&str> = text.split_whitespace().collect();
            assert_eq!(words.join(" "), expected, "{html}");
        };
        check("<p>your <b>est</b>imate</p>", "your estimate");
        check("one<br>two<td>three</td>four", "one two three four");
        check(
            "caf&eacute; &#35211;&#x7A4D; &amp;lt; &nbsp;x",
            "café 見積 &lt; x",
        );
        check("<style>p { x }</style><script>if (a<b) y()</script>z", "z");
        check("<!-- no --><a href='http://x'>link</a>", "link");
        check("<p title='a>b'>c", "c");
        check("a < b <3 <", "a < b <3 <");
        check("<script>never ends", "");
    }

    #[test]
    fn a_page_that_nests_without_end_is_read() {
        let html = "<div>".repeat(200_000) + "deep";
        assert!(text_of(&html).trim() == "deep");
    }

    proptest! {
        #[test]
        fn nothing_panics(html: String, tags in "[<>&;/a-z \"'=!-]{0,60}") {
            let _ = (text_of(&html), text_of(&tags));
        }
    }
}
