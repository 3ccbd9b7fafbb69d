//! Where further directories (EXTRA_DIRS) lie in a set, and back: `/etc/postfix` is the archive
//! `config/extra/etc/postfix.tar.zst`.

use std::path::{Component as PathPart, Path, PathBuf};

use crate::relpath::RelPath;

/// The directory of their archives in a set.
const EXTRA: &str = "config/extra";

const ARCHIVE: &str = ".tar.zst";

/// The path of `directory` without its leading slash, where its archive can have that name: a whole
/// path without `..`, in which no directory is called like an archive.
#[must_use]
pub fn extra_dir_path(directory: &Path) -> Option<RelPath> {
    let below = directory.strip_prefix("/").ok()?;
    let is_plain = |part: PathPart<'_>| match part {
        PathPart::Normal(name) => !name.to_string_lossy().ends_with(ARCHIVE),
        _ => false,
    };
    let path = RelPath::try_from(below.to_owned()).ok()?;
    (!path.is_root() && below.components().all(is_plain)).then_some(path)
}

/// The archive of `directory` in a set; `None` where it can have none.
#[must_use]
pub fn extra_archive(directory: &Path) -> Option<RelPath> {
    let path = extra_dir_path(directory)?;
    let base = RelPath::new(EXTRA).ok()?;
    let name = [path.below(&base).as_bytes(), ARCHIVE.as_bytes()].concat();
    RelPath::new(name).ok()
}

/// Whether a file of a set lies where only archives of further directories do.
#[must_use]
pub fn is_extra(file: &RelPath) -> bool {
    file.as_path().starts_with(EXTRA)
}

/// The directory that the file of a set is the archive of.
#[must_use]
pub fn extra_dir(file: &RelPath) -> Option<PathBuf> {
    let below = file.as_path().strip_prefix(EXTRA).ok()?;
    let path = RelPath::try_from(below.to_owned()).ok()?;
    let path = RelPath::new(path.as_bytes().strip_suffix(ARCHIVE.as_bytes())?).ok()?;
    let directory = Path::new("/").join(path.as_path());
    (extra_archive(&directory).as_ref() == Some(file)).then_some(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_its_archive_and_an_archive_its_directory() {
        let check = |directory: &str, archive: &str| {
            let archive: RelPath = archive.parse().unwrap();
            assert_eq!(extra_archive(Path::new(directory)), Some(archive.clone()));
            assert_eq!(extra_dir(&archive), Some(PathBuf::from(directory)));
            assert!(is_extra(&archive));
        };
        check("/etc/postfix", "config/extra/etc/postfix.tar.zst");
        check("/srv", "config/extra/srv.tar.zst");
        check("/srv/a.tar", "config/extra/srv/a.tar.tar.zst");
        for directory in [
            "etc/postfix",
            "/",
            "/etc/../root",
            "/a.tar.zst/b",
            "/a.tar.zst",
            "",
        ] {
            assert_eq!(extra_archive(Path::new(directory)), None, "{directory}");
        }
        for file in [
            "config/extra/etc/postfix.tgz",
            "config/extra/a.tar.zst/b.tar.zst",
            "config/extra/.tar.zst",
            "config/extra",
            "config/extras/etc.tar.zst",
            "config/config.tar.zst",
            "config/project/extra/etc.tar.zst",
        ] {
            assert_eq!(extra_dir(&file.parse().unwrap()), None, "{file}");
        }
        assert!(is_extra(&"config/extra/x".parse().unwrap()));
        assert!(!is_extra(&"config/extras/x".parse().unwrap()));
    }
}
