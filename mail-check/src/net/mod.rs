//! Servers asked over TCP or a unix socket: bounded in time and in what they may say.

mod place; // where a server listens
mod error; // what can go wrong, in whole sentences
mod timed; // a socket with a deadline
mod line; // a conversation in lines
mod tls; // protection, whose certificate is read also where it does not verify
mod certificate; // what a certificate says
pub(crate) mod certificate_file; // the certificates of a file
mod verifier; // whether a server is who it should be
mod protocol; // the mail protocols, as far as a client without a password gets

pub(crate) mod http; // one request
pub(crate) mod imap; // a mailbox, as a mail program reads it
pub(crate) mod smtp; // mail, handed in

pub(crate) use certificate::{Certificate, Chain};
pub(crate) use error::NetError;
pub(crate) use line::Line;
pub(crate) use place::Place;
pub(crate) use protocol::{Protocol, converse};
pub(crate) use tls::{Peer, Trust};
pub(crate) use verifier::{CertificateJudge, Verifier};
