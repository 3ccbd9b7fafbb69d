//! A proxy for HTTP/1.1 that stands between a program and a server, and does harm on request.
//!
//! It knows where a request and its answer begin and end, and no more. Signatures stay valid, since
//! nothing of the head is changed.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const COPY_BYTES: usize = 16 * 1024;
/// A stalled connection ends with the proxy, or after this.
const STALL_AT_MOST: Duration = Duration::from_secs(60);

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is answered with this status and an S3 error of this code; the server never sees it.
    Answer(u16, &'static str),
    /// It is answered with this, under 200; the server never sees it.
    Body(&'static str),
    /// The connection is cut in the middle of the request's body, or before the answer where there
    /// is none.
    CutRequest,
    /// The server does its work, and the answer is lost.
    LoseAnswer,
    /// The connection is cut in the middle of the answer's body.
    CutAnswer,
    /// Nothing moves after the request.
    StallRequest,
    /// Nothing moves after half of the answer's body.
    StallAnswer,
    /// A byte in the middle of the request's body is changed.
    CorruptRequest,
    /// A byte in the middle of the answer's body is changed.
    CorruptAnswer,
}

impl Fault {
    /// This, where `condition` holds; else nothing.
    #[must_use]
    pub fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::None }
    }
}

/// A request, as far as a rule may ask for it.
#[derive(Clone, Debug)]
pub struct Request {
    /// How many came before it.
    pub number: usize,
    /// Such as `PUT`.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Its head, as sent.
    pub head: String,
    /// The length of its body.
    pub body_bytes: u64,
}

type Rule = dyn Fn(&Request) -> Fault + Send + Sync;

/// A running proxy.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: u16,
    rule: Mutex<Arc<Rule>>,
    seen: Mutex<Vec<Request>>,
    is_over: AtomicBool,
}

