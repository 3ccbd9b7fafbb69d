//! One HTTP request by ureq, over the same bounded line as every protocol here: the certificate of
//! an HTTPS server is read also where it does not verify, and a server that drips its answer cannot
//! outlast the deadline.

use std::fmt;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use ureq::config::Config;
use ureq::http::{Response, Uri};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Agent, Body};

use super::error::NetError;
use super::line::Line;
use super::place::Place;
use super::tls::{Peer, Trust};

/// Of a longer body the beginning is read.
const MAX_BODY_BYTES: u64 = 64 << 10;

/// `http://host[:port]/path` or `https://...`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Url {
    pub(crate) secure: bool,
    pub(crate) place: Place,
    authority: String,
    path: String,
}

/// It is not a URL.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a URL; such are http://127.0.0.1:8080/health and https://mail.example.com/")]
pub(crate) struct NotAUrl(String);

/// What a server answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The beginning, as it came.
    pub(crate) body: String,
    pub(crate) peer: Option<Peer>,
}

impl TryFrom<String> for Url {
    type Error = NotAUrl;

    fn try_from(text: String) -> Result<Self, NotAUrl> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| NotAUrl(text.clone()))?;
        let (secure, port) = match scheme {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return Err(NotAUrl(text)),
        };
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.ends_with(']'));
        let address = if has_port {
            authority.to_owned()
        } else {
            format!("{authority}:{port}")
        };
        let place = address.parse().map_err(|_| NotAUrl(text.clone()))?;
        if authority.contains('@') || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(NotAUrl(text));
        }
        let path = if path.is_empty() {
            "/".to_owned()
        } else {
            path.to_owned()
        };
        Ok(Self {
            secure,
            place,
            authority: authority.to_owned(),
            path,
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}{}",
            if self.secure { "https" } else { "http" },
            self.authority,
            self.path
        )
    }
}

/// Fetches a page, whatever is wrong with the server's certificate; all of it may take
/// `within`.
pub(crate) fn get(url: &Url, trust: &Trust, within: Duration) -> Result<Answer, NetError> {
    let exchange = Exchange::over(connect(url, trust, within)?);
    let response = exchange.agent().get(url.to_string()).call();
    exchange.answer(response)
}

/// Posts `body` with header lines (`Name: value`), unless there is an `objection` to who would be
/// was given them.
pub(crate) fn post(
    url: &Url,
    headers: &[String],
    body: &str,
    trust: &Trust,
    objection: impl Fn(&Peer) -> Option<String>,
    within: Duration,
) -> Result<Answer, NetError> {
    let line = connect(url, trust, within)?;
    if let Some(reason) = line.peer().and_then(objection) {
        let place = url.place.clone();
        return Err(NetError::Tls { place, reason });
    }
    let exchange = Exchange::over(line);
    let mut request = exchange.agent().post(url.to_string());
    for (name, value) in headers.iter().filter_map(|line| line.split_once(':')) {
        request = request.header(name.trim(), value.trim());
    }
    exchange.answer(request.send(body))
}

fn connect(url: &Url, trust: &Trust, within: Duration) -> Result<Line, NetError> {
    let line = Line::connect(&url.place, within)?;
    if url.secure {
        line.protect(trust, url.place.host())
    } else {
        Ok(line)
    }
}

/// A request and its answer over a line that is connected.
struct Exchange {
    peer: Option<Peer>,
    shared: Arc<Shared>,
}

/// What the line and the request know of each other: ureq makes other errors of ours.
#[derive(Debug)]
struct Shared {
    line: Mutex<Option<Line>>,
    place: Place,
    wanted: Mutex<&'static str>,
    error: Mutex<Option<NetError>>,
}

impl Exchange {
    fn over(line: Line) -> Self {
        Self {
            peer: line.peer().cloned(),
            shared: Arc::new(Shared {
                place: line.place().clone(),
                line: Mutex::new(Some(line)),
                wanted: Mutex::new("an HTTP answer"),
                error: Mutex::new(None),
            }),
        }
    }

    /// Time is bounded by the line.
    fn agent(&self) -> Agent {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent("mail-check")
            .build();
        Agent::with_parts(config, Connected(Arc::clone(&self.shared)), Nowhere)
    }

    fn answer(self, response: Result<Response<Body>, ureq::Error>) -> Result<Answer, NetError> {
        let mut response = response.map_err(|error| self.shared.error(&error))?;
        *lock(&self.shared.wanted) = "the page";
        let mut body = Vec::new();
        let reader = response.body_mut().as_reader();
        if let Err(error) = reader.take(MAX_BODY_BYTES).read_to_end(&mut body) {
            return Err(self.shared.error(&ureq::Error::Io(error)));
        }
        Ok(Answer {
            status: response.status().as_u16(),
            body: String::from_utf8_lossy(&body).into_owned(),
            peer: self.peer,
        })
    }
}

impl Shared {
    /// That of the line, where there is one; else what came is not HTTP.
    fn error(&self, error: &ureq::Error) -> NetError {
        let (place, wanted) = (self.place.clone(), *lock(&self.wanted));
        lock(&self.error).take().unwrap_or_else(|| match error {
            ureq::Error::Io(_) => NetError::Closed { place, wanted },
            error => NetError::Unexpected {
                place,
                wanted,
                reply: error.to_string(),
            },
        })
    }
}

/// Gives the line that is connected already, once.
#[derive(Debug)]
struct Connected(Arc<Shared>);

impl Connector for Connected {
    type Out = LineTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<LineTransport>, ureq::Error> {
        let line = lock(&self.0.line).take();
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(line.map(|line| LineTransport {
            line,
            buffers,
            shared: Arc::clone(&self.0),
        }))
    }
}

/// The name was resolved when the line was connected.
#[derive(Debug)]
struct Nowhere;

impl Resolver for Nowhere {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Ok(addresses)
    }
}

/// Bytes of ureq on the line.
#[derive(Debug)]
struct LineTransport {
    line: Line,
    buffers: LazyBuffers,
    shared: Arc<Shared>,
}

impl LineTransport {
    /// Keeps the first error, for when there is no answer.
    fn failed(&self, error: NetError) -> ureq::Error {
        lock(&self.shared.error).get_or_insert(error);
        ureq::Error::Io(io::ErrorKind::Other.into())
    }
}

impl Transport for LineTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        // A server may answer and close before it has taken all: its answer is still to be read.
        if let Err(error) = self.line.send(&self.buffers.output()[..amount]) {
            let _ = self.failed(error);
        }
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let wanted = *lock(&self.shared.wanted);
        let read = self.line.read_some(self.buffers.input_append_buf(), wanted);
        let bytes = read.map_err(|error| self.failed(error))?;
        self.buffers.input_appended(bytes);
        Ok(bytes > 0)
    }

    /// One request only.
    fn is_open(&mut self) -> bool {
        false
    }
}

/// A thread that panicked while it held the lock has left whole values behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let check = |text: &str, place: &str, path: &str| {
            let url = Url::try_from(text.to_owned()).unwrap();
            assert_eq!(
                (url.place.to_string().as_str(), url.path.as_str()),
                (place, path)
            );
        };
        check(
            "http://127.0.0.1:8080/health?x=1",
            "127.0.0.1:8080",
            "/health?x=1",
        );
        check("https://mail.example.com", "mail.example.com:443", "/");
        check("http://[::1]/", "[::1]:80", "/");
        for wrong in [
            "",
            "mail.example.com",
            "ftp://x/",
            "http:///x",
            "http://a:b@c/",
            "http://x/a b",
            "http://x/\r\n",
        ] {
            assert!(Url::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
