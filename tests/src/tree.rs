//! What a directory tree is, entry by entry, for comparing a restored tree with its source.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use rustix::fs::{lgetxattr, llistxattr};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A socket, pipe or device.
    Other,
}

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size of a file; 0 for everything else.
    pub size_bytes: u64,
    /// Modification time in nanoseconds since 1970.
    pub mtime_ns: i128,
    /// Digest of a file's content, in hexadecimal, by the system's `sha256sum`.
    pub sha256: Option<String>,
    /// Where a symlink points.
    pub target: Option<PathBuf>,
    /// For a file with several names in the tree, the first of them.
    pub same_file_as: Option<PathBuf>,
    /// Extended attributes, ACLs among them.
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
}

/// A tree's entries by path relative to its root, which is `.`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<PathBuf, Entry>);

/// Reads the tree at `dir`, which must not change meanwhile.
///
/// # Panics
/// When something in it cannot be read.
#[must_use]
pub fn snapshot(dir: &Path) -> Snapshot {
    let mut entries = BTreeMap::new();
    let mut first_names = HashMap::new();
    visit(dir, Path::new("."), &mut first_names, &mut entries);
    let files: Vec<PathBuf> = entries
        .iter()
        .filter(|(_, e)| e.kind == Kind::File)
        .map(|(p, _)| dir.join(p))
        .collect();
    let digests = file_digests(&files);
    for (entry, digest) in entries
        .values_mut()
        .filter(|e| e.kind == Kind::File)
        .zip(digests)
    {
        entry.sha256 = Some(digest);
    }
    Snapshot(entries)
}

impl Snapshot {
    /// The entries by path.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<PathBuf, Entry> {
        &self.0
    }

    /// Without the entries of which `leave_out` says so, and without what lies below them.
    #[must_use]
    pub fn without(mut self, leave_out: impl Fn(&Path) -> bool) -> Self {
        self.0.retain(|path, _| {
            !path
                .ancestors()
                .any(|part| !part.as_os_str().is_empty() && leave_out(part))
        });
        self
    }

    /// Without what a backup of mail leaves out: the content of `tmp/`, `*.lock` and `*.tmp`.
    #[must_use]
    pub fn without_temporary(self) -> Self {
        self.without(|path| {
            let in_tmp = path
                .parent()
                .and_then(Path::file_name)
                .is_some_and(|name| name == "tmp");
            in_tmp
                || path
                    .extension()
                    .is_some_and(|suffix| suffix == "lock" || suffix == "tmp")
        })
    }

    /// With the modification times of directories set to 0, where they do not matter.
    #[must_use]
    pub fn without_dir_times(mut self) -> Self {
        for entry in self.0.values_mut().filter(|entry| entry.kind == Kind::Dir) {
            entry.mtime_ns = 0;
        }
        self
    }

    /// With each name of a file on its own, where hard links become files.
    #[must_use]
    pub fn without_hard_links(mut self) -> Self {
        for entry in self.0.values_mut() {
            entry.same_file_as = None;
        }
        self
    }

    /// What differs, a line each: `- path` is only here, `+ path` only in `other`, `~ path: what`
    /// in both.
    #[must_use]
    pub fn diff(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, entry) in &self.0 {
            match other.0.get(path) {
                None => lines.push(format!("- {}", path.display())),
                Some(theirs) if theirs != entry => {
                    lines.push(format!(
                        "~ {}: {}",
                        path.display(),
                        entry.differences(theirs)
                    ));
                }
                Some(_) => {}
            }
        }
        let added = other.0.keys().filter(|path| !self.0.contains_key(*path));
        lines.extend(added.map(|path| format!("+ {}", path.display())));
        lines
    }

    /// Asserts that `other` is equal.
    ///
    /// # Panics
    /// With the first differences when it is not.
    #[track_caller]
    pub fn assert_same(&self, other: &Self) {
        let lines = self.diff(other);
        let shown = lines
            .iter()
            .take(20)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            lines.is_empty(),
            "{} differences (- expected, + found):\n{shown}",
            lines.len()
        );
    }
}

