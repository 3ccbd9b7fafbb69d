//! What a certificate says: names, dates, and whether it signed itself.

use std::net::IpAddr;

use jiff::Timestamp;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The facts of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// Host names, with `*` for one label, and addresses.
    pub(crate) names: Vec<String>,
    pub(crate) self_signed: bool,
}

impl Certificate {
    /// Reads DER; `None` where it is no certificate.
    pub(crate) fn parse(der: &[u8]) -> Option<Self> {
        let (_, x509) = X509Certificate::from_der(der).ok()?;
        let time = |seconds| Timestamp::from_second(seconds).ok();
        let alternatives = x509.subject_alternative_name().ok().flatten();
        let names = alternatives.map(|names| {
            names
                .value
                .general_names
                .iter()
                .filter_map(name_of)
                .collect()
        });
        Some(Self {
            not_before: time(x509.validity().not_before.timestamp())?,
            not_after: time(x509.validity().not_after.timestamp())?,
            names: names.unwrap_or_default(),
            self_signed: x509.subject() == x509.issuer(),
        })
    }

    /// Days left; negative when it has expired.
    pub(crate) fn days_left(&self, now: Timestamp) -> f64 {
        (self.not_after.as_second() - now.as_second()) as f64 / 86_400.0
    }

    /// Whether it is for the host `host` (RFC 6125: a wildcard stands for the whole first label,
    /// and nothing more).
    pub(crate) fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| {
            let wild = name.strip_prefix("*.").zip(host.split_once('.'));
            name.eq_ignore_ascii_case(host)
                || wild.is_some_and(|(base, (_, rest))| base.eq_ignore_ascii_case(rest))
        })
    }
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mail_tests::certificate::{Authority, Certificate as Wanted};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn names_dates_and_signer_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(&dir.path().join("ca"));
        let read = |wanted: Wanted| {
            let path = dir.path().join("cert.pem");
            authority.issue(&wanted, &path, &dir.path().join("key.pem"));
            Certificate::parse(&CertificateDer::from_pem_file(path).unwrap()).unwrap()
        };
        let signed = read(
            Wanted::for_names(&["DNS:mail.test", "DNS:*.example.org", "IP:127.0.0.1"])
                .valid(-3, 20),
        );
        assert_eq!(signed.names, ["mail.test", "*.example.org", "127.0.0.1"]);
        assert!((signed.days_left(Timestamp::now()) - 20.0).abs() < 0.1);
        assert!(!signed.self_signed);
        assert!(read(Wanted::default().self_signed()).self_signed);
        assert!(read(Wanted::default().valid(-9, -2)).days_left(Timestamp::now()) < -1.9);
        for (host, covered) in [
            ("MAIL.test", true),
            ("a.example.org", true),
            ("127.0.0.1", true),
            ("example.org", false),
            ("a.b.example.org", false),
            ("127.0.0.2", false),
        ] {
            assert_eq!(signed.covers(host), covered, "{host}");
        }
        assert_eq!(Certificate::parse(b"nonsense"), None);
    }
}
