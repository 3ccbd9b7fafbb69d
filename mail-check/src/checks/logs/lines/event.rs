//! What a line tells, and the tools to find it.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::super::tally::Topic;

/// Something that a line tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event<'a> {
    pub(super) topic: Topic,
    pub(super) times: u64,
    pub(super) reason: Cow<'a, str>,
}

/// The byte after the first `part` in `line`.
pub(super) fn after(line: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(line, part).map(|at| at + part.len())
}

/// The IP address that `text` begins with.
pub(super) fn address(text: &[u8]) -> &[u8] {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || b".:".contains(byte);
    let end = text
        .iter()
        .position(|byte| !is_part(byte))
        .unwrap_or(text.len());
    &text[..end]
}

/// `text` for people: nothing unprintable, and no mail address, which would make each reason
/// another.
pub(super) fn reason(text: &[u8]) -> Cow<'_, str> {
    static ADDRESS: LazyLock<regex::Regex> =
        LazyLock::new(|| regex::Regex::new("<[^<>]*@[^<>]*>").expect("the tests compile it"));
    let text = String::from_utf8_lossy(&text[..text.len().min(1000)]);
    let text = text.trim().replace(|c: char| c.is_control(), " ");
    Cow::Owned(ADDRESS.replace_all(&text, "<...>").into_owned())
}
