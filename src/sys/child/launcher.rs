// SPDX-License-Identifier: GPL-2.0-or-later
//! The launcher: the process between the agent and a program. It must stay small, and must never outlive both.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, kill_process, pidfd_open, set_child_subreaper, setpgid,
    waitid,
};

use super::CLEAN_UP;
use super::message::{Message, receive, send};
use crate::sys::proc::children_of;
use crate::sys::proc::own_group;
use crate::sys::time::{Deadline, timespec};

/// The first argument that makes the executable a launcher.
pub const LAUNCHER_WORD: &str = "__child";

/// The launcher's life; `args` are what follows [`LAUNCHER_WORD`], and the result is its exit code, which nobody reads.
/// It speaks to the agent through its standard input.
pub fn launcher_main(args: impl IntoIterator<Item = OsString>) -> u8 {
    match launch(args) {
        Ok(()) => 0,
        Err(error) => {
            // Not started by an agent, or the kernel refuses: the agent sees our end without a message.
            let _ = send(std::io::stdin(), Message::Failed(error.raw_os_error()), None);
            1
        }
    }
}

fn launch(args: impl IntoIterator<Item = OsString>) -> rustix::io::Result<()> {
    let mut args = args.into_iter();
    let program = args.next().ok_or(Errno::INVAL)?;
    let agent = std::io::stdin();
    let _ = rustix::thread::set_name(c"vm-agent-child");
    set_child_subreaper(Some(getpid()))?;
    // Out of the way of a signal to the agent's group (a timeout's, a terminal's), so that we live to end the daemons which
    // it does not reach. The program stays in that group. A group without a number could not be given back to it.
    let group = own_group();
    if group.is_some() {
        setpgid(None, None)?;
    }
    let Some((Message::Go { leaves }, input)) = receive(&agent, RecvFlags::empty())? else { return Ok(()) };
    // Whoever died or changed their mind meanwhile has nothing started for them any more.
    if poll(&mut [PollFd::new(&agent, PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0 {
        return Ok(());
    }
    let child = match start(&program, args, input, group) {
        Ok(child) => child,
        Err(errno) => return send(&agent, Message::Failed(errno.raw_os_error()), None),
    };
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(|_| Errno::INVAL)?).ok_or(Errno::INVAL)?;
    // Not reaped before the sweep below, so the number is still the program's.
    let watched = pidfd_open(pid, PidfdFlags::empty()).and_then(|pidfd| {
        send(&agent, Message::Started(pid.as_raw_nonzero().get()), Some(pidfd.as_fd()))?;
        watch(&agent, &pidfd, pid)
    });
    if let Ok(Some(end)) = watched {
        let _ = send(&agent, end, None);
        if leaves && end == Message::Exited(0) {
            return send(&agent, Message::Left(0), None);
        }
    }
    let left = sweep(Deadline::after(CLEAN_UP.mul_f32(0.7)));
    send(&agent, Message::Left(left), None)
}

#[allow(clippy::disallowed_methods, reason = "this is the file where children are started")]
fn start(
    program: &OsString,
    args: impl Iterator<Item = OsString>,
    input: Option<OwnedFd>,
    group: Option<Pid>,
) -> rustix::io::Result<std::process::Child> {
    let mut command = Command::new(program);
    command.args(args).stdin(input.map_or_else(Stdio::null, Stdio::from));
    if let Some(group) = group {
        command.process_group(group.as_raw_nonzero().get());
    }
    command.spawn().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Waits until the program has ended (and says how), or everything shall end: the agent says so, or is gone.
fn watch(agent: &impl AsFd, program: &OwnedFd, pid: Pid) -> rustix::io::Result<Option<Message>> {
    loop {
        let mut fds = [PollFd::new(program, PollFlags::IN), PollFd::new(agent, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let [program_event, agent_event] = &fds;
        if !program_event.revents().is_empty() {
            // By its number, which is the program's until it is reaped: Linux 5.3 waits for no descriptor.
            let end = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
            return Ok(end.and_then(|end| {
                end.exit_status().map(Message::Exited).or(end.terminating_signal().map(Message::Signalled))
            }));
        }
        if !agent_event.revents().is_empty() {
            return Ok(None);
        }
    }
}

/// Kills and reaps our children until there are none. What they had started becomes ours when they end, so at the end
/// nothing is left of the whole tree. Their numbers are safe to signal: nobody else reaps them. Returns how many stay.
fn sweep(deadline: Deadline) -> i32 {
    loop {
        let children = children_of(getpid());
        for child in &children {
            let _ = kill_process(*child, Signal::KILL);
        }
        loop {
            match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                Ok(Some(_)) => {}
                Err(Errno::CHILD) => return 0,
                Ok(None) | Err(_) => break,
            }
        }
        if deadline.passed() {
            return i32::try_from(children_of(getpid()).len()).unwrap_or(i32::MAX);
        }
        // Any of them will do: the next round looks at all again.
        let waited = children.first().and_then(|child| pidfd_open(*child, PidfdFlags::empty()).ok());
        if let Some(pidfd) = waited {
            let soon = deadline.at_most(Duration::from_millis(20));
            let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timespec(soon.left())));
        }
    }
}
