//! A path relative to some root, which cannot lead out of it.
//!
//! Bytes, not text: a Maildir holds names that are not UTF-8. Ordered component by component, which
//! is the order of a depth-first walk over sorted directories, so that a walk and an index can be
//! read side by side.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureKind};

/// A relative path without `.`, `..`, empty components or NUL; `.` alone names the root itself.
///
/// A clone shares the bytes: plans and findings name the same million files again and again.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RelPath(Arc<[u8]>);

/// Why a name is not a [`RelPath`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unsafe path {path:?}: {reason}")]
pub struct UnsafePath {
    path: String,
    reason: &'static str,
}

impl Failure for UnsafePath {
    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }
}

impl RelPath {
    /// Checks `path`.
    ///
    /// # Errors
    /// When it is absolute or empty, holds a NUL, or has an empty, `.` or `..` component.
    pub fn new(path: impl AsRef<[u8]>) -> Result<Self, UnsafePath> {
        let bytes = path.as_ref();
        match complaint(bytes) {
            None => Ok(Self(bytes.into())),
            Some(reason) => Err(UnsafePath {
                path: String::from_utf8_lossy(bytes).into_owned(),
                reason,
            }),
        }
    }

    /// The root itself, written `.`.
    #[must_use]
    pub fn root() -> Self {
        Self(Arc::from(&b"."[..]))
    }

    /// Whether this names the root itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        &*self.0 == b"."
    }

    /// The path of `name` in this directory.
    ///
    /// # Errors
    /// When `name` is not a single safe component.
    pub fn child(&self, name: &[u8]) -> Result<Self, UnsafePath> {
        if name.contains(&b'/') || name == b"." {
            return Err(UnsafePath {
                path: String::from_utf8_lossy(name).into_owned(),
                reason: "a name of a directory entry is one component",
            });
        }
        if self.is_root() {
            return Self::new(name);
        }
        Self::new([&self.0, &b"/"[..], name].concat())
    }

    /// This path below the directory `base`.
    #[must_use]
    pub fn below(&self, base: &Self) -> Self {
        match (base.is_root(), self.is_root()) {
            (true, _) => self.clone(),
            (_, true) => base.clone(),
            _ => Self([&base.0, &b"/"[..], &self.0].concat().into()),
        }
    }

    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a path to join to a root; `.` for the root itself.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The text, with replacement characters where it is not UTF-8.
    #[must_use]
    pub fn to_string_lossy(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// The components in order; none for the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|c| *c != b".")
    }

    /// How many components; 0 for the root.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// The directory that holds this; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.iter().rposition(|&b| b == b'/') {
            Some(slash) => Self(self.0[..slash].into()),
            None => Self::root(),
        })
    }

    /// The last component; `.` for the root.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|&b| b == b'/').next().unwrap_or(&self.0)
    }

    /// Whether this is `directory` itself or lies in it.
    #[must_use]
    pub fn is_within(&self, directory: &Self) -> bool {
        directory.is_root()
            || self
                .0
                .strip_prefix(&*directory.0)
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

fn complaint(path: &[u8]) -> Option<&'static str> {
    if path == b"." {
        return None;
    }
    if path.is_empty() {
        return Some("it is empty");
    }
    if path[0] == b'/' {
        return Some("it is absolute");
    }
    if path.contains(&0) {
        return Some("it holds a NUL");
    }
    path.split(|&b| b == b'/')
        .find_map(|component| match component {
            b"" => Some("it has an empty component"),
            b"." => Some("it has a `.` component"),
            b".." => Some("it has a `..` component"),
            _ => None,
        })
}

impl Ord for RelPath {
    /// By components: as bytes, with the slash before all others, and the root first.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_root(), other.is_root()) {
            (false, false) => {}
            (this, that) => return that.cmp(&this),
        }
        let differing = self.0.iter().zip(other.0.iter()).find(|(a, b)| a != b);
        match differing {
            None => self.0.len().cmp(&other.0.len()),
            Some((b'/', _)) => Ordering::Less,
            Some((_, b'/')) => Ordering::Greater,
            Some((a, b)) => a.cmp(b),
        }
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string_lossy())
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string_lossy())
    }
}

impl FromStr for RelPath {
    type Err = UnsafePath;

