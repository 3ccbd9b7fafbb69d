//! A TCP server that does not keep to its protocol: silent, talking nonsense, slow, endless. Gone
//! when dropped.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What it does with each connection.
#[derive(Clone, Debug)]
pub enum Manner {
    /// Accepts, and says nothing.
    Silent,
    /// Says these bytes, and nothing more; the connection stays open.
    Says(Vec<u8>),
    /// Says these bytes and closes; without any, it closes at once.
    Closes(Vec<u8>),
    /// Says these bytes one at a time, with a pause before each.
    Drips(Vec<u8>, Duration),
    /// Never ends its first line.
    Endless,
}

/// A listening server.
#[derive(Debug)]
pub struct Talker {
    port: u16,
    met: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Talker {
    /// Listens on a free port of loopback.
    ///
    /// # Panics
    /// When loopback has none.
    #[must_use]
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener
            .local_addr()
            .expect("a listener has an address")
            .port();
        let (met, stopped) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (meets, stops) = (Arc::clone(&met), Arc::clone(&stopped));
        let listener = Some(thread::spawn(move || {
            listen(&listener, &manner, &meets, &stops);
        }));
        Self {
            port,
            met,
            stopped,
            listener,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections it accepted.
    #[must_use]
    pub fn met(&self) -> usize {
        self.met.load(Ordering::SeqCst)
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

/// Each connection has a thread; all of them end when the listener closes them.
fn listen(listener: &TcpListener, manner: &Manner, met: &AtomicUsize, stopped: &Arc<AtomicBool>) {
    let mut open = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if stopped.load(Ordering::SeqCst) {
            break;
        }
        met.fetch_add(1, Ordering::SeqCst);
        open.extend(stream.try_clone());
        let (manner, stopped) = (manner.clone(), Arc::clone(stopped));
        thread::spawn(move || talk(stream, &manner, &stopped));
    }
    for stream in open {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// A client that goes away ends it.
fn talk(mut stream: TcpStream, manner: &Manner, stopped: &AtomicBool) {
    match manner {
        Manner::Silent => {}
        Manner::Says(words) => {
            let _ = stream.write_all(words);
        }
        Manner::Closes(words) => {
            let _ = stream.write_all(words);
            let _ = stream.shutdown(Shutdown::Both);
        }
        Manner::Drips(words, pause) => {
            for byte in words {
                thread::sleep(*pause);
                if stopped.load(Ordering::SeqCst) || stream.write_all(&[*byte]).is_err() {
                    return;
                }
            }
        }
        Manner::Endless => {
            while !stopped.load(Ordering::SeqCst) && stream.write_all(&[b'x'; 4096]).is_ok() {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn heard(manner: Manner) -> Vec<u8> {
        let talker = Talker::start(manner);
        let mut stream = TcpStream::connect(("127.0.0.1", talker.port())).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let mut bytes = Vec::new();
        // A time-out is what ends a connection that stays open.
        let _ = Read::by_ref(&mut stream)
            .take(100_000)
            .read_to_end(&mut bytes);
        assert_eq!(talker.met(), 1);
        bytes
    }

    #[test]
    fn it_behaves_as_badly_as_it_is_told() {
        assert_eq!(heard(Manner::Silent), b"");
        assert_eq!(heard(Manner::Says(b"220 x".to_vec())), b"220 x");
        assert_eq!(heard(Manner::Closes(Vec::new())), b"");
        assert_eq!(
            heard(Manner::Drips(b"ab".to_vec(), Duration::from_millis(5))),
            b"ab"
        );
        assert_eq!(heard(Manner::Endless).len(), 100_000);
    }
}
