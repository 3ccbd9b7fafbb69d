//! A proxy for MariaDB's protocol that stands between a restore and its server, and does harm at
//! the n-th statement that is a step of the restore.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What happens at the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// It is answered with an error; the server never sees it. Everything after it goes through.
    Refuse,
    /// This connection is cut before the server sees it, and every later one is refused: as if the
    /// restore was killed between two statements.
    CutBefore,
    /// The server runs it, then as above: as if the restore was killed before it had the answer.
    CutAfter,
    /// Neither it nor anything after it reaches the server, and nobody gets an answer. The
    /// connections stay open until the client ends: for who kills the process meanwhile.
    Hold,
    /// The deed is done, then the server gets it, and everything after it.
    DeedBefore,
    /// The server runs it, then the deed is done. Everything after it goes through.
    DeedAfter,
}

/// What is done at the statement.
type Deed = Box<dyn Fn() + Send + Sync>;

/// A running proxy.
pub(crate) struct StatementProxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: u16,
    harm: Harm,
    deed: Deed,
    at: usize,
    count: AtomicUsize,
    is_cut: AtomicBool,
    statements: Mutex<Vec<String>>,
}

impl StatementProxy {
    /// Stands before the server at `upstream` on 127.0.0.1. Statements are counted from 0.
    pub(crate) fn start(upstream: u16, harm: Harm, at: usize) -> Self {
        Self::with_deed(upstream, harm, at, || {})
    }

    /// As [`Self::start`], for [`Harm::DeedBefore`] and [`Harm::DeedAfter`].
    pub(crate) fn with_deed(
        upstream: u16,
        harm: Harm,
        at: usize,
        deed: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            upstream,
            harm,
            deed: Box::new(deed),
            at,
            count: AtomicUsize::new(0),
            is_cut: AtomicBool::new(false),
            statements: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                thread::spawn(move || drop(shared.serve(&client)));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether the statement has come that cuts or holds the client.
    pub(crate) fn has_struck(&self) -> bool {
        self.shared.is_cut.load(Ordering::SeqCst)
    }

    /// What was counted, up to the harm and beyond.
    pub(crate) fn statements(&self) -> Vec<String> {
        let statements = self.shared.statements.lock();
        statements.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        if self.is_cut.load(Ordering::SeqCst) {
            return match self.harm {
                Harm::Hold => wait_for_end(client),
                _ => client.shutdown(Shutdown::Both),
            };
        }
        let server = TcpStream::connect(("127.0.0.1", self.upstream))?;
        let (mut back_from, mut back_to) = (server.try_clone()?, client.try_clone()?);
        let back = thread::spawn(move || {
            let _ = io::copy(&mut back_from, &mut back_to);
            let _ = back_to.shutdown(Shutdown::Both);
        });
        let served = self.forward(client, &server);
        let _ = server.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
        let _ = back.join();
        served
    }

    fn forward(&self, mut client: &TcpStream, mut server: &TcpStream) -> io::Result<()> {
        loop {
            let mut head = [0; 4];
            client.read_exact(&mut head)?;
            let length =
                usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
            let mut body = vec![0; length];
            client.read_exact(&mut body)?;
            let harm = self.harm_of(&head, &body);
            if self.is_cut.load(Ordering::SeqCst) && self.harm == Harm::Hold {
                return wait_for_end(client);
            }
            if self.is_cut.load(Ordering::SeqCst) && harm.is_none() {
                return Ok(());
            }
            match harm {
                Some(Harm::Refuse) => {
                    client.write_all(&refusal())?;
                    continue;
                }
                Some(Harm::CutBefore | Harm::Hold) => return Ok(()),
                Some(Harm::CutAfter) => {
                    server.write_all(&[&head[..], &body].concat())?;
                    wait_for_answer();
                    return Ok(());
                }
                Some(Harm::DeedBefore) => {
                    (self.deed)();
                    server.write_all(&[&head[..], &body].concat())?;
                }
                Some(Harm::DeedAfter) => {
                    server.write_all(&[&head[..], &body].concat())?;
                    wait_for_answer();
                    (self.deed)();
                }
                None => server.write_all(&[&head[..], &body].concat())?,
            }
        }
    }

    /// COM_QUERY is 3, the first packet of a command is number 0.
    fn harm_of(&self, head: &[u8; 4], body: &[u8]) -> Option<Harm> {
        let text = body.strip_prefix(&[3]).filter(|_| head[3] == 0)?;
        if !is_step(text) {
            return None;
        }
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        let text = String::from_utf8_lossy(&text[..text.len().min(120)]).into_owned();
        self.statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text);
        if number != self.at {
            return None;
        }
        if matches!(self.harm, Harm::CutBefore | Harm::CutAfter | Harm::Hold) {
            self.is_cut.store(true, Ordering::SeqCst);
        }
        Some(self.harm)
    }
}

/// An answer is on the way back when the server has run the statement.
fn wait_for_answer() {
    thread::sleep(std::time::Duration::from_millis(150));
}

/// Takes what the client sends, and leaves it unanswered.
fn wait_for_end(mut client: &TcpStream) -> io::Result<()> {
    io::copy(&mut client, &mut io::sink()).map(drop)
}

/// What changes something, and the counting of rows: not other questions, and not the settings of
/// a session.
fn is_step(text: &[u8]) -> bool {
    if text.starts_with(b"SELECT COUNT(*) FROM `") {
        return true;
    }
    let harmless: [&[u8]; 8] = [
        b"SET ",
        b"/*",
        b"SELECT ",
        b"SHOW ",
        b"USE ",
        b"ROLLBACK",
        b"SAVEPOINT",
        b"START ",
    ];
    !harmless.iter().any(|word| text.starts_with(word))
}

/// ER_UNKNOWN_ERROR.
fn refusal() -> Vec<u8> {
    let mut body = vec![0xff];
    body.extend_from_slice(&1105_u16.to_le_bytes());
    body.extend_from_slice(b"#HY000refused by the proxy");
    let mut packet = vec![u8::try_from(body.len()).unwrap(), 0, 0, 1];
    packet.extend(body);
    packet
}
