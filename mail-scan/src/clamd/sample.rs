//! What is sent to clamd to learn what it does: harmless files that every scanner is meant to find,
//! or to stumble over.

use std::io::{self, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// The EICAR test file, <https://www.eicar.org/download-anti-malware-testfile/>, in pieces: neither
/// this source nor the program is a hit.
const EICAR: [&str; 3] = [
    r"X5O!P%@AP[4\PZX54(P^)7CC)7}",
    r"$EICAR-STANDARD-ANTIVIRUS",
    r"-TEST-FILE!$H+H*",
];

/// A zip whose one member is encrypted with the classic cipher, in hexadecimal.
const ENCRYPTED_ZIP: &str = "\
    504b03040a0009000000911a795d8cb2ebe213000000070000000100000068684f865b4abb41e36ec245562eca44af2e2f70504b07088c\
    b2ebe21300000007000000504b01021e030a0009000000911a795d8cb2ebe21300000007000000010000000000000001000000a4810000\
    000068504b050600000000010001002f000000420000000000";

/// A RAR archive whose one member is EICAR, compressed so that it stands nowhere in it as it is.
const RAR_WITH_EICAR: &str = "\
    526172211a0700cf907300000d00000000000000845174008021009e00000044000000033ccf51680030795a1d330100a481000065080000\
    0008800000000095555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555\
    555555555aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaef2c1aa790a812a020a82d9a2e282d2c1a9a14282f149ba1a1949bbe9222\
    a4a1a0a916a9aa20a72220a92216a0a72a24ab24a92aa996aa22a9aa16a324a62290922415a41575400000c43d7b00400700";

/// Deeper than clamd goes: MaxRecursion is 17 by default, and 100 at most.
const NESTED_TARS: usize = 110;

/// What a scanner must find.
pub(crate) fn eicar() -> Vec<u8> {
    EICAR.concat().into_bytes()
}

/// About `bytes` of an archive, with EICAR as its last member: found only where clamd looks into
/// the whole of a file of that size.
///
/// clamd counts what it unpacks too, so that a file that passes has room for one unpacking, as an
/// attachment needs.
pub(crate) fn padded_eicar(bytes: u64) -> io::Result<Vec<u8>> {
    let capacity = usize::try_from(bytes).map_err(io::Error::other)? + 4096;
    let mut archive = tar::Builder::new(Vec::with_capacity(capacity));
    append(&mut archive, "padding", bytes, io::repeat(0).take(bytes))?;
    append(&mut archive, "eicar.com", 68, &eicar()[..])?;
    archive.into_inner()
}

/// An encrypted archive.
pub(crate) fn encrypted() -> Vec<u8> {
    of_digits(ENCRYPTED_ZIP)
}

/// Found only by a clamd that has a library for RAR.
pub(crate) fn rar_with_eicar() -> Vec<u8> {
    of_digits(RAR_WITH_EICAR)
}

fn of_digits(digits: &str) -> Vec<u8> {
    let digits = digits.as_bytes();
    let byte = |pair: &[u8]| {
        std::str::from_utf8(pair)
            .ok()
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    digits.chunks(2).filter_map(byte).collect()
}

/// An archive in an archive in an archive, deeper than clamd follows.
pub(crate) fn too_deep() -> io::Result<Vec<u8>> {
    let mut content = b"deep".to_vec();
    for _ in 0..NESTED_TARS {
        let mut archive = tar::Builder::new(Vec::new());
        append(&mut archive, "inner", content.len() as u64, &content[..])?;
        content = archive.into_inner()?;
    }
    Ok(content)
}

/// A message with EICAR as an attachment, as mail carries it.
pub(crate) fn mail_with_eicar() -> Vec<u8> {
    let attachment = BASE64.encode(eicar());
    format!(
        "From: a@example.com\r\nTo: b@example.com\r\nSubject: sample\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n--=_b\r\n\
         Content-Type: text/plain\r\n\r\nsample\r\n--=_b\r\n\
         Content-Type: application/octet-stream; name=\"eicar.com\"\r\n\
         Content-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"eicar.com\"\r\n\r\n{attachment}\r\n--=_b--\r\n"
    )
    .into_bytes()
}

fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    name: &str,
    bytes: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes);
    header.set_mode(0o600);
    archive.append_data(&mut header, name, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_what_they_should_be() {
        assert_eq!(eicar().len(), 68);
        let padded = padded_eicar(1 << 20).unwrap();
        assert!(
            (1 << 20..(1 << 20) + 4096).contains(&padded.len()),
            "{}",
            padded.len()
        );
        assert!(padded.windows(68).any(|window| window == eicar()));
        assert_eq!(&encrypted()[..4], b"PK\x03\x04");
        assert_eq!(encrypted()[6] & 1, 1, "the flag of encryption");
        let rar = rar_with_eicar();
        assert_eq!((&rar[..4], rar.len()), (&b"Rar!"[..], 218));
        assert!(!rar.windows(5).any(|window| window == b"EICAR"));
    }
}
