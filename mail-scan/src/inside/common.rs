//! What clamd unpacks by itself, opened to see whether there is something in it that clamd does
//! not: by how each member begins, and whole only where it begins so.

use std::io::{self, Read};

use super::kind::{Kind, Packed};
use super::open;
use super::search::{Role, Search, TooLarge};
use super::zip;

/// So much of a member tells what it is: a tar is known by its first block.
const HEAD_BYTES: u64 = 512;

/// Blocks of a tar (POSIX pax), and the fields of a header.
const BLOCK_BYTES: usize = 512;
const SIZE_FIELD: std::ops::Range<usize> = 124..136;

/// Looks into a compressed content by what it begins with.
pub(super) fn packed(search: &mut Search, packed: Packed, content: &[u8]) -> Result<(), TooLarge> {
    let mut head = Vec::new();
    // What cannot be read is for clamd to judge, as all of its kind.
    let begun =
        open::reader(packed, content).map(|reader| reader.take(HEAD_BYTES).read_to_end(&mut head));
    drop(begun);
    if !is_to_be_opened(&head, b"") {
        return Ok(());
    }
    let room_bytes = search.room_bytes();
    let opened =
        open::reader(packed, content).and_then(|reader| open::read_within(reader, room_bytes));
    member(search, opened, b"")
}

/// Looks into the members of a tar.
pub(super) fn tar(search: &mut Search, archive: &[u8]) -> Result<(), TooLarge> {
    let mut rest = archive;
    while let Some((head, after)) = rest.split_at_checked(BLOCK_BYTES) {
        let Some(size) = octal(&head[SIZE_FIELD]) else {
            return Ok(());
        };
        let content = &after[..size.min(after.len())];
        let name = head[..100]
            .split(|&byte| byte == 0)
            .next()
            .unwrap_or_default();
        if is_to_be_opened(content, name) {
            search.deeper(|search| search.content(content, Role::File, name))?;
        }
        rest = after
            .get(size.next_multiple_of(BLOCK_BYTES)..)
            .unwrap_or_default();
    }
    Ok(())
}

/// Looks into the members of a zip that clamd opens.
pub(super) fn zip(search: &mut Search, archive: &[u8]) -> Result<(), TooLarge> {
    for entry in zip::entries(archive) {
        let mut head = Vec::new();
        let begun = entry
            .reader()
            .map(|reader| reader.take(HEAD_BYTES).read_to_end(&mut head));
        drop(begun);
        if is_to_be_opened(&head, entry.name) {
            let room_bytes = search.room_bytes();
            let opened = entry
                .reader()
                .and_then(|reader| open::read_within(reader, room_bytes));
            member(search, opened, entry.name)?;
        }
    }
    Ok(())
}

/// Whether there may be something in it that clamd does not open: it is of such a kind, or holds
/// others.
fn is_to_be_opened(head: &[u8], name: &[u8]) -> bool {
    Kind::of(head, name).is_some()
}

/// Looks into what was unpacked, which clamd is shown packed.
fn member(
    search: &mut Search,
    opened: io::Result<Result<Vec<u8>, TooLarge>>,
    name: &[u8],
) -> Result<(), TooLarge> {
    match opened {
        Ok(content) => {
            let content = content?;
            search.deeper(|search| search.content(&content, Role::File, name))
        }
        // clamd has reported what there is.
        Err(_) => Ok(()),
    }
}

fn octal(field: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(field).ok()?;
    usize::from_str_radix(digits.trim_matches([' ', '\0']), 8).ok()
}
