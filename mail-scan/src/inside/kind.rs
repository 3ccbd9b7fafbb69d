//! What a content is, by its first bytes, and by its name where a format has none of its own.

/// What is to be looked into in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Compressed, in a way that clamd unpacks by itself.
    Common(Packed),
    /// Compressed, in a way that clamd does not unpack.
    Packed(Packed),
    /// A format that neither clamd nor this program unpacks.
    Unknown(&'static str),
    /// Encrypted as a whole, by this.
    Encrypted(&'static str),
    /// Encrypted by Dovecot.
    MailCrypt,
    Tar,
    Zip,
    SevenZip,
    Rar,
    /// A document of Office, in its old format or encrypted.
    Ole,
    Tnef,
    Cms,
    Pgp,
    /// Messages in a file of Dovecot.
    Dbox,
}

/// How something is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packed {
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    Lzma,
    Lzip,
    Lz4,
    /// Chunks of lz4, as Dovecot writes them.
    DovecotLz4,
}

/// Formats that begin so. `None` where this program has a reader.
const MAGICS: [(&[u8], Kind); 38] = [
    (b"\x1f\x8b", Kind::Common(Packed::Gzip)),
    (b"BZh", Kind::Common(Packed::Bzip2)),
    (b"\xfd7zXZ\0", Kind::Common(Packed::Xz)),
    (b"LZIP\x01", Kind::Packed(Packed::Lzip)),
    (b"\x5d\0\0", Kind::Packed(Packed::Lzma)),
    (b"\x04\x22\x4d\x18", Kind::Packed(Packed::Lz4)),
    (b"\x02\x21\x4c\x18", Kind::Packed(Packed::Lz4)),
    (
        b"Dovecot-LZ4\x0d\x2a\x9b\xc5",
        Kind::Packed(Packed::DovecotLz4),
    ),
    (b"\x89LZO\0\r\n\x1a\n", Kind::Unknown("lzop")),
    (b"\x1f\x9d", Kind::Unknown("compress (.Z)")),
    (b"\x1f\xa0", Kind::Unknown("SCO compress")),
    (b"LRZI", Kind::Unknown("lrzip")),
    (b"MSWIM\0\0\0", Kind::Unknown("a WIM image")),
    (b"7kSt", Kind::Unknown("zpaq")),
    (b"zPQ", Kind::Unknown("zpaq")),
    (b"\xff\x06\0\0sNaPpY", Kind::Unknown("snappy")),
    (b"bvx2", Kind::Unknown("lzfse")),
    (b"StuffIt (c)", Kind::Unknown("a StuffIt archive")),
    (b"SIT!", Kind::Unknown("a StuffIt archive")),
    (b"hsqs", Kind::Unknown("a SquashFS image")),
    (b"vhdxfile", Kind::Unknown("a VHDX image")),
    (b"conectix", Kind::Unknown("a VHD image")),
    (b"KDMV", Kind::Unknown("a VMDK image")),
    (b"ZOO ", Kind::Unknown("a zoo archive")),
    (b"!<arch>\n", Kind::Unknown("an ar archive, such as a .deb")),
    (b"\xed\xab\xee\xdb", Kind::Unknown("an RPM package")),
    (b"!BDN", Kind::Unknown("a mailbox of Outlook")),
    (b"QFI\xfb", Kind::Unknown("a QCOW image")),
    (b"Rar!\x1a\x07", Kind::Rar),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind::Ole),
    (b"age-encryption.org/v", Kind::Encrypted("age")),
    (b"-----BEGIN AGE ENCRYPTED FILE", Kind::Encrypted("age")),
    (b"Salted__", Kind::Encrypted("openssl enc")),
    (b"AES\x02\0", Kind::Encrypted("AES Crypt")),
    (b"CRYPTED\x03\x07", Kind::MailCrypt),
    (b"PK\x03\x04", Kind::Zip),
    (b"7z\xbc\xaf\x27\x1c", Kind::SevenZip),
    (b"\x78\x9f\x3e\x22", Kind::Tnef),
];

/// After the first byte, which is 0x28, or less in old versions of the format (RFC 8878, 3.1.1;
/// lib/legacy of zstd).
const ZSTD_MAGIC: &[u8] = b"\xb5\x2f\xfd";

/// After the first byte, 0x50 to 0x5f: a frame to be skipped, with which a file may begin as well
/// (RFC 8878, 3.1.2).
const SKIPPABLE_MAGIC: &[u8] = b"\x2a\x4d\x18";

/// Formats that only their names tell.
const ENDINGS: [(&str, Kind); 6] = [
    (".br", Kind::Unknown("brotli")),
    (".lzma", Kind::Packed(Packed::Lzma)),
    (".lzh", Kind::Unknown("an LHA archive")),
    (".uha", Kind::Unknown("a UHARC archive")),
    (".pgp", Kind::Pgp),
    (".gpg", Kind::Pgp),
];

