//! One mailbox looked for in all sets at once.
//!
//! Sets share the indexes of their segments by hard links, so each file is read and hashed once,
//! and of its lines only those are kept that could be meant. What a set adds is its state: which of
//! them it has no longer, and under which names it has the others. Sets are gone through from the
//! newest to the oldest, so the first that has a message is the one that it is restored from, and
//! the last is where it came.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Seek;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::sync::Arc;

use mail_common::archive::index::{self, IndexEntry, IndexReader, Kind, Location};
use mail_common::archive::members::{self, SegmentIndex};
use mail_common::archive::state::{Change, ChangeCursor, Changed, STORED_PREFIX, StateReader};
use mail_common::checksum::Sha256;
use mail_common::failure::Failed;
use mail_common::interrupt::Interrupted;
use mail_common::maildir::is_message;
use mail_common::relpath::RelPath;
use mail_common::set::{Listing, Numbered, SavedMailbox, SetFile};

use super::conditions::{Conditions, Facts, Verdict};
use super::found::{Message, Newest};
use super::sets::SearchedSet;
use super::share::{Key, Share};
use crate::messages::{
    Error, Owner, Place, SavedFile, Source, Unit, Work, look_at_plain, mailbox_of, open_listing,
    owner_of, verify_listing,
};

/// A mailbox in the sets that hold it, the newest first.
pub(crate) type InSets<'a> = Vec<(usize, Unit<'a>)>;

/// What the sets say of a mailbox.
#[derive(Debug, Default)]
pub(crate) struct Searched {
    pub(crate) messages: Vec<Message>,
    /// What could not be read, and the set.
    pub(crate) problems: Vec<(usize, Error)>,
    /// Messages in indexes that were read.
    pub(crate) index_lines: u64,
    /// Whether there was no room for all.
    pub(crate) is_cut: bool,
    /// When each content was delivered, where that alone was asked for.
    pub(crate) times: HashMap<Key, i64>,
}

