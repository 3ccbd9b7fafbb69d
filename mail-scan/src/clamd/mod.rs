//! clamd: where it is, how it is asked, what it says, and how far it can be believed.

mod address; // unix:/path, tcp:host:port
mod connection; // a stream that never waits for ever
mod reply; // what clamd says: only an exact OK is clean
mod session; // files by descriptor, over a unix socket
mod sample; // what is sent to learn what clamd does: EICAR and others
mod limits; // up to which size clamd looks into a file
mod error; // why one is not used, and why a question got no answer
mod server; // one clamd: introduced, asked, tried again
mod pool; // several of them: work is spread, the dead are replaced
mod work_dir; // where a private clamd works
mod spawn; // a private clamd

pub(crate) use address::{Address, UnknownAddress, usual_address};
pub(crate) use connection::Patience;
pub(crate) use error::Error;
pub(crate) use pool::{Answer, Pool, Worker};
pub(crate) use server::{Introduction, Route};
pub(crate) use spawn::Spawned;
