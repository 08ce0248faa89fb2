// SPDX-License-Identifier: GPL-2.0-or-later
//! Processes as this machine sees them, held so that their end is known to the millisecond.

use super::Moment;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A process that was there when it was looked for.
#[derive(Debug)]
pub struct Process {
    /// Its number on this machine.
    pub pid: i32,
    fd: OwnedFd,
}

impl Process {
    /// The processes that `such` is true of, by number and arguments.
    pub fn all(such: impl Fn(i32, &[Vec<u8>]) -> bool) -> Vec<Self> {
        let numbers =
            std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        numbers
            .filter_map(|pid: i32| {
                let text = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
                let args: Vec<Vec<u8>> = text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
                such(pid, &args).then(|| Self::hold(pid)).flatten()
            })
            .collect()
    }

    /// The process of this number, if it lives.
    pub fn hold(pid: i32) -> Option<Self> {
        let fd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        Some(Self { pid, fd })
    }

    /// Whether it has ended within this time.
    pub fn ended_within(&self, time: Duration) -> bool {
        let timeout = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
        poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&timeout)).unwrap() > 0
    }

    /// Waits for its end, and tells when that was.
    pub fn end(&self) -> Moment {
        assert!(self.ended_within(Duration::from_secs(120)), "process {} does not end", self.pid);
        Moment::now()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        pidfd_send_signal(&self.fd, signal).unwrap();
    }
}
