//! Shows the sets in a store.

use std::num::NonZeroUsize;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use mail_common::exit::Exit;
use mail_common::record::{Record, StoredSet, timestamp};
use mail_common::tool::{Session, Totals};

use crate::remote::{Error, Survey, Surveyed, survey};
use crate::store::ObjectStore;

/// Writes a record of each set, and counts what all of them use, each object once. A set whose
/// checksums are damaged is an error, and `Bad`.
pub(crate) fn list(
    store: &dyn ObjectStore,
    jobs: NonZeroUsize,
    now: Timestamp,
    session: &Session,
    totals: &mut Totals,
) -> Result<Exit, Error> {
    let Survey { sets, bytes } = survey(store, jobs)?;
    for set in &sets {
        if let Some(damage) = &set.damage {
            session.fail(None, None, damage);
        }
        let mut record = stored_set(set, store.url(&set.name.to_string()), now);
        if store.copies_share_storage() {
            // Whether others are names of the same files is not known.
            record.own_bytes = None;
        }
        session.emit(&Record::Set(record));
        totals.add("sets", 1);
        totals.add("complete", u64::from(set.is_complete));
    }
    totals.add("bytes", bytes);
    Ok(if sets.iter().any(|set| set.damage.is_some()) {
        Exit::Bad
    } else {
        Exit::Done
    })
}

fn stored_set(set: &Surveyed, url: String, now: Timestamp) -> StoredSet {
    let age = now.as_second().saturating_sub(set.modified.as_second());
    StoredSet {
        set: set.name.to_string(),
        url,
        objects: set.objects,
        bytes: set.bytes,
        own_bytes: Some(set.own_bytes),
        complete: set.is_complete,
        missing: set.missing,
        encrypted: set.is_encrypted,
        stored: timestamp(&ZonedDateTime::new(set.modified, TimeZone::system())),
        age_seconds: u64::try_from(age).unwrap_or_default(),
        locked_until: set.locked_until.map(|until| until.to_string()),
    }
}
