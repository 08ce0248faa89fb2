// SPDX-License-Identifier: GPL-2.0-or-later
//! Lines for a process of this same executable that may never come to an end with them: they go to silent storage perhaps.
//! They are handed over without waiting, and it is left behind where it does not end.
//!
//! It stays in the agent's process group, so that whoever kills that kills it too; where the agent dies alone, it ends with
//! the lines that it has.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, read, write};

use crate::sys::proc::is_runnable;
use crate::sys::time::{Deadline, timespec};

/// The most that it says of itself.
const ANSWER: usize = 4096;
/// How long one that only waits for its turn has again and again.
const TURN: Duration = Duration::from_millis(100);

/// The process, while it is fed.
#[derive(Debug)]
pub(crate) struct Fed {
    process: Child,
    lines: OwnedFd,
    answer: OwnedFd,
}

impl Fed {
    /// Starts `word args...` of this executable.
    ///
    /// # Errors
    /// No process could be started.
    #[allow(clippy::disallowed_methods, reason = "this is a file where the agent starts itself")]
    pub(crate) fn start(word: &str, args: &[OsString]) -> io::Result<Self> {
        let mut command = Command::new(Path::new("/proc/self/exe"));
        command.arg0("vm-agent").arg(word).args(args).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn()?;
        let (Some(lines), Some(answer)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        let fed = Self { process, lines: lines.into(), answer: answer.into() };
        for end in [&fed.lines, &fed.answer] {
            fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?;
        }
        Ok(fed)
    }

    /// Hands a line over; whether there was room for it. A pipe takes one of this length whole, or not at all.
    #[must_use]
    pub(crate) fn give(&self, line: &str) -> bool {
        let line = format!("{line}\n");
        rustix::io::retry_on_intr(|| write(&self.lines, line.as_bytes())).is_ok_and(|written| written == line.len())
    }

    /// There are no more lines. Waits for its end as long as is said, or until the deadline where all that it waits for is
    /// its turn; gives what it has said. Nothing: it does not come to an end, and was left behind.
    pub(crate) fn end(self, patience: Duration, deadline: Deadline) -> Option<String> {
        let Self { mut process, lines, answer } = self;
        drop(lines);
        let said = said(&answer, patience, deadline, process.id());
        if said.is_none() {
            let _ = process.kill();
        }
        let _ = if said.is_some() { process.wait().map(Some) } else { process.try_wait() };
        said
    }
}

/// All that is said until the end.
fn said(answer: &OwnedFd, patience: Duration, deadline: Deadline, process: u32) -> Option<String> {
    let mut text = Vec::with_capacity(ANSWER);
    let mut soon = deadline.at_most(patience);
    loop {
        text.reserve(ANSWER);
        match read(answer, rustix::buffer::spare_capacity(&mut text)) {
            Ok(0) => return Some(String::from_utf8_lossy(&text).into_owned()),
            Ok(_) | Err(Errno::INTR) => text.truncate(ANSWER),
            Err(Errno::AGAIN) => {
                if soon.passed() && !deadline.passed() && is_runnable(process) {
                    soon = deadline.at_most(TURN);
                }
                if soon.passed() {
                    return None;
                }
                let _ = poll(&mut [PollFd::new(answer, PollFlags::IN)], Some(&timespec(soon.left())));
            }
            Err(_) => return None,
        }
    }
}
