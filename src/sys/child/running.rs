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

use super::again::in_time;
use super::message::{Message, receive, send};
use super::streams::{Keep, Stream};
use super::{CLEAN_UP, Child, ChildError, Ended, Finished, LAUNCHER_WORD};
use crate::sys::held::{kill_tree, wait_readable};
use crate::sys::interrupt;
use crate::sys::time::{Deadline, timespec};

const STDOUT: u64 = 0;
const STDERR: u64 = 1;
const LAUNCHER: u64 = 2;
const INTERRUPT: u64 = 3;
/// How often is asked whether it is hopeless to wait on.
const HOPES_FOR: Duration = Duration::from_millis(100);

/// One line of a child's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputLine {
    /// A line, without its end. What is beyond the capture limit is cut off.
    Text(Vec<u8>),
    /// None came before the deadline.
    Later,
    /// None will come: the child has ended.
    Closed,
}

/// A program that runs. Dropping it kills it, and everything that it started.
///
/// Its descriptor ([`AsFd`]) is readable when there is something to do for [`RunningChild::next_line`]. Call that, or
/// [`RunningChild::line_at_hand`], until it says [`OutputLine::Later`] before polling again.
pub struct RunningChild {
    program: PathBuf,
    epoll: OwnedFd,
    /// The socket to the launcher, until its end.
    launcher: Option<OwnedFd>,
    process: std::process::Child,
    pidfd: OwnedFd,
    /// The program itself, from its start.
    held: Option<(u32, OwnedFd)>,
    output: Stream,
    errors: Stream,
    failed: Option<Errno>,
    ended: Option<Ended>,
    /// A signal asked the agent to end while this ran.
    interrupted: bool,
    /// How many could not be killed, from the launcher's last word.
    left: Option<u32>,
    /// What was in the pipes at its end has been read.
    drained: bool,
    /// Everything has been ended, as far as that can be done.
    cleaned: bool,
    began: Instant,
    took: Option<Duration>,
}

impl RunningChild {
    pub(super) fn start(child: &Child<'_>, deadline: Deadline) -> Result<Self, ChildError> {
        let mut running =
            in_time(child.program, deadline, || Self::start_launcher(child)).map_err(ChildError::Launcher)?;
        while running.held.is_none() {
            if let Some(errno) = running.failed {
                return Err(ChildError::of_start(child.program, errno));
            }
            if running.launcher.is_none() {
                return Err(ChildError::Launcher(io::Error::other("it ended before the program was started")));
            }
            if deadline.passed() {
                return Err(ChildError::TooSlow(child.program.to_path_buf()));
            }
            running.pump(deadline);
        }
        Ok(running)
    }

