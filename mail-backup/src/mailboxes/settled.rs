//! Control files that stay as they are: they are stored in a segment, once, and not again in each
//! `0000`.
//!
//! Dovecot keeps a list of the messages and an index in each folder. Those of the inbox change with
//! every message and are in the `0000` of each day. Those of an archive may stay as they are for
//! months, and so does most mail that is stored as mdbox. What has not been written to for a week
//! will hardly be written to tomorrow. If it is, what was stored is dead, like a deleted message,
//! and the file is in `0000` again until it has settled.

use mail_common::archive::index::{Kind, LiveEntry};

/// What has not been written to for so long has settled. A copy that is dead in a segment may stay
/// there for months, while those in `0000` go with their sets: so a file that changes once in a
/// while must not be stored in a segment each time.
const SETTLED_NS: i64 = 7 * 86_400 * 1_000_000_000;

/// So much is worth a segment of its own; less waits for one of messages.
const SEGMENT_BYTES: u64 = 64 * 1024;

/// Where settled files would be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewSegment {
    /// Beside messages, which are stored anyway.
    OfMessages,
    /// With nothing else.
    OfItsOwn,
}

/// Takes out of `control` what is to be stored in a segment.
pub(crate) fn take_settled(
    control: &mut Vec<LiveEntry>,
    now_seconds: i64,
    segment: NewSegment,
) -> Vec<LiveEntry> {
    let now_ns = now_seconds.saturating_mul(1_000_000_000);
    let is_settled = |entry: &LiveEntry| {
        let age_ns = now_ns.saturating_sub(entry.stat.mtime_ns);
        entry.kind == Kind::File && age_ns >= SETTLED_NS
    };
    let (settled, left): (Vec<_>, Vec<_>) =
        std::mem::take(control).into_iter().partition(is_settled);
    let bytes: u64 = settled.iter().map(|entry| entry.stat.size).sum();
    if segment == NewSegment::OfItsOwn && bytes < SEGMENT_BYTES {
        control.extend(left);
        control.extend(settled);
        return Vec::new();
    }
    *control = left;
    settled
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_common::archive::index::Stat;

    const DAY_NS: i64 = 86_400 * 1_000_000_000;

    fn entry(name: &str, kind: Kind, age_ns: i64, size: u64) -> LiveEntry {
        let stat = Stat {
            size,
            mode: 0o600,
            uid: 1,
            gid: 1,
            mtime_ns: 100 * DAY_NS - age_ns,
            inode: 1,
            ctime_ns: 1,
        };
        let path = format!("example.com/alice/{name}").parse().unwrap();
        LiveEntry { path, kind, stat }
    }

    #[track_caller]
    fn check(segment: NewSegment, old_bytes: u64, expected: &[&str]) {
        let mut control = vec![
            entry("cur", Kind::Directory, 90 * DAY_NS, 0),
            entry("link", Kind::Symlink, 90 * DAY_NS, 9),
            entry("old", Kind::File, 7 * DAY_NS, old_bytes),
            entry("young", Kind::File, 7 * DAY_NS - 1, 1 << 20),
            entry("of tomorrow", Kind::File, -DAY_NS, 1 << 20),
        ];
        let settled = take_settled(&mut control, 100 * 86_400, segment);
        let names: Vec<_> = settled.iter().map(|entry| entry.path.name()).collect();
        let expected: Vec<_> = expected.iter().map(|name| name.as_bytes()).collect();
        assert_eq!(names, expected);
        assert_eq!(control.len(), 5 - expected.len());
        assert_eq!(
            control[0].kind,
            Kind::Directory,
            "the mailbox stays the first"
        );
    }

    #[test]
    fn what_has_not_been_written_to_for_a_week_is_stored_in_a_segment() {
        check(NewSegment::OfMessages, 1, &["old"]);
        check(NewSegment::OfItsOwn, SEGMENT_BYTES, &["old"]);
        check(NewSegment::OfItsOwn, SEGMENT_BYTES - 1, &[]);
    }
}
