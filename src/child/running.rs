// SPDX-License-Identifier: GPL-2.0-or-later
//! The agent's side of a running child: one epoll set over its output, its error output and its launcher.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::fs::{MemfdFlags, OFlags, SeekFrom, fcntl_getfl, fcntl_setfl, memfd_create, seek};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::message::{Message, receive, send};
use super::{CLEAN_UP, Child, ChildError, Ended, Finished, LAUNCHER_WORD};
use crate::interrupt;
use crate::kill::{kill_tree, timespec, wait_readable};
use crate::time::Deadline;

const STDOUT: u64 = 0;
const STDERR: u64 = 1;
const LAUNCHER: u64 = 2;
const INTERRUPT: u64 = 3;

/// What is read of a stream at once.
const CHUNK: usize = 64 * 1024;

/// One line of a child's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line, without its end. What is beyond the capture limit is cut off.
    Text(Vec<u8>),
    /// None came before the deadline.
    Later,
    /// None will come: the child has ended.
    Closed,
}

/// A program that runs. Dropping it kills it, and everything that it started.
///
/// Its descriptor ([`AsFd`]) is readable when there is something to do for [`Running::next_line`]. Call that until it
/// says [`Line::Later`] before polling again.
#[derive(Debug)]
pub struct Running {
    program: PathBuf,
    epoll: OwnedFd,
    /// The socket to the launcher, until its end.
    launcher: Option<OwnedFd>,
    process: std::process::Child,
    pidfd: OwnedFd,
    /// The program's own pidfd, from its start.
    held: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    output: Vec<u8>,
    /// The rest of a line that is too long is being dropped.
    skipping: bool,
    errors: Vec<u8>,
    capture: usize,
    dropped: u64,
    failed: Option<Errno>,
    ended: Option<Ended>,
    survivors: u32,
    /// A signal asked the agent to end while this ran.
    interrupted: bool,
    began: Instant,
    took: Option<Duration>,
}

impl Running {
    pub(super) fn start(child: &Child<'_>, deadline: Deadline) -> Result<Self, ChildError> {
        let mut running = Self::start_launcher(child).map_err(ChildError::Launcher)?;
        while running.held.is_none() {
            if let Some(errno) = running.failed {
                return Err(ChildError::of_start(child.program, errno));
            }
            if running.launcher.is_none() {
                return Err(ChildError::Launcher(Errno::NOEXEC.into()));
            }
            if deadline.passed() {
                return Err(ChildError::TooSlow(child.program.to_path_buf()));
            }
            running.pump(deadline, true);
        }
        Ok(running)
    }

