// SPDX-License-Identifier: GPL-2.0-or-later
//! One change at a time: two agents that act on one virtual machine (a person's and the cluster's) take turns.
//!
//! The lock is the kernel's and ends with its holder, however that ends; the file in /run that it hangs on means nothing.

use crate::sys::roots::Roots;
use crate::sys::run_dir;
use crate::sys::time::Deadline;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Duration;

/// Between two tries: the kernel has no lock with a deadline.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// The lock, held; dropping it gives it back.
#[derive(Debug)]
#[must_use]
pub(crate) struct Locked {
    _file: File,
}

/// Why it is not held.
#[derive(Debug)]
pub(crate) enum NotLocked {
    /// Another agent has it; what it said of itself.
    Taken(String),
    /// The file cannot be made or locked.
    Impossible(std::io::Error),
}

fn open(roots: &Roots, name: &str) -> Result<File, Errno> {
    let folder = run_dir::open(&roots.run)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(&folder, format!("{name}.lock"), flags, Mode::RUSR | Mode::WUSR)?))
}

/// Sends SIGTERM to the agent that holds the lock of `name`, if it is at `such` an action; it ends tidily then. Nothing is
/// sent to a process that the kernel does not name as the lock's holder.
pub(crate) fn interrupt_holder(roots: &Roots, name: &str, such: impl Fn(&str) -> bool) {
    let Ok(file) = open(roots, name) else { return };
    let Some(pid) = holder(roots, &file) else { return };
    let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    // The number, and the lock, may have become another's before it was held.
    let text = said(&file);
    let Some((action, said_pid)) = text.split_once(", process ") else { return };
    if such(action) && said_pid == pid.as_raw_nonzero().to_string() && holder(roots, &file) == Some(pid) {
        // One that a shell has stopped hears nothing until it goes on.
        let _ = pidfd_send_signal(&held, Signal::TERM).and_then(|()| pidfd_send_signal(&held, Signal::CONT));
    }
}

/// What the holder of the lock says of itself.
fn said(file: &File) -> String {
    let mut text = [0; 200];
    let length = file.read_at(&mut text, 0).unwrap_or(0);
    match String::from_utf8_lossy(text.get(..length).unwrap_or_default()).trim() {
        "" => "it does not say what it does".to_owned(),
        said => said.to_owned(),
    }
}

/// The process that has locked `file`, as `/proc/locks` (proc_locks(5)) names it.
fn holder(roots: &Roots, file: &File) -> Option<Pid> {
    let stat = file.metadata().ok()?;
    let (major, minor) = (rustix::fs::major(stat.dev()), rustix::fs::minor(stat.dev()));
    let place = format!("{major:02x}:{minor:02x}:{}", stat.ino());
    let locks = std::fs::read_to_string(roots.proc.join("locks")).ok()?;
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (kind, pid, file) = (words.next()?, words.nth(2)?, words.next()?);
        (kind == "FLOCK" && file == place).then(|| Pid::from_raw(pid.parse().ok()?)).flatten()
    })
}

/// Waits for the lock of the virtual machine `name`, for `action`.
///
/// # Errors
/// It was not to be had until the deadline.
pub(crate) fn take(roots: &Roots, name: &str, action: &str, deadline: Deadline) -> Result<Locked, NotLocked> {
    let impossible = |errno: Errno| NotLocked::Impossible(errno.into());
    let mut file = open(roots, name).map_err(impossible)?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK | Errno::INTR) if !deadline.passed() && !crate::sys::interrupt::requested() => {
                std::thread::sleep(TRY_AGAIN.min(deadline.left()));
            }
            Err(Errno::WOULDBLOCK | Errno::INTR) => {
                return Err(NotLocked::Taken(said(&file)));
            }
            Err(errno) => return Err(impossible(errno)),
        }
    }
    // For whoever waits. It is lost where /run is full; then nobody interrupts this action, and a stop that goes on beside it
    // takes it for a start.
    let _ = file.set_len(0);
    let _ = write!(file, "{action}, process {}", std::process::id());
    Ok(Locked { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder_of(roots: &Roots, name: &str) -> Option<Pid> {
        holder(roots, &open(roots, name).unwrap())
    }

    #[test]
    fn the_second_waits_for_the_first_and_learns_who_it_is() {
        let run = tempfile::tempdir().unwrap();
        let roots = Roots { run: run.path().into(), ..Roots::default() };
        let soon = || Deadline::after(Duration::from_millis(50));
        let first = take(&roots, "a b", "stop", soon()).unwrap();
        let Err(NotLocked::Taken(holder)) = take(&roots, "a b", "start", soon()) else { panic!("locked twice") };
        assert_eq!(holder, format!("stop, process {}", std::process::id()));
        assert_eq!(holder_of(&roots, "a b"), Some(rustix::process::getpid()));
        drop(first);
        // A child that another test starts at this moment has its file too, until it runs its program.
        crate::shared::until(10, "the lock", || holder_of(&roots, "a b").is_none().then_some(()));
        let _lock = take(&roots, "a b", "start", soon()).unwrap();
    }

    #[test]
    fn a_link_in_the_folders_place_is_not_followed() {
        let run = tempfile::tempdir().unwrap();
        let roots = Roots { run: run.path().into(), ..Roots::default() };
        std::os::unix::fs::symlink("/tmp", run.path().join("vm-agent")).unwrap();
        assert!(matches!(take(&roots, "a", "stop", Deadline::after(Duration::ZERO)), Err(NotLocked::Impossible(_))));
    }
}
