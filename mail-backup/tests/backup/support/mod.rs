//! What the tests of `mail-backup` share: a mail server to back up, and the stock programs that
//! open what was saved.
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]

mod kinds; // what kind of failure the records name
mod server; // a mail server in a temporary directory
mod database; // one MariaDB for all tests of a file
mod stock; // tar, zstd, sha256sum, find

pub(crate) use kinds::Kinds;
pub(crate) use server::{Server, SetDir, checked, is_root, names, put, settle};
pub(crate) use stock::{
    assert_sums, capture, forge_lines, forge_manifest, inode, list_files, members, sha256, succeed,
    unpack_archive, unpack_mail, unpack_mail_with,
};
