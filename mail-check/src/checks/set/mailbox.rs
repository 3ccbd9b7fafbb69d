//! The index of a mailbox against its segments: each entry is in the frame that the index names,
//! with the content it names, and no segment holds anything else.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;

use mail_common::archive::index::{IndexReader, Kind};
use mail_common::archive::reader::{Head, MemberKind, TarReader};
use mail_common::archive::segment::segment_number;
use mail_common::checksum::{Sha256, Sha256Writer};
use mail_common::set::SetFile;

use super::content::{compare_entries, read_file};
use super::frames::Frames;
use super::problem::Problem;

/// What the index says of an entry.
struct Expected {
    kind: Kind,
    sha256: Option<Sha256>,
    segment: u32,
    frame_offset: u64,
    frame_bytes: u64,
}

/// By the digests of their paths, which are shorter than most paths.
type Index = HashMap<Sha256, Expected>;

/// Reads all files of a mailbox, and gives their bytes and what is wrong with them.
pub(super) fn read_mailbox(
    set: &Path,
    mailbox: &str,
    index: Option<&SetFile>,
    segments: &[&SetFile],
) -> (u64, Vec<Problem>) {
    let Some(index) = index else {
        return (
            0,
            vec![Problem::NoIndex {
                mailbox: mailbox.to_owned(),
            }],
        );
    };
    let mut entries = Index::new();
    let (mut bytes, result) = read_file(set, index, |input| read_index(index, input, &mut entries));
    let mut problems: Vec<Problem> = result.err().into_iter().collect();
    let index_is_whole = problems.is_empty();
    for segment in segments {
        let (length, result) = read_file(set, segment, |input| {
            if index_is_whole {
                read_segment(segment, input, &mut entries)
            } else {
                // Its digest still counts.
                Ok(())
            }
        });
        bytes += length;
        problems.extend(result.err());
    }
    // What a broken segment should hold is missing for a reason that was reported.
    if problems.is_empty() && !entries.is_empty() {
        problems.push(Problem::NotInSegments {
            mailbox: mailbox.to_owned(),
            count: entries.len() as u64,
        });
    }
    (bytes, problems)
}

fn read_index(file: &SetFile, input: &mut dyn Read, entries: &mut Index) -> Result<(), Problem> {
    let reader = IndexReader::open(input).map_err(|source| Problem::Unreadable {
        path: file.path.clone(),
        source,
    })?;
    let mut lines = 0;
    for entry in reader {
        let entry = entry.map_err(|source| Problem::Index {
            path: file.path.clone(),
            source,
        })?;
        lines += 1;
        let expected = Expected {
            kind: entry.live.kind,
            sha256: entry.sha256,
            segment: entry.location.segment,
            frame_offset: entry.location.frame_offset,
            frame_bytes: entry.location.frame_bytes,
        };
        entries.insert(Sha256::of(entry.live.path.as_bytes()), expected);
    }
    compare_entries(file, lines)
}

/// Takes what the segment holds out of `entries`.
fn read_segment(file: &SetFile, input: &mut dyn Read, entries: &mut Index) -> Result<(), Problem> {
    let archive = |source| Problem::Archive {
        path: file.path.clone(),
        source,
    };
    let number = number_of(file);
    let mut tar = TarReader::new(Frames::new(input));
    let mut placed = Vec::new();
    let mut members = 0;
    while let Some(head) = tar.next_member().map_err(archive)? {
        members += 1;
        let member = String::from_utf8_lossy(&head.name).into_owned();
        let begin = tar.get_ref().begin();
        let expected = key_of(&head).and_then(|key| entries.remove(&key));
        let at_home = |expected: &Expected| {
            Some(expected.segment) == number && expected.frame_offset == begin
        };
        let Some(expected) = expected.filter(at_home) else {
            return Err(Problem::NotInIndex {
                path: file.path.clone(),
                member,
            });
        };
        if !is_as_expected(&head, &expected, &mut tar).map_err(archive)? {
            return Err(Problem::OtherContent {
                path: file.path.clone(),
                member,
            });
        }
        placed.push((expected.frame_offset, expected.frame_bytes, member));
        placed.dedup_by_key(|(offset, bytes, _)| (*offset, *bytes));
    }
    let frames = tar.finish().map_err(archive)?.into_read();
    if let Some((_, _, member)) = placed
        .into_iter()
        .find(|(offset, bytes, _)| frames.get(offset) != Some(bytes))
    {
        return Err(Problem::NoFrame {
            path: file.path.clone(),
            member,
        });
    }
    compare_entries(file, members)
}

/// Compares kind and content.
fn is_as_expected(
    head: &Head,
    expected: &Expected,
    content: &mut impl Read,
) -> Result<bool, mail_common::archive::reader::Error> {
    match (&head.kind, expected.kind) {
        (MemberKind::File, Kind::File) => {
            let mut digest = Sha256Writer::new(io::sink());
            let copied = io::copy(content, &mut digest);
            let (_, found, _) = digest.into_parts();
            // An error is met again, with its place, when the next member is looked for.
            Ok(copied.is_ok() && Some(found) == expected.sha256)
        }
        (MemberKind::Directory, Kind::Directory) | (MemberKind::Symlink(_), Kind::Symlink) => {
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// `0001.tar.zst` is 1.
fn number_of(file: &SetFile) -> Option<u32> {
    segment_number(file.path.name())
}

fn key_of(head: &Head) -> Option<Sha256> {
    head.path().ok().map(|path| Sha256::of(path.as_bytes()))
}
