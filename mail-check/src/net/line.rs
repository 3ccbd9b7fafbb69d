//! A conversation in lines, in the clear or protected. A line, and all that is read at once, is
//! bounded.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::time::Duration;

use mail_common::text::printable;
use rustls::{ClientConnection, StreamOwned};

use super::error::NetError;
use super::place::Place;
use super::timed::Timed;
use super::tls::{self, Peer, Trust};

/// The longest line, and the most that is read of anything else at once.
const MAX_BYTES: usize = 64 << 10;
/// What a message shows of a line.
const MAX_SHOWN_CHARS: usize = 200;

/// A conversation with a server.
#[derive(Debug)]
pub(crate) struct Line {
    place: Place,
    within: Duration,
    stream: BufReader<Stream>,
    peer: Option<Peer>,
}

#[derive(Debug)]
enum Stream {
    Plain(Timed),
    Protected(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Line {
    /// Connects; the whole conversation may take `within`, unless it is [renewed](Line::renew).
    pub(crate) fn connect(place: &Place, within: Duration) -> Result<Self, NetError> {
        let stream = Stream::Plain(Timed::connect(place, within)?);
        Ok(Self {
            place: place.clone(),
            within,
            stream: BufReader::new(stream),
            peer: None,
        })
    }

    /// From now on it is TLS with `name`, a host name or an address. That its certificate does not
    /// verify is not an error: see [`Line::peer`].
    pub(crate) fn protect(self, trust: &Trust, name: &str) -> Result<Self, NetError> {
        let Self {
            place,
            within,
            stream,
            ..
        } = self;
        if !stream.buffer().is_empty() {
            // RFC 3207, 6: what was sent before must not be taken for what is protected.
            return Err(NetError::Tls {
                place,
                reason: "it speaks before the handshake".to_owned(),
            });
        }
        let Stream::Plain(socket) = stream.into_inner() else {
            return Err(NetError::Tls {
                place,
                reason: "it is protected already".to_owned(),
            });
        };
        let (stream, peer) =
            tls::handshake(socket, trust, name).map_err(|error| match error.kind() {
                // Alerts and broken records are reported by rustls; a plain service
                // answers with what
                // is not a record.
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => NetError::Tls {
                    place: place.clone(),
                    reason: "it closed the connection".to_owned(),
                },
                _ => NetError::of(&place, "TLS handshake", within, error),
            })?;
        let stream = BufReader::new(Stream::Protected(Box::new(stream)));
        Ok(Self {
            place,
            within,
            stream,
            peer: Some(peer),
        })
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Who is at the other end; `None` in the clear.
    pub(crate) fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// What follows may take `within`, counted from now.
    pub(crate) fn renew(&mut self, within: Duration) {
        self.within = within;
        match self.stream.get_mut() {
            Stream::Plain(socket) => socket.renew(within),
            Stream::Protected(stream) => stream.sock.renew(within),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), NetError> {
        let stream = self.stream.get_mut();
        let sent = stream.write_all(bytes).and_then(|()| stream.flush());
        sent.map_err(|error| NetError::of(&self.place, "room for a command", self.within, error))
    }

    /// The next line, without its end. `wanted` is what it should be.
    pub(crate) fn read_line(&mut self, wanted: &'static str) -> Result<String, NetError> {
        let bytes = self.read_until(b'\n', wanted)?;
        Ok(String::from_utf8_lossy(&bytes)
            .trim_end_matches(['\r', '\n'])
            .to_owned())
    }

    /// What comes up to and with the byte `end`.
    pub(crate) fn read_until(
        &mut self,
        end: u8,
        wanted: &'static str,
    ) -> Result<Vec<u8>, NetError> {
        let mut bytes = Vec::new();
        let read = (&mut self.stream)
            .take(MAX_BYTES as u64)
            .read_until(end, &mut bytes);
        read.map_err(|error| NetError::of(&self.place, wanted, self.within, error))?;
        match bytes.last() {
            Some(last) if *last == end => Ok(bytes),
            _ if bytes.len() >= MAX_BYTES => Err(NetError::Endless {
                place: self.place.clone(),
                wanted,
            }),
            _ => Err(NetError::Closed {
                place: self.place.clone(),
                wanted,
            }),
        }
    }

    /// Exactly `bytes`.
    pub(crate) fn read_exact(
        &mut self,
        bytes: usize,
        wanted: &'static str,
    ) -> Result<Vec<u8>, NetError> {
        if bytes > MAX_BYTES {
            return Err(NetError::Endless {
                place: self.place.clone(),
                wanted,
            });
        }
        let mut read = vec![0; bytes];
        let done = self.stream.read_exact(&mut read);
        done.map_err(|error| NetError::of(&self.place, wanted, self.within, error))?;
        Ok(read)
    }

    /// What comes next, as much as there is; nothing at the end.
    pub(super) fn read_some(
        &mut self,
        buffer: &mut [u8],
        wanted: &'static str,
    ) -> Result<usize, NetError> {
        match self.stream.read(buffer) {
            Ok(bytes) => Ok(bytes),
            // Many servers close without the farewell of TLS.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(NetError::of(&self.place, wanted, self.within, error)),
        }
    }

    pub(crate) fn unexpected(&self, wanted: &'static str, reply: &str) -> NetError {
        NetError::Unexpected {
            place: self.place.clone(),
            wanted,
            reply: shown(reply),
        }
    }

    pub(crate) fn refuses(&self, command: &'static str, reply: &str) -> NetError {
        NetError::Refuses {
            place: self.place.clone(),
            command,
            reply: shown(reply),
        }
    }

    pub(crate) fn not_offered(&self, wanted: &'static str) -> NetError {
        NetError::NotOffered {
            place: self.place.clone(),
            wanted,
        }
    }
}

/// What a server sent, safe and short.
fn shown(reply: &str) -> String {
    printable(reply).chars().take(MAX_SHOWN_CHARS).collect()
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Protected(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Protected(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Protected(stream) => stream.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use mail_tests::talker::{Manner, Talker};

    use super::*;

    #[track_caller]
    fn check(manner: Manner, expected: &str) {
        let talker = Talker::start(manner);
        let place: Place = format!("127.0.0.1:{}", talker.port()).parse().unwrap();
        let begun = Instant::now();
        let mut line = Line::connect(&place, Duration::from_millis(300)).unwrap();
        let reply = line
            .read_line("a greeting")
            .map_err(|error| error.to_string());
        let text = reply.unwrap_or_else(|error| error.replace(&place.to_string(), "X"));
        assert!(text.starts_with(expected), "{text}");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_line_is_bounded_in_time_and_length() {
        check(Manner::Says(b"220 x\r\nmore".to_vec()), "220 x");
        check(
            Manner::Silent,
            "X hangs: it has not sent a greeting within 0.3 s",
        );
        check(Manner::Says(b"220 half a line".to_vec()), "X hangs");
        check(
            Manner::Drips(vec![b'x'; 1000], Duration::from_millis(20)),
            "X hangs",
        );
        check(Manner::Closes(b"22".to_vec()), "X closed the connection");
        check(Manner::Endless, "X sends more than it may");
    }

    #[test]
    fn who_is_not_there_is_named() {
        let error = Line::connect(
            &"unix:/nonexistent".parse().unwrap(),
            Duration::from_secs(5),
        )
        .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("nobody listens at unix:/nonexistent"),
            "{error}"
        );
    }
}
