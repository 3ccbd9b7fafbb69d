//! Members of a zip archive (APPNOTE.TXT): by which method each is compressed. clamd passes over
//! those by methods that it does not know, and says OK.

use std::collections::HashSet;
use std::io::{self, Read};

use super::open;
use super::search::{Hidden, Role, Search, TooLarge};

const LOCAL: &[u8] = b"PK\x03\x04";
const ENTRY: &[u8] = b"PK\x01\x02";

/// Fixed fields of an entry of the directory, and of a local header.
const ENTRY_BYTES: usize = 46;
const LOCAL_BYTES: usize = 30;

/// Bit 0 of the flags: encrypted. clamd names it, or this program does.
const ENCRYPTED: u16 = 1;

/// The method of members that are encrypted by AES.
const AES: u16 = 99;

/// In the header of a member by LZMA: a version, and how many bytes of properties follow.
const LZMA_HEAD_BYTES: usize = 4;
const LZMA_PROPERTIES_BYTES: usize = 5;

/// A member.
pub(super) struct Entry<'a> {
    method: u16,
    /// Where its local header is.
    local_at: usize,
    bytes: u64,
    packed: &'a [u8],
    pub(super) name: &'a [u8],
}

/// Opens the members that clamd does not, or names them.
pub(super) fn look(search: &mut Search, archive: &[u8]) -> Result<(), TooLarge> {
    for entry in entries(archive).filter(|entry| !is_opened_by_clamd(entry.method)) {
        let room_bytes = search.room_bytes();
        match entry
            .reader()
            .and_then(|reader| open::read_within(reader, room_bytes))
        {
            Ok(content) => search.found(content?, Role::File, entry.name)?,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                let what = format!("a member of a zip by {}", name_of(entry.method));
                search.hide(Hidden::NotUnpacked(what));
            }
            Err(error) => open::hide_broken(search, "a member of a zip", &error),
        }
    }
    if let Some(method) = unlisted_method(archive) {
        let what = format!(
            "a member of a zip by {} that is not listed",
            name_of(method)
        );
        search.hide(Hidden::NotUnpacked(what));
    }
    Ok(())
}

/// The method of a member that clamd does not open and that the directory does not lead to: a zip
/// may be cut, or have its directory in another form (zip64).
fn unlisted_method(archive: &[u8]) -> Option<u16> {
    let listed: HashSet<usize> = entries(archive).map(|entry| entry.local_at).collect();
    let unlisted = memchr::memmem::find_iter(archive, LOCAL).filter(|at| !listed.contains(at));
    let methods = unlisted.filter_map(|at| {
        let head = archive.get(at..at + LOCAL_BYTES)?;
        let short = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        (short(6) & ENCRYPTED == 0).then(|| short(8))
    });
    let mut unknown = methods.filter(|method| !is_opened_by_clamd(*method) && *method != AES);
    unknown.next()
}

/// Stored, imploded, deflated, deflated with 64 KiB, bzip2.
fn is_opened_by_clamd(method: u16) -> bool {
    matches!(method, 0 | 6 | 8 | 9 | 12)
}

/// The members that are not encrypted, by the directory of the archive.
pub(super) fn entries(archive: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    memchr::memmem::find_iter(archive, ENTRY).filter_map(|at| entry(archive, at))
}

impl<'a> Entry<'a> {
    /// What is in it, unpacked as it is read.
    pub(super) fn reader(&self) -> io::Result<Box<dyn Read + 'a>> {
        let packed = self.packed;
        Ok(match self.method {
            0 => Box::new(packed),
            8 => Box::new(flate2::bufread::DeflateDecoder::new(packed)),
            12 => Box::new(bzip2::bufread::BzDecoder::new(packed)),
            14 => Box::new(lzma(self)?),
            20 | 93 => Box::new(zstd::Decoder::with_buffer(packed)?),
            95 => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(packed)),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        })
    }
}

