//! How a file is packed, by its name and the bytes that it begins with; and how what it holds is
//! shown to clamd.

use mail_common::archive::compression::Compression;
use mail_common::checksum::Sha256;

use crate::cache::Key;

/// After the first byte, which is 0x28, or less in old versions of the format (RFC 8878, 3.1.1;
/// lib/legacy of zstd).
const ZSTD_MAGIC: &[u8] = &[0xb5, 0x2f, 0xfd];

/// After the first byte, 0x50 to 0x5f: a frame to be skipped, with which a file may begin as well
/// (RFC 8878, 3.1.2).
const SKIPPABLE_MAGIC: &[u8] = &[0x2a, 0x4d, 0x18];

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const BZIP2_MAGIC: &[u8] = b"BZh";
const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";

/// This many bytes tell what something is.
pub(crate) const MAGIC_BYTES: usize = 16;

/// What is inside, once it is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inner {
    /// A tar: its members are scanned one by one.
    Archive,
    /// Text without a structure that a scanner would have to know, such as a dump: what is too
    /// large for one piece is scanned in windows.
    Text,
    /// One content, which is scanned in one piece or not at all.
    Whole,
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    pub(crate) compression: Compression,
    pub(crate) inner: Inner,
}

impl Packing {
    pub(crate) const PLAIN: Self = Self {
        compression: Compression::None,
        inner: Inner::Whole,
    };

    /// What the name says.
    pub(crate) fn of_name(name: &[u8]) -> Self {
        let compression = Compression::of_name(name);
        let stem = match compression {
            Compression::None => name,
            _ if [&b".tgz"[..], b".tbz", b".tbz2", b".txz"]
                .iter()
                .any(|suffix| name.ends_with(suffix)) =>
            {
                return Self {
                    compression,
                    inner: Inner::Archive,
                };
            }
            Compression::Zstd | Compression::Gzip | Compression::Bzip2 | Compression::Xz => {
                stem(name)
            }
        };
        Self {
            compression,
            inner: inner_of(stem),
        }
    }

    /// The same, where the file does begin as its name says; else it is a plain one.
    pub(crate) fn of_name_and_head(name: &[u8], head: &[u8]) -> Self {
        let packing = Self::of_name(name);
        let is_so = match packing.compression {
            Compression::None => true,
            packed => compression_of_head(head) == packed,
        };
        if is_so { packing } else { Self::PLAIN }
    }

    /// Under which key the cache knows a file with the digest `sha256` that was unpacked so.
    pub(crate) fn cache_key(self, sha256: Sha256) -> Key {
        Key::of_unpacked(&format!("{:?} {:?}", self.compression, self.inner), sha256)
    }
}

/// How a content is compressed that begins so.
fn compression_of_head(head: &[u8]) -> Compression {
    match head {
        [0x1e | 0x22..=0x28, rest @ ..] if rest.starts_with(ZSTD_MAGIC) => Compression::Zstd,
        [0x50..=0x5f, rest @ ..] if rest.starts_with(SKIPPABLE_MAGIC) => Compression::Zstd,
        _ if head.starts_with(GZIP_MAGIC) => Compression::Gzip,
        _ if head.starts_with(BZIP2_MAGIC) => Compression::Bzip2,
        _ if head.starts_with(XZ_MAGIC) => Compression::Xz,
        _ => Compression::None,
    }
}

/// What is inside a file of this name, once it is unpacked.
pub(crate) fn inner_of(name: &[u8]) -> Inner {
    let ends = |suffix: &[u8]| name.to_ascii_lowercase().ends_with(suffix);
    if ends(b".tar") {
        return Inner::Archive;
    }
    let texts = [&b".sql"[..], b".jsonl", b".log", b".csv"];
    if texts.iter().any(|suffix| ends(suffix)) {
        Inner::Text
    } else {
        Inner::Whole
    }
}

fn stem(name: &[u8]) -> &[u8] {
    let dot = name
        .iter()
        .rposition(|&byte| byte == b'.')
        .unwrap_or(name.len());
    &name[..dot]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inside::Role;

    #[test]
    fn names_tell() {
        let check = |name: &str, compression, inner| {
            assert_eq!(
                Packing::of_name(name.as_bytes()),
                Packing { compression, inner },
                "{name}"
            );
        };
        check("0001.tar.zst", Compression::Zstd, Inner::Archive);
        check("config.tar.gz", Compression::Gzip, Inner::Archive);
        check("config.tgz", Compression::Gzip, Inner::Archive);
        check("plain.tar", Compression::None, Inner::Archive);
        check("mailserver.sql.zst", Compression::Zstd, Inner::Text);
        check("mailserver.sql.gz", Compression::Gzip, Inner::Text);
        check("index.jsonl.zst", Compression::Zstd, Inner::Text);
        check("docker-compose.yml", Compression::None, Inner::Whole);
        check("photo.gz", Compression::Gzip, Inner::Whole);
        check("1766.M15P1.mx,S=90:2,S", Compression::None, Inner::Whole);
    }

    #[test]
    fn what_does_not_begin_as_its_name_says_is_plain() {
        assert_eq!(
            Packing::of_name_and_head(b"a.tar.gz", b"From: x"),
            Packing::PLAIN
        );
        assert_eq!(
            Packing::of_name_and_head(b"a.zst", &[0x28, 0xb5, 0x2f, 0xfd, 0]),
            Packing::of_name(b"a.zst")
        );
        assert_eq!(
            Packing::of_name_and_head(b"a.sql", b""),
            Packing::of_name(b"a.sql")
        );
    }

    #[test]
    fn one_digest_has_a_key_for_each_way_to_unpack() {
        let digest = Sha256::of(b"x");
        let keys = ["a.tar.zst", "a.sql.zst", "a.zst", "a.tar.gz"]
            .map(|name| Packing::of_name(name.as_bytes()).cache_key(digest));
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[at + 1..].contains(key) && *key != Key::of_content(digest, Role::File));
        }
    }
}
