//! A server with a certificate of its own.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

/// A certificate that only those trust who are set to.
pub(crate) struct Identity {
    dir: TempDir,
}

impl Identity {
    /// For `name`.
    pub(crate) fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[req]\ndistinguished_name=dn\nx509_extensions=x\nprompt=no\n[dn]\nCN={name}\n[x]\n\
             subjectAltName=DNS:{name}\nbasicConstraints=critical,CA:FALSE\n"
        );
        std::fs::write(dir.path().join("config"), text).unwrap();
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
            ])
            .args([
                "-config", "config", "-keyout", "key.pem", "-out", "cert.pem",
            ])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        Self { dir }
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let read = |name: &str| self.dir.path().join(name);
        let chain = vec![CertificateDer::from_pem_file(read("cert.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(read("key.pem")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth();
        Arc::new(config.with_single_cert(chain, key).unwrap())
    }
}

/// The same connection with TLS from here on; `None` when the client does not like the certificate.
pub(crate) fn secured(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
) -> Option<StreamOwned<ServerConnection, TcpStream>> {
    let mut secured = StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream);
    while secured.conn.is_handshaking() {
        secured.conn.complete_io(&mut secured.sock).ok()?;
    }
    Some(secured)
}
