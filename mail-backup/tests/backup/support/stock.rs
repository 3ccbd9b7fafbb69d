//! The programs that every administrator has, at work on a set.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs `command` and gives its standard output.
///
/// # Panics
/// With its standard error when it fails.
#[track_caller]
pub(crate) fn capture(command: &mut Command) -> Vec<u8> {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("run {command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Runs `command`, which neither fails nor complains.
#[track_caller]
pub(crate) fn succeed(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("run {command:?}: {e}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{command:?}: {complaints}"
    );
}

/// The sha256 of a file in hexadecimal, by `sha256sum`.
pub(crate) fn sha256(path: &Path) -> String {
    mail_tests::tree::file_digests(&[path.to_owned()]).remove(0)
}

/// `sha256sum -c` passes, and every file but the list itself is listed.
#[track_caller]
pub(crate) fn assert_sums(set: &Path) {
    let check = ["--check", "--strict", "--quiet", "checksums.sha256"];
    succeed(Command::new("sha256sum").args(check).current_dir(set));
    let listed = String::from_utf8_lossy(&fs::read(set.join("checksums.sha256")).unwrap())
        .lines()
        .count();
    assert_eq!(
        listed,
        list_files(set).len() - 1,
        "files listed in checksums.sha256"
    );
}

/// The files of a set, by `find`, relative to it.
pub(crate) fn list_files(dir: &Path) -> BTreeSet<PathBuf> {
    let listing = capture(
        Command::new("find")
            .args([".", "-type", "f", "-printf", "%P\\0"])
            .current_dir(dir),
    );
    let names = listing
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty());
    names
        .map(|name| PathBuf::from(std::ffi::OsString::from_vec(name.to_vec())))
        .collect()
}

/// Unpacks an archive into `dir`.
#[track_caller]
pub(crate) fn unpack_archive(archive: &Path, dir: &Path, options: &[&str]) {
    // tar restores every time, and warns of those before 1970 and in the future.
    let quiet = "--warning=no-timestamp";
    succeed(
        Command::new("tar")
            .arg(quiet)
            .args(options)
            .args(["--zstd", "-xpf"])
            .arg(archive)
            .arg("-C")
            .arg(dir),
    );
}

/// Unpacks every archive of the mailboxes of `set` into `dir` as the guide says: the segments of
/// messages in the order of their numbers, then the directories and control files of each mailbox,
/// and what lies above the mailboxes at the end.
#[track_caller]
pub(crate) fn unpack_mail(set: &Path, dir: &Path) {
    unpack_mail_with(set, dir, &[]);
}

/// The same with further options of tar.
#[track_caller]
pub(crate) fn unpack_mail_with(set: &Path, dir: &Path, options: &[&str]) {
    let options = [&["--incremental"], options].concat();
    for archive in archives(set) {
        unpack_archive(&archive, dir, &options);
    }
}

/// The archives of the mailboxes in the order in which they are unpacked.
fn archives(set: &Path) -> Vec<PathBuf> {
    let above = set.join("mailboxes/_root/0000.tar.zst");
    let files = list_files(&set.join("mailboxes"));
    let archives = files.into_iter().filter(|path| is_archive(path));
    let mut archives: Vec<PathBuf> = archives
        .map(|path| set.join("mailboxes").join(path))
        .filter(|path| *path != above)
        .collect();
    archives.push(above.clone());
    archives.sort_by_key(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let number: u32 = name.trim_end_matches(".tar.zst").parse().unwrap();
        (number == 0, *path == above, number)
    });
    archives
}

fn is_archive(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b".tar.zst")
}

/// The names of the files (not directories) of the mail tree that the archives of `set` make,
/// sorted.
pub(crate) fn members(set: &Path) -> Vec<String> {
    let tree = tempfile::tempdir().unwrap();
    unpack_mail(set, tree.path());
    let listing = capture(
        Command::new("find")
            .args([".", "!", "-type", "d", "-printf", "%P\\n"])
            .current_dir(tree.path()),
    );
    let listing = String::from_utf8_lossy(&listing);
    let mut names: Vec<String> = listing.lines().map(str::to_owned).collect();
    names.sort();
    names
}

pub(crate) fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path)
        .unwrap_or_else(|e| panic!("stat {}: {e}", path.display()))
        .ino()
}

/// Changes the lines of a compressed file of a set, and what the set records of it.
pub(crate) fn forge_lines(set: &Path, file: &Path, edit: impl Fn(&mut serde_json::Value)) {
    let text = capture(Command::new("zstd").arg("-dcq").arg(file));
    let mut edited = Vec::new();
    for line in String::from_utf8(text).unwrap().lines() {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        edit(&mut value);
        edited.extend(format!("{value}\n").into_bytes());
    }
    let (bytes, digest) = (fs::metadata(file).unwrap().len(), sha256(file));
    // A file of its own: the one that is there may be that of other sets, too.
    fs::remove_file(file).unwrap();
    fs::write(file, zstd_of(&edited)).unwrap();
    let (new_bytes, new) = (fs::metadata(file).unwrap().len(), sha256(file));
    let sums = format!("s/^{digest} /{new} /");
    let mut sed = Command::new("sed");
    succeed(sed.args(["-i", &sums, "checksums.sha256"]).current_dir(set));
    forge_manifest(
        set,
        &format!(
            "s/\"bytes\":{bytes},\"sha256\":\"{digest}\"/\"bytes\":{new_bytes},\"sha256\":\"{new}\"/"
        ),
    );
}

fn zstd_of(text: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    fs::write(&plain, text).unwrap();
    capture(Command::new("zstd").arg("-cq").arg(plain))
}

/// Changes the manifest of a set by `sed`, and the checksums with it, as a program of another
/// version or time would have written them.
pub(crate) fn forge_manifest(set: &Path, script: &str) {
    succeed(
        Command::new("sed")
            .args(["-i", script, "manifest.jsonl"])
            .current_dir(set),
    );
    let digest = sha256(&set.join("manifest.jsonl"));
    let script = format!("s/^[0-9a-f]*  manifest.jsonl$/{digest}  manifest.jsonl/");
    succeed(
        Command::new("sed")
            .args(["-i", &script, "checksums.sha256"])
            .current_dir(set),
    );
    assert_sums(set);
}
