//! The structure of a message (RFC 2045 to 2049): what its parts are, where they lie, and what they
//! carry.

mod transfer; // base64 and quoted-printable
mod file_name; // of an attachment
mod description; // the fields that say what a part is
mod parts; // a body cut at its boundaries
mod entities; // a message and all parts in it
mod attachments; // the names of the files in it

pub use attachments::attachment_names;
pub use description::{Description, Encoding, Form};
pub use entities::{Content, Depth, Entity, visit_entities};
pub use parts::{Parts, body_after, parts};
pub use transfer::{Base64, LINE_MAX_BYTES, base64, lines, quoted_printable};
