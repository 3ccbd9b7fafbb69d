//! The names of the files that are attached to a message.

use std::ops::ControlFlow;

use super::entities::{Depth, visit_entities};
use crate::message::is_packed;
use crate::text::printable;

/// Of a message with more of them no list is made.
const NAMES_MAX: usize = 50;

/// Nor of one with a longer name, in characters.
const NAME_MAX_CHARS: usize = 200;

/// The names of the files that are attached to `message`, in their order, those of attached
/// messages among them. `None` where they cannot be told: it is compressed or encrypted, or a part
/// of it is; its parts lie too deep; a header goes on beyond what is read of one; there are too
/// many names, or one is too long, or has characters that act on a terminal. Then the message has
/// to be looked into by whoever asks.
#[must_use]
pub fn attachment_names(message: &[u8]) -> Option<Vec<String>> {
    if is_packed(message) {
        return None;
    }
    let mut names = Some(Vec::new());
    let depth = visit_entities(message, |entity| {
        let name = entity.description.file_name();
        if entity.is_encrypted() || name.as_deref().is_some_and(|name| !is_plain(name)) {
            names = None;
        }
        let Some(known) = &mut names else {
            return ControlFlow::Break(());
        };
        known.extend(name);
        if known.len() > NAMES_MAX {
            names = None;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    names.filter(|_| depth == Depth::Whole)
}

fn is_plain(name: &str) -> bool {
    name.chars().nth(NAME_MAX_CHARS).is_none() && printable(name) == name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::HEADER_MAX_BYTES;

    #[track_caller]
    fn check(message: &str, expected: Option<&[&str]>) {
        let found = attachment_names(message.as_bytes());
        let found: Option<Vec<&str>> = found
            .as_ref()
            .map(|names| names.iter().map(String::as_str).collect());
        assert_eq!(found.as_deref(), expected, "{message}");
    }

    /// A message of these parts, each a header and a body.
    fn mixed(parts: &[&str]) -> String {
        let parts: String = parts.iter().map(|part| format!("--b\n{part}\n")).collect();
        format!("Subject: a\nContent-Type: multipart/mixed; boundary=b\n\n{parts}--b--\n")
    }

    fn named(name: &str) -> String {
        format!("Content-Disposition: attachment; filename=\"{name}\"\n\nx")
    }

    #[test]
    fn names_are_those_of_all_parts() {
        check("Subject: a\n\ntext", Some(&[]));
        check("", Some(&[]));
        let one = named("a.pdf");
        check(&one, Some(&["a.pdf"]));
        check(
            &mixed(&["\ntext", &one, &named("日本.txt")]),
            Some(&["a.pdf", "日本.txt"]),
        );
        let inner = mixed(&[&one]).replace("--b", "--c").replace("=b", "=c");
        let attached = format!("Content-Type: message/rfc822; name=inner.eml\n\n{inner}");
        check(&mixed(&[&attached]), Some(&["inner.eml", "a.pdf"]));
        let encoded = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n\
             Q29udGVudC1EaXNwb3NpdGlvbjogYXR0YWNobWVudDsgZmlsZW5hbWU9ZGVlcC56aXAKCng=";
        check(&mixed(&[encoded]), Some(&["deep.zip"]));
    }

    #[test]
    fn what_cannot_be_told_is_not_none() {
        let one = named("a.pdf");
        check("\x1f\u{8b}\u{8}not plain", Some(&[])); // UTF-8, no gzip.
        assert_eq!(attachment_names(b"\x1f\x8b\x08\0\0\0\0\0\0\0"), None);
        let encrypted = "Content-Type: multipart/encrypted; boundary=c\n\n--c\n\nx\n--c--";
        check(encrypted, None);
        check(&mixed(&[&one, encrypted]), None);
        let smime = |kind: &str| {
            let name = "application/pkcs7-mime; name=smime.p7m";
            format!("Content-Type: {name}; smime-type={kind}\n\nx")
        };
        check(&smime("enveloped-data"), None);
        check(&smime("signed-data"), Some(&["smime.p7m"]));
        check(&named("a\u{202e}b"), None);
        check(&named(&"x".repeat(200)), Some(&[&"x".repeat(200)]));
        check(&named(&"x".repeat(201)), None);
        let many = |count| mixed(&vec![one.as_str(); count]);
        check(&many(50), Some(&["a.pdf"; 50]));
        check(&many(51), None);
        let deep = (0..101).fold(String::new(), |inner, _| {
            format!("Content-Type: message/rfc822\n\n{inner}")
        });
        check(&deep, None);
        // The field that says what it is may stand beyond what is read of a header.
        let field = format!("X-Long: {}\n", "x".repeat(990));
        let header = field.repeat(HEADER_MAX_BYTES / field.len() + 1);
        let message = format!("{header}{}", mixed(&[&one]));
        assert_eq!(attachment_names(message.as_bytes()), None);
        let short = format!("{}{}", field.repeat(1000), mixed(&[&one]));
        assert_eq!(
            attachment_names(short.as_bytes()),
            Some(vec!["a.pdf".into()])
        );
    }
}