    #[allow(clippy::disallowed_methods, reason = "this is the file where children are started")]
    fn start_launcher(child: &Child<'_>) -> io::Result<Self> {
        let (ours, its) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let input = child.stdin.map(memory_file).transpose()?;
        send(&ours, Message::Go, input.as_ref().map(AsFd::as_fd))?;
        drop(input);
        let launcher = child.launcher.unwrap_or(Path::new("/proc/self/exe"));
        let mut command = Command::new(launcher);
        command.arg0("vm-agent").arg(LAUNCHER_WORD).arg(child.program).args(&child.args);
        command.env_clear().envs(child.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::from(its)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn()?;
        drop(command);
        let began = Instant::now();
        let stdout = process.stdout.take().map(OwnedFd::from);
        let stderr = process.stderr.take().map(OwnedFd::from);
        let prepared = Self::prepare(&process, stdout.as_ref(), stderr.as_ref(), &ours);
        let (epoll, pidfd) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                // Our end of the socket closes: the launcher ends by itself, and starts nothing more.
                drop(ours);
                let _ = process.wait();
                return Err(error);
            }
        };
        Ok(Self {
            program: child.program.to_path_buf(),
            epoll,
            launcher: Some(ours),
            process,
            pidfd,
            held: None,
            stdout,
            stderr,
            output: Vec::new(),
            skipping: false,
            errors: Vec::new(),
            capture: child.capture,
            dropped: 0,
            failed: None,
            ended: None,
            survivors: 0,
            interrupted: false,
            began,
            took: None,
        })
    }

    fn prepare(
        process: &std::process::Child,
        stdout: Option<&OwnedFd>,
        stderr: Option<&OwnedFd>,
        launcher: &OwnedFd,
    ) -> io::Result<(OwnedFd, OwnedFd)> {
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw).ok_or(Errno::INVAL)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (fd, token) in [(stdout, STDOUT), (stderr, STDERR), (Some(launcher), LAUNCHER)] {
            if let Some(fd) = fd {
                fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?;
                epoll::add(&epoll, fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?;
            }
        }
        // What is started after a signal serves a tidy end, and is not cut short by it.
        if let Some(signals) = interrupt::descriptor().filter(|_| !interrupt::requested()) {
            epoll::add(&epoll, signals, epoll::EventData::new_u64(INTERRUPT), epoll::EventFlags::IN)?;
        }
        Ok((epoll, pidfd))
    }

    /// The next line of its output; those that were written before its end come before [`Line::Closed`].
    pub fn next_line(&mut self, deadline: Deadline) -> Line {
        loop {
            if let Some(line) = self.take_line() {
                return Line::Text(line);
            }
            if self.launcher.is_none() {
                self.drain(true);
                return match self.take_line() {
                    Some(line) => Line::Text(line),
                    None if self.output.is_empty() => Line::Closed,
                    None => Line::Text(std::mem::take(&mut self.output)),
                };
            }
            if !self.pump(deadline, true) && deadline.passed() {
                return Line::Later;
            }
        }
    }

    /// Waits for its end, and reads what it writes until then; at the deadline it is killed.
    ///
    /// # Errors
    /// Somebody else killed its launcher.
    pub fn finish(mut self, deadline: Deadline) -> Result<Finished, ChildError> {
        self.wait(deadline);
        self.result()
    }

    /// Asks it to end (SIGTERM), and kills it after `grace`.
    ///
    /// # Errors
    /// Somebody else killed its launcher.
    pub fn terminate(mut self, grace: Duration) -> Result<Finished, ChildError> {
        if let Some(held) = &self.held {
            let _ = pidfd_send_signal(held, Signal::TERM);
        }
        self.wait(Deadline::after(grace));
        self.result()
    }

    /// Kills it at once.
    ///
    /// # Errors
    /// Somebody else killed its launcher.
    pub fn kill(self) -> Result<Finished, ChildError> {
        self.finish(Deadline::after(Duration::ZERO))
    }

    fn wait(&mut self, deadline: Deadline) {
        while self.ended.is_none() && self.launcher.is_some() && !deadline.passed() && !self.interrupted {
            self.pump(deadline, false);
        }
        if self.ended.is_none() && self.launcher.is_some() {
            self.ended = Some(Ended::TimedOut);
            self.took = Some(self.began.elapsed());
        }
        self.clean_up();
    }

    /// Ends whatever is left. The launcher does it, unless it is stuck itself.
    fn clean_up(&mut self) {
        let deadline = Deadline::after(CLEAN_UP + CLEAN_UP / 4);
        if let Some(launcher) = &self.launcher {
            let _ = send(launcher, Message::Kill, None);
        }
        while self.launcher.is_some() && !deadline.passed() {
            self.pump(deadline, false);
        }
        if self.launcher.take().is_some() {
            self.survivors = kill_tree(self.process.id());
        }
        if let Some(held) = self.held.take() {
            let _ = pidfd_send_signal(&held, Signal::KILL);
        }
        if wait_readable(&self.pidfd, Deadline::after(CLEAN_UP / 4)) {
            let _ = self.process.try_wait();
        }
    }

    fn result(mut self) -> Result<Finished, ChildError> {
        self.drain(false);
        self.dropped += self.output.len().saturating_sub(self.capture) as u64;
        self.output.truncate(self.capture);
        let Some(ended) = self.ended else { return Err(ChildError::Lost(std::mem::take(&mut self.program))) };
        Ok(Finished {
            ended,
            stdout: std::mem::take(&mut self.output),
            stderr: std::mem::take(&mut self.errors),
            dropped: self.dropped,
            survivors: self.survivors,
            took: self.took.unwrap_or_else(|| self.began.elapsed()),
        })
    }

    /// Waits for something to happen, and takes it in; whether something did.
    fn pump(&mut self, deadline: Deadline, by_line: bool) -> bool {
        let soon = deadline.at_most(Duration::from_secs(86_400));
        let mut space = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 4];
        let count = match epoll::wait(&self.epoll, &mut space, Some(&timespec(soon))) {
            Ok(count) => count,
            Err(Errno::INTR) => return false,
            Err(_) => {
                self.launcher = None;
                return false;
            }
        };
        for event in space.iter().take(count) {
            match event.data.u64() {
                STDOUT => self.read_output(by_line),
                STDERR => self.read_errors(),
                INTERRUPT => self.hear_signal(),
                _ => {
                    self.hear();
                    true
                }
            };
        }
        count > 0
    }

    /// Notes the signal once; it stays readable, and must not wake us again.
    fn hear_signal(&mut self) -> bool {
        self.interrupted = true;
        if let Some(signals) = interrupt::descriptor() {
            let _ = epoll::delete(&self.epoll, signals);
        }
        true
    }

    /// Takes in one message of the launcher.
    fn hear(&mut self) {
        let Some(launcher) = &self.launcher else { return };
        let (message, fd) = match receive(launcher, RecvFlags::DONTWAIT) {
            Ok(Some(heard)) => heard,
            // It ended before it read our last word; what it had said is still there.
            Err(Errno::AGAIN | Errno::CONNRESET) => return,
            Ok(None) | Err(_) => {
                self.launcher = None;
                return;
            }
        };
        match message {
            Message::Started => self.held = fd,
            Message::Failed(errno) => self.failed = Some(Errno::from_raw_os_error(errno)),
            Message::Exited(code) => self.note_end(Ended::Exited(code)),
            Message::Signalled(signal) => self.note_end(Ended::Signalled(signal)),
            Message::Left(count) => self.survivors = u32::try_from(count).unwrap_or(0),
            Message::Go | Message::Kill => {}
        }
    }

    fn note_end(&mut self, end: Ended) {
        self.took.get_or_insert_with(|| self.began.elapsed());
        self.ended.get_or_insert(end);
    }

    /// Reads what is still in the pipes after the end of those who wrote into them. A process that could not be killed may
    /// hold them open, so their end is not waited for.
    fn drain(&mut self, by_line: bool) {
        for _ in 0..64 {
            let output = self.read_output(by_line);
            let errors = self.read_errors();
            if !output && !errors {
                return;
            }
        }
    }

    fn read_output(&mut self, by_line: bool) -> bool {
        let Some(stdout) = &self.stdout else { return false };
        let mut chunk = Vec::with_capacity(CHUNK);
        match rustix::io::read(stdout, rustix::buffer::spare_capacity(&mut chunk)) {
            Ok(0) => self.stdout = None,
            Ok(_) => self.keep_output(&chunk, by_line),
            Err(Errno::AGAIN | Errno::INTR) => return false,
            Err(_) => self.stdout = None,
        }
        true
    }

    fn keep_output(&mut self, chunk: &[u8], by_line: bool) {
        let room = self.capture.saturating_sub(self.output.len());
        if !by_line {
            self.output.extend(chunk.iter().take(room));
            self.dropped += chunk.len().saturating_sub(room) as u64;
            return;
        }
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            let ends = part.last() == Some(&b'\n');
            let length = self.output.iter().rev().take_while(|byte| **byte != b'\n').count();
            let room = if self.skipping { 0 } else { self.capture.saturating_sub(length) };
            let kept = part.get(..room.min(part.len())).unwrap_or(part);
            self.output.extend_from_slice(kept);
            self.dropped += (part.len() - kept.len()) as u64;
            if ends && self.output.last() != Some(&b'\n') {
                self.output.push(b'\n');
            }
            self.skipping = !ends && kept.len() < part.len();
        }
    }

    fn read_errors(&mut self) -> bool {
        let Some(stderr) = &self.stderr else { return false };
        let mut chunk = Vec::with_capacity(CHUNK);
        match rustix::io::read(stderr, rustix::buffer::spare_capacity(&mut chunk)) {
            Ok(0) => self.stderr = None,
            Ok(_) => {
                self.errors.extend_from_slice(&chunk);
                let excess = self.errors.len().saturating_sub(self.capture);
                self.errors.drain(..excess);
                self.dropped += excess as u64;
            }
            Err(Errno::AGAIN | Errno::INTR) => return false,
            Err(_) => self.stderr = None,
        }
        true
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.output.iter().position(|byte| *byte == b'\n')?;
        let rest = self.output.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.output, rest);
        line.pop();
        Some(line)
    }
}

impl AsFd for Running {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.launcher.is_some() {
            self.clean_up();
        }
    }
}

/// The bytes as a file that only lives in memory: nobody has to feed it to the program, and the program may seek in it.
fn memory_file(bytes: &[u8]) -> rustix::io::Result<OwnedFd> {
    let file = memfd_create("stdin", MemfdFlags::CLOEXEC)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, rest))?;
        rest = rest.get(written..).unwrap_or_default();
    }
    seek(&file, SeekFrom::Start(0))?;
    Ok(file)
}
