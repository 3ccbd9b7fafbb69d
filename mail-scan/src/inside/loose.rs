//! The parts of a message whose structure cannot be relied on: whatever some mail program might
//! take for a part is decoded in each way that it might.

use mail_common::mime::{self, lines};

use super::search::{Role, Search, TooLarge};

/// A line of fewer digits than this stands in many texts.
const RUN_MIN_BYTES: usize = 24;

/// Shows whatever stands between lines that begin with `--`, behind a blank line or not, and each
/// run of lines in base64.
pub(super) fn show_parts(search: &mut Search, message: &[u8]) -> Result<(), TooLarge> {
    let text = with_newlines(message);
    let mut bodies = vec![&text[..]];
    let mut start = 0;
    for at in memchr::memmem::find_iter(&text, b"\n--") {
        bodies.push(&text[start..at + 1]);
        start = at + 1;
    }
    bodies.push(&text[start..]);
    for body in bodies {
        show_body(search, body)?;
        if let Some(blank) = memchr::memmem::find(body, b"\n\n") {
            show_body(search, &body[blank + 2..])?;
        }
    }
    for run in runs(&text) {
        show_base64(search, run)?;
    }
    Ok(())
}

/// Shows a body as it stands there, and decoded.
pub(super) fn show_body(search: &mut Search, body: &[u8]) -> Result<(), TooLarge> {
    search.show(body.to_vec())?;
    if memchr::memchr(b'=', body).is_some() {
        search.found(mime::quoted_printable(body), Role::File, b"")?;
    }
    if is_mostly_base64(body) {
        show_base64(search, body)?;
    }
    Ok(())
}

fn show_base64(search: &mut Search, text: &[u8]) -> Result<(), TooLarge> {
    let bytes = mime::base64(text).into_bytes();
    search.found(bytes, Role::File, b"")
}

fn is_mostly_base64(body: &[u8]) -> bool {
    let digits = body.iter().filter(|byte| is_digit(**byte)).count();
    digits * 3 > body.len() * 2
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// The runs of lines that hold nothing but base64. All are of the same length but for the last.
fn runs(text: &[u8]) -> Vec<&[u8]> {
    let mut runs = Vec::new();
    // Where the run at hand begins, and how long its lines are.
    let mut run: Option<(usize, usize)> = None;
    let mut at = 0;
    for line in lines(text) {
        let next = (at + line.len() + 1).min(text.len());
        let is_base64 = !line.is_empty() && line.iter().all(|byte| is_digit(*byte));
        match run {
            None if is_base64 && line.len() >= RUN_MIN_BYTES => run = Some((at, line.len())),
            Some((from, length)) if !is_base64 || line.len() != length => {
                let is_last = is_base64 && line.len() < length;
                runs.push(&text[from..if is_last { next } else { at }]);
                let is_next = is_base64 && line.len() > length;
                run = is_next.then_some((at, line.len()));
            }
            _ => {}
        }
        at = next;
    }
    if let Some((from, _)) = run {
        runs.push(&text[from..]);
    }
    runs
}

/// `message` with each line end a newline alone.
fn with_newlines(message: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(message.len());
    let mut bytes = message.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                text.push(b'\n');
            }
            0 => {}
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_base64_are_found_wherever_they_stand() {
        let digits = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY";
        let text = format!("hello\n{digits}\n{digits}\nQQ==\nbye\nshort\n{digits}");
        let first = format!("{digits}\n{digits}\nQQ==\n");
        assert_eq!(runs(text.as_bytes()), [first.as_bytes(), digits.as_bytes()]);
        assert_eq!(with_newlines(b"a\r\nb\rc\n\0d"), b"a\nb\nc\nd");
    }
}