/// A line for each entry: kind, mode, owner, size, mtime, digest, path, target.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, e) in &self.0 {
            let kind = format!("{:?}", e.kind).to_lowercase();
            let digest = e.sha256.as_deref().unwrap_or("-");
            write!(
                f,
                "{kind} {:o} {}:{} {} {} {digest} {}",
                e.mode,
                e.uid,
                e.gid,
                e.size_bytes,
                e.mtime_ns,
                path.display()
            )?;
            match &e.target {
                Some(target) => writeln!(f, " -> {}", target.display())?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

impl Entry {
    fn differences(&self, other: &Self) -> String {
        let fields = [
            (
                "kind",
                format!("{:?}", self.kind),
                format!("{:?}", other.kind),
            ),
            (
                "mode",
                format!("{:o}", self.mode),
                format!("{:o}", other.mode),
            ),
            (
                "owner",
                format!("{}:{}", self.uid, self.gid),
                format!("{}:{}", other.uid, other.gid),
            ),
            (
                "size",
                self.size_bytes.to_string(),
                other.size_bytes.to_string(),
            ),
            (
                "mtime",
                self.mtime_ns.to_string(),
                other.mtime_ns.to_string(),
            ),
            (
                "sha256",
                format!("{:?}", self.sha256),
                format!("{:?}", other.sha256),
            ),
            (
                "target",
                format!("{:?}", self.target),
                format!("{:?}", other.target),
            ),
            (
                "same file as",
                format!("{:?}", self.same_file_as),
                format!("{:?}", other.same_file_as),
            ),
            (
                "xattrs",
                format!("{:?}", self.xattrs),
                format!("{:?}", other.xattrs),
            ),
        ];
        let changed = fields
            .into_iter()
            .filter(|(_, ours, theirs)| ours != theirs);
        changed
            .map(|(name, ours, theirs)| format!("{name} {ours} / {theirs}"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// The sha256 of each file in hexadecimal, in the order given, by the system's `sha256sum`.
///
/// # Panics
/// When `sha256sum` or `xargs` is missing, or when a file cannot be read.
#[must_use]
pub fn file_digests(paths: &[PathBuf]) -> Vec<String> {
    if paths.is_empty() {
        return Vec::new();
    }
    let mut child = Command::new("xargs")
        .args(["-0", "sha256sum", "--zero", "--"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("xargs runs");
    let names: Vec<u8> = paths
        .iter()
        .flat_map(|path| path.as_os_str().as_bytes().iter().copied().chain([0]))
        .collect();
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let feeder = thread::spawn(move || stdin.write_all(&names));
    let output = child.wait_with_output().expect("sha256sum runs");
    feeder
        .join()
        .expect("the feeder does not panic")
        .expect("xargs reads all names");
    assert!(
        output.status.success(),
        "sha256sum failed: {}",
        output.status
    );
    let digests: Vec<String> = output
        .stdout
        .split(|&b| b == 0)
        .filter(|line| !line.is_empty())
        .map(|line| text(&line[..64]))
        .collect();
    assert_eq!(
        digests.len(),
        paths.len(),
        "sha256sum answers for every file"
    );
    digests
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn visit(
    root: &Path,
    path: &Path,
    first_names: &mut HashMap<(u64, u64), PathBuf>,
    entries: &mut BTreeMap<PathBuf, Entry>,
) {
    let full = root.join(path);
    let meta =
        fs::symlink_metadata(&full).unwrap_or_else(|e| panic!("stat {}: {e}", full.display()));
    let kind = kind_of(&meta);
    let mut same_file_as = None;
    if kind != Kind::Dir && meta.nlink() > 1 {
        let first = first_names
            .entry((meta.dev(), meta.ino()))
            .or_insert_with(|| path.to_owned());
        same_file_as = Some(first.clone()).filter(|first| first != path);
    }
    let entry = Entry {
        kind,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        size_bytes: if kind == Kind::File { meta.size() } else { 0 },
        mtime_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        sha256: None,
        target: (kind == Kind::Symlink)
            .then(|| fs::read_link(&full).expect("a symlink can be read")),
        same_file_as,
        xattrs: xattrs(&full),
    };
    entries.insert(path.to_owned(), entry);
    if kind != Kind::Dir {
        return;
    }
    let listing =
        fs::read_dir(&full).unwrap_or_else(|e| panic!("read directory {}: {e}", full.display()));
    let mut names: Vec<OsString> = listing
        .map(|entry| entry.expect("a directory can be read").file_name())
        .collect();
    names.sort();
    for name in names {
        let child = if path == Path::new(".") {
            PathBuf::from(name)
        } else {
            path.join(name)
        };
        visit(root, &child, first_names, entries);
    }
}

fn kind_of(meta: &fs::Metadata) -> Kind {
    let kind = meta.file_type();
    match () {
        () if kind.is_file() => Kind::File,
        () if kind.is_dir() => Kind::Dir,
        () if kind.is_symlink() => Kind::Symlink,
        () => Kind::Other,
    }
}

/// None where the file system has none.
fn xattrs(path: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let mut names = vec![0u8; 65_536];
    let length = llistxattr(path, &mut names[..]).unwrap_or(0);
    let names = names[..length]
        .split(|&b| b == 0)
        .filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0u8; 65_536];
            let length =
                lgetxattr(path, name, &mut value[..]).expect("a listed attribute can be read");
            value.truncate(length);
            (OsString::from_vec(name.to_vec()), value)
        })
        .collect()
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(a.path().join("same"), "x").unwrap();
        fs::copy(a.path().join("same"), b.path().join("same")).unwrap();
        fs::write(a.path().join("only a"), "x").unwrap();
        fs::write(b.path().join("only\nb"), "x").unwrap();
        fs::write(a.path().join("changed"), "x").unwrap();
        fs::write(b.path().join("changed"), "xy").unwrap();
        let timeless = |dir: &Path| {
            let mut tree = snapshot(dir);
            for entry in tree.0.values_mut() {
                entry.mtime_ns = 0;
            }
            tree
        };
        let lines = timeless(a.path()).diff(&timeless(b.path()));
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(
            lines[0].starts_with("~ changed: size 1 / 2, sha256 "),
            "{}",
            lines[0]
        );
        assert_eq!(lines[1..], ["- only a", "+ only\nb"]);
    }

    #[test]
    fn digests_are_those_of_sha256sum() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("abc"), "abc").unwrap();
        let tree = snapshot(dir.path());
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(
            tree.entries()[Path::new("abc")].sha256.as_deref(),
            Some(expected)
        );
    }

    #[test]
    fn temporary_files_can_be_left_out() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/tmp/deep")).unwrap();
        for name in [
            "a/tmp/1",
            "a/tmp/deep/2",
            "a/uidlist.lock",
            "a/keep",
            "a/x.tmp",
        ] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let tree = snapshot(dir.path()).without_temporary();
        let paths: Vec<_> = tree
            .entries()
            .keys()
            .map(|path| path.to_str().unwrap())
            .collect();
        assert_eq!(paths, [".", "a", "a/keep", "a/tmp"]);
    }
}
