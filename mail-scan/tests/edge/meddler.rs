//! A TCP proxy before clamd: it passes all on until a test has it break something.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use mail_tests::planted::ACTS;

/// What it does to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mischief {
    /// Passes everything on.
    None,
    /// Takes the stream and closes without a reply, as a clamd that is killed.
    Cut,
    /// Takes the stream and never answers.
    Hang,
    /// Answers what is nearly an OK.
    Nonsense,
    /// Passes on to the other clamd, as if that had taken the place of the first.
    Other,
    /// Takes the stream and answers a byte at a time, for ever.
    Drip,
    /// Takes the stream a little at a time.
    Sip,
    /// Passes everything on after a while.
    Late,
    /// Never answers for a content that holds [`PICKED`], and passes everything else on.
    Picky,
    /// Passes everything on, and puts what acts on a terminal into what clamd says of itself and
    /// into the names of its signatures.
    Paint,
}

/// What [`Mischief::Picky`] looks for.
pub(crate) const PICKED: &str = "harmless";

/// Until the next byte, or the next bytes.
const PAUSE: Duration = Duration::from_millis(200);

/// A proxy on loopback; its threads end with the test's process.
pub(crate) struct Meddler {
    port: u16,
    mischief: Arc<AtomicU8>,
    after: Arc<AtomicUsize>,
    seen: Arc<AtomicUsize>,
}

impl Meddler {
    /// Before the clamd at `target` (`tcp:host:port`), passing everything on for now.
    pub(crate) fn before(target: &str) -> Self {
        Self::between(target, target)
    }

    /// The same, with another clamd for [`Mischief::Other`].
    pub(crate) fn between(target: &str, other: &str) -> Self {
        let [target, other] =
            [target, other].map(|address| address.strip_prefix("tcp:").unwrap().to_owned());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let meddler = Self {
            port: listener.local_addr().unwrap().port(),
            mischief: Arc::default(),
            after: Arc::new(AtomicUsize::new(usize::MAX)),
            seen: Arc::default(),
        };
        let (mischief, after, seen) = (
            meddler.mischief.clone(),
            meddler.after.clone(),
            meddler.seen.clone(),
        );
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let is_late = seen.fetch_add(1, Ordering::SeqCst) >= after.load(Ordering::SeqCst);
                let mischief = if is_late {
                    mischief.load(Ordering::SeqCst)
                } else {
                    Mischief::None as u8
                };
                let target = if mischief == Mischief::Other as u8 {
                    other.clone()
                } else {
                    target.clone()
                };
                thread::spawn(move || serve(client, &target, mischief));
            }
        });
        meddler
    }

    pub(crate) fn address(&self) -> String {
        format!("tcp:127.0.0.1:{}", self.port)
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }

    /// Lets so many more connections pass, then does this.
    pub(crate) fn after(&self, connections: usize, mischief: Mischief) {
        self.mischief.store(mischief as u8, Ordering::SeqCst);
        self.after
            .store(self.connections() + connections, Ordering::SeqCst);
    }
}

fn serve(mut client: TcpStream, target: &str, mischief: u8) {
    match mischief {
        1 => {
            let mut some = [0; 64];
            let _ = client.read(&mut some);
            let _ = client.shutdown(Shutdown::Both);
        }
        2 => thread::sleep(Duration::from_secs(600)),
        3 => {
            let mut some = [0; 1 << 16];
            let _ = client.read(&mut some);
            let _ = client.write_all(b"stream: OK, or so\0");
        }
        5 => {
            let _ = client.read(&mut [0; 1 << 16]);
            while client.write_all(b"s").is_ok() {
                thread::sleep(PAUSE);
            }
        }
        6 => {
            while client
                .read(&mut [0; 1 << 16])
                .is_ok_and(|length| length > 0)
            {
                thread::sleep(PAUSE);
            }
        }
        7 => {
            thread::sleep(2 * PAUSE);
            pass_on(client, target);
        }
        8 => {
            let mut some = vec![0; 1 << 16];
            let length = client.peek(&mut some).unwrap_or(0);
            // A stream comes in two pieces: the command, and then the content.
            if some.starts_with(b"zINSTREAM") && length < 20 {
                thread::sleep(PAUSE / 4);
            }
            let length = client.peek(&mut some).unwrap_or(0);
            let is_picked = some[..length]
                .windows(PICKED.len())
                .any(|window| window == PICKED.as_bytes());
            if is_picked {
                thread::sleep(Duration::from_secs(600));
            }
            pass_on(client, target);
        }
        9 => paint(client, target),
        _ => pass_on(client, target),
    }
}

/// A name with controls is not taken for a name; these are the others that act.
fn paint(mut client: TcpStream, target: &str) {
    const NAME: &str = "\u{202e}\u{2066}\u{200b}\u{2028} FOUND";
    let Ok(mut clamd) = TcpStream::connect(target) else {
        return;
    };
    let (mut from_client, mut to_clamd) = (client.try_clone().unwrap(), clamd.try_clone().unwrap());
    thread::spawn(move || io::copy(&mut from_client, &mut to_clamd));
    let mut reply = vec![0; 1 << 16];
    while let Ok(length @ 1..) = clamd.read(&mut reply) {
        let said = String::from_utf8_lossy(&reply[..length]);
        let said = said.replace(" FOUND", NAME);
        let said = said.replace("ClamAV ", &format!("ClamAV {ACTS}"));
        if client.write_all(said.as_bytes()).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

fn pass_on(client: TcpStream, target: &str) {
    let Ok(clamd) = TcpStream::connect(target) else {
        return;
    };
    let (mut from_client, mut to_clamd) = (client.try_clone().unwrap(), clamd.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_clamd);
        let _ = to_clamd.shutdown(Shutdown::Write);
    });
    let (mut from_clamd, mut to_client) = (clamd, client);
    let _ = io::copy(&mut from_clamd, &mut to_client);
    let _ = to_client.shutdown(Shutdown::Both);
}
