//! One mailbox of a set looked through for what a query asks, its index as a stream.
//!
//! An index may have hundreds of thousands of lines: only what is wanted is kept. It is hashed
//! before its first line is believed, since a forged line could name any frame. Where it does not
//! know the Message-ID of a message, the frame is read, and the index then gone through a second
//! time, rather than kept in memory for that case. A frame that cannot be read does not end the
//! run, since the message may be in another one: it is reported as not looked through. An index
//! that cannot be read, or names what is not in its mailbox, ends it: then nothing is known.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use mail_common::archive::index::{IndexEntry, Kind, Location};
use mail_common::archive::members::{self, Member, Stored};
use mail_common::archive::segment::segment_name;
use mail_common::beneath::Beneath;
use mail_common::failure::Failed;
use mail_common::interrupt::Interrupted;
use mail_common::maildir::is_message;
use mail_common::message::{HEADER_MAX_BYTES, Header, text_of, without_white_space};
use mail_common::relpath::RelPath;
use mail_common::set::{Inventory, SavedMailbox, SetFile, address_of, mailbox};

use super::candidate::{Candidate, Control, Owner, Place, SavedFile};
use super::content::{Frame, open_frame};
use super::error::{Error, Problem};
use super::folder::ACL;
use super::keywords;
use super::lots::{Room, Survey};
use super::query::Query;
use super::saved::{Source, Unit, VerifiedMailbox, plain_path};
use super::unsearched::Unsearched;
use super::work::{Work, for_each};

/// What a look through one unit gave.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) candidates: Vec<Candidate>,
    pub(super) unread: Vec<Problem>,
    pub(super) unsearched: Unsearched,
    pub(super) control: Control,
    /// Messages that were looked at.
    pub(super) messages: u64,
    /// Mailboxes that were met.
    pub(super) mailboxes: BTreeSet<Arc<RelPath>>,
    /// The wanted messages, where they are only counted.
    pub(super) survey: Survey,
}

/// What is done with the messages that are wanted.
#[derive(Clone, Copy)]
pub(super) enum Keep<'a> {
    /// They are kept as long as there is room; then the rest is not looked at.
    InRoom(&'a Room),
    /// They are counted.
    Nothing,
}

/// A unit, and the parts of it that are asked for; all of it when there are none.
pub(super) struct Scope<'a> {
    pub(super) unit: &'a Unit<'a>,
    pub(super) within: Vec<RelPath>,
}

/// What the header of a message says of its Message-ID.
enum Looked {
    /// This, which may be empty.
    Id(String),
    /// Nothing: it is encrypted.
    Encrypted,
    /// Nothing: its header is longer than one can be, or what is compressed is damaged.
    Unclear,
}

impl Looked {
    /// Looks into a message, also where Dovecot has compressed it. Fails when the system cannot
    /// read it; what fails otherwise is the message's own damage.
    fn into(message: impl Read + Send) -> io::Result<Self> {
        let header = text_of(message).and_then(|text| text.map(Header::read).transpose());
        match header {
            Ok(Some(header)) => Ok(header.head().message_id().map_or(Self::Unclear, Self::Id)),
            Ok(None) => Ok(Self::Encrypted),
            Err(error) if error.raw_os_error().is_some() => Err(error),
            Err(_) => Ok(Self::Unclear),
        }
    }
}

/// Looks through a unit.
pub(super) fn scan(
    inventory: &Inventory,
    scope: &Scope<'_>,
    query: &Query,
    keep: Keep<'_>,
    work: &Work<'_>,
) -> Result<Scan, Error> {
    let mailbox = Arc::new(scope.unit.path.clone());
    let scanner = Scanner {
        inventory,
        scope,
        query,
        keep,
        work,
        mailbox,
        scan: Scan::default(),
    };
    match &scope.unit.source {
        Source::Saved(saved) => scanner.read_saved(saved),
        Source::Files(files) => scanner.read_files(files),
    }
}

struct Scanner<'a> {
    inventory: &'a Inventory,
    scope: &'a Scope<'a>,
    query: &'a Query,
    keep: Keep<'a>,
    work: &'a Work<'a>,
    /// The path of the unit.
    mailbox: Arc<RelPath>,
    scan: Scan,
}

