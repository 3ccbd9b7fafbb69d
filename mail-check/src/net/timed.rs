//! A socket with a deadline: however slowly the other side speaks, each call ends by then.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::error::NetError;
use super::place::Place;

/// A connected socket.
#[derive(Debug)]
pub(super) struct Timed {
    socket: Socket,
    deadline: Instant,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Timed {
    /// Connects; every address that a name has is tried until the deadline.
    pub(super) fn connect(place: &Place, within: Duration) -> Result<Self, NetError> {
        let deadline = Instant::now() + within;
        let connected = match place {
            Place::Unix(path) => UnixStream::connect(path).map(Socket::Unix),
            Place::Tcp { host: _, port } => {
                let found = (place.host(), *port).to_socket_addrs();
                let addresses = found.map_err(|source| NetError::Resolve {
                    place: place.clone(),
                    source,
                })?;
                connect_any(addresses, deadline).map(Socket::Tcp)
            }
        };
        let socket = connected.map_err(|source| {
            let place = place.clone();
            match source.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                    NetError::Refused { place, source }
                }
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => NetError::Silent {
                    place,
                    wanted: "connection",
                    within,
                },
                _ => NetError::Unreachable { place, source },
            }
        })?;
        Ok(Self { socket, deadline })
    }

    pub(super) fn renew(&mut self, within: Duration) {
        self.deadline = Instant::now() + within;
    }

    /// The time that is left, set as the limit of the next call.
    fn limit(&self) -> io::Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match &self.socket {
            Socket::Tcp(socket) => socket
                .set_read_timeout(Some(left))
                .and(socket.set_write_timeout(Some(left))),
            Socket::Unix(socket) => socket
                .set_read_timeout(Some(left))
                .and(socket.set_write_timeout(Some(left))),
        }
    }
}

fn connect_any(
    addresses: impl Iterator<Item = std::net::SocketAddr>,
    deadline: Instant,
) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            // Small commands must not wait for the answer to the one before.
            Ok(stream) => return stream.set_nodelay(true).map(|()| stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.limit()?;
        match &mut self.socket {
            Socket::Tcp(socket) => socket.read(buffer),
            Socket::Unix(socket) => socket.read(buffer),
        }
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.limit()?;
        match &mut self.socket {
            Socket::Tcp(socket) => socket.write(bytes),
            Socket::Unix(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
