//! What is said of the archives of a mailbox against them: each entry of an index is in the frame
//! that the index names, with the content it names, and no archive holds anything else. In format 2
//! state, indexes and dumpdirs must come to one mailbox.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::path::Path;

use mail_common::archive::index::{IndexEntry, IndexReader, Kind};
use mail_common::archive::members::Member;
use mail_common::archive::reader::{Head, MemberKind, TarReader};
use mail_common::archive::segment::segment_number;
use mail_common::archive::state::{CONTROL, State};
use mail_common::checksum::{Sha256, Sha256Writer};
use mail_common::set::{Listing, MailboxError, SavedMailbox, SetFile};

use super::content::{compare_entries, read_file};
use super::frames::Frames;
use super::problem::Problem;

/// What is said of an entry.
struct Expected {
    kind: Kind,
    sha256: Option<Sha256>,
    frame_offset: u64,
    frame_bytes: u64,
}

/// By the segments, and by the digests of the names there, which are shorter than most names.
type Index = HashMap<(u32, Sha256), Expected>;

/// Reads all files of a mailbox, and gives their bytes and what is wrong with them.
pub(super) fn read_mailbox(set: &Path, mailbox: &SavedMailbox) -> (u64, Vec<Problem>) {
    let mut entries = Index::new();
    let (mut bytes, mut problems) = match &mailbox.listing {
        Listing::Lost => {
            let mailbox = mailbox.directory.to_string();
            return (0, vec![Problem::NoIndex { mailbox }]);
        }
        Listing::Index(index) => read_listed(set, index, |entry| expect(entry, &mut entries)),
        Listing::State { state, indexes } => {
            let (bytes, mut problems) = read_state(set, state, &mut entries);
            let indexes = indexes.files().map(|index| read_listed(set, index, |_| {}));
            let (lengths, of_indexes): (Vec<u64>, Vec<Vec<Problem>>) = indexes.unzip();
            problems.extend(of_indexes.into_iter().flatten());
            if problems.is_empty() {
                problems.extend(examine(set, mailbox, state).err());
            }
            (bytes + lengths.iter().sum::<u64>(), problems)
        }
    };
    let is_listed = problems.is_empty();
    let mut unmet = 0;
    for segment in mailbox.archives.files().chain(&mailbox.foreign) {
        // Of format 2, one index at a time is in memory.
        if is_listed && let Some(index) = own_index(mailbox, segment) {
            let (_, again) = read_listed(set, index, |entry| expect(entry, &mut entries));
            problems.extend(again);
        }
        let (length, result) = read_file(set, segment, |input| {
            if is_listed {
                read_segment(segment, input, &mut entries)
            } else {
                // Its digest still counts.
                Ok(())
            }
        });
        bytes += length;
        problems.extend(result.err());
        if matches!(mailbox.listing, Listing::State { .. }) {
            unmet += entries.drain().count();
        }
    }
    unmet += entries.len();
    // What a broken segment should hold is missing for a reason that was reported.
    if problems.is_empty() && unmet > 0 {
        problems.push(Problem::NotInSegments {
            mailbox: mailbox.directory.to_string(),
            count: unmet as u64,
        });
    }
    (bytes, problems)
}

/// The index of `segment` alone, in format 2.
fn own_index<'a>(mailbox: &'a SavedMailbox, segment: &SetFile) -> Option<&'a SetFile> {
    match &mailbox.listing {
        Listing::State { indexes, .. } => indexes.get(number_of(segment)?),
        Listing::Index(_) | Listing::Lost => None,
    }
}

fn read_listed(set: &Path, index: &SetFile, visit: impl FnMut(&IndexEntry)) -> (u64, Vec<Problem>) {
    let (bytes, result) = read_file(set, index, |input| read_index(index, input, visit));
    (bytes, result.err().into_iter().collect())
}

fn read_index(
    file: &SetFile,
    input: &mut dyn Read,
    mut visit: impl FnMut(&IndexEntry),
) -> Result<(), Problem> {
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
        visit(&entry);
    }
    compare_entries(file, lines)
}

fn expect(entry: &IndexEntry, entries: &mut Index) {
    let expected = Expected {
        kind: entry.live.kind,
        sha256: entry.sha256,
        frame_offset: entry.location.frame_offset,
        frame_bytes: entry.location.frame_bytes,
    };
    let name = Sha256::of(entry.live.path.as_bytes());
    entries.insert((entry.location.segment, name), expected);
}

fn read_state(set: &Path, file: &SetFile, entries: &mut Index) -> (u64, Vec<Problem>) {
    let (bytes, result) = read_file(set, file, |input| {
        let state = State::read(input).map_err(|source| MailboxError::State {
            path: file.path.clone(),
            source,
        })?;
        state
            .control
            .iter()
            .for_each(|entry| expect(entry, entries));
        Ok(())
    });
    (bytes, result.err().into_iter().collect())
}

/// Whether state, indexes and dumpdirs come to one mailbox, of as many entries as the manifest
/// says.
fn examine(set: &Path, mailbox: &SavedMailbox, state: &SetFile) -> Result<(), Problem> {
    let mut present = 0;
    mailbox.examine(set, |member| {
        present += u64::from(matches!(member, Member::Here(_)));
    })?;
    compare_entries(state, present)
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
    let mut first_begin = None;
    while let Some(head) = tar.next_member().map_err(archive)? {
        let member = String::from_utf8_lossy(&head.name).into_owned();
        let begin = tar.get_ref().begin();
        // With dumpdirs the mailbox comes twice and counts once: the state names one of the places.
        let is_first = members == 0 && first_begin.is_none();
        if is_first && number == Some(CONTROL) && head.dumpdir.is_some() {
            first_begin = Some(begin);
            continue;
        }
        members += 1;
        let key = number.zip(key_of(&head));
        let expected = key.and_then(|key| entries.remove(&key));
        let at_home = |expected: &Expected| {
            let offset = expected.frame_offset;
            offset == begin || members == 1 && Some(offset) == first_begin
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
    check_frames(file, placed, &frames)?;
    compare_entries(file, members)
}

/// Whether each member lies in a frame of the place and length that the index says.
fn check_frames(
    file: &SetFile,
    placed: Vec<(u64, u64, String)>,
    frames: &BTreeMap<u64, u64>,
) -> Result<(), Problem> {
    let is_wrong = |(offset, bytes, _): &(u64, u64, String)| frames.get(offset) != Some(bytes);
    match placed.into_iter().find(is_wrong) {
        None => Ok(()),
        Some((_, _, member)) => Err(Problem::NoFrame {
            path: file.path.clone(),
            member,
        }),
    }
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
