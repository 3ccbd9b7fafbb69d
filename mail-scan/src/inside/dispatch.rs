//! From a content to the module that knows what it is.

use super::kind::Kind;
use super::search::{Hidden, Inside, Role, Search, TooLarge};
use super::{cms, common, dbox, message, office, open, pgp, rar, seven_zip, tnef, zip};

/// Looks into `content`, and unpacks no more than `room_bytes`.
pub(crate) fn look(content: &[u8], role: Role, room_bytes: u64) -> Result<Inside, TooLarge> {
    let mut search = Search::new(room_bytes, look_at);
    search.content(content, role, b"")?;
    Ok(search.finish())
}

/// Whether a content that begins so has to be looked into.
pub(crate) fn is_of_interest(role: Role, head: &[u8]) -> bool {
    role == Role::Message || Kind::of_head(head).is_some() || message::is_alike(head)
}

/// Whether a content that begins so tells clamd nothing until it is unpacked.
pub(crate) fn is_layer(head: &[u8]) -> bool {
    matches!(Kind::of_head(head), Some(Kind::Packed(_)))
}

fn look_at(search: &mut Search, content: &[u8], role: Role, name: &[u8]) -> Result<(), TooLarge> {
    let Some(kind) = Kind::of(content, name) else {
        if role == Role::Message || message::is_alike(content) {
            return message::look(search, content);
        }
        return Ok(());
    };
    match kind {
        // clamd unpacks these by itself, and then may not know that it has a message, or what is in
        // it.
        Kind::Common(packed) if role == Role::File => {
            return common::packed(search, packed, content);
        }
        Kind::Tar => return common::tar(search, content),
        Kind::Common(packed) | Kind::Packed(packed) => {
            return open::packed(search, packed, content, role);
        }
        Kind::MailCrypt => search.hide_encrypted("Dovecot's mail_crypt"),
        Kind::Encrypted(what) => search.hide_encrypted(what),
        Kind::Rar => rar::look(search, content),
        Kind::Ole => office::look(search, content),
        Kind::Zip => {
            zip::look(search, content)?;
            return common::zip(search, content);
        }
        Kind::SevenZip => return seven_zip::look(search, content),
        Kind::Tnef => return tnef::look(search, content),
        Kind::Cms => return cms::look_at_binary(search, content),
        Kind::Pgp if pgp::is_armored(content) => return pgp::look_at_armored(search, content),
        Kind::Pgp => return pgp::look_at_binary(search, content),
        Kind::Dbox => return dbox::look(search, content),
        Kind::Unknown(what) => search.hide(Hidden::NotUnpacked(what.to_owned())),
    }
    Ok(())
}
