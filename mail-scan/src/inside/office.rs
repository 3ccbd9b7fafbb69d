//! Documents of Office that need a password: [MS-OFFCRYPTO] puts the encrypted package into a
//! stream of this name, in a file of the old format.

use memchr::memmem;

use super::search::Search;

/// Names of streams are in UTF-16.
const ENCRYPTED_PACKAGE: &[u8] = b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0";

pub(super) fn look(search: &mut Search, content: &[u8]) {
    if memmem::find(content, ENCRYPTED_PACKAGE).is_some() {
        search.hide_encrypted("an Office document with a password");
    }
}
