// SPDX-License-Identifier: GPL-2.0-or-later
//! Questions that may never be answered: this same executable asks them in a process of its own, `vm-agent __look`, which
//! is left behind when it waits for what does not come (silent storage, the locked memory of another process).
//!
//! A thread could not be left behind: one in uninterruptible sleep keeps its whole process from ending, so the answer
//! would be written and the exit code never come.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::sys::interrupt;
use crate::sys::proc::is_runnable;
use crate::sys::time::{Deadline, timespec};

/// The first argument that makes the executable answer a question; what follows it is the question.
pub const ASIDE_WORD: &str = "__look";

/// What came of a question.
pub(crate) struct Heard {
    /// All that was answered, as far as it came.
    pub(crate) text: Vec<u8>,
    /// Whether the asking process has come to its end; else it was left behind.
    pub(crate) ended: bool,
}

/// How long an answer is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// In all.
    pub(crate) deadline: Deadline,
    /// After a part of the answer has come, for the next one; a process that is only slow to get its turn has longer.
    pub(crate) silence: Option<Duration>,
    /// Not beyond a signal that tells the agent to end.
    pub(crate) interruptible: bool,
}

/// Asks, and waits for the answer.
///
/// # Errors
/// No process could be started.
pub(crate) fn ask(question: &[OsString], patience: Patience) -> io::Result<Heard> {
    let mut child = start(question)?;
    let mut text = Vec::new();
    let ended = match child.stdout.take().map(OwnedFd::from) {
        Some(output) => read(&output, &mut text, patience, child.id())?,
        None => false,
    };
    if !ended {
        // It ends when what it waits for lets go of it. It holds nothing of our caller's but its working folder.
        let _ = child.kill();
    }
    let reaped = if ended { child.wait().map(Some) } else { child.try_wait() };
    log::trace!("a question was answered: {ended}, {reaped:?}");
    Ok(Heard { text, ended })
}

#[allow(clippy::disallowed_methods, reason = "this is the file where the agent asks aside")]
fn start(question: &[OsString]) -> io::Result<std::process::Child> {
    let mut command = Command::new(Path::new("/proc/self/exe"));
    command.arg0("vm-agent").arg(ASIDE_WORD).args(question).env_clear();
    // Out of the way of a signal to the agent's group; it dies with the agent by itself.
    command.process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn()
}

/// Reads to the end, or as long as there is time; whether it was the end.
fn read(output: &OwnedFd, text: &mut Vec<u8>, patience: Patience, child: u32) -> io::Result<bool> {
    let Patience { deadline, silence, interruptible } = patience;
    fcntl_setfl(output, fcntl_getfl(output)? | OFlags::NONBLOCK)?;
    let signals = interrupt::descriptor().filter(|_| interruptible && !interrupt::requested());
    let mut soon = deadline;
    loop {
        text.reserve(4096);
        match rustix::io::read(output, rustix::buffer::spare_capacity(text)) {
            Ok(0) => return Ok(true),
            Ok(_) => {
                soon = silence.map_or(deadline, |silence| deadline.at_most(silence));
                continue;
            }
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        if soon.passed() && !deadline.passed() && is_runnable(child) {
            soon = deadline.at_most(Duration::from_millis(100));
        }
        if soon.passed() || interruptible && interrupt::requested() {
            return Ok(false);
        }
        let mut fds = vec![PollFd::new(output, PollFlags::IN)];
        fds.extend(signals.map(|signals| PollFd::from_borrowed_fd(signals, PollFlags::IN)));
        match poll(&mut fds, Some(&timespec(soon.left()))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Prepares the process that asks: it shall not outlive the agent, as far as that depends on it.
pub(crate) fn prepare() {
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let _ = rustix::thread::set_name(c"vm-agent-look");
}
