//! One HTTP request, over the same bounded line as every protocol here: the certificate of an HTTPS
//! server is read also where it does not verify, and a server that drips its answer cannot outlast
//! the deadline.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::error::NetError;
use super::line::Line;
use super::place::Place;
use super::tls::{Peer, Trust};

/// More header lines than this are no answer.
const MAX_HEADERS: usize = 200;
/// Of a longer body the beginning is read.
const MAX_COUNTED_BYTES: usize = 64 << 10;

/// `http://host[:port]/path` or `https://...`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Url {
    pub(crate) secure: bool,
    pub(crate) place: Place,
    authority: String,
    path: String,
}

/// It is none.
#[derive(Debug, thiserror::Error)]
#[error("no URL: {0:?}; such are http://127.0.0.1:8080/health and https://mail.example.com/")]
pub(crate) struct NoUrl(String);

/// What a server answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The beginning, as it came.
    pub(crate) body: String,
    pub(crate) peer: Option<Peer>,
}

/// How the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Empty,
    Bytes(usize),
    /// When the server closes.
    Rest,
}

/// What is asked.
#[derive(Clone, Debug)]
enum Request<'a> {
    Get,
    /// With header lines (`Name: value`) and a body.
    Post {
        headers: &'a [String],
        body: &'a str,
    },
}

impl TryFrom<String> for Url {
    type Error = NoUrl;

    fn try_from(text: String) -> Result<Self, NoUrl> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| NoUrl(text.clone()))?;
        let (secure, port) = match scheme {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return Err(NoUrl(text)),
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
        let place = address.parse().map_err(|_| NoUrl(text.clone()))?;
        if authority.contains('@') || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(NoUrl(text));
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

/// Fetches a page, whatever is to be said against the server's certificate; all of it may take
/// `within`.
pub(crate) fn get(url: &Url, trust: &Trust, within: Duration) -> Result<Answer, NetError> {
    ask(connect(url, trust, within)?, url, &Request::Get)
}

/// Posts `body` with header lines (`Name: value`), unless there is an `objection` to who would be
/// told them.
pub(crate) fn post(
    url: &Url,
    headers: &[String],
    body: &str,
    trust: &Trust,
    objection: impl Fn(&Peer) -> Option<String>,
    within: Duration,
) -> Result<Answer, NetError> {
    let line = connect(url, trust, within)?;
    match line.peer().and_then(objection) {
        Some(reason) => Err(NetError::Tls {
            place: url.place.clone(),
            reason,
        }),
        None => ask(line, url, &Request::Post { headers, body }),
    }
}

fn connect(url: &Url, trust: &Trust, within: Duration) -> Result<Line, NetError> {
    let line = Line::connect(&url.place, within)?;
    if url.secure {
        line.protect(trust, url.place.host())
    } else {
        Ok(line)
    }
}

fn ask(mut line: Line, url: &Url, request: &Request<'_>) -> Result<Answer, NetError> {
    line.send(written(url, request).as_bytes())?;
    let first = line.read_line("an HTTP status line")?;
    let Some(status) = status_of(&first) else {
        return Err(line.garbage("an HTTP status line", &first));
    };
    let body = match body_of(&mut line, status)? {
        Body::Empty => Vec::new(),
        Body::Bytes(bytes) if bytes <= MAX_COUNTED_BYTES => line.read_exact(bytes, "the page")?,
        Body::Bytes(_) | Body::Rest => line.read_rest("the page")?,
    };
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer {
        status,
        body,
        peer: line.peer().cloned(),
    })
}

/// Reads the headers, and tells how long the body is (RFC 9112, 6.3).
fn body_of(line: &mut Line, status: u16) -> Result<Body, NetError> {
    let mut body = Body::Rest;
    for _ in 0..MAX_HEADERS {
        let header = line.read_line("an HTTP header")?;
        match header.split_once(':') {
            None if header.is_empty() && matches!(status, 204 | 304) => return Ok(Body::Empty),
            None if header.is_empty() => return Ok(body),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                body = value.trim().parse().map_or(Body::Rest, Body::Bytes);
            }
            _ => {}
        }
    }
    Err(line.garbage("an HTTP answer", "headers without an end"))
}

/// HTTP/1.0: the server closes at the end, and sends no chunks.
fn written(url: &Url, request: &Request<'_>) -> String {
    let (method, extra, body) = match request {
        Request::Get => ("GET", String::new(), ""),
        Request::Post { headers, body } => {
            let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
            (
                "POST",
                format!("{lines}Content-Length: {}\r\n", body.len()),
                *body,
            )
        }
    };
    let Url {
        authority, path, ..
    } = url;
    format!(
        "{method} {path} HTTP/1.0\r\nHost: {authority}\r\nUser-Agent: mail-check\r\nConnection: close\r\n{extra}\r\n{body}"
    )
}

fn status_of(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()
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
        assert_eq!(status_of("HTTP/1.1 204 No Content"), Some(204));
        assert_eq!(status_of("220 mail ESMTP"), None);
    }
}
