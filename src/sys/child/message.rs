// SPDX-License-Identifier: GPL-2.0-or-later
//! What the agent and the launcher say to each other: datagrams of five bytes on a socket pair, some with a descriptor.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// To the launcher: start the program; its input comes along, if it has one. Whether what it leaves behind after a
    /// success shall live on.
    Go { leaves: bool },
    /// To the launcher: end everything now.
    Kill,
    /// From the launcher: the program runs as this process; its pidfd comes along.
    Started(i32),
    /// From the launcher: the program did not start, for this error number.
    Failed(i32),
    /// From the launcher: the program ended with this exit code.
    Exited(i32),
    /// From the launcher: the program was ended by this signal.
    Signalled(i32),
    /// From the launcher, last: this many children could not be killed.
    Left(i32),
}

impl Message {
    fn to_bytes(self) -> [u8; 5] {
        let (kind, value) = match self {
            Self::Go { leaves } => (b'g', i32::from(leaves)),
            Self::Kill => (b'k', 0),
            Self::Started(pid) => (b's', pid),
            Self::Failed(errno) => (b'f', errno),
            Self::Exited(code) => (b'x', code),
            Self::Signalled(signal) => (b'i', signal),
            Self::Left(count) => (b'l', count),
        };
        let [a, b, c, d] = value.to_le_bytes();
        [kind, a, b, c, d]
    }

    fn from_bytes(bytes: [u8; 5]) -> Option<Self> {
        let [kind, a, b, c, d] = bytes;
        let value = i32::from_le_bytes([a, b, c, d]);
        match kind {
            b'g' => Some(Self::Go { leaves: value != 0 }),
            b'k' => Some(Self::Kill),
            b's' => Some(Self::Started(value)),
            b'f' => Some(Self::Failed(value)),
            b'x' => Some(Self::Exited(value)),
            b'i' => Some(Self::Signalled(value)),
            b'l' => Some(Self::Left(value)),
            _ => None,
        }
    }
}

pub(super) fn send(socket: impl AsFd, message: Message, with: Option<BorrowedFd<'_>>) -> rustix::io::Result<()> {
    let bytes = message.to_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = with.into_iter().collect();
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::NOBUFS);
    }
    // Never waits: a handful of small messages fit into every socket.
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, flags).map(|_| ())
}

/// The next message, and the descriptor that came along. None: the other side has ended.
pub(super) fn receive(socket: impl AsFd, flags: RecvFlags) -> rustix::io::Result<Option<(Message, Option<OwnedFd>)>> {
    let mut bytes = [0; 5];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = flags | RecvFlags::CMSG_CLOEXEC;
    let length = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags).map(|it| it.bytes)
    })?;
    let mut fd = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            fd = fd.or(fds.into_iter().next());
        }
    }
    if length == 0 {
        return Ok(None);
    }
    Ok(Some((Message::from_bytes(bytes).ok_or(Errno::BADMSG)?, fd)))
}
