//! A server that keeps requests.

use std::io::{BufRead, BufReader, Read};
use std::thread;
use std::time::Duration;

use crate::receiver::{Identity, Kept, Receiver, Talk, secured};

/// What it does with a request, after it has kept it.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Status(u16),
    /// 500 for so many requests, then 200.
    FailFirst(usize),
    Hang,
    Garbage,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

/// The server.
pub(crate) struct Web {
    pub(crate) kept: Kept<Request>,
    receiver: Receiver,
}

impl Web {
    pub(crate) fn start(answer: Answer) -> Self {
        let kept = Kept::new();
        let (keep, count) = (kept.clone(), std::sync::atomic::AtomicUsize::new(0));
        let receiver = Receiver::start(move |stream| talk(stream, answer, &keep, &count));
        Self { kept, receiver }
    }

    pub(crate) fn start_secured(identity: &Identity) -> Self {
        let (kept, config) = (Kept::new(), identity.server());
        let keep = kept.clone();
        let receiver = Receiver::start(move |stream| {
            if let Some(stream) = secured(stream, &config) {
                talk(stream, Answer::Status(200), &keep, &std::sync::atomic::AtomicUsize::new(0));
            }
        });
        Self { kept, receiver }
    }

    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.receiver.port())
    }
}

fn talk(stream: impl Talk, answer: Answer, kept: &Kept<Request>, count: &std::sync::atomic::AtomicUsize) {
    let mut stream = BufReader::new(stream);
    let Some(request) = read(&mut stream) else { return };
    kept.put(request);
    let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let status = match answer {
        Answer::Status(status) => status,
        Answer::FailFirst(times) => {
            if number < times {
                500
            } else {
                200
            }
        }
        Answer::Hang => return thread::sleep(Duration::from_secs(60)),
        Answer::Garbage => return drop(stream.get_mut().write_all(b"SSH-2.0-what\r\n\r\n")),
    };
    let answer =
        format!("HTTP/1.1 {status} x\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    // Who has gone away needs no answer.
    let _ = stream.get_mut().write_all(answer.as_bytes()).and_then(|()| stream.get_mut().flush());
}

fn read(stream: &mut impl BufRead) -> Option<Request> {
    let mut line = || {
        let mut text = String::new();
        stream.read_line(&mut text).ok().filter(|bytes| *bytes > 0)?;
        Some(text.trim_end().to_owned())
    };
    let path = line()?.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    while let Some((name, value)) = line()?.split_once(':') {
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { path, headers, body: String::new() };
    let bytes: u64 = request.header("content-length").parse().unwrap_or_default();
    stream.take(bytes).read_to_string(&mut request.body).ok()?;
    Some(request)
}
