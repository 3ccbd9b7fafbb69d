//! What restores have kept of what they replaced: `TARGET.bak.TIME` beside it, and dumps in
//! `pre-restore/` of the backup root. Nobody removes it but the administrator.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_common::beneath::Beneath;
use mail_common::config::Settings as Server;
use mail_common::relpath::RelPath;
use mail_common::tool::human_size;
use mail_common::trusted;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::probe::Probe;

const NAME: &str = "leftovers";
const PRE_RESTORE: &str = "pre-restore";
const DAY_SECONDS: f64 = 86_400.0;
/// Of `st_blocks`, stat(2).
const BLOCK_BYTES: u64 = 512;

/// What was kept, and where the first of it is.
#[derive(Debug, Default)]
struct Kept {
    count: u64,
    bytes: u64,
    oldest_seconds: Option<i64>,
    first: PathBuf,
}

/// Of its own: a large tree takes a while to look through.
pub(super) fn probe(limits: Ceiling, context: &Arc<Context>) -> Probe {
    let target = context.root.display().to_string();
    let context = Arc::clone(context);
    Probe::new(NAME, target.clone(), context.timeout, move || {
        let now_seconds = context.now.timestamp().as_second();
        let found = gather(&context.root, &context.server);
        vec![found.map_or_else(
            |(path, error)| {
                let message = format!("{} cannot be looked at: {error}", path.display());
                Finding::unknown(NAME, &target, message)
            },
            |kept| judge(&target, &kept, now_seconds, limits),
        )]
    })
}

fn judge(target: &str, kept: &Kept, now_seconds: i64, limits: Ceiling) -> Finding {
    let Some(oldest_seconds) = kept.oldest_seconds else {
        return Finding::ok(NAME, target, "no restore has left anything");
    };
    let days = (now_seconds - oldest_seconds).max(0) as f64 / DAY_SECONDS;
    let (what, is) = match kept.count {
        1 => ("file or directory", "is"),
        _ => ("files and directories", "are"),
    };
    let message = format!(
        "{} {what} from before a restore {is} kept and take{} {}, the oldest for {days:.0} days: \
         {}; remove what nobody misses any more",
        kept.count,
        if kept.count == 1 { "s" } else { "" },
        human_size(kept.bytes),
        kept.first.display()
    );
    Finding::ok(NAME, target, message).under(days, "days", limits)
}

/// Looks beside everything that a restore replaces, and where single mailboxes lie.
fn gather(root: &Path, server: &Server) -> Result<Kept, (PathBuf, io::Error)> {
    let mut directories: Vec<PathBuf> = [
        Some(&server.mail_data_dir),
        Some(&server.config_dir),
        server.ssl_dir.as_ref(),
        server.dkim_dir.as_ref(),
        server.docker_compose_file.as_ref(),
        server.env_file.as_ref(),
    ]
    .into_iter()
    .flatten()
    .chain(&server.extra_dirs)
    .filter_map(|path| Some(path.parent()?.to_owned()))
    .collect();
    directories.extend(above_mailboxes(server)?);
    directories.sort();
    directories.dedup();
    let mut kept = Kept::default();
    for directory in &directories {
        for path in entries(directory)?.iter().filter(|path| is_kept(path)) {
            kept.add(path)?;
        }
    }
    for path in entries(&root.join(PRE_RESTORE))? {
        kept.add(&path)?;
    }
    Ok(kept)
}

/// The mail root and all directories between it and the mailboxes.
fn above_mailboxes(server: &Server) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let mut directories = vec![server.mail_data_dir.clone()];
    let mut level = directories.clone();
    for _ in 1..server.mailbox_depth.levels() {
        let mut below = Vec::new();
        for directory in &level {
            let found = entries(directory)?.into_iter();
            below.extend(found.filter(|path| path.is_dir() && !is_kept(path)));
        }
        directories.extend(below.iter().cloned());
        level = below;
    }
    Ok(directories)
}

/// `TARGET.bak.TIME`: other programs write `.bak` without a time.
fn is_kept(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let time = name.rsplit_once(".bak.").map(|(_, time)| time);
    time.is_some_and(|time| time.starts_with(|c: char| c.is_ascii_digit()))
}

