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
    /// Whom it is for, as its issuer writes it: `C=US, O=Let's Encrypt, CN=R11`.
    pub(crate) subject: String,
    issuer: String,
    pub(crate) self_signed: bool,
}

/// The certificates that a server shows or a file holds, its own first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    own: Certificate,
    issuers: Vec<Certificate>,
}

/// That a library does not understand a certificate does not make it a bad one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("certificate {number} of the chain is not understood: {why}")]
pub(crate) struct NotUnderstood {
    number: usize,
    why: String,
}

impl Chain {
    /// `None` where there is no certificate at all.
    pub(crate) fn parse<T: AsRef<[u8]>>(chain: &[T]) -> Result<Option<Self>, NotUnderstood> {
        let mut certificates = Vec::new();
        for (number, der) in chain.iter().enumerate() {
            let certificate = Certificate::parse(der.as_ref());
            certificates.push(certificate.map_err(|why| NotUnderstood {
                number: number + 1,
                why,
            })?);
        }
        let mut certificates = certificates.into_iter();
        Ok(certificates.next().map(|own| Self {
            own,
            issuers: certificates.collect(),
        }))
    }

    /// That of the server itself.
    pub(crate) fn own(&self) -> &Certificate {
        &self.own
    }

    /// Whether the one that stands first has signed the second, and is not the server's own.
    pub(crate) fn begins_with_signer(&self) -> bool {
        self.issuers.first().is_some_and(|second| {
            second.issuer == self.own.subject && second.subject != self.own.issuer
        })
    }

    /// The one that ends first: clients refuse the chain from then on.
    pub(crate) fn first_to_end(&self) -> &Certificate {
        let all = [&self.own].into_iter().chain(&self.issuers);
        all.min_by_key(|certificate| certificate.not_after)
            .unwrap_or(&self.own)
    }
}

impl Certificate {
    /// Reads DER; why not, where the library does not understand it.
    fn parse(der: &[u8]) -> Result<Self, String> {
        let (_, x509) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let time = |seconds| Timestamp::from_second(seconds).map_err(|error| error.to_string());
        let alternatives = x509.subject_alternative_name();
        let alternatives = alternatives.map_err(|error| error.to_string())?;
        let names = alternatives.map(|names| {
            let names = names.value.general_names.iter();
            names.filter_map(name_of).collect()
        });
        Ok(Self {
            not_before: time(x509.validity().not_before.timestamp())?,
            not_after: time(x509.validity().not_after.timestamp())?,
            names: names.unwrap_or_default(),
            subject: x509.subject().to_string(),
            issuer: x509.issuer().to_string(),
            self_signed: x509.subject() == x509.issuer(),
        })
    }

    /// Whom it is for: its names, or its subject where it has none.
    pub(crate) fn whose(&self) -> String {
        if self.names.is_empty() {
            self.subject.clone()
        } else {
            self.names.join(", ")
        }
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
        assert!(Certificate::parse(b"nonsense").is_err());
    }

    #[test]
    fn the_shortest_life_of_a_chain_counts_and_what_is_not_understood_is_no_absence() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(&dir.path().join("ca"));
        let der = |days: i64| {
            let path = dir.path().join(format!("{days}.pem"));
            let wanted = Wanted::default().valid(-400, days);
            authority.issue(&wanted, &path, &dir.path().join("key.pem"));
            CertificateDer::from_pem_file(path).unwrap()
        };
        let days = |chain: &Chain| chain.first_to_end().days_left(Timestamp::now()).round() as i64;
        let days_of = |ders: [_; 2]| days(&Chain::parse(&ders).unwrap().unwrap());
        assert_eq!(days_of([der(80), der(9)]), 9);
        assert_eq!(days_of([der(5), der(9)]), 5);
        assert_eq!(Chain::parse::<Vec<u8>>(&[]), Ok(None));
        let broken = Chain::parse(&[der(80), b"nonsense".to_vec().into()]).unwrap_err();
        assert_eq!(broken.number, 2);
    }
}
