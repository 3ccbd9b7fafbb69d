//! Up to which size clamd looks into a file.
//!
//! Over its limits clamd says OK in silence, and nothing in its protocol tells what they are: three
//! settings and what it unpacks on the way decide. So no OK is believed for a size that was not
//! tried: a sample of that size, with EICAR at its very end, must be found first. What was found
//! holds for all smaller sizes, and what was not for all larger ones, so that a whole run asks a
//! handful of times. Sizes are rounded up to a power of two first, or files that each are a little
//! larger than the last would each have a sample of their own; only where the power is too large is
//! the exact size tried.

use std::sync::{Mutex, PoisonError};

use super::sample;

/// No clamd takes more (clamd.conf(5): MaxFileSize).
const NEVER_BYTES: u64 = 2 << 30;

/// Samples are made in memory.
const SAMPLE_MAX_BYTES: u64 = 256 << 20;

/// What is known of the limits of one clamd.
#[derive(Debug)]
pub(crate) struct Limits(Mutex<Known>);

#[derive(Clone, Copy, Debug)]
struct Known {
    /// A sample of this size was found.
    seen_bytes: u64,
    /// A sample of this size was not.
    unseen_bytes: u64,
}

const NOTHING: Known = Known {
    seen_bytes: 0,
    unseen_bytes: NEVER_BYTES,
};

impl Limits {
    /// Nothing is known yet.
    pub(crate) fn unknown() -> Self {
        Self(Mutex::new(NOTHING))
    }

    /// What was known was of another clamd: its limits may be others.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = NOTHING;
    }

    /// The largest size that clamd is known to look into.
    pub(crate) fn seen_bytes(&self) -> u64 {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .seen_bytes
    }

    /// Whether clamd looks into the whole of a file of `bytes`; asks it with `finds` where that is
    /// not known yet.
    ///
    /// # Errors
    /// As `finds`; nothing is learnt then.
    pub(crate) fn allow<E>(
        &self,
        bytes: u64,
        finds: impl Fn(&[u8]) -> Result<bool, E>,
    ) -> Result<bool, E> {
        // Held while clamd is asked, so that it is asked once.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes <= known.seen_bytes {
            return Ok(true);
        }
        if bytes >= known.unseen_bytes.min(SAMPLE_MAX_BYTES) {
            return Ok(false);
        }
        // Rounded up first, so that files of growing sizes do not each ask again.
        let rounded = bytes.next_power_of_two();
        for size in [rounded, bytes] {
            if size >= known.unseen_bytes.min(SAMPLE_MAX_BYTES) {
                continue;
            }
            let Ok(sample) = sample::padded_eicar(size) else {
                return Ok(false);
            };
            if finds(&sample)? {
                known.seen_bytes = size;
                return Ok(true);
            }
            known.unseen_bytes = size;
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn each_size_is_tried_once() {
        let (limits, asked) = (Limits::unknown(), Cell::new(0));
        let allow = |bytes| {
            limits.allow::<()>(bytes, |sample| {
                asked.set(asked.get() + 1);
                assert!(sample.len() as u64 >= bytes);
                Ok(sample.len() < 5_000_000)
            })
        };
        assert_eq!((allow(1000), asked.get()), (Ok(true), 1));
        assert_eq!((allow(1024), asked.get()), (Ok(true), 1));
        assert_eq!((allow(4_000_000), asked.get()), (Ok(true), 2));
        assert_eq!((allow(3_000_000), asked.get()), (Ok(true), 2));
        // Neither 8 MiB nor that.
        assert_eq!((allow(6_000_000), asked.get()), (Ok(false), 4));
        assert_eq!((allow(4_900_000), asked.get()), (Ok(true), 5));
        assert_eq!((allow(7_000_000), asked.get()), (Ok(false), 5));
        assert_eq!((allow(10 << 30), asked.get()), (Ok(false), 5));
    }

    #[test]
    fn another_clamd_is_asked_again() {
        let limits = Limits::unknown();
        assert_eq!(limits.allow::<()>(1 << 20, |_| Ok(true)), Ok(true));
        limits.forget();
        assert_eq!(limits.allow::<()>(1 << 20, |_| Ok(false)), Ok(false));
    }

    #[test]
    fn a_failed_question_teaches_nothing() {
        let limits = Limits::unknown();
        assert_eq!(limits.allow(1000, |_| Err("gone")), Err("gone"));
        assert_eq!(limits.allow::<()>(1000, |_| Ok(true)), Ok(true));
    }
}
