//! Sample data, private services and whole-pipeline tests of the mail tools.
#![allow(clippy::disallowed_methods, reason = "sample files")]

pub mod maildir; // mail trees: made, aged, changed while a backup runs
pub mod tree; // what a directory tree is, and how two differ
pub mod set; // what a backup set is to tar, zstd and sha256sum
pub mod format_2; // sets of format 2, made by hand
pub mod server; // the files of a mail server, and where its backups go

pub mod mariadb; // a private database server
pub mod facts; // what a database server holds
pub mod dovecot; // a private IMAP server
pub mod certificate; // certificates with chosen names and dates
pub mod mail_server; // a private Postfix with Dovecot behind it
pub mod talker; // a server that does not keep to its protocol
pub mod receiver; // a server that does what a test wants with each connection
pub mod http; // requests that it reads
pub mod user_api; // the REST API of a user management
pub mod s3; // private S3 servers
pub mod proxy; // faults between a program and a server
pub mod clamd; // a private scanner
pub mod docker; // a private Docker daemon

pub mod held; // a lock, a small disk
pub mod planted; // text that acts on a terminal, and whether an output carries it
pub mod swapper; // a directory and a link that change places
pub mod run; // a built tool at work
pub mod host; // a host with everything installed and configured, as cron sees it
pub mod schema; // records against the checked-in schema