impl Proxy {
    /// Starts a proxy before the server at `upstream` on 127.0.0.1, with a rule that chooses the
    /// fault of each request.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start(upstream: u16, rule: impl Fn(&Request) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener
            .local_addr()
            .expect("a listener has an address")
            .port();
        let shared = Arc::new(Shared {
            upstream,
            rule: Mutex::new(Arc::new(rule)),
            seen: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                if let Ok(client) = client {
                    // A connection that broke is what it is for.
                    thread::spawn(move || shared.serve(&client));
                }
            }
        });
        Self { port, shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Another rule from now on; counting starts again.
    pub fn set_rule(&self, rule: impl Fn(&Request) -> Fault + Send + Sync + 'static) {
        *lock(&self.shared.rule) = Arc::new(rule);
        lock(&self.shared.seen).clear();
    }

    /// The requests that came since the rule was set.
    #[must_use]
    pub fn seen(&self) -> Vec<Request> {
        lock(&self.shared.seen).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream) {
        let served = TcpStream::connect(("127.0.0.1", self.upstream)).and_then(|server| {
            let (mut from_client, mut from_server) =
                (BufReader::new(client), BufReader::new(&server));
            while self.exchange(&mut from_client, &mut from_server)? {}
            Ok(())
        });
        // Both sides see that it is over.
        let _ = client.shutdown(Shutdown::Both);
        let _ = served;
    }

    /// One request and its answer; `false` when the connection is over.
    fn exchange(
        &self,
        client: &mut BufReader<&TcpStream>,
        server: &mut BufReader<&TcpStream>,
    ) -> io::Result<bool> {
        let Some(head) = Head::read(client)? else {
            return Ok(false);
        };
        let fault = self.fault_of(&head);
        let (mut to_client, mut to_server) = (*client.get_ref(), *server.get_ref());
        match fault {
            Fault::Answer(..) | Fault::Body(_) => {
                head.copy_body(client, &mut io::sink(), Harm::None)?;
                to_client.write_all(own_answer(&fault, &head).as_bytes())?;
                return Ok(true);
            }
            Fault::StallRequest => {
                self.stall();
                return Ok(false);
            }
            _ => {}
        }
        to_server.write_all(&head.raw)?;
        if head.expects_continue() {
            to_client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let harm = match fault {
            Fault::CutRequest => Harm::Cut,
            Fault::CorruptRequest => Harm::Corrupt,
            _ => Harm::None,
        };
        head.copy_body(client, &mut to_server, harm)?;
        if fault == Fault::CutRequest {
            return Ok(false);
        }
        self.answer(&head, &fault, server, &mut to_client)
    }

    fn answer(
        &self,
        request: &Head,
        fault: &Fault,
        server: &mut BufReader<&TcpStream>,
        client: &mut &TcpStream,
    ) -> io::Result<bool> {
        let mut answer = loop {
            let Some(answer) = Head::read(server)? else {
                return Ok(false);
            };
            // The continue was sent already.
            if answer.first_line().split(' ').nth(1) != Some("100") {
                break answer;
            }
        };
        if request.method() == "HEAD" {
            answer.body = Length::Known(0);
        }
        if *fault == Fault::LoseAnswer {
            return Ok(false);
        }
        client.write_all(&answer.raw)?;
        let harm = match fault {
            Fault::CutAnswer | Fault::StallAnswer => Harm::Cut,
            Fault::CorruptAnswer => Harm::Corrupt,
            _ => Harm::None,
        };
        answer.copy_body(server, client, harm)?;
        if *fault == Fault::StallAnswer {
            self.stall();
        }
        Ok(harm != Harm::Cut && !answer.closes())
    }

    fn fault_of(&self, head: &Head) -> Fault {
        let mut seen = lock(&self.seen);
        let target = head
            .first_line()
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        let body_bytes = if let Length::Known(bytes) = head.body {
            bytes
        } else {
            0
        };
        let (number, method) = (seen.len(), head.method().to_owned());
        let request = Request {
            number,
            method,
            target,
            head: head.text.clone(),
            body_bytes,
        };
        seen.push(request.clone());
        drop(seen);
        let rule = Arc::clone(&lock(&self.rule));
        rule(&request)
    }

    fn stall(&self) {
        let start = Instant::now();
        while start.elapsed() < STALL_AT_MOST && !self.is_over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What is done to a body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Harm {
    None,
    Cut,
    Corrupt,
}

/// How long a body is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(u64),
    Chunked,
}

/// The head of a request or an answer, as it came.
struct Head {
    raw: Vec<u8>,
    text: String,
    body: Length,
}

impl Head {
    /// `None` at the end of the connection.
    fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut raw = Vec::new();
        loop {
            let start = raw.len();
            if from.read_until(b'\n', &mut raw)? == 0 {
                return Ok(None);
            }
            if raw[start..] == *b"\r\n" {
                break;
            }
        }
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut head = Self {
            raw,
            text,
            body: Length::Known(0),
        };
        head.body = match (
            head.value("transfer-encoding"),
            head.value("content-length"),
        ) {
            (Some(encoding), _) if encoding.eq_ignore_ascii_case("chunked") => Length::Chunked,
            (_, length) => {
                Length::Known(length.and_then(|length| length.parse().ok()).unwrap_or(0))
            }
        };
        Ok(Some(head))
    }

    fn first_line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    fn method(&self) -> &str {
        self.first_line().split(' ').next().unwrap_or_default()
    }

    fn value(&self, name: &str) -> Option<&str> {
        let lines = self
            .text
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next()
    }

    fn expects_continue(&self) -> bool {
        self.value("expect").is_some()
    }

    fn closes(&self) -> bool {
        self.value("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    fn copy_body(
        &self,
        from: &mut impl BufRead,
        to: &mut impl Write,
        harm: Harm,
    ) -> io::Result<()> {
        match self.body {
            Length::Known(bytes) => copy(from, to, bytes, harm),
            Length::Chunked => loop {
                let mut line = Vec::new();
                from.read_until(b'\n', &mut line)?;
                to.write_all(&line)?;
                let digits = String::from_utf8_lossy(&line);
                let size = u64::from_str_radix(digits.trim(), 16).map_err(io::Error::other)?;
                copy(
                    from,
                    to,
                    size + 2,
                    if size == 0 { Harm::None } else { harm },
                )?;
                if size == 0 || harm == Harm::Cut {
                    return Ok(());
                }
            },
        }
    }
}

/// Copies `bytes`; with harm in the middle.
fn copy(from: &mut impl Read, to: &mut impl Write, bytes: u64, harm: Harm) -> io::Result<()> {
    let middle = bytes / 2;
    let mut done = 0;
    let mut buffer = vec![0; COPY_BYTES];
    let end = if harm == Harm::Cut { middle } else { bytes };
    while done < end {
        let most = usize::try_from(end - done)
            .unwrap_or(COPY_BYTES)
            .min(COPY_BYTES);
        let read = from.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if harm == Harm::Corrupt && (done..done + read as u64).contains(&middle) {
            buffer[usize::try_from(middle - done).unwrap_or_default()] ^= 1;
        }
        to.write_all(&buffer[..read])?;
        done += read as u64;
    }
    to.flush()
}

fn own_answer(fault: &Fault, request: &Head) -> String {
    let (status, body) = match fault {
        Fault::Answer(status, code) => (
            *status,
            format!("<Error><Code>{code}</Code><Message>as the test wants it</Message></Error>"),
        ),
        Fault::Body(body) => (200, (*body).to_owned()),
        _ => (500, String::new()),
    };
    let body = if request.method() == "HEAD" {
        String::new()
    } else {
        body
    };
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
