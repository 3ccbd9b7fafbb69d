//! OpenPGP (RFC 9580): what is encrypted, and what is only signed or compressed, and can be looked
//! into.

use std::io::{self, Read};

use mail_common::mime::{self, lines};
use memchr::memmem;

use super::open;
use super::search::{Role, Search, TooLarge};

const ARMOR: &[u8] = b"-----BEGIN PGP MESSAGE";

/// The name of a message that is one armor, or has one in its text.
const INLINE: &str = "PGP";

/// What a message in OpenPGP holds.
enum Message {
    Encrypted,
    /// What is in it, signed or not.
    Plain(Vec<u8>),
    Compressed(u8, Vec<u8>),
    /// A key, a signature, or no OpenPGP.
    Other,
}

/// Whether a text has a message in armor, at the beginning of a line or of an element of HTML.
pub(super) fn is_armored(text: &[u8]) -> bool {
    armors(text).next().is_some()
}

/// Looks into each message in armor in `text`.
pub(super) fn look_at_armored(search: &mut Search, text: &[u8]) -> Result<(), TooLarge> {
    let armors: Vec<&[u8]> = armors(text).collect();
    for armor in armors {
        match message_in(&dearmored(armor)) {
            // What cannot be read may be read by a program that knows more.
            Message::Encrypted | Message::Other => search.hide_encrypted(INLINE),
            message => look_at(search, message)?,
        }
    }
    Ok(())
}

/// Looks into what its type or its name calls OpenPGP.
pub(super) fn look_at_named(
    search: &mut Search,
    content: &[u8],
    content_type: &str,
) -> Result<(), TooLarge> {
    if is_armored(content) {
        return look_at_armored(search, content);
    }
    // The first part of PGP/MIME says which version it is, and nothing more (RFC 3156, 4).
    if content_type == "application/pgp-encrypted" {
        search.hide_encrypted("PGP/MIME");
        return Ok(());
    }
    look_at_binary(search, content)
}

/// Looks into packets that are not in armor.
pub(super) fn look_at_binary(search: &mut Search, content: &[u8]) -> Result<(), TooLarge> {
    look_at(search, message_in(content))
}

fn look_at(search: &mut Search, message: Message) -> Result<(), TooLarge> {
    match message {
        Message::Encrypted => search.hide_encrypted(INLINE),
        Message::Plain(content) => return search.found(content, Role::File, b""),
        Message::Compressed(algorithm, packed) => match unpacked(algorithm, &packed, search) {
            Ok(packets) => return search.deeper(|search| look_at_binary(search, &packets?)),
            Err(error) => open::hide_broken(search, "PGP data", &error),
        },
        Message::Other => {}
    }
    Ok(())
}

fn unpacked(
    algorithm: u8,
    packed: &[u8],
    search: &Search,
) -> io::Result<Result<Vec<u8>, TooLarge>> {
    let reader: Box<dyn Read + '_> = match algorithm {
        0 => Box::new(packed),
        1 => Box::new(flate2::bufread::DeflateDecoder::new(packed)),
        2 => Box::new(flate2::bufread::ZlibDecoder::new(packed)),
        3 => Box::new(bzip2::bufread::BzDecoder::new(packed)),
        _ => return Err(io::Error::other("compressed in an unknown way")),
    };
    open::read_within(reader, search.room_bytes())
}

fn armors(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    memmem::find_iter(text, ARMOR).filter_map(move |at| {
        let before = text[..at]
            .iter()
            .rev()
            .find(|byte| !matches!(byte, b' ' | b'\t'));
        let begins = matches!(before, None | Some(b'\n' | b'\r' | b'>'));
        let after = text.get(at + ARMOR.len());
        (begins && matches!(after, Some(b'-' | b','))).then(|| &text[at..])
    })
}

/// The packets in an armor, as far as they can be read.
fn dearmored(armor: &[u8]) -> Vec<u8> {
    let mut digits = Vec::new();
    let headers = lines(armor).skip(1).map(<[u8]>::trim_ascii);
    let body = headers.skip_while(|line| !line.is_empty()).skip(1);
    for line in body.take_while(|line| !line.starts_with(b"-----") && !line.starts_with(b"=")) {
        digits.extend_from_slice(line);
        digits.push(b'\n');
    }
    mime::base64(&digits).into_bytes()
}

/// Follows the packets to the first that tells what the message is.
fn message_in(packets: &[u8]) -> Message {
    let mut rest = packets;
    while let Some(packet) = packet(rest) {
        match packet.tag {
            1 | 3 | 9 | 18 | 20 => return Message::Encrypted,
            8 => {
                let Some((algorithm, packed)) = packet.body.split_first() else {
                    return Message::Other;
                };
                return Message::Compressed(*algorithm, packed.to_vec());
            }
            11 => return literal(&packet.body).map_or(Message::Other, Message::Plain),
            // Signatures before what they sign, markers, padding.
            2 | 4 | 10 | 21 => rest = packet.after,
            _ => return Message::Other,
        }
    }
    Message::Other
}

