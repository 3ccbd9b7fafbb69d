//! A proxy on a unix socket before clamd that keeps the descriptors of files back, and lets those
//! of memory pass, as AppArmor does for a clamd whose profile does not name the directory.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// Listens at `socket` for the clamd at `target` (`unix:/path`); its threads end with the test's
/// process.
pub(crate) fn stand_before(target: &str, socket: &Path) -> String {
    let target = PathBuf::from(target.strip_prefix("unix:").unwrap());
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let target = target.clone();
            thread::spawn(move || pass_on(client, &target));
        }
    });
    format!("unix:{}", socket.display())
}

fn pass_on(client: UnixStream, target: &Path) {
    let Ok(clamd) = UnixStream::connect(target) else {
        return;
    };
    let (to_clamd, from_client) = (clamd.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || {
        while let Ok(true) = pass_message(&from_client, &to_clamd) {}
        let _ = to_clamd.shutdown(Shutdown::Write);
    });
    let (mut from_clamd, mut to_client) = (clamd, client);
    let _ = io::copy(&mut from_clamd, &mut to_client);
    let _ = to_client.shutdown(Shutdown::Both);
}

/// Passes one message on; false at the end.
fn pass_message(from: &UnixStream, to: &UnixStream) -> io::Result<bool> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut data = [0; 1 << 16];
    let length = rustix::net::recvmsg(
        from,
        &mut [IoSliceMut::new(&mut data)],
        &mut control,
        RecvFlags::empty(),
    )?
    .bytes;
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    descriptors.retain(is_memory);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    if !borrowed.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(&borrowed)));
    }
    rustix::net::sendmsg(
        to,
        &[IoSlice::new(&data[..length])],
        &mut control,
        SendFlags::empty(),
    )?;
    (&mut &*to).flush()?;
    Ok(length > 0)
}

/// A memfd has no name.
fn is_memory(descriptor: &OwnedFd) -> bool {
    let file = File::from(descriptor.try_clone().unwrap());
    file.metadata().unwrap().nlink() == 0
}
