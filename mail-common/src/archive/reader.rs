//! Reads any tar as a stream, member by member: ours, and what GNU tar and bsdtar write.
//!
//! Understood are ustar, pax records and GNU's long names and large numbers. A sparse file or a
//! part of a split archive is an error, never a member with other content than it had. Nothing is
//! believed of a name: [`Head::path`] checks it.

use std::io::{self, Read};

use super::member::{BLOCK_BYTES, padding};
use super::pax;
use crate::failure::{Failure, FailureKind};
use crate::relpath::{RelPath, UnsafePath};

/// Long names.
const NAME_MAX_BYTES: u64 = 4 << 20;

/// Extended attributes of up to 64 KiB each, and the names in a directory: about fifty bytes for
/// each of a million messages.
const RECORDS_MAX_BYTES: u64 = 64 << 20;

/// GNU tar fills its last record with zeros, up to some hundred KiB where a block size was given.
const TRAILER_MAX_BYTES: u64 = 16 << 20;

/// What a member is, with where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file; its content follows.
    File,
    /// A directory.
    Directory,
    /// A symbolic link to this path, which may be any.
    Symlink(Vec<u8>),
    /// Another name of the member that has this name.
    HardLink(Vec<u8>),
    /// A device or a named pipe.
    Special,
}

/// What stands before the content of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The name as the archive has it; not to be trusted.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
    /// Bytes of content; 0 for all but files.
    pub size: u64,
    /// Permission bits, `07777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Extended attributes, ACLs among them, by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The names in a directory, as [`Dumpdir`](super::dumpdir::Dumpdir) reads them.
    pub dumpdir: Option<Vec<u8>>,
}

/// Why a tar cannot be read on. Members are counted from 1.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive cannot be read or decompressed: cut short or damaged.
    #[error("read tar member {number}")]
    Read {
        /// Which member.
        number: u64,
        /// The cause.
        source: io::Error,
    },
    /// What stands where a header should be is none, or its numbers make no sense.
    #[error("tar member {number}: damaged header: {reason}")]
    Header {
        /// Which member.
        number: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A kind of member that cannot be read exactly.
    #[error("tar member {number}: {what} is not supported; unpack this archive with GNU tar")]
    Unsupported {
        /// Which member.
        number: u64,
        /// The kind.
        what: &'static str,
    },
    /// The archive ends without its end mark.
    #[error("the tar is cut short after {members} members")]
    Cut {
        /// How many were whole.
        members: u64,
    },
    /// Something other than zeros follows the end mark.
    #[error("data follows the end of the tar")]
    Trailer,
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Read { source, .. } => FailureKind::of_stored(source),
            Self::Header { .. } | Self::Cut { .. } | Self::Trailer => FailureKind::Damaged,
            Self::Unsupported { .. } => FailureKind::Unsupported,
        }
    }
}

impl Head {
    /// The name, checked: relative to the root of the archive, without `./` before it and a slash
    /// behind it.
    ///
    /// # Errors
    /// When it is absolute or leads out of the tree.
    pub fn path(&self) -> Result<RelPath, UnsafePath> {
        checked(&self.name)
    }

    /// The name that a hard link leads to, checked likewise; `None` for other members.
    ///
    /// # Errors
    /// As [`path`](Self::path).
    pub fn link_path(&self) -> Result<Option<RelPath>, UnsafePath> {
        match &self.kind {
            MemberKind::HardLink(target) => checked(target).map(Some),
            _ => Ok(None),
        }
    }
}

fn checked(name: &[u8]) -> Result<RelPath, UnsafePath> {
    let mut plain = name;
    while let Some(rest) = plain.strip_prefix(b"./") {
        plain = rest;
    }
    while let [rest @ .., b'/'] = plain {
        plain = rest;
    }
    // `./` is the root itself; `/` is absolute, and stays so.
    match (plain, name.first()) {
        ([], Some(b'.')) => Ok(RelPath::root()),
        ([], _) => RelPath::new(name),
        _ => RelPath::new(plain),
    }
}

/// Reads a tar. As a reader it gives the content of the member whose head was given last.
#[derive(Debug)]
pub struct TarReader<R> {
    inner: R,
    members: u64,
    content_bytes: u64,
    padding_bytes: u64,
    ended: bool,
}