/// What is in a directory; nothing where there is none.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let failed = |error| (directory.to_owned(), error);
    let entries = match trusted::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    paths.sort();
    Ok(paths)
}

impl Kept {
    /// With all that is below it. A rename changes the time of the inode and not that of the
    /// content.
    fn add(&mut self, path: &Path) -> Result<(), (PathBuf, io::Error)> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| (path, error)
        };
        let found = path.symlink_metadata().map_err(failed(path))?;
        let seconds = found.ctime();
        self.oldest_seconds = Some(self.oldest_seconds.map_or(seconds, |old| old.min(seconds)));
        if self.count == 0 {
            path.clone_into(&mut self.first);
        }
        self.count += 1;
        self.bytes += found.blocks() * BLOCK_BYTES;
        if found.is_dir() {
            self.bytes += bytes_below(path).map_err(failed(path))?;
        }
        Ok(())
    }
}

/// What the directory at `path` holds. Of a mail root much belongs to mail users: it is walked from
/// one open directory to the next, never through a link.
fn bytes_below(path: &Path) -> io::Result<u64> {
    let root = Beneath::open(path)?;
    let (mut bytes, mut left) = (0, vec![RelPath::root()]);
    while let Some(directory) = left.pop() {
        let entries = match root.entries(&directory) {
            // Its owner has put something else in its place meanwhile.
            Err(error) if is_elsewhere(&error) => continue,
            entries => entries?,
        };
        for (child, found) in entries {
            bytes += found.st_blocks.unsigned_abs() * BLOCK_BYTES;
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                left.push(child);
            }
        }
    }
    Ok(bytes)
}

fn is_elsewhere(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
        .map(Some)
        .contains(&errno)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;
    use mail_tests::swapper::{Swapper, give_to_another, rounds};
    use std::fs;

    #[test]
    fn what_was_kept_is_counted_and_old_is_a_warning() {
        let kept = Kept {
            count: 2,
            bytes: 3 << 30,
            oldest_seconds: Some(1_795_000_000),
            first: "/srv/mail.bak.20261123T030000".into(),
        };
        let after = |days: i64| 1_795_000_000 + days * 86_400;
        let limits = Ceiling::warning(30.0);
        let young = judge("/b", &kept, after(3), limits);
        assert_eq!(young.status, Status::Ok);
        let expected = "2 files and directories from before a restore are kept and take 3.0 GiB, the \
                        oldest for 3 days: /srv/mail.bak.20261123T030000; remove what nobody misses \
                        any more";
        assert_eq!(young.message, expected);
        assert_eq!(
            judge("/b", &kept, after(30), limits).status,
            Status::Warning
        );
        let none = judge("/b", &Kept::default(), after(0), limits);
        assert_eq!(
            (none.status, &*none.message),
            (Status::Ok, "no restore has left anything")
        );
    }

    #[test]
    fn a_kept_mailbox_that_becomes_a_link_counts_nothing_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let (cur, link) = (dir.path().join("kept/cur"), dir.path().join("kept/link"));
        let others = dir.path().join("others");
        for directory in [&cur, &others] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write(cur.join("1.a.mx"), "own").unwrap();
        fs::write(others.join("1.b.mx"), vec![1; 4 << 20]).unwrap();
        give_to_another(&others);
        std::os::unix::fs::symlink(&others, &link).unwrap();
        let swapper = Swapper::start(&cur, &link);
        for _ in rounds(2000) {
            let bytes = bytes_below(&dir.path().join("kept")).unwrap();
            assert!(bytes < 4 << 20, "{bytes}");
        }
        let exchanges = swapper.stop();
        println!("{exchanges} exchanges");
        assert!(exchanges > 100, "{exchanges}");
    }

    #[test]
    fn a_kept_tree_has_a_time_in_its_name() {
        for (name, expected) in [
            ("mail.bak.20261123T030000", true),
            (".env.bak.20261123T030000-2", true),
            ("main.cf.bak", false),
            ("main.cf.bak.old", false),
            ("mail", false),
        ] {
            assert_eq!(is_kept(&Path::new("/srv").join(name)), expected, "{name}");
        }
    }
}