impl Scanner<'_> {
    fn read_saved(mut self, saved: &SavedMailbox) -> Result<Scan, Error> {
        let mailbox = VerifiedMailbox::open(self.inventory, saved)?;
        let directory = Arc::new(saved.directory.clone());
        let mut unknown = BTreeSet::new();
        for member in mailbox.members()? {
            if self.is_over() {
                break;
            }
            let Some(mut found) = self.check(member, &mailbox.listing)? else {
                continue;
            };
            let path = &found.entry.live.path;
            if self.note_control(&found, &directory) || !self.is_within(path) {
                continue;
            }
            self.count(path);
            if !self.is_wanted(&found.entry) {
                continue;
            }
            // Earlier versions wrote a folded one with its white space.
            let entry = &mut found.entry;
            entry.message_id = entry.message_id.as_deref().map(without_white_space);
            match (&entry.message_id, self.query.message_ids.is_empty()) {
                (None, false) => {
                    unknown.insert(entry.location);
                }
                (Some(id), false) if !self.query.wants_id(id) => {}
                _ => self.add(found, &directory),
            }
        }
        if !unknown.is_empty() {
            self.read_unknown(&mailbox, &directory, &unknown)?;
        }
        Ok(self.scan)
    }

    /// Finds messages whose Message-ID the index does not have: their frames are read, and the
    /// index once more.
    fn read_unknown(
        &mut self,
        mailbox: &VerifiedMailbox<'_>,
        directory: &Arc<RelPath>,
        unknown: &BTreeSet<Location>,
    ) -> Result<(), Error> {
        let looked = self.search_frames(directory, unknown)?;
        if looked.is_empty() {
            return Ok(());
        }
        for member in mailbox.members()? {
            let Some(mut found) = self.check(member, &mailbox.listing)? else {
                continue;
            };
            let entry = &mut found.entry;
            let is_unknown = entry.message_id.is_none() && entry.live.kind == Kind::File;
            let looked = looked.get(&(entry.location, found.stored.clone()));
            let Some(looked) = looked.filter(|_| is_unknown && self.is_wanted(entry)) else {
                continue;
            };
            match looked {
                Looked::Id(id) => {
                    entry.message_id = Some(id.clone());
                    self.add(found, directory);
                }
                Looked::Encrypted => self.scan.unsearched.encrypted += 1,
                Looked::Unclear => self.scan.unsearched.unclear += 1,
            }
        }
        Ok(())
    }

    /// Stored names in these frames whose messages have a wanted Message-ID, or one that cannot be
    /// told.
    fn search_frames(
        &mut self,
        directory: &Arc<RelPath>,
        locations: &BTreeSet<Location>,
    ) -> Result<BTreeMap<(Location, RelPath), Looked>, Error> {
        let locations: Vec<Location> = locations.iter().copied().collect();
        let answers = for_each(&locations, |location| {
            if self.work.is_stopped() {
                return Ok(Vec::new());
            }
            self.search_frame(directory, *location)
        });
        if self.work.is_stopped() {
            return Err(Interrupted.into());
        }
        let mut found = BTreeMap::new();
        for (location, answer) in locations.iter().zip(answers) {
            match answer {
                Ok(ids) => found.extend(ids.into_iter().map(|(path, id)| ((*location, path), id))),
                Err(error) => self.scan.unread.push(self.unread(error)),
            }
        }
        Ok(found)
    }

    fn search_frame(
        &self,
        directory: &RelPath,
        location: Location,
    ) -> Result<Vec<(RelPath, Looked)>, Error> {
        let segment = segment_name(location.segment).below(directory);
        let unreadable = |source| Error::Frame {
            segment: segment.clone(),
            offset: location.frame_offset,
            source,
        };
        let mut found = Vec::new();
        match open_frame(
            &self.inventory.set,
            &segment,
            location,
            HEADER_MAX_BYTES as u64,
        )? {
            Frame::Members(members) => {
                for (path, content) in members.iter() {
                    let looked = self.wanted(content).map_err(unreadable)?;
                    found.extend(looked.map(|looked| (path.clone(), looked)));
                    (self.work.progress)(content.len() as u64);
                }
            }
            Frame::Streamed(mut stream) => {
                if let Some((path, size)) = stream.next_member()? {
                    // Read before it is looked into: here it is the frame that is damaged.
                    let mut start = Vec::new();
                    Read::take(&mut stream.tar, size.min(HEADER_MAX_BYTES as u64))
                        .read_to_end(&mut start)
                        .map_err(unreadable)?;
                    let looked = self.wanted(&start[..]).map_err(unreadable)?;
                    found.extend(looked.map(|looked| (path, looked)));
                    (self.work.progress)(start.len() as u64);
                }
            }
        }
        Ok(found)
    }

    /// What a message says, unless it is a Message-ID that is not asked for.
    fn wanted(&self, message: impl Read + Send) -> io::Result<Option<Looked>> {
        Ok(match Looked::into(message)? {
            Looked::Id(id) if !self.query.wants_id(&id) => None,
            looked => Some(looked),
        })
    }

    /// A member that was in the mailbox, and must lie in its unit.
    fn check(
        &self,
        member: Result<Member, members::Error>,
        listing: &RelPath,
    ) -> Result<Option<Stored>, Error> {
        if self.work.is_stopped() {
            return Err(Interrupted.into());
        }
        let member = member.map_err(|source| Error::Index {
            index: listing.clone(),
            source,
        })?;
        let Member::Here(stored) = member else {
            return Ok(None);
        };
        let path = &stored.entry.live.path;
        if !path.is_within(&self.scope.unit.path) {
            return Err(Error::Foreign {
                index: listing.clone(),
                path: path.clone(),
            });
        }
        Ok(Some(stored))
    }

    /// Notes owners of directories and files of keywords; true when the entry is not a message.
    fn note_control(&mut self, found: &Stored, directory: &Arc<RelPath>) -> bool {
        let entry = &found.entry;
        let path = &entry.live.path;
        match entry.live.kind {
            Kind::Directory => {
                let owners = &mut self.scan.control.owners;
                owners.insert(path.clone(), owner_of(entry));
            }
            Kind::File if is_message(path) => return false,
            Kind::File => {
                if let Some(file) = saved(found, directory) {
                    self.note_file(file);
                }
            }
            Kind::Symlink => {}
        }
        true
    }

    /// Notes what a folder has beside its messages.
    fn note_file(&mut self, file: SavedFile) {
        let folder = file.path.parent().unwrap_or_else(RelPath::root);
        let control = &mut self.scan.control;
        match file.path.name() {
            keywords::FILE_NAME => drop(control.keywords.insert(folder, file)),
            ACL if self.query.wants_with_folder(&file.path) => {
                control.acls.insert(folder, file);
            }
            _ => {}
        }
    }

    /// Whether a message is asked for, as far as its path and time tell.
    fn is_wanted(&self, entry: &IndexEntry) -> bool {
        self.is_within(&entry.live.path)
            && self
                .query
                .wants_file(&entry.live.path, entry.live.stat.mtime_ns)
    }

    fn is_within(&self, path: &RelPath) -> bool {
        let within = &self.scope.within;
        within.is_empty() || within.iter().any(|part| path.is_within(part))
    }

    fn count(&mut self, path: &RelPath) {
        self.scan.messages += 1;
        let mailbox = self.mailbox_of(path);
        self.scan.mailboxes.insert(mailbox);
    }

    fn add(&mut self, found: Stored, directory: &Arc<RelPath>) {
        let Some(file) = saved(&found, directory) else {
            return;
        };
        self.push(file, found.entry.message_id);
    }

    /// Whether there is no room for what comes.
    fn is_over(&self) -> bool {
        match self.keep {
            Keep::InRoom(room) => room.is_full(),
            Keep::Nothing => false,
        }
    }

    fn push(&mut self, file: SavedFile, message_id: Option<String>) {
        match self.keep {
            Keep::InRoom(room) if room.take() => {}
            Keep::InRoom(_) => return,
            Keep::Nothing => return self.scan.survey.note(&file),
        }
        let mailbox = self.mailbox_of(&file.path);
        let mailbox = self
            .scan
            .mailboxes
            .get(&mailbox)
            .cloned()
            .unwrap_or(mailbox);
        self.scan.candidates.push(Candidate {
            mailbox,
            file,
            message_id,
            subject: None,
        });
    }

    fn mailbox_of(&self, path: &RelPath) -> Arc<RelPath> {
        mailbox_of(&self.mailbox, path)
    }

    fn unread(&self, error: Error) -> Problem {
        Problem {
            mailbox: address_of(&self.scope.unit.path),
            path: None,
            error,
        }
    }

    fn read_files(mut self, files: &[&SetFile]) -> Result<Scan, Error> {
        let inventory = self.inventory;
        let query = self.query;
        let work = self.work;
        // Looked at side by side: with Message-IDs asked for, each is opened.
        let answers = for_each(files, |file| {
            if work.is_stopped() {
                return Err(None);
            }
            look(inventory, file, query).map_err(Some)
        });
        if work.is_stopped() {
            return Err(Interrupted.into());
        }
        for answer in answers {
            match answer {
                Ok(Plain { file, looked }) => self.note_plain(file, looked),
                Err(error) => {
                    let unread = error.map(|error| self.unread(error));
                    self.scan.unread.extend(unread);
                }
            }
        }
        self.scan
            .candidates
            .sort_by(|a, b| a.file.path.cmp(&b.file.path));
        self.note_owner();
        Ok(self.scan)
    }

    fn note_plain(&mut self, file: SavedFile, looked: Option<Looked>) {
        if !is_message(&file.path) {
            self.note_file(file);
            return;
        }
        self.count(&file.path);
        if !self.query.wants_file(&file.path, file.mtime_ns) {
            return;
        }
        match looked {
            None => self.push(file, None),
            Some(Looked::Id(id)) if self.query.wants_id(&id) => self.push(file, Some(id)),
            Some(Looked::Id(_)) => {}
            Some(Looked::Encrypted) => self.scan.unsearched.encrypted += 1,
            Some(Looked::Unclear) => self.scan.unsearched.unclear += 1,
        }
    }

    /// The owner of the mailbox is that of its copy.
    fn note_owner(&mut self) {
        let path = self
            .inventory
            .set
            .join(mailbox::PLAIN)
            .join(self.scope.unit.path.as_path());
        if let Ok(metadata) = path.symlink_metadata() {
            let owner = Owner {
                uid: metadata.uid(),
                gid: metadata.gid(),
                mode: metadata.mode() & 0o7777,
            };
            self.scan
                .control
                .owners
                .insert(self.scope.unit.path.clone(), owner);
        }
    }
}

