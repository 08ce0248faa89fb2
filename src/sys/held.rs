// SPDX-License-Identifier: GPL-2.0-or-later
//! Ending a process that is known by its number and its start time. A number that came to mean another process is never
//! signalled: the process is held by a descriptor first, and checked then.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use crate::sys::proc::children_of;
use crate::sys::proc::parent_of;
use crate::sys::proc::start_time;
use crate::sys::time::{Deadline, timespec};

/// A process that cannot be mistaken for another, whatever becomes of its number.
///
/// Its descriptor ([`AsFd`]) becomes readable when the process has ended, so it can be polled with others.
#[derive(Debug)]
pub(crate) struct Held {
    pidfd: OwnedFd,
}

impl Held {
    /// Takes hold of process `pid`, if it is still the one that started at `start_time_ticks` (clock ticks since boot).
    /// None: that process has ended. One that only waits to be reaped by its parent has ended too.
    ///
    /// # Errors
    /// The kernel does not let us (before Linux 5.3 it has no such descriptors), or `/proc` cannot be read.
    pub(crate) fn open(pid: u32, start_time_ticks: u64) -> io::Result<Option<Self>> {
        let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let pidfd = match pidfd_open(number, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            // The number may have become a thread of another process.
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if start_time(pid)? != Some(start_time_ticks) {
            return Ok(None);
        }
        let held = Self { pidfd };
        Ok(if held.ended() { None } else { Some(held) })
    }

    /// Sends it a signal; one that has ended already is no error.
    ///
    /// # Errors
    /// We may not signal it.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub(crate) fn ended(&self) -> bool {
        self.wait_end(Deadline::after(Duration::ZERO))
    }

    /// Waits for its end; whether that came before the deadline.
    #[must_use]
    pub(crate) fn wait_end(&self, deadline: Deadline) -> bool {
        wait_readable(&self.pidfd, deadline)
    }
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Whether the kernel lets us hold processes.
///
/// # Errors
/// It does not, and says why.
pub(crate) fn can_hold() -> io::Result<()> {
    pidfd_open(getpid(), PidfdFlags::empty()).map(drop).map_err(io::Error::from)
}

/// Waits until the descriptor is readable (a pidfd: until its process has ended); whether that came before the
/// deadline.
pub(crate) fn wait_readable(fd: &OwnedFd, deadline: Deadline) -> bool {
    loop {
        let mut fds = [PollFd::new(fd, PollFlags::IN)];
        match poll(&mut fds, Some(&timespec(deadline.left()))) {
            Ok(0) if deadline.passed() => return false,
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return true,
            // Out of memory: not an end.
            Err(_) => return false,
        }
    }
}

/// Kills the process that `pidfd` holds, whose number is `root`, and all its descendants: for a launcher that does not
/// do it by itself any more. Returns how many of them had not ended at once.
pub(crate) fn kill_tree(root: u32, pidfd: &OwnedFd) -> u32 {
    let Some(root) = i32::try_from(root).ok().and_then(Pid::from_raw) else { return 0 };
    let mut held = Vec::new();
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        for child in children_of(parent) {
            // Held first, asked for its parent then: a number that was used again has another one.
            let Ok(pidfd) = pidfd_open(child, PidfdFlags::empty()) else { continue };
            if parent_of(child) == Some(parent) {
                held.push(pidfd);
                next.push(child);
            }
        }
    }
    // As long as it has not ended the number was its own, and what was found below it too.
    if wait_readable(pidfd, Deadline::after(Duration::ZERO)) {
        return 0;
    }
    let deadline = Deadline::after(Duration::from_millis(100));
    let all = || std::iter::once(pidfd).chain(&held);
    for pidfd in all() {
        let _ = pidfd_send_signal(pidfd, Signal::KILL);
    }
    let left = all().filter(|pidfd| !wait_readable(pidfd, deadline)).count();
    u32::try_from(left).unwrap_or(u32::MAX)
}
