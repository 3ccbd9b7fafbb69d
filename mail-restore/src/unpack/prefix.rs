//! What stands before the names in an archive of the old scripts: nothing, the name of the
//! directory that was saved, or its whole path without the first slash, as `tar` is called.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mail_common::archive::reader::TarReader;
use mail_common::relpath::RelPath;

use super::error::Error;
use super::open::open;

/// The prefix of `archive`, which was made of the directory `source`.
pub(crate) fn find_prefix(set: &Path, archive: &RelPath, source: &Path) -> Result<RelPath, Error> {
    let mut candidates = candidates(source);
    let mut tar = TarReader::new(open(set, archive)?);
    let damaged = |source| Error::Damaged {
        archive: archive.clone(),
        source,
    };
    while let Some(head) = tar.next_member().map_err(damaged)? {
        let path = head.path().map_err(|source| Error::Name {
            archive: archive.clone(),
            source,
        })?;
        // Directories that lead to the prefix may be members too; a root that is one has the names
        // as they are.
        candidates.retain(|prefix| {
            path.is_within(prefix) || (prefix.is_within(&path) && !path.is_root())
        });
    }
    Ok(candidates.into_iter().next().unwrap_or_else(RelPath::root))
}

/// The path without what stands before it; `None` for a directory that only leads there.
pub(super) fn without(path: &RelPath, prefix: &RelPath) -> Option<RelPath> {
    if prefix.is_root() {
        return Some(path.clone());
    }
    let rest = path.as_bytes().strip_prefix(prefix.as_bytes())?;
    match rest.strip_prefix(b"/") {
        Some(rest) => RelPath::new(rest).ok(),
        None if rest.is_empty() => Some(RelPath::root()),
        None => None,
    }
}

/// The longest first.
fn candidates(source: &Path) -> Vec<RelPath> {
    let whole = source.as_os_str().as_bytes();
    let whole = whole.strip_prefix(b"/").unwrap_or(whole);
    let name = source.file_name().unwrap_or_default().as_bytes();
    let mut candidates: Vec<_> = [whole, name]
        .into_iter()
        .filter_map(|text| RelPath::new(text).ok())
        .collect();
    candidates.dedup();
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "a directory as the scripts saved it"
    )]
    fn the_three_ways_of_the_scripts_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("server/config");
        std::fs::create_dir_all(source.join("config")).unwrap();
        std::fs::write(source.join("config/config"), "x").unwrap();
        let whole = source.to_str().unwrap().trim_start_matches('/').to_owned();
        let check = |directory: &Path, name: &str, expected: &str| {
            let archive = dir.path().join("a.tar");
            let mut tar = Command::new("tar");
            assert!(
                tar.arg("-cf")
                    .arg(&archive)
                    .arg("-C")
                    .arg(directory)
                    .arg(name)
                    .status()
                    .unwrap()
                    .success()
            );
            let found = find_prefix(dir.path(), &RelPath::new("a.tar").unwrap(), &source).unwrap();
            assert_eq!(found.to_string(), expected, "{name}");
        };
        check(&source, ".", ".");
        check(&dir.path().join("server"), "config", "config");
        check(Path::new("/"), &whole, &whole);
    }

    #[test]
    fn a_prefix_is_taken_away_whole() {
        let path = |text: &str| RelPath::new(text).unwrap();
        let check = |name: &str, prefix: &str, expected: Option<&str>| {
            assert_eq!(
                without(&path(name), &path(prefix)),
                expected.map(path),
                "{name} {prefix}"
            );
        };
        check("a/b", ".", Some("a/b"));
        check("a/b/c", "a/b", Some("c"));
        check("a/b", "a/b", Some("."));
        check("a", "a/b", None);
        check("a/bc", "a/b", None);
    }
}
