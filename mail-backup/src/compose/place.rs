//! Where a file of the project is in the set: below `config/project/`, under its path in the
//! directory of the project; or why it is not there.

use std::io;
use std::path::{Path, PathBuf};

use mail_common::relpath::RelPath;
use mail_common::trusted;

/// Directories by which it is decided, all without links.
#[derive(Debug)]
pub(super) struct Places {
    /// The directory of the project.
    pub(super) project: PathBuf,
    /// What other parts of a set have: directories with all below them, and files.
    pub(super) saved: Vec<PathBuf>,
}

/// Where a file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Another part of the set has it.
    InSet,
    /// To be copied: from there, to this path below the directory of the project.
    Copied(PathBuf, RelPath),
}

/// Why a file is not in the set.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeftOut {
    #[error("it is not there")]
    NotThere,
    #[error("it lies outside the directory of the project, {}", .0.display())]
    Outside(PathBuf),
    #[error("it is a link to {}, outside the directory of the project", .0.display())]
    LeadsOut(PathBuf),
    #[error("it is not a regular file")]
    NotRegular,
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
}

impl Places {
    /// Finds the place of the file `path`.
    ///
    /// The name that Compose opens must be in the set, and the content. Both are in it where both
    /// lie in what is saved anyway. A link in such a directory is saved as a link, so the file that
    /// it leads to is copied; any other link is copied as the file that it leads to.
    pub(super) fn find(&self, path: &Path) -> Result<Place, LeftOut> {
        let name = resolved_name(path)?;
        let content = path.canonicalize().map_err(LeftOut::reading)?;
        let wanted = match (self.is_saved(&name), self.is_saved(&content)) {
            (true, true) => return Ok(Place::InSet),
            (true, false) => &content,
            (false, _) => &name,
        };
        let Ok(below) = wanted.strip_prefix(&self.project) else {
            return Err(self.outside(path, &content));
        };
        if !content.starts_with(&self.project) && !self.is_saved(&content) {
            return Err(LeftOut::LeadsOut(content));
        }
        let below = RelPath::try_from(below.to_owned()).map_err(|_| LeftOut::NotRegular)?;
        check_readable(&content)?;
        Ok(Place::Copied(content, below))
    }

    fn outside(&self, path: &Path, content: &Path) -> LeftOut {
        if path.is_symlink() {
            LeftOut::LeadsOut(content.to_owned())
        } else {
            LeftOut::Outside(self.project.clone())
        }
    }

    fn is_saved(&self, path: &Path) -> bool {
        self.saved.iter().any(|saved| path.starts_with(saved))
    }
}

impl LeftOut {
    fn reading(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotThere,
            _ => Self::Unreadable(error),
        }
    }
}

/// The path in a directory without links; what stands there may be one.
pub(super) fn resolved_name(path: &Path) -> Result<PathBuf, LeftOut> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(LeftOut::NotRegular);
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let parent = parent.canonicalize().map_err(LeftOut::reading)?;
    Ok(parent.join(name))
}

fn check_readable(path: &Path) -> Result<(), LeftOut> {
    let metadata = path.metadata().map_err(LeftOut::reading)?;
    if !metadata.is_file() {
        return Err(LeftOut::NotRegular);
    }
    trusted::open(path).map(drop).map_err(LeftOut::reading)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "files of a live system are no stored files"
    )]
    fn names_and_contents_are_in_the_set_or_it_is_said_why_not() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let project = top.join("project");
        fs::create_dir_all(project.join("config")).unwrap();
        fs::create_dir_all(project.join("secrets")).unwrap();
        for file in [
            "outside.env",
            "project/a.env",
            "project/config/b.env",
            "project/secrets/key",
            "project/.env",
        ] {
            fs::write(top.join(file), "").unwrap();
        }
        for (link, target) in [
            ("project/to-config.env", "config/b.env"),
            ("project/config/to-a.env", "../a.env"),
            ("project/config/to-outside.env", "../../outside.env"),
            ("project/to-outside.env", "../outside.env"),
            ("project/to-a.env", "a.env"),
            ("project/nowhere.env", "nothing"),
            ("project/circle.env", "circle.env"),
            ("project/out", ".."),
        ] {
            symlink(target, top.join(link)).unwrap();
        }
        let places = Places {
            saved: vec![project.join("config"), project.join(".env")],
            project: project.clone(),
        };
        let check = |path: &str, expected: &str| {
            let found = match places.find(&project.join(path)) {
                Ok(Place::InSet) => "in the set".to_owned(),
                Ok(Place::Copied(from, to)) => {
                    format!("{} to {to}", from.strip_prefix(&top).unwrap().display())
                }
                Err(error) => error.to_string(),
            };
            assert!(found.starts_with(expected), "{path}: {found}");
        };
        check("a.env", "project/a.env to a.env");
        check("./secrets/../a.env", "project/a.env to a.env");
        check("secrets/key", "project/secrets/key to secrets/key");
        check("config/b.env", "in the set");
        check(".env", "in the set");
        check("to-config.env", "project/config/b.env to to-config.env");
        check("config/to-a.env", "project/a.env to a.env");
        check("to-a.env", "project/a.env to to-a.env");
        check("config/to-outside.env", "it is a link to ");
        check("to-outside.env", "it is a link to ");
        check("out/outside.env", "it lies outside");
        check("../outside.env", "it lies outside");
        check("secrets", "it is not a regular file");
        check("..", "it is not a regular file");
        check("none.env", "it is not there");
        check("none/a.env", "it is not there");
        check("a.env/b", "it is not there");
        check("nowhere.env", "it is not there");
        check("circle.env", "it cannot be read: ");
    }
}