/// Looks for what `conditions` mean in a mailbox.
pub(crate) fn search(
    sets: &[SearchedSet],
    conditions: &Conditions,
    work: &Work<'_>,
    share: Share<'_>,
    (path, in_sets): (&Arc<RelPath>, &InSets<'_>),
) -> Result<Searched, Interrupted> {
    let mut search = MailboxSearch {
        sets,
        conditions,
        share,
        path,
        indexes: HashMap::new(),
        contents: HashMap::new(),
        messages: Vec::new(),
        numbers: HashMap::new(),
        refused: HashSet::new(),
        last_state: None,
        searched: Searched::default(),
    };
    for (set, unit) in in_sets {
        if work.is_stopped() {
            return Err(Interrupted);
        }
        if search.searched.is_cut {
            break;
        }
        if let Err(error) = search.look(*set, unit) {
            search.last_state = None;
            search.searched.problems.push((*set, error));
        }
    }
    Ok(search.finish())
}

/// Device and inode.
type FileId = (u64, u64);

/// The digest of an index, and the segment that it is of.
type IndexId = (Sha256, Option<u32>);

fn id_of(file: &File, path: &RelPath) -> Result<FileId, Failed> {
    let metadata = file
        .metadata()
        .map_err(Failed::at("read", path.as_path()))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// An index that was read.
struct Known {
    sha256: Sha256,
    /// What could be meant of it, sorted by stored name; nothing where it is damaged, which was
    /// said.
    hits: Rc<Vec<Hit>>,
}

/// A message as an index has it, under the name by which it is stored.
struct Hit {
    stored: RelPath,
    /// Its place among the messages.
    message: usize,
    size: u64,
    owner: Owner,
    location: Location,
    inode: u64,
    ctime_ns: i64,
}

impl Hit {
    /// The message as `set` has it, at `path`.
    fn as_newest(
        &self,
        set: usize,
        message: &Message,
        directory: &Arc<RelPath>,
        path: &RelPath,
    ) -> Newest {
        let file = SavedFile {
            path: path.clone(),
            stored: self.stored.clone(),
            size: self.size,
            mtime_ns: message.mtime_ns,
            sha256: message.sha256,
            owner: self.owner,
            place: Place::Frame {
                directory: Arc::clone(directory),
                location: self.location,
            },
        };
        Newest {
            set,
            file,
            inode: self.inode,
            ctime_ns: self.ctime_ns,
        }
    }
}

/// Of an index that has no state.
type NoChanges = std::iter::Empty<Result<Changed, index::Error>>;

struct MailboxSearch<'a> {
    sets: &'a [SearchedSet],
    conditions: &'a Conditions,
    share: Share<'a>,
    path: &'a Arc<RelPath>,
    indexes: HashMap<FileId, Known>,
    /// What could be meant of those that were read to their end: another file with the same digest
    /// need not even be opened.
    contents: HashMap<IndexId, Rc<Vec<Hit>>>,
    messages: Vec<Message>,
    /// Where the message of a content is, by its mailbox.
    numbers: HashMap<Key, usize>,
    /// Contents that a header says are not meant: an index that has no header may have them too.
    refused: HashSet<Key>,
    /// The set before, and its state: what has the same one holds the same.
    last_state: Option<(usize, FileId)>,
    searched: Searched,
}

impl MailboxSearch<'_> {
    fn look(&mut self, set: usize, unit: &Unit<'_>) -> Result<(), Error> {
        match &unit.source {
            Source::Files(files) => {
                self.last_state = None;
                self.look_at_files(set, files);
                Ok(())
            }
            Source::Saved(saved) => match &saved.listing {
                Listing::State { state, indexes } => self.look_at_state(set, saved, state, indexes),
                Listing::Index(index) => {
                    self.last_state = None;
                    let hits = self.hits(set, index, None)?;
                    let none: Option<(u32, &mut ChangeCursor<NoChanges>)> = None;
                    self.note(set, saved, &hits, none)
                        .map_err(|source| Error::Index {
                            index: index.path.clone(),
                            source: source.into(),
                        })
                }
                Listing::Lost => Ok(()),
            },
        }
    }

    fn look_at_state(
        &mut self,
        set: usize,
        saved: &SavedMailbox,
        state: &SetFile,
        indexes: &Numbered,
    ) -> Result<(), Error> {
        let mut file = open_listing(&self.sets[set].inventory, state)?;
        let id = id_of(&file, &state.path)?;
        if let Some((before, known)) = self.last_state
            && known == id
        {
            self.last_state = Some((set, id));
            let unchanged = self.messages.iter_mut();
            for message in unchanged.filter(|message| message.is_last_seen_in(before)) {
                message.first = set;
            }
            return Ok(());
        }
        self.last_state = Some((set, id));
        verify_listing(&file, state)?;
        file.rewind()
            .map_err(Failed::at("read", state.path.as_path()))?;
        let unreadable = |source: index::Error| Error::Index {
            index: state.path.clone(),
            source: source.into(),
        };
        let mut read = StateReader::open(&file).map_err(unreadable)?;
        let segments = std::mem::take(&mut read.segments);
        saved.check_segments(&segments)?;
        let mut changes = ChangeCursor::new(read);
        for segment in segments {
            let Some(index) = indexes.get(segment) else {
                continue;
            };
            match self.hits(set, index, Some(segment)) {
                Ok(hits) => self
                    .note(set, saved, &hits, Some((segment, &mut changes)))
                    .map_err(unreadable)?,
                Err(error) => {
                    self.last_state = None;
                    self.searched.problems.push((set, error));
                }
            }
        }
        // To its end, where it may be damaged.
        while changes.next_up_to(u32::MAX).map_err(unreadable)?.is_some() {}
        Ok(())
    }

    /// Notes which of `hits` a set has. Both they and the changes are sorted by stored name.
    fn note<C: Iterator<Item = Result<Changed, index::Error>>>(
        &mut self,
        set: usize,
        saved: &SavedMailbox,
        hits: &[Hit],
        mut changes: Option<(u32, &mut ChangeCursor<C>)>,
    ) -> Result<(), index::Error> {
        let directory = Arc::new(saved.directory.clone());
        for hit in hits {
            let change = match &mut changes {
                Some((segment, changes)) => {
                    while changes.next_before(*segment, &hit.stored)?.is_some() {}
                    changes.of(*segment, &hit.stored)?
                }
                None => None,
            };
            let (path, inode, ctime_ns) = match &change {
                None => (&hit.stored, hit.inode, hit.ctime_ns),
                Some(Change::Gone { .. }) => continue,
                Some(Change::Here {
                    path,
                    inode,
                    ctime_ns,
                }) => (path, *inode, *ctime_ns),
            };
            let message = &mut self.messages[hit.message];
            let is_within = path.is_within(self.path) && is_message(path);
            if !is_within || !self.conditions.wants_place(&message.mailbox, path) {
                continue;
            }
            message.first = set;
            if message.newest.is_none() {
                let newest = hit.as_newest(set, message, &directory, path);
                message.newest = Some(Newest {
                    inode,
                    ctime_ns,
                    ..newest
                });
            }
        }
        Ok(())
    }

    /// What could be meant of an index. A damaged one that many sets have is named once.
    fn hits(
        &mut self,
        set: usize,
        index: &SetFile,
        segment: Option<u32>,
    ) -> Result<Rc<Vec<Hit>>, Error> {
        let inventory = &self.sets[set].inventory;
        let is_there = inventory.missing.binary_search(&index.path).is_err();
        if let Some(hits) = self
            .contents
            .get(&(index.sha256, segment))
            .filter(|_| is_there)
        {
            return Ok(Rc::clone(hits));
        }
        let file = open_listing(inventory, index)?;
        let id = id_of(&file, &index.path)?;
        if let Some(known) = self.indexes.get(&id) {
            if known.sha256 != index.sha256 {
                return Err(Error::IndexDigest {
                    index: index.path.clone(),
                });
            }
            return Ok(Rc::clone(&known.hits));
        }
        let mut hits = Vec::new();
        let read = self.read_index(&file, index, segment, &mut hits);
        if read.is_err() {
            hits.clear();
        }
        let hits = Rc::new(hits);
        if read.is_ok() {
            let content = (index.sha256, segment);
            self.contents.insert(content, Rc::clone(&hits));
        }
        let known = Known {
            sha256: index.sha256,
            hits: Rc::clone(&hits),
        };
        self.indexes.insert(id, known);
        read.map(|()| hits)
    }

    fn read_index(
        &mut self,
        file: &File,
        index: &SetFile,
        segment: Option<u32>,
        hits: &mut Vec<Hit>,
    ) -> Result<(), Error> {
        for_each_message(file, index, segment, self.path, |entry| {
            self.searched.index_lines += 1;
            hits.extend(self.hit(entry));
        })
    }

    /// Keeps a message that could be meant.
    fn hit(&mut self, entry: IndexEntry) -> Option<Hit> {
        let sha256 = entry.sha256?;
        let stat = &entry.live.stat;
        let verdict = self.conditions.of_facts(Facts {
            size: stat.size,
            mtime_ns: stat.mtime_ns,
            message_id: entry.message_id.as_deref(),
            envelope: entry.envelope.as_deref(),
            attachments: entry.attachments.as_deref(),
        });
        let mailbox = mailbox_of(self.path, &entry.live.path);
        let key = Key::of(self.path, &mailbox, sha256);
        if verdict == Verdict::No {
            // What was delivered at another time may be there twice, and its copy in time.
            let is_in_time = self.conditions.query.wants_time(stat.mtime_ns);
            if is_in_time && entry.envelope.is_some() && self.is_in_lot(key) {
                self.refused.insert(key);
            }
            return None;
        }
        if !self.is_kept(key, stat.mtime_ns) {
            return None;
        }
        let (size, inode, ctime_ns) = (stat.size, stat.inode, stat.ctime_ns);
        let owner = owner_of(&entry);
        let location = entry.location;
        let message = self.number(
            key,
            Message {
                mailbox,
                sha256,
                mtime_ns: stat.mtime_ns,
                message_id: entry.message_id,
                envelope: entry.envelope,
                verdict,
                newest: None,
                first: 0,
                live: None,
            },
        );
        Some(Hit {
            stored: entry.live.path,
            message,
            size,
            owner,
            location,
            inode,
            ctime_ns,
        })
    }

    fn is_in_lot(&self, key: Key) -> bool {
        match self.share {
            Share::All(_) => true,
            Share::Survey => false,
            Share::Lot(lots, lot) => lots.get(&key) == Some(&lot),
        }
    }

    /// Whether a content is kept; where all are only surveyed, it is noted.
    fn is_kept(&mut self, key: Key, mtime_ns: i64) -> bool {
        match self.share {
            Share::All(room) => {
                let has_room = self.numbers.contains_key(&key) || room.take();
                self.searched.is_cut |= !has_room;
                has_room
            }
            Share::Survey => {
                self.searched.times.entry(key).or_insert(mtime_ns);
                false
            }
            Share::Lot(..) => self.is_in_lot(key),
        }
    }

    /// The place of a message. What one index does not say of it, another may.
    fn number(&mut self, key: Key, message: Message) -> usize {
        if let Some(&number) = self.numbers.get(&key) {
            let known = &mut self.messages[number];
            known.verdict = known.verdict.max(message.verdict);
            known.envelope = known.envelope.take().or(message.envelope);
            known.message_id = known.message_id.take().or(message.message_id);
            return number;
        }
        let number = self.messages.len();
        self.numbers.insert(key, number);
        self.messages.push(message);
        number
    }

    /// The files of a set of the old scripts, which have no index.
    fn look_at_files(&mut self, set: usize, files: &[&SetFile]) {
        for file in files {
            match look_at_plain(&self.sets[set].inventory, file) {
                Ok(file) if is_message(&file.path) => self.note_plain(set, file),
                Ok(_) => {}
                Err(error) => self.searched.problems.push((set, error)),
            }
        }
    }

    fn note_plain(&mut self, set: usize, file: SavedFile) {
        self.searched.index_lines += 1;
        let verdict = self.conditions.of_facts(Facts {
            size: file.size,
            mtime_ns: file.mtime_ns,
            message_id: None,
            envelope: None,
            attachments: None,
        });
        let mailbox = mailbox_of(self.path, &file.path);
        if verdict == Verdict::No || !self.conditions.wants_place(&mailbox, &file.path) {
            return;
        }
        let key = Key::of(self.path, &mailbox, file.sha256);
        if !self.is_kept(key, file.mtime_ns) {
            return;
        }
        let number = self.number(
            key,
            Message {
                mailbox,
                sha256: file.sha256,
                mtime_ns: file.mtime_ns,
                message_id: None,
                envelope: None,
                verdict,
                newest: None,
                first: set,
                live: None,
            },
        );
        let message = &mut self.messages[number];
        message.first = set;
        message.newest.get_or_insert(Newest {
            set,
            file,
            inode: 0,
            ctime_ns: 0,
        });
    }

    /// The messages that a set has: a member that is gone from all of them is not there.
    fn finish(mut self) -> Searched {
        let (refused, unit) = (self.refused, self.path);
        self.messages.retain(|message| {
            let key = || Key::of(unit, &message.mailbox, message.sha256);
            let is_refused = message.verdict == Verdict::Open && refused.contains(&key());
            message.newest.is_some() && !is_refused
        });
        self.searched.messages = self.messages;
        self.searched
    }
}

