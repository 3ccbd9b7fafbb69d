//! Credentials, from where AWS users expect them to come, and renewed before they expire.
//!
//! The order is that of the AWS command line: environment, web identity, profile (role, keys,
//! process), container, instance. Secrets are in no `Debug` and in no error.

mod source; // where keys come from
mod error; // why there are none
mod words; // a line as a shell splits it
mod ini; // the files in ~/.aws
mod chain; // which source it is: reads variables and files, asks nobody
mod fetch; // keys from a source: processes, STS, metadata services
mod keys; // the keys of a run

pub(crate) use chain::choose;
pub(crate) use error::Error;
pub(crate) use keys::Keys;
pub(crate) use source::{Source, StsEndpoint};