/// The mailbox of the message at `path` of a unit: the unit. What lies above the mailboxes, or is a
/// whole tree in one unit, is told apart by its folders: `.Sent` and the like belong to the
/// directory that holds them.
pub(crate) fn mailbox_of(unit: &Arc<RelPath>, path: &RelPath) -> Arc<RelPath> {
    if !unit.is_root() {
        return Arc::clone(unit);
    }
    let folder = path
        .parent()
        .and_then(|place| place.parent())
        .unwrap_or_else(RelPath::root);
    let is_subfolder = folder.name().starts_with(b".") && !folder.is_root();
    Arc::new(folder.parent().filter(|_| is_subfolder).unwrap_or(folder))
}

/// A file of the old scripts, looked into where a Message-ID is asked for.
struct Plain {
    file: SavedFile,
    looked: Option<Looked>,
}

fn look(inventory: &Inventory, listed: &SetFile, query: &Query) -> Result<Plain, Error> {
    let failed = |source| Failed::at("open", listed.path.as_path())(source);
    let path = plain_path(listed).ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let set = Beneath::open(&inventory.set).map_err(failed)?;
    let opened = set.regular_file(&listed.path).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    let file = SavedFile {
        stored: path.clone(),
        path,
        size: metadata.len(),
        mtime_ns: metadata
            .mtime()
            .saturating_mul(1_000_000_000)
            .saturating_add(metadata.mtime_nsec()),
        sha256: listed.sha256,
        owner: Owner {
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode() & 0o7777,
        },
        place: Place::File(listed.path.clone()),
    };
    let is_asked = !query.message_ids.is_empty() && query.wants_file(&file.path, file.mtime_ns);
    let looked = is_asked.then(|| Looked::into(opened)).transpose();
    Ok(Plain {
        file,
        looked: looked.map_err(Failed::at("read", listed.path.as_path()))?,
    })
}

/// What a file of the old scripts is, by itself.
pub(crate) fn look_at_plain(inventory: &Inventory, listed: &SetFile) -> Result<SavedFile, Error> {
    look(inventory, listed, &Query::default()).map(|plain| plain.file)
}

pub(crate) fn owner_of(entry: &IndexEntry) -> Owner {
    let stat = &entry.live.stat;
    Owner {
        uid: stat.uid,
        gid: stat.gid,
        mode: stat.mode & 0o7777,
    }
}

/// `None` for an entry without a digest, which is not a file.
fn saved(found: &Stored, directory: &Arc<RelPath>) -> Option<SavedFile> {
    let entry = &found.entry;
    Some(SavedFile {
        path: entry.live.path.clone(),
        stored: found.stored.clone(),
        size: entry.live.stat.size,
        mtime_ns: entry.live.stat.mtime_ns,
        sha256: entry.sha256?,
        owner: owner_of(entry),
        place: Place::Frame {
            directory: Arc::clone(directory),
            location: entry.location,
        },
    })
}
