//! A server on a free port of this machine that does what a test wants with each connection. It
//! ends with the test.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Nothing in a test waits longer for a peer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What can be talked over.
pub trait Talk: Read + Write + Send {}

impl<T: Read + Write + Send> Talk for T {}

/// A running server.
#[derive(Debug)]
pub struct Receiver {
    port: u16,
    stopped: Arc<AtomicBool>,
}

impl Receiver {
    /// Gives each connection to `talk`, in a thread of its own.
    ///
    /// # Panics
    /// When loopback has no free port.
    #[must_use]
    pub fn start(talk: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener
            .local_addr()
            .expect("a listener has an address")
            .port();
        let stopped = Arc::new(AtomicBool::new(false));
        let (is_stopped, talk) = (Arc::clone(&stopped), Arc::new(talk));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                stream
                    .set_read_timeout(Some(PATIENCE))
                    .expect("a time-out above zero can be set");
                let talk = Arc::clone(&talk);
                thread::spawn(move || talk(stream));
            }
        });
        Self { port, stopped }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener; that it is gone already is as well.
        let _ = TcpStream::connect(("127.0.0.1", self.port))
            .map(|stream| stream.shutdown(Shutdown::Both));
    }
}

/// What came, in order.
#[derive(Debug)]
pub struct Kept<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Kept<T> {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps `item`.
    pub fn put(&self, item: T) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(item);
    }

    /// All that came since this was asked last.
    #[must_use]
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A port of this machine at which nobody listens.
///
/// # Panics
/// When loopback has no free port.
#[must_use]
pub fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a listener has an address")
        .port()
}
