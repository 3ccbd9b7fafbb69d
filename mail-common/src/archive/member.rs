//! One entry as tar writes it: POSIX ustar, with pax records for what ustar cannot hold.
//!
//! Owners are numbers only, so that a restore onto another host does not follow its names. Format:
//! <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>; extended attributes as
//! `SCHILY.xattr.NAME`, which GNU tar and bsdtar read and write.

use std::io::Write as _;
use std::ops::Range;

use super::index::{Kind, Stat};
use super::pax;
use crate::failure::{Failure, FailureKind};
use crate::relpath::{RelPath, UnsafePath};

/// tar's unit: headers are one block, contents are padded to whole blocks.
pub const BLOCK_BYTES: usize = 512;

/// What stands before the content of a member.
#[derive(Clone, Copy, Debug)]
pub struct MemberHead<'a> {
    /// The name in the archive.
    pub path: &'a RelPath,
    /// What it is.
    pub kind: Kind,
    /// Size (for a file: of the content that follows), mode, owner and time.
    pub stat: &'a Stat,
    /// Where a symbolic link points.
    pub link_target: &'a [u8],
    /// Extended attributes, ACLs among them, by name.
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
    /// The names in a directory, see [`dumpdir`](super::dumpdir).
    pub dumpdir: Option<&'a [u8]>,
}

impl MemberHead<'_> {
    /// Appends the header blocks to `tar`.
    pub fn append_to(&self, tar: &mut Vec<u8>) {
        let name = self.name();
        let mut header = self.plain_header(&name);
        append_pax(&header, tar, |tar| self.append_pax_records(&name, tar));
        header.set_entry_type(match self.kind {
            Kind::File => tar::EntryType::Regular,
            Kind::Directory => tar::EntryType::Directory,
            Kind::Symlink => tar::EntryType::Symlink,
        });
        header.set_size(self.content_bytes());
        copy_cut(&mut header.as_old_mut().linkname, self.link_target);
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
    }

    /// Bytes of content that follow the head; only files have any.
    fn content_bytes(&self) -> u64 {
        if self.kind == Kind::File {
            self.stat.size
        } else {
            0
        }
    }

    fn name(&self) -> Vec<u8> {
        let mut name = self.path.as_bytes().to_vec();
        if self.kind == Kind::Directory {
            name.push(b'/');
        }
        name
    }

    fn plain_header(&self, name: &[u8]) -> tar::Header {
        let mut header = tar::Header::new_ustar();
        header.set_mode(self.stat.mode);
        header.set_uid(self.stat.uid.into());
        header.set_gid(self.stat.gid.into());
        header.set_mtime(u64::try_from(self.stat.mtime_ns.div_euclid(NANOS)).unwrap_or(0));
        set_name(&mut header, name);
        header
    }

    fn append_pax_records(&self, name: &[u8], tar: &mut Vec<u8>) {
        if needs_pax(name) {
            pax_record(tar, b"path", name);
        }
        if needs_pax(self.link_target) {
            pax_record(tar, b"linkpath", self.link_target);
        }
        if self.stat.mtime_ns % NANOS != 0 || self.stat.mtime_ns < 0 {
            let seconds = decimal_seconds(self.stat.mtime_ns);
            pax_record(tar, b"mtime", seconds.as_bytes());
        }
        for (name, value) in self.xattrs {
            pax_record(tar, &[b"SCHILY.xattr.", &name[..]].concat(), value);
        }
        if let Some(value) = self.dumpdir {
            if value.len() > tar.len() {
                // By doubling it would take up to twice its room.
                tar.reserve_exact(value.len() + 2 * BLOCK_BYTES);
            }
            pax_record(tar, pax::DUMPDIR.as_bytes(), value);
        }
    }
}

const NANOS: i64 = 1_000_000_000;

fn needs_pax(name: &[u8]) -> bool {
    // ustar could split a long name at a slash into its prefix field; pax says it in one way for
    // all.
    name.len() > 100 || !name.is_ascii()
}

/// Appends what `append_records` does, if anything, as a member of its own before that of `header`.
/// The records are written where they stay: those of a directory of a million names take 40 MB.
fn append_pax(header: &tar::Header, tar: &mut Vec<u8>, append_records: impl FnOnce(&mut Vec<u8>)) {
    let start = tar.len();
    let records_start = start + BLOCK_BYTES;
    tar.resize(records_start, 0);
    append_records(tar);
    let records_bytes = (tar.len() - records_start) as u64;
    if records_bytes == 0 {
        tar.truncate(start);
        return;
    }
    let mut header = header.clone();
    set_name(&mut header, b"PaxHeaders/entry");
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size(records_bytes);
    header.set_cksum();
    tar[start..records_start].copy_from_slice(header.as_bytes());
    pad(tar, records_bytes);
}

fn set_name(header: &mut tar::Header, name: &[u8]) {
    let field = &mut header.as_old_mut().name;
    field.fill(0);
    copy_cut(field, name);
}

