//! What a content holds that clamd does not find by itself: messages that it would take for plain
//! text, parts that it would decode in another way than a mail program, formats that it does not
//! unpack. What can be opened is opened, to be shown to clamd beside the content; what cannot is
//! named.
//!
//! Ordinary mail costs one look: it is parsed, and nothing is shown twice. A message that departs
//! from the form in which mail programs write it is where scanners and mail programs differ, so its
//! parts are decoded here in each way that a mail program might, and shown one by one.

mod inline; // files in a text: uuencode, yEnc
mod loose; // parts of a message whose structure cannot be relied on
mod pgp; // OpenPGP: encrypted, or only signed
mod cms; // S/MIME: encrypted, signed or compressed
mod tnef; // the attachments of a winmail.dat
mod zip; // members of a zip by methods that clamd does not know
mod seven_zip; // the methods of a 7z archive
mod rar; // whether a RAR archive is encrypted
mod office; // whether a document of Office is encrypted
mod dbox; // Dovecot's files of several messages
mod kind; // what a content is, by its first bytes and its name
mod open; // formats that are unpacked here
mod search; // what was found so far, within limits
mod common; // what clamd unpacks by itself, for what it does not in it
mod message; // a message and its parts
mod dispatch; // from a content to the module that knows what it is

pub(crate) use dispatch::{is_layer, is_of_interest, look};
pub(crate) use search::{Hidden, Inside, Role, TooLarge};
