//! How a bucket is reached, and what every object in it gets.

use std::time::Duration;

use crate::aws::{AddressingStyle, Proxies, Trust};

/// How a bucket is reached.
#[derive(Clone, Debug)]
pub(crate) struct S3Config {
    pub(crate) bucket: String,
    /// Empty, or ending in a slash.
    pub(crate) prefix: String,
    pub(crate) region: String,
    pub(crate) endpoint: String,
    pub(crate) endpoint_is_given: bool,
    pub(crate) addressing: AddressingStyle,
    pub(crate) trust: Trust,
    pub(crate) proxies: Proxies,
    pub(crate) timeout: Duration,
    /// How often a request is tried.
    pub(crate) attempts: u32,
    pub(crate) jobs: usize,
    pub(crate) writing: Writing,
    pub(crate) sizes: Sizes,
}

/// What every object that is written gets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writing {
    pub(crate) storage_class: Option<String>,
    pub(crate) encryption: Option<String>,
    pub(crate) kms_key: Option<String>,
    /// As in a query: `a=b&c=d`.
    pub(crate) tags: Option<String>,
}

/// From which sizes on things are done in parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// The most that is put at once.
    pub(crate) whole_bytes: u64,
    /// S3 takes no less than 5 MiB. How many are in memory at a time is in `bucket`.
    pub(crate) part_bytes: u64,
    /// The most that is copied at once; AWS allows 5 GiB.
    pub(crate) whole_copy_bytes: u64,
    pub(crate) copy_part_bytes: u64,
}

/// S3 takes no more.
const MAX_PARTS: u64 = 10_000;

impl Sizes {
    /// So large a part of so many bytes that the whole has no more parts than are allowed.
    pub(crate) fn part_bytes_of(&self, bytes: u64) -> u64 {
        self.part_bytes.max(bytes.div_ceil(MAX_PARTS))
    }
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            whole_bytes: 16 << 20,
            part_bytes: 8 << 20,
            whole_copy_bytes: 5 << 30,
            copy_part_bytes: 1 << 30,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_not_too_many() {
        let sizes = Sizes::default();
        assert_eq!(sizes.part_bytes_of(100 << 20), 8 << 20);
        assert!(sizes.part_bytes_of(1 << 40) * MAX_PARTS >= 1 << 40);
    }
}
