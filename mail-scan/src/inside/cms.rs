//! S/MIME (RFC 8551), which is CMS (RFC 5652) in BER (X.690): encrypted, signed around its content,
//! or compressed.

use mail_common::mime::{self, lines};
use memchr::memmem;

use super::open;
use super::search::{Hidden, Role, Search, TooLarge};

const ARMORS: [&[u8]; 2] = [b"-----BEGIN PKCS7-----", b"-----BEGIN CMS-----"];

const SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const COMPRESSED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09";
/// Enveloped, signed and enveloped, encrypted; authenticated and enveloped.
const ENCRYPTED_DATA: [&[u8]; 4] = [
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x04",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17",
];

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const EXPLICIT_0: u8 = 0xa0;
const CONSTRUCTED: u8 = 0x20;

/// Values nest no deeper in what mail programs write.
const NESTING_MAX: usize = 16;

/// What a value in CMS is.
enum Cms {
    Encrypted,
    Signed(Vec<u8>),
    Compressed(Vec<u8>),
    /// Signatures of what stands elsewhere, certificates, and other types.
    Nothing,
}

/// Whether a text begins as CMS in armor (RFC 7468).
pub(super) fn is_armored(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    ARMORS.iter().any(|armor| text.starts_with(armor))
}

/// Looks into a text that begins as CMS in armor.
pub(super) fn look_at_armored(search: &mut Search, text: &[u8]) -> Result<(), TooLarge> {
    let body = lines(text.trim_ascii_start()).skip(1);
    let digits: Vec<&[u8]> = body
        .take_while(|line| !line.starts_with(b"-----"))
        .collect();
    let bytes = mime::base64(&digits.join(&b'\n')).into_bytes();
    look(search, &bytes, "")
}

/// Looks into what a message calls S/MIME, of this `smime-type`; what cannot be read is what it is
/// called.
pub(super) fn look(search: &mut Search, content: &[u8], smime_type: &str) -> Result<(), TooLarge> {
    match read(content) {
        Some(Cms::Encrypted) => search.hide_encrypted("S/MIME"),
        Some(Cms::Signed(inner)) => return search.found(inner, Role::Message, b""),
        Some(Cms::Compressed(packed)) => {
            let reader = flate2::bufread::ZlibDecoder::new(&packed[..]);
            match open::read_within(reader, search.room_bytes()) {
                Ok(inner) => return search.found(inner?, Role::Message, b""),
                Err(error) => open::hide_broken(search, "S/MIME data", &error),
            }
        }
        Some(Cms::Nothing) => {}
        None if is_armored(content) => return look_at_armored(search, content),
        None if matches!(smime_type, "signed-data" | "certs-only" | "compressed-data") => {
            let what = format!("S/MIME that cannot be read ({smime_type})");
            search.hide(Hidden::NotUnpacked(what));
        }
        None => search.hide_encrypted("S/MIME"),
    }
    Ok(())
}

/// `ContentInfo ::= SEQUENCE { contentType, [0] EXPLICIT content }`; `None` where it is not one.
fn read(content: &[u8]) -> Option<Cms> {
    let info = value(content, 0)?.tagged(SEQUENCE)?;
    let kind = value(info.content, 0)?.tagged(OBJECT_IDENTIFIER)?;
    if ENCRYPTED_DATA.contains(&kind.content) {
        return Some(Cms::Encrypted);
    }
    let is_compressed = kind.content == COMPRESSED_DATA;
    if kind.content != SIGNED_DATA && !is_compressed {
        return Some(Cms::Nothing);
    }
    let explicit = value(kind.rest, 0)?.tagged(EXPLICIT_0)?;
    let data = value(explicit.content, 0)?.tagged(SEQUENCE)?;
    // The version, then the algorithms, then what is signed or compressed (RFC 5652, 5.1; RFC
    // 3274).
    let version = value(data.content, 0)?;
    let algorithms = value(version.rest, 0)?;
    let encapsulated = value(algorithms.rest, 0)?.tagged(SEQUENCE)?;
    let inner_kind = value(encapsulated.content, 0)?.tagged(OBJECT_IDENTIFIER)?;
    let Some(inner) = value(inner_kind.rest, 0).and_then(|value| value.tagged(EXPLICIT_0)) else {
        return Some(Cms::Nothing);
    };
    let mut octets = Vec::new();
    value(inner.content, 0)?.octets(&mut octets, 0)?;
    Some(if is_compressed {
        Cms::Compressed(octets)
    } else {
        Cms::Signed(octets)
    })
}

