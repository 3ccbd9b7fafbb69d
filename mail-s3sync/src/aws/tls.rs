//! TLS: whose certificates are trusted, and what people can do about those that are not.

use std::io;
use std::path::Path;
use std::sync::Arc;

use hyper_tls::HttpsConnector;
use mail_common::failure::Failed;
use mail_common::trusted;
use native_tls::{Certificate, TlsConnector};

/// What every certificate in PEM begins with.
const PEM_BEGIN: &[u8] = b"-----BEGIN ";
/// What trying again cannot help begins with one of these.
const NOT_TRUSTED: &str = "the certificate of ";
const UNUSABLE: &str = "TLS cannot be used";

/// Whose certificates are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those of the system's authorities, or of `SSL_CERT_FILE`, as OpenSSL finds them.
    #[default]
    System,
    /// Those of the authorities in this PEM text, and no others: so does the AWS command line.
    Bundle(Arc<[u8]>),
}

impl Trust {
    /// The authorities in the file at `path`. They are parsed when they are needed: that takes
    /// longer than a push of nothing new.
    pub(crate) fn read(path: &Path) -> Result<Self, Failed> {
        let pem = trusted::read(path).and_then(|pem| {
            let is_pem = pem.windows(PEM_BEGIN.len()).any(|part| part == PEM_BEGIN);
            is_pem.then_some(pem).ok_or_else(|| {
                let why = "it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)";
                io::Error::new(io::ErrorKind::InvalidData, why)
            })
        });
        let doing = "read the certificates (AWS_CA_BUNDLE, or ca_bundle of the profile) in";
        pem.map(|pem| Self::Bundle(pem.into()))
            .map_err(Failed::at(doing, path))
    }

    /// Connects by `http`, and then speaks TLS.
    pub(super) fn connector<T>(&self, http: T) -> Result<HttpsConnector<T>, String> {
        let mut builder = TlsConnector::builder();
        if let Self::Bundle(pem) = self {
            builder.disable_built_in_roots(true);
            let damaged =
                ": a certificate in the file that AWS_CA_BUNDLE or ca_bundle names is damaged";
            let certificates =
                Certificate::stack_from_pem(pem).map_err(|error| unusable(damaged, &error))?;
            for certificate in certificates {
                builder.add_root_certificate(certificate);
            }
        }
        let tls = builder.build().map_err(|error| unusable("", &error))?;
        Ok(HttpsConnector::from((http, tls.into())))
    }
}

fn unusable(why: &str, error: &native_tls::Error) -> String {
    format!("{UNUSABLE}{why} ({})", reason(&error.to_string()))
}

/// What to say of a request to `host` that failed because of TLS; `None` when it was something
/// else.
pub(super) fn complaint(error: &hyper::Error, host: &str) -> Option<String> {
    let error = std::error::Error::source(error)?
        .downcast_ref::<native_tls::Error>()?
        .to_string();
    Some(match verdict(&error) {
        Some(verdict) => format!(
            "{NOT_TRUSTED}{host} cannot be trusted ({verdict}); {}",
            advice(verdict)
        ),
        None => format!(
            "no TLS with {host} ({}); does that port speak https?",
            reason(&error)
        ),
    })
}

/// Whether `message`, of this module, will be the same next time.
pub(super) fn is_untrusted(message: &str) -> bool {
    [NOT_TRUSTED, UNUSABLE]
        .iter()
        .any(|start| message.starts_with(start))
}

/// Why the certificate was refused, which stands behind the text of OpenSSL in parentheses.
fn verdict(error: &str) -> Option<&str> {
    Some(error.strip_suffix(')')?.rsplit_once(" (")?.1)
}

/// What to do about it, by the words of OpenSSL (X509_verify_cert_error_string(3)).
fn advice(verdict: &str) -> &'static str {
    let says = |part: &str| verdict.contains(part);
    if says("expired") || says("not yet valid") {
        "have it renewed, or set the clock of this machine right"
    } else if says("mismatch") {
        "use the name that it was issued for, or have it issued for this one"
    } else {
        "name the file with the certificate of its authority in AWS_CA_BUNDLE or SSL_CERT_FILE"
    }
}

/// The words in `error:CODE:LIBRARY:FUNCTION:WORDS:FILE:LINE:`.
fn reason(error: &str) -> &str {
    error
        .split(':')
        .nth(4)
        .filter(|words| error.starts_with("error:") && !words.is_empty())
        .unwrap_or(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_openssl_are_found_in_its_text() {
        let untrusted = "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify failed:\
                         ../ssl/statem/statem_clnt.c:1889: (self-signed certificate)";
        assert_eq!(verdict(untrusted), Some("self-signed certificate"));
        let plain = "error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../ssl/record/ssl3_record.c:354:";
        assert_eq!(
            (verdict(plain), reason(plain)),
            (None, "wrong version number")
        );
        assert_eq!(reason("connection reset"), "connection reset");
    }

    #[test]
    fn a_file_without_certificates_is_no_bundle() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let why = |path: &Path| Trust::read(path).unwrap_err().source.kind();
        assert_eq!(why(file.path()), io::ErrorKind::InvalidData);
        assert_eq!(why(Path::new("/not/there")), io::ErrorKind::NotFound);
    }
}