    #[allow(clippy::disallowed_methods, reason = "this is the file where children are started")]
    fn start_launcher(child: &Child<'_>) -> io::Result<Self> {
        let (ours, its) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let input = child.stdin.map(memory_file).transpose()?;
        send(&ours, Message::Go { leaves: child.leaves }, input.as_ref().map(AsFd::as_fd))?;
        drop(input);
        let launcher = child.launcher.unwrap_or(Path::new("/proc/self/exe"));
        let mut command = Command::new(launcher);
        command.arg0("vm-agent").arg(LAUNCHER_WORD).arg(child.program).args(&child.args);
        command.env_clear().envs(child.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::from(its)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn()?;
        drop(command);
        let began = Instant::now();
        let output = Stream::new(process.stdout.take().map(OwnedFd::from), Keep::Lines, child.capture);
        let errors = Stream::new(process.stderr.take().map(OwnedFd::from), Keep::End, child.capture);
        let prepared = Self::prepare(&process, output.fd(), errors.fd(), &ours, child.interruptible);
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
            output,
            errors,
            failed: None,
            ended: None,
            interrupted: false,
            left: None,
            drained: false,
            cleaned: false,
            began,
            took: None,
        })
    }

    fn prepare(
        process: &std::process::Child,
        stdout: Option<&OwnedFd>,
        stderr: Option<&OwnedFd>,
        launcher: &OwnedFd,
        interruptible: bool,
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
        if let Some(signals) = interrupt::descriptor().filter(|_| interruptible && !interrupt::requested()) {
            epoll::add(&epoll, signals, epoll::EventData::new_u64(INTERRUPT), epoll::EventFlags::IN)?;
        }
        Ok((epoll, pidfd))
    }

    /// The next line of its output; those that were written before its end come before [`OutputLine::Closed`]. Takes no
    /// longer than the deadline, however much is written.
    pub fn next_line(&mut self, deadline: Deadline) -> OutputLine {
        let mut late = false;
        loop {
            match self.line_at_hand() {
                line @ (OutputLine::Text(_) | OutputLine::Closed) => return line,
                OutputLine::Later if late => return OutputLine::Later,
                OutputLine::Later => {}
            }
            // When it is late, what has come is taken in once more.
            late = deadline.passed();
            self.pump(deadline);
        }
    }

    /// The next line of what was taken in already. While it runs nothing more is read, so asking for these ends, even
    /// if it writes faster than they are asked for.
    pub fn line_at_hand(&mut self) -> OutputLine {
        if self.launcher.is_none() && !std::mem::replace(&mut self.drained, true) {
            self.drain();
        }
        match self.output.take_line() {
            Some(line) => OutputLine::Text(line),
            None if self.launcher.is_some() => OutputLine::Later,
            None if self.output.kept.is_empty() => OutputLine::Closed,
            // The last one was not ended.
            None => OutputLine::Text(std::mem::take(&mut self.output.kept).into()),
        }
    }

    /// Waits for its end, and reads what it writes until then; at the deadline it is killed.
    ///
    /// # Errors
    /// Somebody else killed its launcher.
    pub fn finish(mut self, deadline: Deadline) -> Result<Finished, ChildError> {
        self.wait(deadline, None);
        self.result()
    }

    /// The same; it is killed as soon as `hopeless` says so, which is asked again and again.
    ///
    /// # Errors
    /// Somebody else killed its launcher.
    pub fn finish_unless(
        mut self,
        deadline: Deadline,
        hopeless: &mut dyn FnMut() -> bool,
    ) -> Result<Finished, ChildError> {
        self.wait(deadline, Some(hopeless));
        self.result()
    }

    /// Asks it to end (SIGTERM), and kills it after `grace`.
    ///
    /// # Errors
    /// Somebody else killed its launcher.
    pub fn terminate(mut self, grace: Duration) -> Result<Finished, ChildError> {
        if let Some((_, held)) = &self.held {
            let _ = pidfd_send_signal(held, Signal::TERM);
        }
        self.wait(Deadline::after(grace), None);
        self.result()
    }

    /// Kills it at once.
    ///
    /// # Errors
    /// Somebody else killed its launcher.
    pub fn kill(self) -> Result<Finished, ChildError> {
        self.finish(Deadline::after(Duration::ZERO))
    }

    fn wait(&mut self, deadline: Deadline, mut hopeless: Option<&mut dyn FnMut() -> bool>) {
        self.output.keep = Keep::Start;
        // Looked at once even if the deadline has passed: its end may have come before.
        while self.ended.is_none() && self.launcher.is_some() {
            self.pump(if hopeless.is_some() { deadline.at_most(HOPES_FOR) } else { deadline });
            if deadline.passed() || self.interrupted {
                break;
            }
            if self.ended.is_none() && hopeless.as_mut().is_some_and(|hopeless| hopeless()) {
                break;
            }
        }
        if self.ended.is_none() && self.launcher.is_some() {
            self.note_end(Ended::TimedOut);
        }
        self.clean_up();
    }

    /// Ends whatever is left. The launcher does it, unless it is stuck or killed.
    fn clean_up(&mut self) {
        self.cleaned = true;
        let deadline = Deadline::after(CLEAN_UP.mul_f32(0.7));
        if let Some(launcher) = &self.launcher {
            let _ = send(launcher, Message::Kill, None);
        }
        while self.launcher.is_some() && !deadline.passed() {
            self.pump(deadline);
        }
        self.launcher = None;
        if self.left.is_none() {
            let mut left = kill_tree(self.process.id(), &self.pidfd);
            if let Some((pid, pidfd)) = &self.held {
                left += kill_tree(*pid, pidfd);
            }
            self.left = Some(left);
        }
        if wait_readable(&self.pidfd, Deadline::after(CLEAN_UP.mul_f32(0.1))) {
            let _ = self.process.try_wait();
        }
    }

    fn result(mut self) -> Result<Finished, ChildError> {
        self.drain();
        let Some(ended) = self.ended else { return Err(ChildError::Lost(std::mem::take(&mut self.program))) };
        let (stdout, stderr) = (self.output.take_all(), self.errors.take_all());
        Ok(Finished {
            ended,
            stdout,
            stderr,
            dropped: self.output.dropped + self.errors.dropped,
            survivors: self.left.unwrap_or(0),
            took: self.took.unwrap_or_else(|| self.began.elapsed()),
        })
    }

    /// Waits for something to happen, and takes it in.
    fn pump(&mut self, deadline: Deadline) {
        let soon = deadline.at_most(Duration::from_secs(86_400));
        let mut space = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 4];
        let count = match epoll::wait(&self.epoll, &mut space, Some(&timespec(soon.left()))) {
            Ok(count) => count,
            Err(Errno::INTR) => return,
            Err(_) => {
                self.launcher = None;
                return;
            }
        };
        for event in space.iter().take(count) {
            match event.data.u64() {
                STDOUT => drop(self.output.take_in()),
                STDERR => drop(self.errors.take_in()),
                INTERRUPT => self.hear_signal(),
                _ => self.hear(),
            }
        }
    }

    /// Notes the signal once; it stays readable, and must not wake us again.
    fn hear_signal(&mut self) {
        self.interrupted = true;
        if let Some(signals) = interrupt::descriptor() {
            let _ = epoll::delete(&self.epoll, signals);
        }
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
            Message::Started(pid) => self.held = u32::try_from(pid).ok().zip(fd),
            Message::Failed(errno) => self.failed = Some(Errno::from_raw_os_error(errno)),
            Message::Exited(code) => self.note_end(Ended::Exited(code)),
            Message::Signalled(signal) => self.note_end(Ended::Signalled(signal)),
            Message::Left(count) => self.left = u32::try_from(count).ok(),
            Message::Go { .. } | Message::Kill => {}
        }
    }

    fn note_end(&mut self, end: Ended) {
        self.took.get_or_insert_with(|| self.began.elapsed());
        self.ended.get_or_insert(end);
    }

    /// Reads what is still in the pipes after the end of those who wrote into them. A process that could not be killed
    /// may hold them open, so their end is not waited for.
    fn drain(&mut self) {
        for _ in 0..64 {
            let (output, errors) = (self.output.take_in(), self.errors.take_in());
            if !output && !errors {
                return;
            }
        }
    }
}

impl AsFd for RunningChild {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl Drop for RunningChild {
    fn drop(&mut self) {
        if !self.cleaned {
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
