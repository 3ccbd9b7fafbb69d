//! Opens the store that a plan names. Nothing is asked of it yet.

use std::sync::Arc;

use mail_common::interrupt::Interrupt;

use crate::credentials::Keys;
use crate::error::Error;
use crate::limit::Limit;
use crate::plan::{Place, StorePlan};
use crate::store::{FileStore, ObjectStore, S3Store};

/// Opens the store; its waits end when `interrupt` says so.
pub(crate) fn open(plan: &StorePlan, interrupt: &Interrupt) -> Result<Box<dyn ObjectStore>, Error> {
    let interrupt = interrupt.clone();
    let limit = plan.bytes_per_second.map(Limit::new).map(Arc::new);
    match &plan.place {
        Place::Directory(directory) => {
            let store = FileStore::open(directory, limit, interrupt).map_err(Error::Open)?;
            Ok(Box::new(store))
        }
        Place::Bucket(bucket) => {
            let keys = Keys::new(bucket.source.clone(), bucket.sts.clone());
            let store = S3Store::open(bucket.s3.clone(), keys, limit, interrupt);
            Ok(Box::new(store.map_err(Error::Runtime)?))
        }
    }
}
