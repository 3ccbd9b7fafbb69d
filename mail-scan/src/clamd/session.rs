//! Files by descriptor: FILDES inside a session (clamd(8)), over a unix socket. clamd maps the file
//! itself, so that nothing is copied, and no limit of streams applies.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use super::connection::{Patience, connect_unix, read_patiently, set_unix_timeouts};

const REPLY_MAX_BYTES: usize = 4096;

/// A session: many questions a connection, several of them at a time.
#[derive(Debug)]
pub(crate) struct Session {
    stream: UnixStream,
    questions: u64,
    /// What has come of a reply that is not whole yet.
    received: Vec<u8>,
}

impl Session {
    pub(crate) fn open(path: &Path, patience: &Patience) -> io::Result<Self> {
        let mut stream = connect_unix(path, patience)?;
        set_unix_timeouts(&stream, patience.reply)?;
        stream.write_all(b"zIDSESSION\0")?;
        Ok(Self {
            stream,
            questions: 0,
            received: Vec::new(),
        })
    }

    /// Asks for the file behind `descriptor`; gives the number of the question.
    ///
    /// # Errors
    /// After an error the session is of no use.
    pub(crate) fn ask(&mut self, descriptor: impl AsFd) -> io::Result<u64> {
        self.send_descriptor(descriptor)?;
        self.questions += 1;
        Ok(self.questions)
    }

    /// The next reply, to any of the questions that were begun at `start`, with its NUL; what there
    /// is of it where clamd closed the connection.
    ///
    /// # Errors
    /// After an error the session is of no use.
    pub(crate) fn reply(&mut self, patience: &Patience, start: Instant) -> io::Result<Vec<u8>> {
        let mut buffer = [0; 1024];
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == 0) {
                let rest = self.received.split_off(end + 1);
                return Ok(std::mem::replace(&mut self.received, rest));
            }
            if self.received.len() >= REPLY_MAX_BYTES {
                return Ok(std::mem::take(&mut self.received));
            }
            match read_patiently(&mut self.stream, &mut buffer, patience, start)? {
                0 => return Ok(std::mem::take(&mut self.received)),
                length => self.received.extend_from_slice(&buffer[..length]),
            }
        }
    }

    fn send_descriptor(&self, descriptor: impl AsFd) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor.as_fd()];
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(ErrorKind::OutOfMemory.into());
        }
        // clamd(8): it may come with the command, and a dummy character after that. So few bytes go
        // at once, or not at all.
        rustix::net::sendmsg(
            &self.stream,
            &[IoSlice::new(b"zFILDES\0\0")],
            &mut control,
            SendFlags::NOSIGNAL,
        )?;
        Ok(())
    }
}
