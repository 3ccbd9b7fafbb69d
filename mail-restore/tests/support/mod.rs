//! What the tests of `mail-restore` share: a mail server with a set of it, and ways to spoil both.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

use std::fs;
use std::path::Path;

use mail_tests::run::Outcome;
use mail_tests::server::Server;
use mail_tests::tree::{Snapshot, snapshot};

pub(crate) use mail_tests::run::shell;
pub(crate) use mail_tests::schema::checked;

pub(crate) const SET: &str = "daily/2026-11-23";

/// Restores the set onto the server.
#[track_caller]
pub(crate) fn restore(server: &Server, args: &[&str]) -> Outcome {
    checked(server.restore().args(["--from", SET]).args(args))
}

/// Everything of the live server but the backup root, and the times of the directory in which
/// targets are exchanged: what a failed restore leaves as it was.
pub(crate) fn live(server: &Server) -> Snapshot {
    snapshot(server.dir()).without(|path| path == Path::new("backup") || path == Path::new("."))
}

/// The same after a successful restore: without what is kept, the times of directories, and the two
/// files of which a set has no times.
pub(crate) fn restored(server: &Server) -> Snapshot {
    let is_timeless = |path: &Path| {
        [".env", "docker-compose.yml"]
            .iter()
            .any(|name| path == Path::new(name))
    };
    let is_kept = |path: &Path| path.to_string_lossy().contains(".bak.");
    live(server)
        .without(|path| is_kept(path) || is_timeless(path))
        .without_dir_times()
}

/// Mail as a backup has it: without what is only there for a moment, and each name a file of its
/// own.
pub(crate) fn mail(dir: &Path) -> Snapshot {
    snapshot(dir).without_temporary()
}

/// The names in `dir`, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(name).collect();
    names.sort();
    names
}

/// Writes a file and the directories that lead to it.
pub(crate) fn put(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Writes the checksums of a set again, as someone who forges it would.
pub(crate) fn seal(set: &Path) {
    shell(
        set,
        "find . -type f ! -name 'checksums.*' -print0 | sort -z | xargs -0 sha256sum | sed 's,  ./,  ,' >checksums.new\n\
                mv checksums.new checksums.sha256",
    );
}

/// Flips a bit of the byte at `at`, counted from the end where it is negative.
pub(crate) fn flip(path: &Path, at: i64) {
    let mut content = fs::read(path).unwrap();
    let length = content.len();
    let index = if at < 0 {
        length - usize::try_from(-at).unwrap()
    } else {
        usize::try_from(at).unwrap()
    };
    content[index.min(length - 1)] ^= 0x10;
    fs::write(path, content).unwrap();
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