/// What follows the format, the name and the date (RFC 9580, 5.9).
fn literal(body: &[u8]) -> Option<Vec<u8>> {
    let name_bytes = usize::from(*body.get(1)?);
    body.get(2 + name_bytes + 4..).map(<[u8]>::to_vec)
}

struct Packet<'a> {
    tag: u8,
    body: Vec<u8>,
    after: &'a [u8],
}

/// The first packet, whose length may be given in five ways (RFC 9580, 4.2). One that is cut short
/// is as long as what there is of it.
fn packet(packets: &[u8]) -> Option<Packet<'_>> {
    let (&first, mut rest) = packets.split_first()?;
    if first & 0x80 == 0 {
        return None;
    }
    if first & 0x40 == 0 {
        let tag = first >> 2 & 0xf;
        let (length, rest) = match first & 3 {
            0 => number(rest, 1)?,
            1 => number(rest, 2)?,
            2 => number(rest, 4)?,
            _ => (rest.len(), rest),
        };
        let (body, after) = rest.split_at(length.min(rest.len()));
        return Some(Packet {
            tag,
            body: body.to_vec(),
            after,
        });
    }
    let (tag, mut body) = (first & 0x3f, Vec::new());
    loop {
        let (length, is_partial, after_length) = new_length(rest)?;
        let (part, after) = after_length.split_at(length.min(after_length.len()));
        body.extend_from_slice(part);
        rest = after;
        if !is_partial {
            return Some(Packet { tag, body, after });
        }
    }
}

fn new_length(rest: &[u8]) -> Option<(usize, bool, &[u8])> {
    let (&first, after) = rest.split_first()?;
    Some(match first {
        0..=191 => (usize::from(first), false, after),
        192..=223 => {
            let (&second, after) = after.split_first()?;
            (
                ((usize::from(first) - 192) << 8) + usize::from(second) + 192,
                false,
                after,
            )
        }
        224..=254 => (1 << (first & 0x1f), true, after),
        255 => {
            let (length, after) = number(after, 4)?;
            (length, false, after)
        }
    })
}

fn number(bytes: &[u8], count: usize) -> Option<(usize, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(count)?;
    let value = digits
        .iter()
        .fold(0_usize, |value, &byte| value << 8 | usize::from(byte));
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::super::dispatch::look;
    use super::super::search::Hidden;
    use super::*;
    use proptest::prelude::*;

    fn hidden(message: &[u8]) -> Option<Hidden> {
        look(message, Role::Message, 1 << 20).unwrap().hidden
    }

    /// Literal data, compressed by nothing, as gpg writes it.
    const LITERAL: &[u8] = b"\xcb\x0fb\x01x\0\0\0\0payload!";

    #[test]
    fn what_is_encrypted_is_told_from_what_is_signed() {
        let armor = |packets: &[u8]| {
            use base64::Engine;
            let text = base64::engine::general_purpose::STANDARD.encode(packets);
            format!(
                "From: a\n\nhello\n\n-----BEGIN PGP MESSAGE-----\nVersion: 1\n\n{text}\n=abcd\n-----END PGP MESSAGE-----\n"
            )
        };
        let encrypted = Some(Hidden::Encrypted("PGP".into()));
        assert_eq!(hidden(armor(b"\x85\x01\x0c\x03rest").as_bytes()), encrypted);
        assert_eq!(hidden(armor(b"\xd2\x05abcde").as_bytes()), encrypted);
        assert_eq!(hidden(armor(b"nonsense").as_bytes()), encrypted);
        let signed = [&b"\x90\x0d\x03\0\x08\x01rest8byt\x01"[..], LITERAL].concat();
        for plain in [LITERAL, &signed, &[&b"\xa3\0"[..], LITERAL].concat()] {
            let message = armor(plain);
            let inside = look(message.as_bytes(), Role::Message, 1 << 20).unwrap();
            assert_eq!(inside.hidden, None, "{plain:?}");
            assert_eq!(inside.shown, [b"payload!"], "{plain:?}");
        }
        assert_eq!(
            hidden(b"From: a\n\n> -----BEGIN PGP MESSAGE-----\n"),
            encrypted
        );
        assert_eq!(
            hidden(b"From: a\n\nit begins with -----BEGIN PGP MESSAGE-----\n"),
            None
        );
        assert_eq!(
            hidden(b"From: a\n\n-----BEGIN PGP SIGNED MESSAGE-----\n"),
            None
        );
    }

    proptest! {
        #[test]
        fn random_packets_never_panic(packets in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = message_in(&packets);
        }
    }
}