/// A value in BER.
struct Value<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Value<'a> {
    fn tagged(self, tag: u8) -> Option<Self> {
        (self.tag == tag).then_some(self)
    }

    /// Adds the octets of an octet string, which may be made of others.
    fn octets(&self, to: &mut Vec<u8>, depth: usize) -> Option<()> {
        if self.tag & CONSTRUCTED == 0 {
            to.extend_from_slice(self.content);
            return Some(());
        }
        let mut rest = self.content;
        while !rest.is_empty() && depth < NESTING_MAX {
            let part = value(rest, depth + 1)?;
            part.octets(to, depth + 1)?;
            rest = part.rest;
        }
        Some(())
    }
}

/// The value that `bytes` begin with. One that is cut short is as long as what there is of it.
fn value(bytes: &[u8], depth: usize) -> Option<Value<'_>> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    // Tags of several bytes are used by nothing here.
    if tag & 0x1f == 0x1f || depth > NESTING_MAX {
        return None;
    }
    if first == 0x80 {
        let length = length_to_end(rest, depth)?;
        let (content, rest) = rest.split_at(length);
        return Some(Value {
            tag,
            content,
            rest: rest.get(2..).unwrap_or_default(),
        });
    }
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length = digits.iter().try_fold(0_usize, |length, &byte| {
            length.checked_mul(256)?.checked_add(usize::from(byte))
        });
        (length?, rest)
    };
    let (content, rest) = rest.split_at(length.min(rest.len()));
    Some(Value { tag, content, rest })
}

/// How long the values are until two zeros, or the end of what there is.
fn length_to_end(bytes: &[u8], depth: usize) -> Option<usize> {
    let mut rest = bytes;
    while !rest.is_empty() && !rest.starts_with(b"\0\0") {
        rest = value(rest, depth + 1)?.rest;
    }
    Some(bytes.len() - rest.len())
}

/// Whether a content that is not called S/MIME holds something in CMS.
pub(super) fn look_at_binary(search: &mut Search, content: &[u8]) -> Result<(), TooLarge> {
    if memmem::find(&content[..content.len().min(64)], SIGNED_DATA).is_some() {
        return look(search, content, "signed-data");
    }
    look(search, content, "")
}

#[cfg(test)]
mod tests {
    use super::super::dispatch::look as look_into;
    use super::*;
    use proptest::prelude::*;

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &length, content].concat()
    }

    fn open_ended(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, 0x80][..], content, &[0, 0]].concat()
    }

    fn message(cms: &[u8], smime_type: &str) -> Vec<u8> {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(cms);
        format!("From: a\nContent-Type: application/pkcs7-mime; smime-type={smime_type}; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n{text}\n")
            .into_bytes()
    }

    #[test]
    fn enveloped_is_encrypted_and_signed_is_looked_into() {
        let data = tlv(OBJECT_IDENTIFIER, b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01");
        let signed = |wrap: fn(u8, &[u8]) -> Vec<u8>, octets: &[u8]| {
            let inner = wrap(SEQUENCE, &[data.clone(), wrap(EXPLICIT_0, octets)].concat());
            let body = [tlv(2, b"\x01"), tlv(0x31, b""), inner].concat();
            let kind = tlv(OBJECT_IDENTIFIER, SIGNED_DATA);
            wrap(
                SEQUENCE,
                &[kind, wrap(EXPLICIT_0, &wrap(SEQUENCE, &body))].concat(),
            )
        };
        let plain = b"X-A: b\n\nhello";
        let pieces = open_ended(0x24, &[tlv(4, &plain[..4]), tlv(4, &plain[4..])].concat());
        for cms in [signed(tlv, &tlv(4, plain)), signed(open_ended, &pieces)] {
            let inside = look_into(&message(&cms, "signed-data"), Role::Message, 1 << 20).unwrap();
            assert_eq!(inside.hidden, None);
            assert!(
                inside.shown.iter().any(|shown| shown == plain),
                "{:?}",
                inside.shown
            );
        }
        let encrypted = Some(Hidden::Encrypted("S/MIME".into()));
        for kind in ENCRYPTED_DATA {
            let cms = tlv(
                SEQUENCE,
                &[tlv(OBJECT_IDENTIFIER, kind), tlv(EXPLICIT_0, b"x")].concat(),
            );
            let inside = look_into(&message(&cms, "signed-data"), Role::Message, 1 << 20).unwrap();
            assert_eq!(inside.hidden, encrypted);
        }
        let inside =
            look_into(&message(b"noise", "enveloped-data"), Role::Message, 1 << 20).unwrap();
        assert_eq!(inside.hidden, encrypted);
        let inside = look_into(&message(b"noise", "signed-data"), Role::Message, 1 << 20).unwrap();
        assert!(matches!(inside.hidden, Some(Hidden::NotUnpacked(_))));
    }

    proptest! {
        #[test]
        fn random_values_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&tail);
            let _ = read(&[&b"\x30\x80\x06\x09"[..], SIGNED_DATA, b"\xa0\x80\x30\x80", &tail].concat());
        }
    }
}
