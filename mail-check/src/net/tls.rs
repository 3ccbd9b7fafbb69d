//! TLS, in which the certificate is a fact to be judged and not a reason to hang up.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, StreamOwned,
};

use super::certificate_file;
use super::timed::Timed;

/// Whose signatures are trusted.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    provider: Arc<CryptoProvider>,
    verifier: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates of the administrator's own file: who shows one of them needs no authority.
    own: Vec<CertificateDer<'static>>,
}

/// The file of authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("[tls] ca_file {} cannot be read: {reason}", path.display())]
pub(crate) struct TrustError {
    path: PathBuf,
    reason: String,
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The certificates that it showed, its own first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Why it should not be believed.
    pub(crate) doubt: Option<Doubt>,
}

/// Why a certificate does not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    Expired,
    NotYetValid,
    WrongName,
    /// No trusted authority signed it, or not as it should.
    Untrusted(String),
    /// The library does not know a kind of key or signature, or an extension: others may.
    NotUnderstood(String),
}

impl Trust {
    /// The machine's authorities, and those of `more`, a PEM file.
    pub(crate) fn load(more: Option<&Path>) -> Result<Self, TrustError> {
        let own = more.map(read_file).transpose()?.unwrap_or_default();
        let mut roots = RootCertStore::empty();
        // A file among the machine's that cannot be read leaves the others; what is missed shows as
        // a doubt.
        let machine = rustls_native_certs::load_native_certs().certs;
        roots.add_parsable_certificates(machine.into_iter().chain(own.iter().cloned()));
        let provider = Arc::new(ring::default_provider());
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        // It cannot be had without any authority: then nobody is trusted.
        Ok(Self {
            provider,
            verifier: builder.build().ok(),
            own,
        })
    }

    fn judge(
        &self,
        chain: (&CertificateDer<'_>, &[CertificateDer<'_>]),
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Option<Doubt> {
        if self.own.iter().any(|own| own == chain.0) {
            // Its dates and names are judged where all its facts are.
            return None;
        }
        let Some(verifier) = &self.verifier else {
            return Some(Doubt::Untrusted(
                "this machine trusts no authority; install ca-certificates".to_owned(),
            ));
        };
        verifier
            .verify_server_cert(chain.0, chain.1, name, &[], now)
            .err()
            .map(Doubt::of)
    }
}

fn read_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let failed = |reason: String| TrustError {
        path: path.to_owned(),
        reason,
    };
    certificate_file::read(path).map_err(failed)
}

impl Doubt {
    fn of(error: Error) -> Self {
        match error {
            Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => Self::Expired,
            Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => Self::NotYetValid,
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Self::WrongName,
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                Self::Untrusted("no authority that this machine trusts has signed it".to_owned())
            }
            Error::InvalidCertificate(error) if is_not_understood(&error) => {
                Self::NotUnderstood(error.to_string())
            }
            other => Self::Untrusted(other.to_string()),
        }
    }
}

fn is_not_understood(error: &CertificateError) -> bool {
    matches!(
        error,
        CertificateError::BadEncoding
            | CertificateError::UnhandledCriticalExtension
            | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
    )
}

/// Greets a server that may call itself `name`, and tells who it is.
pub(super) fn handshake(
    mut socket: Timed,
    trust: &Trust,
    name: &str,
) -> io::Result<(StreamOwned<ClientConnection, Timed>, Peer)> {
    let server_name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let witness = Arc::new(Witness {
        trust: trust.clone(),
        doubt: Mutex::new(None),
    });
    let config = ClientConfig::builder_with_provider(Arc::clone(&trust.provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let mut connection =
        ClientConnection::new(Arc::new(config), server_name).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    let chain = connection
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|c| c.clone().into_owned())
        .collect();
    let doubt = witness
        .doubt
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    Ok((StreamOwned::new(connection, socket), Peer { chain, doubt }))
}

/// Lets every certificate pass, and remembers what is wrong with it. That the server holds
/// its key is asked of all.
#[derive(Debug)]
struct Witness {
    trust: Trust,
    doubt: Mutex<Option<Doubt>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let doubt = self
            .trust
            .judge((end_entity, intermediates), server_name, now);
        *self.doubt.lock().unwrap_or_else(PoisonError::into_inner) = doubt;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.trust.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.trust.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust
            .provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
