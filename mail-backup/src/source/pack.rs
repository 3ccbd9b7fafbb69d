//! Reads entries of the live tree into the tar of one frame.

use std::fs::File;
use std::io;

use mail_common::archive::index::{Envelope, IndexEntry, Kind, LiveEntry, Location, Stat};
use mail_common::archive::member::{MemberHead, pad};
use mail_common::checksum::Sha256;
use mail_common::maildir::is_message;
use mail_common::message::{Head, begins_like_message};
use mail_common::mime::attachment_names;
use mail_common::relpath::RelPath;
use mail_common::xattr;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use super::private_key;
use super::tree::{Look, SourceTree, is_fresh, look_at_open, vanished};

/// A larger file is not read into memory but streamed into a frame of its own.
pub(crate) const LARGE_BYTES: u64 = 16 << 20;

/// How often a file that changes while it is read is read again.
const READS: usize = 3;

/// An extended attribute: its name and its value.
pub(super) type Xattr = (Vec<u8>, Vec<u8>);

/// An entry that is to be read into a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) live: LiveEntry,
    /// Its name in the archive.
    pub(crate) stored: RelPath,
    /// For a directory: it gets a member for each of these records of its names. Such a directory
    /// is stored even if it is gone by now, as it was when it was listed.
    pub(crate) dumpdirs: Vec<Vec<u8>>,
    /// For a file: whether it is looked into for a private key.
    pub(crate) is_watched: bool,
}

impl Request {
    /// To be stored under its own name.
    pub(crate) fn plain(live: LiveEntry) -> Self {
        Self {
            stored: live.path.clone(),
            live,
            dumpdirs: Vec::new(),
            is_watched: false,
        }
    }
}

/// What was read into a frame, and what was not.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    /// In the order of the tar.
    pub(crate) entries: Vec<PackedEntry>,
    /// No longer where they were listed.
    pub(crate) vanished: Vec<LiveEntry>,
    /// Too large for a frame in memory.
    pub(crate) large: Vec<Request>,
    /// What could not be read.
    pub(crate) failed: Vec<(RelPath, io::Error)>,
    /// Files that were changing during all attempts; taken as they were at the last.
    pub(crate) unsteady: Vec<RelPath>,
}

/// An entry as it was read.
#[derive(Debug)]
pub(crate) struct PackedEntry {
    pub(crate) live: LiveEntry,
    /// Its name in the archive.
    pub(crate) stored: RelPath,
    /// Of the content; for files only.
    pub(crate) sha256: Option<Sha256>,
    /// Whether a private key is in it; known only where the request asks for that.
    pub(crate) holds_key: bool,
    /// For messages only.
    pub(crate) message: MessageFields,
    /// Of the extended attributes, if there are any.
    pub(crate) xattrs_sha256: Option<Sha256>,
}

/// What the index of a set keeps of a message, and whether it begins as one.
#[derive(Debug, Default)]
pub(crate) struct MessageFields {
    /// A message that does not begin as one.
    pub(crate) is_headless: bool,
    /// Where it can be told.
    message_id: Option<String>,
    /// Where the message shows its header.
    envelope: Option<Box<Envelope>>,
    /// Where they can be told.
    attachments: Option<Vec<String>>,
}

impl PackedEntry {
    /// The line of the index: the entry under its name in the archive.
    pub(crate) fn indexed(self, location: Location) -> IndexEntry {
        IndexEntry {
            live: LiveEntry {
                path: self.stored,
                ..self.live
            },
            sha256: self.sha256,
            location,
            message_id: self.message.message_id,
            envelope: self.message.envelope,
            attachments: self.message.attachments,
            xattrs_sha256: self.xattrs_sha256,
        }
    }
}