impl Message {
    fn is_last_seen_in(&self, set: usize) -> bool {
        self.newest.is_some() && self.first == set
    }
}

/// Reads the messages that an index lists, once it has its digest.
fn for_each_message(
    mut file: &File,
    index: &SetFile,
    segment: Option<u32>,
    unit: &RelPath,
    mut each: impl FnMut(IndexEntry),
) -> Result<(), Error> {
    let unreadable = |source| Error::Index {
        index: index.path.clone(),
        source,
    };
    verify_listing(file, index)?;
    file.rewind()
        .map_err(Failed::at("read", index.path.as_path()))?;
    for entry in entries_of(file, segment).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = &entry.live.path;
        if !path.is_within(unit) {
            return Err(Error::Foreign {
                index: index.path.clone(),
                path: path.clone(),
            });
        }
        let may_be_message = is_message(path) || path.name().starts_with(STORED_PREFIX);
        if entry.live.kind == Kind::File && may_be_message {
            each(entry);
        }
    }
    Ok(())
}

/// The lines of an index: of a segment, or, in format 1, of them all.
fn entries_of(
    file: &File,
    segment: Option<u32>,
) -> Result<Box<dyn Iterator<Item = Result<IndexEntry, members::Error>> + '_>, members::Error> {
    if let Some(segment) = segment {
        return Ok(Box::new(SegmentIndex::open(segment, file)?));
    }
    let index = IndexReader::open(file);
    let index = index.map_err(|source| index::Error::Read { line: 1, source })?;
    Ok(Box::new(index.map(|entry| Ok(entry?))))
}
