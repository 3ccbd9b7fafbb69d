//! The name of a set in a store: that of the set, and `.incomplete` where a part of it had failed.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use mail_common::set::{NotASetId, SetId};

const INCOMPLETE: &str = ".incomplete";

/// A set in a store: `daily/2026-11-23`, or `daily/2026-11-23.incomplete`. Ordered by kind, then by
/// date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SetName {
    id: SetId,
    parts: Parts,
}

/// What the name says of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Parts {
    All,
    Some,
}

impl SetName {
    /// The day or week.
    pub(crate) fn id(self) -> SetId {
        self.id
    }

    /// Whether a part of the set had failed when it was made.
    pub(crate) fn is_incomplete(self) -> bool {
        self.parts == Parts::Some
    }

    /// What the keys of its objects begin with.
    pub(crate) fn prefix(self) -> String {
        format!("{self}/")
    }

    /// The set that the last two parts of the path of `directory` name.
    pub(crate) fn of_directory(directory: &Path) -> Result<Self, NotASetId> {
        let last = |path: &Path| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let kind = directory.parent().map(last).unwrap_or_default();
        format!("{kind}/{}", last(directory)).parse()
    }
}

impl From<SetId> for SetName {
    fn from(id: SetId) -> Self {
        Self {
            id,
            parts: Parts::All,
        }
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            self.id,
            if self.is_incomplete() { INCOMPLETE } else { "" }
        )
    }
}

impl FromStr for SetName {
    type Err = NotASetId;

    fn from_str(text: &str) -> Result<Self, NotASetId> {
        match text.strip_suffix(INCOMPLETE) {
            Some(id) => Ok(Self {
                id: id.parse()?,
                parts: Parts::Some,
            }),
            None => Ok(Self {
                id: text.parse()?,
                parts: Parts::All,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for text in [
            "daily/2026-11-23",
            "weekly/2026-week-47",
            "daily/2026-11-23.incomplete",
        ] {
            let name: SetName = text.parse().unwrap();
            assert_eq!(name.to_string(), text);
            assert_eq!(
                SetName::of_directory(&Path::new("/mnt/backup").join(text)).unwrap(),
                name
            );
        }
        assert!("daily/2026-11-23.partial".parse::<SetName>().is_err());
        assert!(SetName::of_directory(Path::new("/")).is_err());
    }
}
