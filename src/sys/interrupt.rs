// SPDX-License-Identifier: GPL-2.0-or-later
//! SIGTERM and SIGINT: the action in progress ends tidily and says where things stand.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

static RECEIVED: OnceLock<UnixStream> = OnceLock::new();

/// From now on both signals are noted rather than fatal. Not for monitors: they are short, and change nothing.
pub(crate) fn note() {
    let Ok((receive, send)) = UnixStream::pair() else { return };
    let Ok(second) = send.try_clone() else { return };
    if receive.set_nonblocking(true).is_ok()
        && RECEIVED.set(receive).is_ok()
        && pipe::register(SIGTERM, send).is_ok()
        && pipe::register(SIGINT, second).is_err()
    {
        log::debug!("SIGINT cannot be noted");
    }
}

/// What becomes readable with the first signal, for those who poll.
#[must_use]
pub(crate) fn descriptor() -> Option<BorrowedFd<'static>> {
    RECEIVED.get().map(AsFd::as_fd)
}

/// Whether one of the signals has come.
#[must_use]
pub(crate) fn requested() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    descriptor().is_some_and(|fd| {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
    })
}
