//! Which databases dumps concern.

use std::collections::BTreeSet;

use super::dump::Dump;
use super::error::Error;
use super::survey::Survey;

/// Two dumps of one database cannot both be what it shall hold.
pub(super) fn check_apart(dumps: &[(Dump, Survey)]) -> Result<(), Error> {
    for (at, (first, survey)) in dumps.iter().enumerate() {
        for (second, other) in &dumps[at + 1..] {
            let (left, right) = (&survey.found.databases, &other.found.databases);
            if let Some(database) = left.intersection(right).next() {
                return Err(Error::Twice {
                    database: database.clone(),
                    first: first.path.clone(),
                    second: second.path.clone(),
                });
            }
        }
    }
    Ok(())
}

/// All databases that the dumps concern.
pub(super) fn databases(dumps: &[(Dump, Survey)]) -> BTreeSet<String> {
    dumps
        .iter()
        .flat_map(|(_, survey)| survey.found.databases.iter().cloned())
        .collect()
}
