//! Shows the sets in a store.

use mail_common::exit::Exit;
use mail_common::record::{Record, StoredSet, timestamp};
use mail_common::tool::Session;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use crate::location::Location;
use crate::push::Totals;
use crate::remote::{Error, Surveyed, survey};
use crate::store::ObjectStore;

/// Writes a record of each set. A set whose checksums are damaged is an error, and `Bad`.
pub(crate) fn list(
    store: &dyn ObjectStore,
    location: &Location,
    session: &Session,
    jobs: usize,
    now: Timestamp,
    totals: &mut Totals,
) -> Result<Exit, Error> {
    let sets = survey(store, jobs)?;
    for set in &sets {
        if let Some(damage) = &set.damage {
            session.fail(None, None, damage);
        }
        session.emit(&Record::Set(stored_set(set, location, now)));
        *totals.entry("sets".to_owned()).or_default() += 1;
        *totals.entry("complete".to_owned()).or_default() += u64::from(set.is_complete());
        *totals.entry("bytes".to_owned()).or_default() += set.bytes;
    }
    Ok(if sets.iter().any(|set| set.damage.is_some()) { Exit::Bad } else { Exit::Done })
}

fn stored_set(set: &Surveyed, location: &Location, now: Timestamp) -> StoredSet {
    let contents = set.contents.as_ref();
    let locked_until = contents.and_then(|contents| contents.checksums_locked_until);
    let age = now.as_second().saturating_sub(set.modified.as_second());
    StoredSet {
        set: set.name.to_string(),
        url: location.url_of(&set.name.to_string()),
        objects: set.objects,
        bytes: set.bytes,
        complete: set.is_complete(),
        missing: set.missing,
        encrypted: contents.is_some_and(|contents| contents.encrypted.is_some()),
        stored: timestamp(&ZonedDateTime::new(set.modified, TimeZone::system())),
        age_seconds: u64::try_from(age).unwrap_or_default(),
        locked_until: locked_until.map(|until| until.to_string()),
    }
}
