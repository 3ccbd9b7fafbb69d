//! A server on a free port of this machine, in the clear or with a certificate of its own. It ends with the test.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

/// Nothing in a test waits longer for a peer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What can be talked over.
pub(crate) trait Talk: Read + Write + Send {}

impl<T: Read + Write + Send> Talk for T {}

/// A running server.
pub(crate) struct Receiver {
    port: u16,
    stopped: Arc<AtomicBool>,
}

/// A certificate that nobody trusts who was not told to.
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
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-config", "config", "-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
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
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
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

impl Receiver {
    /// Gives each connection to `talk`, in a thread of its own.
    pub(crate) fn start(talk: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, stopped) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let (is_stopped, talk) = (Arc::clone(&stopped), Arc::new(talk));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let talk = Arc::clone(&talk);
                thread::spawn(move || talk(stream));
            }
        });
        Self { port, stopped }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener; that it is gone already is as well.
        let _ = TcpStream::connect(("127.0.0.1", self.port)).map(|stream| stream.shutdown(Shutdown::Both));
    }
}

/// What came, in order.
pub(crate) struct Kept<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Kept<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn put(&self, item: T) {
        self.0.lock().unwrap().push(item);
    }

    /// All that came since this was asked last.
    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A port of this machine at which nobody listens.
pub(crate) fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn write(path: &Path, text: impl AsRef<[u8]>) -> PathBuf {
    std::fs::write(path, text).unwrap();
    path.to_owned()
}