/// What the blocks before a header say of the member.
#[derive(Default)]
struct Extension {
    pax: Vec<u8>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    /// Reads plain tar from `inner`.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            members: 0,
            content_bytes: 0,
            padding_bytes: 0,
            ended: false,
        }
    }

    /// What it reads from; nothing is read ahead of what a member needs.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The head of the next member; what was not read of the last content is skipped. `None` at the
    /// end mark.
    ///
    /// # Errors
    /// When the archive is damaged, cut short or of a kind that cannot be read exactly.
    pub fn next_member(&mut self) -> Result<Option<Head>, Error> {
        let mut extension = Extension::default();
        loop {
            self.skip_content()?;
            let Some(header) = self.next_header()? else {
                return Ok(None);
            };
            let size = header
                .entry_size()
                .map_err(|_| self.damaged("its size is not a number"))?;
            match header.entry_type().as_byte() {
                b'x' => extension.pax = self.extension_data(size, RECORDS_MAX_BYTES)?,
                b'L' => extension.long_name = Some(self.long_name(size)?),
                b'K' => extension.long_link = Some(self.long_name(size)?),
                // Global records are remarks of the program that made the archive.
                b'g' => drop(self.extension_data(size, NAME_MAX_BYTES)?),
                _ => return self.head(&header, size, extension).map(Some),
            }
        }
    }

    /// Reads on to the end of the input, where nothing but zeros may follow the end mark, and gives
    /// the input back. A decompressor has verified its checksums then.
    ///
    /// # Errors
    /// When members are left, other data follows, or the input is damaged.
    pub fn finish(mut self) -> Result<R, Error> {
        if !self.ended {
            return Err(Error::Cut {
                members: self.members,
            });
        }
        let mut buffer = [0; 8192];
        let mut bytes = 0;
        loop {
            let length = self
                .inner
                .read(&mut buffer)
                .map_err(|source| self.read_error(source))?;
            bytes += length as u64;
            if buffer[..length].iter().any(|&byte| byte != 0) || bytes > TRAILER_MAX_BYTES {
                return Err(Error::Trailer);
            }
            if length == 0 {
                return Ok(self.inner);
            }
        }
    }

    fn head(
        &mut self,
        header: &tar::Header,
        size: u64,
        extension: Extension,
    ) -> Result<Head, Error> {
        self.members += 1;
        let number = self.members;
        let damaged = |reason| Error::Header { number, reason };
        let link = header.link_name_bytes().unwrap_or_default().into_owned();
        let mut link = extension.long_link.unwrap_or(link);
        let mut head = plain_head(header, size).map_err(damaged)?;
        if let Some(name) = extension.long_name {
            head.name = name;
        }
        let mut is_sparse = false;
        for pair in pax::pairs(&extension.pax) {
            let (key, value) =
                pair.map_err(|pax::Damaged| damaged("its pax records are damaged"))?;
            apply(&mut head, &mut link, key, value).map_err(damaged)?;
            is_sparse |= key.starts_with(b"GNU.sparse.");
        }
        head.kind = match (header.entry_type().as_byte(), is_sparse) {
            (_, true) | (b'S', _) => {
                return Err(Error::Unsupported {
                    number,
                    what: "a sparse file",
                });
            }
            (b'0' | b'\0', _) if head.name.ends_with(b"/") => MemberKind::Directory,
            (b'0' | b'\0' | b'7', _) => MemberKind::File,
            (b'1', _) => MemberKind::HardLink(link),
            (b'2', _) => MemberKind::Symlink(link),
            (b'3' | b'4' | b'6', _) => MemberKind::Special,
            (b'5', _) => MemberKind::Directory,
            _ => {
                return Err(Error::Unsupported {
                    number,
                    what: "a member of an unknown type",
                });
            }
        };
        if head.kind != MemberKind::File {
            head.size = 0;
        }
        self.expect_content(head.size);
        Ok(head)
    }

    /// The next block that is a header; `None` at the end mark.
    fn next_header(&mut self) -> Result<Option<tar::Header>, Error> {
        if self.ended {
            return Ok(None);
        }
        let mut block = [0; BLOCK_BYTES];
        match self.inner.read_exact(&mut block) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Error::Cut {
                    members: self.members,
                });
            }
            result => result.map_err(|source| self.read_error(source))?,
        }
        if block.iter().all(|&byte| byte == 0) {
            self.ended = true;
            return Ok(None);
        }
        let header = tar::Header::from_byte_slice(&block);
        match header.cksum() {
            Ok(recorded) if recorded == sum(&block) => Ok(Some(header.clone())),
            _ => Err(self.damaged("its checksum is wrong")),
        }
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        Ok(without_nul(self.extension_data(size, NAME_MAX_BYTES)?))
    }

    fn extension_data(&mut self, size: u64, limit: u64) -> Result<Vec<u8>, Error> {
        if size > limit {
            return Err(self.damaged("its name or attributes are too long"));
        }
        self.expect_content(size);
        let mut data = Vec::new();
        self.read_to_end(&mut data)
            .map_err(|source| self.read_error(source))?;
        Ok(data)
    }

    fn expect_content(&mut self, size: u64) {
        self.content_bytes = size;
        self.padding_bytes = padding(size) as u64;
    }

    fn skip_content(&mut self) -> Result<(), Error> {
        let bytes = self.content_bytes.saturating_add(self.padding_bytes);
        let skipped = io::copy(&mut self.inner.by_ref().take(bytes), &mut io::sink());
        match skipped.map_err(|source| self.read_error(source))? {
            skipped if skipped == bytes => {
                self.expect_content(0);
                Ok(())
            }
            _ => Err(self.read_error(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn read_error(&self, source: io::Error) -> Error {
        Error::Read {
            number: self.members.max(1),
            source,
        }
    }

    /// Of the header that comes next.
    fn damaged(&self, reason: &'static str) -> Error {
        Error::Header {
            number: self.members + 1,
            reason,
        }
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.content_bytes).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        match self.inner.read(&mut buffer[..wanted])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.content_bytes -= length as u64;
                Ok(length)
            }
        }
    }
}

