//! Requests as AWS wants them, over HTTP: signed, sent, watched, and their answers checked.
//!
//! rusoto writes and reads the documents; what goes over the wire is ours. S3 and STS use it.

mod keys; // what requests are signed with
mod uri; // names and values in a query
mod tls; // whose certificates are trusted
mod proxy; // through which proxy a host is reached
mod host; // the bucket in the path or in the host
mod answer; // what came back, checked before rusoto reads it
mod dispatch; // over the wire, with time-outs
mod failure; // what a failed request means
mod retry; // again, later, a little later

pub(crate) use dispatch::{Dispatcher, Signer};
pub(crate) use failure::{Failure, Remedy, is_not_implemented};
pub(crate) use host::{Addressing, AddressingStyle};
pub(crate) use keys::Credentials;
pub(crate) use proxy::Proxies;
pub(crate) use retry::{persist, wait};
pub(crate) use tls::Trust;
pub(crate) use uri::encode_uri_strict;