fn copy_cut(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

fn decimal_seconds(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let magnitude = nanoseconds.unsigned_abs();
    format!(
        "{sign}{}.{:09}",
        magnitude / NANOS.unsigned_abs(),
        magnitude % NANOS.unsigned_abs()
    )
}

/// Appends `LENGTH KEY=VALUE\n`, where LENGTH counts itself.
fn pax_record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut digits = 1;
    while (rest + digits).to_string().len() > digits {
        digits += 1;
    }
    // Writing to a Vec cannot fail.
    let _ = write!(records, "{} ", rest + digits);
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Appends the zeros that fill the last block of a content of `content_bytes`.
pub fn pad(tar: &mut Vec<u8>, content_bytes: u64) {
    tar.resize(tar.len() + padding(content_bytes), 0);
}

/// How many zeros fill the last block.
#[must_use]
pub fn padding(content_bytes: u64) -> usize {
    let over = (content_bytes % BLOCK_BYTES as u64) as usize;
    if over == 0 { 0 } else { BLOCK_BYTES - over }
}

/// Where a member lies in the tar of its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name in the archive.
    pub path: RelPath,
    /// Headers, content and padding.
    pub whole: Range<usize>,
    /// The content alone.
    pub content: Range<usize>,
}

impl Member {
    /// Appends this member of `tar`, a file that these tools stored, to `out` under another name.
    ///
    /// # Errors
    /// When its head is not one of theirs.
    pub fn append_renamed(
        &self,
        tar: &[u8],
        path: &RelPath,
        out: &mut Vec<u8>,
    ) -> Result<(), ForeignHead> {
        let head = &tar[self.whole.start..self.content.start];
        let (before, last) = head.split_last_chunk::<BLOCK_BYTES>().ok_or(ForeignHead)?;
        let mut header = tar::Header::from_byte_slice(last).clone();
        if header.entry_type() != tar::EntryType::Regular {
            return Err(ForeignHead);
        }
        let records = renamed_records(before, path)?;
        set_name(&mut header, path.as_bytes());
        append_pax(&header, out, |out| out.extend_from_slice(&records));
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(&tar[self.content.start..self.whole.end]);
        Ok(())
    }
}

/// A member has another head than these tools write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a member has a head that mail-backup does not write")]
pub struct ForeignHead;

/// The pax records in the blocks before a header, with another name.
fn renamed_records(blocks: &[u8], path: &RelPath) -> Result<Vec<u8>, ForeignHead> {
    let mut records = Vec::new();
    if needs_pax(path.as_bytes()) {
        pax_record(&mut records, b"path", path.as_bytes());
    }
    let Some((header, rest)) = blocks.split_first_chunk::<BLOCK_BYTES>() else {
        return if blocks.is_empty() {
            Ok(records)
        } else {
            Err(ForeignHead)
        };
    };
    let header = tar::Header::from_byte_slice(header);
    let bytes = header
        .size()
        .ok()
        .and_then(|size| usize::try_from(size).ok());
    let old = bytes
        .and_then(|bytes| rest.get(..bytes))
        .ok_or(ForeignHead)?;
    let is_all = rest.len() == old.len() + padding(old.len() as u64);
    if header.entry_type() != tar::EntryType::XHeader || !is_all {
        return Err(ForeignHead);
    }
    for pair in pax::pairs(old) {
        let (key, value) = pair.map_err(|pax::Damaged| ForeignHead)?;
        if key != b"path" {
            pax_record(&mut records, key, value);
        }
    }
    Ok(records)
}

/// Why a frame's tar cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A header is damaged or cut short.
    #[error("read tar member {number} of the frame")]
    Header {
        /// Counted from 1.
        number: usize,
        /// The cause.
        source: std::io::Error,
    },
    /// The pax records before a member are damaged.
    #[error("parse the pax records of tar member {number} of the frame")]
    Pax {
        /// Counted from 1.
        number: usize,
    },
    /// The name leads out of the tree.
    #[error("read tar member {number} of the frame")]
    Path {
        /// Counted from 1.
        number: usize,
        /// The cause.
        source: UnsafePath,
    },
    /// The content goes past the end of the frame.
    #[error("tar member {number} is cut short: a frame holds whole members")]
    Cut {
        /// Counted from 1.
        number: usize,
    },
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Header { .. } | Self::Pax { .. } | Self::Path { .. } | Self::Cut { .. } => {
                FailureKind::Damaged
            }
        }
    }
}

