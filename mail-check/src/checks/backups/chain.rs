//! Whether a set is gone from between two others, or is not the one that was there: each names the
//! set of its kind before it, with the digest of that one's checksums.

use std::io::BufReader;

use mail_common::beneath;
use mail_common::checksum::Sha256;
use mail_common::config::Settings as ServerSettings;
use mail_common::jsonl::RecordReader;
use mail_common::record::{PreviousSet, Record};
use mail_common::set::{self, BackupRoot, CHECKSUMS, FoundSet, MANIFEST, SetId, SetKind, SetState};

/// The chains of a root, and how long retention keeps their links: what is older is missed by
/// nobody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chains {
    daily_days: u32,
    weekly_weeks: u32,
    hourly_hours: u32,
}

/// A set as a link of its chain.
#[derive(Clone, Debug)]
struct Link {
    id: SetId,
    /// The digest of its checksums; `None` when they cannot be read.
    sha256: Option<Sha256>,
    previous: Option<PreviousSet>,
}

impl Chains {
    /// Those of a server that signs sets. Where none are signed, an administrator may remove a set
    /// by hand without a word.
    pub(super) fn of(server: &ServerSettings) -> Option<Self> {
        let is_signing = server.signing_key.is_some() || server.allowed_signers.is_some();
        is_signing.then_some(Self {
            daily_days: server.daily_retention_days,
            weekly_weeks: server.weekly_retention_weeks,
            hourly_hours: server.hourly_retention_hours,
        })
    }

    /// What is wrong with them, in sentences.
    pub(super) fn breaks(self, backups: &BackupRoot) -> Result<Vec<String>, set::Error> {
        let mut found = Vec::new();
        for kind in SetKind::ALL {
            let sets = backups.sets(kind)?;
            let named = sets.iter().filter(|set| set.state != SetState::Incomplete);
            let links: Vec<Link> = named.map(link).collect();
            found.extend(judge(&links, self.keep_periods(kind)));
        }
        Ok(found)
    }

    fn keep_periods(self, kind: SetKind) -> u32 {
        match kind {
            SetKind::Daily => self.daily_days,
            SetKind::Weekly => self.weekly_weeks,
            SetKind::Hourly => self.hourly_hours,
        }
    }
}

fn link(found: &FoundSet) -> Link {
    let digest = beneath::regular_file(&found.path.join(CHECKSUMS)).and_then(Sha256::of_reader);
    Link {
        id: found.id,
        sha256: digest.ok().map(|(sha256, _)| sha256),
        previous: previous(found),
    }
}

/// By the first record of its manifest.
fn previous(found: &FoundSet) -> Option<PreviousSet> {
    let manifest = beneath::regular_file(&found.path.join(MANIFEST)).ok()?;
    let first = RecordReader::new(BufReader::new(manifest)).next()?;
    match first.ok()?.record {
        Some(Record::Begin(begin)) => begin.previous,
        _ => None,
    }
}

/// The links in the order of their dates. Before the oldest there was more, which retention has
/// removed; it also removes what is too old from between sets that stay longer for another reason.
fn judge(links: &[Link], keep_periods: u32) -> Vec<String> {
    let mut found = Vec::new();
    let Some(newest) = links.last() else {
        return found;
    };
    let is_expired = |set: &str| {
        let id = set.parse::<SetId>();
        id.is_ok_and(|id| id.is_expired(newest.id, keep_periods))
    };
    for (older, link) in links.iter().zip(links.iter().skip(1)) {
        let Some(previous) = &link.previous else {
            continue;
        };
        let named = links
            .iter()
            .find(|link| link.id.to_string() == previous.set);
        match named {
            None if is_expired(&previous.set) => {}
            None => found.push(format!(
                "{} is gone: {} was made after it, and {} from before it is there",
                previous.set, link.id, older.id
            )),
            Some(named) if named.sha256 != Some(previous.sha256) => found.push(format!(
                "{} is not the set that was there when {} was made",
                previous.set, link.id
            )),
            Some(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set, what its checksums hold, and the set that it names before it.
    type Written = (
        &'static str,
        &'static str,
        Option<(&'static str, &'static str)>,
    );

    const FIRST: Written = ("daily/2026-11-21", "a", Some(("daily/2026-11-20", "z")));
    const SECOND: Written = ("daily/2026-11-22", "b", Some(("daily/2026-11-21", "a")));
    const THIRD: Written = ("daily/2026-11-23", "c", Some(("daily/2026-11-22", "b")));
    const SECOND_IS_GONE: &str = "daily/2026-11-22 is gone: daily/2026-11-23 was made after it, \
         and daily/2026-11-21 from before it is there";

    #[track_caller]
    fn check(links: &[Written], keep_periods: u32, expected: &[&str]) {
        let links: Vec<Link> = links
            .iter()
            .map(|(set, content, previous)| Link {
                id: set.parse().unwrap(),
                sha256: Some(Sha256::of(content.as_bytes())),
                previous: previous.map(|(set, content)| PreviousSet {
                    set: set.to_owned(),
                    sha256: Sha256::of(content.as_bytes()),
                }),
            })
            .collect();
        assert_eq!(judge(&links, keep_periods), expected);
    }

    #[test]
    fn a_day_that_is_gone_from_between_or_was_replaced_is_named() {
        check(&[FIRST, SECOND, THIRD], 30, &[]);
        check(&[SECOND, THIRD], 30, &[]);
        check(&[THIRD], 30, &[]);
        check(&[], 30, &[]);
        check(&[FIRST, THIRD], 30, &[SECOND_IS_GONE]);
        check(
            &[FIRST, ("daily/2026-11-22", "other", SECOND.2), THIRD],
            30,
            &["daily/2026-11-22 is not the set that was there when daily/2026-11-23 was made"],
        );
    }

    #[test]
    fn sets_that_name_none_are_no_chain() {
        check(
            &[
                ("daily/2026-11-21", "a", None),
                ("daily/2026-11-23", "b", None),
            ],
            30,
            &[],
        );
    }

    /// It keeps the last full set however old, and lets younger ones of some components go.
    #[test]
    fn what_retention_removes_from_between_is_not_missed() {
        let fourth = ("daily/2026-11-24", "d", Some(("daily/2026-11-23", "c")));
        check(&[FIRST, THIRD, fourth], 1, &[]);
        check(&[FIRST, THIRD, fourth], 2, &[SECOND_IS_GONE]);
    }
}