    fn from_str(text: &str) -> Result<Self, UnsafePath> {
        Self::new(text)
    }
}

impl TryFrom<PathBuf> for RelPath {
    type Error = UnsafePath;

    fn try_from(path: PathBuf) -> Result<Self, UnsafePath> {
        Self::new(path.as_os_str().as_bytes())
    }
}

/// A path as records write it: text, and the exact bytes beside it where the text is lossy. Flatten
/// it into a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PathField {
    /// The path; with replacement characters where the name is not UTF-8.
    pub path: String,
    /// The exact bytes in base64, present only when the name is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
}

impl PathField {
    /// Any name, such as an absolute path or the name of a tar member, as records write it.
    #[must_use]
    pub fn of_bytes(name: &[u8]) -> Self {
        match std::str::from_utf8(name) {
            Ok(text) => Self {
                path: text.to_owned(),
                path_b64: None,
            },
            Err(_) => Self {
                path: String::from_utf8_lossy(name).into_owned(),
                path_b64: Some(BASE64.encode(name)),
            },
        }
    }
}

impl From<&RelPath> for PathField {
    fn from(path: &RelPath) -> Self {
        Self::of_bytes(&path.0)
    }
}

impl TryFrom<&PathField> for RelPath {
    type Error = UnsafePath;

    fn try_from(field: &PathField) -> Result<Self, UnsafePath> {
        let Some(encoded) = &field.path_b64 else {
            return Self::new(&field.path);
        };
        let bytes = BASE64.decode(encoded).map_err(|_| UnsafePath {
            path: encoded.clone(),
            reason: "path_b64 is not base64",
        })?;
        Self::new(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(input: &str, expected: Option<&'static str>) {
        assert_eq!(
            RelPath::new(input).err().map(|e| e.reason),
            expected,
            "{input:?}"
        );
    }

    #[test]
    fn unsafe_names_are_refused() {
        check("a/b c/ä", None);
        check(".", None);
        check("...", None);
        check("a/..b", None);
        check("", Some("it is empty"));
        check("/etc/passwd", Some("it is absolute"));
        check("a/../../etc", Some("it has a `..` component"));
        check("..", Some("it has a `..` component"));
        check("./a", Some("it has a `.` component"));
        check("a//b", Some("it has an empty component"));
        check("a/", Some("it has an empty component"));
        check("a\0b", Some("it holds a NUL"));
    }

    #[test]
    fn a_directory_comes_before_its_content_and_its_content_before_longer_names() {
        let mut paths: Vec<RelPath> = ["cur-x", "cur/2", "cur", "b", ".", "cur/1/z", "cur/1"]
            .map(|p| p.parse().unwrap())
            .into();
        paths.sort();
        let text: Vec<String> = paths.iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [".", "b", "cur", "cur/1", "cur/1/z", "cur/2", "cur-x"]
        );
    }

    #[test]
    fn parts_of_a_path() {
        let path: RelPath = "example.com/alice/cur".parse().unwrap();
        assert_eq!(path.parent().unwrap().to_string(), "example.com/alice");
        assert_eq!(path.name(), b"cur");
        assert_eq!(path.depth(), 3);
        assert_eq!(RelPath::root().depth(), 0);
        assert_eq!(RelPath::root().child(b"x").unwrap().to_string(), "x");
        assert!(RelPath::root().child(b"..").is_err());
        assert!(path.child(b"a/b").is_err());
        assert!(path.is_within(&"example.com".parse().unwrap()));
        assert!(!path.is_within(&"example.co".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_components(
            a in "[a.-]{1,3}(/[a.-]{1,3}){0,3}",
            b in "[a.-]{1,3}(/[a.-]{1,3}){0,3}",
        ) {
            if let (Ok(a), Ok(b)) = (RelPath::new(&a), RelPath::new(&b)) {
                prop_assert_eq!(a.cmp(&b), a.components().cmp(b.components()));
            }
        }

        #[test]
        fn any_bytes_survive_a_record(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(path) = RelPath::new(&bytes) {
                let json = serde_json::to_string(&PathField::from(&path)).unwrap();
                let back: PathField = serde_json::from_str(&json).unwrap();
                prop_assert_eq!(RelPath::try_from(&back).unwrap(), path);
            }
        }
    }
}
