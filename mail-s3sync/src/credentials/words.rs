//! Words as a POSIX shell splits them, by the rules of Python's `shlex.split`.

use std::str::Chars;

/// The words of `text`; `None` where a quote or an escape does not end.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(chars.next()?),
            '\'' => single_quoted(&mut chars, word.get_or_insert_default())?,
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

fn single_quoted(chars: &mut Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '\'' => return Some(()),
            c => word.push(c),
        }
    }
}

/// A backslash escapes a quote and itself, and stands for itself before anything else.
fn double_quoted(chars: &mut Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '\\' => match chars.next()? {
                c @ ('"' | '\\') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let found = words(text);
            let found = found
                .as_ref()
                .map(|words| words.iter().map(String::as_str).collect());
            assert_eq!(found, expected.map(<[&str]>::to_vec), "{text}");
        };
        check("profile  my\thost", Some(&["profile", "my", "host"]));
        check("profile 'my host'", Some(&["profile", "my host"]));
        check(r#"profile "a\"b\\c\d""#, Some(&["profile", r#"a"b\c\d"#]));
        check(r"profile a\ b''", Some(&["profile", "a b"]));
        check("profile ''", Some(&["profile", ""]));
        check("", Some(&[]));
        check("profile 'a", None);
        check(r#"profile "a"#, None);
        check(r"profile a\", None);
    }
}
