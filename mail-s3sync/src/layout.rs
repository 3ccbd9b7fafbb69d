//! Where the files of a set lie in a store.
//!
//! In the plain layout each lies below the name of its set, as `aws s3 sync` would have it. In the
//! pool layout what was saved lies in one pool for all sets, under the digest of what is stored, so
//! that equal content is stored once. What describes a set stays below its name in both.

use std::fmt::Display;
use std::str::FromStr;

use mail_common::checksum::Sha256;
use mail_common::relpath::RelPath;
use mail_common::set::{CHECKSUMS, LOG, MANIFEST};

/// What the keys of the pool begin with.
pub(crate) const POOL: &str = "pool/";
/// Says how a set in the pool layout is brought back without our tools.
pub(crate) const RESTORE: &str = "RESTORE.txt";
/// What `age` appends to a name.
pub(crate) const AGE: &str = ".age";

/// Where the files of a set lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Layout {
    /// All below the name of the set.
    #[default]
    Plain,
    /// What was saved in the pool, by its digest; what describes the set below its name.
    Pool,
}

/// In which layout a push writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    /// In that of the sets that are there; the first one begins a pool.
    #[default]
    Auto,
    Always(Layout),
}

impl Layout {
    /// The key of a file that has the name `path` in `set`, and the digest `stored` as it is
    /// stored.
    pub(crate) fn key(self, set: impl Display, path: &RelPath, stored: Sha256) -> String {
        if self.is_pooled(path) {
            pool_key(stored)
        } else {
            format!("{set}/{path}")
        }
    }

    /// Whether a file with that name in a set lies in the pool.
    pub(crate) fn is_pooled(self, path: &RelPath) -> bool {
        self == Self::Pool && !describes_its_set(path)
    }

    /// As the metadata of the checksums name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Pool => "pool",
        }
    }
}

impl FromStr for Layout {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut all = [Self::Plain, Self::Pool].into_iter();
        all.find(|layout| layout.name() == text).ok_or(())
    }
}

impl FromStr for Choice {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            text => text.parse().map(Self::Always),
        }
    }
}

/// The key of what is stored under that digest.
pub(crate) fn pool_key(stored: Sha256) -> String {
    format!("{POOL}{stored}")
}

/// The manifest, the log and the checksums, encrypted or not: each set has its own.
fn describes_its_set(path: &RelPath) -> bool {
    let name = path.as_bytes();
    let plain = name.strip_suffix(AGE.as_bytes()).unwrap_or(name);
    [MANIFEST, LOG, CHECKSUMS]
        .iter()
        .any(|own| own.as_bytes() == plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_lies_in_the_pool_and_what_describes_a_set_below_its_name() {
        let stored = Sha256::of(b"abc");
        // As `printf abc | sha256sum` has it.
        let pooled = "pool/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let check = |layout: Layout, path: &str, expected: &str| {
            let key = layout.key("daily/2026-11-23", &path.parse().unwrap(), stored);
            assert_eq!(key, expected);
        };
        check(Layout::Plain, "dkim/a", "daily/2026-11-23/dkim/a");
        check(Layout::Pool, "dkim/a", pooled);
        check(Layout::Pool, "dkim/a.age", pooled);
        check(Layout::Pool, "config/manifest.jsonl", pooled);
        for own in ["manifest.jsonl", "backup.log", "checksums.sha256.age"] {
            let beside = format!("daily/2026-11-23/{own}");
            check(Layout::Pool, own, &beside);
            check(Layout::Plain, own, &beside);
        }
    }

    #[test]
    fn choices_are_read() {
        assert_eq!("auto".parse(), Ok(Choice::Auto));
        assert_eq!("pool".parse(), Ok(Choice::Always(Layout::Pool)));
        assert_eq!("plain".parse(), Ok(Choice::Always(Layout::Plain)));
        assert_eq!("Pool".parse::<Choice>(), Err(()));
    }
}
