//! Requests of HTTP/1.1, as far as a server of a test reads them.

use std::io::{BufRead, Read};

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Such as `PUT`.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// With names in small letters.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: String,
}

impl Request {
    /// The next one of a connection; `None` when none comes whole.
    pub fn read(stream: &mut impl BufRead) -> Option<Self> {
        let mut line = || {
            let mut text = String::new();
            stream
                .read_line(&mut text)
                .ok()
                .filter(|bytes| *bytes > 0)?;
            Some(text.trim_end().to_owned())
        };
        let first = line()?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next()?, words.next()?);
        let mut headers = Vec::new();
        while let Some((name, value)) = line()?.split_once(':') {
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            method,
            path,
            headers,
            body: String::new(),
        };
        let bytes: u64 = request.header("content-length").parse().unwrap_or_default();
        stream.take(bytes).read_to_string(&mut request.body).ok()?;
        Some(request)
    }

    /// The value of a header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_where_its_length_says() {
        let mut stream: &[u8] =
            b"PUT /api/users/7 HTTP/1.1\r\nX-Key: a:b\r\nContent-Length: 2\r\n\r\n\
            {}GET / HTTP/1.1\r\n";
        let request = Request::read(&mut stream).unwrap();
        assert_eq!(
            (
                request.method.as_str(),
                request.path.as_str(),
                request.body.as_str()
            ),
            ("PUT", "/api/users/7", "{}")
        );
        assert_eq!(
            (request.header("x-key"), request.header("x-none")),
            ("a:b", "")
        );
        assert!(
            Request::read(&mut stream).is_none(),
            "its headers did not end"
        );
    }
}
