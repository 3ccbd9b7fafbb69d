//! The structure of a message (RFC 2045 to 2049): what its parts are, where they lie, and what they
//! carry.

mod transfer; // base64 and quoted-printable
mod file_name; // of an attachment
mod description; // the fields that say what a part is
mod parts; // a body cut at its boundaries

pub use description::{Description, Encoding, Form};
pub use parts::{Parts, body_after, parts};
pub use transfer::{Base64, LINE_MAX_BYTES, base64, lines, quoted_printable};