impl MessageFields {
    /// Those of the file at `path`, which begins with `start`, if it is a message.
    pub(crate) fn of(path: &RelPath, start: &[u8], message_bytes: u64) -> Self {
        if !is_message(path) {
            return Self::default();
        }
        let head = Head::of(start, message_bytes);
        // What a cut one lacks may stand beyond: half an envelope would hide it from a search.
        let whole = head.as_ref().filter(|head| head.is_whole());
        let is_all_there = start.len() as u64 >= message_bytes;
        Self {
            is_headless: !begins_like_message(start),
            message_id: head.as_ref().and_then(Head::message_id),
            envelope: whole.map(|head| Box::new(Envelope::of(head))),
            attachments: is_all_there.then(|| attachment_names(start)).flatten(),
        }
    }
}

/// Appends what is asked for to `tar`, reading each file once, or again where it changes meanwhile.
pub(crate) fn pack(tree: &SourceTree, requests: Vec<Request>, tar: &mut Vec<u8>) -> Packed {
    let mut packed = Packed::default();
    for request in requests {
        let start = tar.len();
        match append(tree, &request, tar) {
            Ok(Appended::Whole(entry)) => packed.entries.push(entry),
            Ok(Appended::Unsteady(entry)) => {
                packed.unsteady.push(entry.live.path.clone());
                packed.entries.push(entry);
            }
            Ok(Appended::Large(live)) => packed.large.push(Request { live, ..request }),
            Err(error) => {
                tar.truncate(start);
                if vanished(&error) {
                    packed.vanished.push(request.live);
                } else {
                    packed.failed.push((request.live.path, error));
                }
            }
        }
    }
    packed
}

/// What one attempt gave.
enum Appended {
    Whole(PackedEntry),
    Unsteady(PackedEntry),
    Large(LiveEntry),
}

fn append(tree: &SourceTree, request: &Request, tar: &mut Vec<u8>) -> io::Result<Appended> {
    match request.live.kind {
        Kind::File => append_file(tree, request, tar),
        Kind::Directory => append_directory(tree, request, tar),
        Kind::Symlink => append_link(tree, &request.live, tar),
    }
}

fn append_directory(
    tree: &SourceTree,
    request: &Request,
    tar: &mut Vec<u8>,
) -> io::Result<Appended> {
    let (live, dumpdirs) = (&request.live, &request.dumpdirs);
    let (stat, xattrs) = match look_at_directory(tree, &live.path) {
        Err(error) if vanished(&error) && !dumpdirs.is_empty() => (live.stat, Vec::new()),
        looked => looked?,
    };
    let mut head = MemberHead {
        path: &live.path,
        kind: Kind::Directory,
        stat: &stat,
        link_target: b"",
        xattrs: &xattrs,
        dumpdir: None,
    };
    for dumpdir in dumpdirs {
        head.dumpdir = Some(dumpdir);
        head.append_to(tar);
    }
    if dumpdirs.is_empty() {
        head.append_to(tar);
    }
    let live = LiveEntry {
        stat: settled(stat),
        ..live.clone()
    };
    let packed = without_content(live, xattr::digest(&xattrs));
    Ok(Appended::Whole(packed))
}

fn look_at_directory(tree: &SourceTree, path: &RelPath) -> io::Result<(Stat, Vec<Xattr>)> {
    let directory = tree.open_directory(path)?;
    let stat = expect(look_at_open(&directory)?, Kind::Directory)?;
    Ok((stat, xattr::read(&directory)?))
}

fn append_link(tree: &SourceTree, entry: &LiveEntry, tar: &mut Vec<u8>) -> io::Result<Appended> {
    MemberHead {
        path: &entry.path,
        kind: Kind::Symlink,
        stat: &entry.stat,
        link_target: &tree.read_link(&entry.path)?,
        xattrs: &[],
        dumpdir: None,
    }
    .append_to(tar);
    Ok(Appended::Whole(without_content(entry.clone(), None)))
}

fn without_content(live: LiveEntry, xattrs_sha256: Option<Sha256>) -> PackedEntry {
    PackedEntry {
        stored: live.path.clone(),
        live,
        sha256: None,
        holds_key: false,
        message: MessageFields::default(),
        xattrs_sha256,
    }
}

