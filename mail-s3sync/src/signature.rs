//! The signature of a set, which lies beside its checksums in a store as it does on the disk. Of an
//! encrypted set it is that of the set itself, so it can be verified once that is decrypted.

use mail_common::set::SIGNATURE;

use crate::remote::{Error, SetName, read_small};
use crate::store::ObjectStore;

/// That of the set `name` in the store.
pub(crate) fn of_stored(store: &dyn ObjectStore, name: SetName) -> Result<Option<Vec<u8>>, Error> {
    let found = read_small(store, &format!("{name}/{SIGNATURE}"), None)?;
    Ok(found.map(|small| small.content))
}
