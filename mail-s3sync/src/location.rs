//! Where sets are kept off site: `s3://bucket/prefix` or `file:///directory`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A place that holds sets, each below `daily/` or `weekly/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// A bucket, and what all keys in it begin with: empty, or ending in a slash.
    Bucket { bucket: String, prefix: String },
    /// A directory of this machine: a mounted disk, as a rule.
    Directory(PathBuf),
}

/// The text names no such place.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no place for sets: {text:?}: {reason}; use s3://bucket/prefix or file:///directory")]
pub(crate) struct NotALocation {
    text: String,
    reason: &'static str,
}

impl Location {
    /// The bucket `bucket`, below `prefix`, which may have slashes at its ends.
    pub(crate) fn bucket(bucket: &str, prefix: &str) -> Result<Self, NotALocation> {
        let refuse = |reason| NotALocation {
            text: format!("s3://{bucket}/{prefix}"),
            reason,
        };
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(is_legal) {
            return Err(refuse(
                "a bucket has 3 to 63 letters, digits, dots and hyphens",
            ));
        }
        let prefix = prefix.trim_matches('/');
        if prefix.split('/').any(|part| matches!(part, "." | "..")) || prefix.contains("//") {
            return Err(refuse("a prefix has no empty, `.` or `..` part"));
        }
        let slash = if prefix.is_empty() { "" } else { "/" };
        Ok(Self::Bucket {
            bucket: bucket.to_owned(),
            prefix: format!("{prefix}{slash}"),
        })
    }
}

impl FromStr for Location {
    type Err = NotALocation;

    fn from_str(text: &str) -> Result<Self, NotALocation> {
        let refuse = |reason| NotALocation {
            text: text.to_owned(),
            reason,
        };
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            return Self::bucket(bucket, prefix);
        }
        match text.strip_prefix("file://") {
            Some(path) if path.starts_with('/') => Ok(Self::Directory(PathBuf::from(path))),
            Some(_) => Err(refuse("the directory must be absolute")),
            None => Err(refuse("it is neither")),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket { bucket, prefix } => {
                f.write_str(format!("s3://{bucket}/{prefix}").trim_end_matches('/'))
            }
            Self::Directory(directory) => write!(f, "file://{}", directory.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        match (text.parse::<Location>(), expected) {
            (Ok(location), Ok(shown)) => assert_eq!(location.to_string(), shown),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn places_are_read() {
        check("s3://bucket", Ok("s3://bucket"));
        check("s3://bucket/mail/host1/", Ok("s3://bucket/mail/host1"));
        check("file:///mnt/disk", Ok("file:///mnt/disk"));
        check("s3://b", Err("3 to 63"));
        check("s3://bucket/a/../b", Err("prefix"));
        check("file://disk", Err("absolute"));
        check("/mnt/disk", Err("neither"));
    }
}