fn append_file(tree: &SourceTree, request: &Request, tar: &mut Vec<u8>) -> io::Result<Appended> {
    let start = tar.len();
    for _ in 1..READS {
        match read_file(tree, request, tar)? {
            Appended::Unsteady(..) => tar.truncate(start),
            appended => return Ok(appended),
        }
    }
    read_file(tree, request, tar)
}

/// Appends head and content of a file as one reading gives them.
fn read_file(tree: &SourceTree, request: &Request, tar: &mut Vec<u8>) -> io::Result<Appended> {
    let (path, stored) = (&request.live.path, &request.stored);
    let file = tree.open_file(path)?;
    let mut stat = expect(look_at_open(&file)?, Kind::File)?;
    let live = |stat| LiveEntry {
        path: path.clone(),
        kind: Kind::File,
        stat,
    };
    if stat.size > LARGE_BYTES {
        return Ok(Appended::Large(live(stat)));
    }
    let xattrs = xattr::read(&file)?;
    let start = tar.len();
    append_file_head(stored, &stat, &xattrs, tar);
    let content = tar.len();
    let read_bytes = read_up_to(&file, stat.size, tar)?;
    let after = expect(look_at_open(&file)?, Kind::File)?;
    let is_steady =
        read_bytes == stat.size && after.size == stat.size && after.mtime_ns == stat.mtime_ns;
    let sha256 = Some(Sha256::of(&tar[content..]));
    let holds_key = request.is_watched && private_key::is_in(&tar[content..]);
    let message = MessageFields::of(path, &tar[content..], read_bytes);
    if read_bytes < stat.size {
        // The head has promised more than there is: it is written again.
        stat.size = read_bytes;
        let data = tar.split_off(content);
        tar.truncate(start);
        append_file_head(stored, &stat, &xattrs, tar);
        tar.extend_from_slice(&data);
    }
    pad(tar, read_bytes);
    let packed = |stat| PackedEntry {
        live: live(stat),
        stored: stored.clone(),
        sha256,
        holds_key,
        message,
        xattrs_sha256: xattr::digest(&xattrs),
    };
    if is_steady {
        Ok(Appended::Whole(packed(settled(stat))))
    } else {
        Ok(Appended::Unsteady(packed(unsettled(stat))))
    }
}

pub(super) fn append_file_head(path: &RelPath, stat: &Stat, xattrs: &[Xattr], tar: &mut Vec<u8>) {
    MemberHead {
        path,
        kind: Kind::File,
        stat,
        link_target: b"",
        xattrs,
        dumpdir: None,
    }
    .append_to(tar);
}

/// Appends at most `limit` bytes of `file`, in one call of the kernel where it gives them so.
/// Returns how many.
fn read_up_to(file: &File, limit: u64, tar: &mut Vec<u8>) -> io::Result<u64> {
    let start = tar.len();
    let wanted = usize::try_from(limit).map_err(io::Error::other)?;
    // One byte more would tell of a file that grew; the second look at its size does.
    tar.reserve(wanted);
    while tar.len() < start + wanted {
        match rustix::io::read(file, spare_capacity(tar)) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    tar.truncate(start + wanted);
    Ok((tar.len() - start) as u64)
}

/// Something else may have taken the place of what was listed.
pub(crate) fn expect(look: Look, kind: Kind) -> io::Result<Stat> {
    match look {
        Look::Savable(found, stat) if found == kind => Ok(stat),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// A change time in the tick of the reading does not prove that nothing changed afterwards: it is
/// stored as 0.
pub(crate) fn settled(stat: Stat) -> Stat {
    if is_fresh(&stat) {
        unsettled(stat)
    } else {
        stat
    }
}

/// Without its change time: the next run reads it again, whatever its times say.
fn unsettled(stat: Stat) -> Stat {
    Stat {
        ctime_ns: 0,
        ..stat
    }
}