/// The head of a file by its header alone, before long names and pax records.
fn plain_head(header: &tar::Header, size: u64) -> Result<Head, &'static str> {
    let id = |number: io::Result<u64>| number.ok().and_then(owner);
    let mode = header.mode().map_err(|_| "its mode is not a number")?;
    let mtime = header.mtime().map_err(|_| "its time is not a number")?;
    Ok(Head {
        name: header.path_bytes().into_owned(),
        kind: MemberKind::File,
        size,
        mode: mode & 0o7777,
        uid: id(header.uid()).ok_or("its owner is not a number")?,
        gid: id(header.gid()).ok_or("its group is not a number")?,
        mtime_ns: nanoseconds(mtime),
        xattrs: Vec::new(),
        dumpdir: None,
    })
}

/// Lets a pax record change what the header says.
fn apply(
    head: &mut Head,
    link: &mut Vec<u8>,
    key: &[u8],
    value: &[u8],
) -> Result<(), &'static str> {
    match key {
        b"path" => head.name = value.to_vec(),
        b"linkpath" => *link = value.to_vec(),
        b"size" => head.size = decimal(value).ok_or("its size is not a number")?,
        b"uid" => {
            head.uid = decimal(value)
                .and_then(owner)
                .ok_or("its owner is not a number")?;
        }
        b"gid" => {
            head.gid = decimal(value)
                .and_then(owner)
                .ok_or("its group is not a number")?;
        }
        b"mtime" => head.mtime_ns = decimal_nanoseconds(value).ok_or("its time is not a number")?,
        _ if key == pax::DUMPDIR.as_bytes() => head.dumpdir = Some(value.to_vec()),
        _ => {
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                head.xattrs.push((name.to_vec(), value.to_vec()));
            }
        }
    }
    Ok(())
}

fn without_nul(mut name: Vec<u8>) -> Vec<u8> {
    let end = name
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(name.len());
    name.truncate(end);
    name
}

/// The sum of a header's bytes, with blanks where the sum itself stands (ustar).
fn sum(block: &[u8; BLOCK_BYTES]) -> u32 {
    let byte = |(at, &byte): (usize, &u8)| {
        if (148..156).contains(&at) {
            32
        } else {
            u32::from(byte)
        }
    };
    block.iter().enumerate().map(byte).sum()
}

/// The largest number means "leave it as it is" to chown(2), and is not an owner.
fn owner(number: u64) -> Option<u32> {
    u32::try_from(number)
        .ok()
        .filter(|&owner| owner != u32::MAX)
}

fn nanoseconds(seconds: u64) -> i64 {
    // GNU's base-256 number of a time before 1970 is a two's complement.
    seconds.cast_signed().saturating_mul(1_000_000_000)
}

fn decimal(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if !is_number {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `-1.5` is one and a half seconds before 1970; digits after the ninth are dropped.
fn decimal_nanoseconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (magnitude, sign) = text.strip_prefix('-').map_or((text, 1), |rest| (rest, -1));
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: i64 = format!("{:0<9}", fraction.get(..9).unwrap_or(fraction))
        .parse()
        .ok()?;
    let seconds = decimal(whole.as_bytes())?.try_into().unwrap_or(i64::MAX);
    Some(sign * i64::saturating_mul(seconds, 1_000_000_000).saturating_add(nanos))
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
