//! A body and its parts.

use memchr::memmem;

use super::description::Form;
use super::transfer::lines;

/// What stands before the first part and after the last is shown by no mail program. More than this
/// of it may be a part to somebody.
const ASIDE_MAX_BYTES: usize = 1000;

/// The body of an entity, of which `rest` follows its header: after the blank line.
#[must_use]
pub fn body_after(rest: &[u8]) -> &[u8] {
    let rest = rest.strip_prefix(b"\r").unwrap_or(rest);
    rest.strip_prefix(b"\n").unwrap_or(rest)
}

/// The parts of a multipart body.
#[derive(Debug)]
pub struct Parts<'a> {
    /// In their order.
    pub parts: Vec<&'a [u8]>,
    /// Whether the body is divided as mail programs divide it.
    pub form: Form,
}

/// Cuts `body` at its boundary lines (RFC 2046, 5.1.1).
#[must_use]
pub fn parts<'a>(body: &'a [u8], boundary: &[u8]) -> Parts<'a> {
    let delimiter = [b"--", boundary].concat();
    let (mut parts, mut form) = (Vec::new(), Form::Usual);
    let mut start = None;
    let mut end_of_last = None;
    for at in memmem::find_iter(body, &delimiter) {
        if at > 0 && body[at - 1] != b'\n' {
            continue;
        }
        let line = lines(&body[at..]).next().unwrap_or_default();
        let rest = line[delimiter.len()..].trim_ascii();
        if !matches!(rest, b"" | b"--") || end_of_last.is_some() {
            // The boundary of another multipart may begin with this one.
            form = Form::Odd;
            continue;
        }
        match start {
            Some(start) => parts.push(&body[start..at]),
            None if at > ASIDE_MAX_BYTES => form = Form::Odd,
            None => {}
        }
        let after = (at + line.len() + 1).min(body.len());
        let after = after + usize::from(body.get(after - 1) == Some(&b'\r'));
        start = Some(after.min(body.len()));
        if rest == b"--" {
            end_of_last = start.take();
        }
    }
    match (start, end_of_last) {
        (_, Some(end)) if body.len() - end > ASIDE_MAX_BYTES => form = Form::Odd,
        (_, Some(_)) => {}
        // Cut short, or without any part.
        (Some(start), None) => {
            parts.push(&body[start..]);
            form = Form::Odd;
        }
        (None, None) => form = Form::Odd,
    }
    Parts { parts, form }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_at_its_boundary_lines() {
        let check = |body: &str, expected: &[&str], form: Form| {
            let found = parts(body.as_bytes(), b"b");
            let expected: Vec<&[u8]> = expected.iter().map(|part| part.as_bytes()).collect();
            assert_eq!((found.parts, found.form), (expected, form), "{body:?}");
        };
        check(
            "--b\none\n--b\ntwo\n--b--\n",
            &["one\n", "two\n"],
            Form::Usual,
        );
        check("\r\n--b \r\none\r\n--b--", &["one\r\n"], Form::Usual);
        check("--b\none\n--b\n--b--\n", &["one\n", ""], Form::Usual);
        check("--b\none --b\n--b--\n", &["one --b\n"], Form::Usual);
        check("--b\none\n", &["one\n"], Form::Odd);
        check(
            "--b\none\n--bc\ntwo\n--b--\n",
            &["one\n--bc\ntwo\n"],
            Form::Odd,
        );
        check("--b--\n--b\none\n--b--\n", &[], Form::Odd);
        check("one\n", &[], Form::Odd);
        check("--b", &[""], Form::Odd);
    }
}
