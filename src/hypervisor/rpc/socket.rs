// SPDX-License-Identifier: GPL-2.0-or-later
//! The daemon's local socket: connecting, sending and receiving, each no longer than a deadline. It must never wait
//! without one, and knows nothing of what the bytes mean.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send, socket_with,
};

use super::error::RpcError;
use crate::sys::time::Deadline;

/// The first pause between two attempts while the daemon's queue of connections is full.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What is being waited for: the words for an error, and since when.
#[derive(Clone, Copy, Debug)]
pub(in crate::hypervisor) struct WaitFor {
    /// As in "while ...".
    pub doing: &'static str,
    /// When it ends.
    pub deadline: Deadline,
    since: Instant,
}

impl WaitFor {
    /// A wait that starts now.
    #[must_use]
    pub(in crate::hypervisor) fn new(doing: &'static str, deadline: Deadline) -> Self {
        Self { doing, deadline, since: Instant::now() }
    }

    /// The error of its end.
    #[must_use]
    pub(in crate::hypervisor) fn timeout(&self) -> RpcError {
        RpcError::Timeout { doing: self.doing, waited: self.since.elapsed() }
    }

    fn broken(&self, errno: Errno) -> RpcError {
        let ended = errno == Errno::CONNRESET || errno == Errno::PIPE;
        RpcError::Closed { doing: self.doing, error: (!ended).then(|| errno.into()) }
    }
}

/// A connected stream socket.
#[derive(Debug)]
pub(in crate::hypervisor) struct Socket(OwnedFd);

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Socket {
    /// Connects to `path`. A full queue is no refusal: it is tried again until the deadline.
    pub(in crate::hypervisor) fn open(path: &Path, wait: &WaitFor) -> Result<Self, RpcError> {
        let failed = |errno: Errno| RpcError::Connect { socket: PathBuf::from(path), error: io::Error::from(errno) };
        let address = SocketAddrUnix::new(path).map_err(failed)?;
        // Most sockets that are asked for are not there, and a name costs less than a socket.
        access(path, Access::EXISTS).map_err(failed)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(failed)?;
        let mut pause = FIRST_PAUSE;
        loop {
            match connect(&socket, &address) {
                Ok(()) => return Ok(Self(socket)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    std::thread::sleep(pause.min(wait.deadline.left()));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(errno) => return Err(failed(errno)),
            }
            if wait.deadline.passed() {
                return Err(wait.timeout());
            }
        }
    }

    /// Sends all of `bytes`. After an error a part of them may have been sent.
    pub(in crate::hypervisor) fn send(&self, mut bytes: &[u8], wait: &WaitFor) -> Result<(), RpcError> {
        while !bytes.is_empty() {
            match send(&self.0, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if !self.ready(PollFlags::OUT, wait)? {
                        return Err(wait.timeout());
                    }
                }
                Err(errno) => return Err(wait.broken(errno)),
            }
        }
        Ok(())
    }

    /// Appends what has arrived to `buffer`, up to its spare capacity, without waiting: whether anything had.
    pub(in crate::hypervisor) fn receive(&self, buffer: &mut Vec<u8>, wait: &WaitFor) -> Result<bool, RpcError> {
        loop {
            match recv(&self.0, spare_capacity(buffer), RecvFlags::empty()) {
                Ok((0, _)) => return Err(RpcError::Closed { doing: wait.doing, error: None }),
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(wait.broken(errno)),
            }
        }
    }

    /// Waits until there is something to receive, or the connection has ended: false at the deadline.
    pub(in crate::hypervisor) fn wait_for_input(&self, wait: &WaitFor) -> Result<bool, RpcError> {
        self.ready(PollFlags::IN, wait)
    }

    fn ready(&self, events: PollFlags, wait: &WaitFor) -> Result<bool, RpcError> {
        loop {
            let timeout = Timespec::try_from(wait.deadline.left()).ok();
            match poll(&mut [PollFd::new(&self.0, events)], timeout.as_ref()) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(wait.broken(errno)),
            }
        }
    }
}
