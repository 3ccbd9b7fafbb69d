//! An index against its segments: both are added up, in whatever order and in little memory, and
//! must come to the same.

use std::collections::BTreeMap;
use std::path::Path;

use mail_common::archive::index::{IndexReader, Kind};
use mail_common::checksum::Sha256;
use mail_common::relpath::RelPath;

use super::error::Error;
use mail_common::set::verify;

/// The sum of entries: how many, and of the digests of what they are. Equal entries come to equal
/// sums in any order; that others do is as unlikely as any chance of 128 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    entries: u64,
    digests: u128,
}

impl Sums {
    /// Adds an entry: for a symbolic link the length of its target is its size.
    pub(crate) fn add(&mut self, path: &RelPath, size_bytes: u64, content: Option<Sha256>) {
        let content = content.map(|digest| digest.to_string()).unwrap_or_default();
        let text = [
            path.as_bytes(),
            b"\0",
            size_bytes.to_string().as_bytes(),
            b"\0",
            content.as_bytes(),
        ]
        .concat();
        self.entries += 1;
        self.digests = self.digests.wrapping_add(head(Sha256::of(&text)));
    }
}

/// The first half of a digest, as a number.
fn head(digest: Sha256) -> u128 {
    u128::from_str_radix(&digest.to_string()[..32], 16).unwrap_or_default()
}

/// The sums of what the index at `path` says of each segment, by its number.
pub(crate) fn sums_of_index(set: &Path, path: &RelPath) -> Result<BTreeMap<u32, Sums>, Error> {
    let damaged = |source| Error::ReadIndex {
        index: path.clone(),
        source,
    };
    let reader = IndexReader::open(verify::open(set, path)?);
    let reader = reader.map_err(|source| Error::Decompress {
        archive: path.clone(),
        source,
    })?;
    let mut sums: BTreeMap<u32, Sums> = BTreeMap::new();
    for entry in reader {
        let entry = entry.map_err(damaged)?;
        let size_bytes = if entry.live.kind == Kind::Directory {
            0
        } else {
            entry.live.stat.size
        };
        sums.entry(entry.location.segment).or_default().add(
            &entry.live.path,
            size_bytes,
            entry.sha256,
        );
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_content_does() {
        let path = |text: &str| RelPath::new(text).unwrap();
        let sums = |entries: &[(&str, u64, &[u8])]| {
            let mut sums = Sums::default();
            for (name, size, content) in entries {
                sums.add(&path(name), *size, Some(Sha256::of(content)));
            }
            sums
        };
        let one = sums(&[("a", 1, b"x"), ("b", 2, b"yy")]);
        assert_eq!(one, sums(&[("b", 2, b"yy"), ("a", 1, b"x")]));
        let others: [&[(&str, u64, &[u8])]; 4] = [
            &[("a", 1, b"x")],
            &[("a", 1, b"x"), ("b", 2, b"yz")],
            &[("a", 1, b"x"), ("b", 3, b"yy")],
            &[("a", 1, b"x"), ("c", 2, b"yy")],
        ];
        for other in others {
            assert_ne!(one, sums(other), "{other:?}");
        }
    }
}
