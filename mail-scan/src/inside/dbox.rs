//! Dovecot's dbox and mdbox: messages with a header of their own each, compressed or encrypted as
//! mail_compress and mail_crypt do it (Dovecot's design document "Dbox Storage").

use super::kind::Kind;
use super::search::{Role, Search, TooLarge};

/// Before each message; `N`, and its size in hexadecimal, follow.
const BEFORE_MESSAGE: &[u8] = b"\x01\x02N";

/// Looks into each message.
pub(super) fn look(search: &mut Search, file: &[u8]) -> Result<(), TooLarge> {
    for at in memchr::memmem::find_iter(file, BEFORE_MESSAGE) {
        let Some(message) = message_at(&file[at..]) else {
            continue;
        };
        // A plain one that clamd knows is in what it is shown already, at another place than the
        // first.
        if Kind::of_head(message).is_some() {
            search.deeper(|search| search.content(message, Role::Message, b""))?;
        } else {
            search.found(message.to_vec(), Role::Message, b"")?;
        }
    }
    Ok(())
}

fn message_at(file: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b'\n', &file[..file.len().min(64)])?;
    let size = file.get(BEFORE_MESSAGE.len()..end)?.trim_ascii();
    let digits = size.split(u8::is_ascii_whitespace).next()?;
    let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    let rest = &file[end + 1..];
    Some(&rest[..size.min(rest.len())])
}
