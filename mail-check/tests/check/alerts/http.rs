//! A server that keeps requests.

use std::io::BufReader;
use std::thread;
use std::time::Duration;

use mail_tests::http::Request;
use mail_tests::receiver::{Kept, Receiver, Talk};

use super::identity::{Identity, secured};

/// What it does with a request, after it has kept it.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Status(u16),
    /// 500 for so many requests, then 200.
    FailFirst(usize),
    Hang,
    Garbage,
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
                talk(
                    stream,
                    Answer::Status(200),
                    &keep,
                    &std::sync::atomic::AtomicUsize::new(0),
                );
            }
        });
        Self { kept, receiver }
    }

    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.receiver.port())
    }
}

fn talk(
    stream: impl Talk,
    answer: Answer,
    kept: &Kept<Request>,
    count: &std::sync::atomic::AtomicUsize,
) {
    let mut stream = BufReader::new(stream);
    let Some(request) = Request::read(&mut stream) else {
        return;
    };
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
    let answer = format!(
        "HTTP/1.1 {status} x\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    // Who has gone away needs no answer.
    let _ = stream
        .get_mut()
        .write_all(answer.as_bytes())
        .and_then(|()| stream.get_mut().flush());
}
