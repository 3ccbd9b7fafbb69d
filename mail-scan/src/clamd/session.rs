//! Files by descriptor: FILDES inside a session (clamd(8)), over a unix socket. clamd maps the file itself, so that nothing
//! is copied, and no limit of streams applies.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use super::connection::{Patience, connect_unix, read_patiently, set_unix_timeouts};

const REPLY_MAX_BYTES: usize = 4096;

/// A session: one question at a time, many questions a connection.
#[derive(Debug)]
pub(crate) struct Session {
    stream: UnixStream,
    questions: u64,
}

impl Session {
    pub(crate) fn open(path: &Path, patience: &Patience) -> io::Result<Self> {
        let mut stream = connect_unix(path, patience)?;
        set_unix_timeouts(&stream, patience.reply)?;
        stream.write_all(b"zIDSESSION\0")?;
        Ok(Self { stream, questions: 0 })
    }

    /// Asks for the file behind `descriptor`; gives the number of the question and the reply, which is empty where clamd closed
    /// the connection. After an error the session is of no use.
    pub(crate) fn ask(&mut self, descriptor: impl AsFd, patience: &Patience) -> io::Result<(u64, Vec<u8>)> {
        self.send_descriptor(descriptor)?;
        self.questions += 1;
        Ok((self.questions, self.read_reply(patience)?))
    }

    fn send_descriptor(&self, descriptor: impl AsFd) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor.as_fd()];
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(ErrorKind::OutOfMemory.into());
        }
        // clamd(8): it may come with the command, and a dummy character after that. So few bytes go at once, or not at all.
        rustix::net::sendmsg(&self.stream, &[IoSlice::new(b"zFILDES\0\0")], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    fn read_reply(&mut self, patience: &Patience) -> io::Result<Vec<u8>> {
        let mut reply = Vec::new();
        let mut buffer = [0; 512];
        while reply.last() != Some(&0) && reply.len() < REPLY_MAX_BYTES {
            match read_patiently(&mut self.stream, &mut buffer, patience)? {
                0 => break,
                length => reply.extend_from_slice(&buffer[..length]),
            }
        }
        Ok(reply)
    }
}
