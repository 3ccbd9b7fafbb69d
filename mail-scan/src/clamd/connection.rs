//! A connection to clamd that never waits for ever, for `clamav-client`, which has no time-outs of its own.
//!
//! It gathers small writes. When clamd refuses a stream it answers and closes: the reply is kept although writing fails.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use clamav_client::TransportProtocol;
use mail_common::interrupt::Interrupt;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::Address;

/// A reply is a line, or a page of statistics; more is not clamd.
const REPLY_MAX_BYTES: usize = 64 << 10;

const GATHER_BYTES: usize = 256 << 10;

/// So often a wait looks whether the run is to end.
const SLICE: Duration = Duration::from_millis(250);

/// A full queue of a unix socket is tried again so often.
const QUEUE_POLL: Duration = Duration::from_millis(5);

/// How long clamd is waited for.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    /// Until it takes a connection.
    pub(crate) connect: Duration,
    /// Until it says something, or takes more data.
    pub(crate) reply: Duration,
    /// What ends every wait.
    pub(crate) interrupt: Interrupt,
}

/// Opens connections to one clamd.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dial<'a> {
    pub(crate) address: &'a Address,
    pub(crate) patience: &'a Patience,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    patience: Patience,
    outgoing: Vec<u8>,
    write_failure: Option<io::Error>,
    received_bytes: usize,
    complete: bool,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl TransportProtocol for Dial<'_> {
    type Stream = Connection;

    fn connect(&self) -> io::Result<Connection> {
        let socket = match self.address {
            Address::Tcp(place) => Socket::Tcp(connect_tcp(place, self.patience.connect)?),
            Address::Unix(path) => Socket::Unix(connect_unix(path, self.patience)?),
        };
        socket.set_timeouts(self.patience.reply)?;
        Ok(Connection {
            socket,
            patience: self.patience.clone(),
            outgoing: Vec::new(),
            write_failure: None,
            received_bytes: 0,
            complete: false,
        })
    }
}

impl Connection {
    /// Sends what is gathered. Once writing has failed nothing more is sent: the reply says why.
    fn send(&mut self) {
        let outgoing = std::mem::take(&mut self.outgoing);
        if self.write_failure.is_none() {
            self.write_failure = self.socket.write_all(&outgoing).err();
        }
        self.outgoing = outgoing;
        self.outgoing.clear();
    }
}

impl Write for Connection {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(data);
        if self.outgoing.len() >= GATHER_BYTES {
            self.send();
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send();
        Ok(())
    }
}

impl Read for Connection {
    /// The reply, which ends with its NUL, or where clamd closes the connection.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.send();
        if self.complete || self.received_bytes >= REPLY_MAX_BYTES {
            return Ok(0);
        }
        let length = match read_patiently(&mut self.socket, buffer, &self.patience) {
            // Nothing came: what failed before is the reason.
            Ok(0) | Err(_) if self.received_bytes == 0 && self.write_failure.is_some() => {
                return Err(self.write_failure.take().unwrap_or_else(|| ErrorKind::BrokenPipe.into()));
            }
            result => result?,
        };
        self.received_bytes += length;
        self.complete = length > 0 && buffer[length - 1] == 0;
        Ok(length)
    }
}

/// Reads once something is there; fails with `TimedOut` when nothing comes, and with `Interrupted` no more than once a
/// signal has asked the run to end.
pub(super) fn read_patiently(socket: &mut impl Read, buffer: &mut [u8], patience: &Patience) -> io::Result<usize> {
    let start = Instant::now();
    loop {
        match socket.read(buffer) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => return result,
        }
        patience.interrupt.check().map_err(io::Error::other)?;
        if start.elapsed() >= patience.reply {
            let seconds = patience.reply.as_secs_f32();
            return Err(io::Error::new(ErrorKind::TimedOut, format!("no answer for {seconds} seconds")));
        }
    }
}

impl Socket {
    fn set_timeouts(&self, reply: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(SLICE.min(reply)))?;
                stream.set_write_timeout(Some(reply))?;
                stream.set_nodelay(true)
            }
            Self::Unix(stream) => set_unix_timeouts(stream, reply),
        }
    }

    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(data),
            Self::Unix(stream) => stream.write_all(data),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

pub(super) fn set_unix_timeouts(stream: &UnixStream, reply: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(SLICE.min(reply)))?;
    stream.set_write_timeout(Some(reply))
}

fn connect_tcp(place: &str, within: Duration) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in place.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, within) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// As `UnixStream::connect`, which would wait for ever while the queue of the socket is full.
pub(super) fn connect_unix(path: &Path, patience: &Patience) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let start = Instant::now();
    loop {
        match rustix::net::connect(&socket, &address) {
            // unix(7): the queue is full.
            Err(Errno::AGAIN) if start.elapsed() < patience.connect => thread::sleep(QUEUE_POLL),
            Err(Errno::AGAIN) => return Err(ErrorKind::TimedOut.into()),
            result => break result?,
        }
        patience.interrupt.check().map_err(io::Error::other)?;
    }
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}