/// The members in the tar of one frame, in order.
///
/// # Errors
/// When it is not a sequence of whole members with safe names.
pub fn members(tar: &[u8]) -> Result<Vec<Member>, Error> {
    let mut found = Vec::new();
    let mut archive = tar::Archive::new(tar);
    let header_error = |number, source| Error::Header { number, source };
    let blocks = archive
        .entries()
        .map_err(|source| header_error(1, source))?
        .raw(true);
    let mut start = 0;
    let mut records: &[u8] = &[];
    for block in blocks {
        let number = found.len() + 1;
        let block = block.map_err(|source| header_error(number, source))?;
        let (content, end) = extent(&block, tar.len()).ok_or(Error::Cut { number })?;
        if block.header().entry_type() == tar::EntryType::XHeader {
            records = &tar[content];
            continue;
        }
        let named = pax::value(records, b"path").map_err(|pax::Damaged| Error::Pax { number })?;
        let name = named.map_or_else(|| block.header().path_bytes(), Into::into);
        let path = RelPath::new(name.strip_suffix(b"/").unwrap_or(&name));
        let path = path.map_err(|source| Error::Path { number, source })?;
        found.push(Member {
            path,
            whole: start..end,
            content,
        });
        records = &[];
        start = end;
    }
    Ok(found)
}

/// The content of a tar block and the end of its padding; `None` when that lies past `limit`.
fn extent(block: &tar::Entry<'_, &[u8]>, limit: usize) -> Option<(Range<usize>, usize)> {
    let start = usize::try_from(block.raw_file_position()).ok()?;
    let content_end = start.checked_add(usize::try_from(block.size()).ok()?)?;
    let end = content_end.checked_add(padding(block.size()))?;
    (end <= limit).then_some((start..content_end, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stat(size: u64, mtime_ns: i64) -> Stat {
        Stat {
            size,
            mode: 0o640,
            uid: 5000,
            gid: 5001,
            mtime_ns,
            inode: 1,
            ctime_ns: 1,
        }
    }

    fn member(path: &RelPath, content: &[u8], mtime_ns: i64) -> Vec<u8> {
        let mut tar = Vec::new();
        let stat = stat(content.len() as u64, mtime_ns);
        MemberHead {
            path,
            kind: Kind::File,
            stat: &stat,
            link_target: b"",
            xattrs: &[],
            dumpdir: None,
        }
        .append_to(&mut tar);
        tar.extend_from_slice(content);
        pad(&mut tar, content.len() as u64);
        tar
    }

    fn check_record(key: &str, value: &str, expected: &str) {
        let mut records = Vec::new();
        pax_record(&mut records, key.as_bytes(), value.as_bytes());
        assert_eq!(String::from_utf8(records).unwrap(), expected);
    }

    #[test]
    fn a_pax_record_counts_its_own_length() {
        check_record("a", "", "5 a=\n");
        check_record("path", "b", "9 path=b\n");
        check_record("path", "12", "11 path=12\n");
        check_record("path", "", "8 path=\n");
        check_record("x", &"y".repeat(93), &format!("99 x={}\n", "y".repeat(93)));
        check_record("x", &"y".repeat(94), &format!("101 x={}\n", "y".repeat(94)));
    }

    #[test]
    fn times_are_exact_on_both_sides_of_1970() {
        assert_eq!(
            decimal_seconds(1_700_000_000_000_000_001),
            "1700000000.000000001"
        );
        assert_eq!(decimal_seconds(-1_500_000_000), "-1.500000000");
        assert_eq!(decimal_seconds(-1), "-0.000000001");
    }

    proptest! {
        #[test]
        fn members_are_found_where_they_were_put(
            files in proptest::collection::vec(
                (
                    proptest::collection::vec(any::<u8>(), 1..300),
                    proptest::collection::vec(any::<u8>(), 0..2000),
                    any::<i32>(),
                ),
                0..8,
            )
        ) {
            let mut tar = Vec::new();
            let mut expected = Vec::new();
            for (name, content, seconds) in &files {
                let Ok(path) = RelPath::new(name) else { continue };
                let start = tar.len();
                tar.extend(member(&path, content, i64::from(*seconds) * NANOS + 7));
                expected.push((path, start..tar.len(), content.clone()));
            }
            let found: Vec<_> = members(&tar)
                .unwrap()
                .into_iter()
                .map(|m| (m.path, m.whole, tar[m.content].to_vec()))
                .collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_member_gets_another_name_as_if_it_had_been_written_under_it(
            names in (
                proptest::collection::vec(any::<u8>(), 1..300),
                proptest::collection::vec(any::<u8>(), 1..300),
            ),
            content in proptest::collection::vec(any::<u8>(), 0..2000),
            mtime_ns in prop_oneof![Just(5 * NANOS), any::<i32>().prop_map(i64::from)],
        ) {
            let (Ok(old), Ok(new)) = (RelPath::new(&names.0), RelPath::new(&names.1)) else {
                return Ok(());
            };
            let mut tar = member(&old, b"before", 1);
            tar.extend(member(&old, &content, mtime_ns));
            let mut renamed = Vec::new();
            members(&tar).unwrap()[1].append_renamed(&tar, &new, &mut renamed).unwrap();
            prop_assert_eq!(renamed, member(&new, &content, mtime_ns));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let _ = members(&bytes);
        }
    }
}
