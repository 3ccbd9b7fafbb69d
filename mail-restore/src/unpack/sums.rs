//! An index against its segments: both are added up, in whatever order and in little memory, and
//! must come to the same.

use std::collections::BTreeMap;
use std::path::Path;

use mail_common::archive::index::{IndexEntry, IndexReader, Kind};
use mail_common::archive::state::{CONTROL, State};
use mail_common::checksum::Sha256;
use mail_common::relpath::RelPath;
use mail_common::set::{Listing, SavedMailbox, verify};

use super::error::Error;

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

    /// Adds what an index says of an entry.
    fn add_entry(&mut self, entry: &IndexEntry) {
        let size_bytes = match entry.live.kind {
            Kind::Directory => 0,
            Kind::File | Kind::Symlink => entry.live.stat.size,
        };
        self.add(&entry.live.path, size_bytes, entry.sha256);
    }
}

/// The first half of a digest, as a number.
fn head(digest: Sha256) -> u128 {
    u128::from_str_radix(&digest.to_string()[..32], 16).unwrap_or_default()
}

/// The sums of what is said of each archive of `mailbox`, by its number, with the file that says
/// it.
pub(crate) fn sums_of(
    set: &Path,
    mailbox: &SavedMailbox,
    state: Option<&State>,
) -> Result<BTreeMap<u32, (Sums, RelPath)>, Error> {
    let mut sums = BTreeMap::new();
    match &mailbox.listing {
        Listing::Lost => {}
        Listing::Index(index) => add_index(set, &index.path, &mut sums)?,
        Listing::State {
            state: file,
            indexes,
        } => {
            let control = state.map_or(&[][..], |state| &state.control);
            let mut of_control = Sums::default();
            control.iter().for_each(|entry| of_control.add_entry(entry));
            sums.insert(CONTROL, (of_control, file.path.clone()));
            for (number, index) in indexes.iter() {
                sums.insert(number, (Sums::default(), index.path.clone()));
                add_index(set, &index.path, &mut sums)?;
            }
        }
    }
    Ok(sums)
}

fn add_index(
    set: &Path,
    path: &RelPath,
    sums: &mut BTreeMap<u32, (Sums, RelPath)>,
) -> Result<(), Error> {
    let reader = IndexReader::open(verify::open(set, path)?);
    let reader = reader.map_err(|source| Error::Decompress {
        archive: path.clone(),
        source,
    })?;
    for entry in reader {
        let entry = entry.map_err(|source| Error::ReadIndex {
            index: path.clone(),
            source,
        })?;
        let new = || (Sums::default(), path.clone());
        let (of_segment, _) = sums.entry(entry.location.segment).or_insert_with(new);
        of_segment.add_entry(&entry);
    }
    Ok(())
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
