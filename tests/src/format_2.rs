//! Sets of format 2 by hand, independent of mail-backup: messages that are gone, renamed or in one
//! another's places, for tests of the tools that read them.
//!
//! Nothing here checks that what it writes makes sense: tests of damage write what does not.
#![expect(
    clippy::disallowed_methods,
    reason = "the sets of tests are not stored files"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::tree::file_digests;

/// When everything in these sets was last modified, seconds since 1970.
pub const MODIFIED: i64 = 1_793_610_000;

/// When the messages that are gone were first missed.
const GONE: i64 = 1_793_700_000;

/// A content that is larger has a frame of its own that does not say how much it unpacks to.
const STREAMED_BYTES: usize = 16 << 20;

/// So many members are together in a frame.
const MEMBERS_A_FRAME: usize = 2;

/// A part of the mail tree that has a directory of its own in a set.
#[derive(Clone, Debug)]
pub struct Mailbox {
    path: Vec<u8>,
    has_dumpdirs: bool,
    segments: BTreeMap<u32, Vec<Entry>>,
    control: BTreeMap<Vec<Vec<u8>>, Entry>,
    gone: BTreeSet<(u32, Vec<u8>)>,
    moved: BTreeMap<(u32, Vec<u8>), Vec<u8>>,
    renames: Vec<(Vec<u8>, Vec<u8>)>,
    dumpdirs: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Entry {
    path: Vec<u8>,
    kind: EntryKind,
    content: Vec<u8>,
    inode: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryKind {
    File,
    Directory,
    Symlink,
}

impl Mailbox {
    /// The mailbox at `path` of the mail tree, without anything in it.
    #[must_use]
    pub fn new(path: &str) -> Self {
        let mailbox = Self {
            path: path.into(),
            has_dumpdirs: true,
            segments: BTreeMap::new(),
            control: BTreeMap::new(),
            gone: BTreeSet::new(),
            moved: BTreeMap::new(),
            renames: Vec::new(),
            dumpdirs: BTreeMap::new(),
        };
        mailbox.folder(path)
    }

    /// What lies above the mailboxes: it has no dumpdirs, which would delete them.
    #[must_use]
    pub fn above() -> Self {
        Self {
            has_dumpdirs: false,
            ..Self::new(".")
        }
    }

    /// A message under its name in a segment. It has that name still unless something else is said.
    #[must_use]
    pub fn message(
        mut self,
        segment: u32,
        stored: impl AsRef<[u8]>,
        content: impl AsRef<[u8]>,
    ) -> Self {
        let entry = self.entry(stored.as_ref(), EntryKind::File, content.as_ref());
        self.segments.entry(segment).or_default().push(entry);
        self
    }

    /// A message was deleted.
    #[must_use]
    pub fn gone(mut self, segment: u32, stored: impl AsRef<[u8]>) -> Self {
        self.gone.insert((segment, stored.as_ref().to_vec()));
        self
    }

    /// A message has another name. What tar does to come there is said by [`Self::renames`].
    #[must_use]
    pub fn moved(
        mut self,
        segment: u32,
        stored: impl AsRef<[u8]>,
        present: impl AsRef<[u8]>,
    ) -> Self {
        let stored = stored.as_ref().to_vec();
        let present = present.as_ref().to_vec();
        self.moved.insert((segment, stored), present);
        self
    }

    /// A message has another name, and tar gives it that by one rename.
    #[must_use]
    pub fn renamed(
        self,
        segment: u32,
        stored: impl AsRef<[u8]>,
        present: impl AsRef<[u8]>,
    ) -> Self {
        self.moved(segment, &stored, &present)
            .rename(stored, present)
    }

    /// A further rename that tar carries out.
    #[must_use]
    pub fn rename(mut self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        let rename = (from.as_ref().to_vec(), to.as_ref().to_vec());
        self.renames.push(rename);
        self
    }

    /// A file that is stored whole each day.
    #[must_use]
    pub fn file(self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        let entry = self.entry(path.as_ref(), EntryKind::File, content.as_ref());
        self.add(entry)
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        let entry = self.entry(path.as_ref(), EntryKind::Symlink, target.as_ref());
        self.add(entry)
    }

    /// A directory. Those that hold something are there without being named.
    #[must_use]
    pub fn folder(self, path: impl AsRef<[u8]>) -> Self {
        let entry = self.entry(path.as_ref(), EntryKind::Directory, b"");
        self.add(entry)
    }

    /// The dumpdir of a directory is this, and not what it should be.
    #[must_use]
    pub fn dumpdir(mut self, directory: &str, record: &[u8]) -> Self {
        self.dumpdirs.insert(directory.into(), record.to_vec());
        self
    }

    fn add(mut self, entry: Entry) -> Self {
        self.control.insert(components(&entry.path), entry);
        self
    }

    /// Its number is one that no other name has: messages that were one file are not made here.
    fn entry(&self, path: &[u8], kind: EntryKind, content: &[u8]) -> Entry {
        let add = |sum: u64, byte: &u8| sum.wrapping_mul(1_000_003).wrapping_add(u64::from(*byte));
        Entry {
            path: path.to_vec(),
            kind,
            content: content.to_vec(),
            inode: path.iter().fold(1, add) >> 1,
        }
    }

    /// Its directory in the set, below `mailboxes/`.
    fn directory(&self) -> String {
        if self.path == b"." {
            return "_root".to_owned();
        }
        String::from_utf8(self.path.clone()).expect("tests give mailboxes plain names")
    }

    fn present(&self, segment: u32, entry: &Entry) -> Option<Vec<u8>> {
        let key = (segment, entry.path.clone());
        if self.gone.contains(&key) {
            return None;
        }
        Some(self.moved.get(&key).unwrap_or(&entry.path).clone())
    }

    /// The names that messages have now.
    fn present_names(&self) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        for (segment, entries) in &self.segments {
            let present = entries
                .iter()
                .filter_map(|entry| self.present(*segment, entry));
            names.extend(present);
        }
        names
    }

    /// Every entry of `0000`, by components: also the folders that hold something.
    fn control_entries(&mut self) -> Vec<Entry> {
        let mut holding = self.present_names();
        holding.extend(self.control.values().map(|entry| entry.path.clone()));
        for path in holding {
            let mut directory = parent(&path);
            while is_below(&directory, &self.path) {
                if !self.control.contains_key(&components(&directory)) {
                    let entry = self.entry(&directory, EntryKind::Directory, b"");
                    self.control.insert(components(&directory), entry);
                }
                directory = parent(&directory);
            }
        }
        self.control.values().cloned().collect()
    }

    /// The dumpdir of a directory, without renames.
    fn listing(&self, directory: &[u8], control: &[Entry]) -> Vec<u8> {
        if let Some(record) = self.dumpdirs.get(directory) {
            return record.clone();
        }
        let mut names: BTreeMap<Vec<u8>, u8> = BTreeMap::new();
        for path in self.present_names() {
            if parent(&path) == directory {
                names.insert(name(&path), b'N');
            }
        }
        for entry in control {
            let letter = if entry.kind == EntryKind::Directory {
                b'D'
            } else {
                b'Y'
            };
            if entry.path != b"." && parent(&entry.path) == directory {
                names.insert(name(&entry.path), letter);
            }
        }
        let mut record = Vec::new();
        for (name, letter) in names {
            record.push(letter);
            record.extend(name);
            record.push(0);
        }
        record.push(0);
        record
    }

    fn dumpdir_with_renames(&self, control: &[Entry]) -> Vec<u8> {
        let mut record = Vec::new();
        for (from, to) in &self.renames {
            record.extend([b"R", &from[..], b"\0T", to, b"\0"].concat());
        }
        record.extend(self.listing(&self.path, control));
        record
    }
}

/// Writes a set of `mailboxes` and nothing else into the directory `root`/`set`.
///
/// # Panics
/// When it cannot be written.
pub fn write_set(root: &Path, set: &str, mailboxes: &[Mailbox]) {
    let mut artifacts = Vec::new();
    for mailbox in mailboxes {
        let directory = format!("mailboxes/{}", mailbox.directory());
        let path = root.join(set).join(&directory);
        fs::create_dir_all(&path).expect("a directory can be made");
        for (name, entries) in write_mailbox(&path, mailbox.clone()) {
            artifacts.push((format!("{directory}/{name}"), entries));
        }
    }
    let mut records = vec![json!({"type": "begin", "data": {
        "v": 1, "tool": "mail-backup", "version": "0", "host": "mx.example.com",
        "time": "2026-11-23T02:00:00+00:00", "args": [], "set": set, "root": root,
    }})];
    for (path, entries) in &artifacts {
        let file = root.join(set).join(path);
        let bytes = fs::metadata(&file).expect("it was written").len();
        let sha256 = &file_digests(&[file])[0];
        records.push(json!({"type": "artifact", "data": {
            "root": root, "set": set, "component": "mailboxes", "path": path, "bytes": bytes,
            "sha256": sha256, "entries": entries, "source_bytes": 32 << 20, "reused": false,
        }}));
    }
    records.push(json!({"type": "end", "data": {
        "tool": "mail-backup", "status": "ok", "exit": 0, "seconds": 1.0, "totals": {},
    }}));
    let text: String = records.iter().map(|record| format!("{record}\n")).collect();
    fs::write(root.join(set).join("manifest.jsonl"), text).expect("a manifest can be written");
    seal(&root.join(set));
}

/// Changes a compressed file of a set by a shell script that reads its plain text on stdin, and
/// makes manifest and checksums agree with it, as someone who forges a set would.
///
/// # Panics
/// When the script fails.
pub fn forge(set: &Path, file: &str, script: &str) {
    let before = file_digests(&[set.join(file)]).remove(0);
    shell(
        set,
        &format!("zstd -dcq {file} | {{ {script}; }} | zstd -q >new && mv new {file}"),
    );
    let after = file_digests(&[set.join(file)]).remove(0);
    shell(set, &format!("sed -i s/{before}/{after}/ manifest.jsonl"));
    seal(set);
}

/// Writes the checksums of a set over whatever is there.
///
/// # Panics
/// When it cannot be written.
pub fn seal(set: &Path) {
    shell(
        set,
        "find . -type f ! -name 'checksums.*' -print0 | sort -z | xargs -0 sha256sum |
         sed 's,  ./,  ,' >checksums.new; mv checksums.new checksums.sha256",
    );
}

fn shell(dir: &Path, script: &str) {
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(dir);
    let output = command.output().expect("bash runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
}

/// Writes the files of a mailbox; gives their names with what the manifest counts of each.
fn write_mailbox(dir: &Path, mut mailbox: Mailbox) -> Vec<(String, usize)> {
    let mut files = Vec::new();
    let control = mailbox.control_entries();
    let mut lines = Vec::new();
    let mut members = Vec::new();
    for entry in &control {
        let is_mailbox = entry.path == mailbox.path;
        let listing = mailbox.listing(&entry.path, &control);
        let dumpdir =
            Some(&listing).filter(|_| mailbox.has_dumpdirs && entry.kind == EntryKind::Directory);
        if is_mailbox && mailbox.has_dumpdirs {
            let first = mailbox.dumpdir_with_renames(&control);
            members.push((entry, member(entry, Some(&first))));
        }
        members.push((entry, member(entry, dumpdir.map(Vec::as_slice))));
    }
    lines.extend(write_archive(dir, 0, &members));
    // The mailbox stands there twice and has one line.
    if mailbox.has_dumpdirs {
        lines.remove(1);
    }
    files.push(("0000.tar.zst".to_owned(), lines.len()));
    let mut present = lines.len();
    for (segment, entries) in &mailbox.segments {
        let members: Vec<_> = entries
            .iter()
            .map(|entry| (entry, member(entry, None)))
            .collect();
        let mut lines = write_archive(dir, *segment, &members);
        lines.sort_by_key(|(path, _)| components(path));
        let name = format!("{segment:04}.jsonl.zst");
        write_lines(dir, &name, lines.into_iter().map(|(_, line)| line));
        files.push((format!("{segment:04}.tar.zst"), members.len()));
        files.push((name, members.len()));
        present += members.len();
    }
    present -= mailbox.gone.len();
    let segments: Vec<u32> = mailbox.segments.keys().copied().collect();
    let changes = changes(&mailbox);
    let (control, changed) = (lines.len(), changes.len());
    let head = json!({
        "format": 2, "segments": segments, "control": control, "changes": changed,
    });
    let control_lines = lines.into_iter().map(|(_, line)| line);
    let all = [head].into_iter().chain(control_lines).chain(changes);
    write_lines(dir, "state.jsonl.zst", all);
    files.push(("state.jsonl.zst".to_owned(), present));
    files
}

fn changes(mailbox: &Mailbox) -> Vec<Value> {
    let mut changes = BTreeMap::new();
    for (segment, stored) in &mailbox.gone {
        let mut line = json!({"segment": segment, "gone_seconds": GONE});
        name_it(&mut line, "stored", stored);
        changes.insert((*segment, components(stored)), line);
    }
    for ((segment, stored), present) in &mailbox.moved {
        let entries = mailbox.segments.get(segment).map_or(&[][..], Vec::as_slice);
        let inode = entries
            .iter()
            .find(|entry| entry.path == *stored)
            .map_or(0, |e| e.inode);
        let ctime_ns = MODIFIED * 1_000_000_000 + 2;
        let mut line = json!({"segment": segment, "inode": inode, "ctime_ns": ctime_ns});
        name_it(&mut line, "stored", stored);
        name_it(&mut line, "path", present);
        changes.insert((*segment, components(stored)), line);
    }
    changes.into_values().collect()
}

type Line = (Vec<u8>, Value);

/// Writes a segment of frames, and gives a line for each member.
fn write_archive(dir: &Path, segment: u32, members: &[(&Entry, Vec<u8>)]) -> Vec<Line> {
    let contents = tempfile::tempdir().expect("a temporary directory can be made");
    let mut lines = Vec::new();
    let mut archive = Vec::new();
    for group in members.chunks(MEMBERS_A_FRAME) {
        // A large one is alone.
        let parts = if group
            .iter()
            .any(|(entry, _)| entry.content.len() > STREAMED_BYTES)
        {
            group.chunks(1)
        } else {
            group.chunks(MEMBERS_A_FRAME)
        };
        for part in parts {
            let offset = archive.len();
            let tar: Vec<u8> = part.iter().flat_map(|(_, member)| member.clone()).collect();
            archive.extend(compress(&tar));
            for (entry, _) in part {
                let file = contents.path().join(lines.len().to_string());
                fs::write(&file, &entry.content).expect("a temporary file can be written");
                let mut line = index_line(entry, segment);
                line["frame_offset"] = offset.into();
                line["frame_bytes"] = (archive.len() - offset).into();
                lines.push((entry.path.clone(), line));
            }
        }
    }
    archive.extend(compress(&[0; 1024]));
    fs::write(dir.join(format!("{segment:04}.tar.zst")), archive).expect("it can be written");
    let files: Vec<_> = (0..lines.len())
        .map(|number| contents.path().join(number.to_string()))
        .collect();
    for ((_, line), sha256) in lines.iter_mut().zip(file_digests(&files)) {
        if line["kind"] == "file" {
            line["sha256"] = sha256.into();
        }
    }
    lines
}

fn index_line(entry: &Entry, segment: u32) -> Value {
    let kind = match entry.kind {
        EntryKind::File => "file",
        EntryKind::Directory => "directory",
        EntryKind::Symlink => "symlink",
    };
    let mut line = stat(entry.kind, entry.inode);
    name_it(&mut line, "path", &entry.path);
    line["kind"] = kind.into();
    line["size"] = entry.content.len().into();
    line["segment"] = segment.into();
    let is_message = segment > 0 && entry.kind == EntryKind::File;
    if let Some(id) = message_id(&entry.content).filter(|_| is_message) {
        line["message_id"] = id.into();
    }
    line
}

fn message_id(content: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&content[..content.len().min(4096)]).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Message-ID: <"))?;
    Some(line.trim_end().trim_end_matches('>').to_owned())
}

fn stat(kind: EntryKind, inode: u64) -> Value {
    json!({
        "mode": format!("{:04o}", mode(kind)), "uid": owner().0, "gid": owner().1,
        "mtime_ns": MODIFIED * 1_000_000_000, "inode": inode,
        "ctime_ns": MODIFIED * 1_000_000_000 + 1,
    })
}

fn name_it(line: &mut Value, field: &str, path: &[u8]) {
    line[field] = String::from_utf8_lossy(path).into();
    if std::str::from_utf8(path).is_err() {
        line[format!("{field}_b64")] = STANDARD.encode(path).into();
    }
}

fn write_lines(dir: &Path, name: &str, lines: impl Iterator<Item = Value>) {
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let packed = compress(text.as_bytes());
    fs::write(dir.join(name), packed).expect("it can be written");
}

/// One frame with a checksum, as zstd(1) makes it; small ones say how much they unpack to.
fn compress(plain: &[u8]) -> Vec<u8> {
    let mut command = Command::new("zstd");
    command.args(["-cq", "--check"]);
    if plain.len() <= STREAMED_BYTES {
        command.arg(format!("--stream-size={}", plain.len()));
    }
    let mut input = tempfile::tempfile().expect("a temporary file can be made");
    input
        .write_all(plain)
        .expect("a temporary file can be written");
    std::io::Seek::rewind(&mut input).expect("a temporary file can be read from its start");
    // A pipe, since zstd would look how long a file is.
    let mut cat = Command::new("cat");
    cat.stdin(input).stdout(std::process::Stdio::piped());
    let mut cat = cat.spawn().expect("cat runs");
    command.stdin(cat.stdout.take().expect("stdout is piped"));
    let output = command.output().expect("zstd runs");
    cat.wait().expect("a child can be waited for");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// A member of a pax archive.
fn member(entry: &Entry, dumpdir: Option<&[u8]>) -> Vec<u8> {
    let mut name = entry.path.clone();
    if entry.kind == EntryKind::Directory {
        name.push(b'/');
    }
    let mut records = Vec::new();
    if name.len() > 100 || !name.is_ascii() {
        records.extend(pax_record(b"path", &name));
    }
    if let Some(dumpdir) = dumpdir {
        records.extend(pax_record(b"GNU.dumpdir", dumpdir));
    }
    let mut member = Vec::new();
    if !records.is_empty() {
        member.extend(header(b"PaxHeaders/entry", b'x', 0o600, records.len(), b""));
        member.extend(padded(records));
    }
    let (letter, content, target) = match entry.kind {
        EntryKind::File => (b'0', &entry.content[..], &b""[..]),
        EntryKind::Directory => (b'5', &b""[..], &b""[..]),
        EntryKind::Symlink => (b'2', &b""[..], &entry.content[..]),
    };
    member.extend(header(
        &name,
        letter,
        mode(entry.kind),
        content.len(),
        target,
    ));
    member.extend(padded(content.to_vec()));
    member
}

fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [format!("{length} ").as_bytes(), key, b"=", value, b"\n"].concat()
}

/// A header of POSIX.1-1988.
fn header(name: &[u8], letter: u8, mode: u32, size: usize, target: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, field: &[u8]| block[at..at + field.len()].copy_from_slice(field);
    put(0, &name[..name.len().min(100)]);
    put(100, format!("{mode:07o}").as_bytes());
    put(108, format!("{:07o}", owner().0).as_bytes());
    put(116, format!("{:07o}", owner().1).as_bytes());
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{MODIFIED:011o}").as_bytes());
    put(148, b"        ");
    put(156, &[letter]);
    put(157, &target[..target.len().min(100)]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn padded(mut content: Vec<u8>) -> Vec<u8> {
    content.resize(content.len().next_multiple_of(512), 0);
    content
}

fn mode(kind: EntryKind) -> u32 {
    match kind {
        EntryKind::File => 0o600,
        EntryKind::Directory => 0o700,
        EntryKind::Symlink => 0o777,
    }
}

/// The caller's own: anyone can restore it.
fn owner() -> (u32, u32) {
    let uid = rustix::process::geteuid().as_raw();
    (uid, rustix::process::getegid().as_raw())
}

/// In their order paths are sorted; the root comes first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    if path == b"." {
        return Vec::new();
    }
    path.split(|byte| *byte == b'/')
        .map(<[u8]>::to_vec)
        .collect()
}

fn parent(path: &[u8]) -> Vec<u8> {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => path[..slash].to_vec(),
        None => b".".to_vec(),
    }
}

fn name(path: &[u8]) -> Vec<u8> {
    components(path).pop().unwrap_or_default()
}

fn is_below(path: &[u8], base: &[u8]) -> bool {
    let (path, base) = (components(path), components(base));
    path.len() > base.len() && path.starts_with(&base)
}
