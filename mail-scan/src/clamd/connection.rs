//! A connection to clamd that never waits for ever, for `clamav-client`, which has no time-outs of
//! its own.
//!
//! It gathers small writes. When clamd refuses a stream it answers and closes: the reply is kept
//! although writing fails.

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

use super::address::Address;

/// A reply is a line, or a page of statistics; more is not clamd.
const REPLY_MAX_BYTES: usize = 64 << 10;

const GATHER_BYTES: usize = 256 << 10;

/// How often a wait looks whether the run is to end.
const SLICE: Duration = Duration::from_millis(250);

/// However slow a network is, it carries so much in a second; a question may take so much longer as
/// its content is larger.
const BYTES_A_SECOND: u64 = 8 << 20;

/// How often a full queue of a unix socket is tried again.
const QUEUE_POLL: Duration = Duration::from_millis(5);

/// How long clamd is waited for.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    /// Until it takes a connection.
    pub(crate) connect: Duration,
    /// From the question to the end of the answer, sending included.
    pub(crate) reply: Duration,
    /// What ends every wait.
    pub(crate) interrupt: Interrupt,
}

impl Patience {
    /// The same for a content of `bytes`.
    pub(crate) fn for_bytes(&self, bytes: u64) -> Self {
        Self {
            reply: self.reply + Duration::from_secs(bytes / BYTES_A_SECOND),
            ..self.clone()
        }
    }

    /// Whether a question that was begun at `start` may go on.
    ///
    /// # Errors
    /// `TimedOut` when it took too long, another once a signal has asked the run to end.
    fn go_on(&self, start: Instant) -> io::Result<()> {
        self.interrupt.check().map_err(io::Error::other)?;
        if start.elapsed() < self.reply {
            return Ok(());
        }
        let seconds = self.reply.as_secs_f32();
        Err(io::Error::new(
            ErrorKind::TimedOut,
            format!("no answer for {seconds} seconds"),
        ))
    }
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
    start: Instant,
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
            start: Instant::now(),
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
            self.write_failure =
                write_patiently(&mut self.socket, &outgoing, &self.patience, self.start).err();
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
        let length = match read_patiently(&mut self.socket, buffer, &self.patience, self.start) {
            // Nothing came: what failed before is the reason.
            Ok(0) | Err(_) if self.received_bytes == 0 && self.write_failure.is_some() => {
                return Err(self
                    .write_failure
                    .take()
                    .unwrap_or_else(|| ErrorKind::BrokenPipe.into()));
            }
            result => result?,
        };
        self.received_bytes += length;
        self.complete = length > 0 && buffer[length - 1] == 0;
        Ok(length)
    }
}

/// Reads once something is there, while the question that was begun at `start` may go on.
pub(super) fn read_patiently(
    socket: &mut impl Read,
    buffer: &mut [u8],
    patience: &Patience,
    start: Instant,
) -> io::Result<usize> {
    loop {
        patience.go_on(start)?;
        match socket.read(buffer) {
            Err(error) if is_to_be_tried_again(&error) => {}
            result => return result,
        }
    }
}

fn write_patiently(
    socket: &mut Socket,
    mut data: &[u8],
    patience: &Patience,
    start: Instant,
) -> io::Result<()> {
    while !data.is_empty() {
        patience.go_on(start)?;
        match socket.write(data) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(length) => data = &data[length..],
            Err(error) if is_to_be_tried_again(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_to_be_tried_again(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

impl Socket {
    fn set_timeouts(&self, reply: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(SLICE.min(reply)))?;
                stream.set_write_timeout(Some(SLICE.min(reply)))?;
                stream.set_nodelay(true)
            }
            Self::Unix(stream) => set_unix_timeouts(stream, reply),
        }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(data),
            Self::Unix(stream) => stream.write(data),
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
    stream.set_write_timeout(Some(SLICE.min(reply)))
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