/// The object identifiers of PKCS #7 and of CMS content types begin so (RFC 5652).
const CMS_IDENTIFIERS: [&[u8]; 2] = [
    b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07",
    b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01",
];

impl Kind {
    /// What its first bytes and its name say.
    pub(super) fn of(content: &[u8], name: &[u8]) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let by_name = || {
            let known = ENDINGS
                .iter()
                .find(|(ending, _)| name.ends_with(ending.as_bytes()));
            known.map(|(_, kind)| *kind)
        };
        Self::of_head(content).or_else(by_name)
    }

    /// What its first bytes say.
    pub(super) fn of_head(head: &[u8]) -> Option<Self> {
        let magic = MAGICS.iter().find(|(magic, _)| head.starts_with(magic));
        match head {
            _ if magic.is_some() => magic
                .map(|(_, kind)| *kind)
                .filter(|kind| *kind != Self::Packed(Packed::Lzma) || is_lzma(head)),
            [0x1e | 0x22..=0x28, rest @ ..] if rest.starts_with(ZSTD_MAGIC) => {
                Some(Self::Packed(Packed::Zstd))
            }
            [0x50..=0x5f, rest @ ..] if rest.starts_with(SKIPPABLE_MAGIC) => {
                Some(Self::Packed(Packed::Zstd))
            }
            [_, _, b'-', b'l', b'h' | b'z', _, b'-', ..] => Some(Self::Unknown("an LHA archive")),
            _ if head.get(7..14) == Some(b"**ACE**") => Some(Self::Unknown("an ACE archive")),
            _ if head.get(257..262) == Some(b"ustar") => Some(Self::Tar),
            _ if is_cms(head) => Some(Self::Cms),
            _ if is_pgp(head) => Some(Self::Pgp),
            _ if head.starts_with(b"2 M") || head.starts_with(b"1 M") => Some(Self::Dbox),
            _ => None,
        }
    }
}

/// The size of the dictionary is a power of two or three halves of one, and the size of the content
/// unknown or less than a terabyte (lzma-file-format.txt of XZ Utils).
fn is_lzma(head: &[u8]) -> bool {
    let size = head.get(5..13);
    let size = size
        .and_then(|bytes| bytes.try_into().ok())
        .map(u64::from_le_bytes);
    size.is_some_and(|size| size == u64::MAX || size < 1 << 40)
}

fn is_cms(head: &[u8]) -> bool {
    let header_bytes = match head {
        [0x30, length, ..] if *length >= 0x80 => 2 + usize::from(length & 0x7f),
        _ => return false,
    };
    let content = head.get(header_bytes..).unwrap_or_default();
    CMS_IDENTIFIERS
        .iter()
        .any(|identifier| content.starts_with(identifier))
}

/// A packet with an encrypted session key comes first (RFC 9580, 4.2, 5.1, 5.3).
fn is_pgp(head: &[u8]) -> bool {
    match head {
        [0x84, _, version, ..] | [0x85, _, _, version, ..] => matches!(version, 3 | 6),
        [0x8c, 4..=64, version, cipher, ..] => matches!(version, 4..=6) && *cipher <= 13,
        [0xc1, length, rest @ ..] => matches!(version_of(*length, rest), Some(3 | 6)),
        [0xc3, 4..=64, version, ..] => matches!(version, 4..=6),
        _ => false,
    }
}

/// What follows a length of one or two bytes.
fn version_of(length: u8, rest: &[u8]) -> Option<u8> {
    match length {
        0..=191 => rest.first().copied(),
        192..=223 => rest.get(1).copied(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_first_bytes() {
        let check = |head: &[u8], expected| assert_eq!(Kind::of_head(head), expected, "{head:?}");
        check(b"\x28\xb5\x2f\xfd", Some(Kind::Packed(Packed::Zstd)));
        check(b"\x27\xb5\x2f\xfd", Some(Kind::Packed(Packed::Zstd)));
        check(b"\x5e\x2a\x4d\x18", Some(Kind::Packed(Packed::Zstd)));
        check(b"P*M is text", None);
        check(b"From: a", None);
        check(b"", None);
        check(
            b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0",
            Some(Kind::Packed(Packed::Lzma)),
        );
        check(b"\x5d\0\0\x80\0 is not", None);
        check(b"CRYPTED\x03\x07\x02", Some(Kind::MailCrypt));
        check(
            b"\x30\x82\x01\x02\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03",
            Some(Kind::Cms),
        );
        check(
            b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02",
            Some(Kind::Cms),
        );
        check(b"\x85\x01\x0c\x03", Some(Kind::Pgp));
        check(b"\x8c\x0d\x04\x09\x03\x02", Some(Kind::Pgp));
        assert_eq!(Kind::of(b"x", b"A.BR"), Some(Kind::Unknown("brotli")));
    }
}
