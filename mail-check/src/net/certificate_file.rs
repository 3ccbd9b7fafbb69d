//! The certificates of a file: PEM as mail servers want it, DER as authorities also hand it out.

use std::path::Path;

use mail_common::trusted;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Labels of a certificate beside the usual one, which OpenSSL reads and writes, too. What stands
/// behind a trusted one (whom it is trusted for) is not needed.
const OTHER_LABELS: [&str; 2] = ["X509 CERTIFICATE", "TRUSTED CERTIFICATE"];

const BEGIN: &str = "-----BEGIN ";

/// The object identifiers of PKCS#7 data that is signed, and of other kinds (RFC 2315).
const SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const ANY_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07";

/// The certificates of the file at `path`, at least one, or why there is none to look at.
pub(crate) fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    parse(&trusted::read(path).map_err(|error| error.to_string())?)
}

fn parse(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // A sequence whose length takes more than a byte: no text begins like that.
    if matches!(bytes, [0x30, 0x80..=0xff, ..]) {
        return parse_der(bytes);
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&usual_labels(bytes)).collect();
    let found = found.map_err(|error| in_words(&error))?;
    if found.is_empty() {
        return Err(what_else(bytes));
    }
    Ok(found)
}

/// One behind the other. What follows the first and is none is left, as other programs do.
fn parse_der(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let (mut found, mut rest) = (Vec::new(), bytes);
    while let Ok((behind, _)) = X509Certificate::from_der(rest) {
        let der = &rest[..rest.len() - behind.len()];
        found.push(CertificateDer::from(der.to_vec()));
        rest = behind;
    }
    if found.is_empty() {
        return Err(what_der(bytes));
    }
    Ok(found)
}

fn usual_labels(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for label in OTHER_LABELS {
        for word in ["BEGIN", "END"] {
            let (other, usual) = (
                format!("-----{word} {label}-----"),
                format!("-----{word} CERTIFICATE-----"),
            );
            bytes = replaced(&bytes, other.as_bytes(), usual.as_bytes());
        }
    }
    bytes
}

fn replaced(bytes: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let (mut text, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
    while let Some(at) = position(rest, what) {
        text.extend_from_slice(&rest[..at]);
        text.extend_from_slice(by);
        rest = &rest[at + what.len()..];
    }
    text.extend_from_slice(rest);
    text
}

fn position(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn in_words(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "a certificate or key in it does not end".to_owned()
        }
        pem::Error::Base64Decode(_) => {
            "the text of a certificate or key in it is damaged".to_owned()
        }
        other => format!("it is not understood: {other}"),
    }
}

/// What a file without a certificate is.
fn what_else(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut labels: Vec<&str> = text
        .split(BEGIN)
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("-----")?.0))
        .filter(|label| {
            label.len() <= 40 && label.chars().all(|c| c.is_ascii_graphic() || c == ' ')
        })
        .collect();
    labels.sort_unstable();
    labels.dedup();
    if text.trim().is_empty() {
        "it is empty".to_owned()
    } else if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        "it is in UTF-16; store it as plain ASCII".to_owned()
    } else if labels.iter().any(|label| ["PKCS7", "CMS"].contains(label)) {
        of_pkcs7("")
    } else if labels.iter().any(|label| label.ends_with("CERTIFICATE")) {
        "its certificate is not understood: each BEGIN and END line must begin its line".to_owned()
    } else if labels.is_empty() {
        "nothing in it is understood as a certificate".to_owned()
    } else {
        format!("it holds no certificate, but {}", labels.join(", "))
    }
}

fn what_der(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(40)];
    if position(head, SIGNED_DATA).is_some() {
        of_pkcs7("-inform DER ")
    } else if position(head, ANY_DATA).is_some() {
        "it is PKCS#12, which mail servers do not read; take the certificates out of it: \
         openssl pkcs12 -nokeys -in FILE"
            .to_owned()
    } else {
        "it is DER, and not understood as a certificate".to_owned()
    }
}

fn of_pkcs7(form: &str) -> String {
    format!(
        "it is PKCS#7, which mail servers do not read; take the certificates out of it: \
         openssl pkcs7 {form}-print_certs -in FILE"
    )
}