/// The member of the entry at `at` in the directory.
fn entry(archive: &[u8], at: usize) -> Option<Entry<'_>> {
    let head = archive.get(at..at + ENTRY_BYTES)?;
    let short = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let long = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (flags, method) = (short(8), short(10));
    if flags & ENCRYPTED != 0 || method == AES {
        return None;
    }
    let name = archive
        .get(at + ENTRY_BYTES..)?
        .get(..usize::from(short(28)))?;
    let local_at = usize::try_from(long(42)).ok()?;
    let local = archive.get(local_at..)?;
    let head = local
        .get(..LOCAL_BYTES)
        .filter(|head| head.starts_with(LOCAL))?;
    let short = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let packed = local.get(LOCAL_BYTES + short(26) + short(28)..)?;
    let length = usize::try_from(long(20)).ok()?.min(packed.len());
    Some(Entry {
        method,
        local_at,
        bytes: u64::from(long(24)),
        packed: &packed[..length],
        name,
    })
}

/// The header of a file by LZMA alone is the properties and the size (lzma-file-format.txt).
fn lzma<'a>(member: &Entry<'a>) -> io::Result<impl Read + use<'a>> {
    let from = LZMA_HEAD_BYTES + LZMA_PROPERTIES_BYTES;
    let (head, packed) = member
        .packed
        .split_at_checked(from)
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    // An end marker, which some writers put there, is allowed with an unknown size only.
    let header = [&head[LZMA_HEAD_BYTES..], &u64::MAX.to_le_bytes()].concat();
    let whole = io::BufReader::new(io::Cursor::new(header).chain(packed));
    let stream = liblzma::stream::Stream::new_lzma_decoder(open::MEMORY_MAX_BYTES)?;
    Ok(liblzma::bufread::XzDecoder::new_stream(whole, stream).take(member.bytes))
}

fn name_of(method: u16) -> String {
    match method {
        1 => "Shrink".to_owned(),
        2..=5 => "Reduce".to_owned(),
        18 => "IBM TERSE".to_owned(),
        94 => "MP3".to_owned(),
        96 => "JPEG".to_owned(),
        97 => "WavPack".to_owned(),
        98 => "PPMd".to_owned(),
        other => format!("method {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::dispatch::look as look_into;
    use super::*;

    /// A zip of one member, which its directory lists so often.
    fn zip(method: u16, packed: &[u8], listed: usize) -> Vec<u8> {
        let bytes = u32::try_from(packed.len()).unwrap().to_le_bytes();
        let mut local = vec![0; LOCAL_BYTES];
        local[..4].copy_from_slice(LOCAL);
        local[8..10].copy_from_slice(&method.to_le_bytes());
        local[18..22].copy_from_slice(&bytes);
        let mut entry = [0; ENTRY_BYTES];
        entry[..4].copy_from_slice(ENTRY);
        entry[10..12].copy_from_slice(&method.to_le_bytes());
        entry[20..24].copy_from_slice(&bytes);
        entry[24..28].copy_from_slice(&bytes);
        [local, packed.to_vec(), entry.repeat(listed)].concat()
    }

    #[test]
    fn a_member_that_no_directory_lists_is_named() {
        const ZSTANDARD: u16 = 93;
        let hidden = |zip: &[u8]| look_into(zip, Role::File, 1 << 20).unwrap().hidden;
        let packed = zstd::encode_all(&b"content"[..], 3).unwrap();
        let listed = zip(ZSTANDARD, &packed, 1);
        let inside = look_into(&listed, Role::File, 1 << 20).unwrap();
        assert_eq!(
            (inside.hidden, &inside.shown[..]),
            (None, &[b"content".to_vec()][..])
        );
        let named = Some(Hidden::NotUnpacked(
            "a member of a zip by method 93 that is not listed".to_owned(),
        ));
        assert_eq!(hidden(&zip(ZSTANDARD, &packed, 0)), named);
        // As zip64 has it: the place is in an extra field.
        let mut far = zip(ZSTANDARD, &packed, 1);
        let place = far.len() - ENTRY_BYTES + 42;
        far[place..place + 4].copy_from_slice(&[0xff; 4]);
        assert_eq!(hidden(&far), named);
        assert_eq!(hidden(&zip(8, b"deflated", 0)), None);
    }

    #[test]
    fn members_that_share_their_bytes_are_not_looked_at_for_ever() {
        let nested = (0..20).fold(b"text".to_vec(), |inner, _| zip(0, &inner, 10));
        assert!(nested.len() < 20_000);
        assert_eq!(
            look_into(&nested, Role::File, 1 << 20).unwrap_err(),
            TooLarge
        );
    }
}
